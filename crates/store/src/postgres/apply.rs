//! Adds events to the records of their calls: one transaction and a fixed number of statements a batch.
//!
//! Two writers meet on a call by locking its row in `calls`, which they make first: a row that is not there cannot be
//! locked. Both steps go in the order of the calls' ids, so writers wait for each other and never in a circle.
//!
//! A ring does not wait for a lookup of its caller that hangs: see [`lookup`].

use std::collections::{HashMap, HashSet};

use calls::{CallEvent, CallId, CallState, MatchRules, Retention, Written};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::statement::{OfCall, Statement};
use super::{Postgres, alerts, contacts, erasure, imports, link, lookup};
use crate::batch::{Batch, CallWork, assemble, linked_with_others, matches};
use crate::clock::Clock;
use crate::columns::{SqlTime, Time};
use crate::rows::{CallRow, EventRow, InteractionRow, SealRow, SnapshotRow};
use crate::{Applied, StoreError};

impl Postgres {
    pub(crate) async fn apply(
        &self,
        events: Vec<CallEvent>,
        rules: MatchRules,
        retention: Retention,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        let (batch, clock) = (Batch::new(events), Clock::set(now));
        if batch.is_empty() {
            return Ok(Applied::default());
        }
        let pool = if batch.is_progress() {
            &self.rings
        } else {
            &self.batches
        };
        Self::write(pool, move |connection| {
            apply(connection, &batch, &rules, &retention, clock)
        })
        .await
    }
}

fn apply(
    connection: &mut PgConnection,
    batch: &Batch,
    rules: &MatchRules,
    retention: &Retention,
    clock: Clock,
) -> Result<Applied, StoreError> {
    let now = clock.set_to();
    let new = insert_calls(connection, batch, now)?;
    // All other tables refer to these rows: of a call that had none nothing is known, and its new one is locked.
    let known = batch
        .call_sids()
        .filter(|call_sid| !new.contains(call_sid.as_str()));
    let states = load(connection, known, Locking::Write)?;
    let numbers = batch.numbers(&states);
    let people = if batch.is_progress() {
        lookup::find_in_time(connection, &numbers)?
    } else {
        let mut people = contacts::find(connection, &numbers)?;
        let others = linked_with_others(states.values(), &people);
        contacts::add_linked(connection, &mut people, &others)?;
        Some(people)
    };
    let erased = erasure::find(connection, numbers)?;
    let mut work = batch.work_out(states, people.as_ref(), rules, retention, &erased, now)?;
    save(connection, &work, now)?;
    if people.is_none() {
        lookup::note_unanswered(connection, &work)?;
    }
    imports::save_progress(connection, &batch.imported())?;
    let matches = matches(&work);
    let raised = work
        .iter_mut()
        .flat_map(|call| std::mem::take(&mut call.changes.alerts));
    Ok(Applied {
        alerts: alerts::insert(connection, raised.collect(), clock)?,
        rows_written: work.iter().filter(|call| call.changes.row.is_some()).count(),
        matches,
    })
}

/// Makes the rows to lock, and tells those who save contacts that we are at work (see [`link`]). Returns the calls that
/// are new.
fn insert_calls(
    connection: &mut PgConnection,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<HashSet<String>, StoreError> {
    let new: Vec<OfCall> = Statement::new(
        "insert into trunkline.calls (call_sid, first_seen_at)
         select new.call_sid, {}
         from pg_catalog.pg_advisory_xact_lock_shared({}, {}), unnest({}) as new (call_sid)
         order by new.call_sid
         on conflict do nothing
         returning call_sid",
    )
    .bind::<SqlTime, _>(Time(now))
    .bind::<Integer, _>(link::AT_WORK.0)
    .bind::<Integer, _>(link::AT_WORK.1)
    .texts(batch.call_sids().map(CallId::as_str))
    .load(connection)?;
    Ok(new.into_iter().map(|new| new.call_sid).collect())
}

/// Whether what is read is going to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// It is only looked at.
    None,
    /// Nobody else may write it until the transaction ends: neither another writer nor the CRM.
    Write,
}

/// The columns of [`InteractionRow`].
macro_rules! interaction_columns {
    () => {
        "id, interactions.direction, lead_id, customer_id, notes, interactions.outcome, call_duration_seconds,
         call_recording_url, call_from_number, call_sid, scheduled_at, completed_at, call_to_number,
         tracking_number, source, medium, campaign, keywords, landing_page_url, gclid, utm_source, utm_medium,
         utm_campaign, utm_term, utm_content, transcription, call_summary, tags::text as tags, lead_status, value,
         first_call, agent_email, company_id, customer_name, match_method,
         match_candidates::text as match_candidates, spam"
    };
}
pub(super) use interaction_columns;

