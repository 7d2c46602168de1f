//! Import runs, who works on them, and what became of their calls.

use calls::CallId;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::Sqlite;
use crate::columns::{Id, SqlId, Time};
use crate::import::{CallsProgress, Progress};
use crate::rows::{CountsRow, ImportRow, call_id};
use crate::schema::{dead_letters, import_calls, imports};
use crate::{
    DeadLetterState, FailedCall, Import, ImportCounts, ImportLease, ImportRetry, ImportSource, ImportState,
    ImportedPage, NewImport, RetriedCalls, StoreError,
};

/// The states in which there is still something to read.
pub(super) const OPEN: [&str; 2] = ["waiting", "running"];

/// The run, if it is this holder's.
macro_rules! held {
    ($id:expr, $holder:expr) => {
        imports::table
            .find(Id($id))
            .filter(imports::lease_holder.eq(Id($holder)))
            .filter(imports::state.eq(ImportState::Running.as_str()))
    };
}

impl Sqlite {
    pub(crate) async fn create_import(
        &self,
        new: NewImport,
        now: DateTime<Utc>,
    ) -> Result<Import, StoreError> {
        self.write(move |connection| insert(connection, &new, now)).await
    }

    pub(crate) async fn import(&self, id: Uuid) -> Result<Option<Import>, StoreError> {
        self.read(move |connection| find(connection, id)).await
    }

    pub(crate) async fn imports(&self, limit: u32, before: Option<Uuid>) -> Result<Vec<Import>, StoreError> {
        self.read(move |connection| {
            let mut query = imports::table
                .filter(imports::source.ne(ImportSource::Reconcile.as_str()))
                .order((imports::created_at.desc(), imports::id.desc()))
                .limit(limit.into())
                .select(ImportRow::as_select())
                .into_boxed();
            if let Some(before) = before {
                let Some(seen) = find(connection, before)? else {
                    return Ok(Vec::new());
                };
                let created_at = Time(seen.created_at);
                let at_that_time = imports::created_at.eq(created_at);
                query = query.filter(
                    imports::created_at
                        .lt(created_at)
                        .or(at_that_time.and(imports::id.lt(Id(before)))),
                );
            }
            let rows: Vec<ImportRow> = query.load(connection)?;
            rows.into_iter().map(ImportRow::into_import).collect()
        })
        .await
    }

