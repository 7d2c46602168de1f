//! Call events made of the recorded deliveries, varied where a test needs it.

use std::collections::{BTreeMap, HashSet};

use calls::{
    CallEvent, CallId, Contact, ContactKind, ContactRef, EventKind, Interaction, MatchRules, Origin,
    PhoneNumber, Receipt, Record, Region, Seals, from_callrail, project,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use store::{ContactWithPhones, Store};
use uuid::Uuid;

/// Who calls in the samples.
pub(crate) const CALLER: &str = "+14045550123";

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/webhooks/",
            $name,
            ".json"
        ))
    };
}

/// The time of a test, `seconds` after the samples' call began.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    let began: DateTime<Utc> = "2026-11-20T19:03:20Z".parse().unwrap();
    began + TimeDelta::seconds(seconds)
}

/// The id of the `n`th call.
pub(crate) fn call_id(n: usize) -> CallId {
    CallId::parse(&format!("CAL{n:032x}")).unwrap()
}

/// A number that the samples do not have.
pub(crate) fn number(n: usize) -> String {
    format!("+1312555{n:04}")
}

/// A delivery on its way to an event.
#[derive(Clone)]
pub(crate) struct Delivery {
    kind: EventKind,
    origin: Origin,
    observed_at: DateTime<Utc>,
    import_id: Option<Uuid>,
    object: Map<String, Value>,
}

/// The trace that every delivery belongs to.
pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// One of the samples as a delivery of that kind about the `n`th call.
fn delivery(sample: &str, kind: EventKind, n: usize, seconds: i64) -> Delivery {
    Delivery {
        kind,
        origin: Origin::Webhook,
        observed_at: at(seconds),
        import_id: None,
        object: serde_json::from_str(sample).unwrap(),
    }
    .with("resource_id", json!(call_id(n).as_str()))
}

/// The phone rings; received one second after the call began.
pub(crate) fn pre_call(n: usize) -> Delivery {
    delivery(sample!("pre_call"), EventKind::PreCall, n, 1)
}

/// The call is put through; received after 6 s.
pub(crate) fn routing_complete(n: usize) -> Delivery {
    delivery(sample!("call_routing_complete"), EventKind::RoutingComplete, n, 6)
}

/// Answered, 184 s long; received after 200 s.
pub(crate) fn post_call(n: usize) -> Delivery {
    delivery(sample!("post_call_answered"), EventKind::PostCall, n, 200)
}

/// Nobody took it.
pub(crate) fn missed_call(n: usize) -> Delivery {
    delivery(sample!("post_call_missed"), EventKind::PostCall, n, 200).starting(0)
}

/// CallRail's voicemail took it.
pub(crate) fn voicemail(n: usize) -> Delivery {
    delivery(sample!("post_call_voicemail"), EventKind::PostCall, n, 200).starting(0)
}

/// The business called; answered.
pub(crate) fn outbound_call(n: usize) -> Delivery {
    delivery(sample!("outbound_post_call"), EventKind::OutboundPostCall, n, 200).starting(0)
}

/// The call of [`post_call`], tagged `Booked`; received after 300 s.
pub(crate) fn tagged(n: usize) -> Delivery {
    delivery(sample!("call_modified_tags"), EventKind::CallModified, n, 300)
}

/// The call of [`post_call`] with its transcript and summary; received after 400 s.
pub(crate) fn transcribed(n: usize) -> Delivery {
    delivery(
        sample!("call_modified_transcription"),
        EventKind::CallModified,
        n,
        400,
    )
}

impl Delivery {
    /// Another value of one of CallRail's fields.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.object.insert(field.to_owned(), value);
        self
    }

    /// Another number of the person outside.
    pub(crate) fn of(self, number: &str) -> Self {
        self.with("customer_phone_number", json!(number))
    }

    /// Began at another time.
    pub(crate) fn starting(self, seconds: i64) -> Self {
        let began = at(seconds).to_rfc3339();
        self.with("start_time", json!(began))
            .with("created_at", json!(began))
    }

    /// Received at another time.
    pub(crate) fn received(mut self, seconds: i64) -> Self {
        self.observed_at = at(seconds);
        self
    }

    /// Read from CallRail's API and not brought by a webhook.
    pub(crate) fn imported(mut self) -> Self {
        self.kind = EventKind::Import;
        self.origin = Origin::Import;
        self
    }

    /// Read by that import run.
    pub(crate) fn imported_by(self, import_id: Uuid) -> Self {
        Self {
            import_id: Some(import_id),
            ..self.imported()
        }
    }

    /// The event that travels.
    pub(crate) fn event(self) -> CallEvent {
        let receipt = Receipt {
            event_id: Uuid::now_v7(),
            kind: self.kind,
            origin: self.origin,
            observed_at: self.observed_at,
            import_id: self.import_id,
            company: None,
        };
        CallEvent {
            // Goes with whatever the event raises.
            trace: Some(TRACE.parse().unwrap()),
            ..from_callrail((&self.object).into(), receipt, Region::US.into()).unwrap()
        }
    }
}

