//! What the service counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// The counters; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pages: Counter,
    calls: Counter,
    unreadable: Counter,
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
    }

    pub(crate) fn read_page(&self, calls: usize, unreadable: usize) {
        self.pages.inc();
        self.calls.inc_by(calls as u64);
        self.unreadable.inc_by(unreadable as u64);
    }
}
