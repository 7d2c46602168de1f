//! Adds events to the records of their calls: one transaction a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use calls::{CallChanges, CallEvent, CallId, CallState, Digest, Interaction, MatchRules, Written};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;

use super::rows::{CallRow, EventRow, InteractionRow, SealRow, SnapshotRow, call_id, time_text};
use super::schema::{call_events, calls as call_table, interactions, seals};
use super::{Sqlite, alerts, contacts};
use crate::{Applied, StoreError};

impl Sqlite {
    pub(crate) async fn apply(
        &self,
        events: Vec<CallEvent>,
        rules: MatchRules,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        self.write(move |connection| apply(connection, events, &rules, now.trunc_subsecs(6)))
            .await
    }
}

fn apply(
    connection: &mut SqliteConnection,
    events: Vec<CallEvent>,
    rules: &MatchRules,
    now: DateTime<Utc>,
) -> Result<Applied, StoreError> {
    let mut by_call: BTreeMap<CallId, Vec<CallEvent>> = BTreeMap::new();
    for event in events {
        by_call
            .entry(event.call.call_sid.clone())
            .or_default()
            .push(event);
    }
    let new: Vec<CallRow> = by_call
        .keys()
        .map(|call_sid| CallRow::new(call_sid, now))
        .collect();
    diesel::insert_or_ignore_into(call_table::table)
        .values(&new)
        .execute(connection)?;

    let mut states = load(connection, by_call.keys())?;
    let told = by_call.values().flatten().map(|event| &event.call.facts);
    let numbers = told
        .chain(states.values().flat_map(known_facts))
        .filter_map(|facts| facts.customer.as_ref()?.e164.as_ref());
    let numbers: BTreeSet<_> = numbers.collect();
    let people = contacts::find(connection, &numbers)?;

    let mut applied = Applied::default();
    for (call_sid, events) in by_call {
        let state = states
            .remove(&call_sid)
            .unwrap_or_else(|| CallState::new(call_sid.clone()));
        let had_row = state.row.is_some();
        let changes = calls::apply(state, &events, &people, rules, now);
        save_snapshots(connection, &changes, &events)?;
        applied.rows_written += usize::from(changes.row.is_some());
        save_call(connection, &call_sid, &changes, had_row, now)?;
        applied
            .alerts
            .extend(alerts::insert(connection, changes.alerts, now)?);
    }
    Ok(applied)
}

fn known_facts(state: &CallState) -> impl Iterator<Item = &calls::Facts> {
    state
        .record
        .in_order()
        .into_iter()
        .map(|recorded| &recorded.snapshot.facts)
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

    let mut states: HashMap<CallId, CallState> = HashMap::with_capacity(known.len());
    for call in known {
        let call_sid = call_id(&call.call_sid)?;
        states.insert(
            call_sid.clone(),
            CallState {
                written: call.into_written(),
                ..CallState::new(call_sid)
            },
        );
    }
    for snapshot in snapshots {
        if let Some(state) = states.get_mut(&call_id(&snapshot.call_sid)?) {
            state.record.add(snapshot.into_recorded()?);
        }
    }
    for seal in sealed {
        if let Some(state) = states.get_mut(&call_id(&seal.call_sid)?) {
            let seal = seal.into_seal()?;
            state.seals.close(seal.group, seal.reason);
        }
    }
    for row in rows {
        if let Some(state) = states.get_mut(&call_id(&row.call_sid)?) {
            state.row = Some(row.into_interaction()?);
        }
    }
    Ok(states)
}

fn save_snapshots(
    connection: &mut SqliteConnection,
    changes: &CallChanges,
    events: &[CallEvent],
) -> Result<(), StoreError> {
    if changes.snapshots.is_empty() {
        return Ok(());
    }
    let mut brought: HashMap<Digest, &CallEvent> = HashMap::with_capacity(events.len());
    for event in events {
        brought.entry(event.digest()).or_insert(event);
    }
    for recorded in &changes.snapshots {
        let Some(event) = brought.get(&recorded.digest) else {
            continue;
        };
        let row = EventRow::new(recorded, event)?;
        diesel::insert_into(call_events::table)
            .values(&row)
            .on_conflict((call_events::call_sid, call_events::digest))
            .do_update()
            .set((
                call_events::origin.eq(&row.origin),
                call_events::company_id.eq(&row.company_id),
                call_events::first_observed_at.eq(&row.first_observed_at),
                call_events::last_observed_at.eq(&row.last_observed_at),
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
        diesel::insert_or_ignore_into(seals::table)
            .values(&new_seals)
            .execute(connection)?;
    }
    let this_call = call_table::table.find(call_sid.as_str());
    if changes.reread {
        diesel::update(this_call)
            .set(call_table::reread.eq(true))
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
    let now = time_text(now);
    if had_row {
        diesel::update(interactions::table.filter(interactions::call_sid.eq(&row.call_sid)))
            .set((&row, interactions::updated_at.eq(&now)))
            .execute(connection)?;
    } else {
        diesel::insert_into(interactions::table)
            .values((
                &row,
                interactions::created_at.eq(&now),
                interactions::updated_at.eq(&now),
            ))
            .execute(connection)?;
    }
    Ok(())
}