/// The rows of some calls.
pub(super) const SELECT_INTERACTIONS: &str = concat!(
    "select ",
    interaction_columns!(),
    " from trunkline.interactions where call_sid = any({})"
);

/// Everything known of these calls. Those that were never heard of are not in the answer.
pub(super) fn load<'a>(
    connection: &mut PgConnection,
    call_sids: impl Iterator<Item = &'a CallId>,
    locking: Locking,
) -> Result<HashMap<CallId, CallState>, StoreError> {
    let sids: Vec<&str> = call_sids.map(CallId::as_str).collect();
    if sids.is_empty() {
        return Ok(HashMap::new());
    }
    let of_these = |sql, lock| Statement::new(sql).locked(lock).texts(sids.iter().copied());
    let (lock_calls, lock_rows) = match locking {
        Locking::None => ("", ""),
        Locking::Write => (
            " order by call_sid for update",
            " order by call_sid for no key update",
        ),
    };
    let known: Vec<CallRow> = of_these(
        "select call_sid, first_seen_at, reread, written_notes, written_lead_id, written_customer_id
         from trunkline.calls where call_sid = any({})",
        lock_calls,
    )
    .load(connection)?;
    let snapshots: Vec<SnapshotRow> = of_these(
        "select call_sid, digest, kind, origin, company_id, first_observed_at, last_observed_at,
                changes::text as changes, snapshot::text as snapshot
         from trunkline.call_events where call_sid = any({})",
        "",
    )
    .load(connection)?;
    let sealed: Vec<SealRow> = of_these(
        "select call_sid, sealed_group, reason, sealed_at, sealed_by
         from trunkline.seals where call_sid = any({})",
        "",
    )
    .load(connection)?;
    // The CRM writes into these rows too: what it writes while we work must come after us, not be lost.
    let rows: Vec<InteractionRow> = of_these(SELECT_INTERACTIONS, lock_rows).load(connection)?;
    assemble(known, snapshots, sealed, rows)
}

/// Writes all of it but the alerts.
pub(super) fn save(
    connection: &mut PgConnection,
    work: &[CallWork],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let replaced: Vec<&str> = work
        .iter()
        .filter(|call| call.changes.replaces_record)
        .map(|call| call.call_sid.as_str())
        .collect();
    if !replaced.is_empty() {
        Statement::new("delete from trunkline.call_events where call_sid = any({})")
            .texts(replaced.into_iter())
            .execute(connection)?;
    }
    let snapshots: Vec<&EventRow> = work.iter().flat_map(|call| &call.snapshots).collect();
    save_snapshots(connection, &snapshots)?;
    let seals: Vec<SealRow> = work
        .iter()
        .flat_map(|call| {
            call.changes
                .seals
                .iter()
                .map(|seal| SealRow::new(&call.call_sid, seal))
        })
        .collect();
    save_seals(connection, &seals)?;
    let rows = work
        .iter()
        .filter_map(|call| call.changes.row.as_ref())
        .map(InteractionRow::new)
        .collect::<Result<Vec<_>, _>>()?;
    save_interactions(connection, &rows, now)?;
    save_marks(connection, work)
}

