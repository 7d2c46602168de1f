//! Bodies as CallRail sends them, the events they become, and a store in memory.

use std::fs;

use calls::{
    CallChanges, CallEvent, CallId, CallState, Contact, ContactKind, ContactRef, EventKind, Interaction,
    MatchRules, Origin, People, PhoneNumber, Receipt, Record, Region, Retention, Seal, Seals, Unreadable,
    Written, apply, from_callrail,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The call of the samples `pre_call`, `call_routing_complete`, `post_call_answered` and `call_modified_*`.
pub(crate) const CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

/// Its outside party, as that of all samples.
pub(crate) const CALLER: &str = "+14045550123";

/// A link as the API gives it: for holders of the API key only.
pub(crate) const API_RECORDING: &str =
    "https://api.callrail.com/v3/a/100200300/calls/CAL01a1fa577dac70f6b1ca1ddba8db3bcf/recording.json";

/// Seconds after the moment at which the call of the samples ended.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    let ended: DateTime<Utc> = "2026-11-20T19:06:24.236Z".parse().unwrap();
    ended + TimeDelta::seconds(seconds)
}

pub(crate) fn call_id() -> CallId {
    CallId::parse(CALL).unwrap()
}

/// The bytes of a file of `tests/data/webhooks`.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/webhooks/");
    fs::read(format!("{folder}{name}")).unwrap()
}

/// A call object, to be changed before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Body(pub(crate) Map<String, Value>);

/// The body of a sample.
pub(crate) fn sample(name: &str) -> Body {
    Body(serde_json::from_slice(&file(&format!("{name}.json"))).unwrap())
}

/// The answered call of the samples.
pub(crate) fn answered() -> Body {
    sample("post_call_answered")
}

/// The same call, had nobody answered.
pub(crate) fn missed() -> Body {
    answered().with("answered", false).with("call_type", "missed")
}

/// The same call, had CallRail's voicemail taken it.
pub(crate) fn voicemail() -> Body {
    answered()
        .with("answered", false)
        .with("call_type", "voicemail")
        .with("voicemail", true)
}

/// The object that an event was made of, as it is kept.
pub(crate) fn original(event: &CallEvent) -> Value {
    serde_json::from_str(event.raw.as_str()).unwrap()
}

impl Body {
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.0.remove(key);
        self
    }

    /// The same call as the API writes it: other names and types, null for nothing, no spam mark, and its own
    /// kind of link to the recording.
    pub(crate) fn as_api(&self) -> Self {
        const ONLY_IN_WEBHOOKS: [&str; 8] = [
            "resource_id",
            "company_resource_id",
            "person_resource_id",
            "tracker_resource_id",
            "changes",
            "spam",
            "timestamp",
            "recording_redirect",
        ];
        let mut api = self.0.clone();
        for key in ONLY_IN_WEBHOOKS {
            api.remove(key);
        }
        for value in api.values_mut().filter(|value| *value == "") {
            *value = Value::Null;
        }
        api.insert("id".to_owned(), self.0["resource_id"].clone());
        if let Some(company) = self.0.get("company_resource_id") {
            api.insert("company_id".to_owned(), company.clone());
        }
        if let Some(Ok(seconds)) = api["duration"].as_str().map(str::parse::<u32>) {
            api.insert("duration".to_owned(), seconds.into());
        }
        if api["recording"].is_string() {
            api.insert("recording".to_owned(), API_RECORDING.into());
        }
        Self(api)
    }

    /// What becomes of it when it comes to the URL of `kind`, or as an import, `seconds` after the call ended.
    pub(crate) fn read(self, kind: EventKind, seconds: i64) -> Result<CallEvent, Unreadable> {
        let origin = if kind == EventKind::Import {
            Origin::Import
        } else {
            Origin::Webhook
        };
        let receipt = Receipt {
            event_id: Uuid::now_v7(),
            kind,
            origin,
            observed_at: at(seconds),
            import_id: None,
            company: None,
        };
        from_callrail((&self.0).into(), receipt, Region::US.into())
    }

    pub(crate) fn event(self, kind: EventKind, seconds: i64) -> CallEvent {
        self.read(kind, seconds).unwrap()
    }

    pub(crate) fn post_call(self, seconds: i64) -> CallEvent {
        self.event(EventKind::PostCall, seconds)
    }

    pub(crate) fn call_modified(self, seconds: i64) -> CallEvent {
        self.event(EventKind::CallModified, seconds)
    }

    pub(crate) fn import(&self, seconds: i64) -> CallEvent {
        self.as_api().event(EventKind::Import, seconds)
    }
}

