//! Import runs, who works on them, and what became of their calls.

use calls::CallId;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use uuid::Uuid;

use super::Postgres;
use super::statement::Statement;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::import::{CallsProgress, Progress};
use crate::rows::{CountsRow, ImportRow, call_id};
use crate::{
    DeadLetterState, FailedCall, Import, ImportCounts, ImportLease, ImportRetry, ImportSource, ImportState,
    ImportedPage, NewImport, RetriedCalls, StoreError,
};

/// The columns of [`ImportRow`].
macro_rules! import_columns {
    () => {
        "id, source, range_start, range_end, company_id, state, created_at, started_at, finished_at, error,
         window_start, next_page, pages, requests, retrying"
    };
}
pub(super) use import_columns;

impl Postgres {
    pub(crate) async fn create_import(
        &self,
        new: NewImport,
        now: DateTime<Utc>,
    ) -> Result<Import, StoreError> {
        Self::write(&self.rings, move |connection| insert(connection, &new, now)).await
    }

    pub(crate) async fn import(&self, id: Uuid) -> Result<Option<Import>, StoreError> {
        self.read(move |connection| {
            let row: Option<ImportRow> = Statement::new(concat!(
                "select ",
                import_columns!(),
                " from trunkline.imports where id = {}"
            ))
            .bind::<SqlId, _>(Id(id))
            .get_result(connection)
            .optional()?;
            row.map(ImportRow::into_import).transpose()
        })
        .await
    }

    pub(crate) async fn imports(&self, limit: u32, before: Option<Uuid>) -> Result<Vec<Import>, StoreError> {
        self.read(move |connection| {
            let before = before.map(Id);
            let rows: Vec<ImportRow> = Statement::new(concat!(
                "select ",
                import_columns!(),
                " from trunkline.imports
                 where source <> 'reconcile' and ({} is null or (created_at, id) < (
                     select seen.created_at, seen.id from trunkline.imports seen where seen.id = {}
                 ))
                 order by created_at desc, id desc
                 limit {}"
            ))
            .bind::<Nullable<SqlId>, _>(before)
            .bind::<Nullable<SqlId>, _>(before)
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            rows.into_iter().map(ImportRow::into_import).collect()
        })
        .await
    }

    pub(crate) async fn cancel_import(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        Self::write(&self.rings, move |connection| {
            let cancelled = Statement::new(
                "update trunkline.imports set
                     state = 'cancelled', finished_at = {}, lease_holder = null, lease_until = null
                 where id = {} and state in ('waiting', 'running')",
            )
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .bind::<SqlId, _>(Id(id))
            .execute(connection)?;
            Ok(cancelled > 0)
        })
        .await
    }

    pub(crate) async fn lease_import(
        &self,
        sources: Vec<ImportSource>,
        holder: Uuid,
        now: DateTime<Utc>,
        lease: TimeDelta,
    ) -> Result<Option<Import>, StoreError> {
        Self::write(&self.rings, move |connection| {
            // Two who look for a run at the same time do not wait for each other: each finds another one.
            let row: Option<ImportRow> = Statement::new(concat!(
                "update trunkline.imports set
                     state = 'running', started_at = coalesce(started_at, {}), lease_holder = {}, lease_until = {}
                 where id = (
                     select id from trunkline.imports
                     where state in ('waiting', 'running') and (lease_until is null or lease_until <= {})
                       and source = any({})
                     order by created_at, id
                     limit 1
                     for update skip locked
                 )
                 returning ",
                import_columns!()
            ))
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .bind::<SqlId, _>(Id(holder))
            .bind::<SqlTime, _>(Time(now + lease))
            .bind::<SqlTime, _>(Time(now))
            .texts(sources.iter().map(|source| source.as_str()))
            .get_result(connection)
            .optional()?;
            row.map(ImportRow::into_import).transpose()
        })
        .await
    }

