//! What is published arrives: whole, in order, once at a time, in batches.

use std::collections::BTreeSet;

use queue::{Consumer, MAX_BODY_BYTES, Message, QueueError, QueueName};
use uuid::Uuid;

use super::{depth, depth_becomes, numbered, numbers, publish};
use crate::backend::{Backend, begin_and_drop, collect, next_batch, within_deadline};

pub(crate) async fn bodies_arrive_byte_for_byte(backend: &impl Backend) {
    let queue = backend.open().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies = [
        vec![],
        vec![0],
        b"a\0b\n\xff".to_vec(),
        every_byte.repeat(4 * 1024),
        every_byte.repeat(64 * 1024),
    ];
    let messages: Vec<Message> = bodies
        .into_iter()
        .map(|body| Message::new(Uuid::now_v7(), body))
        .collect();
    for message in &messages {
        queue.publish(QueueName::Live, message.clone()).await.unwrap();
    }
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let deliveries = collect(&mut consumer, messages.len()).await;
    assert_eq!(consumer.queue(), QueueName::Live);
    assert!(deliveries.iter().map(|delivery| &delivery.message).eq(&messages));
}

pub(crate) async fn a_body_that_is_too_large_is_refused(backend: &impl Backend) {
    let queue = backend.open().await;
    let too_large = Message::new(Uuid::now_v7(), vec![0; MAX_BODY_BYTES + 1]);
    let error = queue.publish(QueueName::Live, too_large).await.unwrap_err();
    assert!(
        matches!(error, QueueError::TooLarge { size } if size == MAX_BODY_BYTES + 1),
        "{error:?}"
    );
    assert_eq!(depth(&queue, QueueName::Live).await, 0);
}

pub(crate) async fn the_order_of_publishing_is_kept(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..500).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    for first in (0..500).step_by(50) {
        let batch = collect(&mut consumer, 50).await;
        assert_eq!(numbers(&batch), (first..first + 50).collect::<Vec<_>>());
        consumer.acknowledge(&batch).await.unwrap();
    }
}

pub(crate) async fn queues_do_not_mix(backend: &impl Backend) {
    let queue = backend.open().await;
    for base in [0, 10] {
        for (number, name) in (base..).zip(QueueName::ALL) {
            queue.publish(name, numbered(number)).await.unwrap();
        }
    }
    for (number, name) in (0..).zip(QueueName::ALL) {
        let mut consumer = queue.consume(name).await.unwrap();
        assert_eq!(numbers(&collect(&mut consumer, 2).await), [number, number + 10]);
    }
}

pub(crate) async fn a_batch_respects_its_maximum(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..10).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let mut seen = Vec::new();
    for max in [1, 2, 3] {
        let batch = next_batch(&mut consumer, max).await;
        assert!((1..=max).contains(&batch.len()));
        seen.extend(numbers(&batch));
    }
    assert_eq!(
        next_batch(&mut consumer, 0).await.len(),
        1,
        "a maximum of none means one"
    );
    assert_eq!(seen, (0..u32::try_from(seen.len()).unwrap()).collect::<Vec<_>>());
}

pub(crate) async fn a_large_batch_is_cut(backend: &impl Backend) {
    let queue = backend.open().await;
    let large = || Message::new(Uuid::now_v7(), vec![7; 16 * 1024 * 1024]);
    let messages: Vec<Message> = (0..4).map(|_| large()).collect();
    let ids: BTreeSet<Uuid> = messages.iter().map(|message| message.id).collect();
    queue.publish_all(QueueName::Live, messages).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = next_batch(&mut consumer, 100).await;
    assert!(
        (1..=3).contains(&batch.len()),
        "{} bodies of 16 MiB at once",
        batch.len()
    );
    consumer.give_back(batch).await.unwrap();
    let batch = collect(&mut consumer, 4).await;
    let seen: BTreeSet<Uuid> = batch.iter().map(|delivery| delivery.message.id).collect();
    assert_eq!(seen, ids);
}

pub(crate) async fn a_waiting_consumer_wakes_on_publish(backend: &impl Backend) {
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let publishing = async {
        // Another queue's message is not for it.
        queue.publish(QueueName::Alerts, numbered(1)).await.unwrap();
        queue.publish(QueueName::Live, numbered(2)).await.unwrap();
    };
    // In this order: it waits before anything is published.
    let (batch, ()) = tokio::join!(biased; next_batch(&mut consumer, 10), publishing);
    assert_eq!(numbers(&batch), [2]);
}

