//! What the service counts.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The counters; clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    events: Counter,
    rows: Counter,
    transaction_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Counter::default(),
            rows: Counter::default(),
            // 0.5 ms to 8 s.
            transaction_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 15)),
        };
        registry.register(
            "call_events_applied",
            "Call events that are in the database",
            metrics.events.clone(),
        );
        registry.register(
            "interactions_written",
            "Interactions that were new or changed",
            metrics.rows.clone(),
        );
        registry.register(
            "transaction_seconds",
            "Time that the database took for a batch of call events",
            metrics.transaction_seconds.clone(),
        );
        metrics
    }

    /// Notes a batch that is in the database.
    pub(crate) fn applied(&self, events: usize, rows: usize, took: Duration) {
        self.transaction_seconds.observe(took.as_secs_f64());
        self.events.inc_by(events as u64);
        self.rows.inc_by(rows as u64);
    }
}
