//! What one delivery or one imported object says of a call, normalised and in groups that move together.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use callrail::{CallId, CallType, Direction};

use crate::phone::Party;

/// How far the call had come. The order is that of the projection: a later stage always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The phone rings. `answered` is false now, which says nothing about a missed call.
    Ringing,
    /// Sent on to its destination, or any other object of a call that is not over.
    Routed,
    /// Over: the object is complete.
    Ended,
}

/// The normalised call. A group that is `None` was not asserted: its keys were not there.
/// Inside a group `None` is a value: CallRail says that there is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// CallRail's id of the call.
    pub call_sid: CallId,
    /// See [`Stage`].
    pub stage: Stage,
    /// Who, when, how long, with what result. Complete when the stage is [`Stage::Ended`].
    pub facts: Facts,
    /// Where the caller came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// What people made of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// Empty asserts nothing, unless `changes` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// The words spoken. The empty string: the key was there and empty, see `recording`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// CallRail's summary. The empty string: the key was there and empty, see `recording`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Marked as spam in CallRail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spam: Option<bool>,
}

/// The course of the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// From the business's side.
    pub direction: Direction,
    /// A person or a telephone system picked up.
    pub answered: bool,
    /// CallRail's voicemail took the call.
    pub voicemail: bool,
    /// CallRail's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<CallType>,
    /// Whole seconds.
    pub duration_seconds: u32,
    /// `None` only while the call is not over.
    pub started_at: Option<DateTime<Utc>>,
    /// The first call from this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_call: Option<bool>,
    /// The person outside, in both directions (`docs/callrail.md`, "Numbers").
    pub customer: Option<Party>,
    /// The account's number that was dialled or shown.
    pub tracking: Option<Party>,
    /// Where the call was put through to.
    pub business: Option<Party>,
    /// The carrier's caller name (CNAM): often a place or an older owner of the line.
    pub customer_name: Option<String>,
    /// City and state of the line, as CallRail gives them.
    pub customer_location: Option<String>,
    /// Who took the call.
    pub agent_email: Option<String>,
    /// The name of the tracking number: the only source that a ringing call carries.
    pub source_name: Option<String>,
}

/// Where the caller came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "the fields have the names and the meaning of CallRail's own"
)]
pub struct Attribution {
    pub source: Option<String>,
    pub medium: Option<String>,
    pub campaign: Option<String>,
    pub keywords: Option<String>,
    pub landing_page_url: Option<String>,
    pub gclid: Option<String>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_term: Option<String>,
    pub utm_content: Option<String>,
}

/// What people made of the call. Here empty is a value: a tag that was taken away is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Judgement {
    /// A sorted set.
    pub tags: Vec<String>,
    /// Free text.
    pub note: Option<String>,
    /// An amount, as CallRail writes it.
    pub value: Option<String>,
    /// `good_lead`, `not_a_lead`, `previously_marked_good_lead`.
    pub lead_status: Option<String>,
}

/// The links to the recording. Every one of them is a secret: whoever has it can listen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recording {
    /// The webhook's `recording`. The API's `recording` is another kind of link and is never kept.
    pub url: Option<String>,
    /// `recording_player`.
    pub player: Option<String>,
}

impl Recording {
    /// Whether there is nothing to listen to.
    pub fn is_empty(&self) -> bool {
        self.url.is_none() && self.player.is_none()
    }
}
