//! What the service counts.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Accepted,
    Quarantined,
    BadSignature,
    Unread,
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// The counters; clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    deliveries: Family<Labels, Counter>,
    acceptance_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let deliveries = Family::<Labels, Counter>::default();
        registry.register(
            "webhook_deliveries",
            "Deliveries of webhooks by what became of them",
            deliveries.clone(),
        );
        // 0.5 ms to 8 s.
        let acceptance_seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        registry.register(
            "webhook_acceptance_seconds",
            "Time from the headers of a delivery to its acceptance",
            acceptance_seconds.clone(),
        );
        Self {
            deliveries,
            acceptance_seconds,
        }
    }

    pub(crate) fn accepted_after(&self, took: Duration) {
        self.acceptance_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.deliveries.get_or_create(&Labels { outcome }).inc();
    }
}