    pub(crate) async fn renew_import(
        &self,
        id: Uuid,
        holder: Uuid,
        now: DateTime<Utc>,
        lease: TimeDelta,
    ) -> Result<ImportLease, StoreError> {
        Self::write(&self.rings, move |connection| {
            let renewed = Statement::new(
                "update trunkline.imports set lease_until = {}
                 where id = {} and lease_holder = {} and state = 'running'",
            )
            .bind::<SqlTime, _>(Time(now + lease))
            .bind::<SqlId, _>(Id(id))
            .bind::<SqlId, _>(Id(holder))
            .execute(connection)?;
            answer(connection, id, renewed)
        })
        .await
    }

    pub(crate) async fn save_import_page(
        &self,
        id: Uuid,
        holder: Uuid,
        page: ImportedPage,
    ) -> Result<ImportLease, StoreError> {
        let calls = CallsProgress::read(id, &page.calls);
        Self::write(&self.batches, move |connection| {
            let saved = Statement::new(
                "update trunkline.imports set
                     window_start = {}, next_page = {}, pages = pages + 1, requests = requests + {}, error = null
                 where id = {} and lease_holder = {} and state = 'running'",
            )
            .bind::<SqlTime, _>(Time(page.cursor.window_start))
            .bind::<Nullable<Text>, _>(&page.cursor.next_page)
            .bind::<BigInt, _>(i64::from(page.requests))
            .bind::<SqlId, _>(Id(id))
            .bind::<SqlId, _>(Id(holder))
            .execute(connection)?;
            if saved > 0 {
                save_progress(connection, &calls)?;
            }
            answer(connection, id, saved)
        })
        .await
    }

    pub(crate) async fn note_import_trouble(
        &self,
        id: Uuid,
        holder: Uuid,
        error: String,
    ) -> Result<ImportLease, StoreError> {
        Self::write(&self.rings, move |connection| {
            let noted = Statement::new(
                "update trunkline.imports set error = {}
                 where id = {} and lease_holder = {} and state = 'running'",
            )
            .bind::<Text, _>(&error)
            .bind::<SqlId, _>(Id(id))
            .bind::<SqlId, _>(Id(holder))
            .execute(connection)?;
            answer(connection, id, noted)
        })
        .await
    }

