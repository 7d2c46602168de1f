//! Consuming: batches in, and one way out for every message.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::embedded::EmbeddedConsumer;
use crate::error::QueueError;
use crate::message::{Delivery, Failures, QueueName, Tag};

/// How long a dead letter that cannot be put away rests when the ladder has no step.
const REST_WITHOUT_LADDER: Duration = Duration::from_secs(1);

/// Consumes one queue. Dropping it gives back everything it still holds.
#[derive(Debug)]
pub struct Consumer {
    backend: Backend,
    queue: QueueName,
    retry_ladder: Arc<[Duration]>,
}

#[derive(Debug)]
pub(crate) enum Backend {
    Embedded(EmbeddedConsumer),
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
    pub(crate) fn new(backend: Backend, queue: QueueName, retry_ladder: Arc<[Duration]>) -> Self {
        Self {
            backend,
            queue,
            retry_ladder,
        }
    }

    /// The queue it consumes.
    pub fn queue(&self) -> QueueName {
        self.queue
    }

    /// Waits for at least one message, then returns what is there at once: at most `max` (at least one), and about
    /// 32 MiB, in the order of publishing as far as the backend keeps it; what was given back comes first.
    ///
    /// Cancel safe: a dropped call has taken nothing. After `Unavailable` call again after a pause.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        match &mut self.backend {
            Backend::Embedded(consumer) => consumer.next_batch(max.max(1)).await,
        }
    }

    /// These messages are done, durably: any part of what this consumer holds, all or nothing.
    ///
    /// After an error they are still held: acknowledge again or give back.
    pub async fn acknowledge(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        match &self.backend {
            Backend::Embedded(consumer) => consumer.acknowledge(tags).await,
        }
    }

    /// This message failed: it rests for the next step of the ladder and comes again at the end of its queue, or is
    /// dead-lettered when the ladder is used up. `now` is noted in its failures.
    ///
    /// A dead letter consumed from [`QueueName::Dead`] always comes again, after the longest step and with its
    /// failures unchanged: there is nowhere else to put it.
    ///
    /// Durable before the original is removed. After `Unavailable` the message is given back.
    pub async fn retry(
        &self,
        delivery: Delivery,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<RetryOutcome, QueueError> {
        let (tag, failures) = self.one_failure_more(delivery, reason, now);
        let step = match self.queue {
            QueueName::Dead => Some(longest_rest(&self.retry_ladder)),
            _ => self
                .retry_ladder
                .get(failures.attempts.saturating_sub(1) as usize)
                .copied(),
        };
        if let Some(after) = step {
            self.delay(tag, failures, after).await?;
            Ok(RetryOutcome::Again { after })
        } else {
            self.bury(tag, failures).await?;
            Ok(RetryOutcome::DeadLettered)
        }
    }

    /// This message can never work: it moves to [`QueueName::Dead`]. `now` is noted in its failures.
    ///
    /// On a consumer of [`QueueName::Dead`] the same as [`retry`](Self::retry).
    ///
    /// Durable before the original is removed. After `Unavailable` the message is given back.
    pub async fn dead_letter(
        &self,
        delivery: Delivery,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), QueueError> {
        if self.queue == QueueName::Dead {
            return self.retry(delivery, reason, now).await.map(|_| ());
        }
        let (tag, failures) = self.one_failure_more(delivery, reason, now);
        self.bury(tag, failures).await
    }

    /// The outside failed: puts the messages back at the front of their queue, and counts no attempt.
    pub async fn give_back(&self, deliveries: Vec<Delivery>) -> Result<(), QueueError> {
        let tags = deliveries.into_iter().map(|delivery| delivery.tag).collect();
        match &self.backend {
            Backend::Embedded(consumer) => consumer.give_back(tags).await,
        }
    }

    fn one_failure_more(&self, delivery: Delivery, reason: &str, now: DateTime<Utc>) -> (Tag, Failures) {
        let failures = match (self.queue, delivery.message.failures) {
            // They tell of the queue where it died, and of nothing that happens on the way to its grave.
            (QueueName::Dead, Some(failures)) => failures,
            (queue, previous) => Failures::after(previous, queue, reason, now),
        };
        (delivery.tag, failures)
    }

    async fn delay(&self, tag: Tag, failures: Failures, after: Duration) -> Result<(), QueueError> {
        match &self.backend {
            Backend::Embedded(consumer) => consumer.delay(tag, failures, after).await,
        }
    }

    async fn bury(&self, tag: Tag, failures: Failures) -> Result<(), QueueError> {
        match &self.backend {
            Backend::Embedded(consumer) => consumer.bury(tag, failures).await,
        }
    }
}

/// The longest that a message rests on this ladder.
pub(crate) fn longest_rest(retry_ladder: &[Duration]) -> Duration {
    retry_ladder.iter().max().copied().unwrap_or(REST_WITHOUT_LADDER)
}
