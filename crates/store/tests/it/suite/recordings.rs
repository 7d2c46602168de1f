//! Recordings for the archive: which, whose turn it is, and what became of them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use store::{ArchivedRecording, RecordingOutcome, RecordingTaken, Store};
use uuid::Uuid;

use super::Database;
use crate::samples::{apply, at, call_id, missed_call, post_call, tagged};

const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

const DAY: i64 = 86_400;

/// A call that began then, with a recording.
async fn recorded(store: &Store, n: usize, began: i64) {
    apply(store, [post_call(n).starting(began)], at(DAY)).await;
}

async fn want(store: &Store, since: i64, limit: u32) -> Option<DateTime<Utc>> {
    store.want_recordings(at(since), limit, at(DAY)).await.unwrap()
}

/// Taken for a minute.
async fn take(store: &Store, holder: Uuid, seconds: i64) -> Option<RecordingTaken> {
    store
        .take_recording(holder, at(seconds), TimeDelta::minutes(1))
        .await
        .unwrap()
}

async fn settle(
    store: &Store,
    taken: &RecordingTaken,
    holder: Uuid,
    outcome: RecordingOutcome,
    seconds: i64,
) -> bool {
    store
        .settle_recording(taken.clone(), holder, outcome, at(seconds))
        .await
        .unwrap()
}

fn archived(n: usize, seconds: i64) -> ArchivedRecording {
    ArchivedRecording {
        key: format!("2026-11/{}.mp3", call_id(n)),
        content_type: "audio/mpeg".to_owned(),
        length: 5_000_000_000,
        sha256: "0".repeat(64),
        stored_at: at(seconds),
    }
}

fn failed(due: i64, is_missing: bool) -> RecordingOutcome {
    RecordingOutcome::Failed {
        reason: "it broke\0off".to_owned(),
        due_at: at(due),
        is_missing,
    }
}

pub(crate) async fn recordings_are_wanted_once_of_calls_that_are_shown<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for n in 1..=5 {
        apply(store, [post_call(n)], at(1_000 + i64::try_from(n).unwrap())).await;
    }
    apply(store, [missed_call(6), post_call(7), post_call(8)], at(1_000)).await;
    apply(store, [tagged(7).with("spam", json!(true))], at(1_001)).await;
    store
        .set_vanished(vec![call_id(8)], true, at(1_001))
        .await
        .unwrap();

    // Nothing that was written before.
    assert_eq!(want(store, 1_005, 10).await, None);
    assert_eq!(store.recordings_waiting().await.unwrap(), 1);
    // In parts, each of which goes on where the one before ended.
    let next = want(store, 0, 2).await.unwrap();
    assert_eq!(next, at(1_002));
    let next = want(store, 1_002, 2).await;
    assert_eq!(next, Some(at(1_004)));
    assert_eq!(want(store, 1_004, 2).await, None);
    assert_eq!(want(store, 0, 10).await, None);
    assert_eq!(store.recordings_waiting().await.unwrap(), 5);
    assert!(store.knows_recording(&call_id(5)).await.unwrap());
    for n in 6..=8 {
        assert!(!store.knows_recording(&call_id(n)).await.unwrap(), "{n}");
    }
}

pub(crate) async fn young_calls_come_first_and_then_the_oldest<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for (n, began) in [(1, 50), (2, -5 * DAY), (3, -9 * DAY), (4, 0), (5, -7 * DAY)] {
        recorded(store, n, began).await;
    }
    assert_eq!(want(store, 0, 10).await, None);
    let mut order = Vec::new();
    while let Some(taken) = take(store, ONE, DAY).await {
        order.push(taken.call_sid);
    }
    assert_eq!(order, [4, 1, 3, 5, 2].map(call_id));
}

