//! Who hears what of a call, and the payload that browsers get, to the letter.

use calls::{
    AlertKind, CallEvent, ContactKind, EventKind, MatchRules, Outcome, OutgoingAlert, People, PhoneNumber,
    Region, Retention, amend, apply,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::call::{Body, CALL, CALLER, Database, answered, at, known_as, missed, sample, voicemail};

/// The alerts that the last of these events raises, when all come to a CRM that knows these people.
fn raised_by_last(events: &[CallEvent], people: &People, now: DateTime<Utc>) -> Vec<OutgoingAlert> {
    let (last, before) = events.split_last().unwrap();
    let mut database = Database::new();
    for event in before {
        database.take_at(std::slice::from_ref(event), people, now);
    }
    database.take_at(std::slice::from_ref(last), people, now).alerts
}

/// The kinds, and whether each may interrupt.
fn kinds(alerts: &[OutgoingAlert]) -> Vec<(AlertKind, bool)> {
    alerts
        .iter()
        .map(|outgoing| (outgoing.alert.kind, outgoing.push))
        .collect()
}

fn payload(alert: &OutgoingAlert) -> Value {
    serde_json::to_value(&alert.alert).unwrap()
}

/// What a ringing or routed call tells, of a caller whom the CRM knows as a customer.
fn progress(event: CallEvent) -> Value {
    let now = event.observed_at;
    let alerts = raised_by_last(&[event], &known_as(ContactKind::Customer, "c-9"), now);
    assert_eq!(
        (alerts.len(), alerts[0].push, alerts[0].owner_id.as_deref()),
        (1, true, Some("agent-7"))
    );
    payload(&alerts[0])
}

fn ringing(seconds: i64) -> CallEvent {
    sample("pre_call").event(EventKind::PreCall, seconds)
}

fn routed(seconds: i64) -> CallEvent {
    sample("call_routing_complete").event(EventKind::RoutingComplete, seconds)
}

fn picked_up(seconds: i64) -> CallEvent {
    sample("call_routing_complete")
        .with("answered", true)
        .event(EventKind::RoutingComplete, seconds)
}

#[test]
fn incoming_call_is_this_payload() {
    assert_eq!(
        progress(ringing(-184)),
        json!({
            "id": "2bb7f945-3b83-5e8a-8ca6-e893b3aab8f6",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:03:20.236Z",
            "kind": "incoming-call",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "customer", "id": "c-9", "name": "Jane Doe"},
            "source": "Google Ads Call Tracking",
        })
    );
}

#[test]
fn call_routed_is_this_payload() {
    assert_eq!(
        progress(routed(-180)),
        json!({
            "id": "b84ba03b-db5d-5bcf-a4ec-67c71ecb8d2f",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:03:24.236Z",
            "kind": "call-routed",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "customer", "id": "c-9", "name": "Jane Doe"},
            "source": "Google Ads Call Tracking",
        })
    );
}

#[test]
fn call_answered_is_this_payload() {
    assert_eq!(
        progress(picked_up(-180)),
        json!({
            "id": "6ad73cff-450f-5f6f-bbfa-13703a16a7c8",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:03:24.236Z",
            "kind": "call-answered",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "customer", "id": "c-9", "name": "Jane Doe"},
            "source": "Google Ads Call Tracking",
        })
    );
}

/// What an ended call tells, of a caller whom the CRM knows as a lead.
fn ended(body: Body) -> Value {
    let alerts = raised_by_last(&[body.post_call(2)], &known_as(ContactKind::Lead, "l-7"), at(3));
    assert_eq!(
        (alerts.len(), alerts[0].push, alerts[0].owner_id.as_deref()),
        (1, true, Some("agent-7"))
    );
    payload(&alerts[0])
}

#[test]
fn call_completed_is_this_payload() {
    assert_eq!(
        ended(answered()),
        json!({
            "id": "3d9b88c1-d954-54db-8521-6fb3ab17a8af",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:06:26.236Z",
            "kind": "call-completed",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "lead", "id": "l-7", "name": "Jane Doe"},
            "outcome": "completed",
            "duration": 184,
            "source": "Google Ads",
        })
    );
}

