//! Takes away what is kept no longer, once a day.

use std::error::Error;
use std::time::Duration;

use chrono::Utc;
use runtime::CancellationToken;
use store::Store;
use tokio::time::{Instant, sleep_until};

const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How soon it is tried again when the database was away.
const AFTER_A_FAILURE: Duration = Duration::from_secs(5 * 60);

/// Works until `shutdown`, from the start on. What was begun then is gone on with at the next start.
pub(crate) async fn keep(store: Store, shutdown: CancellationToken) {
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = sleep_until(next) => {}
        }
        let retained = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            retained = store.retain(Utc::now()) => retained,
        };
        let pause = match retained {
            Ok(retained) => {
                tracing::info!(
                    calls = retained.calls,
                    alerts = retained.alerts,
                    dead_letters = retained.dead_letters,
                    "what is kept no longer was taken away"
                );
                EVERY
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "cannot take away what is kept no longer: trying again in 5 minutes"
                );
                AFTER_A_FAILURE
            }
        };
        next = Instant::now() + pause;
    }
}
