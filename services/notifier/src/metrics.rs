//! What the service counts.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Pusher took it.
    Pushed,
    /// No news any more, or never meant to interrupt: it stands in its table.
    NotPushed,
    /// Pusher refused it, or it is no alert.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// The counters; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    alerts: Family<Labels, Counter>,
    request_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            alerts: Family::default(),
            // 1 ms to 8 s.
            request_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
        }
    }
}

impl Metrics {
    /// Registers them; to be done once.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("alerts", "Alerts by what became of them", self.alerts.clone());
        registry.register(
            "pusher_request_seconds",
            "Time that Pusher took to answer, whatever the answer",
            self.request_seconds.clone(),
        );
    }

    pub(crate) fn count(&self, outcome: Outcome, alerts: usize) {
        self.alerts
            .get_or_create(&Labels { outcome })
            .inc_by(alerts as u64);
    }

    pub(crate) fn answered_after(&self, took: Duration) {
        self.request_seconds.observe(took.as_secs_f64());
    }
}