#[test]
fn call_missed_is_this_payload() {
    assert_eq!(
        ended(missed()),
        json!({
            "id": "364cab52-08a5-54ef-bcf7-af265f102d95",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:06:26.236Z",
            "kind": "call-missed",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "lead", "id": "l-7", "name": "Jane Doe"},
            "outcome": "no_answer",
            "duration": 184,
            "source": "Google Ads",
        })
    );
}

#[test]
fn voicemail_received_is_this_payload() {
    assert_eq!(
        ended(voicemail().with("transcription", "Call me back")),
        json!({
            "id": "c640306d-07c8-5c03-9c1f-7a6eb8d561e5",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:06:26.236Z",
            "kind": "voicemail-received",
            "direction": "inbound",
            "from": "+14045550123",
            "contact": {"kind": "lead", "id": "l-7", "name": "Jane Doe"},
            "outcome": "voicemail",
            "duration": 184,
            "source": "Google Ads",
        })
    );
}

#[test]
fn new_lead_is_this_payload() {
    let alerts = raised_by_last(&[answered().post_call(2)], &People::default(), at(3));
    assert_eq!(
        kinds(&alerts),
        [(AlertKind::CallCompleted, true), (AlertKind::NewLead, true)]
    );
    assert_eq!(alerts[1].owner_id, None);
    assert_eq!(
        payload(&alerts[1]),
        json!({
            "id": "6b4610fe-3ed6-5758-835d-c6208111d55f",
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:06:26.236Z",
            "kind": "new-lead",
            "direction": "inbound",
            "from": "+14045550123",
            "outcome": "completed",
            "duration": 184,
            "source": "Google Ads",
        })
    );
}

#[test]
fn call_updated_is_this_payload() {
    let events = [
        answered().post_call(2),
        sample("call_modified_tags").call_modified(60),
    ];
    let alerts = raised_by_last(&events, &People::default(), at(61));
    assert_eq!(kinds(&alerts), [(AlertKind::CallUpdated, true)]);
    assert_eq!(
        payload(&alerts[0]),
        json!({
            "id": alerts[0].alert.id,
            "call_sid": CALL,
            "interaction_id": "6f36b1bb-2db7-54c6-864a-e2904b808f65",
            "at": "2026-11-20T19:07:24.236Z",
            "kind": "call-updated",
            "direction": "inbound",
            "from": "+14045550123",
            "outcome": "completed",
            "duration": 184,
            "source": "Google Ads",
        })
    );
}

#[test]
fn every_update_is_an_alert_of_its_own_and_always_the_same() {
    let tagged = sample("call_modified_tags");
    let update = |events: &[CallEvent]| raised_by_last(events, &People::default(), at(100))[0].alert.id;
    let first = [answered().post_call(2), tagged.clone().call_modified(60)];
    let back = [
        first[0].clone(),
        first[1].clone(),
        answered().call_modified(70),
        tagged.call_modified(80),
    ];
    assert_eq!(update(&first), update(&first));
    assert_ne!(
        update(&first),
        update(&back),
        "the same state again is another update"
    );
}

#[test]
fn a_ring_interrupts_for_a_minute() {
    let pushed = |now| kinds(&raised_by_last(&[ringing(-184)], &People::default(), now));
    assert_eq!(pushed(at(-124)), [(AlertKind::IncomingCall, true)]);
    assert_eq!(pushed(at(-123)), [(AlertKind::IncomingCall, false)]);
    assert_eq!(
        pushed(at(-190)),
        [(AlertKind::IncomingCall, true)],
        "clocks differ"
    );
}

