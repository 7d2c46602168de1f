//! Whether the installation is alive: what an operator looks at first.

use chrono::{DateTime, Utc};

/// How many of the newest alerts are asked when a webhook came last.
pub(crate) const ALERTS_ASKED: i64 = 200;

/// What happened last, and what waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// When a webhook was last received for one of the calls that newest alerts are of; `None` when there is no such
    /// call.
    pub last_webhook_at: Option<DateTime<Utc>>,
    /// Dead letters that wait for somebody to look at them.
    pub dead_letters_waiting: u64,
    /// Import runs that have not ended.
    pub imports_open: u64,
}
