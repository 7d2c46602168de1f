//! Reading calls for people, and sealing what they decide.

use std::collections::HashMap;

use calls::{CallId, ContactRef, Interaction, Seal};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;

use super::Sqlite;
use super::apply::{load, save_call};
use crate::rows::{InteractionRow, SealRow};
use crate::schema::{interactions, seals};
use crate::{CallHistory, StoreError};

/// SQLite takes 32,766 values in a statement; this stays far below.
const IN_ONE_STATEMENT: usize = 1_000;

impl Sqlite {
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("1"))
                .get_result::<i32>(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn call(&self, call_sid: CallId) -> Result<Option<CallHistory>, StoreError> {
        self.read(move |connection| {
            let Some(state) = load(connection, std::iter::once(&call_sid))?.remove(&call_sid) else {
                return Ok(None);
            };
            let sid = call_sid.as_str();
            let sealed: Vec<SealRow> = seals::table
                .filter(seals::call_sid.eq(sid))
                .select(SealRow::as_select())
                .load(connection)?;
            let decisions = sealed
                .into_iter()
                .map(SealRow::into_seal)
                .collect::<Result<Vec<Seal>, _>>()?;
            Ok(Some(CallHistory {
                record: state.record,
                seals: state.seals,
                decisions,
                row: state.row,
                reread: state.reread,
            }))
        })
        .await
    }

    pub(crate) async fn interactions(
        &self,
        call_sids: Vec<CallId>,
    ) -> Result<HashMap<CallId, Interaction>, StoreError> {
        self.read(move |connection| {
            let mut found = HashMap::with_capacity(call_sids.len());
            for call_sids in call_sids.chunks(IN_ONE_STATEMENT) {
                let sids = call_sids.iter().map(CallId::as_str);
                let rows: Vec<InteractionRow> = interactions::table
                    .filter(interactions::call_sid.eq_any(sids))
                    .select(InteractionRow::as_select())
                    .load(connection)?;
                for row in rows {
                    let interaction = row.into_interaction()?;
                    found.insert(interaction.call_sid.clone(), interaction);
                }
            }
            Ok(found)
        })
        .await
    }

    pub(crate) async fn count_interactions(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let count: i64 = interactions::table.count().get_result(connection)?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    pub(crate) async fn seal(&self, call_sid: CallId, seal: Seal) -> Result<(), StoreError> {
        self.write(move |connection| {
            let row = SealRow::new(&call_sid, &seal);
            diesel::insert_or_ignore_into(seals::table)
                .values(&row)
                .execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn link_interaction(
        &self,
        call_sid: CallId,
        contact: Option<ContactRef>,
        by: String,
        now: DateTime<Utc>,
    ) -> Result<Option<Interaction>, StoreError> {
        let now = now.trunc_subsecs(6);
        self.write(move |connection| {
            let Some(state) = load(connection, std::iter::once(&call_sid))?.remove(&call_sid) else {
                return Ok(None);
            };
            let stored = state.row.clone();
            let changes = calls::link_by_hand(state, contact.as_ref(), &by, now);
            save_call(connection, &call_sid, &changes, stored.is_some(), now)?;
            Ok(changes.row.or(stored))
        })
        .await
    }
}
