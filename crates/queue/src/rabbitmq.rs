//! The `RabbitMQ` backend: replicated queues on one broker or a cluster of them.
//!
//! Two connections, each kept up by a loop of its own: one publishes, one consumes. A broker that runs out of memory or
//! disk stops to read from those who publish; acknowledgements, which make room, must not be stuck behind them.

mod consumer;
mod envelope;
mod failure;
mod host;
mod link;
mod policies;
mod publisher;
mod topology;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::options::QueueDeclareOptions;
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{FieldTable, ShortString};
use tokio::time::timeout;

pub(crate) use self::consumer::RabbitConsumer;
use self::failure::Failure;
pub use self::host::Broker;
pub(crate) use self::host::Host;
use self::link::{Generation, Link, Plan};
pub use self::policies::Policies;
use self::publisher::{Publisher, Target};
use self::topology::{Topology, short};
use crate::QueueOptions;
use crate::error::QueueError;
use crate::message::{Message, QueueName};

/// How long the broker may take to tell the depths.
const ASKING: Duration = Duration::from_secs(5);

/// A handle on the connections; they end with the last handle and the last consumer.
#[derive(Clone)]
pub(crate) struct RabbitMq {
    plan: Arc<Plan>,
    publisher: Publisher,
    /// Made for the first consumer.
    consuming: Arc<OnceLock<Link>>,
    last_consumer: Arc<AtomicU64>,
    prefetch: u16,
}

impl RabbitMq {
    /// Waits for the first attempt to connect, but goes on trying when it fails. `rests`: how long messages may rest.
    pub(crate) async fn open(
        hosts: Vec<Host>,
        rests: impl IntoIterator<Item = Duration>,
        options: &QueueOptions,
    ) -> Result<Self, QueueError> {
        let cert_chain = match &options.ca_file {
            Some(path) => Some(read_certificates(path).await?),
            None => None,
        };
        let plan = Arc::new(Plan {
            hosts,
            tls: OwnedTLSConfig {
                identity: None,
                cert_chain,
            },
            topology: Topology::new(rests),
        });
        let publishing = Link::start(Arc::clone(&plan), "trunkline publishing");
        // Whether it came out, and how, is seen by whoever publishes.
        let _ = timeout(options.first_attempt, publishing.watch().first_outcome()).await;
        Ok(Self {
            publisher: Publisher::start(publishing, options.publish_timeout),
            plan,
            consuming: Arc::default(),
            last_consumer: Arc::default(),
            prefetch: options.prefetch.max(1),
        })
    }

    pub(crate) async fn publish(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        self.publisher.publish(&Target::queue(queue), messages).await
    }

    pub(crate) fn consume(&self, queue: QueueName) -> RabbitConsumer {
        let link = self
            .consuming
            .get_or_init(|| Link::start(Arc::clone(&self.plan), "trunkline consuming"));
        let number = self.last_consumer.fetch_add(1, Ordering::Relaxed);
        RabbitConsumer::start(number, queue, self.prefetch, link.clone(), self.publisher.clone())
    }

    pub(crate) async fn depths(&self) -> Result<Vec<(QueueName, u64)>, QueueError> {
        let generation = self.publisher.link().usable().map_err(QueueError::unavailable)?;
        let asked = timeout(ASKING, depths(&generation)).await;
        asked
            .unwrap_or(Err(Failure::Mute(ASKING)))
            .map_err(QueueError::unavailable)
    }
}

impl fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMq")
            .field("hosts", &self.plan.hosts)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Straight into this queue.
    fn queue(queue: QueueName) -> Self {
        Self {
            exchange: ShortString::default(),
            routing_key: short(queue.as_str()),
        }
    }
}

/// What is ready to be delivered.
async fn depths(generation: &Generation) -> Result<Vec<(QueueName, u64)>, Failure> {
    let channel = generation.channel().await?;
    let mut depths = Vec::with_capacity(QueueName::ALL.len());
    for queue in QueueName::ALL {
        let options = QueueDeclareOptions::durable().passive();
        let declared = channel
            .queue_declare(short(queue.as_str()), options, FieldTable::default())
            .await
            .map_err(Failure::lost)?;
        depths.push((queue, u64::from(declared.message_count())));
    }
    // When this fails, the connection is gone, and the next who uses it will hear of it.
    let _ = channel.close(200, "done".into()).await;
    Ok(depths)
}

async fn read_certificates(path: &Path) -> Result<String, QueueError> {
    let unreadable = |error| QueueError::CannotReadCertificates {
        path: path.to_owned(),
        source: Arc::new(error),
    };
    let pem = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(unreadable(std::io::Error::other(
            "there is no PEM certificate in it",
        )))
    }
}
