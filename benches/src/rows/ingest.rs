//! webhook-ingest to RabbitMQ, beside the same HTTP server that publishes the raw body with confirms and does nothing
//! else; and beside that a bare publisher.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::Bytes;
use queue::QueueName;
use trunkline_tests::{Installation, Process};

use super::Extent;
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::deliveries::{POST_CALL, account, requests};
use crate::load::{Load, Outcome, Pace, Until};
use crate::machine;
use crate::report::{Measured, Reach};
use crate::server::{Floor, bare_publisher};

const CONNECTIONS: [usize; 2] = [64, 256];
/// The share of what it takes at most at which latencies are measured.
const SHARE: f64 = 0.5;

/// What is under load: a server and the queue that it fills.
pub(super) struct Side<'a> {
    pub(super) process: &'a Process,
    pub(super) address: SocketAddr,
    /// Throws away what it has published so far.
    pub(super) empty: Box<dyn Fn() + 'a>,
}

/// What the rounds of a side gave.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rate: Rounds,
    /// Processor time for each delivery, microseconds: of the server, and of all others but the load.
    pub(super) cpu: Rounds,
    pub(super) beside: Rounds,
}

impl Side<'_> {
    /// One round: all that it takes.
    pub(super) async fn round(&self, load: Load, found: &mut Found) {
        (self.empty)();
        let times = || {
            [
                self.process.cpu_time().unwrap(),
                machine::own_time(),
                machine::busy(),
            ]
        };
        let before = times();
        let outcome = self.send(load).await;
        let after = times();
        let [server, load, all] = [0, 1, 2].map(|place| {
            let took = after[place].saturating_sub(before[place]);
            took.as_secs_f64() * 1e6
        });
        found.rate.push(outcome.rate());
        found.cpu.push(server / outcome.count());
        found.beside.push((all - server - load) / outcome.count());
    }

    pub(super) async fn send(&self, load: Load) -> Outcome {
        let address = self.address;
        let outcome = Load { address, ..load }.send().await.unwrap();
        assert_eq!(
            outcome.refused,
            0,
            "deliveries were refused: {}",
            self.process.log()
        );
        outcome
    }
}

/// Post-Call deliveries over so many connections, as many as are taken.
pub(super) fn load(extent: Extent, requests: &Arc<[Bytes]>, connections: usize) -> Load {
    Load {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        requests: Arc::clone(requests),
        connections,
        pace: Pace::Unbounded,
        until: Until::Over(extent.round()),
    }
}

pub(super) async fn measure(extent: Extent) -> Measured {
    let account = account(0);
    let requests = requests(&account, &POST_CALL);
    let (ours, floors) = (Broker::new().await, Broker::new().await);
    let trunkline = Installation::new()
        .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
        .with("QUEUE_URL", ours.url());
    let process = trunkline.start("webhook-ingest").await;
    let ingest = Side {
        process: &process,
        address: trunkline.http_address().parse().unwrap(),
        empty: Box::new(|| ours.purge(QueueName::Live)),
    };
    let floor = Floor::start("rabbitmq", Some(&floors.url())).await;
    let floor = Side {
        process: &floor.process,
        address: floor.address,
        empty: Box::new(|| floors.purge(QueueName::Live)),
    };

    let mut measured = Measured::default();
    for connections in CONNECTIONS {
        let load = load(extent, &requests, connections);
        for side in [&ingest, &floor] {
            side.round(load.clone(), &mut Found::default()).await;
        }
        let (mut our, mut its, mut bare) = (Found::default(), Found::default(), Rounds::default());
        for _ in 0..extent.rounds() {
            ingest.round(load.clone(), &mut our).await;
            floor.round(load.clone(), &mut its).await;
            floors.purge(QueueName::Live);
            bare.push(bare_publisher(&floors.url(), connections, extent.round()).await);
        }
        let at = format!("at {connections} connections");
        measured.compare(
            format!("accepted deliveries {at}"),
            "/s",
            (&our.rate, &its.rate),
            Some(Reach::AtLeast(0.8)),
        );
        measured.compare(
            format!("processor time of the server for each, {at}"),
            "µs",
            (&our.cpu, &its.cpu),
            Some(Reach::AtMost(2.0)),
        );
        measured.compare(
            format!("processor time of the broker for each, {at}"),
            "µs",
            (&our.beside, &its.beside),
            None,
        );
        measured.beside(
            format!("lapin alone, {connections} messages on their way"),
            "/s",
            &bare,
        );
        let rate = our.rate.median() * SHARE;
        let (mut p50, mut p99) = (<[Rounds; 2]>::default(), <[Rounds; 2]>::default());
        for _ in 0..extent.rounds() {
            for (place, side) in [&ingest, &floor].into_iter().enumerate() {
                (side.empty)();
                let pace = Pace::PerSecond(rate);
                let outcome = side.send(Load { pace, ..load.clone() }).await;
                p50[place].push(outcome.milliseconds(0.5));
                p99[place].push(outcome.milliseconds(0.99));
            }
        }
        let half =
            format!("of {rate:.0} deliveries/s over {connections} connections, from when each was due");
        for (name, [our, its]) in [("median", &p50), ("99th percentile", &p99)] {
            measured.compare(format!("{name} of the answers, {half}"), "ms", (our, its), None);
        }
    }
    let spooled = super::metric(&process, "spooled_total").await.unwrap();
    measured.note(format!(
        "The bodies are {} Post-Call bodies of the simulated account, {} bytes on average, each signed. The sides have \
         a virtual host each, with the same quorum queue, which is emptied before each round. {spooled} deliveries went \
         to the spool.",
        requests.len(),
        average_body(&account),
    ));
    measured
}

fn average_body(account: &callrail_simulator::SimulatedAccount) -> usize {
    let deliveries = account.calls.iter().flat_map(|call| &call.deliveries);
    let bodies: Vec<usize> = deliveries
        .filter(|delivery| POST_CALL.contains(&delivery.kind))
        .map(|delivery| delivery.body.len())
        .collect();
    bodies.iter().sum::<usize>() / bodies.len()
}
