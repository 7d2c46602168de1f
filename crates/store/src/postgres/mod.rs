//! The database in PostgreSQL: everything in the schema `trunkline`, any number of processes at work on it.

mod activity;
mod alerts;
mod apply;
mod contacts;
mod crm_contacts;
mod dead_letters;
mod erasure;
mod failure;
mod imports;
mod link;
mod lookup;
mod people;
mod pool;
mod read;
mod reconcile;
mod recordings;
mod requests;
mod retention;
mod search;
mod statement;
mod webhook_health;

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use self::pool::{Plans, Pool};
use self::statement::Statement;
use crate::blocking::blocking;
use crate::{PostgresUrl, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// How many batches one process writes at a time, how many rings and other small news, and how many may read.
const BATCHES: u32 = 4;
const RINGS: u32 = 2;
const READERS: u32 = 4;

/// A PostgreSQL database.
#[derive(Clone)]
pub(crate) struct Postgres {
    batches: Pool,
    /// Of their own, so that a ring waits for no batch.
    rings: Pool,
    readers: Pool,
}

impl Postgres {
    pub(crate) async fn open(url: PostgresUrl) -> Result<Self, StoreError> {
        blocking(move || {
            if is_schema_too_old(&mut pool::connect(&url)?)? {
                return Err(StoreError::SchemaTooOld);
            }
            Ok(Self {
                batches: Pool::new(&url, BATCHES, Plans::Once),
                rings: Pool::new(&url, RINGS, Plans::Once),
                readers: Pool::new(&url, READERS, Plans::EachTime),
            })
        })
        .await
    }

    pub(crate) async fn migrate(url: PostgresUrl) -> Result<Vec<String>, StoreError> {
        blocking(move || {
            let mut connection = connect_to_migrate(&url)?;
            // A role that may make nothing still learns that there is nothing to make.
            if !is_schema_too_old(&mut connection)? {
                return Ok(Vec::new());
            }
            if !has_schema(&mut connection)? {
                connection.batch_execute("create schema trunkline")?;
            }
            let run = connection
                .run_pending_migrations(MIGRATIONS)
                .map_err(StoreError::Migration)?;
            Ok(run.iter().map(ToString::to_string).collect())
        })
        .await
    }

    pub(crate) async fn uninstall(url: PostgresUrl) -> Result<(), StoreError> {
        blocking(move || {
            let mut connection = connect_to_migrate(&url)?;
            if !has_schema(&mut connection)? {
                return Ok(());
            }
            connection.transaction(|connection| {
                // The operator's, but in our schema; and it depends on what is his, not the other way round.
                connection.batch_execute("drop view if exists trunkline.crm_contacts")?;
                connection
                    .revert_all_migrations(MIGRATIONS)
                    .map_err(StoreError::Migration)?;
                // Without `cascade`: what somebody else has put there, or hung on it, is not ours to drop.
                connection.batch_execute(
                    "drop table trunkline.__diesel_schema_migrations; drop schema trunkline",
                )?;
                Ok(())
            })
        })
        .await
    }

    /// Runs `work` on a connection of `pool`, in a transaction that is repeated when it collides with another.
    async fn write<T: Send + 'static>(
        pool: &Pool,
        work: impl Fn(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = pool.turn().await?;
        blocking(move || failure::write(&turn, work)).await
    }

    /// Runs `work` on a connection for reading; all its statements see the same state.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.readers.turn().await?;
        blocking(move || {
            let mut connection = turn.connection()?;
            connection
                .build_transaction()
                .read_only()
                .repeatable_read()
                .run(work)
        })
        .await
    }
}

/// A connection on which the table of migrations, which diesel does not qualify, is ours; one at a time.
fn connect_to_migrate(url: &PostgresUrl) -> Result<PgConnection, StoreError> {
    let mut connection = pool::connect(url)?;
    connection.batch_execute(
        "set search_path = trunkline;
         select pg_catalog.pg_advisory_lock(pg_catalog.hashtext('trunkline migrate'));",
    )?;
    Ok(connection)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    yes: bool,
}

fn has_schema(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let answer: Answer =
        Statement::new("select to_regnamespace('trunkline') is not null as yes").get_result(connection)?;
    Ok(answer.yes)
}

/// Asks without writing: the role of a service need not be allowed to make tables, nor the server to write.
fn is_schema_too_old(connection: &mut PgConnection) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct Run {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let answer: Answer =
        Statement::new("select to_regclass('trunkline.__diesel_schema_migrations') is not null as yes")
            .get_result(connection)?;
    if !answer.yes {
        return Ok(true);
    }
    let run: Vec<Run> =
        Statement::new("select version::text as version from trunkline.__diesel_schema_migrations")
            .load(connection)?;
    let run: BTreeSet<String> = run.into_iter().map(|run| run.version).collect();
    let needed: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(StoreError::Migration)?;
    let mut versions = needed
        .iter()
        .map(|migration| migration.name().version().to_string());
    Ok(versions.any(|version| !run.contains(&version)))
}
