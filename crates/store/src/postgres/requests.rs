//! Counts the requests to CallRail's API, one process at a time.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Postgres;
use super::statement::Statement;
use crate::columns::{SqlId, SqlTime, Time};
use crate::requests::{DAY, Report, WINDOWS, permit};
use crate::rows::{RequestRow, UsageRow};
use crate::{Permit, ReportedUsage, RequestClass, RequestLimits, RequestsMade, StoreError};

impl Postgres {
    pub(crate) async fn take_request(
        &self,
        class: RequestClass,
        limits: RequestLimits,
        now: DateTime<Utc>,
    ) -> Result<Permit, StoreError> {
        let now = now.trunc_subsecs(6);
        Self::write(&self.rings, move |connection| {
            let report = lock(connection)?;
            forget_old_ones(connection, now)?;
            let permit = permit(class, &limits, report, now, |of, n| nth_newest(connection, of, n))?;
            if permit == Permit::Granted {
                insert(connection, &RequestRow::new(class, now))?;
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
        Self::write(&self.rings, move |connection| {
            let known = lock(connection)?;
            if known.is_some_and(|known| known.is_newer_than(now)) {
                return Ok(());
            }
            let report = Report::new(told, made(connection, known, now)?, now);
            save(connection, &UsageRow::new(&report))
        })
        .await
    }

    pub(crate) async fn requests_made(&self, now: DateTime<Utc>) -> Result<RequestsMade, StoreError> {
        self.read(move |connection| {
            let row: UsageRow = Statement::new(SELECT_USAGE).get_result(connection)?;
            made(connection, row.into_report()?, now)
        })
        .await
    }
}

const SELECT_USAGE: &str = "
    select reported_at, hour_by_others, hour_allowed, day_by_others, day_allowed
    from trunkline.api_usage where id = 1";

/// Keeps out everybody else who counts, until the transaction ends.
fn lock(connection: &mut PgConnection) -> Result<Option<Report>, StoreError> {
    let row: UsageRow = Statement::new(SELECT_USAGE)
        .locked(" for update")
        .get_result(connection)?;
    row.into_report()
}

/// Forgets what no window reaches any more. What seems to be far ahead was written by a clock that was wrong, and
/// would count for ever.
fn forget_old_ones(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<(), StoreError> {
    Statement::new("delete from trunkline.api_requests where requested_at <= {} or requested_at > {}")
        .bind::<SqlTime, _>(Time(now - DAY))
        .bind::<SqlTime, _>(Time(now + DAY))
        .execute(connection)?;
    Ok(())
}

fn nth_newest(
    connection: &mut PgConnection,
    of: Option<RequestClass>,
    n: u32,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = SqlTime)]
        requested_at: Time,
    }
    let statement = match of {
        None => Statement::new(
            "select requested_at from trunkline.api_requests
             order by requested_at desc offset {} limit 1",
        ),
        Some(class) => Statement::new(
            "select requested_at from trunkline.api_requests where class = {}
             order by requested_at desc offset {} limit 1",
        )
        .bind::<Text, _>(class.as_str()),
    };
    let found: Option<Found> = statement
        .bind::<BigInt, _>(i64::from(n) - 1)
        .get_result(connection)
        .optional()?;
    Ok(found.map(|found| found.requested_at.0))
}

fn insert(connection: &mut PgConnection, row: &RequestRow) -> Result<(), StoreError> {
    Statement::new("insert into trunkline.api_requests (id, class, requested_at) values ({}, {}, {})")
        .bind::<SqlId, _>(row.id)
        .bind::<Text, _>(row.class)
        .bind::<SqlTime, _>(row.requested_at)
        .execute(connection)?;
    Ok(())
}

fn save(connection: &mut PgConnection, row: &UsageRow) -> Result<(), StoreError> {
    Statement::new(
        "update trunkline.api_usage set
             reported_at = {}, hour_by_others = {}, hour_allowed = {}, day_by_others = {}, day_allowed = {}
         where id = 1",
    )
    .bind::<Nullable<SqlTime>, _>(row.reported_at)
    .bind::<Nullable<BigInt>, _>(row.hour_by_others)
    .bind::<Nullable<BigInt>, _>(row.hour_allowed)
    .bind::<Nullable<BigInt>, _>(row.day_by_others)
    .bind::<Nullable<BigInt>, _>(row.day_allowed)
    .execute(connection)?;
    Ok(())
}

fn made(
    connection: &mut PgConnection,
    report: Option<Report>,
    now: DateTime<Utc>,
) -> Result<RequestsMade, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let mut count = |window: TimeDelta| -> Result<u32, StoreError> {
        let found: Count =
            Statement::new("select count(*) as count from trunkline.api_requests where requested_at > {}")
                .bind::<SqlTime, _>(Time(now - window))
                .get_result(connection)?;
        Ok(u32::try_from(found.count).unwrap_or(u32::MAX))
    };
    let [minute, hour, day] = WINDOWS;
    Ok(RequestsMade::new(
        [count(minute)?, count(hour)?, count(day)?],
        report,
        now,
    ))
}
