//! What every process of Trunkline needs: settings, logs, health and metrics, and an orderly end.

mod explain;
pub mod health;
mod serve;
pub mod settings;
mod supervisor;
pub mod telemetry;
mod turns;

pub use explain::in_one_line;
pub use health::{Condition, Health};
pub use serve::{serve, serve_http};
pub use settings::{Settings, SettingsError};
pub use supervisor::{Signals, Supervisor};
pub use tokio_util::sync::CancellationToken;
pub use turns::Turns;
