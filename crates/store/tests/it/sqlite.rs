//! The suite on SQLite, and what only SQLite promises: a file for its owner alone, that outlives a killed process.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use calls::{CallEvent, MatchRules};
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use store::{DatabaseUrl, Store, StoreError};
use tempfile::TempDir;

use crate::samples::{
    apply, at, call_id, number, post_call, pre_call, projected, routing_complete, row, stored, tagged,
};
use crate::suite::Database;

/// Everything that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Sqlite {
    folder: TempDir,
    url: DatabaseUrl,
    store: Store,
}

impl Sqlite {
    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        file_in(&self.folder)
    }

    /// A connection as another program opens it.
    pub(crate) fn connection(&self) -> SqliteConnection {
        connection(&self.file())
    }
}

impl Database for Sqlite {
    async fn fresh() -> Self {
        let folder = TempDir::new().unwrap();
        let url = DatabaseUrl::Sqlite(file_in(&folder));
        Store::migrate(&url).await.unwrap();
        let store = Store::connect(&url).await.unwrap();
        Self { folder, url, store }
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
        let text = self.text(sql).await?;
        // What a CRM relies on when it sorts or compares the texts.
        assert_eq!(text.len(), "2026-11-20T19:03:20.000000Z".len(), "{text}");
        Some(text.parse().unwrap())
    }
}

run_suite_on!(Sqlite);

/// The database of a test: in a folder that is not there yet.
fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("data/trunkline.db")
}

/// A connection as another program opens it.
pub(crate) fn connection(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    connection
        .batch_execute("pragma busy_timeout = 5000; pragma foreign_keys = on;")
        .unwrap();
    connection
}

/// The one text that a query gives.
pub(crate) fn text(connection: &mut SqliteConnection, sql: &str) -> Option<String> {
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

/// The error with all its sources, as it is logged.
fn told(error: &StoreError) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

#[tokio::test]
async fn an_empty_file_asks_for_the_migration() {
    let folder = TempDir::new().unwrap();
    let url = DatabaseUrl::Sqlite(file_in(&folder));

    let error = Store::connect(&url).await.err().unwrap();

    assert!(matches!(error, StoreError::SchemaTooOld), "{error:?}");
    assert!(error.to_string().contains("`trunkline migrate`"), "{error}");
    Store::migrate(&url).await.unwrap();
    Store::connect(&url).await.unwrap();
}

#[tokio::test]
async fn a_second_migration_has_nothing_to_do() {
    let folder = TempDir::new().unwrap();
    let url = DatabaseUrl::Sqlite(file_in(&folder));
    assert!(!Store::migrate(&url).await.unwrap().is_empty());
    let store = Store::connect(&url).await.unwrap();
    apply(&store, [post_call(1)], at(201)).await;

    assert_eq!(Store::migrate(&url).await.unwrap(), Vec::<String>::new());

    assert!(row(&store, 1).await.is_some());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.txt");
    let words = "These are notes, and no database at all. ".repeat(50);
    std::fs::write(&file, &words).unwrap();
    let url = DatabaseUrl::Sqlite(file.clone());

    for error in [
        Store::connect(&url).await.err().unwrap(),
        Store::migrate(&url).await.err().unwrap(),
    ] {
        assert!(matches!(error, StoreError::CannotOpen { .. }), "{error:?}");
        let told = told(&error);
        assert!(
            told.contains("notes.txt") && told.contains("not a database"),
            "{told}"
        );
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), words);
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_named() {
    let folder = TempDir::new().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().to_owned());
    for error in [
        Store::connect(&url).await.err().unwrap(),
        Store::migrate(&url).await.err().unwrap(),
    ] {
        assert!(matches!(error, StoreError::CannotOpen { .. }), "{error:?}");
        let told = told(&error);
        assert!(told.contains(folder.path().to_str().unwrap()), "{told}");
    }
}

#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    let database = Sqlite::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = database.file();
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let names: Vec<PathBuf> = std::fs::read_dir(file.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        names.len() >= 3,
        "the database and the two files of its log: {names:?}"
    );
    for name in names {
        assert_eq!(mode(&name), 0o600, "{}", name.display());
    }
}

