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
mod metrics;
mod rabbitmq;
mod spool;
mod url;
mod worker;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use trace::{Kind, Span, Tracer};

use crate::metrics::Metrics;
use crate::spool::Spool;
use crate::url::Place;

pub use consumer::{Consumer, RetryOutcome};
pub use error::{Cause, QueueError};
pub use message::{Delivery, Failures, Message, QueueName, UnknownQueue};
pub use rabbitmq::{Broker, Policies};
pub use spool::{SpoolOptions, SpoolState, spools};
pub use url::QueueUrl;
pub use worker::{Handler, Outside, Pauses, Verdict, Worker};

/// A body may be this long, in bytes, and no longer: what the public endpoints accept (16 MiB) fits even when it is
/// wrapped in JSON and escaped.
pub const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The queues of one Trunkline. Cheap to clone; clones share what connects them, which ends with the last of them and
/// of their consumers.
#[derive(Clone)]
pub struct Queue {
    backend: Backend,
    spool: Option<Spool>,
    retry_ladder: Arc<[Duration]>,
    metrics: Metrics,
    tracer: Tracer,
}

#[derive(Clone, Debug)]
enum Backend {
    Embedded(embedded::Embedded),
    RabbitMq(rabbitmq::RabbitMq),
}

/// What may be chosen about a queue; every process of one installation should choose the same ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a message rests after its first, second, … failure. One failure more than there are steps, and it
    /// is dead-lettered.
    pub retry_ladder: Vec<Duration>,
    /// How long a published message may go without the confirm of `RabbitMQ` before it fails as `Unavailable`. The
    /// embedded queue needs no such limit.
    pub publish_timeout: Duration,
    /// How long opening the queue waits for the first attempt to connect to `RabbitMQ`. The attempts go on.
    pub first_attempt: Duration,
    /// How many messages `RabbitMQ` sends to a consumer ahead of their settling: at least one. They are in memory, and
    /// other consumers do not get them.
    pub prefetch: u16,
    /// Certificates (PEM) of authorities to be trusted beside the public ones, for `amqps://`.
    pub ca_file: Option<PathBuf>,
}

/// Whether messages can be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As it should be.
    Ready,
    /// They can, but a person should know why this is not as it should be.
    Degraded(String),
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(f)
    }
}

impl Default for QueueOptions {
    /// A ladder of 1 s, 10 s, 1 min, 10 min; 5 s for a confirm, 30 s for the first attempt to connect; 256 messages ahead; the public authorities.
    fn default() -> Self {
        Self {
            retry_ladder: [1, 10, 60, 600].map(Duration::from_secs).to_vec(),
            publish_timeout: Duration::from_secs(5),
            first_attempt: Duration::from_secs(30),
            prefetch: 256,
            ca_file: None,
        }
    }
}

impl Queue {
    /// Opens the queue, creating what is missing.
    ///
    /// Fails with `CannotOpen`, `NewerFormat` or `CannotReadCertificates` when this will not work without a person.
    /// A `RabbitMQ` that cannot be reached is no failure, for a service must be able to start without it: this waits for
    /// the first attempt only, the attempts go on, and until one succeeds publishing fails with `Unavailable`, which says
    /// why.
    pub async fn connect(url: &QueueUrl, options: QueueOptions) -> Result<Self, QueueError> {
        let longest_rest = consumer::longest_rest(&options.retry_ladder);
        let backend = match url.place() {
            Place::Embedded(path) => Backend::Embedded(embedded::Embedded::open(path, longest_rest).await?),
            Place::RabbitMq(hosts) => {
                let rests = options.retry_ladder.iter().copied().chain([longest_rest]);
                Backend::RabbitMq(rabbitmq::RabbitMq::open(hosts.clone(), rests, &options).await?)
            }
        };
        Ok(Self {
            backend,
            spool: None,
            retry_ladder: options.retry_ladder.into(),
            metrics: Metrics::default(),
            tracer: Tracer::default(),
        })
    }

    /// The same queue, which tells of what is published and worked on for messages that belong to a trace.
    #[must_use]
    pub fn with_tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The same queue, which keeps on this machine's disk what the broker does not confirm in time, and sends it on when
    /// the broker confirms again. For those whose messages exist nowhere else. The embedded queue is on this machine
    /// already and stays as it is.
    ///
    /// Takes the first spool in the folder that nobody owns; it is given up with the last clone. Fails with `CannotOpen`
    /// when no spool can be made there.
    pub async fn with_spool(mut self, options: SpoolOptions) -> Result<Self, QueueError> {
        if matches!(self.backend, Backend::RabbitMq(_)) && self.spool.is_none() {
            self.spool = Some(Spool::open(self.clone(), options).await?);
        }
        Ok(self)
    }

