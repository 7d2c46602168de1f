//! The reconciler's passes, what it compares CallRail's calls with, and what it finds out.

use std::collections::HashMap;

use calls::CallId;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Sqlite;
use super::imports::{OPEN, insert};
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::rows::{ImportRow, KnownRow, call_id, json_text};
use crate::schema::{calls as call_table, imports, interactions};
use crate::{Import, ImportSource, KnownCall, Pass, PassMade, StoreError};

impl Sqlite {
    pub(crate) async fn calls_to_reread(&self, limit: u32) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| {
            let calls: Vec<String> = call_table::table
                .filter(call_table::reread)
                .order((call_table::first_seen_at, call_table::call_sid))
                .limit(limit.into())
                .select(call_table::call_sid)
                .load(connection)?;
            calls.iter().map(|call_sid| call_id(call_sid)).collect()
        })
        .await
    }

    pub(crate) async fn mark_reread_done(&self, call_sids: Vec<CallId>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for call_sid in &call_sids {
                diesel::update(call_table::table.find(call_sid.as_str()))
                    .set(call_table::reread.eq(false))
                    .execute(connection)?;
            }
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
        self.write(move |connection| {
            let mut changed = 0;
            for call_sid in &call_sids {
                changed += diesel::update(interactions::table)
                    .filter(interactions::call_sid.eq(call_sid.as_str()))
                    .filter(interactions::vanished.ne(vanished))
                    .set((
                        interactions::vanished.eq(vanished),
                        interactions::updated_at.eq(Time(now.trunc_subsecs(6))),
                    ))
                    .execute(connection)?;
            }
            Ok(changed)
        })
        .await
    }

    pub(crate) async fn make_pass(&self, pass: Pass, now: DateTime<Utc>) -> Result<PassMade, StoreError> {
        self.write(move |connection| {
            let is_recent = imports::created_at
                .gt(Time(now - pass.every))
                .or(imports::state.eq_any(OPEN));
            let made: Vec<ImportRow> = imports::table
                .filter(imports::source.eq(ImportSource::Reconcile.as_str()))
                .filter(is_recent)
                .select(ImportRow::as_select())
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
            let rows: Vec<ImportRow> = imports::table
                .filter(imports::source.eq(ImportSource::Reconcile.as_str()))
                .order((imports::created_at.desc(), imports::id.desc()))
                .limit(limit.into())
                .select(ImportRow::as_select())
                .load(connection)?;
            rows.into_iter().map(ImportRow::into_import).collect()
        })
        .await
    }

    pub(crate) async fn known_calls(
        &self,
        call_sids: Vec<CallId>,
    ) -> Result<HashMap<CallId, KnownCall>, StoreError> {
        let call_sids: Vec<&str> = call_sids.iter().map(CallId::as_str).collect();
        let call_sids = json_text(&call_sids)?;
        self.read(move |connection| {
            let known: Vec<KnownRow> = diesel::sql_query(
                "select call.call_sid, call.reread,
                        interaction.call_sid is not null as has_row,
                        coalesce(interaction.vanished, false) as vanished,
                        (select event.digest from call_events event
                         where event.call_sid = call.call_sid
                           and event.kind not in ('pre-call', 'routing-complete')
                         order by event.last_observed_at desc, event.digest desc
                         limit 1) as last_seen,
                        (select json_group_array(json_array(seal.sealed_group, seal.reason)) from seals seal
                         where seal.call_sid = call.call_sid) as sealed
                 from calls call
                 left join interactions interaction on interaction.call_sid = call.call_sid
                 where call.call_sid in (select value from json_each(?))",
            )
            .bind::<Text, _>(call_sids)
            .load(connection)?;
            known.into_iter().map(KnownRow::into_known).collect()
        })
        .await
    }

    pub(crate) async fn unlisted_calls(&self, run: Import) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| {
            let company = run.company.as_ref().map(ToString::to_string);
            let calls: Vec<UnlistedCall> = diesel::sql_query(
                "select interaction.call_sid from interactions interaction
                 where interaction.scheduled_at >= ? and interaction.scheduled_at < ?
                   and not interaction.spam and not interaction.vanished
                   and (? is null or interaction.company_id = ?)
                   and not exists (
                       select 1 from import_calls call
                       where call.import_id = ? and call.call_sid = interaction.call_sid
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
            let first: Option<First> = diesel::sql_query(
                "select interaction.scheduled_at from interactions interaction
                 where interaction.scheduled_at >= ? and interaction.scheduled_at < ?
                   and exists (
                       select 1 from call_events event
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
            let found: Count = diesel::sql_query(
                "select count(*) as count from interactions interaction
                 where interaction.scheduled_at >= ? and interaction.scheduled_at < ?
                   and interaction.scheduled_at > ? and interaction.completed_at < ?
                   and not exists (
                       select 1 from call_events event
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
struct UnlistedCall {
    #[diesel(sql_type = Text)]
    call_sid: String,
}
