//! The record of a call: the set of snapshots seen of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use callrail::CompanyId;

use crate::digest::Digest;
use crate::event::{CallEvent, EventKind, Origin, content_digest};
use crate::snapshot::{Snapshot, Stage};

/// One member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSnapshot {
    /// Its key.
    pub digest: Digest,
    /// Which webhook, or the import.
    pub kind: EventKind,
    /// The least of those who brought it: what a webhook and a replay both brought counts as the webhook's.
    pub origin: Origin,
    /// The company in CallRail. Not part of the content: a webhook's body need not name it.
    pub company: Option<CompanyId>,
    /// When it was first seen.
    pub first_observed_at: DateTime<Utc>,
    /// When it was last seen: a state that comes back is the newest again.
    pub last_observed_at: DateTime<Utc>,
    /// What CallRail says has changed, sorted.
    pub changes: Vec<String>,
    /// The content.
    pub snapshot: Snapshot,
}

impl CallEvent {
    /// The event as the record of its call keeps it.
    pub fn to_recorded(&self) -> RecordedSnapshot {
        RecordedSnapshot {
            digest: self.digest(),
            kind: self.kind,
            origin: self.origin,
            company: self.company.clone(),
            first_observed_at: self.observed_at,
            last_observed_at: self.observed_at,
            changes: self.changes.clone(),
            snapshot: self.call.clone(),
        }
    }
}

impl RecordedSnapshot {
    /// The same, named by what it holds now.
    fn with_its_digest(self) -> Self {
        Self {
            digest: content_digest(self.kind, &self.snapshot, &self.changes),
            ..self
        }
    }
}

/// Snapshots of one call that differ and were seen closer together than this may be in the wrong order:
/// two replicas, two clocks.
const TOO_CLOSE: TimeDelta = TimeDelta::seconds(5);

/// The set of snapshots seen of one call, keyed by digest.
///
/// Adding is set union with the least and greatest time: commutative, associative and idempotent, so the order,
/// the repetition and the interleaving of events cannot matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    snapshots: BTreeMap<Digest, RecordedSnapshot>,
}

impl Record {
    /// Adds a snapshot. Returns whether the record is another one now.
    pub fn add(&mut self, new: RecordedSnapshot) -> bool {
        let Some(known) = self.snapshots.get_mut(&new.digest) else {
            self.snapshots.insert(new.digest.clone(), new);
            return true;
        };
        let before = known.clone();
        known.origin = known.origin.min(new.origin);
        known.company = known.company.take().max(new.company);
        known.first_observed_at = known.first_observed_at.min(new.first_observed_at);
        known.last_observed_at = known.last_observed_at.max(new.last_observed_at);
        before != *known
    }

    /// The same record with less in it: each snapshot as `change` leaves it, under the digest that it has then.
    pub(crate) fn reduced(&self, change: impl Fn(&RecordedSnapshot) -> RecordedSnapshot) -> Self {
        self.snapshots
            .values()
            .map(|recorded| change(recorded).with_its_digest())
            .collect()
    }

    /// The member with this digest.
    pub fn get(&self, digest: &Digest) -> Option<&RecordedSnapshot> {
        self.snapshots.get(digest)
    }

    /// All members, oldest first, as the projection folds them: by stage, then by when they were last seen, then
    /// by digest, which makes the order total.
    pub fn in_order(&self) -> Vec<&RecordedSnapshot> {
        let mut all: Vec<_> = self.snapshots.values().collect();
        all.sort_by_key(|one| (one.snapshot.stage, one.last_observed_at, &one.digest));
        all
    }

    /// Whether a webhook has told that the call is over.
    pub fn was_ended_by_webhook(&self) -> bool {
        let mut all = self.snapshots.values();
        all.any(|one| one.snapshot.stage == Stage::Ended && one.kind != EventKind::Import)
    }

    /// Whether webhooks brought two different states of the ended call so close together that receipt does not
    /// prove which is the newer. CallRail's API must be asked; an import after both settles it.
    pub fn is_order_in_doubt(&self) -> bool {
        let mut ended = self.in_order();
        ended.retain(|one| one.snapshot.stage == Stage::Ended);
        let (imports, webhooks): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|one| one.kind == EventKind::Import);
        let settled_to = imports.last().map(|import| import.last_observed_at);
        webhooks.windows(2).any(|pair| {
            let apart = pair[1].last_observed_at - pair[0].last_observed_at;
            let is_settled = settled_to.is_some_and(|at| pair[1].last_observed_at < at);
            pair[0].snapshot != pair[1].snapshot && apart < TOO_CLOSE && !is_settled
        })
    }
}

impl FromIterator<RecordedSnapshot> for Record {
    fn from_iter<I: IntoIterator<Item = RecordedSnapshot>>(snapshots: I) -> Self {
        let mut record = Self::default();
        for snapshot in snapshots {
            record.add(snapshot);
        }
        record
    }
}
