//! Recordings for the archive.

use calls::CallId;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use uuid::Uuid;

use super::Postgres;
use super::statement::Statement;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::recording::YOUNG;
use crate::rows::{ArchivedRow, OutcomeRow, TakenRow, WantedRow};
use crate::{ArchivedRecording, RecordingOutcome, RecordingTaken, StoreError};

impl Postgres {
    pub(crate) async fn want_recordings(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let wanted: Vec<WantedRow> = self
            .read(move |connection| {
                let wanted = Statement::new(
                    "select interaction.call_sid, interaction.scheduled_at, interaction.updated_at
                     from trunkline.interactions interaction
                     where interaction.updated_at >= {} and interaction.call_recording_url is not null
                       and not interaction.spam and not interaction.vanished
                       and not exists (
                           select 1 from trunkline.recordings recording
                           where recording.call_sid = interaction.call_sid
                       )
                     order by interaction.updated_at
                     limit {}",
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
        Self::write(&self.batches, move |connection| {
            Statement::new(
                "insert into trunkline.recordings (call_sid, call_began_at, due_at)
                 select call_sid, call_began_at, {} from unnest({}, {}) as wanted (call_sid, call_began_at)
                 order by call_sid
                 on conflict do nothing",
            )
            .bind::<SqlTime, _>(Time(now))
            .texts(wanted.iter().map(|call| call.call_sid.as_str()))
            .times(wanted.iter().map(|call| call.scheduled_at))
            .execute(connection)?;
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
        Self::write(&self.rings, move |connection| {
            for since in [Some(now - YOUNG), None] {
                // Two who look at the same time do not wait for each other: each finds another one.
                let row: Option<TakenRow> = Statement::new(
                    "update trunkline.recordings set holder = {}, due_at = {}
                     where call_sid = (
                         select call_sid from trunkline.recordings
                         where state = 'waiting' and due_at <= {} and call_began_at >= coalesce({}, '-infinity')
                         order by call_began_at, call_sid
                         limit 1
                         for update skip locked
                     )
                     returning call_sid, call_began_at, attempts, missing_since",
                )
                .bind::<SqlId, _>(Id(holder))
                .bind::<SqlTime, _>(Time(now + time))
                .bind::<SqlTime, _>(Time(now))
                .bind::<Nullable<SqlTime>, _>(since.map(Time))
                .get_result(connection)
                .optional()?;
                if let Some(row) = row {
                    return Ok(Some(row.into_taken()?));
                }
            }
            Ok(None)
        })
        .await
    }

    pub(crate) async fn begin_recording(
        &self,
        call_sid: CallId,
        holder: Uuid,
        key: String,
    ) -> Result<bool, StoreError> {
        Self::write(&self.rings, move |connection| {
            let begun = Statement::new(
                "update trunkline.recordings set object_key = {} where call_sid = {} and holder = {}",
            )
            .bind::<Text, _>(&key)
            .bind::<Text, _>(call_sid.as_str())
            .bind::<SqlId, _>(Id(holder))
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
        let row = OutcomeRow::new(&taken, outcome, now);
        Self::write(&self.rings, move |connection| {
            let settled = Statement::new(
                "update trunkline.recordings set
                     state = {}, due_at = {}, holder = {}, attempts = {}, missing_since = {}, reason = {},
                     object_key = coalesce({}, object_key), content_type = {}, length_bytes = {}, sha256 = {}, stored_at = {}
                 where call_sid = {} and holder = {}",
            )
            .bind::<Text, _>(row.state)
            .bind::<SqlTime, _>(row.due_at)
            .bind::<Nullable<SqlId>, _>(row.holder)
            .bind::<BigInt, _>(row.attempts)
            .bind::<Nullable<SqlTime>, _>(row.missing_since)
            .bind::<Nullable<Text>, _>(&row.reason)
            .bind::<Nullable<Text>, _>(&row.object_key)
            .bind::<Nullable<Text>, _>(&row.content_type)
            .bind::<Nullable<BigInt>, _>(row.length_bytes)
            .bind::<Nullable<Text>, _>(&row.sha256)
            .bind::<Nullable<SqlTime>, _>(row.stored_at)
            .bind::<Text, _>(taken.call_sid.as_str())
            .bind::<SqlId, _>(Id(holder))
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
            let row: Option<ArchivedRow> = Statement::new(
                "select object_key, content_type, length_bytes, sha256, stored_at
                 from trunkline.recordings where call_sid = {} and state = 'archived'",
            )
            .bind::<Text, _>(call_sid.as_str())
            .get_result(connection)
            .optional()?;
            row.map(ArchivedRow::into_archived).transpose()
        })
        .await
    }

    pub(crate) async fn knows_recording(&self, call_sid: CallId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let known = Statement::new("select 1 from trunkline.recordings where call_sid = {}")
                .bind::<Text, _>(call_sid.as_str())
                .execute(connection)?;
            Ok(known > 0)
        })
        .await
    }

    pub(crate) async fn forget_recording(&self, call_sid: CallId) -> Result<bool, StoreError> {
        Self::write(&self.rings, move |connection| {
            let forgotten = Statement::new("delete from trunkline.recordings where call_sid = {}")
                .bind::<Text, _>(call_sid.as_str())
                .execute(connection)?;
            Ok(forgotten > 0)
        })
        .await
    }

    pub(crate) async fn recordings_waiting(&self) -> Result<u64, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        self.read(|connection| {
            let found: Count =
                Statement::new("select count(*) as count from trunkline.recordings where state = 'waiting'")
                    .get_result(connection)?;
            Ok(found.count.unsigned_abs())
        })
        .await
    }
}
