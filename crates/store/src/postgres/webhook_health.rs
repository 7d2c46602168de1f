//! Whether webhooks come.

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Postgres;
use super::statement::Statement;
use crate::columns::{SqlTime, Time};
use crate::rows::WebhookHealthRow;
use crate::webhook_health::{LOOKED_BACK, USUAL_WEEKS};
use crate::{IntegrationSeen, Quiet, StoreError, WebhookHealth, WebhooksCounted};

impl Postgres {
    pub(crate) async fn webhook_health(&self) -> Result<WebhookHealth, StoreError> {
        self.read(|connection| {
            let row: WebhookHealthRow = Statement::new(
                "select counted_at, gap, silent_since, checked_at, integration_state
                 from trunkline.webhook_health",
            )
            .get_result(connection)?;
            row.into_health()
        })
        .await
    }

    pub(crate) async fn note_webhooks_counted(&self, counted: WebhooksCounted) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            Statement::new(
                "update trunkline.webhook_health set counted_at = {}, gap = {}, silent_since = {}",
            )
            .bind::<SqlTime, _>(Time(counted.counted_at.trunc_subsecs(6)))
            .bind::<Nullable<BigInt>, _>(counted.gap.map(u64::cast_signed))
            .bind::<Nullable<SqlTime>, _>(counted.silent_since.map(Time))
            .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn note_integration(&self, seen: IntegrationSeen) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            Statement::new("update trunkline.webhook_health set checked_at = {}, integration_state = {}")
                .bind::<SqlTime, _>(Time(seen.checked_at.trunc_subsecs(6)))
                .bind::<Text, _>(&seen.state)
                .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn quiet(
        &self,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Option<Quiet>, StoreError> {
        #[derive(QueryableByName)]
        struct Last {
            #[diesel(sql_type = SqlTime)]
            scheduled_at: Time,
        }
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        self.read(move |connection| {
            let last: Option<Last> = Statement::new(
                "select interaction.scheduled_at from trunkline.interactions interaction
                 where interaction.scheduled_at >= {}
                   and exists (
                       select 1 from trunkline.call_events event
                       where event.call_sid = interaction.call_sid
                         and event.kind not in ('pre-call', 'routing-complete', 'import')
                   )
                 order by interaction.scheduled_at desc
                 limit 1",
            )
            .bind::<SqlTime, _>(Time(now - LOOKED_BACK))
            .get_result(connection)
            .optional()?;
            let Some(Last {
                scheduled_at: Time(since),
            }) = last
            else {
                return Ok(None);
            };
            let mut in_weeks = Vec::new();
            for weeks in 0..=USUAL_WEEKS {
                let (from, to) = Quiet::stretch(since, until, weeks);
                let found: Count = Statement::new(
                    "select count(*) as count from trunkline.interactions
                     where scheduled_at > {} and scheduled_at < {}",
                )
                .bind::<SqlTime, _>(Time(from))
                .bind::<SqlTime, _>(Time(to))
                .get_result(connection)?;
                in_weeks.push(found.count.unsigned_abs());
            }
            Ok(Some(Quiet::new(since, &in_weeks)))
        })
        .await
    }
}
