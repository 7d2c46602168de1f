//! Connections, a few for each kind of work, and what is set on each of them.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, NopErrorHandler, PooledConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{PostgresUrl, StoreError};

/// How long a statement waits for a row that somebody else has locked.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one waits for a connection when the server does not answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// What libpq is told unless the address says otherwise: how long to wait for a host, and how soon to notice that it
/// is gone. Seconds, the last one milliseconds.
const CONNECTION_SETTINGS: [(&str, &str); 6] = [
    ("application_name", "trunkline"),
    ("connect_timeout", "5"),
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

/// No statement of ours takes long, and none may hold locks while nobody works. Bodies are compressed by lz4 where the
/// server has it, several times as fast as its default. A commit is acknowledged to whoever sent the calls, so it is on
/// the disk, whatever the server's default.
const SESSION_SETTINGS: &str = "set statement_timeout = '30s';
    set lock_timeout = '5s';
    set idle_in_transaction_session_timeout = '30s';
    select pg_catalog.set_config(name, 'lz4', false) from pg_catalog.pg_settings
    where name = 'default_toast_compression' and 'lz4' = any(enumvals);
    select pg_catalog.set_config('synchronous_commit', 'on', false)
    where pg_catalog.current_setting('synchronous_commit') = 'off';";

pub(super) type Pooled = PooledConnection<ConnectionManager<PgConnection>>;

/// When the server plans a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plans {
    /// Once for each connection: for what finds rows by their keys, where planning costs more than the rest. A plan that
    /// is made while a table is empty would read all of it once it is full, so none may do that where there is an index.
    Once,
    /// For every execution: for searches, whose best plan depends on what is asked for.
    EachTime,
}

impl Plans {
    fn settings(self) -> &'static str {
        match self {
            Self::Once => "set plan_cache_mode = force_generic_plan; set enable_seqscan = off;",
            Self::EachTime => "set plan_cache_mode = force_custom_plan;",
        }
    }
}

/// Before a search through whole tables, until the transaction ends: it may take its time, and reads them in the way that
/// is best for what is asked.
pub(super) fn search_all(connection: &mut PgConnection) -> QueryResult<()> {
    connection.batch_execute(
        "set local statement_timeout = '10min';
         set local plan_cache_mode = force_custom_plan;
         set local enable_seqscan = on;",
    )
}

/// A few connections.
#[derive(Clone)]
pub(super) struct Pool {
    connections: diesel::r2d2::Pool<ConnectionManager<PgConnection>>,
    /// As many as connections: who waits for our own work waits here, in order and without a limit of time.
    turns: Arc<Semaphore>,
}

/// A connection's worth of the pool, kept until dropped.
pub(super) struct Turn {
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// Connects when there is work, so a server that is away is no error here.
    pub(super) fn new(url: &PostgresUrl, size: u32, plans: Plans) -> Self {
        keep_openssl_to_the_end();
        let connections = diesel::r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .connection_timeout(CONNECTION_TIMEOUT)
            // Whoever waits for the connection is told.
            .error_handler(Box::new(NopErrorHandler))
            .connection_customizer(Box::new(Prepared(plans)))
            .build_unchecked(ConnectionManager::new(url.with_defaults(&CONNECTION_SETTINGS)));
        Self {
            connections,
            turns: Arc::new(Semaphore::new(size as usize)),
        }
    }

    /// Waits until a connection is not needed by others.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn {
            pool: self.clone(),
            _permit: permit.map_err(|closed| StoreError::Unavailable(closed.into()))?,
        })
    }
}

impl Turn {
    /// A connection that works. Waits for the network: not for async threads.
    pub(super) fn connection(&self) -> Result<Pooled, StoreError> {
        let connection = self.pool.connections.get();
        connection.map_err(|error| StoreError::Unavailable(error.into()))
    }
}

/// A connection of its own, outside the pools, for work that is done once and may take its time.
pub(super) fn connect(url: &PostgresUrl) -> Result<PgConnection, StoreError> {
    keep_openssl_to_the_end();
    let mut connection = PgConnection::establish(&url.with_defaults(&CONNECTION_SETTINGS))
        .map_err(|error| StoreError::Unavailable(error.into()))?;
    connection.batch_execute("set lock_timeout = '30s'")?;
    Ok(connection)
}

/// OpenSSL takes itself apart when the process ends, while a thread of a pool may still be opening a connection: a
/// command that has done its work then ends with a segmentation fault, one time in sixteen on a busy machine. Set up by
/// us, before libpq does it, OpenSSL leaves that to the operating system (`OPENSSL_INIT_NO_ATEXIT`).
fn keep_openssl_to_the_end() {
    openssl_sys::init();
}

#[derive(Debug)]
struct Prepared(Plans);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Prepared {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        connection
            .batch_execute(SESSION_SETTINGS)
            .and_then(|()| connection.batch_execute(self.0.settings()))
            .map_err(diesel::r2d2::Error::QueryError)
    }
}
