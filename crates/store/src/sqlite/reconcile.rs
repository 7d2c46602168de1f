//! What the reconciler finds out by asking CallRail.

use calls::CallId;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;

use super::Sqlite;
use crate::StoreError;
use crate::columns::Time;
use crate::rows::call_id;
use crate::schema::{calls as call_table, interactions};

impl Sqlite {
    pub(crate) async fn calls_to_reread(&self, limit: u32) -> Result<Vec<CallId>, StoreError> {
        self.read(move |connection| {
            let calls: Vec<String> = call_table::table
                .filter(call_table::reread)
                .order((call_table::first_seen_at, call_table::call_sid))
                .limit(limit.into())
                .select(call_table::call_sid)
                .load(connection)?;
            calls.iter().map(|call_sid| call_id(call_sid)).collect()
        })
        .await
    }

    pub(crate) async fn mark_reread_done(&self, call_sids: Vec<CallId>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for call_sid in &call_sids {
                diesel::update(call_table::table.find(call_sid.as_str()))
                    .set(call_table::reread.eq(false))
                    .execute(connection)?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn set_vanished(
        &self,
        call_sids: Vec<CallId>,
        vanished: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let mut changed = 0;
            for call_sid in &call_sids {
                changed += diesel::update(interactions::table)
                    .filter(interactions::call_sid.eq(call_sid.as_str()))
                    .filter(interactions::vanished.ne(vanished))
                    .set((
                        interactions::vanished.eq(vanished),
                        interactions::updated_at.eq(Time(now.trunc_subsecs(6))),
                    ))
                    .execute(connection)?;
            }
            Ok(changed)
        })
        .await
    }
}
