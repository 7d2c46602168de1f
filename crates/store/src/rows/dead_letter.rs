//! The row of a dead letter.

use calls::CallId;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::columns::{Id, Time};
use crate::schema::dead_letters;
use crate::{DeadLetter, DeadLetterState, KeptDeadLetter, StoreError, WaitingDeadLetters};

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = dead_letters)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct DeadLetterRow {
    pub(crate) id: Id,
    pub(crate) queue: String,
    pub(crate) reason: String,
    pub(crate) event_id: Option<Id>,
    pub(crate) call_sid: Option<String>,
    pub(crate) import_id: Option<Id>,
    pub(crate) attempts: i64,
    pub(crate) first_failed_at: Time,
    pub(crate) last_failed_at: Time,
    pub(crate) body: Vec<u8>,
    pub(crate) state: String,
}

#[derive(QueryableByName)]
pub(crate) struct WaitingDeadLettersRow {
    #[diesel(sql_type = BigInt)]
    never_tried: i64,
    #[diesel(sql_type = BigInt)]
    tried_once: i64,
    #[diesel(sql_type = BigInt)]
    tried_often: i64,
}

impl From<WaitingDeadLettersRow> for WaitingDeadLetters {
    fn from(row: WaitingDeadLettersRow) -> Self {
        Self {
            never_tried: row.never_tried.unsigned_abs(),
            tried_once: row.tried_once.unsigned_abs(),
            tried_often: row.tried_often.unsigned_abs(),
        }
    }
}

impl DeadLetterRow {
    pub(crate) fn new(letter: DeadLetter) -> Self {
        Self {
            id: Id(letter.id),
            queue: letter.queue,
            // PostgreSQL's texts hold no NUL, and a dead letter must never be refused.
            reason: letter.reason.replace('\0', "\u{fffd}"),
            event_id: letter.event_id.map(Id),
            call_sid: letter.call_sid.map(|call_sid| call_sid.to_string()),
            import_id: letter.import_id.map(Id),
            attempts: letter.attempts.into(),
            first_failed_at: Time(letter.first_failed_at),
            last_failed_at: Time(letter.last_failed_at),
            body: letter.body,
            state: DeadLetterState::Waiting.as_str().to_owned(),
        }
    }

    pub(crate) fn into_kept(self) -> Result<KeptDeadLetter, StoreError> {
        let call_sid = self.call_sid.as_deref().map(CallId::parse).transpose();
        let letter = DeadLetter {
            id: self.id.0,
            queue: self.queue,
            reason: self.reason,
            event_id: self.event_id.map(|id| id.0),
            call_sid: call_sid.map_err(|_| StoreError::Corrupt("call_sid"))?,
            import_id: self.import_id.map(|id| id.0),
            attempts: u32::try_from(self.attempts).map_err(|_| StoreError::Corrupt("attempts"))?,
            first_failed_at: self.first_failed_at.0,
            last_failed_at: self.last_failed_at.0,
            body: self.body,
        };
        let state = DeadLetterState::from_name(&self.state).ok_or(StoreError::Corrupt("state"))?;
        Ok(KeptDeadLetter { letter, state })
    }
}
