//! Looking for calls.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use uuid::Uuid;

use super::Postgres;
use super::apply::interaction_columns;
use super::statement::Statement;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::rows::{StoredRow, direction_name};
use crate::search::{MatchState, NumberFilter, containing};
use crate::{InteractionFilter, InteractionPosition, StoreError, StoredInteraction};

impl Postgres {
    pub(crate) async fn search_interactions(
        &self,
        filter: InteractionFilter,
        limit: u32,
        before: Option<InteractionPosition>,
    ) -> Result<Vec<StoredInteraction>, StoreError> {
        self.read(move |connection| {
            let number = filter.number.as_ref();
            // What is not wanted is null, which the planner sees: it plans for what is left.
            let rows: Vec<StoredRow> = Statement::new(concat!(
                "select ",
                interaction_columns!(),
                ", created_at, updated_at, vanished
                 from trunkline.interactions, (
                     select {} as number, {} as number_like, {} as name_like, {} as from_time, {} as to_time,
                            {} as outcome, {} as direction, {} as match_state, {} as to_call_back,
                            {} as before_time, {} as before_id
                 ) wanted
                 where not spam and not vanished
                   and (wanted.number is null
                        or call_from_number = wanted.number or call_to_number = wanted.number)
                   and (wanted.number_like is null
                        or call_from_number like wanted.number_like or call_to_number like wanted.number_like)
                   and (wanted.name_like is null
                        or customer_name ilike wanted.name_like
                        or exists (
                            select 1 from trunkline.contacts contact
                            where contact.name ilike wanted.name_like
                              and (contact.kind = 'lead' and contact.id = lead_id
                                   or contact.kind = 'customer' and contact.id = customer_id)
                        ))
                   and (wanted.from_time is null or scheduled_at >= wanted.from_time)
                   and (wanted.to_time is null or scheduled_at < wanted.to_time)
                   and (wanted.outcome is null or interactions.outcome = wanted.outcome)
                   and (wanted.direction is null or interactions.direction = wanted.direction)
                   and (wanted.match_state is null or wanted.match_state = case
                            when match_candidates <> '[]' and match_method <> 'human' then 'ambiguous'
                            when lead_id is not null or customer_id is not null then 'matched'
                            else 'unmatched'
                        end)
                   and (not wanted.to_call_back
                        or exists (
                            select 1 from trunkline.crm_callbacks callback where callback.id = interactions.id
                        ))
                   and (wanted.before_time is null
                        or (scheduled_at, interactions.id) < (wanted.before_time, wanted.before_id))
                 order by scheduled_at desc, interactions.id desc
                 limit {}"
            ))
            .bind::<Nullable<Text>, _>(number.and_then(NumberFilter::whole))
            .bind::<Nullable<Text>, _>(number.and_then(NumberFilter::pattern))
            .bind::<Nullable<Text>, _>(filter.name.as_deref().map(containing))
            .bind::<Nullable<SqlTime>, _>(filter.from.map(Time))
            .bind::<Nullable<SqlTime>, _>(filter.to.map(Time))
            .bind::<Nullable<Text>, _>(filter.outcome.map(calls::Outcome::as_str))
            .bind::<Nullable<Text>, _>(filter.direction.map(direction_name))
            .bind::<Nullable<Text>, _>(filter.match_state.map(MatchState::as_str))
            .bind::<Bool, _>(filter.to_call_back)
            .bind::<Nullable<SqlTime>, _>(before.map(|before| Time(before.scheduled_at)))
            .bind::<Nullable<SqlId>, _>(before.map(|before| Id(before.id)))
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            rows.into_iter().map(StoredRow::into_stored).collect()
        })
        .await
    }

    pub(crate) async fn interaction(&self, id: Uuid) -> Result<Option<StoredInteraction>, StoreError> {
        self.read(move |connection| {
            let row: Option<StoredRow> = Statement::new(concat!(
                "select ",
                interaction_columns!(),
                ", created_at, updated_at, vanished from trunkline.interactions where id = {}"
            ))
            .bind::<SqlId, _>(Id(id))
            .get_result(connection)
            .optional()?;
            row.map(StoredRow::into_stored).transpose()
        })
        .await
    }
}
