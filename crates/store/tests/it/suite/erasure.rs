//! Forgetting a telephone number, whatever comes back of it.

use calls::{CallId, Group, MatchRules, PhoneNumber, Region, SealReason};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use store::{ArchivedRecording, DeadLetter, Erased, RecordingOutcome, Store};
use uuid::Uuid;

use super::Database;
use crate::samples::{
    CALLER, Delivery, apply, at, call_id, customer, missed_call, number, outbound_call, post_call, pre_call,
    row, tagged, transcribed,
};

/// Where texts of people stand.
const TEXTS: [(&str, &str); 12] = [
    ("call_events", "snapshot"),
    ("call_events", "raw"),
    ("interactions", "notes"),
    ("interactions", "call_from_number"),
    ("interactions", "call_to_number"),
    ("interactions", "customer_name"),
    ("interactions", "transcription"),
    ("interactions", "match_candidates"),
    ("alerts", "payload"),
    ("contact_phones", "e164"),
    ("contacts", "name"),
    ("erased_numbers", "number_hash"),
];

fn caller() -> PhoneNumber {
    PhoneNumber::parse(CALLER, Region::US).unwrap()
}

async fn assert_forgotten<D: Database>(database: &D) {
    for (table, column) in TEXTS {
        for spelling in [
            "4045550123",
            "404-555-0123",
            "furnace stopped",
            "DOE JANE",
            "Doe Jane",
        ] {
            let found = database
                .count(&format!(
                    "select count(*) from {table} where cast({column} as text) like '%{spelling}%'"
                ))
                .await;
            assert_eq!(found, 0, "{spelling} stands in {table}.{column}");
        }
    }
    for kept in database.store().dead_letters(None, 1_000, None).await.unwrap() {
        let body = String::from_utf8_lossy(&kept.letter.body).into_owned();
        assert!(
            !body.contains("4045550123") && !body.contains("404-555-0123"),
            "{body}"
        );
    }
}

pub(crate) fn letter(n: u128, call: Option<CallId>, body: &[u8]) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(n),
        queue: "calls.live".to_owned(),
        reason: "it cannot be read".to_owned(),
        event_id: None,
        call_sid: call,
        import_id: None,
        attempts: 1,
        first_failed_at: at(500),
        last_failed_at: at(500),
        body: body.to_vec(),
    }
}

fn letters() -> Vec<DeadLetter> {
    vec![
        letter(1, Some(call_id(1)), b"of the call"),
        letter(2, None, b"{\"source_number\":\"(404) 555-0123\"}"),
        letter(3, None, &transcribed(7).event().encode()),
        letter(4, None, b"{\"source_number\":\"(312) 555-0199\"}"),
    ]
}

/// A call of somebody else, in all fields that name him.
fn of_another(n: usize) -> Delivery {
    let mut delivery = post_call(n).of(&number(n));
    for field in [
        "callernum",
        "callername",
        "customer_name",
        "formatted_customer_name",
        "formatted_customer_name_or_phone_number",
        "formatted_customer_phone_number",
    ] {
        delivery = delivery.with(field, json!(number(n)));
    }
    delivery
}

/// All that there is of the caller, and a call of somebody else.
fn everything() -> Vec<Delivery> {
    vec![
        pre_call(1),
        post_call(1).with("note", json!("Jane's furnace, 404-555-0123")),
        tagged(1),
        transcribed(1),
        outbound_call(2).of(CALLER),
        missed_call(3).of(CALLER),
        of_another(4),
        pre_call(5),
    ]
}

