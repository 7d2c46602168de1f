//! Import runs: what is read from CallRail's API, how far that has come, and what became of each call.
//!
//! A run is worked on by whoever leases it. The one at work publishes the calls of a page and saves the page after
//! that, together with where to go on: a crash in between reads the page once more, and never leaves one out.

use std::collections::BTreeMap;

use calls::{CallEvent, CallId, CompanyId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::DeadLetter;

/// Who wanted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportSource {
    /// Somebody, by the HTTP API.
    Api,
    /// An operator, by the command line.
    Cli,
    /// The reconciler, to find what webhooks missed.
    Reconcile,
}

impl ImportSource {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Reconcile => "reconcile",
        }
    }

    /// The source of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Api, Self::Cli, Self::Reconcile]
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// Nobody has begun with it.
    Waiting,
    /// Calls are being read, or will be once somebody leases it again.
    Running,
    /// Everything was read. The run is complete once no call is queued any more.
    Finished,
    /// It was given up, for a reason.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl ImportState {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Waiting,
            Self::Running,
            Self::Finished,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|state| state.as_str() == name)
    }

    /// Whether there is still something to read.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

/// A run to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImport {
    /// Who wants it.
    pub source: ImportSource,
    /// Calls that began at this time or later.
    pub start: DateTime<Utc>,
    /// Calls that began before this time, which is later than `start`.
    pub end: DateTime<Utc>,
    /// Calls of one company only.
    pub company: Option<CompanyId>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// A UUIDv7: the events that the run publishes carry it.
    pub id: Uuid,
    /// Who wanted it.
    pub source: ImportSource,
    /// Calls that began at this time or later.
    pub start: DateTime<Utc>,
    /// Calls that began before this time.
    pub end: DateTime<Utc>,
    /// Calls of one company only.
    pub company: Option<CompanyId>,
    /// How far it has come.
    pub state: ImportState,
    /// When it was wanted.
    pub created_at: DateTime<Utc>,
    /// When it was first leased.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was finished, given up or cancelled.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it was given up; while it is open, why it does not go on.
    pub error: Option<String>,
    /// Where to go on; `None`: nothing was read.
    pub cursor: Option<ImportCursor>,
    /// How many pages were saved.
    pub pages: u64,
    /// How many requests these pages took, and the calls that were read alone.
    pub requests: u64,
    /// It was read to its end before, and now the calls that failed are read alone.
    pub retrying: bool,
}

/// Where to go on reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportCursor {
    /// The beginning of the window under way; [`Import::end`] when all of them were read. Windows come in the order
    /// of time.
    pub window_start: DateTime<Utc>,
    /// The next page of the window, as CallRail named it; `None`: the first.
    pub next_page: Option<String>,
}

/// A page that was read and whose calls were published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPage {
    /// What was in it.
    pub calls: Vec<ImportedCall>,
    /// Where to go on behind it.
    pub cursor: ImportCursor,
    /// How many requests it took.
    pub requests: u32,
}

/// What the importer made of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportedCall {
    /// Its event was published.
    Queued(CallId),
    /// The database has it as it is: nothing was published.
    Known(CallId),
    /// It cannot be read.
    Failed(FailedCall),
}

/// A call of a run that is not stored, with why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCall {
    /// CallRail's id of the call. If it has none that can be read, a name that the same call gets when it is read
    /// again; 64 characters of it are kept.
    pub call_sid: String,
    /// What was wrong, for people; no personal data.
    pub reason: String,
}

/// What became of calls of a run that had failed and were read alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetriedCalls {
    /// Those that could be read this time and were published, each with the reason for which it had failed.
    pub published: Vec<FailedCall>,
    /// Those that failed again.
    pub failed: Vec<FailedCall>,
    /// When they were read: dead letters of the published ones from before are settled by that.
    pub read_at: DateTime<Utc>,
    /// How many requests it took.
    pub requests: u32,
}

/// What became of the wish to try the failed calls of a run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ImportRetry {
    /// The run waits for an importer again.
    Waiting,
    /// The run is not over yet.
    Open,
    /// The run was given up or cancelled before all was read.
    Incomplete,
    /// There is no such run.
    Unknown,
}

/// Whether somebody may go on with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum ImportLease {
    /// The run is his, and what he wanted is done.
    Held,
    /// His lease ran out and somebody else has the run. Nothing is done.
    Lost,
    /// The run was cancelled or has ended, or there is none. Nothing is done.
    Over,
}

