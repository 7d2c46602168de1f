//! Measures how close Trunkline is to the limits of the machine, as ratios to floors that are measured in the same run.
//! `./bench` builds it, starts the servers and runs it; `docs/performance.md` is what it writes.
//!
//! A file in [`rows`] is a row, or a few that are measured together. Both sides of a comparison are processes of their
//! own, and take turns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that fails ends by a panic, and what it found is printed"
)]

mod broker;
mod comparison;
mod deliveries;
mod load;
mod machine;
mod office;
mod report;
mod rows;
mod server;
mod statements;
mod wire;

use std::path::PathBuf;

use clap::Parser;

use crate::report::Results;
use crate::rows::{Extent, RowName};

/// Measures Trunkline against the limits of this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer and shorter rounds, less data: under three minutes for all rows. Writes no document.
    #[arg(long)]
    quick: bool,
    /// Where results are kept from run to run, so that single rows can be measured anew.
    #[arg(long, default_value = "target/bench")]
    results: PathBuf,
    /// What is written when a run is not a quick one.
    #[arg(long, default_value = "docs/performance.md")]
    document: PathBuf,
    /// How the programs were built, as the document says it.
    #[arg(long, default_value = "release profile")]
    built: String,
    /// Only these rows; without any, all.
    rows: Vec<RowName>,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments = Arguments::parse();
    // Fails only when it was done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let extent = Extent {
        quick: arguments.quick,
    };
    let mut results = Results::open(&arguments.results, extent, arguments.built);
    let rows = if arguments.rows.is_empty() {
        RowName::ALL.to_vec()
    } else {
        arguments.rows
    };
    for name in rows {
        println!("\n== {}", name.title());
        let measured = name.measure(extent).await;
        print!("{measured}");
        results.keep(name, measured);
    }
    if !arguments.quick {
        results.write(&arguments.document);
    }
}
