//! webhook-ingest with the embedded queue, beside the same HTTP server that stores the raw body in one and does nothing
//! else.

use std::path::Path;

use trunkline_tests::Installation;

use super::Extent;
use super::ingest::{Found, Side, load};
use crate::deliveries::{POST_CALL, account, requests};
use crate::report::{Measured, Reach};
use crate::server::Floor;

const CONNECTIONS: [usize; 2] = [64, 256];

pub(super) async fn measure(extent: Extent) -> Measured {
    let account = account(0);
    let requests = requests(&account, &POST_CALL);
    let trunkline = Installation::new().with("CALLRAIL_SIGNING_KEYS", &account.signing_key);
    let process = trunkline.start("webhook-ingest").await;
    let ingest = Side {
        process: &process,
        address: trunkline.http_address().parse().unwrap(),
        empty: Box::new(|| {}),
    };
    let floor = Floor::start("embedded", None).await;
    let floors_file = floor.file();
    let floor = Side {
        process: &floor.process,
        address: floor.address,
        empty: Box::new(|| {}),
    };

    let mut measured = Measured::default();
    for connections in CONNECTIONS {
        let load = load(extent, &requests, connections);
        for side in [&ingest, &floor] {
            side.round(load.clone(), &mut Found::default()).await;
        }
        let (mut our, mut its) = (Found::default(), Found::default());
        for _ in 0..extent.rounds() {
            ingest.round(load.clone(), &mut our).await;
            floor.round(load.clone(), &mut its).await;
        }
        measured.compare(
            format!("accepted deliveries at {connections} connections"),
            "/s",
            (&our.rate, &its.rate),
            Some(Reach::AtLeast(0.8)),
        );
        measured.compare(
            format!("processor time of the server for each, at {connections} connections"),
            "µs",
            (&our.cpu, &its.cpu),
            None,
        );
    }
    let megabytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len()) / 1_000_000;
    measured.note(format!(
        "Both write and sync a file of their own, which is not emptied: in the end {} and {} MB.",
        megabytes(&trunkline.data_dir().join("queue.db")),
        megabytes(&floors_file),
    ));
    measured
}
