//! Takes away what is kept no longer.

use calls::{CallId, Retention};
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Sqlite;
use super::apply::{load, save_work};
use crate::StoreError;
use crate::batch::CallWork;
use crate::blocking::blocking;
use crate::columns::{SqlTime, Time};
use crate::retention::AT_A_TIME;
use crate::rows::{call_id, json_text};

#[derive(QueryableByName)]
struct OfCall {
    #[diesel(sql_type = Text)]
    call_sid: String,
}

impl Sqlite {
    /// The next calls behind `after` of which something is due.
    pub(crate) async fn calls_due(
        &self,
        retention: Retention,
        after: Option<CallId>,
        now: DateTime<Utc>,
    ) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| find_due(connection, &retention, after.as_ref(), now))
            .await
    }

    /// Takes what is due out of these calls.
    pub(crate) async fn take_out(
        &self,
        due: Vec<CallId>,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write_without_trace(move |connection| take_out(connection, &due, &retention, now))
            .await
    }

    /// Deletes some of the alerts and dead letters of before `end`; how many of each.
    pub(crate) async fn delete_messages(&self, end: DateTime<Utc>) -> Result<(usize, usize), StoreError> {
        self.write_without_trace(move |connection| {
            let mut delete = |sql| {
                diesel::sql_query(sql)
                    .bind::<SqlTime, _>(Time(end))
                    .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
                    .execute(connection)
            };
            let alerts = delete(
                "delete from alerts where id in (
                     select id from alerts
                     where created_at < ? and (published_at is not null or not push)
                     order by created_at limit ?
                 )",
            )?;
            let dead_letters = delete(
                "delete from dead_letters where id in (
                     select id from dead_letters
                     where last_failed_at < ? and state <> 'waiting'
                     order by last_failed_at limit ?
                 )",
            )?;
            Ok((alerts, dead_letters))
        })
        .await
    }

    /// Runs `work` in one transaction that overwrites what it deletes: it would else stay readable in unused pages.
    async fn write_without_trace<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.clone().lock_owned().await;
        blocking(move || {
            writer.batch_execute("pragma secure_delete = on")?;
            let done = writer.immediate_transaction(work);
            writer.batch_execute("pragma secure_delete = off")?;
            done
        })
        .await
    }
}

fn find_due(
    connection: &mut SqliteConnection,
    retention: &Retention,
    after: Option<&CallId>,
    now: DateTime<Utc>,
) -> Result<Vec<CallId>, StoreError> {
    let ends: Vec<_> = retention
        .ends(now)
        .map(|(group, end)| (group.as_str(), Time(end).to_text()))
        .collect();
    let due: Vec<OfCall> = diesel::sql_query(
        "select call.call_sid
         from calls call
         left join interactions interaction on interaction.call_sid = call.call_sid
         where call.call_sid > ?
           and exists (
               select 1 from json_each(?) as kept
               where coalesce(interaction.scheduled_at, call.first_seen_at) < kept.value ->> 1
                 and not exists (
                     select 1 from seals seal
                     where seal.call_sid = call.call_sid and seal.sealed_group = kept.value ->> 0
                 )
           )
         order by call.call_sid
         limit ?",
    )
    .bind::<Text, _>(after.map_or("", CallId::as_str))
    .bind::<Text, _>(json_text(&ends)?)
    .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
    .load(connection)?;
    due.iter().map(|call| call_id(&call.call_sid)).collect()
}

fn take_out(
    connection: &mut SqliteConnection,
    due: &[CallId],
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for state in load(connection, due.iter())?.into_values() {
        save_work(connection, &CallWork::retaining(state, retention, now)?, now)?;
    }
    // What is in the archive is known until it is out of it.
    let sids: Vec<&str> = due.iter().map(CallId::as_str).collect();
    diesel::sql_query(
        "delete from recordings
         where call_sid in (select value from json_each(?)) and object_key is null
           and exists (
               select 1 from seals seal
               where seal.call_sid = recordings.call_sid and seal.sealed_group = 'recording'
           )",
    )
    .bind::<Text, _>(json_text(&sids)?)
    .execute(connection)?;
    Ok(())
}
