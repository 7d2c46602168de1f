//! Whether webhooks come: what the reconciler found last, for those who are asked in another process.

use chrono::{DateTime, TimeDelta, Utc};

/// How far back a call is looked for that a webhook has told of.
pub(crate) const LOOKED_BACK: TimeDelta = TimeDelta::days(28);

/// The weeks whose calls tell what is usual.
pub(crate) const USUAL_WEEKS: u32 = 4;

/// What the reconciler found last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookHealth {
    /// What it counted; `None`: it never has.
    pub counted: Option<WebhooksCounted>,
    /// The integration that it saw at CallRail; `None`: it has not looked yet.
    pub integration: Option<IntegrationSeen>,
}

/// What the calls in the database tell of the webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhooksCounted {
    /// When it was counted.
    pub counted_at: DateTime<Utc>,
    /// Calls of the last 24 hours that no webhook has told of; `None`: no webhook has come for a month.
    pub gap: Option<u64>,
    /// When the last call began that a webhook has told of, if none has come for too long.
    pub silent_since: Option<DateTime<Utc>>,
}

/// The integration that sends a company's webhooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationSeen {
    /// When it was looked at.
    pub checked_at: DateTime<Utc>,
    /// In CallRail's word, or `missing`.
    pub state: String,
}

/// What has happened since a webhook last told of the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// When that call began.
    pub since: DateTime<Utc>,
    /// How many calls have begun since, and are in the database because they were imported.
    pub calls: u64,
    /// How many began at the same time of the week before: the mean of four weeks.
    pub usual: u64,
}

impl Quiet {
    /// The same stretch of time, so many weeks earlier.
    pub(crate) fn stretch(
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        weeks: u32,
    ) -> (DateTime<Utc>, DateTime<Utc>) {
        let earlier = TimeDelta::weeks(weeks.into());
        (since - earlier, until - earlier)
    }

    /// `in_weeks`: how many calls there were in the stretch itself, and in each week before.
    pub(crate) fn new(since: DateTime<Utc>, in_weeks: &[u64]) -> Self {
        let (calls, before) = in_weeks.split_first().unwrap_or((&0, &[]));
        Self {
            since,
            calls: *calls,
            usual: before.iter().sum::<u64>() / u64::from(USUAL_WEEKS),
        }
    }
}
