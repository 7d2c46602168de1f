//! What is kept only so long, and does not come back.

use calls::{Group, MatchRules, Retention, SealReason};
use chrono::TimeDelta;
use store::{DeadLetterState, RecordingOutcome, Retained, Store};
use uuid::Uuid;

use super::Database;
use super::erasure::{archive_all, letter};
use crate::samples::{
    Delivery, apply, at, call_id, missed_call, post_call, pre_call, row, tagged, transcribed,
};

const DAY: i64 = 86_400;

/// What the transcript of the samples says.
const WORDS: &str = "furnace stopped";

fn for_30_days() -> Retention {
    let days = Some(TimeDelta::days(30));
    Retention {
        recordings: days,
        transcripts: days,
        events: days,
    }
}

/// An old call with all that there can be of one, an old ring of which nothing more was heard, and a new call.
fn everything() -> Vec<Delivery> {
    vec![
        pre_call(1),
        post_call(1),
        tagged(1),
        transcribed(1),
        pre_call(2),
        transcribed(3).starting(20 * DAY).received(20 * DAY + 400),
    ]
}

async fn filled<D: Database>() -> D {
    let database = D::fresh().await;
    for delivery in everything() {
        apply(database.store(), [delivery], at(401)).await;
    }
    database
}

/// Nothing of the old calls is left that is kept no longer, and all of the new one.
async fn assert_kept<D: Database>(database: &D, store: &Store) {
    for (table, column) in [
        ("call_events", "snapshot"),
        ("call_events", "raw"),
        ("interactions", "notes"),
        ("interactions", "transcription"),
    ] {
        let calls = format!(
            "select count(distinct call_sid) from {table} where cast({column} as text) like '%{WORDS}%'"
        );
        assert_eq!(database.count(&calls).await, 1, "{table}.{column}");
    }
    let of_old = format!("call_sid <> '{}'", call_id(3));
    let links = "cast(snapshot as text) like '%recording\"%https%'";
    for left in [
        format!("select count(*) from call_events where {of_old} and {links}"),
        format!("select count(*) from call_events where {of_old} and cast(raw as text) <> '{{}}'"),
    ] {
        assert_eq!(database.count(&left).await, 0, "{left}");
    }
    let (old, new) = (row(store, 1).await.unwrap(), row(store, 3).await.unwrap());
    assert_eq!(
        (&old.call_recording_url, &old.transcription, &old.call_summary),
        (&None, &None, &None)
    );
    assert!(
        old.customer_name.is_some() && old.notes.starts_with("Inbound call"),
        "{}",
        old.notes
    );
    assert!(new.call_recording_url.is_some() && new.transcription.is_some());
    assert_eq!(row(store, 2).await, None);
}

pub(crate) async fn what_is_kept_no_longer_goes_and_does_not_come_back<D: Database>() {
    let database: D = filled().await;
    let store = database.store().clone().keeping(for_30_days());
    let before = row(&store, 3).await;
    store
        .save_dead_letters(vec![letter(1, None, b"a"), letter(2, None, b"b")])
        .await
        .unwrap();
    let replayed = letter(1, None, b"a").id;
    assert!(
        store
            .set_dead_letter_state(replayed, DeadLetterState::Waiting, DeadLetterState::Replayed)
            .await
            .unwrap()
    );

    let too_early = store.retain(at(29 * DAY)).await.unwrap();
    assert_eq!(too_early, Retained::default());
    let now = at(31 * DAY);
    let retained = store.retain(now).await.unwrap();
    assert_eq!((retained.calls, retained.dead_letters), (2, 1), "{retained:?}");
    assert_kept(&database, &store).await;
    assert_eq!(row(&store, 3).await, before);
    let waiting = store.waiting_dead_letters(10).await.unwrap();
    assert_eq!(
        waiting
            .iter()
            .map(|letter| letter.body.as_slice())
            .collect::<Vec<_>>(),
        [b"b"]
    );
    assert_eq!(store.retain(now).await.unwrap(), Retained::default());
    let history = store.call(&call_id(1)).await.unwrap().unwrap();
    for group in [
        Group::Recording,
        Group::Transcript,
        Group::Summary,
        Group::Original,
    ] {
        assert_eq!(history.seals.reason(group), Some(SealReason::Retention));
    }
    assert!(history.seals.is_open(Group::Facts));

    // In another order, as an import, by a writer that keeps all for ever, and all at once into an empty database.
    let updated = "select cast(updated_at as text) from interactions where call_sid = 'CAL00000000000000000000000000000001'";
    let written = database.text(updated).await;
    let mut again = everything();
    again.reverse();
    apply(&store, again, now).await;
    apply(&store, everything().into_iter().map(Delivery::imported), now).await;
    apply(database.store(), everything(), now).await;
    assert_kept(&database, &store).await;
    assert_eq!(database.text(updated).await, written);
    let empty = D::fresh().await;
    let store = empty.store().clone().keeping(for_30_days());
    apply(&store, everything(), now).await;
    assert_kept(&empty, &store).await;
}

