//! Whether webhooks come.

use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;

use super::Sqlite;
use crate::columns::{SqlTime, Time};
use crate::rows::WebhookHealthRow;
use crate::schema::{interactions, webhook_health};
use crate::webhook_health::{LOOKED_BACK, USUAL_WEEKS};
use crate::{IntegrationSeen, Quiet, StoreError, WebhookHealth, WebhooksCounted};

impl Sqlite {
    pub(crate) async fn webhook_health(&self) -> Result<WebhookHealth, StoreError> {
        self.read(|connection| {
            let row: WebhookHealthRow = webhook_health::table
                .select(WebhookHealthRow::as_select())
                .first(connection)?;
            row.into_health()
        })
        .await
    }

    pub(crate) async fn note_webhooks_counted(&self, counted: WebhooksCounted) -> Result<(), StoreError> {
        self.write(move |connection| {
            diesel::update(webhook_health::table)
                .set((
                    webhook_health::counted_at.eq(Time(counted.counted_at.trunc_subsecs(6))),
                    webhook_health::gap.eq(counted.gap.map(u64::cast_signed)),
                    webhook_health::silent_since.eq(counted.silent_since.map(Time)),
                ))
                .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn note_integration(&self, seen: IntegrationSeen) -> Result<(), StoreError> {
        self.write(move |connection| {
            diesel::update(webhook_health::table)
                .set((
                    webhook_health::checked_at.eq(Time(seen.checked_at.trunc_subsecs(6))),
                    webhook_health::integration_state.eq(&seen.state),
                ))
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
        self.read(move |connection| {
            let last: Option<Last> = diesel::sql_query(
                "select interaction.scheduled_at from interactions interaction
                 where interaction.scheduled_at >= ?
                   and exists (
                       select 1 from call_events event
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
                let count: i64 = interactions::table
                    .filter(interactions::scheduled_at.gt(Time(from)))
                    .filter(interactions::scheduled_at.lt(Time(to)))
                    .count()
                    .get_result(connection)?;
                in_weeks.push(count.unsigned_abs());
            }
            Ok(Some(Quiet::new(since, &in_weeks)))
        })
        .await
    }
}
