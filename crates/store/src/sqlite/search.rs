//! Looking for calls.

use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::Sqlite;
use crate::columns::{Id, Time};
use crate::rows::{StoredRow, direction_name};
use crate::schema::{contacts, interactions};
use crate::search::{MatchState, NumberFilter, containing};
use crate::{InteractionFilter, InteractionPosition, StoreError, StoredInteraction};

impl Sqlite {
    pub(crate) async fn search_interactions(
        &self,
        filter: InteractionFilter,
        limit: u32,
        before: Option<InteractionPosition>,
    ) -> Result<Vec<StoredInteraction>, StoreError> {
        self.read(move |connection| {
            let mut query = interactions::table
                .filter(not(interactions::spam))
                .filter(not(interactions::vanished))
                .order((interactions::scheduled_at.desc(), interactions::id.desc()))
                .limit(limit.into())
                .select(StoredRow::as_select())
                .into_boxed();
            let number = filter.number.as_ref();
            if let Some(number) = number.and_then(NumberFilter::whole) {
                query = query.filter(
                    interactions::call_from_number
                        .eq(number.to_owned())
                        .or(interactions::call_to_number.eq(number.to_owned())),
                );
            }
            if let Some(pattern) = number.and_then(NumberFilter::pattern) {
                query = query.filter(
                    interactions::call_from_number
                        .like(pattern.clone())
                        .or(interactions::call_to_number.like(pattern)),
                );
            }
            if let Some(pattern) = filter.name.as_deref().map(containing) {
                let lead = contacts::kind
                    .eq("lead")
                    .and(contacts::id.nullable().eq(interactions::lead_id));
                let customer = contacts::kind
                    .eq("customer")
                    .and(contacts::id.nullable().eq(interactions::customer_id));
                let linked = contacts::table
                    .filter(contacts::name.like(pattern.clone()).escape('\\'))
                    .filter(lead.or(customer));
                query = query.filter(
                    interactions::customer_name
                        .like(pattern)
                        .escape('\\')
                        .or(exists(linked)),
                );
            }
            if let Some(from) = filter.from {
                query = query.filter(interactions::scheduled_at.ge(Time(from)));
            }
            if let Some(to) = filter.to {
                query = query.filter(interactions::scheduled_at.lt(Time(to)));
            }
            if let Some(outcome) = filter.outcome {
                query = query.filter(interactions::outcome.eq(outcome.as_str()));
            }
            if let Some(direction) = filter.direction {
                query = query.filter(interactions::direction.eq(direction_name(direction)));
            }
            if let Some(state) = filter.match_state {
                let is_ambiguous = || {
                    interactions::match_candidates
                        .ne("[]")
                        .and(interactions::match_method.ne("human"))
                };
                let is_linked = || {
                    interactions::lead_id
                        .is_not_null()
                        .or(interactions::customer_id.is_not_null())
                };
                query = match state {
                    MatchState::Ambiguous => query.filter(is_ambiguous()),
                    MatchState::Matched => query.filter(not(is_ambiguous()).and(is_linked())),
                    MatchState::Unmatched => query.filter(not(is_ambiguous()).and(not(is_linked()))),
                };
            }
            if filter.to_call_back {
                // Asked call by call, latest first, until there are enough: the whole view takes long.
                query = query.filter(sql::<Bool>(
                    "exists (select 1 from crm_callbacks callback where callback.id = interactions.id)",
                ));
            }
            if let Some(InteractionPosition { scheduled_at, id }) = before {
                let at_that_time = interactions::scheduled_at.eq(Time(scheduled_at));
                query = query.filter(
                    interactions::scheduled_at
                        .lt(Time(scheduled_at))
                        .or(at_that_time.and(interactions::id.lt(Id(id)))),
                );
            }
            let rows: Vec<StoredRow> = query.load(connection)?;
            rows.into_iter().map(StoredRow::into_stored).collect()
        })
        .await
    }

    pub(crate) async fn interaction(&self, id: Uuid) -> Result<Option<StoredInteraction>, StoreError> {
        self.read(move |connection| {
            let row: Option<StoredRow> = interactions::table
                .find(Id(id))
                .select(StoredRow::as_select())
                .first(connection)
                .optional()?;
            row.map(StoredRow::into_stored).transpose()
        })
        .await
    }
}
