//! What a queue counts of itself. The names and labels are an interface: dashboards and alarms rely on them.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::message::QueueName;

/// The counters of one queue and its clones.
#[derive(Clone)]
pub(crate) struct Metrics {
    published: Family<ByQueue, Counter>,
    not_published: Family<ByQueue, Counter>,
    confirm_seconds: Family<ByQueue, Histogram>,
    settled: Family<BySettlement, Counter>,
    spooled: Counter,
    spooling: Gauge,
    spool_messages: Gauge,
    spool_bytes: Gauge,
}

/// How a consumer parts with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Settled {
    Acknowledged,
    Retried,
    DeadLettered,
    GivenBack,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByQueue {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySettlement {
    queue: &'static str,
    settlement: Settled,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            published: Family::default(),
            not_published: Family::default(),
            // 0.25 ms to 8 s.
            confirm_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
            }),
            settled: Family::default(),
            spooled: Counter::default(),
            spooling: Gauge::default(),
            spool_messages: Gauge::default(),
            spool_bytes: Gauge::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "queue_published",
            "Messages that the queue has confirmed as durable",
            self.published.clone(),
        );
        registry.register(
            "queue_not_published",
            "Messages that the queue has not confirmed",
            self.not_published.clone(),
        );
        registry.register(
            "queue_confirm_seconds",
            "Time from publishing to the confirm, of what was published together",
            self.confirm_seconds.clone(),
        );
        registry.register(
            "queue_settled",
            "Messages that consumers have settled, by how",
            self.settled.clone(),
        );
        registry.register(
            "spooled",
            "Messages that were kept in the spool, since the broker did not confirm them",
            self.spooled.clone(),
        );
        registry.register(
            "spooling",
            "1 while everything is kept in the spool, since the broker does not confirm; else 0",
            self.spooling.clone(),
        );
        registry.register(
            "spool_messages",
            "Messages in the spool that are still to be sent on",
            self.spool_messages.clone(),
        );
        registry.register(
            "spool_bytes",
            "The bytes of their bodies",
            self.spool_bytes.clone(),
        );
    }

    /// Notes how publishing came out.
    pub(crate) fn published(&self, queue: QueueName, messages: usize, took: Duration, confirmed: bool) {
        let labels = ByQueue {
            queue: queue.as_str(),
        };
        let counter = if confirmed {
            self.confirm_seconds
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
            &self.published
        } else {
            &self.not_published
        };
        counter.get_or_create(&labels).inc_by(messages as u64);
    }

    /// Notes what a consumer has settled.
    pub(crate) fn settled(&self, queue: QueueName, settlement: Settled, messages: usize) {
        let labels = BySettlement {
            queue: queue.as_str(),
            settlement,
        };
        self.settled.get_or_create(&labels).inc_by(messages as u64);
    }

    /// Notes messages that go to the spool.
    pub(crate) fn spooled(&self, messages: u64) {
        self.spooled.inc_by(messages);
    }

    /// Notes whether everything goes to the spool.
    pub(crate) fn spooling(&self, spooling: bool) {
        self.spooling.set(spooling.into());
    }

    /// Notes that there is more in the spools of this process.
    pub(crate) fn spool_grew(&self, messages: u64, bytes: u64) {
        self.spool_messages.inc_by(signed(messages));
        self.spool_bytes.inc_by(signed(bytes));
    }

    /// Notes that there is less.
    pub(crate) fn spool_shrank(&self, messages: u64, bytes: u64) {
        self.spool_messages.dec_by(signed(messages));
        self.spool_bytes.dec_by(signed(bytes));
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
