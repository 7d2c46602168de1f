//! The alerts: a table that is also the outbox.

use calls::OutgoingAlert;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::Sqlite;
use super::rows::{json, json_text, time, time_text};
use super::schema::alerts;
use crate::{RaisedAlert, StoreError};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = alerts)]
struct AlertRow {
    id: String,
    call_sid: String,
    interaction_id: String,
    kind: String,
    at: String,
    payload: String,
    owner_id: Option<String>,
    push: bool,
    created_at: String,
    published_at: Option<String>,
}

impl AlertRow {
    fn new(outgoing: &OutgoingAlert, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let alert = &outgoing.alert;
        Ok(Self {
            id: alert.id.to_string(),
            call_sid: alert.call_sid.to_string(),
            interaction_id: alert.interaction_id.to_string(),
            kind: alert.kind.as_str().to_owned(),
            at: time_text(alert.at),
            payload: json_text(alert)?,
            owner_id: outgoing.owner_id.clone(),
            push: outgoing.push,
            created_at: time_text(now),
            published_at: None,
        })
    }

    fn into_raised(self) -> Result<RaisedAlert, StoreError> {
        let outgoing = OutgoingAlert {
            alert: json(&self.payload, "payload")?,
            owner_id: self.owner_id,
            push: self.push,
        };
        let published_at = self
            .published_at
            .map(|text| time(&text, "published_at"))
            .transpose()?;
        Ok(RaisedAlert {
            outgoing,
            raised_at: time(&self.created_at, "created_at")?,
            published_at,
        })
    }
}

/// Inserts alerts, and returns those to publish: not those that were there, nor those that interrupt nobody.
pub(super) fn insert(
    connection: &mut SqliteConnection,
    raised: Vec<OutgoingAlert>,
    now: DateTime<Utc>,
) -> Result<Vec<OutgoingAlert>, StoreError> {
    let mut to_publish = Vec::new();
    for outgoing in raised {
        let row = AlertRow::new(&outgoing, now)?;
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
            let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            diesel::update(
                alerts::table
                    .filter(alerts::id.eq_any(&ids))
                    .filter(alerts::published_at.is_null()),
            )
            .set(alerts::published_at.eq(time_text(now.trunc_subsecs(6))))
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
                .filter(alerts::created_at.lt(time_text(raised_before)))
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
                .filter(alerts::created_at.ge(time_text(since)))
                .order((alerts::created_at, alerts::id))
                .limit(limit.into())
                .select(AlertRow::as_select())
                .load(connection)?;
            rows.into_iter().map(AlertRow::into_raised).collect()
        })
        .await
    }
}
