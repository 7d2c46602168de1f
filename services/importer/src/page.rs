//! From a page of CallRail's API to call events. Pure.

use std::collections::{HashMap, HashSet};

use calls::{CallEvent, CallId, Digest, EventKind, Origin, Reading, Receipt, Unreadable, from_callrail};
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::{FailedCall, Import, ImportedCall, KnownCall};
use uuid::Uuid;

/// What was read of a page.
#[derive(Debug)]
pub(crate) struct Page {
    /// To be published.
    pub(crate) events: Vec<CallEvent>,
    /// To be noted: the same calls, and those that cannot be read.
    pub(crate) calls: Vec<ImportedCall>,
}

impl Page {
    /// Reads the objects of a page, which was asked for at `observed_at`. One that cannot be read costs only itself.
    /// Calls outside of the run's range are left out: CallRail takes whole minutes only.
    pub(crate) fn read(
        objects: &[Value],
        run: &Import,
        observed_at: DateTime<Utc>,
        reading: Reading,
    ) -> Self {
        let mut page = Self {
            events: Vec::with_capacity(objects.len()),
            calls: Vec::with_capacity(objects.len()),
        };
        for object in objects {
            let receipt = Receipt {
                import_id: Some(run.id),
                company: run.company.clone(),
                ..receipt(observed_at)
            };
            match event(object, receipt, reading) {
                Ok(event) if !is_in_range(&event, run) => {}
                Ok(event) => {
                    page.calls.push(ImportedCall::Queued(event.call.call_sid.clone()));
                    page.events.push(event);
                }
                Err(failed) => page.calls.push(ImportedCall::Failed(failed)),
            }
        }
        page
    }

    /// Leaves out what the database would store as it stands already.
    pub(crate) fn keep_news(&mut self, known: &HashMap<CallId, KnownCall>) {
        self.events.retain(|event| {
            let known = known.get(&event.call.call_sid);
            known.is_none_or(|known| known.is_news(event))
        });
        let news: HashSet<&CallId> = self.events.iter().map(|event| &event.call.call_sid).collect();
        for call in &mut self.calls {
            if let ImportedCall::Queued(call_sid) = call
                && !news.contains(call_sid)
            {
                *call = ImportedCall::Known(call_sid.clone());
            }
        }
    }
}

/// How what is read from the API comes to us.
pub(crate) fn receipt(observed_at: DateTime<Utc>) -> Receipt {
    Receipt {
        event_id: Uuid::now_v7(),
        kind: EventKind::Import,
        origin: Origin::Import,
        observed_at,
        import_id: None,
        company: None,
    }
}

/// Reads one object. CallRail's API shows no call that is marked as spam (`docs/callrail.md`, "API"), and says nothing of
/// the mark: what it shows is not marked, or not any more.
pub(crate) fn event(object: &Value, receipt: Receipt, reading: Reading) -> Result<CallEvent, FailedCall> {
    let name = name(object);
    let failed = |reason: String| FailedCall {
        call_sid: name.clone(),
        reason,
    };
    match object {
        Value::Object(object) => {
            let mut event =
                from_callrail(object.into(), receipt, reading).map_err(|error| failed(reason(&error)))?;
            event.call.spam.get_or_insert(false);
            Ok(event)
        }
        _ => Err(failed("it is not an object".to_owned())),
    }
}

/// What to call an object that may have no identifier that can be read: the same each time it is met.
fn name(object: &Value) -> String {
    let id = object.get("id").and_then(Value::as_str);
    id.filter(|id| !id.is_empty())
        .map_or_else(|| Digest::of(object).as_str().to_owned(), str::to_owned)
}

fn reason(error: &Unreadable) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn is_in_range(event: &CallEvent, run: &Import) -> bool {
    let began = event.call.facts.started_at;
    began.is_none_or(|began| (run.start..run.end).contains(&began))
}

#[cfg(test)]
mod tests {
    use calls::Seals;
    use serde_json::json;
    use store::{ImportSource, ImportState};

    use super::*;