#[test]
fn a_ring_after_the_end_is_kept_but_interrupts_nobody() {
    let events = [answered().post_call(2), ringing(2)];
    let mut database = Database::new();
    database.take_at(&events[..1], &People::default(), at(3));
    let changes = database.take_at(&events[1..], &People::default(), at(3));
    assert_eq!((changes.row, changes.snapshots.len()), (None, 1));
    assert_eq!(kinds(&changes.alerts), [(AlertKind::IncomingCall, false)]);
}

#[test]
fn an_outbound_call_rings_nobody() {
    let outbound = sample("pre_call")
        .with("direction", "outbound")
        .event(EventKind::PreCall, -184);
    assert!(raised_by_last(&[outbound], &People::default(), at(-184)).is_empty());
}

#[test]
fn an_ended_call_without_a_row_tells_nothing() {
    let events = [
        answered().with("call_type", "in_progress").post_call(-10),
        answered().with("duration", "").import(0),
    ];
    assert!(raised_by_last(&events[..1], &People::default(), at(0)).is_empty());
    assert!(raised_by_last(&events[1..], &People::default(), at(0)).is_empty());
}

#[test]
fn a_withheld_or_unreadable_number_is_told_as_it_came() {
    let from = |number: &str| {
        let event = sample("pre_call")
            .with("customer_phone_number", number)
            .event(EventKind::PreCall, 0);
        payload(&raised_by_last(&[event], &People::default(), at(0))[0])["from"].clone()
    };
    assert_eq!(from(""), Value::Null);
    assert_eq!(from("anonymous"), "anonymous");
    assert_eq!(from("(404) 555-0123"), "+14045550123");
}

#[test]
fn an_outbound_call_is_completed_whatever_its_outcome() {
    for (answered, outcome) in [(true, Outcome::Completed), (false, Outcome::NoAnswer)] {
        let event = sample("outbound_post_call")
            .with("answered", answered)
            .event(EventKind::OutboundPostCall, 0);
        let state = calls::CallState::new(event.call.call_sid.clone());
        let alerts = apply(
            state,
            &[event],
            Some(&People::default()),
            &MatchRules::default(),
            &Retention::default(),
            at(0),
        )
        .alerts;
        assert_eq!(kinds(&alerts), [(AlertKind::CallCompleted, true)]);
        let alert = &alerts[0].alert;
        assert_eq!(
            (alert.from.as_deref(), alert.outcome),
            (Some(CALLER), Some(outcome))
        );
    }
}

#[test]
fn only_an_unknown_first_inbound_caller_is_a_new_lead() {
    let is_new_lead = |body: Body, people: &People| {
        let alerts = raised_by_last(&[body.post_call(0)], people, at(0));
        alerts
            .iter()
            .any(|outgoing| outgoing.alert.kind == AlertKind::NewLead)
    };
    let nobody = People::default();
    assert!(is_new_lead(answered(), &nobody));
    assert!(is_new_lead(missed(), &nobody));
    assert!(!is_new_lead(answered(), &known_as(ContactKind::Lead, "7")));
    assert!(!is_new_lead(answered().with("first_call", false), &nobody));
    assert!(!is_new_lead(answered().without("first_call"), &nobody));
    assert!(!is_new_lead(answered().with("direction", "outbound"), &nobody));
    assert!(!is_new_lead(
        answered().with("customer_phone_number", "anonymous"),
        &nobody
    ));
    assert!(!is_new_lead(
        answered().with("customer_phone_number", ""),
        &nobody
    ));
    assert!(!is_new_lead(answered().with("spam", true), &nobody));
}

#[test]
fn a_blocked_number_is_no_new_lead() {
    let mut rules = MatchRules::default();
    rules
        .never
        .insert(PhoneNumber::parse(CALLER, Region::US).unwrap());
    let state = Database::new().state;
    let alerts = apply(
        state,
        &[answered().post_call(0)],
        Some(&People::default()),
        &rules,
        &Retention::default(),
        at(0),
    )
    .alerts;
    assert_eq!(kinds(&alerts), [(AlertKind::CallCompleted, true)]);
}

