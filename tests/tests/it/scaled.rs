//! The scaled shape: every service a process of its own, several of each, on a real RabbitMQ and PostgreSQL.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use callrail_simulator::SimulatedAccount;
use calls::AlertKind;
use chrono::{DateTime, Utc};
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use queue::{Queue, QueueOptions};
use store::{DatabaseUrl, Store};
use test_servers::{Database, Proxy, Vhost};
use tokio::net::TcpSocket;
use trunkline_tests::{Installation, Process, eventually, falls_to_zero};
use uuid::Uuid;

use crate::crash::seeded;
use crate::load::{Load, Sent, import_people};
use trunkline_tests::pusher_peer::{self, Mood, Peer};

const CALLS: usize = 5_000;
const DELIVERIES: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_webhooks_in_random_order_become_exactly_the_rows_of_their_calls() {
    let mut rng = seeded();
    let (pusher, address) = Peer::start(Mood::Fine);
    let site = Site::new(&mut rng, CALLS, &Database::address(), &address).await;
    let ingests = site.start_ingests().await;
    let workers = WORKERS.map(|service| site.spawn(service)).into();

    let sent = site.load(&mut rng, DELIVERIES).finish().await;
    assert_eq!(sent.counts(), (DELIVERIES, 0), "no process was away");
    let rows = site.finish(&sent, &pusher, workers).await;
    assert_eq!(rows, CALLS as u64, "every call was over in the end");
    for ingest in ingests {
        ingest.kill().await;
    }
}

/// One process at a time is killed with kill -9 and started again, ingests and workers, while webhooks come in.
#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_killed_at_random_lose_and_double_nothing() {
    const KILLS: usize = 16;
    const SHARE: usize = DELIVERIES / KILLS;
    let mut rng = seeded();
    let (pusher, address) = Peer::start(Mood::Fine);
    let site = Site::new(&mut rng, CALLS, &Database::address(), &address).await;
    let mut ingests = site.start_ingests().await;
    let mut workers: Vec<Worker> = WORKERS.map(|service| site.spawn(service)).into();
    let mut load = site.load(&mut rng, DELIVERIES);

    for _ in 0..KILLS {
        // Each kill has its own share of the load, so that none of them comes when all is over; some deliveries are
        // left over for those that find nobody.
        load.release(SHARE);
        load.accepts(rng.usize(1..SHARE - 100)).await;
        let victim = rng.usize(0..ingests.len() + workers.len());
        if victim < ingests.len() {
            ingests.remove(victim).kill().await;
            ingests.insert(victim, site.offices[victim].start("webhook-ingest").await);
        } else {
            let worker = workers.remove(victim - ingests.len());
            worker.process.kill().await;
            workers.push(site.spawn(worker.service));
        }
    }
    let sent = load.finish().await;
    let rows = site.finish(&sent, &pusher, workers).await;

    let (accepted, unanswered) = sent.counts();
    println!("{accepted} deliveries accepted, {unanswered} not answered, {rows} rows");
    assert!(accepted > DELIVERIES * 9 / 10, "that was no load");
    for ingest in ingests {
        ingest.kill().await;
    }
}

/// The ladder is 0.3 s long; database and Pusher are away until the workers have waited for longer, several times.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_database_and_pusher_longer_than_all_retries_costs_nothing() {
    let mut rng = seeded();
    let database = Proxy::to(Database::address()).await;
    // Bound, but not listening: connections are refused, and nobody else takes the port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let pusher_address = socket.local_addr().unwrap().to_string();
    let mut site = Site::new(&mut rng, 200, &database.address.to_string(), &pusher_address).await;
    site.offices = site
        .offices
        .map(|office| office.with("RETRY_LADDER", "100ms,100ms,100ms"));
    let ingests = site.start_ingests().await;
    let workers: Vec<Worker> = WORKERS.map(|service| site.spawn(service)).into();
    let deliveries = site.account.calls.iter().map(|call| call.deliveries.len()).sum();
    let mut load = site.load(&mut rng, deliveries);

    load.release(deliveries / 2);
    load.accepts(deliveries / 2).await;
    workers[2].gives_up_for_now(3).await;
    let address = database.address;
    drop(database);
    let sent = load.finish().await;
    for worker in &workers {
        worker.gives_up_for_now(3).await;
    }

    let _database = Proxy::listen(address, Database::address(), None).await;
    let pusher = Peer::serve(socket.listen(128).unwrap().into_std().unwrap(), Mood::Fine);
    assert_eq!(sent.counts(), (deliveries, 0), "the ingests need no database");
    assert_eq!(site.finish(&sent, &pusher, workers).await, 200);
    for ingest in ingests {
        ingest.kill().await;
    }
}

