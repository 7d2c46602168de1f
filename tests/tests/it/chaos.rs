//! Things fail while webhooks come in, over and over, in an order that a printed seed gives again. Afterwards the
//! database is compared with what was answered 2xx: nothing is lost, doubled or wrong.
//!
//! `CHAOS_DELIVERIES` and `CHAOS_SECONDS` make it longer; `./test --chaos` does.

mod cluster;
mod overload;

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use fastrand::Rng;
use test_servers::{Database, Names, Proxy};
use tokio::time::interval;
use trunkline_tests::Process;

use crate::crash::seeded;
use crate::load::Sent;
use crate::scaled::{Site, WORKERS, Worker};
use trunkline_tests::pusher_peer::{self, Mood, Peer};

/// How many are sent unless the environment says otherwise, and how many while something is broken.
const DELIVERIES: usize = 600;
const SHARE: usize = 60;

const SIGTERM: i32 = 15;

/// What can be broken.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// `kill -9`.
    IngestKilled,
    WorkerKilled,
    /// SIGTERM, as in a rolling update.
    IngestRestarted,
    WorkerRestarted,
    /// Connections are cut once.
    BrokerCut,
    DatabaseCut,
    /// Connections stay, and nothing comes back on them.
    BrokerMute,
    DatabaseMute,
    /// Nobody listens.
    BrokerAway,
    DatabaseAway,
    /// It answers 500.
    PusherBroken,
    /// No host of these is found by its name, and all must be looked for.
    NamesLost,
}

use Fault::{
    BrokerAway, BrokerCut, BrokerMute, DatabaseAway, DatabaseCut, DatabaseMute, IngestKilled,
    IngestRestarted, NamesLost, PusherBroken, WorkerKilled, WorkerRestarted,
};