    /// `Ok` exactly when the message is durable: fsynced, or confirmed by the broker. After an error, or when the
    /// future is dropped, it may or may not be there.
    pub async fn publish(&self, queue: QueueName, message: Message) -> Result<(), QueueError> {
        self.publish_all(queue, vec![message]).await
    }

    /// `Ok` when all of them are durable; after an error some may be there. They keep their order.
    pub async fn publish_all(&self, queue: QueueName, mut messages: Vec<Message>) -> Result<(), QueueError> {
        if let Some(message) = messages
            .iter()
            .find(|message| message.body.len() > MAX_BODY_BYTES)
        {
            return Err(QueueError::TooLarge {
                size: message.body.len(),
            });
        }
        let mut spans = self.begin_spans(queue, &mut messages);
        let published = match &self.spool {
            Some(spool) => spool.publish(queue, messages).await,
            None => self.publish_without_spool(queue, messages).await,
        };
        if published.is_err() {
            spans.iter_mut().for_each(Span::fail);
        }
        published
    }

    /// The spans of publishing; what consumers do for the messages belongs under them.
    fn begin_spans(&self, queue: QueueName, messages: &mut [Message]) -> Vec<Span> {
        if !self.tracer.is_on() {
            return Vec::new();
        }
        let mut spans = Vec::with_capacity(messages.len());
        for message in messages {
            let mut span = self
                .tracer
                .begin(format_args!("publish {queue}"), Kind::Producer, message.trace);
            span.set("messaging.destination.name", queue.as_str());
            span.set("messaging.message.id", message.id);
            message.trace = span.context();
            spans.push(span);
        }
        spans
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    async fn publish_without_spool(
        &self,
        queue: QueueName,
        messages: Vec<Message>,
    ) -> Result<(), QueueError> {
        let (count, began) = (messages.len(), Instant::now());
        let published = match &self.backend {
            Backend::Embedded(embedded) => embedded.publish(queue, messages).await,
            Backend::RabbitMq(rabbitmq) => rabbitmq.publish(queue, messages).await,
        };
        self.metrics
            .published(queue, count, began.elapsed(), published.is_ok());
        published
    }

    /// Starts to consume. Several consumers of one queue share the work: no message is with two of them at a time,
    /// except that after a lost connection to `RabbitMQ` what was delivered comes again, perhaps to another.
    ///
    /// Fails with `InUse` when the backend allows one consuming process at a time and there is another.
    pub async fn consume(&self, queue: QueueName) -> Result<Consumer, QueueError> {
        let backend = match &self.backend {
            Backend::Embedded(embedded) => consumer::Backend::Embedded(embedded.consume(queue).await?),
            Backend::RabbitMq(rabbitmq) => consumer::Backend::RabbitMq(rabbitmq.consume(queue)),
        };
        Ok(Consumer::new(
            backend,
            queue,
            Arc::clone(&self.retry_ladder),
            self.metrics.clone(),
        ))
    }

    /// Registers what is counted of all that goes through this queue and its clones: messages confirmed and not
    /// confirmed, the time to the confirm, and how consumers settled.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// How many messages wait in each queue, in the order of [`QueueName::ALL`].
    ///
    /// The embedded queue also counts those that rest before a retry, and those that were delivered and are not settled.
    /// `RabbitMQ` does not tell these: to it, what it has sent to a consumer ahead of its turn is delivered.
    pub async fn depths(&self) -> Result<Vec<(QueueName, u64)>, QueueError> {
        match &self.backend {
            Backend::Embedded(embedded) => embedded.depths().await,
            Backend::RabbitMq(rabbitmq) => rabbitmq.depths().await,
        }
    }

    /// Whether messages can be published, here or into the spool.
    pub async fn readiness(&self) -> Result<Readiness, QueueError> {
        match (&self.spool, &self.backend) {
            (Some(spool), _) => spool.readiness().await,
            // A file on a full disk can still be read.
            (None, Backend::Embedded(embedded)) => embedded.probe().await.map(|()| Readiness::Ready),
            (None, Backend::RabbitMq(_)) => self.depths().await.map(|_| Readiness::Ready),
        }
    }

    /// Sends on what is in the spools of a folder that nobody owns, as [`with_spool`](Self::with_spool) does by itself,
    /// and tells of each batch: the number of the spool and of the messages that have arrived. Those of running processes
    /// are left alone.
    ///
    /// Fails with `Unavailable` as soon as the queue does not confirm; what has arrived is no longer in the spool.
    pub async fn send_on_spools(
        &self,
        folder: &Path,
        mut sent: impl FnMut(u32, usize),
    ) -> Result<(), QueueError> {
        for spool in spools(folder).await? {
            spool::send_on_orphan(self, folder, spool.number, |messages| {
                sent(spool.number, messages);
            })
            .await?;
        }
        Ok(())
    }
}
