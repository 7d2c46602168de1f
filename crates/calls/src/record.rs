//! The record of a call: the set of snapshots seen of it, and the seals that people put on it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use callrail::CompanyId;

use crate::event::{EventKind, Origin};
use crate::snapshot::{Snapshot, Stage};

/// SHA-256 of a snapshot's content, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of the JSON form of `content`.
    pub fn of(content: &impl Serialize) -> Self {
        // What is digested here has string keys only, which is all that could fail.
        Self::of_bytes(&serde_json::to_vec(content).unwrap_or_default())
    }

    /// Of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// Takes back what [`Digest::as_str`] gave.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

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

/// What a seal closes: a group of the snapshot, or what stands in the row besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Numbers, names and places. Direction, outcome, times and duration name nobody and stay.
    Facts,
    /// Where the caller came from.
    Attribution,
    /// Tags, note, value, lead status.
    Judgement,
    /// The recording's links.
    Recording,
    /// The words spoken.
    Transcript,
    /// CallRail's summary.
    Summary,
    /// The spam mark.
    Spam,
    /// The column `notes`.
    Notes,
    /// The columns `lead_id` and `customer_id`.
    Link,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 9] = [
        Self::Facts,
        Self::Attribution,
        Self::Judgement,
        Self::Recording,
        Self::Transcript,
        Self::Summary,
        Self::Spam,
        Self::Notes,
        Self::Link,
    ];

    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Attribution => "attribution",
            Self::Judgement => "judgement",
            Self::Recording => "recording",
            Self::Transcript => "transcript",
            Self::Summary => "summary",
            Self::Spam => "spam",
            Self::Notes => "notes",
            Self::Link => "link",
        }
    }

    /// The group of that name.
    pub fn from_stored(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == name)
    }

    /// The group that a word in CallRail's `changes` stands for (`docs/callrail.md`, "Call modified").
    /// An unknown word may mean anything, so it stands for none: it must not erase.
    pub fn from_change(word: &str) -> Option<Self> {
        match word {
            "transcription_text" | "transcription" | "conversational_transcript" => Some(Self::Transcript),
            "call_summary" => Some(Self::Summary),
            "recording" | "recording_duration" => Some(Self::Recording),
            _ => None,
        }
    }
}

/// Why a group was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealReason {
    /// Somebody wrote something else into the row: that stands.
    Human,
    /// Kept long enough.
    Retention,
    /// The person asked to be forgotten.
    Erasure,
}

impl SealReason {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Retention => "retention",
            Self::Erasure => "erasure",
        }
    }

    /// The reason of that name.
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Human, Self::Retention, Self::Erasure]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// A person's decision about one group of one call. It outlasts every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// What is closed.
    pub group: Group,
    /// Why.
    pub reason: SealReason,
    /// Since when.
    pub at: DateTime<Utc>,
    /// By whom: a user's id, or the part of Trunkline that noticed.
    pub by: String,
}

/// The seals of one call, one a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seals(BTreeMap<Group, SealReason>);

impl Seals {
    /// Closes a group. The first seal of a group stays.
    pub fn close(&mut self, group: Group, reason: SealReason) {
        self.0.entry(group).or_insert(reason);
    }

    /// Why the group is sealed, if it is.
    pub fn reason(&self, group: Group) -> Option<SealReason> {
        self.0.get(&group).copied()
    }

    /// Whether the group takes values.
    pub fn is_open(&self, group: Group) -> bool {
        !self.0.contains_key(&group)
    }
}

impl FromIterator<(Group, SealReason)> for Seals {
    fn from_iter<I: IntoIterator<Item = (Group, SealReason)>>(seals: I) -> Self {
        Self(seals.into_iter().collect())
    }
}