    pub(crate) async fn end_import(
        &self,
        id: Uuid,
        holder: Uuid,
        state: ImportState,
        error: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<ImportLease, StoreError> {
        Self::write(&self.rings, move |connection| {
            let ended = Statement::new(
                "update trunkline.imports set
                     state = {}, error = {}, finished_at = {}, lease_holder = null, lease_until = null, retrying = false
                 where id = {} and lease_holder = {} and state = 'running'",
            )
            .bind::<Text, _>(state.as_str())
            .bind::<Nullable<Text>, _>(&error)
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .bind::<SqlId, _>(Id(id))
            .bind::<SqlId, _>(Id(holder))
            .execute(connection)?;
            answer(connection, id, ended)
        })
        .await
    }

    pub(crate) async fn retry_import(&self, id: Uuid) -> Result<ImportRetry, StoreError> {
        Self::write(&self.rings, move |connection| {
            let row: Option<ImportRow> = Statement::new(concat!(
                "select ",
                import_columns!(),
                " from trunkline.imports where id = {} for update"
            ))
            .bind::<SqlId, _>(Id(id))
            .get_result(connection)
            .optional()?;
            let Some(run) = row.map(ImportRow::into_import).transpose()? else {
                return Ok(ImportRetry::Unknown);
            };
            let retry = run.retry();
            if retry == ImportRetry::Waiting {
                Statement::new(
                    "update trunkline.imports set
                         state = 'waiting', error = null, finished_at = null, retrying = true
                     where id = {}",
                )
                .bind::<SqlId, _>(Id(id))
                .execute(connection)?;
            }
            Ok(retry)
        })
        .await
    }

    pub(crate) async fn save_retried_calls(
        &self,
        id: Uuid,
        holder: Uuid,
        calls: RetriedCalls,
    ) -> Result<ImportLease, StoreError> {
        let again = CallsProgress::failed(id, &calls.failed);
        Self::write(&self.batches, move |connection| {
            let saved = Statement::new(
                "update trunkline.imports set requests = requests + {}
                 where id = {} and lease_holder = {} and state = 'running'",
            )
            .bind::<BigInt, _>(i64::from(calls.requests))
            .bind::<SqlId, _>(Id(id))
            .bind::<SqlId, _>(Id(holder))
            .execute(connection)?;
            if saved > 0 {
                save_progress(connection, &again)?;
                // In the order in which everybody locks these rows.
                Statement::new(
                    "update trunkline.import_calls call set state = 'queued', reason = null
                     from (
                         select known.import_id, known.call_sid
                         from trunkline.import_calls known
                         join unnest({}, {}) as published (call_sid, reason)
                             on published.call_sid = known.call_sid
                             and published.reason = coalesce(known.reason, '')
                         where known.import_id = {} and known.state = 'failed'
                         order by known.call_sid for update of known
                     ) published
                     where call.import_id = published.import_id and call.call_sid = published.call_sid",
                )
                .texts(calls.published.iter().map(|call| call.call_sid.as_str()))
                .texts(calls.published.iter().map(|call| call.reason.as_str()))
                .bind::<SqlId, _>(Id(id))
                .execute(connection)?;
                Statement::new(
                    "update trunkline.dead_letters set state = {}
                     where import_id = {} and call_sid = any({}) and state = {} and last_failed_at < {}",
                )
                .bind::<Text, _>(DeadLetterState::Replayed.as_str())
                .bind::<SqlId, _>(Id(id))
                .texts(calls.published.iter().map(|call| call.call_sid.as_str()))
                .bind::<Text, _>(DeadLetterState::Waiting.as_str())
                .bind::<SqlTime, _>(Time(calls.read_at))
                .execute(connection)?;
            }
            answer(connection, id, saved)
        })
        .await
    }

    pub(crate) async fn import_counts(&self, id: Uuid) -> Result<ImportCounts, StoreError> {
        self.read(move |connection| {
            let counts: CountsRow = Statement::new(
                "select
                     count(*) as total,
                     count(*) filter (where call.state = 'queued') as queued,
                     count(*) filter (where call.state = 'stored') as stored,
                     count(*) filter (where call.state = 'failed') as failed,
                     count(*) filter (where not is_ambiguous and is_linked) as matched,
                     count(*) filter (where not is_ambiguous and not is_linked) as unmatched,
                     count(*) filter (where is_ambiguous) as ambiguous
                 from trunkline.import_calls call
                 left join (
                     select call_sid,
                            match_candidates <> '[]' and match_method <> 'human' as is_ambiguous,
                            lead_id is not null or customer_id is not null as is_linked
                     from trunkline.interactions
                 ) row on row.call_sid = call.call_sid and call.state = 'stored'
                 where call.import_id = {}",
            )
            .bind::<SqlId, _>(Id(id))
            .get_result(connection)?;
            Ok(counts.into_counts())
        })
        .await
    }

    pub(crate) async fn failed_import_calls(
        &self,
        id: Uuid,
        limit: u32,
        after: Option<String>,
    ) -> Result<Vec<FailedCall>, StoreError> {
        let calls = self.import_calls(id, Progress::Failed, limit, after).await?;
        let failed = calls.into_iter().map(|call| FailedCall {
            call_sid: call.call_sid,
            reason: call.reason.unwrap_or_default(),
        });
        Ok(failed.collect())
    }

    pub(crate) async fn queued_import_calls(
        &self,
        id: Uuid,
        limit: u32,
        after: Option<CallId>,
    ) -> Result<Vec<CallId>, StoreError> {
        let after = after.map(String::from);
        let calls = self.import_calls(id, Progress::Queued, limit, after).await?;
        calls.iter().map(|call| call_id(&call.call_sid)).collect()
    }

    async fn import_calls(
        &self,
        id: Uuid,
        progress: Progress,
        limit: u32,
        after: Option<String>,
    ) -> Result<Vec<CallOfImport>, StoreError> {
        self.read(move |connection| {
            let calls = Statement::new(
                "select call_sid, reason from trunkline.import_calls
                 where state = {} and import_id = {} and call_sid > {}
                 order by call_sid
                 limit {}",
            )
            .bind::<Text, _>(progress.as_str())
            .bind::<SqlId, _>(Id(id))
            .bind::<Text, _>(after.unwrap_or_default())
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            Ok(calls)
        })
        .await
    }

    pub(crate) async fn queued_backfill(&self) -> Result<u64, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        self.read(|connection| {
            let found: Count =
                Statement::new("select count(*) as count from trunkline.import_calls where state = 'queued'")
                    .get_result(connection)?;
            Ok(found.count.unsigned_abs())
        })
        .await
    }