/// What became of the calls of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// All that were found so far, each once.
    pub total: u64,
    /// Those whose event is on its way.
    pub queued: u64,
    /// Those whose event is in the database.
    pub stored: u64,
    /// Those that could not be read or stored.
    pub failed: u64,
    /// Of those stored: linked with one of the CRM's people.
    pub matched: u64,
    /// Of those stored: linked with nobody.
    pub unmatched: u64,
    /// Of those stored: several people have the number, and nobody has decided yet.
    pub ambiguous: u64,
}

impl Import {
    /// Whether the calls of it that failed can be tried again.
    pub(crate) fn retry(&self) -> ImportRetry {
        let cursor = self.cursor.as_ref();
        if self.state.is_open() {
            ImportRetry::Open
        } else if cursor.is_some_and(|cursor| cursor.window_start >= self.end) {
            ImportRetry::Waiting
        } else {
            ImportRetry::Incomplete
        }
    }

    /// Whether all was read and nothing is on its way any more.
    pub fn is_complete(&self, counts: &ImportCounts) -> bool {
        self.state == ImportState::Finished && counts.queued == 0
    }
}

/// How far a call of a run has come. It only rises, until somebody retries it: whoever tells of it, and in whatever
/// order, the last word is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    Queued,
    Failed,
    Stored,
}

impl Progress {
    /// The name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Failed => "failed",
            Self::Stored => "stored",
        }
    }
}

/// The longest name of a call: as long as CallRail's ids may be.
const MAX_NAME: usize = 64;

/// What is told of calls of runs, each call once, in the order in which everybody locks them.
#[derive(Default)]
pub(crate) struct CallsProgress(BTreeMap<(Uuid, String), (Progress, Option<String>)>);

impl CallsProgress {
    /// The events of a run are in the database.
    pub(crate) fn stored<'a>(events: impl Iterator<Item = &'a CallEvent>) -> Self {
        let mut all = Self::default();
        for event in events {
            if let Some(import_id) = event.import_id {
                all.raise(import_id, event.call.call_sid.as_str(), Progress::Stored, None);
            }
        }
        all
    }

    /// The events of a run could not be worked on.
    pub(crate) fn dead(letters: &[DeadLetter]) -> Self {
        let mut all = Self::default();
        for letter in letters {
            if let (Some(import_id), Some(call_sid)) = (letter.import_id, &letter.call_sid) {
                all.raise(
                    import_id,
                    call_sid.as_str(),
                    Progress::Failed,
                    Some(&letter.reason),
                );
            }
        }
        all
    }

    /// A page of a run was read and published.
    pub(crate) fn read(import_id: Uuid, calls: &[ImportedCall]) -> Self {
        let mut all = Self::default();
        for call in calls {
            match call {
                ImportedCall::Queued(call_sid) => {
                    all.raise(import_id, call_sid.as_str(), Progress::Queued, None);
                }
                ImportedCall::Known(call_sid) => {
                    all.raise(import_id, call_sid.as_str(), Progress::Stored, None);
                }
                ImportedCall::Failed(FailedCall { call_sid, reason }) => {
                    all.raise(import_id, call_sid, Progress::Failed, Some(reason));
                }
            }
        }
        all
    }

    /// Calls of a run were read alone and failed again.
    pub(crate) fn failed(import_id: Uuid, calls: &[FailedCall]) -> Self {
        let mut all = Self::default();
        for FailedCall { call_sid, reason } in calls {
            all.raise(import_id, call_sid, Progress::Failed, Some(reason));
        }
        all
    }

    fn raise(&mut self, import_id: Uuid, call_sid: &str, progress: Progress, reason: Option<&str>) {
        // PostgreSQL's texts hold no NUL, and what went wrong must never be refused.
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        let name = text(call_sid).chars().take(MAX_NAME).collect();
        let known = self.0.entry((import_id, name)).or_insert((progress, None));
        if progress >= known.0 {
            *known = (progress, reason.map(text));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Run, call, how far it has come, and why not further.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uuid, &str, Progress, Option<&str>)> {
        self.0.iter().map(|((import_id, call_sid), (progress, reason))| {
            (*import_id, call_sid.as_str(), *progress, reason.as_deref())
        })
    }
}
