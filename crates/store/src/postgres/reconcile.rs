//! The reconciler's passes, what it compares CallRail's calls with, and what it finds out.

use std::collections::HashMap;

use calls::CallId;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::Postgres;
use super::imports::{import_columns, insert};
use super::statement::Statement;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::rows::{ImportRow, KnownRow, call_id};
use crate::{Import, KnownCall, Pass, PassMade, StoreError};

impl Postgres {
    pub(crate) async fn calls_to_reread(&self, limit: u32) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| {
            let calls: Vec<CallRow> = Statement::new(
                "select call_sid from trunkline.calls where reread
                 order by first_seen_at, call_sid
                 limit {}",
            )
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            calls.iter().map(|call| call_id(&call.call_sid)).collect()
        })
        .await
    }

    pub(crate) async fn mark_reread_done(&self, call_sids: Vec<CallId>) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            Statement::new(
                "update trunkline.calls set reread = false
                 where call_sid in (
                     select call_sid from trunkline.calls
                     where call_sid = any({}) and reread
                     order by call_sid for no key update
                 )",
            )
            .texts(call_sids.iter().map(CallId::as_str))
            .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn set_vanished(
        &self,
        call_sids: Vec<CallId>,
        vanished: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        Self::write(&self.rings, move |connection| {
            // In the order in which everybody locks these rows.
            let changed = Statement::new(
                "update trunkline.interactions set vanished = {}, updated_at = {}
                 where call_sid in (
                     select call_sid from trunkline.interactions
                     where call_sid = any({}) and vanished <> {}
                     order by call_sid for no key update
                 )",
            )
            .bind::<Bool, _>(vanished)
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .texts(call_sids.iter().map(CallId::as_str))
            .bind::<Bool, _>(vanished)
            .execute(connection)?;
            Ok(changed)
        })
        .await
    }

    pub(crate) async fn make_pass(&self, pass: Pass, now: DateTime<Utc>) -> Result<PassMade, StoreError> {
        Self::write(&self.rings, move |connection| {
            // A pass that is not there cannot be locked: whoever comes second waits here, and then finds it.
            Statement::new(
                "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('trunkline reconcile'))",
            )
            .execute(connection)?;
            let made: Vec<ImportRow> = Statement::new(concat!(
                "select ",
                import_columns!(),
                " from trunkline.imports
                 where source = 'reconcile' and (created_at > {} or state in ('waiting', 'running'))"
            ))
            .bind::<SqlTime, _>(Time(now - pass.every))
            .load(connection)?;
            let made = made.into_iter().map(ImportRow::into_import);
            let made = made.collect::<Result<Vec<_>, _>>()?;
            match pass.not_before(&made, now) {
                Some(turn) => Ok(PassMade::NotBefore(turn)),
                None => Ok(PassMade::Made(insert(connection, &pass.run(now), now)?)),
            }
        })
        .await
    }

    pub(crate) async fn passes(&self, limit: u32) -> Result<Vec<Import>, StoreError> {
        self.read(move |connection| {
            let rows: Vec<ImportRow> = Statement::new(concat!(
                "select ",
                import_columns!(),
                " from trunkline.imports where source = 'reconcile'
                 order by created_at desc, id desc
                 limit {}"
            ))
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            rows.into_iter().map(ImportRow::into_import).collect()
        })
        .await
    }

    pub(crate) async fn known_calls(
        &self,
        call_sids: Vec<CallId>,
    ) -> Result<HashMap<CallId, KnownCall>, StoreError> {
        self.read(move |connection| {
            let known: Vec<KnownRow> = Statement::new(
                "select call.call_sid, call.reread,
                        interaction.call_sid is not null as has_row,
                        coalesce(interaction.vanished, false) as vanished,
                        (select event.digest from trunkline.call_events event
                         where event.call_sid = call.call_sid
                           and event.kind not in ('pre-call', 'routing-complete')
                         order by event.last_observed_at desc, event.digest desc
                         limit 1) as last_seen,
                        (select coalesce(json_agg(json_build_array(seal.sealed_group, seal.reason)), '[]')::text
                         from trunkline.seals seal
                         where seal.call_sid = call.call_sid) as sealed
                 from trunkline.calls call
                 left join trunkline.interactions interaction on interaction.call_sid = call.call_sid
                 where call.call_sid = any({})",
            )
            .texts(call_sids.iter().map(CallId::as_str))
            .load(connection)?;
            known.into_iter().map(KnownRow::into_known).collect()
        })
        .await
    }

    pub(crate) async fn unlisted_calls(&self, run: Import) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| {
            let company = run.company.as_ref().map(ToString::to_string);
            let calls: Vec<CallRow> = Statement::new(
                "select interaction.call_sid from trunkline.interactions interaction
                 where interaction.scheduled_at >= {} and interaction.scheduled_at < {}
                   and not interaction.spam and not interaction.vanished
                   and ({} is null or interaction.company_id = {})
                   and not exists (
                       select 1 from trunkline.import_calls call
                       where call.import_id = {} and call.call_sid = interaction.call_sid
                   )
                 order by interaction.scheduled_at, interaction.call_sid",
            )
            .bind::<SqlTime, _>(Time(run.start))
            .bind::<SqlTime, _>(Time(run.end))
            .bind::<Nullable<Text>, _>(&company)
            .bind::<Nullable<Text>, _>(&company)
            .bind::<SqlId, _>(Id(run.id))
            .load(connection)?;
            calls.iter().map(|call| call_id(&call.call_sid)).collect()
        })
        .await
    }

    pub(crate) async fn gap(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        ended_before: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        #[derive(QueryableByName)]
        struct First {
            #[diesel(sql_type = SqlTime)]
            scheduled_at: Time,
        }
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        self.read(move |connection| {
            let first: Option<First> = Statement::new(
                "select interaction.scheduled_at from trunkline.interactions interaction
                 where interaction.scheduled_at >= {} and interaction.scheduled_at < {}
                   and exists (
                       select 1 from trunkline.call_events event
                       where event.call_sid = interaction.call_sid
                         and event.kind in ('post-call', 'outbound-post-call')
                   )
                 order by interaction.scheduled_at
                 limit 1",
            )
            .bind::<SqlTime, _>(Time(start - TimeDelta::days(30)))
            .bind::<SqlTime, _>(Time(end))
            .get_result(connection)
            .optional()?;
            let Some(First { scheduled_at: first }) = first else {
                return Ok(None);
            };
            let found: Count = Statement::new(
                "select count(*) as count from trunkline.interactions interaction
                 where interaction.scheduled_at >= {} and interaction.scheduled_at < {}
                   and interaction.scheduled_at > {} and interaction.completed_at < {}
                   and not exists (
                       select 1 from trunkline.call_events event
                       where event.call_sid = interaction.call_sid
                         and event.kind not in ('pre-call', 'routing-complete', 'import')
                   )",
            )
            .bind::<SqlTime, _>(Time(start))
            .bind::<SqlTime, _>(Time(end))
            .bind::<SqlTime, _>(first)
            .bind::<SqlTime, _>(Time(ended_before))
            .get_result(connection)?;
            Ok(Some(found.count.unsigned_abs()))
        })
        .await
    }
}

#[derive(QueryableByName)]
struct CallRow {
    #[diesel(sql_type = Text)]
    call_sid: String,
}