#[tokio::test]
async fn the_log_is_a_write_ahead_log() {
    let database = Sqlite::fresh().await;
    let mode = text(
        &mut database.connection(),
        "select journal_mode from pragma_journal_mode",
    );
    assert_eq!(mode.as_deref(), Some("wal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_for_another_program_that_writes() {
    let database = Sqlite::fresh().await;
    let mut other = database.connection();
    other.batch_execute("begin immediate").unwrap();

    let store = database.store().clone();
    let mut applying = tokio::spawn(async move { apply(&store, [post_call(1)], at(201)).await });
    // The time only decides how long it has waited: while the lock is held it cannot end but by failing.
    let ended = tokio::time::timeout(Duration::from_millis(300), &mut applying).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(row(database.store(), 1).await, None, "readers do not wait");

    other.batch_execute("rollback").unwrap();
    let applied = tokio::time::timeout(DEADLINE, applying).await.unwrap().unwrap();
    assert_eq!(applied.rows_written, 1);
}

/// Names the database to the process that is killed.
const KILLED_DATABASE: &str = "TRUNKLINE_TEST_KILLED_DATABASE";

/// How many calls there are in each batch of the process that is killed.
const CALLS_IN_A_BATCH: usize = 12;

/// How many batches that process writes if nobody kills it.
const BATCHES_IN_A_LIFE: usize = 5;

/// The `n`th batch: every call rings, is routed, ends and is tagged.
fn nth_batch(n: usize) -> Vec<CallEvent> {
    let calls = n * CALLS_IN_A_BATCH..(n + 1) * CALLS_IN_A_BATCH;
    calls
        .flat_map(|call| {
            [
                pre_call(call),
                routing_complete(call),
                post_call(call),
                tagged(call),
            ]
            .map(|one| (call, one))
        })
        .map(|(call, delivery)| delivery.of(&number(call)).event())
        .collect()
}

/// Not a test of its own: what the next one starts and kills.
#[tokio::test]
#[ignore = "started by a_killed_process_leaves_every_call_whole"]
async fn writes_batches_until_it_is_killed() {
    let Ok(url) = std::env::var(KILLED_DATABASE) else {
        return;
    };
    let store = Store::connect(&url.parse().unwrap()).await.unwrap();
    let done = usize::try_from(store.count_interactions().await.unwrap()).unwrap() / CALLS_IN_A_BATCH;
    // Made before the first is reported, so that from then on the process does nothing but write.
    let batches: Vec<_> = (done..done + BATCHES_IN_A_LIFE)
        .map(|n| (n, nth_batch(n)))
        .collect();
    for (n, batch) in batches {
        store.apply(batch, &MatchRules::default(), at(301)).await.unwrap();
        println!("applied {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_every_call_whole() {
    let database = Sqlite::fresh().await;
    let mut reported = 0;
    // Which statement is hit is chance; what must hold, holds for every one of them.
    for milliseconds in [0, 1, 3, 6, 10, 15] {
        reported = kill_within(&database, Duration::from_millis(milliseconds)).await;
        assert_whole(&database, reported).await;
    }
    assert!(reported >= 5);
}

/// Starts the process, kills it that long after its first report, or at the second one if that comes before.
/// Returns the last batch that it reported.
async fn kill_within(database: &Sqlite, delay: Duration) -> usize {
    let mut process = KilledWhenDropped(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::writes_batches_until_it_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env(KILLED_DATABASE, database.url().to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let output = BufReader::new(process.0.stdout.take().unwrap());
    let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // The test harness writes its own words before the first report.
            if let Some((_, batch)) = line.rsplit_once("applied ") {
                sender.send(batch.parse::<usize>().unwrap()).unwrap();
            }
        }
    });
    let first = tokio::time::timeout(DEADLINE, reports.recv()).await.unwrap();
    let mut last = first.unwrap();
    if let Ok(Some(second)) = tokio::time::timeout(delay, reports.recv()).await {
        last = second;
    }
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    // What it had reported by then.
    while let Some(batch) = tokio::time::timeout(DEADLINE, reports.recv()).await.unwrap() {
        last = batch;
    }
    last
}

/// Leaves no process behind, however the test ends.
struct KilledWhenDropped(Child);

impl Drop for KilledWhenDropped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every batch up to `reported` is there, at most one more, and none in part.
async fn assert_whole(database: &Sqlite, reported: usize) {
    let store = database.reopen().await;
    for n in 0..=reported + 2 {
        let events = nth_batch(n);
        let rows = stored(&store, &events).await;
        if n <= reported || (n == reported + 1 && !rows.is_empty()) {
            assert_eq!(rows, projected(&events), "batch {n} of {reported}");
            for call in n * CALLS_IN_A_BATCH..(n + 1) * CALLS_IN_A_BATCH {
                let history = store.call(&call_id(call)).await.unwrap().unwrap();
                assert_eq!(history.record.in_order().len(), 4, "call {call}");
            }
        } else {
            assert_eq!(rows, BTreeMap::new(), "batch {n} of {reported}");
        }
    }
    let calls = database.count("select count(*) from calls").await;
    let rows = database.count("select count(*) from interactions").await;
    assert_eq!((calls, calls % CALLS_IN_A_BATCH), (rows, 0));
    let ends = "select count(*) from alerts where kind = 'call-completed'";
    assert_eq!(database.count(ends).await, rows);
    let intact = text(
        &mut database.connection(),
        "select integrity_check from pragma_integrity_check",
    );
    assert_eq!(intact.as_deref(), Some("ok"));
}