pub(crate) async fn a_batch_dropped_in_mid_wait_loses_nothing(backend: &impl Backend) {
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    begin_and_drop(consumer.next_batch(10)).await;
    publish(&queue, QueueName::Live, 1..2).await;
    assert_eq!(numbers(&next_batch(&mut consumer, 10).await), [1]);
    begin_and_drop(consumer.next_batch(10)).await;
    publish(&queue, QueueName::Live, 2..3).await;
    drop(consumer);
    let mut other = queue.consume(QueueName::Live).await.unwrap();
    let seen: BTreeSet<_> = numbers(&collect(&mut other, 2).await).into_iter().collect();
    assert_eq!(seen, BTreeSet::from([1, 2]));
}

pub(crate) async fn a_batch_dropped_over_and_over_loses_nothing(backend: &impl Backend) {
    const COUNT: u32 = 300;
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let publisher = tokio::spawn({
        let queue = queue.clone();
        async move {
            for number in 0..COUNT {
                queue.publish(QueueName::Live, numbered(number)).await.unwrap();
            }
        }
    });
    let mut seen = Vec::new();
    let all = async {
        while seen.len() < COUNT as usize {
            tokio::select! {
                biased;
                batch = consumer.next_batch(7) => {
                    let batch = batch.unwrap();
                    seen.extend(numbers(&batch));
                    consumer.acknowledge(&batch).await.unwrap();
                }
                // Sooner or later than the batch, by chance.
                () = tokio::task::yield_now() => {}
            }
        }
    };
    within_deadline(all).await;
    publisher.await.unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..COUNT));
}

pub(crate) async fn publish_all_keeps_order_across_its_parts(backend: &impl Backend) {
    let queue = backend.open().await;
    queue.publish_all(QueueName::Backfill, vec![]).await.unwrap();
    queue
        .publish_all(QueueName::Backfill, (0..3_000).map(numbered).collect())
        .await
        .unwrap();
    let mut consumer = queue.consume(QueueName::Backfill).await.unwrap();
    assert!(take(&mut consumer, 3_000).await.into_iter().eq(0..3_000));
}

pub(crate) async fn two_consumers_share_without_doubles(backend: &impl Backend) {
    const COUNT: u32 = 6_000;
    let queue = backend.open().await;
    let publishing = publish(&queue, QueueName::Live, 0..COUNT);
    let (seen, mut see) = tokio::sync::mpsc::unbounded_channel();
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, seen) = (queue.clone(), seen.clone());
            tokio::spawn(async move {
                let mut consumer = queue.consume(QueueName::Live).await.unwrap();
                loop {
                    let batch = consumer.next_batch(64).await.unwrap();
                    for number in numbers(&batch) {
                        seen.send(number).unwrap();
                    }
                    consumer.acknowledge(&batch).await.unwrap();
                }
            })
        })
        .collect();
    publishing.await;
    let mut numbers = BTreeSet::new();
    for _ in 0..COUNT {
        let number = within_deadline(see.recv()).await.unwrap();
        assert!(numbers.insert(number), "{number} was delivered to both");
    }
    assert!(numbers.into_iter().eq(0..COUNT));
    consumers.iter().for_each(tokio::task::JoinHandle::abort);
}

pub(crate) async fn many_publishers_are_each_confirmed(backend: &impl Backend) {
    const PUBLISHERS: u32 = 256;
    const EACH: u32 = 50;
    let queue = backend.open().await;
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    queue
                        .publish(QueueName::Live, numbered(publisher * EACH + number))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        within_deadline(publisher).await.unwrap();
    }
    depth_becomes(&queue, QueueName::Live, u64::from(PUBLISHERS * EACH)).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let seen = take(&mut consumer, (PUBLISHERS * EACH) as usize).await;
    // Among all of them, each publisher's messages are in its order.
    for publisher in 0..PUBLISHERS {
        let own: Vec<u32> = seen
            .iter()
            .copied()
            .filter(|number| number / EACH == publisher)
            .collect();
        assert!(own.into_iter().eq(publisher * EACH..(publisher + 1) * EACH));
    }
}

/// Takes and acknowledges so many messages.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = next_batch(consumer, count - taken.len()).await;
        consumer.acknowledge(&batch).await.unwrap();
        taken.extend(numbers(&batch));
    }
    taken
}
