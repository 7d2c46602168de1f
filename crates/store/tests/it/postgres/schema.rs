//! Both databases have the same tables and columns.

use std::collections::BTreeMap;

use super::{Postgres, lines};
use crate::sqlite::{Sqlite, text};
use crate::suite::Database;

/// Table or view, then its columns in order: name, class of type, whether it may be null.
type Schema = BTreeMap<String, Vec<String>>;

fn schema(columns: impl IntoIterator<Item = String>) -> Schema {
    let mut schema = Schema::new();
    for column in columns {
        let (table, column) = column.split_once(' ').unwrap();
        schema
            .entry(table.to_owned())
            .or_default()
            .push(column.to_owned());
    }
    schema
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_columns() {
    let (postgres, sqlite) = (Postgres::fresh().await, Sqlite::fresh().await);
    // SQLite keeps as text what PostgreSQL has types for. Views have no types of their own.
    let in_postgres = lines(
        &mut postgres.connection(),
        "select concat_ws(' ', c.table_name, c.column_name,
                case when t.table_type = 'VIEW' then null
                     when data_type in ('text', 'uuid', 'timestamp with time zone', 'json', 'jsonb') then 'text'
                     else data_type end,
                case when t.table_type = 'VIEW' or is_nullable = 'YES' then null else 'not null' end) as one
         from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
         where table_schema = 'trunkline' and table_name not like '\\_\\_%'
         order by c.table_name, ordinal_position",
    );
    let in_sqlite = text(
        &mut sqlite.connection(),
        "select group_concat(one, char(10)) from (
             select t.name || ' ' || c.name
                    || case when t.type = 'view' then ''
                       else ' ' || case lower(c.type) when 'integer' then 'bigint' when 'blob' then 'bytea'
                                   else lower(c.type) end
                            || case when c.\"notnull\" then ' not null' else '' end
                       end as one
             from sqlite_schema t join pragma_table_info(t.name) c
             where t.type in ('table', 'view') and t.name not like '\\_\\_%' escape '\\'
             order by t.name, c.cid)",
    );

    let in_postgres = schema(in_postgres);
    assert!(in_postgres.len() > 9 && in_postgres["interactions"].len() > 40);
    assert_eq!(in_postgres, schema(in_sqlite.unwrap().lines().map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_identifiers_and_lists_have_types_of_their_own() {
    let database = Postgres::fresh().await;
    let types = lines(
        &mut database.connection(),
        "select concat_ws('.', table_name, column_name) || ' ' || data_type as one
         from information_schema.columns where table_schema = 'trunkline'",
    );
    for expected in [
        "interactions.id uuid",
        "interactions.scheduled_at timestamp with time zone",
        "interactions.tags jsonb",
        "interactions.match_candidates jsonb",
        "interactions.spam boolean",
        "call_events.raw json",
        "dead_letters.body bytea",
    ] {
        assert!(types.contains(&expected.to_owned()), "{expected}");
    }
}
