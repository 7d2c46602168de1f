//! The alerts: a table that is also the outbox.

use calls::OutgoingAlert;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::Sqlite;
use crate::clock::Clock;
use crate::columns::{Id, Time};
use crate::rows::AlertRow;
use crate::schema::alerts;
use crate::{RaisedAlert, StoreError};

/// Inserts alerts, and returns those to publish: not those that were there, nor those that interrupt nobody. They say
/// when they were inserted, not when their batch began: whoever follows them has gone on meanwhile.
pub(super) fn insert(
    connection: &mut SqliteConnection,
    raised: Vec<OutgoingAlert>,
    clock: Clock,
) -> Result<Vec<OutgoingAlert>, StoreError> {
    let mut to_publish = Vec::new();
    for outgoing in raised {
        let row = AlertRow::new(&outgoing, clock.now())?;
        let is_new = diesel::insert_or_ignore_into(alerts::table)
            .values(&row)
            .execute(connection)?
            > 0;
        if is_new && outgoing.push {
            to_publish.push(outgoing);
        }
    }
    Ok(to_publish)
}

impl Sqlite {
    pub(crate) async fn mark_alerts_published(
        &self,
        ids: Vec<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            let ids: Vec<Id> = ids.into_iter().map(Id).collect();
            diesel::update(
                alerts::table
                    .filter(alerts::id.eq_any(&ids))
                    .filter(alerts::published_at.is_null()),
            )
            .set(alerts::published_at.eq(Time(now.trunc_subsecs(6))))
            .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn unpublished_alerts(
        &self,
        raised_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<OutgoingAlert>, StoreError> {
        self.read(move |connection| {
            let rows: Vec<AlertRow> = alerts::table
                .filter(alerts::published_at.is_null().and(alerts::push))
                .filter(alerts::created_at.lt(Time(raised_before)))
                .order(alerts::created_at)
                .limit(limit.into())
                .select(AlertRow::as_select())
                .load(connection)?;
            rows.into_iter()
                .map(|row| Ok(row.into_raised()?.outgoing))
                .collect()
        })
        .await
    }

    pub(crate) async fn alerts_since(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RaisedAlert>, StoreError> {
        self.read(move |connection| {
            let rows: Vec<AlertRow> = alerts::table
                .filter(alerts::created_at.ge(Time(since)))
                .order((alerts::created_at, alerts::id))
                .limit(limit.into())
                .select(AlertRow::as_select())
                .load(connection)?;
            rows.into_iter().map(AlertRow::into_raised).collect()
        })
        .await
    }
}
