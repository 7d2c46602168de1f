//! The rows of import runs.

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::company_id;
use crate::columns::{Id, Time};
use crate::schema::imports;
use crate::{Import, ImportCounts, ImportCursor, ImportSource, ImportState, NewImport, StoreError};

/// A run, but for its lease.
#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = imports)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct ImportRow {
    pub(crate) id: Id,
    pub(crate) source: String,
    pub(crate) range_start: Time,
    pub(crate) range_end: Time,
    pub(crate) company_id: Option<String>,
    pub(crate) state: String,
    pub(crate) created_at: Time,
    pub(crate) started_at: Option<Time>,
    pub(crate) finished_at: Option<Time>,
    pub(crate) error: Option<String>,
    pub(crate) window_start: Option<Time>,
    pub(crate) next_page: Option<String>,
    pub(crate) pages: i64,
    pub(crate) requests: i64,
    pub(crate) retrying: bool,
}

impl ImportRow {
    pub(crate) fn new(import: &NewImport, now: DateTime<Utc>) -> Self {
        Self {
            id: Id(Uuid::now_v7()),
            source: import.source.as_str().to_owned(),
            range_start: Time(import.start.trunc_subsecs(6)),
            range_end: Time(import.end.trunc_subsecs(6)),
            company_id: import.company.as_ref().map(ToString::to_string),
            state: ImportState::Waiting.as_str().to_owned(),
            created_at: Time(now.trunc_subsecs(6)),
            started_at: None,
            finished_at: None,
            error: None,
            window_start: None,
            next_page: None,
            pages: 0,
            requests: 0,
            retrying: false,
        }
    }

    pub(crate) fn into_import(self) -> Result<Import, StoreError> {
        let next_page = self.next_page;
        Ok(Import {
            id: self.id.0,
            source: ImportSource::from_name(&self.source).ok_or(StoreError::Corrupt("source"))?,
            start: self.range_start.0,
            end: self.range_end.0,
            company: company_id(self.company_id.as_deref())?,
            state: ImportState::from_name(&self.state).ok_or(StoreError::Corrupt("state"))?,
            created_at: self.created_at.0,
            started_at: self.started_at.map(|time| time.0),
            finished_at: self.finished_at.map(|time| time.0),
            error: self.error,
            cursor: self.window_start.map(|time| ImportCursor {
                window_start: time.0,
                next_page,
            }),
            pages: self.pages.unsigned_abs(),
            requests: self.requests.unsigned_abs(),
            retrying: self.retrying,
        })
    }
}

/// The counts of one run.
#[derive(QueryableByName)]
pub(crate) struct CountsRow {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    total: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    queued: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    stored: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    failed: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    matched: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    unmatched: i64,
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    ambiguous: i64,
}

impl CountsRow {
    pub(crate) fn into_counts(self) -> ImportCounts {
        ImportCounts {
            total: self.total.unsigned_abs(),
            queued: self.queued.unsigned_abs(),
            stored: self.stored.unsigned_abs(),
            failed: self.failed.unsigned_abs(),
            matched: self.matched.unsigned_abs(),
            unmatched: self.unmatched.unsigned_abs(),
            ambiguous: self.ambiguous.unsigned_abs(),
        }
    }
}
