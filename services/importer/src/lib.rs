//! Reads past calls from CallRail's API and publishes them as the same events that webhooks become.
//!
//! Runs stand in the database, put there by the HTTP API, the command line or the reconciler. [`run`] works on one of
//! them at a time, page by page: [`page`] turns a page into events, which are published before the page is noted as
//! read. So an importer that is killed reads a page twice at most, and never leaves one out. Any number of importers
//! may run: a run is leased by one of them.
//!
//! What people want and what the reconciler looks for is worked on side by side: an import of years must not keep a call
//! that was missed an hour ago. [`reconcile`] makes the latter's runs and says what it does beside reading. [`archive`]
//! keeps recordings.

mod archive;
mod metrics;
mod page;
mod reconcile;
mod retry;
mod run;

use std::time::Duration;

use callrail::client::Client;
use calls::Reading;
use chrono::{DateTime, Utc};
use queue::Queue;
use runtime::{CancellationToken, Turns};
use store::{ImportSource, Store};
use uuid::Uuid;

pub use archive::{Recordings, delete_recordings};
pub use metrics::Metrics;
pub use reconcile::Reconcile;

/// What people want to have imported.
const WANTED: [ImportSource; 2] = [ImportSource::Api, ImportSource::Cli];

/// How an importer behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How calls are read.
    pub reading: Reading,
    /// How often to look whether there is a run to work on.
    pub look_every: Duration,
    /// How long a run stays this importer's own after it was last heard of: an importer that is killed keeps its run
    /// from the others for so long.
    pub lease: Duration,
    /// How many imported events of all runs may wait for the writers; the importer waits while there are more.
    pub max_waiting: u64,
    /// How long CallRail or the queue may be away before a run is given up.
    pub patience: Duration,
}

impl Settings {
    /// A look a second, a lease of 10 s, 4,000 events ahead of the writers, 10 minutes of patience.
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            look_every: Duration::from_secs(1),
            lease: Duration::from_secs(10),
            max_waiting: 4_000,
            patience: Duration::from_secs(600),
        }
    }
}

/// The service, ready to run.
#[derive(Clone)]
pub struct Importer {
    /// Asks CallRail for what people want to have imported, within the account's budget.
    pub backfill: Client,
    /// The same for what the reconciler looks for, which may use more of the budget.
    pub repair: Client,
    /// The runs, and how far the writers are.
    pub store: Store,
    /// Where the events go.
    pub queue: Queue,
    /// How it behaves.
    pub settings: Settings,
    /// Looks for what webhooks missed; `None`: only what people want is imported.
    pub reconcile: Option<Reconcile>,
    /// Keeps recordings; `None`: they stay at CallRail.
    pub recordings: Option<Recordings>,
    /// The current time.
    pub clock: fn() -> DateTime<Utc>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Importer {
    /// Works on whatever runs there are until `shutdown`; then gives the runs under way back, for the next importer to
    /// go on with.
    pub async fn run(self, shutdown: CancellationToken) {
        let reconciling = async {
            if let Some(reconcile) = &self.reconcile {
                self.reconcile(reconcile, &shutdown).await;
            }
        };
        let keeping = async {
            if let Some(recordings) = &self.recordings {
                self.keep_recordings(recordings, &shutdown).await;
            }
        };
        tokio::join!(self.import(&shutdown), reconciling, keeping);
    }

    /// Works on what people want.
    async fn import(&self, shutdown: &CancellationToken) {
        let holder = Uuid::now_v7();
        let mut turns = self.turns(shutdown);
        while turns.next().await.is_some() {
            while !shutdown.is_cancelled() && self.work_on_one(&WANTED, holder, shutdown).await {}
        }
    }

    /// When to look for work.
    fn turns(&self, shutdown: &CancellationToken) -> Turns {
        Turns::every(self.settings.look_every, shutdown)
    }
}
