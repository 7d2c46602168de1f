//! The loop of every consumer, with the two kinds of failure kept apart: *this message* fails while others pass, or
//! *the outside* fails and no message is to blame.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trace::{Kind, Span};

use crate::Queue;
use crate::consumer::{Consumer, RetryOutcome};
use crate::error::{Cause, QueueError};
use crate::message::{Delivery, QueueName};

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is worked on: never again.
    Done,
    /// It failed, and may work later: the retry ladder.
    Retry(String),
    /// It can never work: a dead letter.
    Reject(String),
}

/// The outside failed: all messages of the batch go back, no attempt counts, and the worker pauses before it tries
/// again. However long that lasts, nothing is dead-lettered.
#[derive(Debug, thiserror::Error)]
#[error("cannot work at present")]
pub struct Outside(#[source] pub Cause);

/// Works on messages.
pub trait Handler: Send + Sync {
    /// Works on a batch and says what became of each message, in the order of the batch.
    ///
    /// Messages can come twice. The call is not cut short: at shutdown the batch under way is finished.
    fn handle(&self, deliveries: &[Delivery]) -> impl Future<Output = Result<Vec<Verdict>, Outside>> + Send;
}

/// How long to wait before the outside is tried again: doubling from the first to the longest.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first failure.
    pub first: Duration,
    /// However often it failed.
    pub longest: Duration,
}

impl Default for Pauses {
    /// 1 s to 30 s.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

/// Consumes one queue until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    queue: Queue,
    name: QueueName,
    max_batch: usize,
    pauses: Pauses,
    interval: Duration,
}

impl Worker {
    /// A worker on `name` that takes at most `max_batch` messages at a time.
    pub fn new(queue: Queue, name: QueueName, max_batch: usize, pauses: Pauses) -> Self {
        Self {
            queue,
            name,
            max_batch,
            pauses,
            interval: Duration::ZERO,
        }
    }

    /// Begins no batch sooner than so long after the one before, unless that was full: what comes meanwhile is worked on
    /// together, for little more than one message costs. A message that comes alone does not wait.
    #[must_use]
    pub fn with_interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Works until `shutdown`, through all failures.
    pub async fn run(self, handler: impl Handler, shutdown: CancellationToken) {
        let mut pause = self.pauses.first;
        while !shutdown.is_cancelled() {
            let failure = match self.queue.consume(self.name).await {
                Ok(consumer) => self.work(consumer, &handler, &shutdown, &mut pause).await,
                Err(error) => Some(error),
            };
            let Some(error) = failure else { return };
            tracing::error!(queue = %self.name, error = &error as &dyn Error, "cannot consume, trying again");
            rest(&mut pause, self.pauses.longest, &shutdown).await;
        }
    }

    /// Works until `shutdown` (`None`) or until the consumer fails.
    async fn work(
        &self,
        mut consumer: Consumer,
        handler: &impl Handler,
        shutdown: &CancellationToken,
        pause: &mut Duration,
    ) -> Option<QueueError> {
        loop {
            let batch = tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                batch = consumer.next_batch(self.max_batch) => batch,
            };
            let mut deliveries = match batch {
                Ok(deliveries) => deliveries,
                Err(error) => return Some(error),
            };
            let (began, is_full) = (Instant::now(), deliveries.len() >= self.max_batch);
            let together = self.begin_spans(&mut deliveries);
            let outcome = handler.handle(&deliveries).await;
            drop(together);
            match outcome {
                Ok(verdicts) => {
                    if let Err(error) = settle(&consumer, deliveries, verdicts).await {
                        return Some(error);
                    }
                    *pause = self.pauses.first;
                    if !is_full {
                        wait(self.interval.saturating_sub(began.elapsed()), shutdown).await;
                    }
                }
                Err(outside) => {
                    tracing::error!(
                        queue = %self.name,
                        error = &outside as &dyn Error,
                        messages = deliveries.len(),
                        pause_ms = pause.as_millis(),
                        "cannot work at present: gave the messages back"
                    );
                    for delivery in &mut deliveries {
                        delivery.span.set(VERDICT, "given back");
                        delivery.span.fail();
                    }
                    if let Err(error) = consumer.give_back(deliveries).await {
                        return Some(error);
                    }
                    rest(pause, self.pauses.longest, shutdown).await;
                }
            }
        }
    }

    /// Begins the span of the work on each message that belongs to a trace; returns that of the work on all of them.
    fn begin_spans(&self, deliveries: &mut [Delivery]) -> Span {
        let (tracer, name) = (self.queue.tracer(), self.name);
        let theirs = deliveries.iter().filter_map(|delivery| delivery.message.trace);
        let mut together = tracer.begin_batch(format_args!("batch {name}"), theirs);
        together.set("messaging.destination.name", name.as_str());
        together.set("messaging.batch.message_count", deliveries.len());
        for delivery in deliveries {
            let message = &delivery.message;
            let mut span = tracer.begin_in_batch(
                format_args!("process {name}"),
                Kind::Consumer,
                message.trace,
                &together,
            );
            span.set("messaging.destination.name", name.as_str());
            span.set("messaging.message.id", message.id);
            if let Some(failures) = &message.failures {
                span.set("trunkline.attempts_before", failures.attempts as usize);
            }
            delivery.span = span;
        }
        together
    }
}

/// What became of a message, in its span.
const VERDICT: &str = "trunkline.verdict";

/// Acknowledges all that are done with one call, and sends the others their way. What an error leaves unsettled
/// comes again when the consumer is dropped.
async fn settle(
    consumer: &Consumer,
    deliveries: Vec<Delivery>,
    verdicts: Vec<Verdict>,
) -> Result<(), QueueError> {
    let now = Utc::now();
    let mut done = Vec::with_capacity(deliveries.len());
    for (mut delivery, verdict) in deliveries.into_iter().zip(verdicts) {
        let id = delivery.message.id;
        let (word, failed) = match &verdict {
            Verdict::Done => ("done", false),
            Verdict::Retry(_) => ("failed", true),
            Verdict::Reject(_) => ("dead letter", true),
        };
        delivery.span.set(VERDICT, word);
        if failed {
            delivery.span.fail();
        }
        match verdict {
            Verdict::Done => done.push(delivery),
            Verdict::Retry(reason) => match consumer.retry(delivery, &reason, now).await? {
                RetryOutcome::Again { after } => {
                    let after_ms = after.as_millis();
                    tracing::warn!(queue = %consumer.queue(), message.id = %id, reason, after_ms, "a message failed");
                }
                RetryOutcome::DeadLettered => {
                    tracing::error!(queue = %consumer.queue(), message.id = %id, reason, "a message failed for good");
                }
            },
            Verdict::Reject(reason) => {
                consumer.dead_letter(delivery, &reason, now).await?;
                tracing::error!(queue = %consumer.queue(), message.id = %id, reason, "a message can never work");
            }
        }
    }
    if done.is_empty() {
        Ok(())
    } else {
        consumer.acknowledge(&done).await
    }
}

async fn rest(pause: &mut Duration, longest: Duration, shutdown: &CancellationToken) {
    wait(*pause, shutdown).await;
    *pause = (*pause * 2).min(longest);
}

async fn wait(time: Duration, shutdown: &CancellationToken) {
    // A timer that is due at once rings with the next millisecond, which every batch would wait for.
    if time.is_zero() {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shutdown.cancelled() => {}
    }
}
