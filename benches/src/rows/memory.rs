//! How much memory each service has at most, under the load of the other rows and for a long time.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use tokio::time::{Instant, sleep};
use trunkline_tests::Process;
use trunkline_tests::pusher_peer::{self, Mood, Peer};

use super::Extent;
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::deliveries::{account, request};
use crate::load::{Load, Pace, Until};
use crate::office;
use crate::report::{Measured, Reach};

const SERVICES: [&str; 3] = ["webhook-ingest", "call-writer", "notifier"];
const CONNECTIONS: usize = 256;
const MAX_MEBIBYTES: f64 = 40.0;
/// Of what it had in the second quarter of the time, at its end.
const MAX_GROWTH: f64 = 1.1;
/// How long as much is sent as is taken, before the long time.
const BURST: Duration = Duration::from_secs(10);
/// A rate that all of them sustain on two processors.
const RATE: f64 = 150.0;

pub(super) async fn measure(extent: Extent) -> Measured {
    let seconds = env::var("MEMORY_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let lasting = Duration::from_secs(extent.of(seconds, 6));
    let account = account(extent.of(5_000, 0));
    let (pusher, address) = Peer::start(Mood::Fine);
    let (broker, database) = (
        Broker::new().await,
        office::postgres(extent.of(100_000, 5_000)).await,
    );
    let trunkline = office::writer(&broker, &database.url())
        .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
        .with("PUSHER_URL", pusher_peer::url(&address));
    let mut processes = Vec::new();
    for service in SERVICES {
        processes.push(trunkline.start(service).await);
    }
    let deliveries = account.calls.iter().flat_map(|call| &call.deliveries);
    let requests: Arc<[Bytes]> = deliveries.map(|delivery| request(&account, delivery)).collect();
    let load = |pace, lasting| Load {
        address: trunkline.http_address().parse::<SocketAddr>().unwrap(),
        requests: Arc::clone(&requests),
        connections: CONNECTIONS,
        pace,
        until: Until::Over(lasting),
    };
    let burst = load(Pace::Unbounded, BURST.min(lasting)).send().await.unwrap();
    let steady = tokio::spawn(load(Pace::PerSecond(RATE), lasting).send());
    let began = Instant::now();
    let mut seen: [Vec<f64>; 3] = Default::default();
    while !steady.is_finished() {
        for (process, seen) in processes.iter().zip(&mut seen) {
            seen.push(mebibytes(process.resident_bytes()));
        }
        sleep(Duration::from_millis(200)).await;
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let steady = steady.await.unwrap().unwrap();

    let mut measured = Measured::default();
    for ((process, service), seen) in processes.iter().zip(SERVICES).zip(&seen) {
        let peak: Rounds = [peak(process)].into_iter().collect();
        measured.alone(
            format!("{service}, at most"),
            "MiB",
            &peak,
            Some(Reach::AtMost(MAX_MEBIBYTES)),
        );
        let quarter = seen.len() / 4;
        let early: Rounds = [median(&seen[quarter..2 * quarter])].into_iter().collect();
        let late: Rounds = [median(&seen[3 * quarter..])].into_iter().collect();
        measured.compare(
            format!("{service}, in the last quarter of the time, by the second"),
            "MiB",
            (&late, &early),
            Some(Reach::AtMost(MAX_GROWTH)),
        );
    }
    measured.note(format!(
        "{} deliveries as fast as they were taken over {CONNECTIONS} connections, {:.0} a second; then {} for {minutes:.1} \
         minutes at {RATE} a second. Pusher was told {} times.",
        burst.accepted,
        burst.rate(),
        steady.accepted,
        pusher.count(),
    ));
    measured
}

fn peak(process: &Process) -> f64 {
    mebibytes(process.peak_resident_bytes())
}

#[allow(clippy::cast_precision_loss, reason = "megabytes")]
fn mebibytes(bytes: Option<u64>) -> f64 {
    bytes.unwrap() as f64 / 1024.0 / 1024.0
}

fn median(values: &[f64]) -> f64 {
    values.iter().copied().collect::<Rounds>().median()
}
