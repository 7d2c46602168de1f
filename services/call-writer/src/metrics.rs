//! What the service counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    events: Counter,
    rows: Counter,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
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
        metrics
    }

    pub(crate) fn count(&self, events: usize, rows: usize) {
        self.events.inc_by(events as u64);
        self.rows.inc_by(rows as u64);
    }
}
