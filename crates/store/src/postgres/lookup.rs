//! Looking up who calls while the phone rings: a lookup that takes too long is given up. The ring is told with its number
//! alone, and amended once people can be looked up again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use calls::{CallId, Digest, MatchRules, OutgoingAlert, People, PhoneNumber};
use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::apply::{Locking, load};
use super::statement::{OfCall, Statement};
use super::{Postgres, alerts, contacts, failure};
use crate::StoreError;
use crate::batch::{CallWork, customer_numbers};
use crate::clock::Clock;
use crate::rows::call_id;

/// How long a ring waits for the name of its caller; as [`LIMITED`] has it.
const PATIENCE: Duration = Duration::from_millis(300);

/// One way to the server for both. What is rolled back to the savepoint is the limit, too.
const LIMITED: &str = "savepoint lookup; set local statement_timeout = '300ms'";
const UNLIMITED: &str = "rollback to savepoint lookup";

/// How many calls are amended in one transaction.
const CALLS_AT_A_TIME: i64 = 64;

/// The people behind these numbers; `None` if the database does not tell in time.
pub(super) fn find_in_time(
    connection: &mut PgConnection,
    numbers: &BTreeSet<PhoneNumber>,
) -> Result<Option<People>, StoreError> {
    if numbers.is_empty() {
        return Ok(Some(People::default()));
    }
    connection.batch_execute(LIMITED)?;
    let began = Instant::now();
    let found = contacts::find(connection, numbers);
    let took = began.elapsed();
    connection.batch_execute(UNLIMITED)?;
    match found {
        Err(error) if took >= PATIENCE && failure::is_unexplained(&error) => Ok(None),
        found => found.map(Some),
    }
}

/// Notes which snapshots of calls are told without a lookup.
pub(super) fn note_unanswered(connection: &mut PgConnection, work: &[CallWork]) -> Result<(), StoreError> {
    let told = work
        .iter()
        .filter(|call| call.changes.alerts.iter().any(|outgoing| outgoing.push));
    let snapshots: Vec<_> = told.flat_map(|call| &call.snapshots).collect();
    Statement::new(
        "insert into trunkline.unanswered_lookups (call_sid, digest)
         select * from unnest({}, {})
         on conflict do nothing",
    )
    .texts(snapshots.iter().map(|row| row.call_sid.as_str()))
    .texts(snapshots.iter().map(|row| row.digest.as_str()))
    .execute(connection)?;
    Ok(())
}

impl Postgres {
    pub(crate) async fn amend_alerts(
        &self,
        rules: MatchRules,
        now: DateTime<Utc>,
    ) -> Result<Vec<OutgoingAlert>, StoreError> {
        let clock = Clock::set(now);
        Self::write(&self.rings, move |connection| amend(connection, &rules, clock)).await
    }
}

fn amend(
    connection: &mut PgConnection,
    rules: &MatchRules,
    clock: Clock,
) -> Result<Vec<OutgoingAlert>, StoreError> {
    let waiting = waiting(connection)?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    // Before any call is locked: its end must not wait for a lookup that hangs again.
    let seen = load(connection, waiting.iter(), Locking::None)?;
    let numbers = customer_numbers(seen.values()).collect();
    let Some(people) = find_in_time(connection, &numbers)? else {
        return Ok(Vec::new());
    };
    let states = load(connection, waiting.iter(), Locking::Write)?;
    // Of several who amend the same calls only one finds them still noted.
    let told = forget(connection, &waiting)?;
    let amended = told.iter().filter_map(|(call_sid, told)| {
        let state = states.get(call_sid)?;
        calls::amend(state, told, &people, rules, clock.set_to())
    });
    alerts::insert(connection, amended.collect(), clock)
}

fn waiting(connection: &mut PgConnection) -> Result<Vec<CallId>, StoreError> {
    let waiting: Vec<OfCall> = Statement::new(
        "select distinct call_sid from trunkline.unanswered_lookups
         order by call_sid
         limit {}",
    )
    .bind::<BigInt, _>(CALLS_AT_A_TIME)
    .load(connection)?;
    OfCall::ids(&waiting)
}

/// Takes the notes away; returns the snapshots that were told without a lookup, by call.
fn forget(
    connection: &mut PgConnection,
    call_sids: &[CallId],
) -> Result<BTreeMap<CallId, Vec<Digest>>, StoreError> {
    #[derive(QueryableByName)]
    struct Told {
        #[diesel(sql_type = Text)]
        call_sid: String,
        #[diesel(sql_type = Text)]
        digest: String,
    }
    let rows: Vec<Told> = Statement::new(
        "delete from trunkline.unanswered_lookups where call_sid = any({})
         returning call_sid, digest",
    )
    .texts(call_sids.iter().map(CallId::as_str))
    .load(connection)?;
    let mut told: BTreeMap<CallId, Vec<Digest>> = BTreeMap::new();
    for row in rows {
        told.entry(call_id(&row.call_sid)?)
            .or_default()
            .push(Digest::from_stored(row.digest));
    }
    Ok(told)
}