pub(crate) async fn of_many_who_take_recordings_each_gets_another<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for n in 1..=20 {
        recorded(store, n, 0).await;
    }
    want(store, 0, 100).await;
    let all = (0..8).map(|holder| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(recording) = take(&store, Uuid::from_u128(holder), DAY).await {
                taken.push(recording.call_sid);
            }
            taken
        })
    });
    let mut taken = Vec::new();
    for one in all.collect::<Vec<_>>() {
        taken.append(&mut one.await.unwrap());
    }
    assert_eq!(taken.len(), 20);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 20);
}

pub(crate) async fn what_a_killed_holder_had_is_taken_again_after_its_time<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    recorded(store, 1, 0).await;
    want(store, 0, 10).await;
    let lost = take(store, ONE, DAY).await.unwrap();
    assert_eq!(take(store, OTHER, DAY + 59).await, None);
    let taken = take(store, OTHER, DAY + 60).await.unwrap();
    assert_eq!(taken, lost);

    let done = || RecordingOutcome::Archived(archived(1, DAY + 61));
    assert!(!settle(store, &lost, ONE, done(), DAY + 61).await);
    assert_eq!(store.archived_recording(&call_id(1)).await.unwrap(), None);
    assert!(settle(store, &taken, OTHER, done(), DAY + 61).await);
    assert!(!settle(store, &taken, OTHER, RecordingOutcome::Left, DAY + 61).await);
    assert_eq!(
        store.archived_recording(&call_id(1)).await.unwrap(),
        Some(archived(1, DAY + 61))
    );
}

pub(crate) async fn a_recording_that_failed_rests_and_one_that_is_gone_is_not_taken_again<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    recorded(store, 1, 0).await;
    recorded(store, 2, 1).await;
    want(store, 0, 10).await;
    let taken = take(store, ONE, DAY).await.unwrap();
    assert_eq!(taken.call_sid, call_id(1));
    // Given back: it is the next one again, as if nothing had been.
    assert!(settle(store, &taken, ONE, RecordingOutcome::Left, DAY).await);
    assert_eq!(take(store, ONE, DAY).await, Some(taken.clone()));

    // Others do not wait for it.
    assert!(settle(store, &taken, ONE, failed(DAY + 300, true), DAY).await);
    assert_eq!(take(store, ONE, DAY).await.unwrap().call_sid, call_id(2));
    assert_eq!(take(store, ONE, DAY + 1).await, None);
    let reason = database
        .text("select reason from recordings where attempts = 1")
        .await;
    assert_eq!(reason.as_deref(), Some("it broke\u{fffd}off"));

    let second = take(store, ONE, DAY + 300).await.unwrap();
    assert_eq!(second.call_sid, call_id(1));
    assert_eq!((second.attempts, second.missing_since), (1, Some(at(DAY))));
    let gone = RecordingOutcome::Gone {
        reason: "CallRail does not have it".to_owned(),
    };
    assert!(settle(store, &second, ONE, gone, DAY + 301).await);
    assert_eq!(store.recordings_waiting().await.unwrap(), 1);
    assert_eq!(store.archived_recording(&call_id(1)).await.unwrap(), None);
    // Known as it is, it is not wanted anew.
    assert_eq!(want(store, 0, 10).await, None);
    assert_eq!(store.recordings_waiting().await.unwrap(), 1);
}

pub(crate) async fn an_archived_recording_is_found_until_it_is_forgotten<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    recorded(store, 1, 0).await;
    want(store, 0, 10).await;
    let taken = take(store, ONE, DAY).await.unwrap();
    let done = RecordingOutcome::Archived(archived(1, DAY));
    assert!(settle(store, &taken, ONE, done, DAY).await);
    assert_eq!(
        store.archived_recording(&call_id(1)).await.unwrap(),
        Some(archived(1, DAY))
    );
    assert_eq!(store.recordings_waiting().await.unwrap(), 0);
    assert_eq!(take(store, ONE, 30 * DAY).await, None);

    assert!(store.forget_recording(&call_id(1)).await.unwrap());
    assert!(!store.forget_recording(&call_id(1)).await.unwrap());
    assert_eq!(store.archived_recording(&call_id(1)).await.unwrap(), None);
    assert!(!store.knows_recording(&call_id(1)).await.unwrap());
}
