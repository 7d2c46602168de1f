//! An importer between a simulated CallRail, a real queue and a real database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callrail::client::{Budget, Client, ClientOptions, Credential, Retries, Unlimited};
use callrail_simulator::{ApiOptions, SimulatedAccount, SimulatedApi};
use calls::{CallEvent, Region};
use chrono::{DateTime, TimeDelta, Utc};
use importer::{Importer, Metrics, Settings};
use queue::{Queue, QueueName, QueueOptions};
use runtime::CancellationToken;
use store::{DatabaseUrl, Import, ImportSource, NewImport, Store};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Far more than anything needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The present, as the simulated CallRail takes it.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// A CallRail, a queue and a database.
pub(crate) struct Bench {
    pub(crate) account: Arc<SimulatedAccount>,
    pub(crate) api: SimulatedApi,
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    /// With calls of the last 40 days.
    pub(crate) async fn new(calls: usize) -> Self {
        let start = now() - TimeDelta::days(40);
        let every = (now() - start) / i32::try_from(calls + 1).unwrap();
        Self::of(SimulatedAccount::history(7, calls, start, every)).await
    }

    /// With the calls of this account, and webhooks set up.
    pub(crate) async fn of(account: SimulatedAccount) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let account = Arc::new(account);
        let options = ApiOptions {
            now: Some(now()),
            webhook_config: Some(serde_json::Map::new()),
            ..ApiOptions::default()
        };
        let folder = TempDir::new().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("trunkline.db"));
        Store::migrate(&url).await.unwrap();
        let queue = format!("embedded://{}/queue.db", folder.path().display());
        Self {
            api: SimulatedApi::start(Arc::clone(&account), options).unwrap(),
            account,
            queue: Queue::connect(&queue.parse().unwrap(), QueueOptions::default())
                .await
                .unwrap(),
            store: Store::connect(&url).await.unwrap(),
            folder,
        }
    }

    /// An import of everything.
    pub(crate) async fn wanted(&self) -> Import {
        let new = NewImport {
            source: ImportSource::Api,
            start: now() - TimeDelta::days(40),
            end: now(),
            company: None,
        };
        self.store.create_import(new, now()).await.unwrap()
    }

    /// A client of the API, with as many requests as this grants.
    pub(crate) fn client(&self, key: &str, budget: Arc<dyn Budget>) -> Client {
        client_of(&self.api.base_url(), &self.account.account_id, key, budget)
    }

    pub(crate) fn importer(&self, key: &str) -> Importer {
        self.importer_at(&self.api.base_url(), &self.account.account_id, key)
    }

    pub(crate) fn importer_at(&self, url: &str, account: &str, key: &str) -> Importer {
        let client = || client_of(url, account, key, Arc::new(Unlimited));
        Importer {
            backfill: client(),
            repair: client(),
            store: self.store.clone(),
            queue: self.queue.clone(),
            settings: Settings {
                look_every: Duration::from_millis(10),
                lease: Duration::from_secs(5),
                max_waiting: 1_000_000,
                // Two attempts.
                patience: Duration::from_millis(100),
                ..Settings::new(Region::US.into())
            },
            reconcile: None,
            recordings: None,
            clock: Utc::now,
            metrics: Metrics::default(),
        }
    }

    pub(crate) fn start(importer: Importer) -> Running {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(importer.run(shutdown.clone()));
        Running { shutdown, task }
    }

    pub(crate) async fn run(&self, id: Uuid) -> Import {
        self.store.import(id).await.unwrap().unwrap()
    }

    /// Lets an importer work until the run has ended.
    pub(crate) async fn work(&self, importer: Importer, id: Uuid) -> Import {
        let running = Self::start(importer);
        let ended = async {
            loop {
                let run = self.run(id).await;
                if !run.state.is_open() {
                    return run;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = timeout(PATIENCE, ended).await.unwrap();
        running.stop().await;
        ended
    }

    /// All that was published, by call.
    pub(crate) async fn published(&self) -> Vec<CallEvent> {
        let mut consumer = self.queue.consume(QueueName::Backfill).await.unwrap();
        let mut events = Vec::new();
        let waiting = |depths: Vec<(QueueName, u64)>| {
            let depth = depths.into_iter().find(|(name, _)| *name == QueueName::Backfill);
            depth.unwrap().1
        };
        while waiting(self.queue.depths().await.unwrap()) > 0 {
            let batch = consumer.next_batch(1_000).await.unwrap();
            let decoded = batch
                .iter()
                .map(|delivery| CallEvent::decode(&delivery.message.body).unwrap());
            events.extend(decoded);
            consumer.acknowledge(&batch).await.unwrap();
        }
        events
    }

    pub(crate) fn calls(&self) -> BTreeSet<String> {
        self.api.visible_calls().into_iter().collect()
    }
}

impl Running {
    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn ids(events: &[CallEvent]) -> BTreeSet<String> {
    events
        .iter()
        .map(|event| event.call.call_sid.to_string())
        .collect()
}

/// A client that tries once.
fn client_of(url: &str, account: &str, key: &str, budget: Arc<dyn Budget>) -> Client {
    let options = ClientOptions {
        retries: Retries::none(),
        timeout: Duration::from_secs(5),
        budget,
        http: reqwest::Client::builder().no_proxy(),
        ..ClientOptions::default()
    };
    Client::new(
        url.parse().unwrap(),
        account.parse().unwrap(),
        Credential::api_key(key).unwrap(),
        options,
    )
    .unwrap()
}