fn save_snapshots(connection: &mut PgConnection, rows: &[&EventRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    Statement::new(
        "insert into trunkline.call_events
             (call_sid, digest, kind, origin, company_id, first_observed_at, last_observed_at, event_id, changes,
              snapshot, raw)
         select call_sid, digest, kind, origin, company_id, first_observed_at, last_observed_at, event_id,
                changes::jsonb, snapshot::json, raw::json
         from unnest({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
             as new (call_sid, digest, kind, origin, company_id, first_observed_at, last_observed_at, event_id,
                     changes, snapshot, raw)
         on conflict (call_sid, digest) do update set
             origin = excluded.origin, company_id = excluded.company_id,
             first_observed_at = excluded.first_observed_at, last_observed_at = excluded.last_observed_at",
    )
    .texts(rows.iter().map(|row| row.call_sid.as_str()))
    .texts(rows.iter().map(|row| row.digest.as_str()))
    .texts(rows.iter().map(|row| row.kind.as_str()))
    .texts(rows.iter().map(|row| row.origin.as_str()))
    .optional_texts(rows.iter().map(|row| &row.company_id))
    .times(rows.iter().map(|row| row.first_observed_at))
    .times(rows.iter().map(|row| row.last_observed_at))
    .ids(rows.iter().map(|row| row.event_id))
    .texts(rows.iter().map(|row| row.changes.as_str()))
    .texts(rows.iter().map(|row| row.snapshot.as_str()))
    .texts(rows.iter().map(|row| row.raw.as_str()))
    .execute(connection)?;
    Ok(())
}

fn save_seals(connection: &mut PgConnection, rows: &[SealRow]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    Statement::new(
        "insert into trunkline.seals (call_sid, sealed_group, reason, sealed_at, sealed_by)
         select * from unnest({}, {}, {}, {}, {})
         on conflict (call_sid, sealed_group) do update set
             reason = excluded.reason, sealed_at = excluded.sealed_at, sealed_by = excluded.sealed_by",
    )
    .texts(rows.iter().map(|row| row.call_sid.as_str()))
    .texts(rows.iter().map(|row| row.sealed_group.as_str()))
    .texts(rows.iter().map(|row| row.reason.as_str()))
    .times(rows.iter().map(|row| row.sealed_at))
    .texts(rows.iter().map(|row| row.sealed_by.as_str()))
    .execute(connection)?;
    Ok(())
}

fn save_interactions(
    connection: &mut PgConnection,
    rows: &[InteractionRow],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    Statement::new(UPSERT_INTERACTIONS)
        .bind::<SqlTime, _>(Time(now))
        .ids(rows.iter().map(|row| row.id))
        .texts(rows.iter().map(|row| row.direction.as_str()))
        .optional_texts(rows.iter().map(|row| &row.lead_id))
        .optional_texts(rows.iter().map(|row| &row.customer_id))
        .texts(rows.iter().map(|row| row.notes.as_str()))
        .texts(rows.iter().map(|row| row.outcome.as_str()))
        .column::<BigInt, _>(rows.iter().map(|row| row.call_duration_seconds))
        .optional_texts(rows.iter().map(|row| &row.call_recording_url))
        .optional_texts(rows.iter().map(|row| &row.call_from_number))
        .texts(rows.iter().map(|row| row.call_sid.as_str()))
        .times(rows.iter().map(|row| row.scheduled_at))
        .times(rows.iter().map(|row| row.completed_at))
        .optional_texts(rows.iter().map(|row| &row.call_to_number))
        .optional_texts(rows.iter().map(|row| &row.tracking_number))
        .optional_texts(rows.iter().map(|row| &row.source))
        .optional_texts(rows.iter().map(|row| &row.medium))
        .optional_texts(rows.iter().map(|row| &row.campaign))
        .optional_texts(rows.iter().map(|row| &row.keywords))
        .optional_texts(rows.iter().map(|row| &row.landing_page_url))
        .optional_texts(rows.iter().map(|row| &row.gclid))
        .optional_texts(rows.iter().map(|row| &row.utm_source))
        .optional_texts(rows.iter().map(|row| &row.utm_medium))
        .optional_texts(rows.iter().map(|row| &row.utm_campaign))
        .optional_texts(rows.iter().map(|row| &row.utm_term))
        .optional_texts(rows.iter().map(|row| &row.utm_content))
        .optional_texts(rows.iter().map(|row| &row.transcription))
        .optional_texts(rows.iter().map(|row| &row.call_summary))
        .texts(rows.iter().map(|row| row.tags.as_str()))
        .optional_texts(rows.iter().map(|row| &row.lead_status))
        .optional_texts(rows.iter().map(|row| &row.value))
        .column::<Nullable<Bool>, _>(rows.iter().map(|row| row.first_call))
        .optional_texts(rows.iter().map(|row| &row.agent_email))
        .optional_texts(rows.iter().map(|row| &row.company_id))
        .optional_texts(rows.iter().map(|row| &row.customer_name))
        .texts(rows.iter().map(|row| row.match_method.as_str()))
        .texts(rows.iter().map(|row| row.match_candidates.as_str()))
        .bools(rows.iter().map(|row| row.spam))
        .execute(connection)?;
    Ok(())
}

/// `created_at`, `type` and `vanished` are not projected: they stay.
const UPSERT_INTERACTIONS: &str = "
    insert into trunkline.interactions (
        id, direction, lead_id, customer_id, notes, outcome, call_duration_seconds, call_recording_url,
        call_from_number, call_sid, scheduled_at, completed_at, call_to_number, tracking_number, source,
        medium, campaign, keywords, landing_page_url, gclid, utm_source, utm_medium, utm_campaign,
        utm_term, utm_content, transcription, call_summary, tags, lead_status, value, first_call,
        agent_email, company_id, customer_name, match_method, match_candidates, spam, created_at,
        updated_at
    )
    select
        id, direction, lead_id, customer_id, notes, outcome, call_duration_seconds, call_recording_url,
        call_from_number, call_sid, scheduled_at, completed_at, call_to_number, tracking_number, source,
        medium, campaign, keywords, landing_page_url, gclid, utm_source, utm_medium, utm_campaign,
        utm_term, utm_content, transcription, call_summary, tags::jsonb, lead_status, value, first_call,
        agent_email, company_id, customer_name, match_method, match_candidates::jsonb, spam, now.at,
        now.at
    from (select {} as at) as now, unnest(
        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {},
        {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}
    ) as new (
        id, direction, lead_id, customer_id, notes, outcome, call_duration_seconds, call_recording_url,
        call_from_number, call_sid, scheduled_at, completed_at, call_to_number, tracking_number, source,
        medium, campaign, keywords, landing_page_url, gclid, utm_source, utm_medium, utm_campaign,
        utm_term, utm_content, transcription, call_summary, tags, lead_status, value, first_call,
        agent_email, company_id, customer_name, match_method, match_candidates, spam
    )
    on conflict (call_sid) do update set
        id = excluded.id, direction = excluded.direction, lead_id = excluded.lead_id,
        customer_id = excluded.customer_id, notes = excluded.notes, outcome = excluded.outcome,
        call_duration_seconds = excluded.call_duration_seconds,
        call_recording_url = excluded.call_recording_url, call_from_number = excluded.call_from_number,
        scheduled_at = excluded.scheduled_at, completed_at = excluded.completed_at,
        call_to_number = excluded.call_to_number, tracking_number = excluded.tracking_number,
        source = excluded.source, medium = excluded.medium, campaign = excluded.campaign,
        keywords = excluded.keywords, landing_page_url = excluded.landing_page_url,
        gclid = excluded.gclid, utm_source = excluded.utm_source, utm_medium = excluded.utm_medium,
        utm_campaign = excluded.utm_campaign, utm_term = excluded.utm_term,
        utm_content = excluded.utm_content, transcription = excluded.transcription,
        call_summary = excluded.call_summary, tags = excluded.tags, lead_status = excluded.lead_status,
        value = excluded.value, first_call = excluded.first_call, agent_email = excluded.agent_email,
        company_id = excluded.company_id, customer_name = excluded.customer_name,
        match_method = excluded.match_method, match_candidates = excluded.match_candidates,
        spam = excluded.spam, updated_at = excluded.updated_at";

/// What we wrote of the columns that the CRM may write too, and which calls CallRail must be asked about.
fn save_marks(connection: &mut PgConnection, work: &[CallWork]) -> Result<(), StoreError> {
    let marked: Vec<&CallWork> = work
        .iter()
        .filter(|call| call.changes.reread.is_some() || call.changes.row.is_some())
        .collect();
    if marked.is_empty() {
        return Ok(());
    }
    let written: Vec<Option<Written>> = marked
        .iter()
        .map(|call| call.changes.row.as_ref().map(Written::of))
        .collect();
    let notes = written
        .iter()
        .map(|written| written.as_ref().map(|written| written.notes.as_str()));
    let lead_ids = written.iter().map(|written| written.as_ref()?.lead_id.as_deref());
    let customer_ids = written
        .iter()
        .map(|written| written.as_ref()?.customer_id.as_deref());
    Statement::new(
        "update trunkline.calls set
             reread = coalesce(new.reread, calls.reread),
             written_notes = case when has_row then new.written_notes else calls.written_notes end,
             written_lead_id = case when has_row then new.written_lead_id else calls.written_lead_id end,
             written_customer_id =
                 case when has_row then new.written_customer_id else calls.written_customer_id end
         from unnest({}, {}, {}, {}, {}, {})
             as new (call_sid, reread, has_row, written_notes, written_lead_id, written_customer_id)
         where calls.call_sid = new.call_sid",
    )
    .texts(marked.iter().map(|call| call.call_sid.as_str()))
    .column::<Nullable<Bool>, _>(marked.iter().map(|call| call.changes.reread))
    .bools(written.iter().map(Option::is_some))
    .column::<Nullable<Text>, _>(notes)
    .column::<Nullable<Text>, _>(lead_ids)
    .column::<Nullable<Text>, _>(customer_ids)
    .execute(connection)?;
    Ok(())
}
