//! Two of each beside one: what another process is worth on this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use queue::QueueName;
use test_servers::Database;
use trunkline_tests::Installation;

use super::Extent;
use super::ingest::load;
use super::writer::{applied_a_second, fill};
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::deliveries::{POST_CALL, account, requests};
use crate::load::Load;
use crate::office::{self, Mix};
use crate::report::Measured;

const CONNECTIONS: usize = 128;

pub(super) async fn measure(extent: Extent) -> Measured {
    let mut measured = Measured::default();
    ingests(extent, &mut measured).await;
    writers(extent, &mut measured).await;
    measured.note(format!(
        "On {} processors, which the broker, the database and the load share with them.",
        std::thread::available_parallelism().unwrap()
    ));
    measured
}

async fn ingests(extent: Extent, measured: &mut Measured) {
    let account = account(0);
    let requests = requests(&account, &POST_CALL);
    let broker = Broker::new().await;
    let install = || {
        Installation::new()
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
            .with("QUEUE_URL", broker.url())
    };
    let installations = [install(), install()];
    let mut processes = Vec::new();
    for installation in &installations {
        processes.push(installation.start("webhook-ingest").await);
    }
    let (mut one, mut two) = (Rounds::default(), Rounds::default());
    for round in 0..=extent.rounds() {
        for (count, rates) in [(1, &mut one), (2, &mut two)] {
            broker.purge(QueueName::Live);
            let mut loads = Vec::new();
            for installation in &installations[..count] {
                let address: SocketAddr = installation.http_address().parse().unwrap();
                let load = load(extent, &requests, CONNECTIONS / count);
                loads.push(tokio::spawn(Load { address, ..load }.send()));
            }
            let mut rate = 0.0;
            for load in loads {
                rate += load.await.unwrap().unwrap().rate();
            }
            // The first is to get warm.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    measured.compare(
        format!("two webhook-ingests, by one; deliveries over {CONNECTIONS} connections"),
        "/s",
        (&two, &one),
        None,
    );
}

async fn writers(extent: Extent, measured: &mut Measured) {
    let mix = Mix::of(extent.of(20_000, 2_000));
    let template = office::postgres(extent.of(100_000, 5_000)).await;
    let broker = Arc::new(Broker::new().await);
    let (mut one, mut two) = (Rounds::default(), Rounds::default());
    for _ in 0..extent.rounds() {
        for (count, rates) in [(1, &mut one), (2, &mut two)] {
            let database = Database::copy_of(&template);
            broker.purge(QueueName::Alerts);
            fill(&broker.queue, QueueName::Live, &mix.events).await;
            let installation = office::writer(&broker, &database.url());
            let writers: Vec<_> = (0..count).map(|_| installation.spawn("call-writer")).collect();
            let all: Vec<_> = writers.iter().collect();
            rates.push(applied_a_second(&all, mix.events.len()).await);
            for writer in writers {
                writer.kill().await;
            }
        }
    }
    measured.compare(
        "two call-writers, by one; events from a full queue",
        "/s",
        (&two, &one),
        None,
    );
}
