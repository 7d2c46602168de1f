//! Several writers at work on the same calls, and the CRM beside them.

use std::sync::Arc;
use std::time::Instant;

use calls::{CallEvent, MatchMethod, MatchRules};
use diesel::connection::SimpleConnection;
use tokio::sync::Barrier;

use super::Postgres;
use crate::samples::{
    CALLER, Delivery, apply, at, lead, post_call, pre_call, projected, row, stored, tagged, transcribed,
};
use crate::suite::Database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_meet_on_new_calls_lose_nothing() {
    const ROUNDS: usize = 60;
    const CALLS: usize = 4;
    let database = Postgres::fresh().await;
    let stores = [database.store().clone(), database.reopen().await];
    let barrier = Arc::new(Barrier::new(stores.len()));
    let events_of = |writer: usize, round: usize| -> Vec<CallEvent> {
        let calls = round * CALLS..(round + 1) * CALLS;
        let deliveries = calls.flat_map(|n| match writer {
            0 => [post_call(n), pre_call(n)],
            _ => [transcribed(n).received(250), tagged(n)],
        });
        deliveries.map(Delivery::event).collect()
    };

    let mut writers = tokio::task::JoinSet::new();
    for (writer, store) in stores.into_iter().enumerate() {
        let barrier = Arc::clone(&barrier);
        writers.spawn(async move {
            let mut all = Vec::new();
            for round in 0..ROUNDS {
                let mut events = events_of(writer, round);
                all.extend(events.clone());
                // In different orders, too.
                if writer == 1 {
                    events.reverse();
                }
                barrier.wait().await;
                store
                    .apply(events, &MatchRules::default(), at(401))
                    .await
                    .unwrap();
            }
            all
        });
    }
    let events: Vec<CallEvent> = writers.join_all().await.into_iter().flatten().collect();

    let expected = projected(&events);
    assert_eq!(expected.len(), ROUNDS * CALLS);
    assert!(
        expected
            .values()
            .all(|row| row.transcription.is_some() && row.tags == ["Booked"])
    );
    assert_eq!(stored(database.store(), &events).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_crm_writes_while_a_batch_is_at_work_stands() {
    let database = Postgres::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    // The batch has read the row.
    let (mut crm, batch) = database.keep_from_writing(tagged(1), at(301)).await;

    let mut other = database.connection();
    let writing = tokio::task::spawn_blocking(move || {
        other
            .batch_execute("update interactions set notes = 'Call back!'")
            .unwrap();
    });
    let blocked = "select count(*)::text from pg_stat_activity
                   where datname = current_database() and query like 'update interactions%'
                     and wait_event_type = 'Lock'";
    database.wait_until(blocked, "1").await;
    crm.batch_execute("commit").unwrap();
    batch.await.unwrap();
    writing.await.unwrap();

    apply(database.store(), [transcribed(1).received(250)], at(401)).await;
    let row = row(database.store(), 1).await.unwrap();
    assert_eq!(
        (row.notes.as_str(), row.tags),
        ("Call back!", vec!["Booked".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_saved_while_his_call_is_written_is_linked_with_it() {
    let database = Postgres::fresh().await;
    let store = database.store();
    // The batch has looked for the caller and found nobody.
    let (mut crm, batch) = database.keep_from_writing(post_call(1), at(201)).await;

    let saver = store.clone();
    let saving = tokio::spawn(async move {
        let contacts = vec![lead("7", &[CALLER])];
        saver
            .save_contacts(contacts, &MatchRules::default(), at(202))
            .await
            .unwrap()
    });
    database
        .wait_until("select count(*)::text from contact_phones", "1")
        .await;
    crm.batch_execute("commit").unwrap();
    batch.await.unwrap();

    assert_eq!(saving.await.unwrap().calls_linked, 1);
    let link = row(store, 1).await.unwrap().link;
    assert_eq!(
        (link.lead_id.as_deref(), link.method),
        (Some("7"), MatchMethod::OnlyOne)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_waits_for_no_batch() {
    let database = Postgres::fresh().await;
    let mut crm = database.connection();
    crm.batch_execute("begin; lock table interactions in share mode")
        .unwrap();
    let batches: Vec<_> = (0..8)
        .map(|n| {
            let store = database.store().clone();
            tokio::spawn(async move { apply(&store, [post_call(n)], at(201)).await })
        })
        .collect();
    // As many as there are connections for batches; the others stand in line.
    database.wait_until_locked_out(4).await;

    let ring = apply(database.store(), [pre_call(100)], at(2)).await;

    assert_eq!(ring.alerts.len(), 1);
    crm.batch_execute("commit").unwrap();
    for batch in batches {
        batch.await.unwrap();
    }
    assert_eq!(database.store().count_interactions().await.unwrap(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_does_not_look_at_import_runs() {
    let database = Postgres::fresh().await;
    let mut other = database.connection();
    other
        .batch_execute("begin; lock table import_calls, imports in access exclusive mode")
        .unwrap();
    let applied = apply(database.store(), [post_call(1), pre_call(2)], at(201)).await;
    assert_eq!(applied.rows_written, 1);

    let store = database.store().clone();
    let import = post_call(3).imported_by(uuid::Uuid::from_u128(1));
    let importing = tokio::spawn(async move { apply(&store, [import], at(201)).await });
    database.wait_until_locked_out(1).await;
    other.batch_execute("commit").unwrap();
    assert_eq!(importing.await.unwrap().rows_written, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_alert_of_a_batch_that_had_to_wait_says_when_it_could_be_seen() {
    let database = Postgres::fresh().await;
    let store = database.store();
    let (mut crm, batch) = database.keep_from_writing(pre_call(1), at(2)).await;
    let locked_out = Instant::now();
    // Whoever follows the alerts sees that there are none yet.
    assert_eq!(store.alerts_since(at(0), 10).await.unwrap(), []);
    let waited = locked_out.elapsed();
    crm.batch_execute("commit").unwrap();
    batch.await.unwrap();

    let alerts = store.alerts_since(at(0), 10).await.unwrap();
    assert!(alerts[0].raised_at > at(2) + waited, "{:?}", alerts[0].raised_at);
}
