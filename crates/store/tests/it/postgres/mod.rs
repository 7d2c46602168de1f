//! The suite on PostgreSQL, and what only PostgreSQL promises. `TEST_DATABASE_URL` is the address of a superuser.

mod crm_contacts;
mod documentation;
mod failures;
mod foreign;
mod lookups;
mod meeting;
mod million;
mod plans;
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
use test_servers::Database as EmptyDatabase;
use tokio::task::JoinHandle;

use crate::samples::{Delivery, apply};
use crate::suite::Database;

/// Everything that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    empty: EmptyDatabase,
    url: DatabaseUrl,
    store: Store,
}

impl Postgres {
    /// A connection as the CRM opens it.
    pub(crate) fn connection(&self) -> PgConnection {
        let mut connection = self.empty.connection();
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

    /// Applies a delivery, and waits until its batch has read what it needs and waits to write. Gives the connection that
    /// keeps it from that until it commits, and the batch.
    pub(crate) async fn keep_from_writing(
        &self,
        delivery: Delivery,
        now: DateTime<Utc>,
    ) -> (PgConnection, JoinHandle<store::Applied>) {
        let mut crm = self.connection();
        crm.batch_execute("begin; lock table call_events in share mode")
            .unwrap();
        let store = self.store.clone();
        let batch = tokio::spawn(async move { apply(&store, [delivery], now).await });
        self.wait_until_locked_out(1).await;
        (crm, batch)
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
        let empty = EmptyDatabase::empty();
        let url: DatabaseUrl = empty.url().parse().unwrap();
        Store::migrate(&url).await.unwrap();
        let store = Store::connect(&url).await.unwrap();
        Self { empty, url, store }
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

/// The address with a setting more.
fn with_setting(address: &str, setting: &str) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{setting}")
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
