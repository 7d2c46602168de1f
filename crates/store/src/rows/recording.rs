//! The rows of recordings.

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;

use super::call_id;
use crate::columns::{Id, Time};
use crate::schema::recordings;
use crate::{ArchivedRecording, RecordingOutcome, RecordingTaken, StoreError};

/// What the work on a recording ends with.
#[derive(AsChangeset)]
#[diesel(table_name = recordings)]
#[diesel(treat_none_as_null = true)]
pub(crate) struct OutcomeRow {
    pub(crate) state: &'static str,
    pub(crate) due_at: Time,
    pub(crate) holder: Option<Id>,
    pub(crate) attempts: i64,
    pub(crate) missing_since: Option<Time>,
    pub(crate) reason: Option<String>,
    /// One that was noted before stays: something may be there.
    #[diesel(treat_none_as_null = false)]
    pub(crate) object_key: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) length_bytes: Option<i64>,
    pub(crate) sha256: Option<String>,
    pub(crate) stored_at: Option<Time>,
}

impl OutcomeRow {
    pub(crate) fn new(taken: &RecordingTaken, outcome: RecordingOutcome, now: DateTime<Utc>) -> Self {
        let now = now.trunc_subsecs(6);
        // PostgreSQL's texts hold no NUL, and what went wrong must never be refused.
        let text = |text: String| text.replace('\0', "\u{fffd}");
        let left = Self {
            state: "waiting",
            due_at: Time(now),
            holder: None,
            attempts: taken.attempts.into(),
            missing_since: taken.missing_since.map(Time),
            reason: None,
            object_key: None,
            content_type: None,
            length_bytes: None,
            sha256: None,
            stored_at: None,
        };
        match outcome {
            RecordingOutcome::Left => left,
            RecordingOutcome::Failed {
                reason,
                due_at,
                is_missing,
            } => Self {
                due_at: Time(due_at.trunc_subsecs(6)),
                attempts: left.attempts + 1,
                missing_since: left.missing_since.or(is_missing.then_some(Time(now))),
                reason: Some(text(reason)),
                ..left
            },
            RecordingOutcome::Gone { reason } => Self {
                state: "gone",
                attempts: left.attempts + 1,
                reason: Some(text(reason)),
                ..left
            },
            RecordingOutcome::Archived(archived) => Self {
                state: "archived",
                missing_since: None,
                object_key: Some(text(archived.key)),
                content_type: Some(text(archived.content_type)),
                length_bytes: Some(i64::try_from(archived.length).unwrap_or(i64::MAX)),
                sha256: Some(archived.sha256),
                stored_at: Some(Time(archived.stored_at.trunc_subsecs(6))),
                ..left
            },
        }
    }
}

/// A recording that waits.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = recordings)]
pub(crate) struct TakenRow {
    call_sid: String,
    call_began_at: Time,
    attempts: i64,
    missing_since: Option<Time>,
}

impl TakenRow {
    pub(crate) fn into_taken(self) -> Result<RecordingTaken, StoreError> {
        Ok(RecordingTaken {
            call_sid: call_id(&self.call_sid)?,
            call_began_at: self.call_began_at.0,
            attempts: u32::try_from(self.attempts).map_err(|_| StoreError::Corrupt("attempts"))?,
            missing_since: self.missing_since.map(|time| time.0),
        })
    }
}

/// A recording in the archive.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = recordings)]
pub(crate) struct ArchivedRow {
    object_key: Option<String>,
    content_type: Option<String>,
    length_bytes: Option<i64>,
    sha256: Option<String>,
    stored_at: Option<Time>,
}

impl ArchivedRow {
    pub(crate) fn into_archived(self) -> Result<ArchivedRecording, StoreError> {
        Ok(ArchivedRecording {
            key: self.object_key.ok_or(StoreError::Corrupt("object_key"))?,
            content_type: self.content_type.ok_or(StoreError::Corrupt("content_type"))?,
            length: self
                .length_bytes
                .and_then(|length| u64::try_from(length).ok())
                .ok_or(StoreError::Corrupt("length_bytes"))?,
            sha256: self.sha256.ok_or(StoreError::Corrupt("sha256"))?,
            stored_at: self.stored_at.ok_or(StoreError::Corrupt("stored_at"))?.0,
        })
    }
}

/// A call whose recording is to be kept.
#[derive(Queryable, QueryableByName)]
pub(crate) struct WantedRow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    pub(crate) call_sid: String,
    #[diesel(sql_type = crate::columns::SqlTime)]
    pub(crate) scheduled_at: Time,
    #[diesel(sql_type = crate::columns::SqlTime)]
    pub(crate) updated_at: Time,
}