    pub(crate) async fn forget_imports(
        &self,
        source: ImportSource,
        ended_before: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        Self::write(&self.batches, move |connection| {
            Statement::new(
                "delete from trunkline.import_calls
                 where import_id in (
                     select id from trunkline.imports where finished_at < {} and source = {}
                 )",
            )
            .bind::<SqlTime, _>(Time(ended_before))
            .bind::<Text, _>(source.as_str())
            .execute(connection)?;
            let forgotten =
                Statement::new("delete from trunkline.imports where finished_at < {} and source = {}")
                    .bind::<SqlTime, _>(Time(ended_before))
                    .bind::<Text, _>(source.as_str())
                    .execute(connection)?;
            Ok(forgotten)
        })
        .await
    }
}

#[derive(QueryableByName)]
struct CallOfImport {
    #[diesel(sql_type = Text)]
    call_sid: String,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// Makes a run.
pub(super) fn insert(
    connection: &mut PgConnection,
    new: &NewImport,
    now: DateTime<Utc>,
) -> Result<Import, StoreError> {
    let row = ImportRow::new(new, now);
    Statement::new(
        "insert into trunkline.imports
             (id, source, range_start, range_end, company_id, state, created_at)
         values ({}, {}, {}, {}, {}, {}, {})",
    )
    .bind::<SqlId, _>(row.id)
    .bind::<Text, _>(&row.source)
    .bind::<SqlTime, _>(row.range_start)
    .bind::<SqlTime, _>(row.range_end)
    .bind::<Nullable<Text>, _>(&row.company_id)
    .bind::<Text, _>(&row.state)
    .bind::<SqlTime, _>(row.created_at)
    .execute(connection)?;
    row.into_import()
}

/// What to tell somebody who tried to change a run as its holder.
fn answer(connection: &mut PgConnection, id: Uuid, changed: usize) -> Result<ImportLease, StoreError> {
    if changed > 0 {
        return Ok(ImportLease::Held);
    }
    let open =
        Statement::new("select 1 from trunkline.imports where id = {} and state in ('waiting', 'running')")
            .bind::<SqlId, _>(Id(id))
            .execute(connection)?;
    Ok(if open > 0 {
        ImportLease::Lost
    } else {
        ImportLease::Over
    })
}

/// Notes how far calls have come. None of them goes back: a page that is saved after its calls were stored changes
/// nothing.
pub(super) fn save_progress(connection: &mut PgConnection, calls: &CallsProgress) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    Statement::new(
        "insert into trunkline.import_calls as known (import_id, call_sid, state, reason)
         select * from unnest({}, {}, {}, {}) as new (import_id, call_sid, state, reason)
         order by import_id, call_sid
         on conflict (import_id, call_sid) do update set state = excluded.state, reason = excluded.reason
         where known.state <> 'stored' and excluded.state <> 'queued'",
    )
    .ids(calls.iter().map(|(import_id, ..)| Id(import_id)))
    .texts(calls.iter().map(|(_, call_sid, ..)| call_sid))
    .texts(calls.iter().map(|(_, _, progress, _)| progress.as_str()))
    .column::<Nullable<Text>, _>(calls.iter().map(|(.., reason)| reason))
    .execute(connection)?;
    Ok(())
}
