//! `trunkline import`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use callrail::CompanyId;
use callrail::client::{CallQuery, MAX_PER_PAGE};
use calls::{ImportRange, window_end};
use chrono::{TimeDelta, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::{CancellationToken, Settings};
use store::{Import as Run, ImportCounts, ImportSource, ImportState, NewImport, RequestClass, Store};
use tokio::time::Instant;

use crate::parts;

/// How often the bar moves.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// After so long without a stored call, whoever looks on is told what may be missing.
const STUCK_AFTER: Duration = Duration::from_secs(10);

const FAILURES_SHOWN: u32 = 10;

/// Imports the calls of some days, up to 25 months back. Calls that are there already stay as they are.
///
/// The calls are read here and written by the running `trunkline run` or call-writer. Ctrl-C cancels the import; calls
/// that were read by then are kept.
#[derive(Args)]
pub(crate) struct Import {
    /// The last so many days, 1 to 760.
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["from", "to"], required_unless_present = "from")]
    days_back: Option<u32>,
    /// The first day (2026-09-01) or time (2026-09-01T00:00:00Z), UTC.
    #[arg(long, value_name = "DATE", requires = "to")]
    from: Option<String>,
    /// The last day or time, included.
    #[arg(long, value_name = "DATE", requires = "from")]
    to: Option<String>,
    /// Only tells how many calls there are, how many requests they need and how long that takes.
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    /// The import of the last so many days.
    pub(crate) fn last_days(days: u32) -> Self {
        Self {
            days_back: Some(days),
            from: None,
            to: None,
            dry_run: false,
        }
    }

    pub(crate) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let range = self.range()?;
        let company: Option<CompanyId> = settings.get("CALLRAIL_COMPANY_ID")?;
        let store = parts::store(settings).await?;
        if self.dry_run {
            foretell(settings, &store, &range, company).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let queue = parts::queue(settings).await?;
        let importer = parts::importer(settings, store.clone(), queue)?
            .context("no account is set: set CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID")?;
        let new = NewImport {
            source: ImportSource::Cli,
            start: range.start(),
            end: range.end(),
            company,
        };
        let run = store.create_import(new, Utc::now()).await?;
        let shutdown = CancellationToken::new();
        let working = tokio::spawn(importer.run(shutdown.clone()));
        let watched = tokio::select! {
            watched = watch(&store, &run) => watched,
            _ = tokio::signal::ctrl_c() => {
                store.cancel_import(run.id, Utc::now()).await?;
                eprintln!("Cancelled. What was read by now is kept.");
                Ok(ExitCode::FAILURE)
            }
        };
        shutdown.cancel();
        working.await.context("the importer panicked")?;
        watched
    }

    fn range(&self) -> anyhow::Result<ImportRange> {
        let now = Utc::now();
        Ok(match (self.days_back, &self.from, &self.to) {
            (Some(days), _, _) => ImportRange::days_back(days, now)?,
            (None, Some(from), Some(to)) => ImportRange::between(from, to, now)?,
            _ => anyhow::bail!("say --days-back DAYS, or --from DATE --to DATE"),
        })
    }
}

/// Asks CallRail once and says what an import would take.
async fn foretell(
    settings: &Settings,
    store: &Store,
    range: &ImportRange,
    company: Option<CompanyId>,
) -> anyhow::Result<()> {
    let client = parts::callrail_client(settings, store, RequestClass::Backfill)?
        .context("no account is set: set CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID")?;
    let query = CallQuery {
        company,
        from: range.start(),
        until: range.end(),
    };
    let first = client.calls(&query).await?;
    let mut windows = 0;
    let mut start = range.start();
    while start < range.end() {
        start = window_end(start, range.end());
        windows += 1;
    }
    match (first.total_records, &first.next) {
        (Some(total), _) => {
            let requests = total.div_ceil(MAX_PER_PAGE as u64) + windows;
            let limits = parts::request_limits(settings)?;
            let waiting = limits.time_for(
                RequestClass::Backfill,
                u32::try_from(requests).unwrap_or(u32::MAX),
            );
            let minutes = waiting.num_minutes() + 1;
            println!("{total} calls: at most {requests} requests, about {minutes} min.");
        }
        (None, None) => println!(
            "{} calls: at most {windows} requests, about 1 min.",
            first.calls.len()
        ),
        (None, Some(_)) => println!(
            "More than {} calls, at least {} requests: CallRail does not say how many.",
            first.calls.len(),
            windows + 1
        ),
    }
    Ok(())
}

/// Shows how far the run is until it is complete, and says how it came out.
async fn watch(store: &Store, run: &Run) -> anyhow::Result<ExitCode> {
    let bar = bar(run);
    let mut last_change = (0, Instant::now());
    let mut told = false;
    loop {
        let now = store.import(run.id).await?.context("the import is gone")?;
        let counts = store.import_counts(run.id).await?;
        let made = store.requests_made(Utc::now()).await?;
        bar.set_position(days(read_until(&now) - now.start));
        bar.set_message(format!(
            "{} calls read, {} stored, {} failed; {} pages; {} requests in this hour",
            counts.total, counts.stored, counts.failed, now.pages, made.hour
        ));
        match now.state {
            ImportState::Failed => {
                bar.abandon();
                let reason = now.error.as_deref().unwrap_or("no reason is noted");
                eprintln!(
                    "The import was given up: {reason}\nWhat was read by then is kept; start it again when that is mended."
                );
                return Ok(ExitCode::FAILURE);
            }
            ImportState::Cancelled => {
                bar.abandon();
                eprintln!("The import was cancelled.");
                return Ok(ExitCode::FAILURE);
            }
            ImportState::Waiting | ImportState::Running | ImportState::Finished => {}
        }
        if now.is_complete(&counts) {
            bar.finish();
            return tell(store, run, &counts).await;
        }
        if counts.stored != last_change.0 {
            last_change = (counts.stored, Instant::now());
        } else if counts.queued > 0 && last_change.1.elapsed() > STUCK_AFTER && !told {
            bar.suspend(|| {
                eprintln!(
                    "{} calls wait in the queue for somebody who writes them: is `trunkline run` or `trunkline \
                     call-writer` running?",
                    counts.queued
                );
            });
            told = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn tell(store: &Store, run: &Run, counts: &ImportCounts) -> anyhow::Result<ExitCode> {
    println!(
        "Imported {} calls: {} stored ({} matched, {} unmatched, {} ambiguous), {} failed.",
        counts.total, counts.stored, counts.matched, counts.unmatched, counts.ambiguous, counts.failed
    );
    for failed in store.failed_import_calls(run.id, FAILURES_SHOWN, None).await? {
        println!("  {}: {}", failed.call_sid, failed.reason);
    }
    if counts.failed > u64::from(FAILURES_SHOWN) {
        println!("  and {} more", counts.failed - u64::from(FAILURES_SHOWN));
    }
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// As long as the range has days: how many calls there are nobody knows before the end.
fn bar(run: &Run) -> ProgressBar {
    let bar = ProgressBar::new(days(run.end - run.start));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} days, {eta} left  {msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn read_until(run: &Run) -> chrono::DateTime<Utc> {
    run.cursor
        .as_ref()
        .map_or(run.start, |cursor| cursor.window_start)
}

/// Days that have begun.
fn days(span: TimeDelta) -> u64 {
    let seconds = u64::try_from(span.num_seconds()).unwrap_or(0);
    seconds.div_ceil(24 * 60 * 60)
}
