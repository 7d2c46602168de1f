//! The suite on PostgreSQL, and what only PostgreSQL promises. `TEST_DATABASE_URL` is the address of a superuser.

mod crm_contacts;
mod documentation;
mod failures;
mod foreign;
mod meeting;
mod million;
mod proxy;
mod schema;
mod throughput;
mod tls;

use std::error::Error;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz};
use store::{DatabaseUrl, Store, StoreError};
use uuid::Uuid;

use crate::suite::Database;

/// Everything that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    name: EmptyDatabase,
    url: DatabaseUrl,
    store: Store,
}

impl Postgres {
    /// A connection as the CRM opens it.
    pub(crate) fn connection(&self) -> PgConnection {
        let mut connection = self.name.connection();
        connection
            .batch_execute("set search_path = trunkline, public")
            .unwrap();
        connection
    }

    /// Runs statements as the CRM would.
    pub(crate) fn run(&self, sql: &str) {
        self.connection().batch_execute(sql).unwrap();
    }

    /// Waits until the one text that a query gives is this one.
    pub(crate) async fn wait_until(&self, sql: &str, expected: &str) {
        let began = Instant::now();
        while self.text(sql).await.as_deref() != Some(expected) {
            assert!(began.elapsed() < DEADLINE, "{sql} is not {expected}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until that many of our transactions wait for a lock.
    pub(crate) async fn wait_until_locked_out(&self, writers: usize) {
        let waiting = "select count(*)::text from pg_stat_activity
                       where datname = current_database() and application_name = 'trunkline'
                         and wait_event_type = 'Lock'";
        self.wait_until(waiting, &writers.to_string()).await;
    }
}

impl Database for Postgres {
    async fn fresh() -> Self {
        let name = EmptyDatabase::new();
        let url: DatabaseUrl = name.url();
        Store::migrate(&url).await.unwrap();
        let store = Store::connect(&url).await.unwrap();
        Self { name, url, store }
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    async fn execute(&self, sql: &str) -> usize {
        diesel::sql_query(sql).execute(&mut self.connection()).unwrap()
    }

    async fn text(&self, sql: &str) -> Option<String> {
        text(&mut self.connection(), sql)
    }

    async fn time(&self, sql: &str) -> Option<DateTime<Utc>> {
        #[derive(QueryableByName)]
        struct Found {
            #[diesel(sql_type = Nullable<Timestamptz>)]
            found: Option<DateTime<Utc>>,
        }
        let found: Found = diesel::sql_query(format!("select ({sql}) as found"))
            .get_result(&mut self.connection())
            .unwrap();
        found.found
    }
}

run_suite_on!(Postgres);

/// The address of a superuser in the database of that name, on the server for tests.
fn address(database: &str) -> String {
    let admin = std::env::var("TEST_DATABASE_URL")
        .expect("run ./test, or set TEST_DATABASE_URL to the address of a PostgreSQL superuser");
    let (place, settings) = admin.split_once('?').unwrap_or((&admin, ""));
    let (server, _) = place.rsplit_once('/').unwrap();
    match settings {
        "" => format!("{server}/{database}"),
        settings => format!("{server}/{database}?{settings}"),
    }
}

/// The address with a setting more.
fn with_setting(address: &str, setting: &str) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{setting}")
}

fn admin() -> PgConnection {
    PgConnection::establish(&address("postgres")).unwrap()
}

/// A database of that name, empty at first. It goes when the value is dropped.
struct EmptyDatabase(String);

impl EmptyDatabase {
    fn new() -> Self {
        let name = format!("trunkline_test_{}", Uuid::now_v7().simple());
        let sql = format!("create database {name} template template0 encoding 'UTF8'");
        admin().batch_execute(&sql).unwrap();
        Self(name)
    }

    fn url(&self) -> DatabaseUrl {
        address(&self.0).parse().unwrap()
    }

    /// A connection as the CRM opens it.
    fn connection(&self) -> PgConnection {
        PgConnection::establish(&address(&self.0)).unwrap()
    }
}

impl Drop for EmptyDatabase {
    fn drop(&mut self) {
        // Whoever is still connected is thrown out.
        if let Ok(mut admin) = PgConnection::establish(&address("postgres")) {
            let _ = admin.batch_execute(&format!("drop database if exists {} with (force)", self.0));
        }
    }
}

/// The one text that a query gives.
fn text(connection: &mut PgConnection, sql: &str) -> Option<String> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Nullable<Text>)]
        found: Option<String>,
    }
    let found: Found = diesel::sql_query(format!("select ({sql}) as found"))
        .get_result(connection)
        .unwrap();
    found.found
}

/// All that a query with one column named `one` gives.
fn lines(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        one: String,
    }
    let lines: Vec<Line> = diesel::sql_query(sql).load(connection).unwrap();
    lines.into_iter().map(|line| line.one).collect()
}

/// The error with all its sources, as it is logged, and as `{:?}` shows it.
fn told(error: &StoreError) -> String {
    let mut told = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}
