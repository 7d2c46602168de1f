//! The scaled shape: every service a process of its own, several of each, on a real RabbitMQ and PostgreSQL.

use std::sync::Arc;

use callrail_simulator::SimulatedAccount;
use chrono::Utc;
use fastrand::Rng;
use queue::{Queue, QueueOptions};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use store::{DatabaseUrl, Store};
use trunkline_tests::{Installation, Process, eventually};
use uuid::Uuid;

use crate::load::Load;

/// One process at a time is killed with kill -9 and started again, ingests and workers, while webhooks come in.
#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_killed_at_random_lose_and_double_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let broker = Vhost::new().await;
    let database: DatabaseUrl = given("TEST_DATABASE_URL").parse().unwrap();
    // The schema is taken away at the end, so it must be this test's own.
    let made = Store::migrate(&database).await.unwrap();
    assert!(
        made.first().is_some_and(|first| first.ends_with("000001")),
        "the database of TEST_DATABASE_URL has a schema `trunkline`: name one that has none"
    );

    let offices = [0, 1].map(|_| Office::new(rng.u64(..), &broker));
    let mut ingests = Vec::new();
    let mut workers = vec![Worker::start(&offices[0], "notifier")];
    let mut loads = Vec::new();
    for office in &offices {
        ingests.push(office.trunkline.start("webhook-ingest").await);
        workers.push(Worker::start(office, "call-writer"));
        loads.push(Load::start(&office.trunkline, &office.account));
    }
    for _ in 0..10 {
        loads[rng.usize(0..2)].accepts(rng.usize(20..150)).await;
        let worker = workers.swap_remove(rng.usize(0..workers.len()));
        workers.push(worker.killed().await);
        loads[rng.usize(0..2)].accepts(rng.usize(1..50)).await;
        let killed = rng.usize(0..2);
        ingests.remove(killed).kill().await;
        ingests.insert(killed, offices[killed].trunkline.start("webhook-ingest").await);
    }
    let mut sent = Vec::new();
    for load in loads {
        sent.push(load.finish().await);
    }
    work_off(workers, &broker).await;

    let store = Store::connect(&database).await.unwrap();
    let (mut rows, mut accepted) = (0, 0);
    for sent in &sent {
        rows += sent.check_calls(&store).await;
        accepted += sent.counts().0;
    }
    println!("{accepted} deliveries accepted, {rows} rows");
    assert_eq!(store.count_interactions().await.unwrap(), rows, "rows of no call");
    assert_eq!(store.waiting_dead_letters(10).await.unwrap(), []);

    for ingest in ingests {
        ingest.kill().await;
    }
    drop(store);
    Store::uninstall(&database).await.unwrap();
    broker.delete().await;
}

/// Lets the workers finish and end in order. What the broker had sent one of them ahead goes back to its queue then:
/// that is for the next one.
async fn work_off(mut workers: Vec<Worker<'_>>, broker: &Vhost) {
    let queue = Queue::connect(&broker.url().parse().unwrap(), QueueOptions::default())
        .await
        .unwrap();
    let waiting = || async {
        let depths = queue.depths().await.unwrap();
        depths.iter().map(|(_, messages)| messages).sum::<u64>()
    };
    loop {
        let worked_off = eventually(|| async { (waiting().await == 0).then_some(()) });
        assert!(
            worked_off.await.is_some(),
            "{} messages are left",
            waiting().await
        );
        let mut ended = Vec::new();
        for worker in workers {
            ended.push(worker.ended().await);
        }
        if waiting().await == 0 {
            return;
        }
        workers = ended
            .into_iter()
            .map(|(office, service)| Worker::start(office, service))
            .collect();
    }
}

/// A machine with services of its own, and a CallRail account that delivers to it.
struct Office {
    trunkline: Installation,
    account: Arc<SimulatedAccount>,
}

impl Office {
    fn new(seed: u64, broker: &Vhost) -> Self {
        let account = SimulatedAccount::generate(seed, 2_000, Utc::now());
        let trunkline = Installation::new()
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
            .with("DATABASE_URL", given("TEST_DATABASE_URL"))
            .with("QUEUE_URL", broker.url());
        Self {
            trunkline,
            account: Arc::new(account),
        }
    }
}

/// A process that consumes.
struct Worker<'a> {
    office: &'a Office,
    service: &'static str,
    process: Process,
}

impl<'a> Worker<'a> {
    fn start(office: &'a Office, service: &'static str) -> Self {
        Self {
            office,
            service,
            process: office.trunkline.spawn(service),
        }
    }

    /// Killed with kill -9, and started again.
    async fn killed(self) -> Self {
        self.process.kill().await;
        Self::start(self.office, self.service)
    }

    async fn ended(self) -> (&'a Office, &'static str) {
        let status = self.process.terminate().await;
        let (office, service) = (self.office, self.service);
        assert!(
            status.success(),
            "{service}: {status}\n{}",
            office.trunkline.logs()
        );
        (office, service)
    }
}

/// A virtual host of the broker for this test.
struct Vhost {
    name: String,
    admin: Url,
}

impl Vhost {
    async fn new() -> Self {
        let vhost = Self {
            name: format!("trunkline-{}", Uuid::now_v7()),
            admin: given("TEST_QUEUE_ADMIN_URL").parse().unwrap(),
        };
        let user = vhost.admin.username();
        let permissions = format!("permissions/{}/{user}", vhost.name);
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        vhost
            .request(Method::PUT, &format!("vhosts/{}", vhost.name), json!({}))
            .await;
        vhost.request(Method::PUT, &permissions, all).await;
        vhost
    }

    fn url(&self) -> String {
        let mut url: Url = given("TEST_QUEUE_URL").parse().unwrap();
        url.set_path(&self.name);
        url.to_string()
    }

    async fn delete(&self) {
        self.request(Method::DELETE, &format!("vhosts/{}", self.name), Value::Null)
            .await;
    }

    async fn request(&self, method: Method, path: &str, body: Value) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .request(method, self.admin.join(&format!("/api/{path}")).unwrap())
            .header("content-type", "application/json")
            .body(body.to_string());
        request.send().await.unwrap().error_for_status().unwrap();
    }
}

fn given(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run ./test, which starts the servers"))
}
