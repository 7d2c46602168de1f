//! What the service counts.

use chrono::TimeDelta;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters and gauges; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pages: Counter,
    calls: Counter,
    unreadable: Counter,
    gap: Gauge,
    silence: Gauge,
    vanished: Counter,
    vanishing_stopped: Counter,
    integration_active: Gauge,
}

impl Metrics {
    /// Registers them; to be done once.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "import_pages",
            "Pages of calls read from CallRail's API",
            self.pages.clone(),
        );
        registry.register(
            "import_calls",
            "Calls read from CallRail's API and published",
            self.calls.clone(),
        );
        registry.register(
            "import_calls_unreadable",
            "Calls from CallRail's API that cannot be read",
            self.unreadable.clone(),
        );
        registry.register(
            "gap_calls",
            "Calls of the last 24 hours whose end no webhook has told, though it is more than 30 minutes ago",
            self.gap.clone(),
        );
        registry.register(
            "webhook_silence_seconds",
            "For how long no webhook has told of a call, though at least 10 were usual in that time; 0: webhooks come",
            self.silence.clone(),
        );
        registry.register(
            "vanished_calls",
            "Calls that were hidden because they are gone from CallRail",
            self.vanished.clone(),
        );
        registry.register(
            "vanishing_stopped",
            "Passes in which so many calls seemed gone from CallRail that none was hidden",
            self.vanishing_stopped.clone(),
        );
        // Nobody has looked yet.
        self.integration_active.set(-1);
        registry.register(
            "integration_active",
            "Whether CallRail sends webhooks of the company: 1 yes, 0 no, -1 not known",
            self.integration_active.clone(),
        );
    }

    pub(crate) fn read_page(&self, calls: usize, unreadable: usize) {
        self.pages.inc();
        self.calls.inc_by(calls as u64);
        self.unreadable.inc_by(unreadable as u64);
    }

    pub(crate) fn found_gap(&self, calls: u64) {
        self.gap.set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    /// `None`: webhooks come.
    pub(crate) fn found_silence(&self, silence: Option<TimeDelta>) {
        self.silence
            .set(silence.map_or(0, |silence| silence.num_seconds()));
    }

    pub(crate) fn hid(&self, calls: usize) {
        self.vanished.inc_by(calls as u64);
    }

    pub(crate) fn stopped_hiding(&self) {
        self.vanishing_stopped.inc();
    }

    /// `None`: CallRail does not say.
    pub(crate) fn found_integration(&self, is_active: Option<bool>) {
        self.integration_active.set(is_active.map_or(-1, i64::from));
    }
}
