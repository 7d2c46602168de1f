//! The alerts: a table that is also the outbox.

use std::collections::HashSet;

use calls::OutgoingAlert;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use uuid::Uuid;

use super::Postgres;
use super::statement::Statement;
use crate::clock::Clock;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::rows::AlertRow;
use crate::{RaisedAlert, StoreError};

/// Inserts alerts, and returns those to publish: not those that were there, nor those that interrupt nobody. They say
/// when they were inserted, not when their batch began: whoever follows them has gone on meanwhile.
pub(super) fn insert(
    connection: &mut PgConnection,
    mut raised: Vec<OutgoingAlert>,
    clock: Clock,
) -> Result<Vec<OutgoingAlert>, StoreError> {
    #[derive(QueryableByName)]
    struct New {
        #[diesel(sql_type = SqlId)]
        id: Id,
    }
    let mut seen = HashSet::with_capacity(raised.len());
    raised.retain(|outgoing| seen.insert(outgoing.alert.id));
    if raised.is_empty() {
        return Ok(raised);
    }
    let created_at = clock.now();
    let rows = raised
        .iter()
        .map(|outgoing| AlertRow::new(outgoing, created_at))
        .collect::<Result<Vec<_>, _>>()?;
    let new: Vec<New> = Statement::new(
        "insert into trunkline.alerts
             (id, call_sid, interaction_id, kind, at, payload, owner_id, push, created_at, trace)
         select id, call_sid, interaction_id, kind, at, payload::json, owner_id, push, created_at, trace
         from unnest({}, {}, {}, {}, {}, {}, {}, {}, {}, {})
             as new (id, call_sid, interaction_id, kind, at, payload, owner_id, push, created_at, trace)
         on conflict do nothing
         returning id",
    )
    .ids(rows.iter().map(|row| row.id))
    .texts(rows.iter().map(|row| row.call_sid.as_str()))
    .ids(rows.iter().map(|row| row.interaction_id))
    .texts(rows.iter().map(|row| row.kind.as_str()))
    .times(rows.iter().map(|row| row.at))
    .texts(rows.iter().map(|row| row.payload.as_str()))
    .optional_texts(rows.iter().map(|row| &row.owner_id))
    .bools(rows.iter().map(|row| row.push))
    .times(rows.iter().map(|row| row.created_at))
    .optional_texts(rows.iter().map(|row| &row.trace))
    .load(connection)?;
    let new: HashSet<Uuid> = new.into_iter().map(|new| new.id.0).collect();
    raised.retain(|outgoing| outgoing.push && new.contains(&outgoing.alert.id));
    Ok(raised)
}

impl Postgres {
    pub(crate) async fn mark_alerts_published(
        &self,
        ids: Vec<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            // In order: two sweeps that mark the same alerts must not wait for each other.
            Statement::new(
                "update trunkline.alerts set published_at = {}
                 where id in (
                     select id from trunkline.alerts
                     where id = any({}) and published_at is null
                     order by id for update
                 )",
            )
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .ids(ids.iter().copied().map(Id))
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
            let rows: Vec<AlertRow> = Statement::new(
                "select id, call_sid, interaction_id, kind, at, payload::text as payload, owner_id, push,
                        created_at, published_at, trace
                 from trunkline.alerts
                 where published_at is null and push and created_at < {}
                 order by created_at
                 limit {}",
            )
            .bind::<SqlTime, _>(Time(raised_before))
            .bind::<BigInt, _>(i64::from(limit))
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
            let rows: Vec<AlertRow> = Statement::new(
                "select id, call_sid, interaction_id, kind, at, payload::text as payload, owner_id, push,
                        created_at, published_at, trace
                 from trunkline.alerts
                 where created_at >= {}
                 order by created_at, id
                 limit {}",
            )
            .bind::<SqlTime, _>(Time(since))
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            rows.into_iter().map(AlertRow::into_raised).collect()
        })
        .await
    }
}
