//! Publishing to a broker that returns, refuses, delays and blocks.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue::{Message, Queue, QueueError, QueueName};
use serde_json::json;
use test_servers::Vhost;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{ENDLESS, behind_a_proxy, connect, publish_until_confirmed};
use crate::backend::{Backend, RabbitMq, collect, next_batch, within_deadline};
use crate::cases::{depth_becomes, numbered, numbers, publish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_queue_took_is_never_confirmed() {
    let backend = RabbitMq::fresh();
    let alerts = format!("queues/{}/alerts", backend.vhost.name());
    for round in 0..5 {
        let queue = backend.open().await;
        assert!(backend.vhost.delete(&alerts));
        // Among many to a queue that is there, some to the queue that is gone, so that confirms and returns mix.
        let publishing: Vec<_> = (0..400_u32)
            .map(|number| {
                let queue = queue.clone();
                let name = if number % 100 == 99 {
                    QueueName::Alerts
                } else {
                    QueueName::Live
                };
                tokio::spawn(async move { (name, number, queue.publish(name, numbered(number)).await) })
            })
            .collect();
        let mut confirmed = BTreeSet::new();
        let mut failed = 0;
        for publishing in publishing {
            match within_deadline(publishing).await.unwrap() {
                (QueueName::Alerts, number, Ok(())) => drop(confirmed.insert(number)),
                (_, _, Ok(())) => {}
                (_, _, Err(error)) => {
                    assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");
                    failed += 1;
                }
            }
        }
        assert!(failed > 0, "nothing failed in round {round}");
        // The queue is made anew, and holds what was confirmed since.
        publish_until_confirmed(&queue, QueueName::Alerts, 1000).await;
        confirmed.insert(1000);
        let mut consumer = queue.consume(QueueName::Alerts).await.unwrap();
        while !confirmed.is_empty() {
            for number in numbers(&next_batch(&mut consumer, 300).await) {
                confirmed.remove(&number);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_returned_among_many_confirmed_together_is_not_taken_for_another() {
    // One of 64 came back, and the broker need not say which before it confirms all of them at once.
    let words = [
        // basic.return(312, "NO_ROUTE", "", "alerts"), its header with an empty body, basic.ack(65, multiple)
        frame(1, PUBLISHING, b"\0\x3c\0\x32\x01\x38\x08NO_ROUTE\0\x06alerts"),
        frame(2, PUBLISHING, &[&b"\0\x3c"[..], &[0; 12]].concat()),
        frame(1, PUBLISHING, b"\0\x3c\0\x50\0\0\0\0\0\0\0\x41\x01"),
    ];
    let (vhost, proxy, queue) = behind_a_proxy(ENDLESS).await;
    queue.publish(QueueName::Live, numbered(0)).await.unwrap();
    proxy.freeze(true);
    let publishing = publish_beside(&queue, QueueName::Alerts, 64);
    depth_becomes(&connect(&vhost.url()).await, QueueName::Alerts, 64).await;
    proxy.say(&words.concat());
    for publishing in publishing {
        let error = within_deadline(publishing).await.unwrap().unwrap_err();
        assert_eq!(
            error.source().unwrap().to_string(),
            "RabbitMQ returned a message: its queue is gone"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_the_broker_does_not_take_is_too_large_and_harms_no_other() {
    let backend = RabbitMq::fresh();
    let queue = backend.open().await;
    let size = 33 * 1024 * 1024;
    match queue
        .publish(QueueName::Live, Message::new(Uuid::now_v7(), vec![0; size]))
        .await
    {
        Ok(()) => {}
        Err(error) => assert!(
            matches!(error, QueueError::TooLarge { size: found } if found == size),
            "{error:?}"
        ),
    }
    publish_until_confirmed(&queue, QueueName::Alerts, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_that_does_not_come_in_time_is_a_failure() {
    let (_vhost, proxy, queue) = behind_a_proxy(Duration::from_millis(100)).await;
    proxy.freeze(true);
    // More than may be on their way at a time.
    let publishing = publish_beside(&queue, QueueName::Live, 700);
    for publishing in publishing {
        let error = within_deadline(publishing).await.unwrap().unwrap_err();
        assert_eq!(
            error.source().unwrap().to_string(),
            "RabbitMQ did not confirm within 100 ms"
        );
    }
    proxy.freeze(false);
    publish_until_confirmed(&queue, QueueName::Live, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_goes_away_before_the_confirm_keeps_no_place() {
    let (vhost, proxy, queue) = behind_a_proxy(Duration::from_secs(4)).await;
    queue.publish(QueueName::Live, numbered(0)).await.unwrap();
    proxy.freeze(true);
    // As many as may be on their way at a time.
    let publishing = publish_beside(&queue, QueueName::Alerts, 512);
    depth_becomes(&connect(&vhost.url()).await, QueueName::Alerts, 512).await;
    for publishing in publishing {
        publishing.abort();
        assert!(publishing.await.unwrap_err().is_cancelled());
    }
    proxy.freeze(false);
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_connection_fails_publishes_at_once_and_still_consumes() {
    let (_vhost, proxy, queue) = behind_a_proxy(ENDLESS).await;
    publish(&queue, QueueName::Live, 0..3).await;

    // connection.blocked
    proxy.say(&frame(1, 0, b"\0\x0a\0\x3c\x0dlow on memory"));
    let error = within_deadline(async {
        loop {
            match queue.publish(QueueName::Alerts, numbered(1)).await {
                // Before the word arrives.
                Ok(()) => {}
                Err(error) => break error,
            }
        }
    })
    .await;
    assert_eq!(
        error.source().unwrap().to_string(),
        "RabbitMQ takes no messages at present: low on memory"
    );
    assert!(queue.depths().await.is_err());
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 3).await;
    consumer.acknowledge(&batch).await.unwrap();

    // connection.unblocked
    proxy.say(&frame(1, 0, b"\0\x0a\0\x3d"));
    publish_until_confirmed(&queue, QueueName::Alerts, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stays_silent_after_it_was_blocked_is_replaced() {
    let (vhost, proxy, queue) = behind_a_proxy(Duration::from_secs(2)).await;
    queue.publish(QueueName::Live, numbered(0)).await.unwrap();
    proxy.freeze(true);
    // As many as may be on their way at a time: none gives up its place.
    let publishing = publish_beside(&queue, QueueName::Live, 700);
    depth_becomes(&connect(&vhost.url()).await, QueueName::Live, 1 + 512).await;
    // connection.blocked
    proxy.say(&frame(1, 0, b"\0\x0a\0\x3c\x0dlow on memory"));
    for publishing in publishing {
        within_deadline(publishing).await.unwrap().unwrap_err();
    }
    fails_with(&queue, "RabbitMQ takes no messages at present: low on memory").await;
    // connection.unblocked
    proxy.say(&frame(1, 0, b"\0\x0a\0\x3d"));
    fails_with(&queue, "RabbitMQ did not confirm within 4000 ms").await;
    proxy.freeze(false);
    publish_until_confirmed(&queue, QueueName::Live, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_all_for_a_queue_is_refused_is_replaced() {
    let backend = RabbitMq::fresh();
    let queue = backend.open().await;
    queue.publish(QueueName::Live, numbered(0)).await.unwrap();
    let first = within_deadline(async {
        loop {
            if let Some(name) = connections(&backend.vhost).pop() {
                return name;
            }
        }
    })
    .await;
    let policy = format!("policies/{}/full", backend.vhost.name());
    let definition = json!({ "max-length": 1, "overflow": "reject-publish" });
    backend.vhost.put(
        &policy,
        &json!({ "pattern": "^calls.live$", "definition": definition, "apply-to": "queues" }),
    );
    let refused = "RabbitMQ refuses what is for calls.live: it is full, or a broker of the cluster is away";
    let mut reasons = BTreeSet::new();
    within_deadline(async {
        while connections(&backend.vhost).iter().all(|name| *name == first) {
            // What another queue takes does not matter.
            let (live, _) = tokio::join!(
                queue.publish(QueueName::Live, numbered(1)),
                queue.publish(QueueName::Backfill, numbered(2)),
            );
            reasons.extend(live.err().map(|error| error.source().unwrap().to_string()));
        }
    })
    .await;
    assert_eq!(reasons, BTreeSet::from([refused.to_owned()]));
    assert!(backend.vhost.delete(&policy));
    publish_until_confirmed(&queue, QueueName::Live, 3).await;
}

/// The names of the connections that the broker knows of.
fn connections(vhost: &Vhost) -> Vec<String> {
    let connections = vhost.get(&format!("vhosts/{}/connections", vhost.name()));
    let connections = connections.unwrap_or_default();
    let names = connections
        .as_array()
        .into_iter()
        .flatten()
        .map(|connection| connection["name"].as_str());
    names.flatten().map(str::to_owned).collect()
}

/// So many publishes beside each other.
fn publish_beside(queue: &Queue, name: QueueName, count: u32) -> Vec<JoinHandle<Result<(), QueueError>>> {
    (0..count)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.publish(name, numbered(number)).await })
        })
        .collect()
}

/// Publishes until that fails for this reason.
async fn fails_with(queue: &Queue, expected: &str) {
    within_deadline(async {
        loop {
            let failed = queue.publish(QueueName::Alerts, numbered(0)).await.unwrap_err();
            if failed.source().unwrap().to_string() == expected {
                return;
            }
            // While nothing can be published, it fails without waiting for anything.
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_message_is_not_written_into_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    // Whatever other tests run in this process write there too.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let backend = RabbitMq::fresh();
    let queue = backend.open().await;
    assert!(
        backend
            .vhost
            .delete(&format!("queues/{}/alerts", backend.vhost.name()))
    );
    let message = Message::new(Uuid::now_v7(), b"+14045550123".to_vec());
    let error = queue.publish(QueueName::Alerts, message).await.unwrap_err();
    assert_eq!(
        error.source().unwrap().to_string(),
        "RabbitMQ returned a message: its queue is gone"
    );
    publish_until_confirmed(&queue, QueueName::Alerts, 1).await;
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("RabbitMQ is not available"), "{written}");
    assert!(
        !written.contains("43, 49, 52, 48") && !written.contains("returned us"),
        "{written}"
    );
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The channel that publishes: the second that a connection opens, after the one that declares.
const PUBLISHING: u16 = 2;

/// An AMQP frame: method (1) or content header (2).
fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [
        &[kind][..],
        &channel.to_be_bytes(),
        &length.to_be_bytes(),
        payload,
        &[0xce],
    ]
    .concat()
}
