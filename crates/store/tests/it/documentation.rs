//! `docs/database.md` names what is there, and its SQL does what the page says.

use std::path::Path;

use calls::CallEvent;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;

use crate::samples::{apply, at, missed_call, post_call, tagged};
use crate::sqlite::{Sqlite, connection, text};
use crate::suite::Database;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/database.md"));

/// The heading from which on the SQL is for a file of the CRM's.
const OWN_FILE: &str = "### The CRM keeps a file of its own";

/// Where the page says that Trunkline's file is.
const EXAMPLE_FILE: &str = "/var/lib/trunkline/trunkline.db";

/// The blocks of SQL in a part of the page, in their order.
fn sql(part: &str) -> impl Iterator<Item = &str> {
    let blocks = part.split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap())
}

fn parts() -> (&'static str, &'static str) {
    PAGE.split_once(OWN_FILE).unwrap()
}

/// All that a query gives, one text a line.
fn lines(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let joined = text(
        connection,
        &format!("select group_concat(one, char(10)) from ({sql})"),
    );
    joined.unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn every_column_of_interactions_is_documented() {
    let database = Sqlite::fresh().await;
    let mut connection = database.connection();
    let columns = lines(
        &mut connection,
        "select name as one from pragma_table_info('interactions')",
    );
    assert!(columns.len() > 40);
    for column in columns {
        assert!(PAGE.contains(&format!("\n| `{column}` | ")), "{column}");
    }
}

#[tokio::test]
async fn every_table_and_view_is_documented() {
    let database = Sqlite::fresh().await;
    let mut connection = database.connection();
    let names = lines(
        &mut connection,
        "select name as one from sqlite_schema where type in ('table', 'view') and name not like 'sqlite_%'",
    );
    assert!(names.contains(&"crm_callbacks".to_owned()));
    for name in names.iter().filter(|name| *name != "interactions") {
        assert!(PAGE.contains(&format!("\n| `{name}` | ")), "{name}");
    }
}

#[tokio::test]
async fn the_view_of_calls_has_every_column_but_the_two_that_hide_calls() {
    let database = Sqlite::fresh().await;
    let mut connection = database.connection();
    let table =
        "select name as one from pragma_table_info('interactions') where name not in ('spam', 'vanished')";
    let mut table = lines(&mut connection, table);
    table.sort_unstable();
    for view in ["crm_calls", "crm_callbacks"] {
        let columns = format!("select name as one from pragma_table_info('{view}')");
        let mut columns = lines(&mut connection, &columns);
        columns.sort_unstable();
        assert_eq!(columns, table, "{view}");
    }
}

#[tokio::test]
async fn the_sql_for_one_file_carries_every_call_over() {
    let database = Sqlite::fresh().await;
    let mut connection = database.connection();
    for block in sql(parts().0) {
        connection.batch_execute(block).unwrap();
    }
    let activities = "select id || words as one from activities order by happened_at";
    let calls = "select id || notes as one from crm_calls order by scheduled_at";

    apply(database.store(), [post_call(1), missed_call(2)], at(201)).await;
    assert_eq!(lines(&mut connection, activities).len(), 2);
    apply(
        database.store(),
        [tagged(1).with("note", json!("Later"))],
        at(301),
    )
    .await;
    assert_eq!(lines(&mut connection, activities), lines(&mut connection, calls));

    apply(
        database.store(),
        [tagged(1).with("spam", json!(true)).received(400)],
        at(401),
    )
    .await;
    assert_eq!(lines(&mut connection, activities).len(), 1);
    assert_eq!(lines(&mut connection, activities), lines(&mut connection, calls));
}

#[tokio::test]
async fn the_sql_for_two_files_shows_and_copies_every_call() {
    let database = Sqlite::fresh().await;
    apply(database.store(), [post_call(1), missed_call(2)], at(201)).await;
    let folder = tempfile::TempDir::new().unwrap();
    let mut crm = crm_with_one_meeting(&folder.path().join("crm.db"));
    let trunkline = database.file();
    let blocks: Vec<String> = sql(parts().1)
        .skip(1)
        .map(|block| block.replace(EXAMPLE_FILE, trunkline.to_str().unwrap()))
        .collect();
    let [attach, copy] = &blocks[..] else {
        panic!("{} blocks", blocks.len())
    };

    crm.batch_execute(attach).unwrap();
    let seen = "select type as one from all_interactions order by type";
    assert_eq!(lines(&mut crm, seen), ["call", "call", "meeting"]);

    crm.batch_execute(copy).unwrap();
    let copied = "select type as one from main.interactions order by type";
    assert_eq!(lines(&mut crm, copied), ["call", "call", "meeting"]);
    crm.batch_execute("update main.interactions set notes = 'mine'")
        .unwrap();
    let news: Vec<CallEvent> = vec![tagged(1).with("spam", json!(true)).event(), tagged(2).event()];
    let rules = calls::MatchRules::default();
    database.store().apply(news, &rules, at(301)).await.unwrap();
    crm.batch_execute(copy).unwrap();
    assert_eq!(lines(&mut crm, copied), ["call", "meeting"]);
    let notes =
        "select notes || coalesce(trunkline_updated_at, '') as one from main.interactions order by type";
    assert_eq!(
        lines(&mut crm, notes),
        ["mine2026-11-20T19:08:21.000000Z", "mine"]
    );
}

/// A CRM's file with the table that the page gives it.
fn crm_with_one_meeting(file: &Path) -> SqliteConnection {
    let mut crm = connection(file);
    let table = sql(parts().1).next().unwrap();
    crm.batch_execute(table).unwrap();
    crm.batch_execute("insert into interactions (id, type, scheduled_at) values ('1', 'meeting', '2026')")
        .unwrap();
    crm
}