    pub(crate) async fn cancel_import(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        self.write(move |connection| {
            let cancelled = diesel::update(imports::table.find(Id(id)).filter(imports::state.eq_any(OPEN)))
                .set((
                    imports::state.eq(ImportState::Cancelled.as_str()),
                    imports::finished_at.eq(Time(now.trunc_subsecs(6))),
                    imports::lease_holder.eq(None::<Id>),
                    imports::lease_until.eq(None::<Time>),
                ))
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
        self.write(move |connection| {
            let has_run_out = imports::lease_until
                .is_null()
                .or(imports::lease_until.assume_not_null().le(Time(now)));
            let sources = sources.into_iter().map(ImportSource::as_str);
            let oldest: Option<Id> = imports::table
                .filter(imports::state.eq_any(OPEN))
                .filter(imports::source.eq_any(sources))
                .filter(has_run_out)
                .order((imports::created_at, imports::id))
                .select(imports::id)
                .first(connection)
                .optional()?;
            let Some(Id(id)) = oldest else {
                return Ok(None);
            };
            diesel::update(imports::table.find(Id(id)))
                .set((
                    imports::state.eq(ImportState::Running.as_str()),
                    imports::lease_holder.eq(Id(holder)),
                    imports::lease_until.eq(Time(now + lease)),
                ))
                .execute(connection)?;
            diesel::update(imports::table.find(Id(id)).filter(imports::started_at.is_null()))
                .set(imports::started_at.eq(Time(now.trunc_subsecs(6))))
                .execute(connection)?;
            find(connection, id)
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
        self.write(move |connection| {
            let renewed = diesel::update(held!(id, holder))
                .set(imports::lease_until.eq(Time(now + lease)))
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
        self.write(move |connection| {
            let saved = diesel::update(held!(id, holder))
                .set((
                    imports::window_start.eq(Time(page.cursor.window_start)),
                    imports::next_page.eq(&page.cursor.next_page),
                    imports::pages.eq(imports::pages + 1),
                    imports::requests.eq(imports::requests + i64::from(page.requests)),
                    imports::error.eq(None::<String>),
                ))
                .execute(connection)?;
            if saved > 0 {
                save_progress(connection, &CallsProgress::read(id, &page.calls))?;
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
        self.write(move |connection| {
            let noted = diesel::update(held!(id, holder))
                .set(imports::error.eq(&error))
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
        self.write(move |connection| {
            let ended = diesel::update(held!(id, holder))
                .set((
                    imports::state.eq(state.as_str()),
                    imports::error.eq(error),
                    imports::finished_at.eq(Time(now.trunc_subsecs(6))),
                    imports::lease_holder.eq(None::<Id>),
                    imports::lease_until.eq(None::<Time>),
                    imports::retrying.eq(false),
                ))
                .execute(connection)?;
            answer(connection, id, ended)
        })
        .await
    }

    pub(crate) async fn retry_import(&self, id: Uuid) -> Result<ImportRetry, StoreError> {
        self.write(move |connection| {
            let Some(run) = find(connection, id)? else {
                return Ok(ImportRetry::Unknown);
            };
            let retry = run.retry();
            if retry == ImportRetry::Waiting {
                diesel::update(imports::table.find(Id(id)))
                    .set((
                        imports::state.eq(ImportState::Waiting.as_str()),
                        imports::error.eq(None::<String>),
                        imports::finished_at.eq(None::<Time>),
                        imports::retrying.eq(true),
                    ))
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
        self.write(move |connection| {
            let saved = diesel::update(held!(id, holder))
                .set(imports::requests.eq(imports::requests + i64::from(calls.requests)))
                .execute(connection)?;
            if saved > 0 {
                save_progress(connection, &CallsProgress::failed(id, &calls.failed))?;
                for call in &calls.published {
                    let failed_for_that = import_calls::reason
                        .eq(&call.reason)
                        .or(import_calls::reason.is_null());
                    let known = import_calls::table
                        .find((Id(id), &call.call_sid))
                        .filter(import_calls::state.eq(Progress::Failed.as_str()))
                        .filter(failed_for_that);
                    diesel::update(known)
                        .set((
                            import_calls::state.eq(Progress::Queued.as_str()),
                            import_calls::reason.eq(None::<String>),
                        ))
                        .execute(connection)?;
                    let letters = dead_letters::table
                        .filter(dead_letters::import_id.eq(Id(id)))
                        .filter(dead_letters::call_sid.eq(&call.call_sid))
                        .filter(dead_letters::state.eq(DeadLetterState::Waiting.as_str()))
                        .filter(dead_letters::last_failed_at.lt(Time(calls.read_at)));
                    diesel::update(letters)
                        .set(dead_letters::state.eq(DeadLetterState::Replayed.as_str()))
                        .execute(connection)?;
                }
            }
            answer(connection, id, saved)
        })
        .await
    }

    pub(crate) async fn import_counts(&self, id: Uuid) -> Result<ImportCounts, StoreError> {
        self.read(move |connection| {
            let counts: CountsRow = diesel::sql_query(
                "select
                     count(*) as total,
                     count(*) filter (where call.state = 'queued') as queued,
                     count(*) filter (where call.state = 'stored') as stored,
                     count(*) filter (where call.state = 'failed') as failed,
                     count(*) filter (where not is_ambiguous and is_linked) as matched,
                     count(*) filter (where not is_ambiguous and not is_linked) as unmatched,
                     count(*) filter (where is_ambiguous) as ambiguous
                 from import_calls call
                 left join (
                     select call_sid,
                            match_candidates <> '[]' and match_method <> 'human' as is_ambiguous,
                            lead_id is not null or customer_id is not null as is_linked
                     from interactions
                 ) row on row.call_sid = call.call_sid and call.state = 'stored'
                 where call.import_id = ?",
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
        let failed = calls.into_iter().map(|(call_sid, reason)| FailedCall {
            call_sid,
            reason: reason.unwrap_or_default(),
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
        calls.iter().map(|(call_sid, _)| call_id(call_sid)).collect()
    }

    async fn import_calls(
        &self,
        id: Uuid,
        progress: Progress,
        limit: u32,
        after: Option<String>,
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        self.read(move |connection| {
            let calls = import_calls::table
                .filter(not_stored())
                .filter(import_calls::state.eq(progress.as_str()))
                .filter(import_calls::import_id.eq(Id(id)))
                .filter(import_calls::call_sid.gt(after.unwrap_or_default()))
                .order(import_calls::call_sid)
                .limit(limit.into())
                .select((import_calls::call_sid, import_calls::reason))
                .load(connection)?;
            Ok(calls)
        })
        .await
    }

    pub(crate) async fn queued_backfill(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let count: i64 = import_calls::table
                .filter(not_stored())
                .filter(import_calls::state.eq(Progress::Queued.as_str()))
                .count()
                .get_result(connection)?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    pub(crate) async fn forget_imports(
        &self,
        source: ImportSource,
        ended_before: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let is_old = || {
                imports::finished_at
                    .lt(Time(ended_before))
                    .and(imports::source.eq(source.as_str()))
            };
            let old = imports::table.filter(is_old()).select(imports::id);
            diesel::delete(import_calls::table.filter(import_calls::import_id.eq_any(old)))
                .execute(connection)?;
            Ok(diesel::delete(imports::table.filter(is_old())).execute(connection)?)
        })
        .await
    }
}

/// Makes a run.
pub(super) fn insert(
    connection: &mut SqliteConnection,
    new: &NewImport,
    now: DateTime<Utc>,
) -> Result<Import, StoreError> {
    let row = ImportRow::new(new, now);
    diesel::insert_into(imports::table)
        .values(&row)
        .execute(connection)?;
    row.into_import()
}

fn find(connection: &mut SqliteConnection, id: Uuid) -> Result<Option<Import>, StoreError> {
    let row: Option<ImportRow> = imports::table
        .find(Id(id))
        .select(ImportRow::as_select())
        .first(connection)
        .optional()?;
    row.map(ImportRow::into_import).transpose()
}

/// What to tell somebody who tried to change a run as its holder.
fn answer(connection: &mut SqliteConnection, id: Uuid, changed: usize) -> Result<ImportLease, StoreError> {
    if changed > 0 {
        return Ok(ImportLease::Held);
    }
    let run = find(connection, id)?;
    Ok(if run.is_some_and(|run| run.state.is_open()) {
        ImportLease::Lost
    } else {
        ImportLease::Over
    })
}

/// The condition of the index on the calls that are not stored: SQLite takes the index for a query that repeats it to
/// the letter.
fn not_stored() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql("state <> 'stored'")
}

/// Notes how far calls have come. None of them goes back: a page that is saved after its calls were stored changes
/// nothing.
pub(super) fn save_progress(
    connection: &mut SqliteConnection,
    calls: &CallsProgress,
) -> Result<(), StoreError> {
    for (import_id, call_sid, progress, reason) in calls.iter() {
        let is_new = diesel::insert_or_ignore_into(import_calls::table)
            .values((
                import_calls::import_id.eq(Id(import_id)),
                import_calls::call_sid.eq(call_sid),
                import_calls::state.eq(progress.as_str()),
                import_calls::reason.eq(reason),
            ))
            .execute(connection)?
            > 0;
        if !is_new && progress > Progress::Queued {
            let known = import_calls::table
                .find((Id(import_id), call_sid))
                .filter(import_calls::state.ne(Progress::Stored.as_str()));
            diesel::update(known)
                .set((
                    import_calls::state.eq(progress.as_str()),
                    import_calls::reason.eq(reason),
                ))
                .execute(connection)?;
        }
    }
    Ok(())
}