/// The broker goes away in the middle of the load, an ingest is killed meanwhile, and another finds no broker when it
/// starts.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_broker_costs_no_call() {
    let mut rng = seeded();
    let (pusher, address) = Peer::start(Mood::Fine);
    let mut site = Site::new(&mut rng, 200, &Database::address(), &address).await;
    let broker = Proxy::to(site.broker.address()).await;
    let url = site.broker.url_by(broker.address);
    site.offices = site.offices.map(|office| office.with("QUEUE_URL", &url));
    let mut ingests = site.start_ingests().await;
    let workers: Vec<Worker> = WORKERS.map(|service| site.spawn(service)).into();
    let deliveries = site.account.calls.iter().map(|call| call.deliveries.len()).sum();
    let mut load = site.load(&mut rng, deliveries);

    load.release(deliveries / 2);
    load.accepts(deliveries / 2).await;
    let broker_address = broker.address;
    drop(broker);
    load.release(deliveries / 4);
    load.accepts(deliveries / 4).await;
    ingests.remove(0).kill().await;
    ingests.insert(0, site.offices[0].start("webhook-ingest").await);
    let sent = load.finish().await;
    assert_eq!(sent.counts(), (deliveries, 0), "the ingests need no broker");

    let _broker = Proxy::listen(broker_address, site.broker.address(), None).await;
    site.spools_are_emptied().await;
    assert_eq!(site.finish(&sent, &pusher, workers).await, 200);
    for ingest in ingests {
        ingest.kill().await;
    }
}

/// OpenSSL, which libpq uses, once took itself apart at the end while a pool was still opening connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_well_while_connections_are_still_being_opened() {
    const RUNS: usize = 60;
    let database = Database::empty();
    let trunkline = Installation::new().with("DATABASE_URL", database.url());
    fs::write(
        trunkline.folder().join("people.csv"),
        "kind,id,name,owner_id,phone\n",
    )
    .unwrap();
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let run = || trunkline.run(&["contacts", "import", "people.csv"]);
    let runs = stream::iter((0..RUNS).map(|_| run())).buffer_unordered(6);
    let codes: Vec<i32> = runs.map(|told| told.code).collect().await;
    assert_eq!(codes, [0; RUNS]);
}

/// Two writers; and one notifier, with which the alerts of a call keep their order.
pub(crate) const WORKERS: [&str; 3] = ["call-writer", "call-writer", "notifier"];

/// What processes share: a broker, a database with the CRM's people in it, and the account that calls.
pub(crate) struct Site {
    /// Each ingest has a folder and an address of its own.
    pub(crate) offices: [Installation; 2],
    account: Arc<SimulatedAccount>,
    pub(crate) broker: Vhost,
    pub(crate) database: Database,
    began: DateTime<Utc>,
}

impl Site {
    pub(crate) async fn new(
        rng: &mut Rng,
        calls: usize,
        database_address: &str,
        pusher_address: &str,
    ) -> Self {
        Self::on(Vhost::new(), rng, calls, database_address, pusher_address).await
    }

    pub(crate) async fn on(
        broker: Vhost,
        rng: &mut Rng,
        calls: usize,
        database_address: &str,
        pusher_address: &str,
    ) -> Self {
        let began = Utc::now();
        let account = SimulatedAccount::generate(rng.u64(..), calls, began);
        let database = Database::empty();
        let offices = [(); 2].map(|()| {
            Installation::new()
                .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
                .with("DATABASE_URL", database.url_by(database_address))
                .with("QUEUE_URL", broker.url())
                .with("PUSHER_URL", pusher_peer::url(pusher_address))
        });
        import_people(&offices[0], &account).await;
        Self {
            offices,
            account: Arc::new(account),
            broker,
            database,
            began,
        }
    }

    pub(crate) async fn start_ingests(&self) -> Vec<Process> {
        let [one, other] = &self.offices;
        vec![
            one.start("webhook-ingest").await,
            other.start("webhook-ingest").await,
        ]
    }

    pub(crate) fn spawn(&self, service: &'static str) -> Worker {
        Worker {
            service,
            process: self.offices[0].spawn(service),
        }
    }