/// A call of which these events are told while nobody can be looked up.
fn told_alone(events: &[CallEvent]) -> (Database, Vec<OutgoingAlert>) {
    let mut database = Database::new();
    let now = events.last().unwrap().observed_at;
    let changes = apply(
        database.state.clone(),
        events,
        None,
        &MatchRules::default(),
        &Retention::default(),
        now,
    );
    database.write(&changes);
    (database, changes.alerts)
}

/// What is told once people can be looked up again.
fn amended(database: &Database, told: &[CallEvent], people: &People, seconds: i64) -> Option<OutgoingAlert> {
    let told: Vec<_> = told.iter().map(CallEvent::digest).collect();
    amend(
        &database.state,
        &told,
        people,
        &MatchRules::default(),
        at(seconds),
    )
}

#[test]
fn a_ring_that_went_out_with_its_number_alone_is_told_again_with_the_name() {
    let events = [ringing(0)];
    let (database, alerts) = told_alone(&events);
    assert_eq!(kinds(&alerts), [(AlertKind::IncomingCall, true)]);
    assert_eq!(alerts[0].owner_id, None);
    let alone = payload(&alerts[0]);
    assert_eq!(
        (&alone["from"], &alone["contact"]),
        (&json!(CALLER), &Value::Null)
    );

    let customer = known_as(ContactKind::Customer, "c-9");
    let amended_after = |seconds| amended(&database, &events, &customer, seconds);
    let amendment = amended_after(2).unwrap();
    assert_eq!(amendment.owner_id.as_deref(), Some("agent-7"));
    let mut expected = progress(ringing(0));
    assert_eq!(expected["id"], alone["id"]);
    assert_ne!(payload(&amendment)["id"], alone["id"]);
    expected["id"] = payload(&amendment)["id"].clone();
    assert_eq!(payload(&amendment), expected);
    assert_eq!(
        amended_after(3).unwrap().alert.id,
        amendment.alert.id,
        "again, it is the same"
    );
    assert_eq!(amended_after(61), None, "a ring of a minute ago is no news");
    assert_eq!(amended(&database, &events, &People::default(), 2), None);
}

#[test]
fn what_is_told_again_is_the_newest_that_a_screen_has() {
    let customer = known_as(ContactKind::Customer, "c-9");
    let events = [ringing(0), picked_up(5)];
    let (mut database, alerts) = told_alone(&events);
    assert_eq!(alerts.len(), 2);
    let amendment = amended(&database, &events, &customer, 6).unwrap();
    assert_eq!(amendment.alert.kind, AlertKind::CallAnswered);

    let ring_alone = &events[..1];
    assert_eq!(
        amended(&database, ring_alone, &customer, 6),
        None,
        "that it was picked up was told with the name"
    );
    database.take_at(&[answered().post_call(9)], &customer, at(9));
    assert_eq!(amended(&database, &events, &customer, 10), None, "it is over");
}

#[test]
fn a_late_ring_leaves_a_link_alone_when_nobody_can_be_looked_up() {
    let mut database = Database::new();
    let customer = known_as(ContactKind::Customer, "c-9");
    for people in [&People::default(), &customer] {
        database.take_at(&[answered().post_call(9)], people, at(9));
        let late = apply(
            database.state.clone(),
            &[ringing(10)],
            None,
            &MatchRules::default(),
            &Retention::default(),
            at(10),
        );
        assert_eq!(kinds(&late.alerts), [(AlertKind::IncomingCall, false)]);
        assert_eq!(late.row, None);
        database = Database::new();
    }
}

#[test]
fn a_lead_is_new_once() {
    let events = [
        answered().post_call(0),
        sample("call_modified_tags").call_modified(60),
    ];
    assert_eq!(
        kinds(&raised_by_last(&events, &People::default(), at(60))),
        [(AlertKind::CallUpdated, true)]
    );
}

