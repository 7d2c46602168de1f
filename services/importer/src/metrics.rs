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
    recordings_archived: Counter,
    recordings_failed: Counter,
    recordings_gone: Counter,
    recordings_waiting: Gauge,
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
        registry.register(
            "recordings_archived",
            "Recordings that were fetched into the archive",
            self.recordings_archived.clone(),
        );
        registry.register(
            "recordings_failed",
            "Attempts to fetch a recording that came to nothing",
            self.recordings_failed.clone(),
        );
        registry.register(
            "recordings_gone",
            "Recordings that CallRail did not have any more",
            self.recordings_gone.clone(),
        );
        registry.register(
            "recordings_waiting",
            "Recordings that are still to be fetched into the archive",
            self.recordings_waiting.clone(),
        );
    }

    pub(crate) fn read_page(&self, calls: usize, unreadable: usize) {
        self.pages.inc();
        self.calls.inc_by(calls as u64);
        self.unreadable.inc_by(unreadable as u64);
    }

    /// Calls that were read one by one and published.
    pub(crate) fn read_alone(&self, calls: usize) {
        self.calls.inc_by(calls as u64);
    }

    pub(crate) fn found_gap(&self, calls: u64) {
        self.gap.set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    /// `None`: webhooks come.
    pub(crate) fn found_silence(&self, silence: Option<TimeDelta>) {
        self.silence
            .set(silence.map_or(0, |silence| silence.num_seconds()));
    }

    pub(crate) fn archived_recording(&self) {
        self.recordings_archived.inc();
    }

    pub(crate) fn failed_recording(&self) {
        self.recordings_failed.inc();
    }

    pub(crate) fn lost_recording(&self) {
        self.recordings_gone.inc();
    }

    pub(crate) fn recordings_wait(&self, recordings: u64) {
        self.recordings_waiting
            .set(i64::try_from(recordings).unwrap_or(i64::MAX));
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
