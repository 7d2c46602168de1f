//! How messages travel between Trunkline's services: publish with confirm, consume in batches, acknowledge,
//! retry with growing pauses, dead-letter, give back.
//!
//! A service is handed a [`Queue`] and cannot tell which backend is behind it. Delivery is at least once: a
//! message comes again until it is acknowledged, retried or dead-lettered, so whoever consumes must bear to see it
//! twice.

mod consumer;
mod embedded;
mod error;
mod message;
mod url;
mod worker;

use std::sync::Arc;
use std::time::Duration;

pub use consumer::{Consumer, RetryOutcome};
pub use error::{Cause, QueueError};
pub use message::{Delivery, Failures, Message, QueueName, UnknownQueue};
pub use url::QueueUrl;
pub use worker::{Handler, Outside, Pauses, Verdict, Worker};

/// A body may be this long, in bytes, and no longer: what the public endpoints accept (16 MiB) fits even when it is
/// wrapped in JSON and escaped.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The queues of one Trunkline. Cheap to clone; clones share one connection, which ends with the last of them and
/// of their consumers.
#[derive(Clone, Debug)]
pub struct Queue {
    backend: Backend,
    retry_ladder: Arc<[Duration]>,
}

#[derive(Clone, Debug)]
enum Backend {
    Embedded(embedded::Embedded),
}

/// What may be chosen about a queue; every process of one installation should choose the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a message rests after its first, second, … failure. One failure more than there are steps, and it
    /// is dead-lettered.
    pub retry_ladder: Vec<Duration>,
}

impl Default for QueueOptions {
    /// 1 s, 10 s, 1 min, 10 min.
    fn default() -> Self {
        Self {
            retry_ladder: [1, 10, 60, 600].map(Duration::from_secs).to_vec(),
        }
    }
}

impl Queue {
    /// Opens the queue, creating what is missing.
    ///
    /// Fails with `CannotOpen` or `NewerFormat` when this will not work without a person.
    pub async fn connect(url: &QueueUrl, options: QueueOptions) -> Result<Self, QueueError> {
        let retry_ladder: Arc<[Duration]> = options.retry_ladder.into();
        let longest_rest = consumer::longest_rest(&retry_ladder);
        let backend = Backend::Embedded(embedded::Embedded::open(url.path(), longest_rest).await?);
        Ok(Self {
            backend,
            retry_ladder,
        })
    }

    /// `Ok` exactly when the message is durable: fsynced, or confirmed by the broker. After an error, or when the
    /// future is dropped, it may or may not be there.
    pub async fn publish(&self, queue: QueueName, message: Message) -> Result<(), QueueError> {
        self.publish_all(queue, vec![message]).await
    }

    /// `Ok` when all of them are durable; after an error some may be there. They keep their order.
    pub async fn publish_all(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        if let Some(message) = messages
            .iter()
            .find(|message| message.body.len() > MAX_BODY_BYTES)
        {
            return Err(QueueError::TooLarge {
                size: message.body.len(),
            });
        }
        match &self.backend {
            Backend::Embedded(embedded) => embedded.publish(queue, messages).await,
        }
    }

    /// Starts to consume. Several consumers of one queue share the work: no message is with two of them at a time.
    ///
    /// Fails with `InUse` when the backend allows one consuming process at a time and there is another.
    pub async fn consume(&self, queue: QueueName) -> Result<Consumer, QueueError> {
        let backend = match &self.backend {
            Backend::Embedded(embedded) => consumer::Backend::Embedded(embedded.consume(queue).await?),
        };
        Ok(Consumer::new(backend, queue, Arc::clone(&self.retry_ladder)))
    }

    /// How many messages each queue has, in the order of [`QueueName::ALL`]: waiting, resting before a retry, or
    /// delivered and not settled yet.
    pub async fn depths(&self) -> Result<Vec<(QueueName, u64)>, QueueError> {
        match &self.backend {
            Backend::Embedded(embedded) => embedded.depths().await,
        }
    }
}
