//! What the service counts.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use queue::QueueName;
use runtime::{CancellationToken, Turns};
use store::{Applied, Store};

/// How often it is counted what waits in the database.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How the caller of a new row was matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Match {
    Matched,
    Ambiguous,
    Unmatched,
}

/// How often a dead letter was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Tried {
    Never,
    Once,
    Often,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByQueue {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMatch {
    result: Match,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTries {
    tried: Tried,
}

/// The counters; clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    events: Counter,
    rows: Counter,
    matches: Family<ByMatch, Counter>,
    transaction_seconds: Histogram,
    written_seconds: Family<ByQueue, Histogram, fn() -> Histogram>,
    dead_letters: Family<ByTries, Gauge>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Counter::default(),
            rows: Counter::default(),
            matches: Family::default(),
            // 0.5 ms to 8 s.
            transaction_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 15)),
            // 4 ms to 36 h: outages last.
            written_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.004, 4.0, 13))
            }),
            dead_letters: Family::default(),
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
            "matches",
            "New interactions by how their callers were matched with the CRM's people",
            metrics.matches.clone(),
        );
        registry.register(
            "transaction_seconds",
            "Time that the database took for a batch of call events",
            metrics.transaction_seconds.clone(),
        );
        registry.register(
            "event_written_seconds",
            "Time from the receipt of a webhook until it was in the database",
            metrics.written_seconds.clone(),
        );
        registry.register(
            "dead_letters_waiting",
            "Dead letters that wait for somebody to look at them, by how often they were tried",
            metrics.dead_letters.clone(),
        );
        metrics
    }

    /// Notes a batch of a queue that is in the database: how many events, and when its webhooks were received.
    pub(crate) fn applied(
        &self,
        queue: QueueName,
        events: usize,
        received: &[DateTime<Utc>],
        applied: &Applied,
        took: Duration,
        now: DateTime<Utc>,
    ) {
        self.transaction_seconds.observe(took.as_secs_f64());
        self.events.inc_by(events as u64);
        self.rows.inc_by(applied.rows_written as u64);
        let matches = applied.matches;
        for (result, count) in [
            (Match::Matched, matches.matched),
            (Match::Ambiguous, matches.ambiguous),
            (Match::Unmatched, matches.unmatched),
        ] {
            self.matches
                .get_or_create(&ByMatch { result })
                .inc_by(count as u64);
        }
        let labels = ByQueue {
            queue: queue.as_str(),
        };
        let seconds = self.written_seconds.get_or_create(&labels);
        for at in received {
            // Several machines have several clocks.
            let waited = (now - at).to_std().unwrap_or_default();
            seconds.observe(waited.as_secs_f64());
        }
    }

    /// Counts what waits in the database, until `shutdown`.
    pub(crate) async fn keep_counting(self, store: Store, shutdown: CancellationToken) {
        let mut turns = Turns::every(COUNT_EVERY, &shutdown);
        while turns.next().await.is_some() {
            let waiting = match store.count_waiting_dead_letters().await {
                Ok(waiting) => waiting,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, "could not count the dead letters");
                    continue;
                }
            };
            for (tried, count) in [
                (Tried::Never, waiting.never_tried),
                (Tried::Once, waiting.tried_once),
                (Tried::Often, waiting.tried_often),
            ] {
                self.dead_letters
                    .get_or_create(&ByTries { tried })
                    .set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
}
