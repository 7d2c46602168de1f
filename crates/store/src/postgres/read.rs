//! Reading calls for people, and sealing what they decide.

use std::collections::HashMap;

use calls::{CallId, ContactRef, Interaction, Seal};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::Postgres;
use super::apply::{Locking, SELECT_INTERACTIONS, load, save};
use super::statement::Statement;
use crate::batch::CallWork;
use crate::columns::SqlTime;
use crate::rows::{InteractionRow, SealRow};
use crate::{CallHistory, StoreError};

impl Postgres {
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            Statement::new("select 1").execute(connection)?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn call(&self, call_sid: CallId) -> Result<Option<CallHistory>, StoreError> {
        self.read(move |connection| {
            let Some(state) = load(connection, std::iter::once(&call_sid), Locking::None)?.remove(&call_sid)
            else {
                return Ok(None);
            };
            let sealed: Vec<SealRow> = Statement::new(
                "select call_sid, sealed_group, reason, sealed_at, sealed_by
                 from trunkline.seals where call_sid = {}
                 order by sealed_at, sealed_group",
            )
            .bind::<Text, _>(call_sid.as_str())
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
            let rows: Vec<InteractionRow> = Statement::new(SELECT_INTERACTIONS)
                .texts(call_sids.iter().map(CallId::as_str))
                .load(connection)?;
            let mut found = HashMap::with_capacity(rows.len());
            for row in rows {
                let interaction = row.into_interaction()?;
                found.insert(interaction.call_sid.clone(), interaction);
            }
            Ok(found)
        })
        .await
    }

    pub(crate) async fn count_interactions(&self) -> Result<u64, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            count: i64,
        }
        self.read(|connection| {
            let found: Count = Statement::new("select count(*) as count from trunkline.interactions")
                .get_result(connection)?;
            Ok(found.count.unsigned_abs())
        })
        .await
    }

    pub(crate) async fn seal(&self, call_sid: CallId, seal: Seal) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            let row = SealRow::new(&call_sid, &seal);
            Statement::new(
                "insert into trunkline.seals (call_sid, sealed_group, reason, sealed_at, sealed_by)
                 values ({}, {}, {}, {}, {})
                 on conflict do nothing",
            )
            .bind::<Text, _>(row.call_sid)
            .bind::<Text, _>(row.sealed_group)
            .bind::<Text, _>(row.reason)
            .bind::<SqlTime, _>(row.sealed_at)
            .bind::<Text, _>(row.sealed_by)
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
        Self::write(&self.rings, move |connection| {
            let mut states = load(connection, std::iter::once(&call_sid), Locking::Write)?;
            let Some(state) = states.remove(&call_sid) else {
                return Ok(None);
            };
            let stored = state.row.clone();
            let work = CallWork {
                call_sid: call_sid.clone(),
                had_row: stored.is_some(),
                snapshots: Vec::new(),
                changes: calls::link_by_hand(state, contact.as_ref(), &by, now),
            };
            save(connection, std::slice::from_ref(&work), now)?;
            Ok(work.changes.row.or(stored))
        })
        .await
    }
}
