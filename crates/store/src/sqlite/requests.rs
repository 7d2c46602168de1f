//! Counts the requests to CallRail's API, one process at a time.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::prelude::*;

use super::Sqlite;
use crate::columns::Time;
use crate::requests::{DAY, Report, WINDOWS, permit};
use crate::rows::{RequestRow, UsageRow};
use crate::schema::{api_requests, api_usage};
use crate::{Permit, ReportedUsage, RequestClass, RequestLimits, RequestsMade, StoreError};

impl Sqlite {
    pub(crate) async fn take_request(
        &self,
        class: RequestClass,
        limits: RequestLimits,
        now: DateTime<Utc>,
    ) -> Result<Permit, StoreError> {
        let now = now.trunc_subsecs(6);
        self.write(move |connection| {
            let report = report(connection)?;
            forget_old_ones(connection, now)?;
            let permit = permit(class, &limits, report, now, |of, n| nth_newest(connection, of, n))?;
            if permit == Permit::Granted {
                diesel::insert_into(api_requests::table)
                    .values(RequestRow::new(class, now))
                    .execute(connection)?;
            }
            Ok(permit)
        })
        .await
    }

    pub(crate) async fn report_usage(
        &self,
        told: ReportedUsage,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let now = now.trunc_subsecs(6);
        self.write(move |connection| {
            let known = report(connection)?;
            if known.is_some_and(|known| known.is_newer_than(now)) {
                return Ok(());
            }
            let report = Report::new(told, made(connection, known, now)?, now);
            diesel::update(api_usage::table)
                .set(UsageRow::new(&report))
                .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn requests_made(&self, now: DateTime<Utc>) -> Result<RequestsMade, StoreError> {
        self.read(move |connection| {
            let report = report(connection)?;
            made(connection, report, now)
        })
        .await
    }
}

fn report(connection: &mut SqliteConnection) -> Result<Option<Report>, StoreError> {
    let row: UsageRow = api_usage::table.select(UsageRow::as_select()).first(connection)?;
    row.into_report()
}

/// Forgets what no window reaches any more. What seems to be far ahead was written by a clock that was wrong, and
/// would count for ever.
fn forget_old_ones(connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    let is_old = api_requests::requested_at.le(Time(now - DAY));
    let is_far_ahead = api_requests::requested_at.gt(Time(now + DAY));
    diesel::delete(api_requests::table.filter(is_old.or(is_far_ahead))).execute(connection)?;
    Ok(())
}

fn nth_newest(
    connection: &mut SqliteConnection,
    of: Option<RequestClass>,
    n: u32,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut query = api_requests::table
        .order(api_requests::requested_at.desc())
        .offset(i64::from(n) - 1)
        .limit(1)
        .select(api_requests::requested_at)
        .into_boxed();
    if let Some(class) = of {
        query = query.filter(api_requests::class.eq(class.as_str()));
    }
    let found: Option<Time> = query.get_result(connection).optional()?;
    Ok(found.map(|time| time.0))
}

fn made(
    connection: &mut SqliteConnection,
    report: Option<Report>,
    now: DateTime<Utc>,
) -> Result<RequestsMade, StoreError> {
    let mut count = |window: TimeDelta| -> Result<u32, StoreError> {
        let found: i64 = api_requests::table
            .filter(api_requests::requested_at.gt(Time(now - window)))
            .count()
            .get_result(connection)?;
        Ok(u32::try_from(found).unwrap_or(u32::MAX))
    };
    let [minute, hour, day] = WINDOWS;
    Ok(RequestsMade::new(
        [count(minute)?, count(hour)?, count(day)?],
        report,
        now,
    ))
}