pub(crate) async fn alerts_are_kept_until_they_were_told<D: Database>() {
    let database = D::fresh().await;
    let store = database.store().clone().keeping(for_30_days());
    let told = apply(&store, [pre_call(1)], at(1)).await.alerts;
    let ids = told.iter().map(|alert| alert.alert.id).collect();
    store.mark_alerts_published(ids, at(2)).await.unwrap();
    let untold = apply(&store, [missed_call(2)], at(201)).await.alerts;
    assert!(!told.is_empty() && !untold.is_empty());
    assert_eq!(store.retain(at(31 * DAY)).await.unwrap().alerts, told.len());
    let left = store.alerts_since(at(0), 10).await.unwrap();
    assert_eq!(left.len(), untold.len());
}

pub(crate) async fn recordings_that_are_kept_no_longer_are_to_be_deleted<D: Database>() {
    let database: D = filled().await;
    let store = database.store().clone().keeping(for_30_days());
    archive_all(&store, at(401)).await;
    store.retain(at(31 * DAY)).await.unwrap();
    let due = store.recordings_to_delete().await.unwrap();
    assert_eq!(due, [(call_id(1), format!("{}.mp3", call_id(1)))]);
    store.forget_recording(&call_id(1)).await.unwrap();
    assert_eq!(
        store.want_recordings(at(0), 10, at(31 * DAY)).await.unwrap(),
        None
    );
    assert!(store.knows_recording(&call_id(3)).await.unwrap());
}

pub(crate) async fn a_recording_that_was_only_begun_is_to_be_deleted_too<D: Database>() {
    let database: D = filled().await;
    let store = database.store().clone().keeping(for_30_days());
    let (holder, other, now) = (Uuid::from_u128(1), Uuid::from_u128(2), at(401));
    store.want_recordings(at(0), 10, now).await.unwrap();
    let taken = store.take_recording(holder, now, TimeDelta::minutes(1)).await;
    let taken = taken.unwrap().unwrap();
    assert_eq!(taken.call_sid, call_id(1));
    assert!(
        !store
            .begin_recording(&call_id(1), other, "another")
            .await
            .unwrap()
    );
    assert!(
        store
            .begin_recording(&call_id(1), holder, "begun.mp3")
            .await
            .unwrap()
    );
    assert_eq!(store.archived_recording(&call_id(1)).await.unwrap(), None);
    // It broke off, and something may be there.
    let settled = store.settle_recording(taken, holder, RecordingOutcome::Left, now);
    assert!(settled.await.unwrap());
    store.retain(at(31 * DAY)).await.unwrap();
    let due = store.recordings_to_delete().await.unwrap();
    assert_eq!(due, [(call_id(1), "begun.mp3".to_owned())]);
}

pub(crate) async fn a_call_that_cannot_be_read_keeps_no_other_from_going<D: Database>() {
    let database: D = filled().await;
    let store = database.store().clone().keeping(for_30_days());
    let replayed = letter(1, None, b"a");
    let id = replayed.id;
    store.save_dead_letters(vec![replayed]).await.unwrap();
    store
        .set_dead_letter_state(id, DeadLetterState::Waiting, DeadLetterState::Replayed)
        .await
        .unwrap();
    let nonsense = format!(
        "update interactions set match_method = 'nonsense' where call_sid = '{}'",
        call_id(1)
    );
    assert_eq!(database.execute(&nonsense).await, 1);
    let retained = store.retain(at(31 * DAY)).await.unwrap();
    assert_eq!((retained.calls, retained.dead_letters), (1, 1), "{retained:?}");
}

pub(crate) async fn what_is_listed_again_is_no_news_of_what_is_kept_no_longer<D: Database>() {
    let database: D = filled().await;
    let store = database.store().clone().keeping(for_30_days());
    store.retain(at(31 * DAY)).await.unwrap();
    let listed = transcribed(1).imported().received(500).event();
    let events = vec![listed.clone()];
    store
        .apply(events, &MatchRules::default(), at(31 * DAY))
        .await
        .unwrap();
    let known = store.known_calls(vec![call_id(1)]).await.unwrap();
    assert!(!known[&call_id(1)].is_news(&listed));
    let changed = tagged(1).imported().event();
    assert!(known[&call_id(1)].is_news(&changed));
}