    pub(crate) fn load(&self, rng: &mut Rng, deliveries: usize) -> Load {
        let [one, other] = &self.offices;
        Load::shuffled(rng, &[one, other], &self.account, deliveries)
    }

    /// Waits until everything that the ingests kept while the broker was away is at the broker.
    pub(crate) async fn spools_are_emptied(&self) {
        for office in &self.offices {
            let emptied = falls_to_zero(|| async {
                let list = office.run(&["spool", "list"]).await.out;
                let messages = list.lines().map(|spool| {
                    let (_, told) = spool.split_once(": ").unwrap();
                    let (messages, _) = told.split_once(" messages, ").unwrap();
                    messages.parse::<u64>().unwrap()
                });
                messages.sum()
            });
            assert!(emptied.await, "{}", office.logs());
        }
    }

    /// Waits until all that was accepted is in the database and on the screens, lets the workers end in order, and
    /// compares. Gives the number of rows.
    pub(crate) async fn finish(&self, sent: &Sent, pusher: &Peer, workers: Vec<Worker>) -> u64 {
        let url = self.broker.url().parse().unwrap();
        let queue = Queue::connect(&url, QueueOptions::default()).await.unwrap();
        let worked_off = falls_to_zero(|| async {
            let depths = queue.depths().await.unwrap();
            depths.iter().map(|(_, messages)| *messages).sum()
        });
        assert!(worked_off.await, "messages are left\n{}", self.offices[0].logs());
        // What was sent to a worker ahead counts nowhere, so all of it must be looked for.
        let url: DatabaseUrl = self.database.url().parse().unwrap();
        let store = Store::connect(&url).await.unwrap();
        let stored = eventually(|| async { sent.is_stored(&store).await.then_some(()) });
        assert!(
            stored.await.is_some(),
            "accepted deliveries are lost\n{}",
            self.offices[0].logs()
        );
        // What a killed writer left behind is swept up by the next one.
        let published = eventually(|| async {
            let waiting = store.unpublished_alerts(Utc::now(), 1).await.unwrap();
            waiting.is_empty().then_some(())
        });
        assert!(published.await.is_some(), "{}", self.offices[0].logs());
        let (notifiers, writers): (Vec<_>, Vec<_>) = workers
            .into_iter()
            .partition(|worker| worker.service == "notifier");
        self.end(writers).await;
        let shown = eventually(|| async { self.is_shown(&store, pusher).await.then_some(()) });
        assert!(
            shown.await.is_some(),
            "alerts were never shown\n{}",
            self.offices[0].logs()
        );
        self.end(notifiers).await;
        sent.check(&store).await
    }

    /// Ends workers in order.
    async fn end(&self, workers: Vec<Worker>) {
        for Worker { service, process } in workers {
            let status = process.terminate().await;
            assert!(
                status.success(),
                "{service}: {status}\n{}",
                self.offices[0].logs()
            );
        }
    }

    /// Whether every alert that may interrupt is at the Pusher peer. A ring is no news after a minute, and is not shown
    /// then.
    async fn is_shown(&self, store: &Store, pusher: &Peer) -> bool {
        let raised = store.alerts_since(self.began, 1_000_000).await.unwrap();
        let rings = [
            AlertKind::IncomingCall,
            AlertKind::CallRouted,
            AlertKind::CallAnswered,
        ];
        let told = raised.iter().map(|raised| &raised.outgoing);
        let told: BTreeSet<Uuid> = told
            .filter(|outgoing| outgoing.push && !rings.contains(&outgoing.alert.kind))
            .map(|outgoing| outgoing.alert.id)
            .collect();
        let received: BTreeSet<Uuid> = pusher
            .received()
            .iter()
            .map(|event| event.data["id"].as_str().unwrap().parse().unwrap())
            .collect();
        let all: BTreeSet<Uuid> = raised.iter().map(|raised| raised.outgoing.alert.id).collect();
        assert!(received.is_subset(&all), "alerts that nobody raised");
        !told.is_empty() && told.is_subset(&received)
    }
}

/// A process that consumes.
pub(crate) struct Worker {
    pub(crate) service: &'static str,
    pub(crate) process: Process,
}

impl Worker {
    /// Waits until it has given messages back that many times, because the outside is away.
    async fn gives_up_for_now(&self, times: usize) {
        let given_back = || self.process.log().matches("gave the messages back").count();
        let waited = eventually(|| async { (given_back() >= times).then_some(()) });
        assert!(waited.await.is_some(), "{}\n{}", self.service, self.process.log());
    }
}
