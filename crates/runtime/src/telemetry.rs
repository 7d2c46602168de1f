//! Logs: sentences on standard error, the values beside them as fields. Never a telephone number, a name, a word
//! that was spoken, a body, a key or a query string.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownFormat),
        }
    }
}

/// The text names no format.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("must be text or json")]
pub struct UnknownFormat;

/// Starts logging for the process. What is logged is chosen by `RUST_LOG`; unless that is set, `default` and what is
/// worth knowing of the HTTP server.
pub fn init(format: LogFormat, default: LevelFilter) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(chosen) => EnvFilter::try_new(chosen)?,
        Err(_) => EnvFilter::try_new(format!("{default},actix_server=warn"))?,
    };
    let is_terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow::anyhow!(error))
}
