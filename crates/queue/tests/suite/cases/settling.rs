//! What is delivered stays until it is acknowledged, or comes again.

use queue::{QueueError, QueueName};

use super::{at, depth, depth_becomes, number, numbers, publish};
use crate::backend::{Backend, collect, next_batch};

pub(crate) async fn acknowledging_many_removes_them(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..200).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 200).await;
    consumer.acknowledge(&batch).await.unwrap();
    consumer.acknowledge(&[]).await.unwrap();
    assert_eq!(depth(&queue, QueueName::Live).await, 0);
    drop((consumer, queue));
    assert_eq!(depth(&backend.open().await, QueueName::Live).await, 0);
}

pub(crate) async fn any_part_of_what_is_held_may_be_acknowledged(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..10).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 10).await;
    let (even, odd): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|delivery| number(delivery).is_multiple_of(2));
    consumer.acknowledge(&even).await.unwrap();
    consumer.give_back(odd).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 5).await), [1, 3, 5, 7, 9]);
    drop(consumer);
    depth_becomes(&queue, QueueName::Live, 5).await;
}

pub(crate) async fn a_delivery_is_settled_by_its_holder_and_once(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..3).await;
    let mut holder = queue.consume(QueueName::Live).await.unwrap();
    let mut batch = collect(&mut holder, 3).await;
    let other = queue.consume(QueueName::Live).await.unwrap();
    assert!(matches!(
        other.acknowledge(&batch).await,
        Err(QueueError::NotHeld)
    ));
    drop(other);
    holder.acknowledge(&batch[..1]).await.unwrap();
    assert!(matches!(
        holder.acknowledge(&batch).await,
        Err(QueueError::NotHeld)
    ));
    let settled = batch.remove(0);
    assert!(matches!(
        holder.retry(settled, "late", at(0)).await,
        Err(QueueError::NotHeld)
    ));
    // Nothing was done to the others meanwhile.
    holder.give_back(vec![batch.remove(0)]).await.unwrap();
    assert_eq!(numbers(&next_batch(&mut holder, 9).await), [1]);
    drop(holder);
    depth_becomes(&queue, QueueName::Live, 2).await;
}

pub(crate) async fn what_was_not_acknowledged_comes_again_after_reopening(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..20).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 15).await;
    consumer.acknowledge(&batch[..5]).await.unwrap();
    drop((batch, consumer, queue));

    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(
        numbers(&collect(&mut consumer, 15).await),
        (5..20).collect::<Vec<_>>()
    );
}

pub(crate) async fn what_is_given_back_comes_again_and_counts_no_attempt(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..6).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 3).await;
    consumer.give_back(batch).await.unwrap();
    let mut batch = collect(&mut consumer, 6).await;
    batch.sort_by_key(number);
    assert_eq!(numbers(&batch), [0, 1, 2, 3, 4, 5]);
    assert!(batch.iter().all(|delivery| delivery.message.failures.is_none()));
}

pub(crate) async fn a_dropped_consumer_gives_back(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..4).await;
    let mut first = queue.consume(QueueName::Live).await.unwrap();
    let held = collect(&mut first, 4).await;
    let mut second = queue.consume(QueueName::Live).await.unwrap();
    drop(first);
    assert_eq!(numbers(&collect(&mut second, 4).await), [0, 1, 2, 3]);
    drop((held, second));

    let mut third = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&collect(&mut third, 4).await), [0, 1, 2, 3]);
}

pub(crate) async fn a_dropped_delivery_stays_held(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..1).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    drop(next_batch(&mut consumer, 1).await);
    publish(&queue, QueueName::Live, 1..2).await;
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [1]);
    drop(consumer);
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 2).await), [0, 1]);
}

pub(crate) async fn depths_count_what_waits(backend: &impl Backend) {
    let queue = backend.open().await;
    let empty: Vec<_> = QueueName::ALL.into_iter().map(|name| (name, 0)).collect();
    assert_eq!(queue.depths().await.unwrap(), empty);

    publish(&queue, QueueName::Live, 0..5).await;
    publish(&queue, QueueName::Backfill, 0..3).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let mut batch = collect(&mut consumer, 4).await;
    consumer
        .dead_letter(batch.remove(0), "no use", at(0))
        .await
        .unwrap();
    consumer.acknowledge(&[batch.remove(0)]).await.unwrap();
    drop(consumer);
    depth_becomes(&queue, QueueName::Live, 3).await;
    let depths = queue.depths().await.unwrap();
    let expected = [
        (QueueName::Progress, 0),
        (QueueName::Live, 3),
        (QueueName::Backfill, 3),
        (QueueName::Alerts, 0),
        (QueueName::Dead, 1),
    ];
    assert_eq!(depths, expected);
}
