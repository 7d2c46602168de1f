//! The rows from which requests are counted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::StoreError;
use crate::columns::{Id, Time};
use crate::requests::{Report, RequestClass};
use crate::schema::{api_requests, api_usage};

#[derive(Insertable)]
#[diesel(table_name = api_requests)]
pub(crate) struct RequestRow {
    pub(crate) id: Id,
    pub(crate) class: &'static str,
    pub(crate) requested_at: Time,
}

impl RequestRow {
    pub(crate) fn new(class: RequestClass, now: DateTime<Utc>) -> Self {
        Self {
            id: Id(Uuid::now_v7()),
            class: class.as_str(),
            requested_at: Time(now),
        }
    }
}

#[derive(Queryable, QueryableByName, Selectable, AsChangeset)]
#[diesel(table_name = api_usage)]
#[diesel(treat_none_as_null = true)]
pub(crate) struct UsageRow {
    pub(crate) reported_at: Option<Time>,
    pub(crate) hour_by_others: Option<i64>,
    pub(crate) hour_allowed: Option<i64>,
    pub(crate) day_by_others: Option<i64>,
    pub(crate) day_allowed: Option<i64>,
}

impl UsageRow {
    pub(crate) fn new(report: &Report) -> Self {
        Self {
            reported_at: Some(Time(report.reported_at)),
            hour_by_others: Some(report.hour_by_others.into()),
            hour_allowed: Some(report.hour_allowed.into()),
            day_by_others: Some(report.day_by_others.into()),
            day_allowed: Some(report.day_allowed.into()),
        }
    }

    /// `None` until CallRail has told something.
    pub(crate) fn into_report(self) -> Result<Option<Report>, StoreError> {
        let Some(Time(reported_at)) = self.reported_at else {
            return Ok(None);
        };
        let count = |column: Option<i64>, name| {
            let count = column.and_then(|count| u32::try_from(count).ok());
            count.ok_or(StoreError::Corrupt(name))
        };
        Ok(Some(Report {
            reported_at,
            hour_by_others: count(self.hour_by_others, "hour_by_others")?,
            hour_allowed: count(self.hour_allowed, "hour_allowed")?,
            day_by_others: count(self.day_by_others, "day_by_others")?,
            day_allowed: count(self.day_allowed, "day_allowed")?,
        }))
    }
}
