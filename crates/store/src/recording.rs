//! Recordings that are kept in an archive, those that wait for it, and those that CallRail does not have any more.
//!
//! Whoever fetches recordings takes one at a time, which puts it off for the others until a time at which he must have
//! ended, and then says how it ended. So several share the work, and what a killed one has left is taken up again.

use calls::CallId;
use chrono::{DateTime, TimeDelta, Utc};

/// Calls that are so young come before all others: somebody may want to listen now. Of the others the oldest come
/// first, since CallRail forgets those next.
pub(crate) const YOUNG: TimeDelta = TimeDelta::days(1);

/// A recording that somebody has taken, to fetch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingTaken {
    /// Whose recording.
    pub call_sid: CallId,
    /// When the call began.
    pub call_began_at: DateTime<Utc>,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When CallRail first did not have it.
    pub missing_since: Option<DateTime<Utc>>,
}

/// How the work on a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingOutcome {
    /// It is in the archive.
    Archived(ArchivedRecording),
    /// It was tried in vain, and is tried again at a time.
    Failed {
        /// What was wrong, for people; no personal data.
        reason: String,
        /// When to try again.
        due_at: DateTime<Utc>,
        /// CallRail does not have it, perhaps not yet.
        is_missing: bool,
    },
    /// CallRail does not have it, and nobody asks again.
    Gone {
        /// How that is known, for people; no personal data.
        reason: String,
    },
    /// It was not tried, which is not its fault.
    Left,
}

/// A recording in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedRecording {
    /// Under which it stands there.
    pub key: String,
    /// What kind of sound it is.
    pub content_type: String,
    /// In bytes.
    pub length: u64,
    /// In hexadecimal.
    pub sha256: String,
    /// When it was put there.
    pub stored_at: DateTime<Utc>,
}
