//! What a batch of events does, but for the statements: every database reads and writes around this.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use calls::{
    CallChanges, CallEvent, CallId, CallState, ContactRef, Digest, ErasedNumbers, MatchRules, People,
    PhoneNumber, Retention, Seals,
};
use chrono::{DateTime, Utc};

use crate::import::CallsProgress;
use crate::rows::{CallRow, EventRow, InteractionRow, SealRow, SnapshotRow, call_id};
use crate::{Matches, StoreError};

/// Events by the call they are about, the calls in the order of their ids, the events of a call in their own.
pub(crate) struct Batch {
    by_call: BTreeMap<CallId, Vec<CallEvent>>,
}

/// What is to be written of one call.
pub(crate) struct CallWork {
    pub(crate) call_sid: CallId,
    /// Whether the call had a row before.
    pub(crate) had_row: bool,
    /// New members of the record, and those that were seen again.
    pub(crate) snapshots: Vec<EventRow>,
    /// The rest.
    pub(crate) changes: CallChanges,
}

impl Batch {
    pub(crate) fn new(events: Vec<CallEvent>) -> Self {
        let mut by_call: BTreeMap<CallId, Vec<CallEvent>> = BTreeMap::new();
        for event in events {
            by_call
                .entry(event.call.call_sid.clone())
                .or_default()
                .push(event);
        }
        Self { by_call }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    /// Whether all of it is news of calls that go on: such a batch does not stand in line with others.
    pub(crate) fn is_progress(&self) -> bool {
        self.by_call
            .values()
            .flatten()
            .all(|event| event.kind.is_progress())
    }

    /// The calls, in order.
    pub(crate) fn call_sids(&self) -> impl Iterator<Item = &CallId> {
        self.by_call.keys()
    }

    /// The calls that import runs have waited for. Empty for webhooks.
    pub(crate) fn imported(&self) -> CallsProgress {
        CallsProgress::stored(self.by_call.values().flatten())
    }

    /// The numbers of the people outside, as the batch and what is known already name them.
    pub(crate) fn numbers(&self, states: &HashMap<CallId, CallState>) -> BTreeSet<PhoneNumber> {
        let told = self.by_call.values().flatten().map(|event| &event.call.facts);
        let told = told.filter_map(|facts| facts.customer.as_ref()?.e164.clone());
        told.chain(customer_numbers(states.values())).collect()
    }

    /// Works out what is to be written. `states` is what is known of the calls; one that is missing there is new.
    /// `people` is `None` when they could not be looked up in time, which only progress does not wait for.
    pub(crate) fn work_out(
        &self,
        mut states: HashMap<CallId, CallState>,
        people: Option<&People>,
        rules: &MatchRules,
        retention: &Retention,
        erased: &ErasedNumbers,
        now: DateTime<Utc>,
    ) -> Result<Vec<CallWork>, StoreError> {
        let mut work = Vec::with_capacity(self.by_call.len());
        for (call_sid, events) in &self.by_call {
            let state = states
                .remove(call_sid)
                .unwrap_or_else(|| CallState::new(call_sid.clone()));
            if state.seals.is_erased() || events.iter().any(|event| erased.has_call_of(event)) {
                work.extend(CallWork::erasing(state, events, now)?);
                continue;
            }
            work.push(CallWork::applying(state, events, people, rules, retention, now)?);
        }
        Ok(work)
    }
}

/// How the callers of the rows that are new were matched.
pub(crate) fn matches(work: &[CallWork]) -> Matches {
    let mut matches = Matches::default();
    let new = work.iter().filter(|call| !call.had_row);
    for row in new.filter_map(|call| call.changes.row.as_ref()) {
        let count = match &row.link {
            link if !link.candidates.is_empty() => &mut matches.ambiguous,
            link if link.is_set() => &mut matches.matched,
            _ => &mut matches.unmatched,
        };
        *count += 1;
    }
    matches
}

impl CallWork {
    fn applying(
        state: CallState,
        events: &[CallEvent],
        people: Option<&People>,
        rules: &MatchRules,
        retention: &Retention,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let call_sid = state.call_sid.clone();
        let had_row = state.row.is_some();
        let mut seals = state.seals.clone();
        let changes = calls::apply(state, events, people, rules, retention, now);
        for seal in &changes.seals {
            seals.close(seal.group, seal.reason);
        }
        Ok(Self {
            call_sid,
            had_row,
            snapshots: event_rows(&changes, events, &seals)?,
            changes,
        })
    }

    /// Takes away what is kept no longer of a call.
    pub(crate) fn retaining(
        state: CallState,
        retention: &Retention,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        Self::applying(state, &[], None, &MatchRules::default(), retention, now)
    }

    /// Forgets who was on a call, and what these events bring. `None`: there is nothing to write.
    pub(crate) fn erasing(
        state: CallState,
        events: &[CallEvent],
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let call_sid = state.call_sid.clone();
        let had_row = state.row.is_some();
        let Some(changes) = calls::erase(state, events, now) else {
            return Ok(None);
        };
        let snapshots = changes.snapshots.iter().map(EventRow::without_original);
        Ok(Some(Self {
            call_sid,
            had_row,
            snapshots: snapshots.collect::<Result<_, _>>()?,
            changes,
        }))
    }
}

/// Each member of the record that is new or changed, with the event that brought it, as it may be kept.
fn event_rows(
    changes: &CallChanges,
    events: &[CallEvent],
    seals: &Seals,
) -> Result<Vec<EventRow>, StoreError> {
    if changes.snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let mut brought: HashMap<Digest, Cow<'_, CallEvent>> = HashMap::with_capacity(events.len());
    for event in events {
        let event = event.as_sealed(seals);
        brought.entry(event.digest()).or_insert(event);
    }
    let rows = changes
        .snapshots
        .iter()
        .map(|recorded| match brought.get(&recorded.digest) {
            Some(event) => EventRow::new(recorded, event),
            None => EventRow::without_original(recorded),
        });
    rows.collect()
}

/// With whom these calls are linked that are not among `people`: somebody has linked them by hand, or the person has
/// another number now.
pub(crate) fn linked_with_others<'a>(
    states: impl Iterator<Item = &'a CallState>,
    people: &People,
) -> BTreeSet<ContactRef> {
    let linked = states.filter_map(|state| state.row.as_ref()?.link.contact());
    linked.filter(|contact| people.find(contact).is_none()).collect()
}

/// The numbers of the people outside in these calls.
pub(crate) fn customer_numbers<'a>(
    states: impl Iterator<Item = &'a CallState>,
) -> impl Iterator<Item = PhoneNumber> {
    states
        .flat_map(|state| state.record.in_order())
        .filter_map(|recorded| recorded.snapshot.facts.customer.as_ref()?.e164.clone())
}

/// What is known of calls, from the rows of four tables.
pub(crate) fn assemble(
    known: Vec<CallRow>,
    snapshots: Vec<SnapshotRow>,
    sealed: Vec<SealRow>,
    rows: Vec<InteractionRow>,
) -> Result<HashMap<CallId, CallState>, StoreError> {
    let mut states: HashMap<CallId, CallState> = HashMap::with_capacity(known.len());
    for call in known {
        let call_sid = call_id(&call.call_sid)?;
        states.insert(
            call_sid.clone(),
            CallState {
                reread: call.reread,
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
