//! Takes away what is kept no longer.

use calls::{CallId, Retention};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Postgres;
use super::apply::{Locking, load, save};
use super::pool::search_all;
use super::statement::{OfCall, Statement};
use crate::StoreError;
use crate::batch::CallWork;
use crate::columns::{SqlTime, Time};
use crate::retention::AT_A_TIME;

impl Postgres {
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
        Self::write(&self.batches, move |connection| {
            take_out(connection, &due, &retention, now)
        })
        .await
    }

    /// Deletes some of the alerts and dead letters of before `end`; how many of each.
    pub(crate) async fn delete_messages(&self, end: DateTime<Utc>) -> Result<(usize, usize), StoreError> {
        Self::write(&self.batches, move |connection| {
            let mut delete = |sql| {
                Statement::new(sql)
                    .bind::<SqlTime, _>(Time(end))
                    .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
                    .execute(connection)
            };
            let alerts = delete(
                "delete from trunkline.alerts where id in (
                     select id from trunkline.alerts
                     where created_at < {} and (published_at is not null or not push)
                     order by created_at limit {}
                 )",
            )?;
            let dead_letters = delete(
                "delete from trunkline.dead_letters where id in (
                     select id from trunkline.dead_letters
                     where last_failed_at < {} and state <> 'waiting'
                     order by last_failed_at limit {}
                 )",
            )?;
            Ok((alerts, dead_letters))
        })
        .await
    }
}

fn find_due(
    connection: &mut PgConnection,
    retention: &Retention,
    after: Option<&CallId>,
    now: DateTime<Utc>,
) -> Result<Vec<CallId>, StoreError> {
    // Where nothing is due, all calls are looked at.
    search_all(connection)?;
    let ends: Vec<_> = retention.ends(now).collect();
    let due: Vec<OfCall> = Statement::new(
        "select call.call_sid
         from trunkline.calls call
         left join trunkline.interactions interaction on interaction.call_sid = call.call_sid
         where call.call_sid > {}
           and exists (
               select 1 from unnest({}, {}) as kept (sealed_group, began_before)
               where coalesce(interaction.scheduled_at, call.first_seen_at) < kept.began_before
                 and not exists (
                     select 1 from trunkline.seals seal
                     where seal.call_sid = call.call_sid and seal.sealed_group = kept.sealed_group
                 )
           )
         order by call.call_sid
         limit {}",
    )
    .bind::<Text, _>(after.map_or("", CallId::as_str))
    .texts(ends.iter().map(|(group, _)| group.as_str()))
    .times(ends.iter().map(|(_, end)| Time(*end)))
    .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
    .load(connection)?;
    OfCall::ids(&due)
}

fn take_out(
    connection: &mut PgConnection,
    due: &[CallId],
    retention: &Retention,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let states = load(connection, due.iter(), Locking::Write)?;
    let work = states
        .into_values()
        .map(|state| CallWork::retaining(state, retention, now))
        .collect::<Result<Vec<_>, _>>()?;
    save(connection, &work, now)?;
    // What is in the archive is known until it is out of it.
    Statement::new(
        "delete from trunkline.recordings recording
         using trunkline.seals seal
         where recording.call_sid = any({}) and recording.object_key is null
           and seal.call_sid = recording.call_sid and seal.sealed_group = 'recording'",
    )
    .texts(due.iter().map(CallId::as_str))
    .execute(connection)?;
    Ok(())
}
