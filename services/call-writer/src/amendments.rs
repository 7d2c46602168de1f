//! Tells who calls where a ring had to go out with its number alone.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use calls::MatchRules;
use chrono::Utc;
use queue::Queue;
use runtime::{CancellationToken, Turns};
use store::Store;

use crate::outbox;

/// How often it is tried. What has to be told stands in the database, so it matters not which process told the ring.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Amends until `shutdown`.
pub(crate) async fn amend(store: Store, queue: Queue, rules: Arc<MatchRules>, shutdown: CancellationToken) {
    let mut turns = Turns::every(TRY_EVERY, &shutdown);
    while turns.next().await.is_some() {
        match store.amend_alerts(&rules, Utc::now()).await {
            Ok(alerts) => outbox::publish_and_note(&store, &queue, alerts).await,
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "could not look for rings that were told without a name"
            ),
        }
    }
}
