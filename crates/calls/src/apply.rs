//! What new events do to one call: what the database knows goes in, what to write comes out. Pure.

use chrono::{DateTime, Utc};

use callrail::CallId;

use crate::alert::{Occasion, OutgoingAlert};
use crate::digest::Digest;
use crate::event::CallEvent;
use crate::interaction::Interaction;
use crate::matching::{self, ContactRef, Link, MatchMethod, MatchRules, People};
use crate::phone::Party;
use crate::project::project;
use crate::record::{Record, RecordedSnapshot};
use crate::retention::{Retention, seal_what_is_due};
use crate::seal::{Group, Seal, SealReason, Seals};
use crate::snapshot::Stage;

/// What the database knows of one call.
#[derive(Debug, Clone)]
pub struct CallState {
    /// CallRail's id of the call.
    pub call_sid: CallId,
    /// The snapshots seen so far.
    pub record: Record,
    /// The decisions of people.
    pub seals: Seals,
    /// The row as it stands, with whatever the CRM wrote into it.
    pub row: Option<Interaction>,
    /// What we last wrote of what the CRM may write too.
    pub written: Option<Written>,
    /// CallRail must be asked which of two states is the newer.
    pub reread: bool,
}

impl CallState {
    /// A call that nobody has seen yet.
    pub fn new(call_sid: CallId) -> Self {
        Self {
            call_sid,
            record: Record::default(),
            seals: Seals::default(),
            row: None,
            written: None,
            reread: false,
        }
    }
}

/// What we wrote into the columns that the CRM may write too. Where the row now says something else, a person
/// decided, and that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Of the column `notes`.
    pub notes: Digest,
    /// The column `lead_id`.
    pub lead_id: Option<String>,
    /// The column `customer_id`.
    pub customer_id: Option<String>,
}

impl Written {
    /// What writing this row leaves to compare with.
    pub fn of(row: &Interaction) -> Self {
        Self {
            notes: Digest::of_bytes(row.notes.as_bytes()),
            lead_id: row.link.lead_id.clone(),
            customer_id: row.link.customer_id.clone(),
        }
    }
}

/// What to write. Everything that is empty or `None` is as the database has it already.
#[derive(Debug, Clone, Default)]
pub struct CallChanges {
    /// Whether the snapshots take the place of all that the record held.
    pub replaces_record: bool,
    /// Members of the record that are new or were seen again.
    pub snapshots: Vec<RecordedSnapshot>,
    /// The row, when it is another one now.
    pub row: Option<Interaction>,
    /// Decisions that show in the row. Each takes the place of one that is there of the same group.
    pub seals: Vec<Seal>,
    /// To be inserted unless their ids are there.
    pub alerts: Vec<OutgoingAlert>,
    /// Whether receipt leaves in doubt which of two states is the newer, so that the reconciler must ask CallRail, when
    /// that is another answer than before: an import settles it.
    pub reread: Option<bool>,
}

/// Works out what `events`, all of this call and in the order of their queue, change.
///
/// The row that results does not depend on how events are cut into batches, or on their order; alerts do, as the
/// people who read them live in time. What is kept no longer by `retention` is sealed, and taken out of the record, of a
/// call without events too.
///
/// `people` is `None` when nobody can be looked up now: a call that goes on is told with its number alone (see
/// [`amend`]), and the links of rows stay as they are.
pub fn apply(
    mut state: CallState,
    events: &[CallEvent],
    people: Option<&People>,
    rules: &MatchRules,
    retention: &Retention,
    now: DateTime<Utc>,
) -> CallChanges {
    let stored = state.row.clone();
    let mut changes = CallChanges {
        seals: seal_what_people_wrote(&mut state, now),
        ..CallChanges::default()
    };
    let due = seal_what_is_due(&mut state, events, retention, now);
    if !due.is_empty() {
        changes.replaces_record = true;
        changes.seals.extend(due);
        state.row = next_row(&state, people, rules);
    }
    let mut seen = Vec::new();
    for event in events {
        let event = event.kept(&state.seals);
        let ended_by_webhook = state.record.was_ended_by_webhook();
        let recorded = event.to_recorded();
        if !state.record.add(recorded.clone()) {
            continue;
        }
        let after = next_row(&state, people, rules);
        let contact = people.and_then(|people| {
            let link = match &after {
                Some(row) => row.link.clone(),
                None => matching::link(event.call.facts.customer.as_ref(), people, rules),
            };
            people.find(&link.contact()?)
        });
        let occasion = Occasion {
            told: &recorded,
            ended_by_webhook,
            before: state.row.as_ref(),
            after: after.as_ref(),
            contact,
            trace: event.trace,
            now,
        };
        changes.alerts.extend(occasion.alerts());
        seen.push(recorded.digest);
        state.row = after;
    }
    seen.sort_unstable();
    seen.dedup();
    changes.snapshots = if changes.replaces_record {
        state.record.in_order().into_iter().cloned().collect()
    } else {
        let seen = seen.iter().filter_map(|digest| state.record.get(digest));
        seen.cloned().collect()
    };
    if !changes.snapshots.is_empty() {
        let reread = state.record.is_order_in_doubt();
        changes.reread = (reread != state.reread).then_some(reread);
    }
    changes.row = state.row.filter(|row| stored.as_ref() != Some(row));
    changes
}

