//! Messages that could not be worked on.

use calls::CallId;
use diesel::prelude::*;

use super::Sqlite;
use super::rows::{time, time_text};
use super::schema::dead_letters;
use crate::{DeadLetter, StoreError};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = dead_letters)]
#[diesel(treat_none_as_default_value = false)]
struct DeadLetterRow {
    id: String,
    queue: String,
    reason: String,
    event_id: Option<String>,
    call_sid: Option<String>,
    import_id: Option<String>,
    attempts: i64,
    first_failed_at: String,
    last_failed_at: String,
    body: Vec<u8>,
    state: String,
}

impl DeadLetterRow {
    fn new(letter: DeadLetter) -> Self {
        Self {
            id: letter.id.to_string(),
            queue: letter.queue,
            reason: letter.reason,
            event_id: letter.event_id.map(|id| id.to_string()),
            call_sid: letter.call_sid.map(|call_sid| call_sid.to_string()),
            import_id: letter.import_id.map(|id| id.to_string()),
            attempts: letter.attempts.into(),
            first_failed_at: time_text(letter.first_failed_at),
            last_failed_at: time_text(letter.last_failed_at),
            body: letter.body,
            state: "waiting".to_owned(),
        }
    }

    fn into_letter(self) -> Result<DeadLetter, StoreError> {
        let uuid = |text: Option<String>, column| {
            text.map(|text| text.parse().map_err(|_| StoreError::Corrupt(column)))
                .transpose()
        };
        let call_sid = self.call_sid.as_deref().map(CallId::parse).transpose();
        Ok(DeadLetter {
            id: self.id.parse().map_err(|_| StoreError::Corrupt("id"))?,
            queue: self.queue,
            reason: self.reason,
            event_id: uuid(self.event_id, "event_id")?,
            call_sid: call_sid.map_err(|_| StoreError::Corrupt("call_sid"))?,
            import_id: uuid(self.import_id, "import_id")?,
            attempts: u32::try_from(self.attempts).map_err(|_| StoreError::Corrupt("attempts"))?,
            first_failed_at: time(&self.first_failed_at, "first_failed_at")?,
            last_failed_at: time(&self.last_failed_at, "last_failed_at")?,
            body: self.body,
        })
    }
}

impl Sqlite {
    pub(crate) async fn save_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for letter in letters {
                diesel::insert_or_ignore_into(dead_letters::table)
                    .values(DeadLetterRow::new(letter))
                    .execute(connection)?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn waiting_dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        self.read(move |connection| {
            let rows: Vec<DeadLetterRow> = dead_letters::table
                .filter(dead_letters::state.eq("waiting"))
                .order(dead_letters::last_failed_at.desc())
                .limit(limit.into())
                .select(DeadLetterRow::as_select())
                .load(connection)?;
            rows.into_iter().map(DeadLetterRow::into_letter).collect()
        })
        .await
    }
}
