//! The reconciler: finds what webhooks missed, and what CallRail does not tell of at all.
//!
//! It reads the last hours often, the last days now and then and the last month once a day, each time by a run as people
//! want them ([`store::Pass`]). What differs from such a run is in [`pass`]: only news is published, and at the end
//! stands what the run has shown. Of several importers one makes a pass; what each of them does by itself is to look
//! whether webhooks come ([`webhooks`]) and at CallRail's integration, so that every one's metrics are true.

mod account;
mod pass;
mod reread;
mod vanished;
mod webhooks;

use std::error::Error;

use callrail::CompanyId;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::CancellationToken;
use store::{ImportSource, Pass, PassMade};
use uuid::Uuid;

use crate::Importer;
pub(crate) use pass::Compared;

/// What the reconciler minds.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// Whose calls are read and whose integration is looked at; `None`: the calls of all companies, and no integration.
    pub company: Option<CompanyId>,
}

/// How far back, and how often: the longest first, since it takes the turn of the others.
const PASSES: [(TimeDelta, TimeDelta); 3] = [
    (DAILY, TimeDelta::days(1)),
    (TimeDelta::hours(48), TimeDelta::hours(6)),
    (TimeDelta::hours(2), TimeDelta::minutes(15)),
];

/// The span of the pass that is made once a day.
const DAILY: TimeDelta = TimeDelta::days(30);

/// How soon to try again when the database did not answer.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

const LOOK_AT_WEBHOOKS: TimeDelta = TimeDelta::minutes(15);
const LOOK_AT_INTEGRATION: TimeDelta = TimeDelta::hours(1);

/// When something is to be done next.
#[derive(Default)]
struct Due {
    passes: [DateTime<Utc>; PASSES.len()],
    webhooks: DateTime<Utc>,
    integration: DateTime<Utc>,
}

impl Importer {
    /// Makes passes and works on them until `shutdown`.
    pub(crate) async fn reconcile(&self, reconcile: &Reconcile, shutdown: &CancellationToken) {
        let holder = Uuid::now_v7();
        let mut turns = self.turns(shutdown);
        let mut due = Due::default();
        while turns.next().await.is_some() {
            self.make_passes(reconcile, &mut due).await;
            while !shutdown.is_cancelled()
                && self
                    .work_on_one(&[ImportSource::Reconcile], holder, shutdown)
                    .await
            {}
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.look(reconcile, &mut due) => {}
            }
        }
    }

    /// Makes the passes whose turn it is.
    async fn make_passes(&self, reconcile: &Reconcile, due: &mut Due) {
        let now = (self.clock)();
        for ((span, every), due) in PASSES.into_iter().zip(&mut due.passes) {
            if now < *due {
                continue;
            }
            let pass = Pass {
                span,
                every,
                company: reconcile.company.clone(),
            };
            *due = match self.store.make_pass(&pass, now).await {
                // Looked at again soon, should it come to nothing.
                Ok(PassMade::Made(_)) => now + LOOK_AGAIN,
                Ok(PassMade::NotBefore(turn)) => turn,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "cannot make a pass of the reconciler"
                    );
                    now + LOOK_AGAIN
                }
            };
        }
    }

    /// Looks at what every process has a gauge of, when it is time.
    async fn look(&self, reconcile: &Reconcile, due: &mut Due) {
        let now = (self.clock)();
        if now >= due.webhooks {
            due.webhooks = now + LOOK_AT_WEBHOOKS;
            if let Err(error) = self.look_at_webhooks().await {
                tracing::error!(error = &error as &dyn Error, "cannot look whether webhooks come");
            }
        }
        if let Some(company) = &reconcile.company
            && now >= due.integration
        {
            due.integration = now + LOOK_AT_INTEGRATION;
            self.look_at_integration(company).await;
        }
    }
}
