//! The rows: what is measured, a file each.

mod growth;
mod import;
mod ingest;
mod latency;
mod memory;
mod standalone;
mod start;
mod two;
mod writer;

use std::time::Duration;

use clap::ValueEnum;
use trunkline_tests::Process;

use crate::report::Measured;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) quick: bool,
}

impl Extent {
    /// One of the two.
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How often the sides take turns.
    pub(crate) fn rounds(self) -> usize {
        self.of(5, 3)
    }

    /// How long a side is under load each time.
    pub(crate) fn round(self) -> Duration {
        self.of(Duration::from_secs(4), Duration::from_millis(600))
    }
}

/// A row, in the order of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum RowName {
    /// webhook-ingest to RabbitMQ: deliveries a second, processor time, latency.
    Ingest,
    /// webhook-ingest with the embedded queue.
    Standalone,
    /// call-writer on PostgreSQL, from a full queue.
    WriterPostgres,
    /// call-writer on SQLite, from a full queue.
    WriterSqlite,
    /// From the POST of a ring to Pusher.
    Latency,
    /// Past calls from CallRail's API.
    Import,
    /// Memory of each service under load; `MEMORY_SECONDS` for less or more than 600.
    Memory,
    /// PostgreSQL as the tables grow.
    Growth,
    /// Two of each beside one.
    Two,
    /// From the start of a process to its being ready.
    Start,
    /// The size of the program.
    Program,
}

impl RowName {
    pub(crate) const ALL: [Self; 11] = [
        Self::Ingest,
        Self::Standalone,
        Self::WriterPostgres,
        Self::WriterSqlite,
        Self::Latency,
        Self::Import,
        Self::Memory,
        Self::Growth,
        Self::Two,
        Self::Start,
        Self::Program,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ingest => "webhook-ingest to RabbitMQ",
            Self::Standalone => "webhook-ingest, standalone",
            Self::WriterPostgres => "call-writer, PostgreSQL",
            Self::WriterSqlite => "call-writer, SQLite",
            Self::Latency => "Alert latency, scaled: from the POST of a ring to Pusher",
            Self::Import => "Import",
            Self::Memory => "Memory",
            Self::Growth => "Growth on PostgreSQL",
            Self::Two => "Two of each",
            Self::Start => "Start to ready",
            Self::Program => "The program",
        }
    }

    /// As it is named on the command line.
    pub(crate) fn argument(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) async fn measure(self, extent: Extent) -> Measured {
        match self {
            Self::Ingest => ingest::measure(extent).await,
            Self::Standalone => standalone::measure(extent).await,
            Self::WriterPostgres => writer::measure_postgres(extent).await,
            Self::WriterSqlite => writer::measure_sqlite(extent).await,
            Self::Latency => latency::measure(extent).await,
            Self::Import => import::measure(extent).await,
            Self::Memory => memory::measure(extent).await,
            Self::Growth => growth::measure(extent).await,
            Self::Two => two::measure(extent).await,
            Self::Start => start::measure(extent).await,
            Self::Program => start::measure_program(),
        }
    }
}

/// The value of a metric of a process; the sum when it has several. `None` while the process does not tell.
async fn metric(process: &Process, name: &str) -> Option<f64> {
    let url = format!("http://{}/metrics", process.metrics_address());
    let text = reqwest::get(url).await.ok()?.text().await.ok()?;
    let values = text.lines().filter_map(|line| {
        let (named, value) = line.rsplit_once(' ')?;
        let bare = named.split_once('{').map_or(named, |(bare, _)| bare);
        (bare.strip_prefix("trunkline_") == Some(name)).then(|| value.parse::<f64>().unwrap())
    });
    Some(values.sum())
}
