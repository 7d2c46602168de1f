//! The row of what the reconciler found last.

use diesel::prelude::*;

use crate::columns::Time;
use crate::schema::webhook_health;
use crate::{IntegrationSeen, StoreError, WebhookHealth, WebhooksCounted};

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = webhook_health)]
pub(crate) struct WebhookHealthRow {
    pub(crate) counted_at: Option<Time>,
    pub(crate) gap: Option<i64>,
    pub(crate) silent_since: Option<Time>,
    pub(crate) checked_at: Option<Time>,
    pub(crate) integration_state: Option<String>,
}

impl WebhookHealthRow {
    pub(crate) fn into_health(self) -> Result<WebhookHealth, StoreError> {
        let gap = self.gap.map(u64::try_from).transpose();
        let gap = gap.map_err(|_| StoreError::Corrupt("gap"))?;
        Ok(WebhookHealth {
            counted: self.counted_at.map(|Time(counted_at)| WebhooksCounted {
                counted_at,
                gap,
                silent_since: self.silent_since.map(|time| time.0),
            }),
            integration: self
                .checked_at
                .zip(self.integration_state)
                .map(|(Time(checked_at), state)| IntegrationSeen { checked_at, state }),
        })
    }
}
