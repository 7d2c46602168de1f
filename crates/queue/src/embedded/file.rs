//! The queue file: made where it is missing, recognised, opened, locked.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;
use uuid::Uuid;

use super::database::number;
use crate::error::{Cause, QueueError};
use crate::message::QueueName;

/// Marks the file as a Trunkline queue: the letters T, r, k, Q.
const APPLICATION_ID: i32 = 0x5472_6b51;
/// The newest format this code reads, kept in `user_version`.
const FORMAT: i32 = 1;
/// How long a write waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

// `autoincrement`: an id is never used again, so that a cursor never skips a new row. The times of `delayed` are
// milliseconds since 1970.
const SCHEMA: &str = "
    create table messages (
        id integer primary key autoincrement,
        queue text not null,
        message_id text not null,
        body blob not null,
        failures text,
        trace text
    );
    create index messages_by_queue on messages (queue);
    create table delayed (
        id integer primary key,
        due_at integer not null,
        queue text not null,
        message_id text not null,
        body blob not null,
        failures text,
        trace text
    );
    create index delayed_by_due_at on delayed (due_at);
    create index delayed_by_queue on delayed (queue);
";

/// Columns that a file may be without that an earlier version made. That version goes on with them there: it leaves them
/// empty, and so this is no newer format.
const ADDED: [(&str, &str); 2] = [("messages", "trace"), ("delayed", "trace")];

/// Opens the file (an absolute path), or makes it with the folders it needs. What it makes is for this user only, for
/// bodies are personal data.
pub(super) fn open(path: &Path) -> Result<SqliteConnection, QueueError> {
    let cannot_open = |source: Cause| QueueError::CannotOpen {
        path: path.to_owned(),
        source,
    };
    create_file(path).map_err(|error| cannot_open(Arc::new(error)))?;
    let name = path
        .to_str()
        .ok_or_else(|| cannot_open(Arc::new(io::Error::other("the path is not UTF-8"))))?;
    let mut connection = SqliteConnection::establish(name).map_err(|error| cannot_open(Arc::new(error)))?;
    match prepare(&mut connection).map_err(|error| cannot_open(Arc::new(error)))? {
        FileFormat::Known => Ok(connection),
        FileFormat::Newer(found) => Err(QueueError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        FileFormat::Foreign => Err(cannot_open(Arc::new(io::Error::other(
            "the file belongs to another program",
        )))),
    }
}

/// Locks a queue of this file against other processes, for as long as the returned file is open.
pub(super) fn lock(path: &Path, queue: QueueName) -> Result<File, QueueError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(format!(".{queue}.lock"));
    own(Path::new(&lock_path))
        .map_err(QueueError::unavailable)?
        .ok_or_else(|| QueueError::InUse {
            queue,
            path: path.to_owned(),
        })
}

/// Takes a lock that lasts as long as the returned file is open; `None` when another has it. What is missing of its
/// folder is made.
pub(crate) fn own(lock_path: &Path) -> io::Result<Option<File>> {
    let lock_path = std::path::absolute(lock_path)?;
    if let Some(folder) = lock_path.parent() {
        create_folder(folder)?;
    }
    let file = private_file().create(true).open(lock_path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

enum FileFormat {
    Known,
    Newer(i32),
    Foreign,
}

/// Sets up the connection, and the tables if the file is new. A file that is not ours stays as it is.
fn prepare(connection: &mut SqliteConnection) -> QueryResult<FileFormat> {
    connection.batch_execute(&format!("pragma busy_timeout = {}", BUSY_TIMEOUT.as_millis()))?;
    connection.batch_execute("begin")?;
    let format = file_format(connection)?;
    connection.batch_execute("rollback")?;
    if let Some(other @ (FileFormat::Newer(_) | FileFormat::Foreign)) = format {
        return Ok(other);
    }
    use_write_ahead_log(connection)?;
    connection.batch_execute("pragma synchronous = full; begin immediate")?;
    // Looked at again: another process may have been faster.
    if let Some(format) = file_format(connection)? {
        if let FileFormat::Known = format {
            add_missing_columns(connection)?;
        }
        connection.batch_execute("commit")?;
        return Ok(format);
    }
    connection.batch_execute(SCHEMA)?;
    let mark = format!("pragma application_id = {APPLICATION_ID}; pragma user_version = {FORMAT}; commit");
    connection.batch_execute(&mark)?;
    Ok(FileFormat::Known)
}

/// None for an empty file. In a transaction, for what it reads in several steps belongs together.
fn file_format(connection: &mut SqliteConnection) -> QueryResult<Option<FileFormat>> {
    let application_id = number(
        connection,
        "select application_id as value from pragma_application_id",
    )?;
    let version = number(
        connection,
        "select user_version as value from pragma_user_version",
    )?;
    let version = i32::try_from(version).unwrap_or(i32::MAX);
    let tables = number(connection, "select count(*) as value from sqlite_schema")?;
    Ok(match (application_id, version, tables) {
        (0, 0, 0) => None,
        (id, _, _) if id != i64::from(APPLICATION_ID) => Some(FileFormat::Foreign),
        (_, version, _) if version > FORMAT => Some(FileFormat::Newer(version)),
        _ => Some(FileFormat::Known),
    })
}

fn add_missing_columns(connection: &mut SqliteConnection) -> QueryResult<()> {
    for (table, column) in ADDED {
        let count =
            format!("select count(*) as value from pragma_table_info('{table}') where name = '{column}'");
        if number(connection, &count)? == 0 {
            connection.batch_execute(&format!("alter table {table} add column {column} text"))?;
        }
    }
    Ok(())
}

fn use_write_ahead_log(connection: &mut SqliteConnection) -> QueryResult<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match diesel::sql_query("pragma journal_mode = wal").get_result::<JournalMode>(connection) {
            Ok(mode) if mode.journal_mode == "wal" => return Ok(()),
            Ok(_) => {
                let error = "the file system cannot share memory, which write-ahead logging needs";
                return Err(DeserializationError(error.into()));
            }
            // SQLite's own timeout does not cover this change, and two processes may both make it.
            Err(error) if error.to_string().contains("locked") && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Makes the file and its folders where they are missing, and makes them durable.
fn create_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    if path.try_exists()? {
        return Ok(());
    }
    // Made under another name and closed before SQLite can open it: closing a file drops the locks that SQLite holds on
    // it in this process.
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", Uuid::now_v7()));
    private_file().create_new(true).open(&new)?;
    let linked = fs::hard_link(&new, path);
    fs::remove_file(&new)?;
    match linked {
        // Another was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without hard links.
        Err(_) => private_file().create_new(true).open(path).map(drop),
        Ok(()) => Ok(()),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    create_folder(parent)?;
    match private_folder().create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        // The folder's name must outlast a power cut just as the messages in it.
        Ok(()) => File::open(parent)?.sync_all(),
    }
}

fn private_folder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "modes exist on Unix only"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Opens for writing; a file it makes is for this user only.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
