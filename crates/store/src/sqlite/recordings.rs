//! Recordings for the archive.

use calls::CallId;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use uuid::Uuid;

use super::Sqlite;
use crate::columns::{Id, SqlTime, Time};
use crate::recording::YOUNG;
use crate::rows::{ArchivedRow, OutcomeRow, TakenRow, WantedRow};
use crate::schema::recordings;
use crate::{ArchivedRecording, RecordingOutcome, RecordingTaken, StoreError};

impl Sqlite {
    pub(crate) async fn want_recordings(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let wanted: Vec<WantedRow> = self
            .read(move |connection| {
                let wanted = diesel::sql_query(
                    "select interaction.call_sid, interaction.scheduled_at, interaction.updated_at
                     from interactions interaction
                     where interaction.updated_at >= ? and interaction.call_recording_url is not null
                       and not interaction.spam and not interaction.vanished
                       and not exists (
                           select 1 from recordings recording where recording.call_sid = interaction.call_sid
                       )
                     order by interaction.updated_at
                     limit ?",
                )
                .bind::<SqlTime, _>(Time(since))
                .bind::<BigInt, _>(i64::from(limit))
                .load(connection)?;
                Ok(wanted)
            })
            .await?;
        let goes_on = (wanted.len() == limit as usize).then(|| wanted.last().map(|last| last.updated_at.0));
        if wanted.is_empty() {
            return Ok(None);
        }
        self.write(move |connection| {
            for call in &wanted {
                diesel::insert_or_ignore_into(recordings::table)
                    .values((
                        recordings::call_sid.eq(&call.call_sid),
                        recordings::call_began_at.eq(call.scheduled_at),
                        recordings::due_at.eq(Time(now)),
                    ))
                    .execute(connection)?;
            }
            Ok(goes_on.flatten())
        })
        .await
    }

    pub(crate) async fn take_recording(
        &self,
        holder: Uuid,
        now: DateTime<Utc>,
        time: TimeDelta,
    ) -> Result<Option<RecordingTaken>, StoreError> {
        self.write(move |connection| {
            let waiting = || {
                recordings::table
                    // The condition of the index, to the letter.
                    .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'waiting'"))
                    .filter(recordings::due_at.le(Time(now)))
                    .order((recordings::call_began_at, recordings::call_sid))
                    .select(TakenRow::as_select())
            };
            let young: Option<TakenRow> = waiting()
                .filter(recordings::call_began_at.ge(Time(now - YOUNG)))
                .first(connection)
                .optional()?;
            let first = match young {
                Some(young) => Some(young),
                None => waiting().first(connection).optional()?,
            };
            let Some(taken) = first.map(TakenRow::into_taken).transpose()? else {
                return Ok(None);
            };
            diesel::update(recordings::table.find(taken.call_sid.as_str()))
                .set((
                    recordings::holder.eq(Id(holder)),
                    recordings::due_at.eq(Time(now + time)),
                ))
                .execute(connection)?;
            Ok(Some(taken))
        })
        .await
    }

    pub(crate) async fn begin_recording(
        &self,
        call_sid: CallId,
        holder: Uuid,
        key: String,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let held = recordings::table
                .find(call_sid.as_str())
                .filter(recordings::holder.eq(Id(holder)));
            let begun = diesel::update(held)
                .set(recordings::object_key.eq(&key))
                .execute(connection)?;
            Ok(begun > 0)
        })
        .await
    }

    pub(crate) async fn settle_recording(
        &self,
        taken: RecordingTaken,
        holder: Uuid,
        outcome: RecordingOutcome,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let held = recordings::table
                .find(taken.call_sid.as_str())
                .filter(recordings::holder.eq(Id(holder)));
            let settled = diesel::update(held)
                .set(OutcomeRow::new(&taken, outcome, now))
                .execute(connection)?;
            Ok(settled > 0)
        })
        .await
    }

    pub(crate) async fn archived_recording(
        &self,
        call_sid: CallId,
    ) -> Result<Option<ArchivedRecording>, StoreError> {
        self.read(move |connection| {
            let row: Option<ArchivedRow> = recordings::table
                .find(call_sid.as_str())
                .filter(recordings::state.eq("archived"))
                .select(ArchivedRow::as_select())
                .first(connection)
                .optional()?;
            row.map(ArchivedRow::into_archived).transpose()
        })
        .await
    }

    pub(crate) async fn knows_recording(&self, call_sid: CallId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let known = recordings::table.find(call_sid.as_str());
            Ok(diesel::select(diesel::dsl::exists(known)).get_result(connection)?)
        })
        .await
    }

    pub(crate) async fn forget_recording(&self, call_sid: CallId) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let forgotten = diesel::delete(recordings::table.find(call_sid.as_str())).execute(connection)?;
            Ok(forgotten > 0)
        })
        .await
    }

    pub(crate) async fn recordings_waiting(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let count: i64 = recordings::table
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'waiting'"))
                .count()
                .get_result(connection)?;
            Ok(count.unsigned_abs())
        })
        .await
    }
}
