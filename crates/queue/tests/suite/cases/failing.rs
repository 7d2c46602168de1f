//! What fails rests and comes again, or dies with its story.

use std::time::Duration;

use chrono::TimeDelta;
use queue::{Failures, Message, QueueName, QueueOptions, RetryOutcome};

use super::{at, depth, numbered, numbers, publish};
use crate::backend::{Backend, collect, next_batch};

const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) async fn failures_travel_with_their_message(backend: &impl Backend) {
    let queue = backend.open().await;
    let failures = Failures {
        queue: QueueName::Backfill,
        reason: "line one\nline \"two\", naïve ☎".to_owned(),
        attempts: 7,
        first_failed_at: at(0) + TimeDelta::microseconds(123_456),
        last_failed_at: at(60),
    };
    let message = Message {
        failures: Some(failures),
        ..numbered(1)
    };
    queue.publish(QueueName::Live, message.clone()).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(next_batch(&mut consumer, 1).await[0].message, message);
}

pub(crate) async fn retrying_walks_the_ladder_into_the_dead_letters(backend: &impl Backend) {
    let ladder = [MILLISECOND, MILLISECOND * 20, MILLISECOND * 5];
    let queue = backend
        .open_with(QueueOptions {
            retry_ladder: ladder.to_vec(),
            ..QueueOptions::default()
        })
        .await;
    let message = numbered(1);
    queue.publish(QueueName::Live, message.clone()).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    for (before, after) in (0..).zip(ladder) {
        let delivery = next_batch(&mut consumer, 1).await.remove(0);
        let attempts = delivery
            .message
            .failures
            .as_ref()
            .map(|failures| failures.attempts);
        assert_eq!(attempts, (before > 0).then_some(before));
        let retried_at = std::time::Instant::now();
        let outcome = consumer
            .retry(delivery, &format!("reason {before}"), at(before.into()))
            .await
            .unwrap();
        assert_eq!(outcome, RetryOutcome::Again { after });
        let delivery = next_batch(&mut consumer, 1).await.remove(0);
        assert!(retried_at.elapsed() >= after, "it came before its time");
        consumer.give_back(vec![delivery]).await.unwrap();
    }
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    let outcome = consumer.retry(delivery, "the last straw", at(3)).await.unwrap();
    assert_eq!(outcome, RetryOutcome::DeadLettered);
    assert_eq!(depth(&queue, QueueName::Live).await, 0);

    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    let failures = Failures {
        queue: QueueName::Live,
        reason: "the last straw".to_owned(),
        attempts: 4,
        first_failed_at: at(0),
        last_failed_at: at(3),
    };
    let expected = Message {
        failures: Some(failures),
        ..message
    };
    assert_eq!(next_batch(&mut dead, 1).await[0].message, expected);
}

pub(crate) async fn a_rest_outlasts_reopening(backend: &impl Backend) {
    let options = QueueOptions {
        retry_ladder: vec![MILLISECOND * 300],
        ..QueueOptions::default()
    };
    let queue = backend.open_with(options.clone()).await;
    publish(&queue, QueueName::Alerts, 0..1).await;
    let mut consumer = queue.consume(QueueName::Alerts).await.unwrap();
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer.retry(delivery, "not yet", at(0)).await.unwrap();
    drop((consumer, queue));

    let queue = backend.open_with(options).await;
    let mut consumer = queue.consume(QueueName::Alerts).await.unwrap();
    let batch = next_batch(&mut consumer, 1).await;
    assert_eq!(batch[0].message.failures.as_ref().unwrap().attempts, 1);
    assert_eq!(numbers(&batch), [0]);
}

pub(crate) async fn a_consumer_outlasts_its_queue(backend: &impl Backend) {
    let queue = backend
        .open_with(QueueOptions {
            retry_ladder: vec![MILLISECOND],
            ..QueueOptions::default()
        })
        .await;
    publish(&queue, QueueName::Live, 0..1).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    drop(queue);
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer.retry(delivery, "again", at(0)).await.unwrap();
    assert_eq!(numbers(&next_batch(&mut consumer, 1).await), [0]);
}

pub(crate) async fn a_resting_message_does_not_hold_up_others(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..3).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer.retry(delivery, "not now", at(0)).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 2).await), [1, 2]);
    publish(&queue, QueueName::Live, 3..4).await;
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [3]);
}

pub(crate) async fn a_hopeless_message_is_dead_lettered_at_once(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Progress, 0..2).await;
    let mut consumer = queue.consume(QueueName::Progress).await.unwrap();
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer
        .dead_letter(delivery, "no such kind", at(5))
        .await
        .unwrap();
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [1]);

    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    let letter = next_batch(&mut dead, 1).await.remove(0).message;
    let failures = Failures {
        queue: QueueName::Progress,
        reason: "no such kind".to_owned(),
        attempts: 1,
        first_failed_at: at(5),
        last_failed_at: at(5),
    };
    assert_eq!((letter.body, letter.failures), (numbered(0).body, Some(failures)));
}

pub(crate) async fn a_dead_letter_can_be_published_directly(backend: &impl Backend) {
    let queue = backend.open().await;
    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    let failures = Failures {
        queue: QueueName::Live,
        reason: "unreadable".to_owned(),
        attempts: 0,
        first_failed_at: at(0),
        last_failed_at: at(0),
    };
    let letter = Message {
        failures: Some(failures),
        ..numbered(1)
    };
    queue.publish(QueueName::Dead, letter.clone()).await.unwrap();
    let batch = next_batch(&mut dead, 1).await;
    assert_eq!(batch[0].message, letter);
    dead.acknowledge(&batch).await.unwrap();
    assert_eq!(depth(&queue, QueueName::Dead).await, 0);
}

pub(crate) async fn a_dead_letter_never_dies_again(backend: &impl Backend) {
    let after = MILLISECOND * 2;
    let queue = backend
        .open_with(QueueOptions {
            retry_ladder: vec![MILLISECOND, after],
            ..QueueOptions::default()
        })
        .await;
    let failures = Failures {
        queue: QueueName::Live,
        reason: "unreadable".to_owned(),
        attempts: 3,
        first_failed_at: at(0),
        last_failed_at: at(1),
    };
    let letter = Message {
        failures: Some(failures),
        ..numbered(1)
    };
    queue.publish(QueueName::Dead, letter.clone()).await.unwrap();
    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    for _ in 0..5 {
        let delivery = next_batch(&mut dead, 1).await.remove(0);
        let outcome = dead.retry(delivery, "no room for it", at(9)).await.unwrap();
        assert_eq!(outcome, RetryOutcome::Again { after });
        let delivery = next_batch(&mut dead, 1).await.remove(0);
        assert_eq!(delivery.message, letter);
        dead.dead_letter(delivery, "no room for it", at(9)).await.unwrap();
    }
    assert_eq!(next_batch(&mut dead, 1).await[0].message, letter);
}