    fn run() -> Import {
        let at = |text: &str| text.parse().unwrap();
        Import {
            id: Uuid::from_u128(7),
            source: ImportSource::Api,
            start: at("2026-11-01T00:00:00Z"),
            end: at("2026-11-02T00:00:00Z"),
            company: None,
            state: ImportState::Running,
            created_at: at("2026-11-24T00:00:00Z"),
            started_at: None,
            finished_at: None,
            error: None,
            cursor: None,
            pages: 0,
            requests: 0,
            retrying: false,
        }
    }

    fn read(objects: &[Value]) -> Page {
        let observed_at = "2026-11-24T00:00:00Z".parse().unwrap();
        Page::read(objects, &run(), observed_at, calls::Region::US.into())
    }

    fn call(id: &str, start: &str) -> Value {
        json!({
            "id": id, "start_time": start, "duration": 40, "answered": true, "voicemail": false,
            "direction": "inbound", "customer_phone_number": "+14045550123", "recording": null, "note": null,
        })
    }

    #[test]
    fn one_object_that_cannot_be_read_costs_only_itself() {
        let page = read(&[
            call("CAL1", "2026-11-01T10:00:00.000-05:00"),
            json!("CAL2"),
            call("CAL3", "soon"),
            call("CAL4", "2026-11-01T11:00:00.000-05:00"),
        ]);
        let ids: Vec<_> = page
            .events
            .iter()
            .map(|event| event.call.call_sid.as_str())
            .collect();
        assert_eq!(ids, ["CAL1", "CAL4"]);
        assert!(page.events.iter().all(|event| event.import_id == Some(run().id)));
        let failed: Vec<_> = page
            .calls
            .iter()
            .filter_map(|call| match call {
                ImportedCall::Failed(failed) => Some(failed.reason.as_str()),
                ImportedCall::Queued(_) | ImportedCall::Known(_) => None,
            })
            .collect();
        assert_eq!(page.calls.len(), 4);
        assert_eq!(failed.len(), 2, "{failed:?}");
    }

    #[test]
    fn what_has_no_identifier_has_the_same_name_each_time() {
        let names = || match &read(&[json!({"duration": 4})]).calls[..] {
            [ImportedCall::Failed(failed)] => failed.call_sid.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(), names());
    }

    #[test]
    fn a_call_of_a_minute_too_early_is_left_out() {
        let page = read(&[
            call("CAL1", "2026-10-31T23:59:59Z"),
            call("CAL2", "2026-11-01T00:00:00Z"),
            call("CAL3", "2026-11-02T00:00:00Z"),
        ]);
        assert_eq!(page.events.len(), 1);
        assert_eq!(page.calls.len(), 1);
    }

    #[test]
    fn only_news_is_published_and_every_call_is_noted() {
        let objects = || {
            let start = "2026-11-01T10:00:00.000-05:00";
            ["CAL1", "CAL2", "CAL3", "CAL4"]
                .map(|id| call(id, start))
                .to_vec()
        };
        let states: Vec<_> = read(&objects())
            .events
            .into_iter()
            .map(|event| (event.call.call_sid.clone(), event.digest()))
            .collect();
        let known = |last_seen: &Digest, reread| KnownCall {
            last_seen: Some(last_seen.clone()),
            has_row: true,
            vanished: false,
            reread,
            seals: Seals::default(),
        };
        // Unchanged, changed, in doubt, unknown.
        let known = HashMap::from([
            (states[0].0.clone(), known(&states[0].1, false)),
            (states[1].0.clone(), known(&states[0].1, false)),
            (states[2].0.clone(), known(&states[2].1, true)),
        ]);
        let mut page = read(&objects());
        page.keep_news(&known);
        let news: Vec<_> = page.events.iter().map(|event| &event.call.call_sid).collect();
        assert_eq!(news, [&states[1].0, &states[2].0, &states[3].0]);
        assert_eq!(page.calls.len(), 4);
        assert_eq!(page.calls[0], ImportedCall::Known(states[0].0.clone()));
        assert_eq!(page.calls[1], ImportedCall::Queued(states[1].0.clone()));
    }
}
