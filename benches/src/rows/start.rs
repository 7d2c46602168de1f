//! From the start of a process to its being ready, with a database that is there; and the size of the program.

use std::sync::Arc;
use std::time::Duration;

use callrail_simulator::SimulatedAccount;
use chrono::{TimeDelta, Utc};
use tokio::time::{Instant, sleep};
use trunkline_tests::simulated::{unlimited_api, with_account};
use trunkline_tests::{Installation, PATIENCE, program};

use super::Extent;
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::office;
use crate::report::{Measured, Reach};

/// How often it is asked whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const MAX_MILLISECONDS: f64 = 300.0;
const MAX_MEBIBYTES: f64 = 25.0;

pub(super) async fn measure(extent: Extent) -> Measured {
    let start = Utc::now() - TimeDelta::days(1);
    let account = Arc::new(SimulatedAccount::history(1, 10, start, TimeDelta::hours(1)));
    let api = unlimited_api(&account);
    let mut measured = Measured::default();

    let alone = Installation::new().with("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    assert_eq!(alone.run(&["migrate"]).await.code, 0);
    let reach = Some(Reach::AtMost(MAX_MILLISECONDS));
    let times = starts(&alone, "run", extent).await;
    measured.alone(
        "`trunkline run`, SQLite and the embedded queue",
        "ms",
        &times,
        reach,
    );

    let (broker, database) = (
        Broker::new().await,
        office::postgres(extent.of(100_000, 1_000)).await,
    );
    let scaled = office::writer(&broker, &database.url())
        .with("JWT_SECRET", "0123456789abcdef0123456789abcdef")
        .with("PUSHER_URL", "http://key:secret@127.0.0.1:9/apps/1");
    let scaled = with_account(scaled, &account, &api);
    for service in [
        "webhook-ingest",
        "call-writer",
        "notifier",
        "importer",
        "integration-api",
    ] {
        let times = starts(&scaled, service, extent).await;
        measured.alone(
            format!("`trunkline {service}`, PostgreSQL and RabbitMQ"),
            "ms",
            &times,
            reach,
        );
    }
    measured
}

/// How long a service takes to get ready, each time it is started; milliseconds.
async fn starts(installation: &Installation, service: &str, extent: Extent) -> Rounds {
    let mut times = Rounds::default();
    // The first one reads the program from the disk.
    for round in 0..=extent.rounds() {
        let began = Instant::now();
        let process = installation.spawn(service);
        let ready = format!("http://{}/readyz", process.metrics_address());
        loop {
            let answer = installation.client().get(&ready).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{service} does not get ready: {}",
                process.log()
            );
            sleep(LOOK_EVERY).await;
        }
        if round > 0 {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        process.kill().await;
    }
    times
}

#[allow(clippy::cast_precision_loss, reason = "megabytes")]
pub(super) fn measure_program() -> Measured {
    let bytes = std::fs::metadata(program()).unwrap().len();
    let size: Rounds = [bytes as f64 / 1024.0 / 1024.0].into_iter().collect();
    let mut measured = Measured::default();
    measured.alone(
        "`trunkline`, release, stripped",
        "MiB",
        &size,
        Some(Reach::AtMost(MAX_MEBIBYTES)),
    );
    measured.note("SQLite and libpq are in it; OpenSSL, which libpq needs for TLS, is the system's.");
    measured
}
