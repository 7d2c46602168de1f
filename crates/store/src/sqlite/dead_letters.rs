//! Messages that could not be worked on.

use diesel::prelude::*;
use uuid::Uuid;

use super::{Sqlite, erasure, imports};
use crate::columns::{Id, Time};
use crate::erasure::{empty_erased, numbers_of};
use crate::import::CallsProgress;
use crate::rows::{DeadLetterRow, WaitingDeadLettersRow};
use crate::schema::dead_letters;
use crate::{DeadLetter, DeadLetterState, KeptDeadLetter, StoreError, WaitingDeadLetters};

impl Sqlite {
    pub(crate) async fn save_dead_letters(&self, mut letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        let numbers = numbers_of(&letters);
        self.write(move |connection| {
            empty_erased(&mut letters, &erasure::find(connection, numbers)?);
            let imported = CallsProgress::dead(&letters);
            for letter in letters {
                diesel::insert_or_ignore_into(dead_letters::table)
                    .values(DeadLetterRow::new(letter))
                    .execute(connection)?;
            }
            imports::save_progress(connection, &imported)
        })
        .await
    }

    pub(crate) async fn dead_letters(
        &self,
        state: Option<DeadLetterState>,
        limit: u32,
        before: Option<Uuid>,
    ) -> Result<Vec<KeptDeadLetter>, StoreError> {
        self.read(move |connection| {
            let mut query = dead_letters::table
                .order((dead_letters::last_failed_at.desc(), dead_letters::id.desc()))
                .limit(limit.into())
                .select(DeadLetterRow::as_select())
                .into_boxed();
            if let Some(state) = state {
                query = query.filter(dead_letters::state.eq(state.as_str()));
            }
            if let Some(before) = before {
                let failed_at = dead_letters::table
                    .find(Id(before))
                    .select(dead_letters::last_failed_at)
                    .first::<Time>(connection)
                    .optional()?;
                let Some(failed_at) = failed_at else {
                    return Ok(Vec::new());
                };
                let at_that_time = dead_letters::last_failed_at.eq(failed_at);
                query = query.filter(
                    dead_letters::last_failed_at
                        .lt(failed_at)
                        .or(at_that_time.and(dead_letters::id.lt(Id(before)))),
                );
            }
            let rows: Vec<DeadLetterRow> = query.load(connection)?;
            rows.into_iter().map(DeadLetterRow::into_kept).collect()
        })
        .await
    }

    pub(crate) async fn count_waiting_dead_letters(&self) -> Result<WaitingDeadLetters, StoreError> {
        self.read(|connection| {
            let row: WaitingDeadLettersRow = diesel::sql_query(
                "select count(*) filter (where attempts = 0) as never_tried,
                        count(*) filter (where attempts = 1) as tried_once,
                        count(*) filter (where attempts > 1) as tried_often
                 from dead_letters where state = 'waiting'",
            )
            .get_result(connection)?;
            Ok(row.into())
        })
        .await
    }

    pub(crate) async fn dead_letter(&self, id: Uuid) -> Result<Option<KeptDeadLetter>, StoreError> {
        self.read(move |connection| {
            let row: Option<DeadLetterRow> = dead_letters::table
                .find(Id(id))
                .select(DeadLetterRow::as_select())
                .first(connection)
                .optional()?;
            row.map(DeadLetterRow::into_kept).transpose()
        })
        .await
    }

    pub(crate) async fn set_dead_letter_state(
        &self,
        id: Uuid,
        from: DeadLetterState,
        to: DeadLetterState,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let changed = diesel::update(
                dead_letters::table
                    .find(Id(id))
                    .filter(dead_letters::state.eq(from.as_str())),
            )
            .set(dead_letters::state.eq(to.as_str()))
            .execute(connection)?;
            Ok(changed > 0)
        })
        .await
    }
}
