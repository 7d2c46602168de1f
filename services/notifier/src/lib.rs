//! Alert in, Pusher out: consumes the queue `alerts` and publishes each alert to the screens it is for.
//!
//! An alert may be published twice; its `id` is the same then, and readers drop it. No database, no HTTP of
//! its own.

mod event;
mod metrics;
mod notifier;

pub use event::Payload;
pub use metrics::Metrics;
pub use notifier::Notifier;