pub(crate) async fn nothing_of_an_erased_number_comes_back<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let people = vec![customer("7", &[CALLER]), customer("8", &[CALLER, &number(8)])];
    store
        .save_contacts(people, &MatchRules::default(), at(0))
        .await
        .unwrap();
    for delivery in everything() {
        apply(store, [delivery], at(401)).await;
    }
    store.save_dead_letters(letters()).await.unwrap();
    let other = row(store, 4).await;

    let found = store.traces(&caller()).await.unwrap();
    let erased = store.erase(&caller(), at(1_000)).await.unwrap();
    assert_eq!(found, erased);
    let alerts = erased.alerts;
    assert!(alerts >= 3, "{erased:?}");
    let expected = Erased {
        calls: 4,
        recordings: 0,
        alerts,
        dead_letters: 3,
        contacts: 2,
    };
    assert_eq!(erased, expected);
    assert_forgotten(&database).await;

    // A replay, an import, in other batches and in another order, and what was in queues and spools.
    let mut again = everything();
    again.reverse();
    apply(store, again, at(1_001)).await;
    apply(store, everything().into_iter().map(Delivery::imported), at(1_002)).await;
    apply(store, [transcribed(6), pre_call(6)], at(1_003)).await;
    let back: Vec<DeadLetter> = letters()
        .into_iter()
        .map(|letter| DeadLetter {
            id: Uuid::from_u128(letter.id.as_u128() + 100),
            ..letter
        })
        .collect();
    store.save_dead_letters(back).await.unwrap();
    assert_forgotten(&database).await;
    let letters = store.dead_letters(None, 10, None).await.unwrap();
    assert_eq!(
        letters.iter().filter(|kept| kept.letter.body.is_empty()).count(),
        2
    );

    // What names nobody is left, and others are as they were.
    assert_eq!(row(store, 4).await, other);
    let left = row(store, 1).await.unwrap();
    assert_eq!((left.call_duration_seconds, left.notes.as_str()), (184, ""));
    assert!(!left.link.is_set() && left.link.candidates.is_empty());
    let history = store.call(&call_id(1)).await.unwrap().unwrap();
    for group in Group::ALL {
        assert_eq!(history.seals.reason(group), Some(SealReason::Erasure));
    }
    assert_eq!(store.traces(&caller()).await.unwrap(), Erased::default());
}

pub(crate) async fn who_calls_again_after_being_erased_is_a_new_caller<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1)], at(201)).await;
    store.erase(&caller(), at(1_000)).await.unwrap();
    apply(
        store,
        [missed_call(2).of(CALLER).starting(2_000).received(2_100)],
        at(2_100),
    )
    .await;
    assert_eq!(row(store, 1).await.unwrap().call_from_number, None);
    assert_eq!(
        row(store, 2).await.unwrap().call_from_number.as_deref(),
        Some(CALLER)
    );
}

pub(crate) async fn what_people_wrote_and_decided_is_erased_too<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1)], at(201)).await;
    database
        .execute("update interactions set notes = 'Jane, 404-555-0123', lead_id = '7'")
        .await;
    apply(store, [tagged(1)], at(301)).await;
    store.erase(&caller(), at(1_000)).await.unwrap();
    assert_forgotten(&database).await;
    apply(store, [transcribed(1)], at(1_001)).await;
    let left = row(store, 1).await.unwrap();
    assert_eq!((left.notes.as_str(), left.link.lead_id), ("", None));
}

/// Puts the recordings of all calls into the archive.
pub(crate) async fn archive_all(store: &Store, now: DateTime<Utc>) {
    store.want_recordings(at(0), 10, now).await.unwrap();
    let holder = Uuid::from_u128(1);
    while let Some(taken) = store
        .take_recording(holder, now, TimeDelta::minutes(1))
        .await
        .unwrap()
    {
        let archived = ArchivedRecording {
            key: format!("{}.mp3", taken.call_sid),
            content_type: "audio/mpeg".to_owned(),
            length: 1,
            sha256: "0".repeat(64),
            stored_at: now,
        };
        let outcome = RecordingOutcome::Archived(archived);
        let settled = store.settle_recording(taken, holder, outcome, now).await;
        assert!(settled.unwrap());
    }
}

pub(crate) async fn recordings_of_an_erased_number_are_to_be_deleted<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(
        store,
        [
            post_call(1),
            missed_call(2).of(CALLER),
            post_call(3).of(&number(3)),
        ],
        at(201),
    )
    .await;
    archive_all(store, at(300)).await;
    assert_eq!(store.recordings_to_delete().await.unwrap(), []);
    let erased = store.erase(&caller(), at(1_000)).await.unwrap();
    let due = store.recordings_to_delete().await.unwrap();
    assert_eq!(due.len(), erased.recordings);
    assert!(
        due.contains(&(call_id(1), format!("{}.mp3", call_id(1)))),
        "{due:?}"
    );
    for (call_sid, _) in due {
        store.forget_recording(&call_sid).await.unwrap();
    }
    assert_eq!(store.want_recordings(at(0), 10, at(1_001)).await.unwrap(), None);
    assert!(!store.knows_recording(&call_id(1)).await.unwrap());
}