#[test]
fn spam_is_no_news() {
    let spam = missed().with("spam", true);
    assert!(raised_by_last(&[spam.clone().post_call(0)], &People::default(), at(0)).is_empty());
    let marked = [missed().post_call(0), spam.call_modified(60)];
    assert!(raised_by_last(&marked, &People::default(), at(60)).is_empty());
}

#[test]
fn the_same_body_again_is_no_news() {
    let events = [answered().post_call(0), answered().post_call(60)];
    assert!(raised_by_last(&events, &People::default(), at(60)).is_empty());
}

#[test]
fn a_call_that_turns_out_answered_is_completed() {
    let events = [missed().post_call(0), answered().call_modified(60)];
    assert_eq!(
        kinds(&raised_by_last(&events, &People::default(), at(60))),
        [(AlertKind::CallCompleted, true)]
    );
}

#[test]
fn an_import_tells_of_a_missed_call_for_an_hour() {
    let lead = known_as(ContactKind::Lead, "7");
    let told = |body: Body, now| kinds(&raised_by_last(&[body.import(0)], &lead, now));
    assert_eq!(told(missed(), at(3599)), [(AlertKind::CallMissed, true)]);
    assert_eq!(
        told(voicemail(), at(3599)),
        [(AlertKind::VoicemailReceived, true)]
    );
    assert_eq!(told(missed(), at(3600)), []);
    assert_eq!(told(voicemail(), at(3600)), []);
    assert_eq!(told(answered(), at(60)), []);
}

#[test]
fn an_import_always_tells_of_a_new_lead_but_interrupts_only_for_an_hour() {
    let told = |now| kinds(&raised_by_last(&[answered().import(0)], &People::default(), now));
    assert_eq!(told(at(3599)), [(AlertKind::NewLead, true)]);
    assert_eq!(told(at(3600)), [(AlertKind::NewLead, false)]);
}

#[test]
fn an_import_says_nothing_of_what_a_webhook_brought() {
    let nobody = People::default();
    let tagged = sample("call_modified_tags");
    assert!(raised_by_last(&[missed().post_call(0), missed().import(60)], &nobody, at(60)).is_empty());
    assert!(raised_by_last(&[answered().post_call(0), missed().import(60)], &nobody, at(60)).is_empty());
    assert!(raised_by_last(&[answered().post_call(0), tagged.import(60)], &nobody, at(60)).is_empty());
}

#[test]
fn a_ring_is_not_yet_what_a_webhook_brought() {
    let events = [ringing(-184), missed().import(60)];
    let lead = known_as(ContactKind::Lead, "7");
    assert_eq!(
        kinds(&raised_by_last(&events, &lead, at(60))),
        [(AlertKind::CallMissed, true)]
    );
}

#[test]
fn a_call_that_was_imported_before_its_webhook_came_is_still_completed() {
    let lead = known_as(ContactKind::Lead, "7");
    let events = [ringing(-184), answered().import(60), answered().post_call(600)];
    assert_eq!(
        kinds(&raised_by_last(&events, &lead, at(600))),
        [(AlertKind::CallCompleted, true)]
    );
    let again = [
        answered().import(60),
        answered().post_call(600),
        answered().post_call(700),
    ];
    assert!(raised_by_last(&again, &lead, at(700)).is_empty());
}

#[test]
fn a_payload_stays_small_whatever_a_body_says() {
    let endless = "ä".repeat(20_000);
    let body = answered()
        .with("source", endless.as_str())
        .with("source_name", endless.as_str());
    let mut people = People::default();
    let mut jane = crate::call::contact(ContactKind::Lead, "7");
    jane.name = Some(endless.clone());
    people.add(PhoneNumber::parse(CALLER, Region::US).unwrap(), jane);
    let ring = sample("pre_call")
        .with("source_name", endless)
        .event(EventKind::PreCall, 0);
    for event in [body.post_call(0), ring] {
        let alerts = raised_by_last(&[event], &people, at(0));
        assert!(payload(&alerts[0]).to_string().len() < 10_000);
    }
}
