//! Whom to blame when a transaction fails: what was to be written, or the world around it.

use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use super::pool::{LOCK_TIMEOUT, Turn};
use super::statement::Statement;
use crate::StoreError;
use crate::columns::{Id, SqlId};

/// How often a transaction is tried that others may have got in the way of.
const ATTEMPTS: u32 = 4;

/// Runs `work` in a transaction, again when it collided with somebody else's, and tells the one from the other when
/// it fails.
///
/// diesel passes on the SQLSTATE of few errors; a deadlock looks like a text that PostgreSQL refuses, or like a full
/// disk. So what fails without a reason is tried again, and if that does not help, something else is written: the
/// database that takes it has nothing against anybody but this message.
pub(super) fn write<T>(
    turn: &Turn,
    work: impl Fn(&mut PgConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut attempt = 1;
    loop {
        let mut connection = turn.connection()?;
        let began = Instant::now();
        // What follows relies on every statement seeing what was committed before it, whatever the server's default.
        let done = connection.build_transaction().read_committed().run(&work);
        let Err(error) = done else {
            return done;
        };
        let waited_for_a_lock = began.elapsed() >= LOCK_TIMEOUT;
        match kind(&error) {
            Some(DatabaseErrorKind::Unknown) if waited_for_a_lock => return Err(error),
            Some(DatabaseErrorKind::Unknown | DatabaseErrorKind::SerializationFailure)
                if attempt < ATTEMPTS => {}
            Some(DatabaseErrorKind::Unknown) if takes_something_else(&mut connection) => {
                return Err(error.into_refused());
            }
            _ => return Err(error),
        }
        drop(connection);
        std::thread::sleep(pause(attempt));
        attempt += 1;
    }
}

/// Whether diesel does not say why: so it is with a statement that took too long.
pub(super) fn is_unexplained(error: &StoreError) -> bool {
    matches!(kind(error), Some(DatabaseErrorKind::Unknown))
}

fn kind(error: &StoreError) -> Option<&DatabaseErrorKind> {
    let StoreError::Unavailable(source) = error else {
        return None;
    };
    match source.downcast_ref::<Error>() {
        Some(Error::DatabaseError(kind, _)) => Some(kind),
        _ => None,
    }
}

/// Whether the database takes a letter of 64 kB, large enough to need room on the disk. It is not kept.
fn takes_something_else(connection: &mut PgConnection) -> bool {
    let done = connection.build_transaction().read_committed().run(|connection| {
        Statement::new(
            "insert into trunkline.dead_letters
                 (id, queue, reason, attempts, first_failed_at, last_failed_at, body, state)
             select {}, 'probe', 'probe', 0, now(), now(), string_agg(decode(md5(n::text), 'hex'), ''), 'discarded'
             from generate_series(1, 4096) as n",
        )
        .bind::<SqlId, _>(Id(Uuid::now_v7()))
        .execute(connection)?;
        Err::<(), _>(Error::RollbackTransaction)
    });
    matches!(done, Err(Error::RollbackTransaction))
}

/// 5 to 15 ms after the first attempt, and then twice as long each time: those who collided do not meet again.
fn pause(attempt: u32) -> Duration {
    let [.., chance] = Uuid::now_v7().into_bytes();
    Duration::from_micros(5_000 + u64::from(chance) * 40) * 2_u32.pow(attempt - 1)
}
