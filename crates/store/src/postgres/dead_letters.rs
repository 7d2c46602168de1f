//! Messages that could not be worked on.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use uuid::Uuid;

use super::statement::Statement;
use super::{Postgres, erasure, imports};
use crate::columns::{Id, SqlId};
use crate::erasure::{empty_erased, numbers_of};
use crate::import::CallsProgress;
use crate::rows::{DeadLetterRow, WaitingDeadLettersRow};
use crate::{DeadLetter, DeadLetterState, KeptDeadLetter, StoreError, WaitingDeadLetters};

impl Postgres {
    pub(crate) async fn save_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        let imported = CallsProgress::dead(&letters);
        let numbers = numbers_of(&letters);
        Self::write(&self.batches, move |connection| {
            let mut letters = letters.clone();
            empty_erased(&mut letters, &erasure::find(connection, numbers.clone())?);
            let rows: Vec<DeadLetterRow> = letters.into_iter().map(DeadLetterRow::new).collect();
            Statement::new(
                "insert into trunkline.dead_letters
                     (id, queue, reason, event_id, call_sid, import_id, attempts, first_failed_at, last_failed_at,
                      body, state)
                 select * from unnest({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
                 order by 1
                 on conflict do nothing",
            )
            .ids(rows.iter().map(|row| row.id))
            .texts(rows.iter().map(|row| row.queue.as_str()))
            .texts(rows.iter().map(|row| row.reason.as_str()))
            .column::<Nullable<SqlId>, _>(rows.iter().map(|row| row.event_id))
            .optional_texts(rows.iter().map(|row| &row.call_sid))
            .column::<Nullable<SqlId>, _>(rows.iter().map(|row| row.import_id))
            .column::<BigInt, _>(rows.iter().map(|row| row.attempts))
            .times(rows.iter().map(|row| row.first_failed_at))
            .times(rows.iter().map(|row| row.last_failed_at))
            .column::<Binary, _>(rows.iter().map(|row| row.body.as_slice()))
            .texts(rows.iter().map(|row| row.state.as_str()))
            .execute(connection)?;
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
            let state = state.map(DeadLetterState::as_str);
            let before = before.map(Id);
            let rows: Vec<DeadLetterRow> = Statement::new(
                "select id, queue, reason, event_id, call_sid, import_id, attempts, first_failed_at, last_failed_at,
                        body, state
                 from trunkline.dead_letters
                 where ({} is null or state = {})
                   and ({} is null or (last_failed_at, id) < (
                       select seen.last_failed_at, seen.id from trunkline.dead_letters seen where seen.id = {}
                   ))
                 order by last_failed_at desc, id desc
                 limit {}",
            )
            .bind::<Nullable<Text>, _>(state)
            .bind::<Nullable<Text>, _>(state)
            .bind::<Nullable<SqlId>, _>(before)
            .bind::<Nullable<SqlId>, _>(before)
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            rows.into_iter().map(DeadLetterRow::into_kept).collect()
        })
        .await
    }

    pub(crate) async fn count_waiting_dead_letters(&self) -> Result<WaitingDeadLetters, StoreError> {
        self.read(|connection| {
            let row: WaitingDeadLettersRow = Statement::new(
                "select count(*) filter (where attempts = 0) as never_tried,
                        count(*) filter (where attempts = 1) as tried_once,
                        count(*) filter (where attempts > 1) as tried_often
                 from trunkline.dead_letters where state = 'waiting'",
            )
            .get_result(connection)?;
            Ok(row.into())
        })
        .await
    }

    pub(crate) async fn dead_letter(&self, id: Uuid) -> Result<Option<KeptDeadLetter>, StoreError> {
        self.read(move |connection| {
            let row: Option<DeadLetterRow> = Statement::new(
                "select id, queue, reason, event_id, call_sid, import_id, attempts, first_failed_at, last_failed_at,
                        body, state
                 from trunkline.dead_letters where id = {}",
            )
            .bind::<SqlId, _>(Id(id))
            .get_result(connection)
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
        Self::write(&self.rings, move |connection| {
            let changed =
                Statement::new("update trunkline.dead_letters set state = {} where id = {} and state = {}")
                    .bind::<Text, _>(to.as_str())
                    .bind::<SqlId, _>(Id(id))
                    .bind::<Text, _>(from.as_str())
                    .execute(connection)?;
            Ok(changed > 0)
        })
        .await
    }
}