/// The alert that amends what was told of a call with its number alone, now that people can be looked up. `told` names
/// the snapshots of the call that were told so.
///
/// `None` if nobody knows the caller, if the call has ended, if it has gone on since then, which was told with the name,
/// or if it is no news any more.
pub fn amend(
    state: &CallState,
    told: &[Digest],
    people: &People,
    rules: &MatchRules,
    now: DateTime<Utc>,
) -> Option<OutgoingAlert> {
    let newest = state.record.in_order().pop()?;
    if newest.snapshot.stage == Stage::Ended || !told.contains(&newest.digest) {
        return None;
    }
    let link = matching::link(newest.snapshot.facts.customer.as_ref(), people, rules);
    let occasion = Occasion {
        told: newest,
        ended_by_webhook: false,
        before: None,
        after: None,
        contact: Some(people.find(&link.contact()?)?),
        trace: None,
        now,
    };
    occasion.amended()
}

/// Links a call that could not be linked when it came: the number has become known since.
/// Returns the row to write, if it is another one now.
pub fn link_again(
    mut state: CallState,
    people: &People,
    rules: &MatchRules,
    now: DateTime<Utc>,
) -> CallChanges {
    let stored = state.row.clone();
    let seals = seal_what_people_wrote(&mut state, now);
    let row = next_row(&state, Some(people), rules).filter(|row| stored.as_ref() != Some(row));
    CallChanges {
        row,
        seals,
        ..CallChanges::default()
    }
}

/// Links a call with a person of the CRM, or with nobody, by a person's decision: no event and no new contact changes
/// that any more. A call without a row, or whose link was erased, stays as it is.
pub fn link_by_hand(
    mut state: CallState,
    contact: Option<&ContactRef>,
    by: &str,
    now: DateTime<Utc>,
) -> CallChanges {
    let stored = state.row.clone();
    let mut seals = seal_what_people_wrote(&mut state, now);
    let Some(row) = &mut state.row else {
        return CallChanges::default();
    };
    if state.seals.is_open(Group::Link) {
        state.seals.close(Group::Link, SealReason::Human);
        seals.push(Seal {
            group: Group::Link,
            reason: SealReason::Human,
            at: now,
            by: by.to_owned(),
        });
    }
    // Of what else was known nothing is lost: all who have the number stay candidates.
    row.link = Link {
        candidates: std::mem::take(&mut row.link.candidates),
        ..Link::with(contact, MatchMethod::Human)
    };
    let row = next_row(&state, Some(&People::default()), &MatchRules::default());
    CallChanges {
        row: row.filter(|row| stored.as_ref() != Some(row)),
        seals,
        ..CallChanges::default()
    }
}

/// The row that the record gives, with what stands in the row by a person's decision, and with its link: a link
/// that is set is never moved.
pub(crate) fn next_row(
    state: &CallState,
    people: Option<&People>,
    rules: &MatchRules,
) -> Option<Interaction> {
    let mut row = project(&state.record, &state.seals)?;
    let by_hand = |group| state.seals.reason(group) == Some(SealReason::Human);
    row.link = match (&state.row, state.seals.reason(Group::Link)) {
        (Some(old), Some(SealReason::Human)) => Link {
            method: MatchMethod::Human,
            ..old.link.clone()
        },
        (None, Some(SealReason::Human)) => Link::none(MatchMethod::Human),
        (_, Some(_)) => Link::none(MatchMethod::NoContact),
        (Some(old), None) if old.link.is_set() => old.link.clone(),
        (old, None) => match people {
            Some(people) => matching::link(customer(&state.record), people, rules),
            None => old.as_ref()?.link.clone(),
        },
    };
    if let Some(old) = &state.row
        && by_hand(Group::Notes)
    {
        row.notes.clone_from(&old.notes);
    }
    Some(row)
}

/// The outside party: as the newest snapshot with a readable number names it, so that a snapshot without one does
/// not make the link depend on which of them came first; else as the newest names it.
fn customer(record: &Record) -> Option<&Party> {
    let snapshots = record.in_order();
    let parties = snapshots
        .iter()
        .rev()
        .map(|one| one.snapshot.facts.customer.as_ref());
    let readable = parties.clone().flatten().find(|party| party.e164.is_some());
    readable.or_else(|| parties.clone().next().flatten())
}

/// CRMs write into our table. What is no longer what we wrote is a person's decision: it is sealed.
fn seal_what_people_wrote(state: &mut CallState, now: DateTime<Utc>) -> Vec<Seal> {
    let (Some(row), Some(written)) = (&mut state.row, &state.written) else {
        return Vec::new();
    };
    let found = Written::of(row);
    let linked = (&found.lead_id, &found.customer_id) != (&written.lead_id, &written.customer_id);
    let changed = [
        (Group::Notes, found.notes != written.notes),
        (Group::Link, linked),
    ];
    let mut seals = Vec::new();
    for (group, changed) in changed {
        if changed && state.seals.is_open(group) {
            state.seals.close(group, SealReason::Human);
            if group == Group::Link {
                // Now, not with the next event: that one would seem to have changed the row.
                row.link.method = MatchMethod::Human;
            }
            seals.push(Seal {
                group,
                reason: SealReason::Human,
                at: now,
                by: "crm".to_owned(),
            });
        }
    }
    seals
}
