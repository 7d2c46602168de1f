//! The budget of requests to CallRail's API, as its client asks for it: kept in the database, so that all processes of
//! one account share it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use callrail::client::{Budget, BudgetError, Permission, Usage};
use chrono::Utc;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use runtime::{CancellationToken, Turns};
use store::{Permit, ReportedUsage, RequestClass, RequestLimits, Store};
use tokio::time::Instant;

/// How long somebody who waits for an answer is kept waiting for a request to be granted.
const PATIENCE: Duration = Duration::from_secs(3);

/// Nobody rests longer before asking again: what CallRail reports may have made room meanwhile.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How often it is counted how much of the budget is used.
const COUNT_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Window {
    Minute,
    Hour,
    Day,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWindow {
    window: Window,
}

/// How much of the budget is used, by all processes and other tools together; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct BudgetMetrics {
    used: Family<ByWindow, Gauge>,
    limit: Family<ByWindow, Gauge>,
}

impl BudgetMetrics {
    /// Registers them; to be done once.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "callrail_requests_used",
            "Requests to CallRail's API in the last minute, hour and day, with those of other tools as far as CallRail tells",
            metrics.used.clone(),
        );
        registry.register(
            "callrail_requests_limit",
            "How many there may be",
            metrics.limit.clone(),
        );
        metrics
    }

    /// Counts until `shutdown`.
    pub(crate) async fn keep_counting(
        self,
        store: Store,
        limits: RequestLimits,
        shutdown: CancellationToken,
    ) {
        let mut turns = Turns::every(COUNT_EVERY, &shutdown);
        while turns.next().await.is_some() {
            let made = match store.requests_made(Utc::now()).await {
                Ok(made) => made,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "could not count the requests to CallRail's API");
                    continue;
                }
            };
            for (window, used, limit) in [
                (Window::Minute, made.minute, limits.per_minute),
                (
                    Window::Hour,
                    made.hour.saturating_add(made.hour_by_others),
                    limits.per_hour,
                ),
                (
                    Window::Day,
                    made.day.saturating_add(made.day_by_others),
                    limits.per_day,
                ),
            ] {
                let labels = ByWindow { window };
                self.used.get_or_create(&labels).set(used.into());
                self.limit.get_or_create(&labels).set(limit.into());
            }
        }
    }
}

/// The share of one class of requests.
pub(crate) struct StoreBudget {
    store: Store,
    class: RequestClass,
    limits: RequestLimits,
}

impl StoreBudget {
    pub(crate) fn new(store: Store, class: RequestClass, limits: RequestLimits) -> Self {
        Self { store, class, limits }
    }

    /// How long a request may wait; `None`: as long as it takes, since nobody looks on.
    fn patience(&self) -> Option<Duration> {
        match self.class {
            // Nobody waits for a recording to be kept, but by then a younger one may be first.
            RequestClass::Interactive | RequestClass::Recording | RequestClass::Archive => Some(PATIENCE),
            RequestClass::Backfill | RequestClass::Repair => None,
        }
    }

    async fn take(&self) -> Result<(), BudgetError> {
        let deadline = self.patience().map(|patience| Instant::now() + patience);
        loop {
            let now = Utc::now();
            let permit = self.store.take_request(self.class, &self.limits, now).await;
            let at = match permit {
                Ok(Permit::Granted) => return Ok(()),
                Ok(Permit::NotBefore(at)) => at,
                Err(source) => {
                    return Err(BudgetError::Unavailable {
                        source: Box::new(source),
                    });
                }
            };
            let rest = (at - now).to_std().unwrap_or_default();
            if deadline.is_some_and(|deadline| Instant::now() + rest > deadline) {
                return Err(BudgetError::Exhausted {
                    retry_after: Some(rest),
                });
            }
            tokio::time::sleep(rest.min(LONGEST_REST)).await;
        }
    }

    async fn note(&self, usage: Usage) {
        // What was not said takes nothing away.
        let (hour_used, hour_allowed) = usage
            .hourly
            .map_or((0, self.limits.per_hour), |quota| (quota.used, quota.allowed));
        let (day_used, day_allowed) = usage
            .daily
            .map_or((0, self.limits.per_day), |quota| (quota.used, quota.allowed));
        let told = ReportedUsage {
            hour_used,
            hour_allowed,
            day_used,
            day_allowed,
        };
        if let Err(error) = self.store.report_usage(told, Utc::now()).await {
            // The next answer tells it again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not note what CallRail says of the account's limits"
            );
        }
    }
}

impl Budget for StoreBudget {
    fn permit(&self) -> Permission<'_> {
        Box::pin(self.take())
    }

    fn report(&self, usage: Usage) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.note(usage))
    }
}

impl fmt::Debug for StoreBudget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreBudget")
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use callrail::client::Quota;
    use store::DatabaseUrl;

    use super::*;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let url = DatabaseUrl::Sqlite(folder.path().join("trunkline.db"));
        Store::migrate(&url).await.unwrap();
        Store::connect(&url).await.unwrap()
    }

    #[tokio::test]
    async fn somebody_who_waits_is_told_at_once_that_it_will_take_long() {
        let folder = tempfile::tempdir().unwrap();
        let limits = RequestLimits {
            per_hour: 1,
            ..RequestLimits::default()
        };
        let budget = StoreBudget::new(store(&folder).await, RequestClass::Interactive, limits);
        budget.permit().await.unwrap();
        let Err(BudgetError::Exhausted {
            retry_after: Some(rest),
        }) = budget.permit().await
        else {
            panic!("it was granted")
        };
        assert!(rest > Duration::from_secs(3_500), "{rest:?}");
    }

    #[tokio::test]
    async fn what_callrail_reports_counts_and_what_it_leaves_out_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let budget = StoreBudget::new(store.clone(), RequestClass::Backfill, RequestLimits::default());
        let hourly = Some(Quota {
            allowed: 1_000,
            used: 250,
        });
        budget.report(Usage { hourly, daily: None }).await;
        let made = store.requests_made(Utc::now()).await.unwrap();
        assert_eq!((made.hour_by_others, made.day_by_others), (250, 0));
        budget.permit().await.unwrap();
    }
}
