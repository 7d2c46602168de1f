//! What the reconciler finds out by asking CallRail.

use calls::CallId;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::Postgres;
use super::statement::Statement;
use crate::StoreError;
use crate::columns::{SqlTime, Time};
use crate::rows::call_id;

impl Postgres {
    pub(crate) async fn calls_to_reread(&self, limit: u32) -> Result<Vec<CallId>, StoreError> {
        #[derive(QueryableByName)]
        struct Call {
            #[diesel(sql_type = Text)]
            call_sid: String,
        }
        self.read(move |connection| {
            let calls: Vec<Call> = Statement::new(
                "select call_sid from trunkline.calls where reread
                 order by first_seen_at, call_sid
                 limit {}",
            )
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            calls.iter().map(|call| call_id(&call.call_sid)).collect()
        })
        .await
    }

    pub(crate) async fn mark_reread_done(&self, call_sids: Vec<CallId>) -> Result<(), StoreError> {
        Self::write(&self.rings, move |connection| {
            Statement::new(
                "update trunkline.calls set reread = false
                 where call_sid in (
                     select call_sid from trunkline.calls
                     where call_sid = any({}) and reread
                     order by call_sid for no key update
                 )",
            )
            .texts(call_sids.iter().map(CallId::as_str))
            .execute(connection)?;
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
        Self::write(&self.rings, move |connection| {
            // In the order in which everybody locks these rows.
            let changed = Statement::new(
                "update trunkline.interactions set vanished = {}, updated_at = {}
                 where call_sid in (
                     select call_sid from trunkline.interactions
                     where call_sid = any({}) and vanished <> {}
                     order by call_sid for no key update
                 )",
            )
            .bind::<Bool, _>(vanished)
            .bind::<SqlTime, _>(Time(now.trunc_subsecs(6)))
            .texts(call_sids.iter().map(CallId::as_str))
            .bind::<Bool, _>(vanished)
            .execute(connection)?;
            Ok(changed)
        })
        .await
    }
}