/// A contact that the CRM changed last at `changed`, with his numbers as the CRM spells them.
pub(crate) fn contact(kind: ContactKind, id: &str, changed: i64, phones: &[&str]) -> ContactWithPhones {
    ContactWithPhones {
        contact: Contact {
            contact: ContactRef {
                kind,
                id: id.to_owned(),
            },
            name: Some(format!("Name of {id}")),
            owner_id: Some(format!("owner-{id}")),
            updated_at: at(changed),
        },
        phones: phones
            .iter()
            .map(|phone| PhoneNumber::parse(phone, Region::US).unwrap())
            .collect(),
    }
}

pub(crate) fn lead(id: &str, phones: &[&str]) -> ContactWithPhones {
    contact(ContactKind::Lead, id, 0, phones)
}

pub(crate) fn customer(id: &str, phones: &[&str]) -> ContactWithPhones {
    contact(ContactKind::Customer, id, 0, phones)
}

/// Applies deliveries under the usual rules.
pub(crate) async fn apply(
    store: &Store,
    deliveries: impl IntoIterator<Item = Delivery>,
    now: DateTime<Utc>,
) -> store::Applied {
    let events = deliveries.into_iter().map(Delivery::event).collect();
    store.apply(events, &MatchRules::default(), now).await.unwrap()
}

/// The row of a call, read by our own interface.
pub(crate) async fn row(store: &Store, n: usize) -> Option<Interaction> {
    store
        .interactions(&[call_id(n)])
        .await
        .unwrap()
        .remove(&call_id(n))
}

/// The rows that these events make when nobody is known and nothing is sealed, worked out without a database.
pub(crate) fn projected(events: &[CallEvent]) -> BTreeMap<CallId, Interaction> {
    let mut records: BTreeMap<CallId, Record> = BTreeMap::new();
    for event in events {
        let record = records.entry(event.call.call_sid.clone()).or_default();
        record.add(event.to_recorded());
    }
    let rows = records.into_iter().filter_map(|(call_sid, record)| {
        let row = project(&record, &Seals::default())?;
        Some((call_sid, row))
    });
    rows.collect()
}

/// All rows that are stored, of the calls that these events are about.
pub(crate) async fn stored(store: &Store, events: &[CallEvent]) -> BTreeMap<CallId, Interaction> {
    let call_sids: HashSet<CallId> = events.iter().map(|event| event.call.call_sid.clone()).collect();
    let call_sids: Vec<CallId> = call_sids.into_iter().collect();
    store
        .interactions(&call_sids)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

/// `count` events of `calls` calls in a disorder that is the same every time; many of them come twice.
pub(crate) fn disorder(count: usize, calls: usize, seed: u64) -> Vec<CallEvent> {
    let mut random = Random(seed);
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        let n = random.below(calls);
        let seconds = i64::try_from(random.below(600)).unwrap_or_default();
        let delivery = match random.below(7) {
            0 => pre_call(n),
            1 => routing_complete(n),
            2 => post_call(n),
            3 => missed_call(n).received(seconds),
            4 => tagged(n).with("tags", json!([format!("tag {}", random.below(3))])),
            5 => transcribed(n).received(seconds),
            _ => tagged(n).imported().received(seconds),
        };
        let event = delivery.of(&number(n)).event();
        if random.below(4) == 0 {
            events.push(event.clone());
        }
        events.push(event);
    }
    events.truncate(count);
    for last in (1..events.len()).rev() {
        events.swap(last, random.below(last + 1));
    }
    events
}

/// Xorshift: enough disorder for a test, and the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number from 0 on.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
