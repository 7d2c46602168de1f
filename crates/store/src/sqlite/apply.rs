//! Adds events to the records of their calls: one transaction a batch.

use std::collections::HashMap;

use calls::{CallChanges, CallEvent, CallId, CallState, Interaction, MatchRules, Retention, Written};
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{Sqlite, alerts, contacts, erasure, imports};
use crate::batch::{Batch, CallWork, assemble, linked_with_others, matches};
use crate::clock::Clock;
use crate::columns::Time;
use crate::rows::{CallRow, EventRow, InteractionRow, SealRow, SnapshotRow};
use crate::schema::{call_events, calls as call_table, interactions, seals};
use crate::{Applied, StoreError};

impl Sqlite {
    pub(crate) async fn apply(
        &self,
        events: Vec<CallEvent>,
        rules: MatchRules,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        let (batch, clock) = (Batch::new(events), Clock::set(now));
        self.write(move |connection| apply(connection, &batch, &rules, &retention, clock))
            .await
    }
}

fn apply(
    connection: &mut SqliteConnection,
    batch: &Batch,
    rules: &MatchRules,
    retention: &Retention,
    clock: Clock,
) -> Result<Applied, StoreError> {
    let now = clock.set_to();
    let states = load(connection, batch.call_sids())?;
    let new: Vec<CallRow> = batch
        .call_sids()
        .filter(|call_sid| !states.contains_key(*call_sid))
        .map(|call_sid| CallRow::new(call_sid, now))
        .collect();
    diesel::insert_into(call_table::table)
        .values(&new)
        .execute(connection)?;
    let numbers = batch.numbers(&states);
    let mut people = contacts::find(connection, &numbers)?;
    let others = linked_with_others(states.values(), &people);
    contacts::add_linked(connection, &mut people, &others)?;
    let erased = erasure::find(connection, numbers)?;

    let work = batch.work_out(states, Some(&people), rules, retention, &erased, now)?;
    let mut applied = Applied {
        matches: matches(&work),
        ..Applied::default()
    };
    for call in work {
        save_work(connection, &call, now)?;
        applied.rows_written += usize::from(call.changes.row.is_some());
        applied
            .alerts
            .extend(alerts::insert(connection, call.changes.alerts, clock)?);
    }
    imports::save_progress(connection, &batch.imported())?;
    Ok(applied)
}

/// Writes all of a call but its alerts.
pub(super) fn save_work(
    connection: &mut SqliteConnection,
    call: &CallWork,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if call.changes.replaces_record {
        diesel::delete(call_events::table.filter(call_events::call_sid.eq(call.call_sid.as_str())))
            .execute(connection)?;
    }
    save_snapshots(connection, &call.snapshots)?;
    save_call(connection, &call.call_sid, &call.changes, call.had_row, now)
}

/// Everything known of these calls. Those that were never heard of are not in the answer.
pub(super) fn load<'a>(
    connection: &mut SqliteConnection,
    call_sids: impl Iterator<Item = &'a CallId>,
) -> Result<HashMap<CallId, CallState>, StoreError> {
    let sids: Vec<&str> = call_sids.map(CallId::as_str).collect();
    let known: Vec<CallRow> = call_table::table
        .filter(call_table::call_sid.eq_any(&sids))
        .select(CallRow::as_select())
        .load(connection)?;
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    let sids: Vec<&str> = known.iter().map(|call| call.call_sid.as_str()).collect();
    let snapshots: Vec<SnapshotRow> = call_events::table
        .filter(call_events::call_sid.eq_any(&sids))
        .select(SnapshotRow::as_select())
        .load(connection)?;
    let sealed: Vec<SealRow> = seals::table
        .filter(seals::call_sid.eq_any(&sids))
        .select(SealRow::as_select())
        .load(connection)?;
    let rows: Vec<InteractionRow> = interactions::table
        .filter(interactions::call_sid.eq_any(&sids))
        .select(InteractionRow::as_select())
        .load(connection)?;

    assemble(known, snapshots, sealed, rows)
}

fn save_snapshots(connection: &mut SqliteConnection, rows: &[EventRow]) -> Result<(), StoreError> {
    for row in rows {
        diesel::insert_into(call_events::table)
            .values(row)
            .on_conflict((call_events::call_sid, call_events::digest))
            .do_update()
            .set((
                call_events::origin.eq(&row.origin),
                call_events::company_id.eq(&row.company_id),
                call_events::first_observed_at.eq(row.first_observed_at),
                call_events::last_observed_at.eq(row.last_observed_at),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Writes the row, the seals and the marks of one call, as far as they changed.
pub(super) fn save_call(
    connection: &mut SqliteConnection,
    call_sid: &CallId,
    changes: &CallChanges,
    had_row: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let new_seals: Vec<SealRow> = changes
        .seals
        .iter()
        .map(|seal| SealRow::new(call_sid, seal))
        .collect();
    if !new_seals.is_empty() {
        diesel::replace_into(seals::table)
            .values(&new_seals)
            .execute(connection)?;
    }
    let this_call = call_table::table.find(call_sid.as_str());
    if let Some(reread) = changes.reread {
        diesel::update(this_call)
            .set(call_table::reread.eq(reread))
            .execute(connection)?;
    }
    let Some(interaction) = &changes.row else {
        return Ok(());
    };
    save_interaction(connection, interaction, had_row, now)?;
    let written = Written::of(interaction);
    diesel::update(this_call)
        .set((
            call_table::written_notes.eq(written.notes.as_str()),
            call_table::written_lead_id.eq(written.lead_id),
            call_table::written_customer_id.eq(written.customer_id),
        ))
        .execute(connection)?;
    Ok(())
}

fn save_interaction(
    connection: &mut SqliteConnection,
    interaction: &Interaction,
    had_row: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = InteractionRow::new(interaction)?;
    let now = Time(now);
    if had_row {
        diesel::update(interactions::table.filter(interactions::call_sid.eq(&row.call_sid)))
            .set((&row, interactions::updated_at.eq(now)))
            .execute(connection)?;
    } else {
        diesel::insert_into(interactions::table)
            .values((
                &row,
                interactions::created_at.eq(now),
                interactions::updated_at.eq(now),
            ))
            .execute(connection)?;
    }
    Ok(())
}
