//! Consuming: batches in, and one way out for every message.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::embedded::EmbeddedConsumer;
use crate::error::QueueError;
use crate::message::{Delivery, Failures, Message, QueueName, Tag};
use crate::metrics::{Metrics, Settled};
use crate::rabbitmq::RabbitConsumer;

/// How long a dead letter that cannot be put away rests when the ladder has no step.
const REST_WITHOUT_LADDER: Duration = Duration::from_secs(1);

/// Consumes one queue. Dropping it gives back everything it still holds.
pub struct Consumer {
    backend: Backend,
    queue: QueueName,
    retry_ladder: Arc<[Duration]>,
    metrics: Metrics,
}

#[derive(Debug)]
pub(crate) enum Backend {
    Embedded(EmbeddedConsumer),
    RabbitMq(RabbitConsumer),
}

/// What became of a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// It comes again.
    Again {
        /// How long it rests first.
        after: Duration,
    },
    /// It had used up the ladder and is in [`QueueName::Dead`].
    DeadLettered,
}

impl Consumer {
    pub(crate) fn new(
        backend: Backend,
        queue: QueueName,
        retry_ladder: Arc<[Duration]>,
        metrics: Metrics,
    ) -> Self {
        Self {
            backend,
            queue,
            retry_ladder,
            metrics,
        }
    }

    /// The queue it consumes.
    pub fn queue(&self) -> QueueName {
        self.queue
    }

    /// Waits for at least one message, then returns what is there at once: at most `max` (at least one), and about
    /// 32 MiB. The order is that of publishing, and what was given back comes first; a broker keeps to that only as far
    /// as it has not sent messages ahead.
    ///
    /// Cancel safe: a dropped call has taken nothing. A lost connection to `RabbitMQ` only makes it wait (the queue logs
    /// why, and connects anew). After `Unavailable` call again after a pause.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        match &mut self.backend {
            Backend::Embedded(consumer) => consumer.next_batch(max.max(1)).await,
            Backend::RabbitMq(consumer) => consumer.next_batch(max.max(1)).await,
        }
    }

    /// These messages are done: any part of what this consumer holds, all or nothing. The embedded queue has made it
    /// durable when this returns; `RabbitMQ` does not confirm it, so that they may come again after a lost connection.
    ///
    /// After `Unavailable` they are still held (acknowledge again or give back), or come again by themselves.
    pub async fn acknowledge(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        match &self.backend {
            Backend::Embedded(consumer) => consumer.acknowledge(tags).await,
            Backend::RabbitMq(consumer) => consumer.acknowledge(tags).await,
        }?;
        self.count(Settled::Acknowledged, deliveries.len());
        Ok(())
    }

    /// This message failed: it rests for the next step of the ladder and comes again at the end of its queue, or is
    /// dead-lettered when the ladder is used up. `now` is noted in its failures.
    ///
    /// A dead letter consumed from [`QueueName::Dead`] always comes again, after the longest step and with its
    /// failures unchanged: there is nowhere else to put it.
    ///
    /// Durable before the original is removed. After `Unavailable` the message is given back, and may be in both places.
    pub async fn retry(
        &self,
        delivery: Delivery,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<RetryOutcome, QueueError> {
        let Delivery { mut message, tag, .. } = delivery;
        let failures = self.one_failure_more(message.failures.take(), reason, now);
        let step = match self.queue {
            QueueName::Dead => Some(longest_rest(&self.retry_ladder)),
            _ => self
                .retry_ladder
                .get(failures.attempts.saturating_sub(1) as usize)
                .copied(),
        };
        if let Some(after) = step {
            self.delay(tag, message, failures, after).await?;
            Ok(RetryOutcome::Again { after })
        } else {
            self.bury(tag, message, failures).await?;
            Ok(RetryOutcome::DeadLettered)
        }
    }

    /// This message can never work: it moves to [`QueueName::Dead`]. `now` is noted in its failures.
    ///
    /// On a consumer of [`QueueName::Dead`] the same as [`retry`](Self::retry).
    ///
    /// Durable before the original is removed. After `Unavailable` the message is given back, and may be in both places.
    pub async fn dead_letter(
        &self,
        delivery: Delivery,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), QueueError> {
        if self.queue == QueueName::Dead {
            return self.retry(delivery, reason, now).await.map(|_| ());
        }
        let Delivery { mut message, tag, .. } = delivery;
        let failures = self.one_failure_more(message.failures.take(), reason, now);
        self.bury(tag, message, failures).await
    }

    /// The outside failed: puts the messages back at the front of their queue, and counts no attempt.
    ///
    /// `RabbitMQ` gets what came back many times as a new message, at the end of its queue.
    pub async fn give_back(&self, deliveries: Vec<Delivery>) -> Result<(), QueueError> {
        let count = deliveries.len();
        match &self.backend {
            Backend::Embedded(consumer) => {
                let tags = deliveries.into_iter().map(|delivery| delivery.tag).collect();
                consumer.give_back(tags).await
            }
            Backend::RabbitMq(consumer) => consumer.give_back(deliveries).await,
        }?;
        self.count(Settled::GivenBack, count);
        Ok(())
    }

    fn count(&self, settlement: Settled, messages: usize) {
        self.metrics.settled(self.queue, settlement, messages);
    }

    fn one_failure_more(&self, previous: Option<Failures>, reason: &str, now: DateTime<Utc>) -> Failures {
        match (self.queue, previous) {
            // They tell of the queue where it died, and of nothing that happens on the way to its grave.
            (QueueName::Dead, Some(failures)) => failures,
            (queue, previous) => Failures::after(previous, queue, reason, now),
        }
    }

    async fn delay(
        &self,
        tag: Tag,
        message: Message,
        failures: Failures,
        after: Duration,
    ) -> Result<(), QueueError> {
        match &self.backend {
            Backend::Embedded(consumer) => consumer.delay(tag, failures, after).await,
            Backend::RabbitMq(consumer) => consumer.delay(tag, message.with(failures), after).await,
        }?;
        self.count(Settled::Retried, 1);
        Ok(())
    }

    async fn bury(&self, tag: Tag, message: Message, failures: Failures) -> Result<(), QueueError> {
        match &self.backend {
            Backend::Embedded(consumer) => consumer.bury(tag, failures).await,
            Backend::RabbitMq(consumer) => consumer.bury(tag, message.with(failures)).await,
        }?;
        self.count(Settled::DeadLettered, 1);
        Ok(())
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

/// The longest that a message rests on this ladder.
pub(crate) fn longest_rest(retry_ladder: &[Duration]) -> Duration {
    retry_ladder.iter().max().copied().unwrap_or(REST_WITHOUT_LADDER)
}
