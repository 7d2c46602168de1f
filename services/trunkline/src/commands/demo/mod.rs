//! `trunkline demo`: the whole program as processes of its own, a simulated CallRail that posts really signed
//! webhooks to it, and a viewer.

mod check;
mod processes;
mod viewer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use callrail_simulator::{Deliverer, SimulatedAccount, SimulatedCall};
use calls::{MatchRules, Region};
use chrono::Utc;
use clap::Args;
use futures_util::future::join_all;
use runtime::Signals;
use store::{DatabaseUrl, Store};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::commands::contacts;
use processes::Processes;
use viewer::Viewer;

/// Plays calls: known and unknown callers, answered, missed and voicemail, inbound and outbound, changed later, some
/// out of order and some sent twice.
#[derive(Args)]
pub(crate) struct Demo {
    /// How many calls are played.
    #[arg(long, default_value_t = 40)]
    calls: usize,
    /// Ends when all calls are played, with a summary; fails unless every call is in the database exactly once and
    /// as expected.
    #[arg(long)]
    exit: bool,
    /// Kills its own workers with kill -9 again and again while the calls are played.
    #[arg(long)]
    kill: bool,
    /// Keeps database and queue in this folder, to look at with sqlite3.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many calls begin in a second [default: 1, with --exit 20].
    #[arg(long, value_name = "CALLS")]
    rate: Option<f64>,
    /// Other calls, with another number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What became of the deliveries.
#[derive(Debug, Default)]
struct Deliveries {
    accepted: AtomicU32,
    refused: AtomicU32,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.rate.is_none_or(|rate| (0.001..=10_000.0).contains(&rate)),
            "--rate must be between 0.001 and 10000"
        );
        // Whoever ends it, its processes end with it.
        let mut signals = Signals::new()?;
        let folder = Folder::new(self.data.clone())?;
        let account = SimulatedAccount::generate(self.seed, self.calls, Utc::now());
        let store = prepare(&folder, &account).await?;
        let mut processes = Processes::start(folder.path(), &account.signing_key, self.kill).await?;
        println!(
            "Trunkline runs, and a simulated CallRail calls. Data: {}\n",
            folder.path().display()
        );
        // With --exit nobody watches.
        if let Some(url) = processes.console_url()?.filter(|_| !self.exit) {
            println!("The console, which signs you in: {url}\n");
        }

        let viewer = Viewer::start(store.clone(), Utc::now());
        let deliveries = Deliveries::default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("cannot make an HTTP client")?;
        let webhook_url = processes
            .webhook_url()
            .parse()
            .context("the address of the webhooks")?;
        let deliverer = Deliverer::new(client, webhook_url);
        let interrupted = tokio::select! {
            () = self.play(&account, &deliverer, &deliveries) => false,
            never = processes.keep_running() => match never? {},
            () = signals.next() => true,
        };
        let result = if interrupted {
            println!("\nInterrupted: not all calls were played.");
            Ok(ExitCode::SUCCESS)
        } else {
            self.finish(
                &account,
                &store,
                &mut processes,
                &deliveries,
                viewer,
                &mut signals,
            )
            .await
        };
        processes.stop().await?;
        folder.tell_where(self.data.is_some());
        result
    }

    /// Plays the deliveries of all calls, each when its time has come.
    async fn play(&self, account: &SimulatedAccount, deliverer: &Deliverer, deliveries: &Deliveries) {
        let rate = self.rate.unwrap_or(if self.exit { 20.0 } else { 1.0 });
        let between = Duration::from_secs_f64(1.0 / rate);
        // With --exit nobody watches single calls: they go by faster.
        let pace = if self.exit { 0.2 } else { 1.0 };
        let mut begins = Instant::now();
        let mut calls = Vec::with_capacity(account.calls.len());
        for call in &account.calls {
            calls.push(play_call(deliverer, account, call, begins, pace, deliveries));
            begins += between;
        }
        join_all(calls).await;
    }

    /// Waits until everything is worked on, and says how it came out.
    async fn finish(
        &self,
        account: &SimulatedAccount,
        store: &Store,
        processes: &mut Processes,
        deliveries: &Deliveries,
        viewer: Viewer,
        signals: &mut Signals,
    ) -> anyhow::Result<ExitCode> {
        let checked = tokio::select! {
            checked = check::wait_and_check(store, account) => checked?,
            never = processes.keep_running() => match never? {},
        };
        viewer.stop().await;
        let accepted = deliveries.accepted.load(Ordering::Relaxed);
        let refused = deliveries.refused.load(Ordering::Relaxed);
        println!("\n{accepted} webhooks delivered and accepted, {refused} not accepted.");
        if self.kill {
            println!(
                "Workers killed with kill -9 and started again: {} times.",
                processes.kills()
            );
        }
        checked.print();
        if !self.exit {
            println!("\nStill running. Ctrl-C ends it.");
            tokio::select! {
                never = processes.keep_running() => match never? {},
                () = signals.next() => {}
            }
        }
        let good = checked.is_good() && refused == 0;
        Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn play_call(
    deliverer: &Deliverer,
    account: &SimulatedAccount,
    call: &SimulatedCall,
    begins: Instant,
    pace: f64,
    deliveries: &Deliveries,
) {
    for delivery in &call.deliveries {
        tokio::time::sleep_until(begins + delivery.after.mul_f64(pace)).await;
        let count = match deliverer.deliver(account, delivery).await {
            Ok(status) if status.is_success() => &deliveries.accepted,
            Ok(status) => {
                println!("{} of {} was answered {status}", delivery.kind, call.call_sid);
                &deliveries.refused
            }
            Err(error) => {
                println!("{} of {} was not answered: {error}", delivery.kind, call.call_sid);
                &deliveries.refused
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A database with the account's people in it, imported as an operator would.
async fn prepare(folder: &Folder, account: &SimulatedAccount) -> anyhow::Result<Store> {
    let url = DatabaseUrl::Sqlite(folder.path().join("trunkline.db"));
    Store::migrate(&url).await?;
    let store = Store::connect(&url).await?;
    let used = store.count_interactions().await?;
    anyhow::ensure!(
        used == 0,
        "{} holds calls already: name an empty folder",
        folder.path().display()
    );

    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["kind", "id", "name", "owner_id", "phone"])?;
    for person in &account.people {
        let owner = person.owner_id.as_deref().unwrap_or_default();
        csv.write_record([person.kind, &person.id, &person.name, owner, &person.phone])?;
    }
    let csv = csv.into_inner().context("cannot write the contacts")?;
    let report = contacts::import(csv.as_slice(), &store, &MatchRules::default(), Region::US).await?;
    println!("{} people of a CRM imported.", report.saved);
    Ok(store)
}

/// Where the demo keeps its files: a folder that goes with it, unless the caller named one.
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn new(kept: Option<PathBuf>) -> anyhow::Result<Self> {
        match kept {
            Some(path) => {
                std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
                Ok(Self::Kept(path))
            }
            None => Ok(Self::Temporary(
                tempfile::tempdir().context("cannot make a temporary folder")?,
            )),
        }
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }

    fn tell_where(&self, kept: bool) {
        if kept {
            let path = self.path().display();
            println!("\nThe database is kept: sqlite3 {path}/trunkline.db 'select * from crm_calls'");
        }
    }
}
