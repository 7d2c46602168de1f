//! The row of an alert.

use calls::{OutgoingAlert, Way};
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{json, json_text};
use crate::columns::{Id, Time};
use crate::schema::alerts;
use crate::{RaisedAlert, StoreError};

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = alerts)]
pub(crate) struct AlertRow {
    pub(crate) id: Id,
    pub(crate) call_sid: String,
    pub(crate) interaction_id: Id,
    pub(crate) kind: String,
    pub(crate) at: Time,
    pub(crate) payload: String,
    pub(crate) owner_id: Option<String>,
    pub(crate) push: bool,
    pub(crate) created_at: Time,
    pub(crate) published_at: Option<Time>,
    pub(crate) trace: Option<String>,
}

impl AlertRow {
    pub(crate) fn new(outgoing: &OutgoingAlert, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let alert = &outgoing.alert;
        Ok(Self {
            id: Id(alert.id),
            call_sid: alert.call_sid.to_string(),
            interaction_id: Id(alert.interaction_id),
            kind: alert.kind.as_str().to_owned(),
            at: Time(alert.at),
            payload: json_text(alert)?,
            owner_id: outgoing.owner_id.clone(),
            push: outgoing.push,
            created_at: Time(now),
            published_at: None,
            trace: outgoing.trace.map(|trace| trace.to_string()),
        })
    }

    pub(crate) fn into_raised(self) -> Result<RaisedAlert, StoreError> {
        let outgoing = OutgoingAlert {
            alert: json(&self.payload, "payload")?,
            owner_id: self.owner_id,
            push: self.push,
            way: Way {
                matched_at: Some(self.created_at.0),
                queued_at: None,
            },
            // No reason to hold up an alert.
            trace: self.trace.and_then(|text| text.parse().ok()),
        };
        Ok(RaisedAlert {
            outgoing,
            raised_at: self.created_at.0,
            published_at: self.published_at.map(|time| time.0),
        })
    }
}
