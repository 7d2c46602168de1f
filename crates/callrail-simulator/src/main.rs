//! Serves a simulated `CallRail` account until it is interrupted.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use callrail_simulator::{ApiOptions, SimulatedAccount, SimulatedApi};
use chrono::{TimeDelta, Utc};
use clap::Parser;

/// A CallRail account that does not exist: serves its API, version 3, over HTTP.
#[derive(Parser)]
struct Arguments {
    /// How many calls it has.
    #[arg(long, default_value_t = 1_000)]
    calls: usize,
    /// Other people and calls, with another number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over how many days the calls are spread, up to now; CallRail tells of 25 months.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8010")]
    address: SocketAddr,
}

#[tokio::main]
#[allow(
    clippy::print_stdout,
    reason = "what is printed is what one needs to use the account"
)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let past = TimeDelta::days(arguments.days.into());
    let every = past / i32::try_from(arguments.calls.max(1)).context("too many calls")?;
    let account = SimulatedAccount::history(arguments.seed, arguments.calls, Utc::now() - past, every);
    let account = Arc::new(account);
    let options = ApiOptions {
        address: arguments.address,
        ..ApiOptions::default()
    };
    let api = SimulatedApi::start(Arc::clone(&account), options)
        .with_context(|| format!("cannot listen at {}", arguments.address))?;
    println!("CALLRAIL_API_URL={}", api.base_url());
    println!("CALLRAIL_API_KEY={}", account.api_key);
    println!("CALLRAIL_ACCOUNT_ID={}", account.account_id);
    println!("CALLRAIL_COMPANY_ID={}", account.company_id);
    println!("CALLRAIL_SIGNING_KEYS={}", account.signing_key);
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
