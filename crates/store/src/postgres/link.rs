//! Links earlier calls with people who became known after them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use calls::{CallId, MatchRules, PhoneNumber};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::apply::{Locking, load, save};
use super::statement::{OfCall, Statement};
use super::{Postgres, contacts};
use crate::StoreError;
use crate::batch::{CallWork, customer_numbers};
use crate::clock::Clock;

/// The advisory lock that every writer of events shares while it works.
pub(super) const AT_WORK: (i32, i32) = (0x7472_756e, 0x6b6c);

/// How many calls are linked in one transaction.
const CALLS_AT_A_TIME: usize = 200;

/// No writer takes longer, and the server stops those that do nothing.
const PATIENCE: Duration = Duration::from_secs(120);

impl Postgres {
    /// Links the calls with these numbers that are linked with nobody yet. Returns how many.
    pub(super) async fn link_earlier_calls(
        &self,
        numbers: BTreeSet<PhoneNumber>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        if numbers.is_empty() {
            return Ok(0);
        }
        let (rules, clock) = (Arc::new(rules.clone()), Clock::set(now));
        let unlinked = Self::write(&self.batches, move |connection| {
            wait_for_writers(connection)?;
            find_unlinked(connection, &numbers)
        })
        .await?;
        let mut linked = 0;
        for call_sids in unlinked.chunks(CALLS_AT_A_TIME) {
            let (call_sids, rules) = (call_sids.to_vec(), Arc::clone(&rules));
            linked += Self::write(&self.batches, move |connection| {
                link(connection, &call_sids, &rules, clock.now())
            })
            .await?;
        }
        Ok(linked)
    }
}

/// Waits for the writers that may have looked for a number before the contacts were committed: the calls that they
/// write show once they have ended. Those who come later see the contacts and need not wait, so a ring never does.
pub(super) fn wait_for_writers(connection: &mut PgConnection) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Writer {
        #[diesel(sql_type = Text)]
        transaction: String,
    }
    let mut at_work = || -> Result<HashSet<String>, StoreError> {
        let writers: Vec<Writer> = Statement::new(
            "select virtualtransaction as transaction from pg_catalog.pg_locks
             where locktype = 'advisory' and granted and objsubid = 2
               and database = (select oid from pg_catalog.pg_database where datname = current_database())
               and classid = {}::oid and objid = {}::oid",
        )
        .bind::<Integer, _>(AT_WORK.0)
        .bind::<Integer, _>(AT_WORK.1)
        .load(connection)?;
        Ok(writers.into_iter().map(|writer| writer.transaction).collect())
    };
    let began = Instant::now();
    let mut before_us = at_work()?;
    while !before_us.is_empty() {
        if began.elapsed() > PATIENCE {
            return Err(StoreError::Unavailable("another writer does not end".into()));
        }
        std::thread::sleep(Duration::from_millis(5));
        let now = at_work()?;
        before_us.retain(|writer| now.contains(writer));
    }
    Ok(())
}

fn find_unlinked(
    connection: &mut PgConnection,
    numbers: &BTreeSet<PhoneNumber>,
) -> Result<Vec<CallId>, StoreError> {
    let unlinked: Vec<OfCall> = Statement::new(
        "select call_sid from trunkline.interactions
         where lead_id is null and customer_id is null
           and ((direction = 'inbound' and call_from_number = any({}))
             or (direction = 'outbound' and call_to_number = any({})))
         order by call_sid",
    )
    .texts(numbers.iter().map(PhoneNumber::as_str))
    .texts(numbers.iter().map(PhoneNumber::as_str))
    .load(connection)?;
    OfCall::ids(&unlinked)
}

fn link(
    connection: &mut PgConnection,
    call_sids: &[CallId],
    rules: &MatchRules,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let states = load(connection, call_sids.iter(), Locking::Write)?;
    let people = contacts::find(connection, &customer_numbers(states.values()).collect())?;
    let work: Vec<CallWork> = states
        .into_iter()
        .map(|(call_sid, state)| CallWork {
            call_sid,
            had_row: state.row.is_some(),
            snapshots: Vec::new(),
            changes: calls::link_again(state, &people, rules, now),
        })
        // A row that the CRM has deleted meanwhile comes back with the next event, not now.
        .filter(|call| call.had_row)
        .collect();
    save(connection, &work, now)?;
    // A row may also change because a decision that nobody had seen yet now shows in it.
    let linked = work
        .iter()
        .filter(|call| call.changes.row.as_ref().is_some_and(|row| row.link.is_set()));
    Ok(linked.count())
}