#[tokio::test(flavor = "multi_thread")]
async fn services_are_killed() {
    survive(&[IngestKilled, WorkerKilled]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_restarted_one_after_the_other() {
    survive(&[IngestRestarted, WorkerRestarted]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_cut_off_mute_and_away() {
    survive(&[BrokerCut, BrokerMute, BrokerAway]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_cut_off_mute_and_away() {
    survive(&[DatabaseCut, DatabaseMute, DatabaseAway]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_broker_database_and_pusher_are_not_found() {
    survive(&[NamesLost, NamesLost, IngestRestarted, WorkerRestarted]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_fails_at_once() {
    let all = [
        NamesLost,
        IngestKilled,
        WorkerKilled,
        IngestRestarted,
        WorkerRestarted,
        BrokerCut,
        BrokerMute,
        BrokerAway,
        DatabaseCut,
        DatabaseMute,
        DatabaseAway,
        PusherBroken,
    ];
    survive(&all).await;
}

/// Sends the load and breaks something of `faults` at every share of it, two things at a time.
async fn survive(faults: &[Fault]) {
    let (mut rng, deliveries) = (seeded(), deliveries());
    let mut scene = Scene::new(&mut rng, deliveries).await;
    let mut load = scene.site.load(&mut rng, deliveries);
    let mut before = None;
    let shares = deliveries / SHARE;
    let mut turns = interval(at_least() / u32::try_from(shares).unwrap());
    let began = Instant::now();
    for _ in 0..shares {
        turns.tick().await;
        let fault = *rng.choice(faults).unwrap();
        scene.break_down(fault, &mut rng).await;
        load.release(SHARE);
        load.accepts(SHARE / 2).await;
        if let Some(fault) = before.replace(fault) {
            scene.mend(fault).await;
        }
    }
    if let Some(fault) = before {
        scene.mend(fault).await;
    }
    let sent = load.finish().await;
    println!("things failed for {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    scene.check(sent, began).await;
}

/// How many are to be sent.
fn deliveries() -> usize {
    let deliveries = std::env::var("CHAOS_DELIVERIES");
    deliveries.map_or(DELIVERIES, |number| number.parse().unwrap())
}

/// How long sending them takes, if it does not take longer.
fn at_least() -> Duration {
    let seconds = std::env::var("CHAOS_SECONDS");
    seconds.map_or(Duration::from_secs(1), |number| {
        Duration::from_secs(number.parse().unwrap())
    })
}

/// An installation that can be broken.
struct Scene {
    site: Site,
    ingests: Vec<Process>,
    workers: Vec<Worker>,
    pusher: Peer,
    broker: Outside,
    database: Outside,
    names: Option<Names>,
}

/// A server behind a proxy; `None`: away.
struct Outside {
    server: String,
    address: std::net::SocketAddr,
    proxy: Option<Proxy>,
}

impl Outside {
    async fn new(server: String) -> Self {
        let proxy = Proxy::to(server.clone()).await;
        Self {
            server,
            address: proxy.address,
            proxy: Some(proxy),
        }
    }

    fn cut(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.cut();
        }
    }

    fn mute(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.freeze(true);
        }
    }

    fn go_away(&mut self) {
        self.proxy = None;
    }

    async fn come_back(&mut self) {
        match &self.proxy {
            Some(proxy) => proxy.freeze(false),
            None => self.proxy = Some(Proxy::listen(self.address, self.server.clone(), None).await),
        }
    }
}

impl Scene {
    async fn new(rng: &mut Rng, deliveries: usize) -> Self {
        let names = Names::new();
        if names.is_none() {
            println!("NOT tried: names that are not found, since this process may not mount");
        }
        let (pusher, pusher_address) = Peer::start(Mood::Fine);
        let database = Outside::new(Database::address()).await;
        // Each call has four deliveries at most.
        let calls = deliveries / 4;
        let mut site = Site::new(rng, calls, &database.address.to_string(), &pusher_address).await;
        let broker = Outside::new(site.broker.address()).await;
        let url = site.broker.url_by(broker.address);
        site.offices = site.offices.map(|office| office.with("QUEUE_URL", &url));
        if let Some(names) = &names {
            let queue = site
                .broker
                .url_by(names.named("broker", &broker.address.to_string()));
            let pusher = pusher_peer::url(&names.named("pusher", &pusher_address));
            let database = names.named("database", &database.address.to_string());
            let database = site.database.url_by(database);
            site.offices = site.offices.map(|office| {
                office
                    .with("QUEUE_URL", &queue)
                    .with("DATABASE_URL", &database)
                    .with("PUSHER_URL", &pusher)
                    .run_by(names.run_by())
            });
        }
        Self {
            ingests: site.start_ingests().await,
            workers: WORKERS.map(|service| site.spawn(service)).into(),
            site,
            pusher,
            broker,
            database,
            names,
        }
    }

    async fn break_down(&mut self, fault: Fault, rng: &mut Rng) {
        match fault {
            IngestKilled | IngestRestarted => {
                let place = rng.usize(0..self.ingests.len());
                let ingest = self.ingests.remove(place);
                end(ingest, matches!(fault, IngestKilled)).await;
                let again = self.site.offices[place].spawn("webhook-ingest");
                self.ingests.insert(place, again);
            }
            WorkerKilled | WorkerRestarted => {
                let place = rng.usize(0..self.workers.len());
                let Worker { service, process } = self.workers.remove(place);
                end(process, matches!(fault, WorkerKilled)).await;
                self.workers.push(self.site.spawn(service));
            }
            BrokerCut => self.broker.cut(),
            DatabaseCut => self.database.cut(),
            BrokerMute => self.broker.mute(),
            DatabaseMute => self.database.mute(),
            BrokerAway => self.broker.go_away(),
            DatabaseAway => self.database.go_away(),
            PusherBroken => self.pusher.becomes(Mood::Answers(500)),
            NamesLost => {
                if let Some(names) = &self.names {
                    names.are_known(false);
                    self.broker.cut();
                    self.database.cut();
                }
            }
        }
    }

    async fn mend(&mut self, fault: Fault) {
        match fault {
            BrokerMute | BrokerAway => self.broker.come_back().await,
            DatabaseMute | DatabaseAway => self.database.come_back().await,
            PusherBroken => self.pusher.becomes(Mood::Fine),
            NamesLost => self.names.iter().for_each(|names| names.are_known(true)),
            _ => {}
        }
    }

    async fn check(mut self, sent: Sent, began: Instant) {
        self.broker.come_back().await;
        self.database.come_back().await;
        self.pusher.becomes(Mood::Fine);
        self.names.iter().for_each(|names| names.are_known(true));
        self.site.spools_are_emptied().await;
        let rows = self.site.finish(&sent, &self.pusher, self.workers).await;
        let recovered = began.elapsed();
        let (accepted, unanswered) = sent.counts();
        println!(
            "{accepted} deliveries accepted, {unanswered} not answered, {rows} rows; lost, doubled, wrong: 0; \
             all checked {:.1} s after the last fault",
            recovered.as_secs_f64()
        );
        assert!(accepted > unanswered, "that was no load");
        for ingest in self.ingests {
            ingest.kill().await;
        }
    }
}

/// One that is asked to end while it is starting may die of the signal: it holds nothing yet. One that waits for a
/// database that says nothing ends when its grace is over.
async fn end(process: Process, at_once: bool) {
    if at_once {
        process.kill().await;
    } else {
        let log = process.log_file().to_owned();
        let status = process.terminate().await;
        let log = std::fs::read_to_string(log).unwrap();
        let waited = log.contains("did not finish within");
        let ended_well = status.success() || status.signal() == Some(SIGTERM) || waited;
        assert!(ended_well, "{status}: {log}");
    }
}
