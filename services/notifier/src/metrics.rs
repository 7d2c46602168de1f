//! What the service counts.

use std::time::Duration;

use calls::OutgoingAlert;
use chrono::{DateTime, Utc};
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

/// A step on the way of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Step {
    /// The caller was matched.
    Matched,
    /// It was stored and went into the queue.
    Queued,
    /// Pusher took it.
    Pushed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    until: Step,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// The counters; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    alerts: Family<Labels, Counter>,
    seconds: Family<StepLabels, Histogram, fn() -> Histogram>,
    request_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            alerts: Family::default(),
            // 5 ms to 41 s.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.0, 14))),
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
            "alert_seconds",
            "Time from the receipt of an event until its alert has come so far",
            self.seconds.clone(),
        );
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

    /// Pusher took an alert now.
    pub(crate) fn pushed(&self, outgoing: &OutgoingAlert, now: DateTime<Utc>) {
        self.count(Outcome::Pushed, 1);
        for (until, at) in [
            (Step::Matched, outgoing.way.matched_at),
            (Step::Queued, outgoing.way.queued_at),
            (Step::Pushed, Some(now)),
        ] {
            // Several machines have several clocks.
            let took = at.map(|at| (at - outgoing.alert.at).to_std().unwrap_or_default());
            if let Some(took) = took {
                let seconds = self.seconds.get_or_create(&StepLabels { until });
                seconds.observe(took.as_secs_f64());
            }
        }
    }

    pub(crate) fn answered_after(&self, took: Duration) {
        self.request_seconds.observe(took.as_secs_f64());
    }
}
