//! Whether the installation is alive.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::Postgres;
use super::statement::Statement;
use crate::activity::ALERTS_ASKED;
use crate::columns::{SqlTime, Time};
use crate::{Activity, StoreError};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<SqlTime>)]
    last_webhook_at: Option<Time>,
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    open: i64,
}

impl Postgres {
    pub(crate) async fn activity(&self) -> Result<Activity, StoreError> {
        self.read(|connection| {
            // An import raises no other alerts of calls that are long over.
            let row: Row = Statement::new(
                "select
                     (select max(last_observed_at) from trunkline.call_events
                      where origin = 'webhook' and call_sid in
                          (select call_sid from trunkline.alerts where kind <> 'new-lead'
                           order by created_at desc limit {})) as last_webhook_at,
                     (select count(*) from trunkline.dead_letters where state = 'waiting') as waiting,
                     (select count(*) from trunkline.imports where state in ('waiting', 'running')) as open",
            )
            .bind::<BigInt, _>(ALERTS_ASKED)
            .get_result(connection)?;
            Ok(Activity {
                last_webhook_at: row.last_webhook_at.map(|time| time.0),
                dead_letters_waiting: row.waiting.unsigned_abs(),
                imports_open: row.open.unsigned_abs(),
            })
        })
        .await
    }
}
