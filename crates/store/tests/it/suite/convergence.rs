//! The row of a call depends on what was seen of it, and on nothing else.

use calls::{CallEvent, MatchRules};

use super::Database;
use crate::samples::{
    apply, at, call_id, disorder, post_call, pre_call, projected, routing_complete, row, stored, tagged,
    transcribed,
};

pub(crate) async fn the_cut_and_the_order_of_events_do_not_matter<D: Database>() {
    let deliveries = [
        pre_call(1),
        routing_complete(1),
        post_call(1),
        tagged(1),
        transcribed(1).imported(),
    ];
    let (at_once, one_by_one, reversed) = (D::fresh().await, D::fresh().await, D::fresh().await);

    apply(at_once.store(), deliveries.clone(), at(401)).await;
    for delivery in deliveries.clone() {
        apply(one_by_one.store(), [delivery], at(402)).await;
    }
    for delivery in deliveries.into_iter().rev() {
        apply(reversed.store(), [delivery], at(403)).await;
    }

    let expected = row(at_once.store(), 1).await.unwrap();
    assert!(expected.transcription.is_some());
    let record = at_once.store().call(&call_id(1)).await.unwrap().unwrap().record;
    for other in [one_by_one, reversed] {
        assert_eq!(row(other.store(), 1).await.as_ref(), Some(&expected));
        let history = other.store().call(&call_id(1)).await.unwrap().unwrap();
        assert_eq!(history.record, record);
    }
}

pub(crate) async fn thousands_of_events_in_disorder_give_what_the_projection_gives<D: Database>() {
    let database = D::fresh().await;
    let events = disorder(2_000, 700, 42);

    apply_all(&database, events.clone()).await;

    let expected = projected(&events);
    assert!(expected.len() > 500, "{} rows", expected.len());
    assert_eq!(stored(database.store(), &events).await, expected);
    let count = database.store().count_interactions().await.unwrap();
    assert_eq!(usize::try_from(count).unwrap(), expected.len());
}

pub(crate) async fn eight_writers_of_overlapping_batches_lose_nothing<D: Database>() {
    let database = D::fresh().await;
    let events = disorder(600, 40, 7);
    // Every event is in two of the batches, and every call is in nearly all of them.
    let share = events.len() / 8;
    let overlapping = (0..8).map(|writer| {
        let mut batches = events.clone();
        batches.rotate_left(writer * share);
        batches.truncate(2 * share);
        batches
    });

    let mut writers = tokio::task::JoinSet::new();
    for batches in overlapping {
        let store = database.store().clone();
        writers.spawn(async move {
            for batch in batches.chunks(10) {
                let rules = MatchRules::default();
                store.apply(batch.to_vec(), &rules, at(700)).await.unwrap();
            }
        });
    }
    writers.join_all().await;

    let sequential = D::fresh().await;
    apply_all(&sequential, events.clone()).await;
    let expected = stored(sequential.store(), &events).await;
    assert_eq!(expected, projected(&events));
    assert_eq!(stored(database.store(), &events).await, expected);
}

async fn apply_all<D: Database>(database: &D, events: Vec<CallEvent>) {
    database
        .store()
        .apply(events, &MatchRules::default(), at(700))
        .await
        .unwrap();
}
