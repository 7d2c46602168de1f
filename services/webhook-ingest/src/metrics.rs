//! What the service counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let deliveries = Family::<Labels, Counter>::default();
        registry.register(
            "webhook_deliveries",
            "Deliveries of webhooks by what became of them",
            deliveries.clone(),
        );
        Self { deliveries }
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.deliveries.get_or_create(&Labels { outcome }).inc();
    }
}
