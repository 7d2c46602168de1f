//! Histories made to conflict: whatever order, repetition and batching events come in, one call is one row.

use std::collections::BTreeSet;

use calls::{
    CallEvent, Contact, ContactKind, EventKind, Group, Interaction, Link, MatchMethod, MatchRules, Origin,
    Original, People, PhoneNumber, Record, Region, SealReason, Seals, Stage, link_again, project,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::call::{
    Body, CALLER, Database, answered, at, contact, is_empty, known_as, missed, replay, row, sample, voicemail,
};

const NOTES: [&str; 3] = ["", "wants a quote", "wrong number"];
const WORDS: [&str; 3] = ["", "the furnace broke", "the boiler broke"];
const SUMMARIES: [&str; 3] = ["", "asks for a visit", "asks for a price"];
const CHANGES: [&str; 7] = [
    "tags",
    "note",
    "transcription_text",
    "call_summary",
    "recording",
    "auto_score",
    "from_the_future",
];
const ENDED: [EventKind; 4] = [
    EventKind::PostCall,
    EventKind::CallModified,
    EventKind::OutboundPostCall,
    EventKind::OutboundCallModified,
];

/// A full object of the same call, as it may stand at some time.
fn body() -> impl Strategy<Value = Body> {
    let course = select(vec![answered(), missed(), voicemail()]);
    let judgement = (
        subsequence(vec!["Booked", "VIP"], 0..=2),
        select(&NOTES[..]),
        select(&["", "250"][..]),
        select(&["", "good_lead", "not_a_lead"][..]),
    );
    let late = (
        select(&WORDS[..]),
        prop::option::of(select(&SUMMARIES[..])),
        any::<bool>(),
    );
    let others = (
        prop::option::of(any::<bool>()),
        subsequence(&CHANGES[..], 0..=3),
        // Now and then without what says where the caller came from, or which company it was.
        subsequence(vec!["medium", "company_resource_id", "lead_status"], 0..=1),
        select(&["+14045550123", "(404) 555-0123", "", "anonymous"][..]),
    );
    (course, judgement, late, others).prop_map(|(course, judgement, late, others)| {
        let (tags, note, value, lead_status) = judgement;
        let (words, summary, has_recording) = late;
        let (spam, changes, missing, caller) = others;
        let mut body = course
            .with("tags", json!(tags))
            .with("note", note)
            .with("value", value)
            .with("lead_status", lead_status)
            .with("transcription", words)
            .with("customer_phone_number", caller)
            .with("changes", json!(changes))
            .without("spam");
        if let Some(summary) = summary {
            body = body.with("call_summary", summary);
        }
        if let Some(spam) = spam {
            body = body.with("spam", spam);
        }
        if !has_recording {
            body = body.with("recording", "").with("recording_player", "");
        }
        missing.into_iter().fold(body, Body::without)
    })
}

/// An event of any kind. Ten seconds for all of them, so that times collide.
fn event() -> impl Strategy<Value = CallEvent> {
    let progress = prop_oneof![
        Just(sample("pre_call")),
        Just(sample("call_routing_complete")),
        Just(sample("call_routing_complete").with("answered", true)),
        body(),
    ];
    let any_event = prop_oneof![
        2 => (progress, select(vec![EventKind::PreCall, EventKind::RoutingComplete]), 0..10i64)
            .prop_map(|(body, kind, seconds)| body.event(kind, seconds)),
        6 => (body(), select(&ENDED[..]), 0..10i64).prop_map(|(body, kind, seconds)| body.event(kind, seconds)),
        1 => (body(), 0..10i64).prop_map(|(body, seconds)| body.with("call_type", "in_progress").post_call(seconds)),
        2 => (body(), 0..10i64).prop_map(|(body, seconds)| body.import(seconds)),
        1 => (body(), 0..10i64).prop_map(|(body, seconds)| body.with("duration", "").import(seconds)),
    ];
    (any_event, prop::bool::weighted(0.1)).prop_map(|(event, is_replay)| {
        // Nothing looks into the raw object, and a failure is easier to read without it.
        let event = CallEvent {
            raw: Original::default(),
            ..event
        };
        if is_replay { replay(&event) } else { event }
    })
}

/// What was said of a call, and one way in which it may reach us: shuffled, some of it twice, in batches.
fn deliveries() -> impl Strategy<Value = (Vec<CallEvent>, Vec<Vec<CallEvent>>)> {
    vec(event(), 1..7).prop_flat_map(|history| {
        let twice = vec(select(history.clone()), 0..4);
        let all = twice.prop_flat_map({
            let history = history.clone();
            move |twice| Just([history.clone(), twice].concat()).prop_shuffle()
        });
        (Just(history), all, vec(1..4usize, 10))
            .prop_map(|(history, all, sizes)| (history, batches(all, &sizes)))
    })
}

fn batches(mut events: Vec<CallEvent>, sizes: &[usize]) -> Vec<Vec<CallEvent>> {
    let mut batches: Vec<Vec<CallEvent>> = Vec::new();
    for size in sizes {
        let rest = events.split_off((*size).min(events.len()));
        batches.push(std::mem::replace(&mut events, rest));
    }
    batches.push(events);
    batches.retain(|batch| !batch.is_empty());
    batches
}

fn record(events: &[CallEvent]) -> Record {
    events.iter().map(CallEvent::to_recorded).collect()
}

fn unlinked(row: Option<Interaction>) -> Option<Interaction> {
    row.map(|row| Interaction {
        link: Link::none(MatchMethod::NoContact),
        ..row
    })
}

fn people() -> impl Strategy<Value = People> {
    select(vec![
        People::default(),
        known_as(ContactKind::Lead, "l-7"),
        known_as(ContactKind::Customer, "c-9"),
    ])
}

/// What the CRM may write into our row.
#[derive(Debug, Clone)]
struct ByHand {
    notes: Option<&'static str>,
    link: Option<(Option<&'static str>, Option<&'static str>)>,
}

fn by_hand() -> impl Strategy<Value = ByHand> {
    let link = select(vec![
        (Some("l-hand"), None),
        (None, Some("c-hand")),
        (Some("l-hand"), Some("c-hand")),
    ]);
    let notes = select(&["", "called back, all fine"][..]);
    (prop::option::of(notes), prop::option::of(link)).prop_map(|(notes, link)| ByHand { notes, link })
}

impl ByHand {
    fn write(&self, row: &mut Interaction) {
        if let Some(notes) = self.notes {
            notes.clone_into(&mut row.notes);
        }
        if let Some((lead_id, customer_id)) = self.link {
            row.link.lead_id = lead_id.map(str::to_owned);
            row.link.customer_id = customer_id.map(str::to_owned);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_order_repetition_and_batching_gives_the_same_row_and_record(
        (history, batches) in deliveries(),
        people in people(),
    ) {
        let mut in_order = Database::new();
        for event in &history {
            in_order.take(std::slice::from_ref(event), &people);
        }
        let mut as_it_came = Database::new();
        for batch in &batches {
            as_it_came.take(batch, &people);
        }
        prop_assert_eq!(&as_it_came.state.record, &record(&history));
        prop_assert_eq!(&as_it_came.state.record, &in_order.state.record);
        prop_assert_eq!(&as_it_came.state.row, &in_order.state.row);
        prop_assert_eq!(unlinked(as_it_came.state.row.clone()), unlinked(row(&history)));
        prop_assert!(as_it_came.seals.is_empty(), "nobody wrote by hand");
    }

    #[test]
    fn what_is_known_already_changes_nothing((history, batches) in deliveries(), people in people()) {
        let mut database = Database::new();
        for batch in &batches {
            database.take(batch, &people);
        }
        for events in [&history, &history.iter().map(replay).collect()] {
            for event in events {
                // A replay that was first told as one may turn out to be the webhook's or the import's.
                let known = database.state.record.get(&event.digest()).unwrap();
                prop_assert!(known.origin <= event.origin);
                let changes = database.take(std::slice::from_ref(event), &people);
                prop_assert!(is_empty(&changes), "{:?}", changes);
            }
            let changes = database.take(events, &people);
            prop_assert!(is_empty(&changes), "{:?}", changes);
        }
    }

    #[test]
    fn a_replay_before_the_original_leaves_the_row_alone(history in vec(event(), 1..5)) {
        let replays: Vec<_> = history.iter().map(replay).collect();
        let mut database = Database::new();
        let told = database.take(&replays, &People::default()).alerts;
        let before = database.state.row.clone();
        let changes = database.take(&history, &People::default());
        prop_assert_eq!(changes.row, None);
        for again in changes.alerts {
            prop_assert!(told.iter().any(|outgoing| outgoing.alert.id == again.alert.id), "{:?}", again);
        }
        prop_assert_eq!(unlinked(before), unlinked(row(&history)));
    }

    #[test]
    fn a_body_that_comes_again_is_the_newest_state(
        history in vec(event(), 0..5),
        body in body(),
        kind in select(&ENDED[..]),
        seconds in 0..10i64,
    ) {
        let mut database = Database::after(&history);
        let first = body.clone().event(kind, seconds);
        database.take(std::slice::from_ref(&first), &People::default());
        let members = database.state.record.in_order().len();
        let changes = database.take(&[body.clone().event(kind, 20)], &People::default());

        prop_assert_eq!(changes.snapshots.len(), 1);
        prop_assert_eq!(changes.snapshots[0].last_observed_at, at(20));
        prop_assert!(changes.snapshots[0].first_observed_at <= at(seconds));
        let all = database.state.record.in_order();
        prop_assert_eq!(all.len(), members, "it is the same member of the record");
        prop_assert_eq!(&all[members - 1].digest, &first.digest());
        let (row, alone) = (database.state.row.clone().unwrap(), row(std::slice::from_ref(&first)).unwrap());
        prop_assert_eq!(row.outcome, alone.outcome);
        prop_assert_eq!(row.call_from_number, alone.call_from_number);
        if first.call.judgement.is_some() {
            prop_assert_eq!((row.tags, row.value, row.lead_status), (alone.tags, alone.value, alone.lead_status));
        }
        if first.call.spam.is_some() {
            prop_assert_eq!(row.spam, alone.spam);
        }
        if alone.transcription.is_some() {
            prop_assert_eq!(row.transcription, alone.transcription);
        }
    }

    #[test]
    fn imports_of_what_is_known_change_no_row_and_tell_nobody(
        states in vec((body(), select(&ENDED[..2]), any::<bool>()), 1..6),
        people in people(),
    ) {
        let mut database = Database::new();
        let mut webhooks = Vec::new();
        for (seconds, (body, kind, is_imported)) in (0..).step_by(100).zip(states) {
            let event = body.clone().event(kind, seconds);
            database.take_at(std::slice::from_ref(&event), &people, at(seconds));
            webhooks.push(event);
            if is_imported {
                let import = body.import(seconds + 50);
                let changes = database.take_at(&[import], &people, at(seconds + 60));
                prop_assert_eq!(changes.row, None);
                prop_assert!(changes.alerts.is_empty() && changes.seals.is_empty());
                prop_assert!(!database.state.reread);
            }
        }
        let without_imports = Database::after(&webhooks);
        prop_assert_eq!(unlinked(database.state.row), unlinked(without_imports.state.row));
    }

    #[test]
    fn a_sealed_group_takes_no_value_in_any_order(
        (history, batches) in deliveries(),
        groups in subsequence(Group::ALL.to_vec(), 1..4),
        reason in select(vec![SealReason::Human, SealReason::Retention, SealReason::Erasure]),
        people in people(),
    ) {
        let seals: Seals = groups.iter().map(|group| (*group, reason)).collect();
        let sealed = |batches: &[Vec<CallEvent>]| {
            let mut database = Database::new();
            database.state.seals = seals.clone();
            for batch in batches {
                database.take(batch, &people);
            }
            database.state.row
        };
        let row = sealed(&batches);
        prop_assert_eq!(&row, &sealed(std::slice::from_ref(&history)));
        let mut recorded = history;
        if reason == SealReason::Retention {
            // The record does not hold the rest. Of two that were seen at the same time it may decide which counts.
            recorded = recorded.iter().map(|event| event.as_sealed(&seals).into_owned()).collect();
        }
        prop_assert_eq!(unlinked(row.clone()), unlinked(project(&record(&recorded), &seals)));
        let Some(row) = row else { return Ok(()) };
        for group in groups {
            prop_assert!(holds_nothing(&row, group), "{:?}: {:?}", group, row);
        }
    }

    #[test]
    fn what_a_person_wrote_stands_in_any_order(
        (history, batches) in deliveries(),
        by_hand in by_hand(),
        moment in any::<prop::sample::Index>(),
        people in people(),
    ) {
        let mut database = Database::new();
        let moment = moment.index(batches.len());
        let mut is_written = false;
        for (number, batch) in batches.iter().enumerate() {
            let changes = database.take(batch, &people);
            prop_assert_eq!(changes.seals.is_empty() || is_written, true);
            if number >= moment && !is_written && database.state.row.is_some() {
                database.crm_writes(|row| by_hand.write(row));
                is_written = true;
            }
        }
        // However the last batch fell, somebody looks at the call once more.
        database.take(&history, &people);

        let Some(row) = database.state.row.clone() else { return Ok(()) };
        let mut expected = project(&database.state.record, &Seals::default()).unwrap();
        expected.link = row.link.clone();
        if is_written {
            by_hand.write(&mut expected);
        }
        prop_assert_eq!(&row, &expected);
        let is_linked = is_written && by_hand.link.is_some();
        prop_assert_eq!(row.link.method == MatchMethod::Human, is_linked);
        prop_assert_eq!(database.state.seals.reason(Group::Link), is_linked.then_some(SealReason::Human));
        prop_assert!(is_empty(&database.take(&history, &people)), "once noticed, it is no news");
    }

    #[test]
    fn an_automatic_link_is_never_moved(
        batches in deliveries().prop_map(|(_, batches)| batches),
        later in vec(people(), 10),
    ) {
        let lead = known_as(ContactKind::Lead, "l-first");
        let mut database = Database::new();
        database.take(&[answered().post_call(5)], &lead);
        let link = database.state.row.clone().unwrap().link;
        prop_assert_eq!(link.lead_id.as_deref(), Some("l-first"));
        for (batch, people) in batches.iter().zip(&later) {
            database.take(batch, people);
            let changes = link_again(database.state.clone(), people, &MatchRules::default(), at(0));
            prop_assert_eq!(changes.row, None);
            prop_assert_eq!(&database.state.row.as_ref().unwrap().link, &link);
        }
    }

    #[test]
    fn no_alert_holds_a_link_or_a_word_that_was_spoken(batches in deliveries().prop_map(|(_, batches)| batches)) {
        let mut database = Database::new();
        let mut ids = BTreeSet::new();
        for batch in &batches {
            for outgoing in database.take_at(batch, &known_as(ContactKind::Lead, "7"), at(10)).alerts {
                let payload = serde_json::to_string(&outgoing.alert).unwrap();
                for secret in ["http", "access_key", "broke", "asks for", "quote", "wrong"] {
                    prop_assert!(!payload.contains(secret), "{}", payload);
                }
                prop_assert!(payload.len() < 10_000);
                prop_assert!(!outgoing.alert.kind.as_str().is_empty());
                ids.insert((outgoing.alert.kind.as_str(), outgoing.alert.id));
            }
        }
        let rings = ids.iter().filter(|(kind, _)| *kind != "call-updated");
        let names: BTreeSet<_> = rings.clone().map(|(kind, _)| kind).collect();
        prop_assert_eq!(names.len(), rings.count(), "but for updates, a call tells each kind once");
    }

    #[test]
    fn an_event_survives_the_queue(event in event(), unknown in json_value()) {
        let event = CallEvent { raw: answered().with("from_the_future", unknown).post_call(0).raw, ..event };
        let decoded = CallEvent::decode(&event.encode()).unwrap();
        prop_assert_eq!(&decoded, &event);
        prop_assert_eq!(decoded.digest(), event.digest());
        prop_assert_eq!(decoded.encode(), event.encode());
    }

    #[test]
    fn digests_are_equal_exactly_when_contents_are((a, b) in (event(), event()), changed in event_change()) {
        let content = |event: &CallEvent| (event.kind, event.call.clone(), event.changes.clone());
        prop_assert_eq!(a.digest() == b.digest(), content(&a) == content(&b));
        let c = changed(a.clone());
        prop_assert_eq!(a.digest() == c.digest(), content(&a) == content(&c), "{:?}", c);
        let elsewhere = CallEvent { observed_at: at(99), origin: Origin::Replay, company: None, ..replay(&a) };
        prop_assert_eq!(a.digest(), elsewhere.digest(), "when, how and where are no content");
    }
}

/// The least change to the content of an event.
fn event_change() -> impl Strategy<Value = fn(CallEvent) -> CallEvent> {
    let changes: Vec<fn(CallEvent) -> CallEvent> = vec![
        |event| event,
        |mut event| {
            event.call.transcript = match event.call.transcript {
                None => Some(String::new()),
                Some(_) => None,
            };
            event
        },
        |mut event| {
            event.call.summary = event.call.transcript.take();
            event
        },
        |mut event| {
            event.call.spam = event.call.spam.map_or(Some(false), |_| None);
            event
        },
        |mut event| {
            event.call.judgement = event
                .call
                .judgement
                .map_or_else(|| Some(calls::Judgement::default()), |_| None);
            event
        },
        |mut event| {
            event.changes.push("zzz".to_owned());
            event
        },
        |event| CallEvent {
            kind: EventKind::OutboundCallModified,
            ..event
        },
        |mut event| {
            event.call.stage = Stage::Ringing;
            event
        },
        |mut event| {
            event.call.facts.duration_seconds += 1;
            event
        },
        |mut event| {
            event.call.facts.customer_name = event.call.facts.customer_location.take();
            event
        },
    ];
    select(changes)
}

/// Any JSON, numbers of every size included.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,6}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn holds_nothing(row: &Interaction, group: Group) -> bool {
    let says = |words: &[&str]| words.iter().any(|word| row.notes.contains(word));
    match group {
        Group::Facts => {
            let personal = [
                &row.call_from_number,
                &row.call_to_number,
                &row.tracking_number,
                &row.customer_name,
                &row.agent_email,
            ];
            personal.iter().all(|text| text.is_none()) && !says(&[CALLER, "DOE JANE", "Atlanta", "anonymous"])
        }
        Group::Attribution => {
            row.source.is_none() && row.utm_source.is_none() && !says(&["Google", "Source"])
        }
        Group::Judgement => {
            row.tags.is_empty()
                && row.value.is_none()
                && row.lead_status.is_none()
                && !says(&["Note", NOTES[1], NOTES[2]])
        }
        Group::Recording => row.call_recording_url.is_none(),
        Group::Transcript => row.transcription.is_none() && !says(&["Transcription", WORDS[1], WORDS[2]]),
        Group::Summary => row.call_summary.is_none() && !says(&[SUMMARIES[1], SUMMARIES[2]]),
        Group::Spam => !row.spam,
        Group::Notes => row.notes.is_empty(),
        Group::Link => !row.link.is_set(),
        // Nothing of it stands in the row.
        Group::Original => true,
    }
}

#[test]
fn one_body_under_several_companies_is_the_same_record_in_any_order() {
    let of = |company: Option<&str>| {
        let company = company.map(|id| id.parse().unwrap());
        CallEvent {
            company,
            ..answered().post_call(0)
        }
    };
    let [nobody, a, b] = [of(None), of(Some("COMa")), of(Some("COMb"))];
    let expected = record(&[nobody.clone(), a.clone(), b.clone()]);
    assert_eq!(expected, record(&[b.clone(), a.clone(), nobody.clone()]));
    assert_eq!(expected, record(&[a, nobody, b]));
}

/// Whether the call is to be read again after these events.
fn is_reread(events: &[CallEvent]) -> bool {
    Database::after(events).state.reread
}

#[test]
fn two_states_close_together_are_read_again() {
    let tagged = sample("call_modified_tags");
    assert!(is_reread(&[
        answered().post_call(0),
        tagged.clone().call_modified(3)
    ]));
    assert!(
        is_reread(&[tagged.clone().call_modified(3), answered().post_call(0)]),
        "the older one came late"
    );
    assert!(is_reread(&[
        answered().post_call(0),
        tagged.clone().call_modified(0)
    ]));
    assert!(!is_reread(&[
        answered().post_call(0),
        tagged.clone().call_modified(5)
    ]));
    assert!(!is_reread(&[answered().post_call(0), tagged.call_modified(10)]));
}

#[test]
fn one_state_twice_is_not_read_again() {
    assert!(!is_reread(&[answered().post_call(0), answered().post_call(3)]));
    assert!(
        !is_reread(&[answered().post_call(0), answered().call_modified(3)]),
        "two URLs, one state"
    );
}

#[test]
fn a_ring_and_its_end_are_in_no_doubt() {
    let ringing = sample("pre_call").event(EventKind::PreCall, 0);
    assert!(!is_reread(&[ringing, answered().post_call(1)]));
}

#[test]
fn an_import_next_to_a_webhook_is_in_no_doubt() {
    assert!(!is_reread(&[
        answered().post_call(0),
        sample("call_modified_tags").import(1)
    ]));
    assert!(!is_reread(&[
        answered().import(0),
        sample("call_modified_tags").call_modified(1)
    ]));
}

#[test]
fn a_call_that_was_read_again_is_in_no_doubt_any_more() {
    let tagged = sample("call_modified_tags");
    let in_doubt = [answered().post_call(0), tagged.clone().call_modified(3)];
    let settled = [&in_doubt[..], &[tagged.import(600)]].concat();
    assert!(!is_reread(&settled), "or it would be read again for ever");
    assert!(!is_reread(&[&settled[..], &[tagged.import(1200)]].concat()));
    assert!(!is_reread(
        &[&settled[..], &[missed().call_modified(900)]].concat()
    ));
    assert!(is_reread(
        &[
            &settled[..],
            &[missed().call_modified(900), answered().call_modified(902)]
        ]
        .concat()
    ));
    assert!(
        is_reread(&[&in_doubt[..], &[tagged.import(2)]].concat()),
        "read before the second state came"
    );
}

#[test]
fn what_a_person_writes_is_sealed_and_said_so() {
    let mut database = Database::after(&[answered().post_call(0)]);
    database.crm_writes(|row| {
        row.notes = "Called back.".to_owned();
        row.link.lead_id = Some("l-1".to_owned());
    });
    let changes = database.take(
        &[sample("call_modified_tags").call_modified(60)],
        &known_as(ContactKind::Lead, "7"),
    );
    let seals: Vec<_> = changes
        .seals
        .iter()
        .map(|seal| (seal.group, seal.reason, seal.at, &*seal.by))
        .collect();
    assert_eq!(
        seals,
        [
            (Group::Notes, SealReason::Human, at(5400), "crm"),
            (Group::Link, SealReason::Human, at(5400), "crm")
        ]
    );
    let row = changes.row.unwrap();
    assert_eq!(
        (&*row.notes, &row.tags[..]),
        ("Called back.", &["Booked".to_owned()][..])
    );
    assert_eq!(
        (row.link.lead_id.as_deref(), row.link.method),
        (Some("l-1"), MatchMethod::Human)
    );
}

#[test]
fn a_link_made_by_hand_raises_no_alert_when_the_last_body_comes_again() {
    let mut database = Database::after(&[answered().post_call(0)]);
    database.crm_writes(|row| row.link.lead_id = Some("l-1".to_owned()));
    let changes = database.take(&[answered().post_call(60)], &People::default());
    assert_eq!(
        (changes.seals.len(), changes.alerts.len()),
        (1, 0),
        "{:?}",
        changes.alerts
    );
    assert_eq!(changes.row.unwrap().link.method, MatchMethod::Human);
}

#[test]
fn a_link_that_a_person_took_away_stays_away() {
    let lead = known_as(ContactKind::Lead, "7");
    let mut database = Database::new();
    database.take(&[answered().post_call(0)], &lead);
    database.crm_writes(|row| row.link.lead_id = None);
    database.take(&[sample("call_modified_tags").call_modified(60)], &lead);
    assert!(is_empty(&link_again(
        database.state.clone(),
        &lead,
        &MatchRules::default(),
        at(0)
    )));
    let link = database.state.row.unwrap().link;
    assert_eq!((link.is_set(), link.method), (false, MatchMethod::Human));
}

#[test]
fn a_number_that_becomes_known_links_the_call_without_an_alert() {
    let database = Database::after(&[answered().post_call(0)]);
    let people = known_as(ContactKind::Customer, "c-9");
    let changes = link_again(database.state, &people, &MatchRules::default(), at(0));
    assert_eq!(changes.row.unwrap().link.customer_id.as_deref(), Some("c-9"));
    assert!(changes.alerts.is_empty() && changes.snapshots.is_empty());
}

#[test]
fn several_contacts_are_all_candidates() {
    let mut people = known_as(ContactKind::Lead, "l-7");
    let number = PhoneNumber::parse(CALLER, Region::US).unwrap();
    people.add(
        number,
        Contact {
            updated_at: at(-9),
            ..contact(ContactKind::Customer, "c-9")
        },
    );
    let mut database = Database::new();
    database.take(&[answered().post_call(0)], &people);
    let link = database.state.row.unwrap().link;
    assert_eq!(
        (link.customer_id.as_deref(), link.lead_id, link.candidates.len()),
        (Some("c-9"), None, 2)
    );
}
