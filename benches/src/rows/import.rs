//! An import with queue, writer and database on this machine, beside reading the same pages and throwing them away.

use std::sync::Arc;

use callrail_simulator::SimulatedAccount;
use chrono::{SubsecRound, TimeDelta, Utc};
use store::{DatabaseUrl, ImportSource, NewImport, Store};
use test_servers::Database;
use tokio::time::{Duration, Instant, sleep};
use trunkline_tests::simulated::{read_alone, unlimited_api, with_account};

use super::Extent;
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::office;
use crate::report::{Measured, Reach};

const DAYS: i64 = 30;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(300);

#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub(super) async fn measure(extent: Extent) -> Measured {
    let calls = extent.of(20_000, 2_000);
    let end = Utc::now();
    let start = (end - TimeDelta::days(DAYS)).trunc_subsecs(0);
    let every = (end - start) / i32::try_from(calls + 1).unwrap();
    let account = Arc::new(SimulatedAccount::history(11, calls, start, every));
    let api = unlimited_api(&account);
    let template = office::postgres(extent.of(100_000, 20_000)).await;
    let broker = Broker::new().await;

    let (mut ours, mut floor) = (Rounds::default(), Rounds::default());
    for _ in 0..extent.rounds() {
        let database = Database::copy_of(&template);
        let trunkline = with_account(office::writer(&broker, &database.url()), &account, &api);
        let importer = trunkline.start("importer").await;
        let writer = trunkline.start("call-writer").await;
        let store = Store::connect(&database.url().parse::<DatabaseUrl>().unwrap())
            .await
            .unwrap();
        let began = Instant::now();
        let new = NewImport {
            source: ImportSource::Api,
            start,
            end,
            company: None,
        };
        let run = store.create_import(new, Utc::now()).await.unwrap();
        while store.import_counts(run.id).await.unwrap().stored < calls as u64 {
            assert!(
                began.elapsed() < PATIENCE,
                "the import does not end: {}",
                trunkline.logs()
            );
            sleep(LOOK_EVERY).await;
        }
        ours.push(calls as f64 / began.elapsed().as_secs_f64());
        for process in [importer, writer] {
            process.kill().await;
        }

        let began = Instant::now();
        let read = read_alone(&account, &api, start, end).await;
        floor.push(read as f64 / began.elapsed().as_secs_f64());
    }
    let mut measured = Measured::default();
    measured.compare("calls", "/s", (&ours, &floor), Some(Reach::AtLeast(0.5)));
    measured.note(format!(
        "{calls} calls of {DAYS} days from the simulated API, which is on this machine too and answers at once; CallRail \
         itself allows 1,000 requests an hour, of 250 calls each. From the wish for an import to the last row."
    ));
    measured
}
