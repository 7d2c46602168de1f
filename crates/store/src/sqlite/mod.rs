//! The database as one SQLite file: WAL, one writer at a time, readers beside it.

mod activity;
mod alerts;
mod apply;
mod contacts;
mod dead_letters;
mod erasure;
mod imports;
mod people;
mod read;
mod reconcile;
mod recordings;
mod requests;
mod retention;
mod search;
mod webhook_health;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::sync::Mutex;

use crate::StoreError;
use crate::blocking::blocking;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// How many may read at a time.
const READERS: u32 = 4;

/// SQLite takes 32,766 values in a statement; this stays far below.
const IN_ONE_STATEMENT: usize = 1_000;

/// One SQLite file.
#[derive(Clone)]
pub(crate) struct Sqlite {
    /// SQLite takes one writer at a time. Our own lock is fair, SQLite's is not: a ring waits for the batches
    /// before it and for nothing else.
    writer: Arc<Mutex<SqliteConnection>>,
    readers: Pool<ConnectionManager<SqliteConnection>>,
}

impl Sqlite {
    pub(crate) async fn open(path: PathBuf) -> Result<Self, StoreError> {
        blocking(move || {
            let mut writer = establish(&path)?;
            let pending = writer
                .has_pending_migration(MIGRATIONS)
                .map_err(StoreError::Migration)?;
            if pending {
                return Err(StoreError::SchemaTooOld);
            }
            let manager = ConnectionManager::new(path.to_string_lossy());
            let readers = Pool::builder()
                .max_size(READERS)
                .min_idle(Some(1))
                .connection_customizer(Box::new(Prepared))
                .build(manager)
                .map_err(|source| StoreError::CannotOpen {
                    path,
                    source: source.into(),
                })?;
            Ok(Self {
                writer: Arc::new(Mutex::new(writer)),
                readers,
            })
        })
        .await
    }

    pub(crate) async fn migrate(path: PathBuf) -> Result<Vec<String>, StoreError> {
        blocking(move || {
            let mut connection = establish(&path)?;
            let run = connection
                .run_pending_migrations(MIGRATIONS)
                .map_err(StoreError::Migration)?;
            Ok(run.iter().map(ToString::to_string).collect())
        })
        .await
    }

    pub(crate) async fn uninstall(path: PathBuf) -> Result<(), StoreError> {
        blocking(move || {
            let mut connection = establish(&path)?;
            connection
                .revert_all_migrations(MIGRATIONS)
                .map_err(StoreError::Migration)?;
            Ok(connection.batch_execute("drop table if exists __diesel_schema_migrations")?)
        })
        .await
    }

    /// Runs `work` in one transaction that excludes every other writer from its start.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        blocking(move || writer.immediate_transaction(work)).await
    }

    /// Runs `work` on a connection for reading.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        blocking(move || {
            let mut reader = readers
                .get()
                .map_err(|error| StoreError::Unavailable(error.into()))?;
            SqliteConnection::transaction(&mut reader, work)
        })
        .await
    }
}

fn establish(path: &Path) -> Result<SqliteConnection, StoreError> {
    let cannot_open = |source| StoreError::CannotOpen {
        path: path.to_owned(),
        source,
    };
    create_private(path).map_err(|error| cannot_open(error.into()))?;
    let mut connection =
        SqliteConnection::establish(&path.to_string_lossy()).map_err(|error| cannot_open(error.into()))?;
    prepare(&mut connection).map_err(|error| cannot_open(error.into()))?;
    Ok(connection)
}

/// Creates the file and its folder for their owner only: what is in there is personal data. A file that is there
/// is not touched: closing it here would take away the locks that SQLite holds on it in this process.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    match std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// `synchronous = full`: committed means on the disk, whatever happens to the machine.
fn prepare(connection: &mut SqliteConnection) -> QueryResult<()> {
    connection.batch_execute(
        "pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;",
    )
}

#[derive(Debug)]
struct Prepared;

impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Prepared {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
        prepare(connection).map_err(diesel::r2d2::Error::QueryError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the connection says of one of its settings.
    fn setting(connection: &mut SqliteConnection, name: &str) -> Result<i32, StoreError> {
        #[derive(QueryableByName)]
        struct Found {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            value: i32,
        }
        let found: Found =
            diesel::sql_query(format!("select {name} as value from pragma_{name}")).get_result(connection)?;
        Ok(found.value)
    }

    #[tokio::test]
    async fn every_connection_syncs_its_commits_to_the_disk_and_checks_references() {
        const FULL: i32 = 2;
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("trunkline.db");
        Sqlite::migrate(file.clone()).await.unwrap();
        let sqlite = Sqlite::open(file).await.unwrap();

        for (name, value) in [("synchronous", FULL), ("foreign_keys", 1)] {
            let writer = sqlite.write(|connection| setting(connection, name)).await;
            let reader = sqlite.read(|connection| setting(connection, name)).await;
            assert_eq!((writer.unwrap(), reader.unwrap()), (value, value), "{name}");
        }
    }
}
