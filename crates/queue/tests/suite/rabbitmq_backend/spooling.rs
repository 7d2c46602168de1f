//! The spool beside a broker that comes and goes.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use queue::{Consumer, Message, Queue, QueueName, Readiness, SpoolOptions, spools};
use tempfile::TempDir;
use test_servers::{Proxy, Vhost};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::connect;
use crate::backend::{collect, next_batch, within_deadline};
use crate::cases::{numbered, numbers};
use crate::spool::without_broker;

/// Whoever asks `/readyz` waits no longer (`PATIENCE` in `runtime::health`).
const PATIENCE_OF_A_PROBE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_any_kind_costs_no_message_and_no_time() {
    let vhost = Vhost::new();
    let mut proxy = Proxy::to(vhost.address()).await;
    let folder = tempfile::tempdir().unwrap();
    let queue = spooling(&vhost.url_by(proxy.address), &folder).await;
    let mut consumer = connect(&vhost.url())
        .await
        .consume(QueueName::Live)
        .await
        .unwrap();

    let (published, mut watched) = watch::channel(0_u32);
    let stop = CancellationToken::new();
    let publishing = tokio::spawn({
        let (queue, stop) = (queue.clone(), stop.clone());
        async move {
            let mut slowest = Duration::ZERO;
            while !stop.is_cancelled() {
                let (number, began) = (*published.borrow(), Instant::now());
                queue.publish(QueueName::Live, numbered(number)).await.unwrap();
                slowest = slowest.max(began.elapsed());
                published.send_replace(number + 1);
            }
            slowest
        }
    });
    let mut more = async |count| {
        let goal = *watched.borrow() + count;
        let reached = watched.wait_for(|published| *published >= goal);
        within_deadline(reached)
            .await
            .map(|published| *published)
            .unwrap()
    };
    more(50).await;
    proxy.cut();
    more(200).await;
    becomes_ready(&queue).await;
    proxy.freeze(true);
    more(200).await;
    proxy.freeze(false);
    becomes_ready(&queue).await;
    let address = proxy.address;
    drop(proxy);
    more(200).await;
    proxy = Proxy::listen(address, vhost.address(), None).await;
    more(50).await;
    becomes_ready(&queue).await;
    stop.cancel();
    let slowest = within_deadline(publishing).await.unwrap();
    let published = *watched.borrow();
    println!("the slowest of {published} took {slowest:?}");

    arrive(&mut consumer, 0..published).await;
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 0);
    drop(proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_broker_that_says_nothing_but_the_first() {
    let vhost = Vhost::new();
    let proxy = Proxy::to(vhost.address()).await;
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        patience: Duration::from_secs(1),
        ..SpoolOptions::new(folder.path())
    };
    let queue = connect(&vhost.url_by(proxy.address)).await;
    let queue = queue.with_spool(options).await.unwrap();
    queue.publish(QueueName::Live, numbered(0)).await.unwrap();
    proxy.freeze(true);
    let began = Instant::now();
    for number in 1..100 {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "the first one waits");
    assert!(began.elapsed() < Duration::from_secs(50), "{:?}", began.elapsed());
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 99);

    let began = Instant::now();
    let readiness = queue.readiness().await.unwrap();
    assert!(
        matches!(&readiness, Readiness::Degraded(why) if why.starts_with("webhooks are kept in the spool (99 messages, ")),
        "{readiness:?}"
    );
    assert!(began.elapsed() < PATIENCE_OF_A_PROBE, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_processes_that_are_gone_have_left_is_sent_on() {
    let vhost = Vhost::new();
    let folder = tempfile::tempdir().unwrap();
    let gone = [
        without_broker(folder.path()).await,
        without_broker(folder.path()).await,
        without_broker(folder.path()).await,
    ];
    for (number, queue) in (0..).zip(&gone) {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    drop(gone);
    is_left(&folder).await;
    let queue = spooling(&vhost.url(), &folder).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let mut arrived = numbers(&collect(&mut consumer, 3).await);
    arrived.sort_unstable();
    assert_eq!(arrived, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_finds_too_large_holds_up_nothing_else() {
    let vhost = Vhost::new();
    let folder = tempfile::tempdir().unwrap();
    let gone = without_broker(folder.path()).await;
    // More than the broker of the tests takes.
    let large = || Message::new(Uuid::now_v7(), vec![b'x'; 17 * 1024 * 1024]);
    for message in [numbered(0), numbered(1), large(), numbered(2)] {
        gone.publish(QueueName::Live, message).await.unwrap();
    }
    drop(gone);
    is_left(&folder).await;
    let queue = spooling(&vhost.url(), &folder).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    arrive(&mut consumer, 0..3).await;
    becomes_ready(&queue).await;
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 1);
    // And no later one, be there another that is too large.
    queue.publish(QueueName::Live, large()).await.unwrap();
    queue.publish(QueueName::Live, numbered(3)).await.unwrap();
    arrive(&mut consumer, 3..4).await;
    becomes_ready(&queue).await;
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 2);
}

/// Waits until these have arrived, whatever else comes, or comes again.
async fn arrive(consumer: &mut Consumer, expected: Range<u32>) {
    let mut missing: BTreeSet<u32> = expected.collect();
    while !missing.is_empty() {
        let batch = next_batch(consumer, 1000).await;
        for number in numbers(&batch) {
            missing.remove(&number);
        }
        consumer.acknowledge(&batch).await.unwrap();
    }
}

/// Waits until nobody owns a spool any more.
async fn is_left(folder: &TempDir) {
    within_deadline(async {
        while spools(folder.path())
            .await
            .unwrap()
            .iter()
            .any(|spool| spool.is_owned)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn spooling(url: &str, folder: &TempDir) -> Queue {
    let options = SpoolOptions::new(folder.path());
    connect(url).await.with_spool(options).await.unwrap()
}

async fn becomes_ready(queue: &Queue) {
    within_deadline(async {
        while !matches!(queue.readiness().await, Ok(Readiness::Ready)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
