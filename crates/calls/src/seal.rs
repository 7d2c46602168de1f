//! Seals: what people decided about a call. No event changes it any more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
    /// The objects as CallRail sent them.
    Original,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 10] = [
        Self::Facts,
        Self::Attribution,
        Self::Judgement,
        Self::Recording,
        Self::Transcript,
        Self::Summary,
        Self::Spam,
        Self::Notes,
        Self::Link,
        Self::Original,
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
            Self::Original => "original",
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

    /// Whether any group is sealed for that reason.
    pub fn any(&self, reason: SealReason) -> bool {
        self.0.values().any(|one| *one == reason)
    }

    /// Whether the person asked to be forgotten.
    pub fn is_erased(&self) -> bool {
        self.reason(Group::Facts) == Some(SealReason::Erasure)
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