/// The same event as an operator sends it again from the dead letters.
pub(crate) fn replay(event: &CallEvent) -> CallEvent {
    CallEvent {
        event_id: Uuid::now_v7(),
        origin: Origin::Replay,
        ..event.clone()
    }
}

/// The row that these events give, linked with nobody.
pub(crate) fn row(events: &[CallEvent]) -> Option<Interaction> {
    let record: Record = events.iter().map(CallEvent::to_recorded).collect();
    calls::project(&record, &Seals::default())
}

pub(crate) fn contact(kind: ContactKind, id: &str) -> Contact {
    Contact {
        contact: ContactRef {
            kind,
            id: id.to_owned(),
        },
        name: Some("Jane Doe".to_owned()),
        owner_id: Some("agent-7".to_owned()),
        updated_at: at(0),
    }
}

/// A CRM that knows the caller as this contact.
pub(crate) fn known_as(kind: ContactKind, id: &str) -> People {
    let mut people = People::default();
    people.add(PhoneNumber::parse(CALLER, Region::US).unwrap(), contact(kind, id));
    people
}

/// One call in a database: takes what `apply` says and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) state: CallState,
    pub(crate) seals: Vec<Seal>,
    pub(crate) retention: Retention,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self {
            state: CallState::new(call_id()),
            seals: Vec::new(),
            retention: Retention::default(),
        }
    }

    /// A database to which these events came one by one, long ago.
    pub(crate) fn after(events: &[CallEvent]) -> Self {
        let mut database = Self::new();
        for event in events {
            database.take_at(std::slice::from_ref(event), &People::default(), at(1_000_000));
        }
        database
    }

    /// Takes one batch, an hour and a half after the call.
    pub(crate) fn take(&mut self, events: &[CallEvent], people: &People) -> CallChanges {
        self.take_at(events, people, at(5400))
    }

    pub(crate) fn take_at(
        &mut self,
        events: &[CallEvent],
        people: &People,
        now: DateTime<Utc>,
    ) -> CallChanges {
        let changes = apply(
            self.state.clone(),
            events,
            Some(people),
            &MatchRules::default(),
            &self.retention,
            now,
        );
        self.write(&changes);
        changes
    }

    pub(crate) fn write(&mut self, changes: &CallChanges) {
        if changes.replaces_record {
            self.state.record = Record::default();
        }
        for snapshot in &changes.snapshots {
            self.state.record.add(snapshot.clone());
        }
        self.state.reread = changes.reread.unwrap_or(self.state.reread);
        for seal in &changes.seals {
            self.state.seals.close(seal.group, seal.reason);
            self.seals.push(seal.clone());
        }
        if let Some(row) = &changes.row {
            self.state.written = Some(Written::of(row));
            self.state.row = Some(row.clone());
        }
    }

    /// The CRM writes into our table.
    pub(crate) fn crm_writes(&mut self, write: impl FnOnce(&mut Interaction)) {
        write(self.state.row.as_mut().unwrap());
    }
}

/// Whether there is nothing to write.
pub(crate) fn is_empty(changes: &CallChanges) -> bool {
    changes.snapshots.is_empty()
        && changes.row.is_none()
        && changes.seals.is_empty()
        && changes.alerts.is_empty()
        && changes.reread.is_none()
}

/// Phrases of a conversation as CallRail writes them.
pub(crate) fn phrases(said: &[(&str, &str)]) -> Value {
    said.iter()
        .map(|(speaker, phrase)| json!({"speaker": speaker, "phrase": phrase, "start": 1.2}))
        .collect()
}
