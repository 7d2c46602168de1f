//! Consuming from a broker whose connections and queues fail, and which gives messages up.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use queue::{QueueError, QueueName};
use serde_json::json;
use test_servers::Vhost;

use super::{ENDLESS, behind_a_proxy, connect, publish_until_confirmed};
use crate::backend::{Backend, RabbitMq, collect, next_batch, within_deadline};
use crate::cases::{at, depth_becomes, numbered, numbers, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_deleted_under_its_consumer_is_made_anew() {
    let backend = RabbitMq::fresh();
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    publish(&queue, QueueName::Live, 0..3).await;
    let batch = collect(&mut consumer, 3).await;
    assert!(
        backend
            .vhost
            .delete(&format!("queues/{}/calls.live", backend.vhost.name()))
    );
    let arriving = publish_until_confirmed(&queue, QueueName::Live, 3);
    let (batch_after, ()) = tokio::join!(next_batch(&mut consumer, 9), arriving);
    assert_eq!(numbers(&batch_after)[0], 3);
    let error = consumer.acknowledge(&batch).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
    consumer.acknowledge(&batch_after).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_closed_under_load_lose_nothing_that_was_confirmed() {
    const PUBLISHERS: u32 = 32;
    const EACH: u32 = 150;
    let backend = RabbitMq::fresh();
    let queue = backend.open().await;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    publish_until_confirmed(&queue, QueueName::Live, publisher * EACH + number).await;
                }
            })
        })
        .collect();
    let consuming = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut seen = BTreeSet::new();
            let mut consumer = queue.consume(QueueName::Live).await.unwrap();
            while seen.len() < (PUBLISHERS * EACH) as usize {
                let batch = next_batch(&mut consumer, 50).await;
                match consumer.acknowledge(&batch).await {
                    Ok(()) => seen.extend(numbers(&batch)),
                    Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}"),
                }
            }
        }
    });
    let mut closed = 0;
    while !consuming.is_finished() && closed < 6 {
        closed += backend.vhost.close_connections();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for publisher in publishers {
        within_deadline(publisher).await.unwrap();
    }
    within_deadline(consuming).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_fails_what_is_on_its_way_and_heals() {
    let (vhost, proxy, queue) = behind_a_proxy(ENDLESS).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    publish(&queue, QueueName::Live, 0..3).await;
    let mut batch = collect(&mut consumer, 3).await;

    proxy.freeze(true);
    let outstanding = tokio::spawn({
        let queue = queue.clone();
        async move { queue.publish(QueueName::Alerts, numbered(9)).await }
    });
    // The broker has it, and its confirm is frozen.
    depth_becomes(&connect(&vhost.url()).await, QueueName::Alerts, 1).await;
    assert!(!outstanding.is_finished());
    proxy.cut();
    let error = within_deadline(outstanding).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the queue is not available");
    assert_eq!(
        error.source().unwrap().to_string(),
        "the connection to RabbitMQ was lost"
    );
    proxy.freeze(false);

    // What the old connection delivered comes again, and is not settled by what was delivered before.
    let mut again = collect(&mut consumer, 3).await;
    let error = consumer.acknowledge(&batch[..1]).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
    let error = consumer.retry(batch.remove(0), "late", at(0)).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
    consumer.give_back(batch).await.unwrap();
    again.sort_by_key(|delivery| delivery.message.body.clone());
    assert_eq!(numbers(&again), [0, 1, 2]);
    consumer.acknowledge(&again).await.unwrap();
    publish_until_confirmed(&queue, QueueName::Alerts, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_outlasts_the_limit_of_the_broker() {
    let backend = RabbitMq::fresh();
    limit_deliveries(&backend.vhost, 12);
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..3).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    for _ in 0..40 {
        let batch = collect(&mut consumer, 3).await;
        assert!(batch.iter().all(|delivery| delivery.message.failures.is_none()));
        consumer.give_back(batch).await.unwrap();
    }
    let mut batch = collect(&mut consumer, 3).await;
    batch.sort_by_key(|delivery| delivery.message.body.clone());
    assert_eq!(numbers(&batch), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_gives_up_is_a_dead_letter() {
    let backend = RabbitMq::fresh();
    limit_deliveries(&backend.vhost, 2);
    let queue = backend.open().await;
    let message = numbered(1);
    queue.publish(QueueName::Live, message.clone()).await.unwrap();
    // Consumers that die with the message in their hands.
    for _ in 0..3 {
        let mut consumer = queue.consume(QueueName::Live).await.unwrap();
        next_batch(&mut consumer, 1).await;
    }
    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    let letter = next_batch(&mut dead, 1).await.remove(0).message;
    assert_eq!((letter.id, letter.body), (message.id, message.body));
    let failures = letter.failures.unwrap();
    assert_eq!(failures.queue, QueueName::Live);
    assert!(failures.reason.contains("came back too often"), "{failures:?}");
}

/// A message that was delivered more often is given up by the broker.
fn limit_deliveries(vhost: &Vhost, limit: u32) {
    let policy =
        json!({ "pattern": "^calls", "definition": { "delivery-limit": limit }, "apply-to": "queues" });
    vhost.put(&format!("policies/{}/limit", vhost.name()), &policy);
}
