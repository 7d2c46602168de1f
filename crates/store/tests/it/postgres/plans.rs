//! Statements are planned once a connection: what that must not cost.

use std::time::Instant;

use super::{DEADLINE, Postgres};
use crate::samples::{apply, at, post_call, tagged};
use crate::suite::Database;

const ROWS: i64 = 5_000;

/// What PostgreSQL has counted for the table in which there is most of each call.
async fn counted(database: &Postgres, counter: &str) -> i64 {
    let sql = format!(
        "select {counter}::text from pg_stat_user_tables
         where schemaname = 'trunkline' and relname = 'call_events'"
    );
    database.text(&sql).await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_plan_of_an_empty_table_does_not_read_all_of_a_full_one() {
    let database = Postgres::fresh().await;
    apply(database.store(), [post_call(1)], at(301)).await;
    apply(database.store(), [tagged(1)], at(302)).await;
    database.run(&format!(
        "insert into calls (call_sid, first_seen_at) select 'CALx' || n, now() from generate_series(1, {ROWS}) n;
         insert into call_events (call_sid, digest, kind, origin, first_observed_at, last_observed_at, event_id, changes,
                                  snapshot, raw)
         select 'CALx' || n, n::text, 'post-call', 'webhook', now(), now(), gen_random_uuid(), '[]', '{{}}', '{{}}'
         from generate_series(1, {ROWS}) n"
    ));
    let (before, began) = (counted(&database, "idx_scan").await, Instant::now());
    // A session tells what it has done about once a second.
    while counted(&database, "idx_scan").await < before + 50 {
        assert!(began.elapsed() < DEADLINE, "nothing is looked up");
        apply(database.store(), [tagged(1)], at(303)).await;
    }
    let read = counted(&database, "seq_tup_read").await;
    assert!(read < ROWS, "{read} rows were read");
}
