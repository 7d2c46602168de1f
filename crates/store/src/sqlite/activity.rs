//! Whether the installation is alive.

use diesel::prelude::*;

use super::Sqlite;
use crate::activity::ALERTS_ASKED;
use crate::columns::Time;
use crate::schema::{alerts, call_events, dead_letters, imports};
use crate::{Activity, DeadLetterState, ImportState, StoreError};

impl Sqlite {
    pub(crate) async fn activity(&self) -> Result<Activity, StoreError> {
        self.read(|connection| {
            // An import raises no other alerts of calls that are long over.
            let newest: Vec<String> = alerts::table
                .filter(alerts::kind.ne("new-lead"))
                .order(alerts::created_at.desc())
                .limit(ALERTS_ASKED)
                .select(alerts::call_sid)
                .load(connection)?;
            let last_webhook_at: Option<Time> = call_events::table
                .filter(call_events::call_sid.eq_any(newest))
                .filter(call_events::origin.eq("webhook"))
                .order(call_events::last_observed_at.desc())
                .select(call_events::last_observed_at)
                .first(connection)
                .optional()?;
            let waiting: i64 = dead_letters::table
                .filter(dead_letters::state.eq(DeadLetterState::Waiting.as_str()))
                .count()
                .get_result(connection)?;
            let open = [ImportState::Waiting, ImportState::Running].map(ImportState::as_str);
            let imports_open: i64 = imports::table
                .filter(imports::state.eq_any(open))
                .count()
                .get_result(connection)?;
            Ok(Activity {
                last_webhook_at: last_webhook_at.map(|time| time.0),
                dead_letters_waiting: waiting.unsigned_abs(),
                imports_open: imports_open.unsigned_abs(),
            })
        })
        .await
    }
}
