//! The interaction: the one row a CRM reads of a call.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use callrail::{CallId, CompanyId, Direction};

use crate::matching::Link;
use crate::phone::Party;

/// Names our UUIDv5 values (RFC 9562, section 5.5); made once for this purpose.
pub(crate) const NAMESPACE: Uuid = Uuid::from_u128(0x6f0b_8f6e_52c1_4c0e_9d0a_7b1e_3c5d_2a41);

/// The id of a call's row: made from the call's id, so that an alert can name the row before it is there.
pub fn interaction_id(call_sid: &CallId) -> Uuid {
    Uuid::new_v5(&NAMESPACE, call_sid.as_str().as_bytes())
}

/// How a call ended, in the CRM's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered.
    Completed,
    /// Nobody answered, and there is no voicemail.
    NoAnswer,
    /// CallRail's voicemail took it.
    Voicemail,
}

impl Outcome {
    /// The name in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::NoAnswer => "no_answer",
            Self::Voicemail => "voicemail",
        }
    }

    /// The outcome of that name.
    pub fn from_stored(name: &str) -> Option<Self> {
        [Self::Completed, Self::NoAnswer, Self::Voicemail]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// The row of a call, but for the times at which it was written.
///
/// All of it but `link` is a function of the record and the seals. `link` also depends on whom the CRM knew when
/// the call was matched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields have the names and the meaning of the columns in docs/database.md"
)]
pub struct Interaction {
    pub id: Uuid,
    pub call_sid: CallId,
    pub direction: Direction,
    pub outcome: Outcome,
    pub call_duration_seconds: u32,
    pub scheduled_at: DateTime<Utc>,
    pub completed_at: DateTime<Utc>,
    pub notes: String,
    pub call_recording_url: Option<String>,
    /// As a person reads it: E.164, or the text CallRail sent.
    pub call_from_number: Option<String>,
    pub call_to_number: Option<String>,
    pub tracking_number: Option<String>,
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
    pub transcription: Option<String>,
    pub call_summary: Option<String>,
    pub tags: Vec<String>,
    pub lead_status: Option<String>,
    pub value: Option<String>,
    pub first_call: Option<bool>,
    pub agent_email: Option<String>,
    pub company_id: Option<CompanyId>,
    /// The carrier's name for the line, never the CRM's.
    pub customer_name: Option<String>,
    pub spam: bool,
    pub link: Link,
}

impl Interaction {
    /// The person outside: who called, or who was called.
    pub fn customer_number(&self) -> Option<&str> {
        match self.direction {
            Direction::Inbound => self.call_from_number.as_deref(),
            Direction::Outbound => self.call_to_number.as_deref(),
        }
    }

    /// The columns that events fill, by name, as text; for people who compare two states.
    pub fn columns(&self) -> Vec<(&'static str, Option<String>)> {
        let tags = (!self.tags.is_empty()).then(|| self.tags.join(", "));
        vec![
            ("direction", Some(direction_name(self.direction).to_owned())),
            ("outcome", Some(self.outcome.as_str().to_owned())),
            (
                "call_duration_seconds",
                Some(self.call_duration_seconds.to_string()),
            ),
            ("scheduled_at", Some(self.scheduled_at.to_rfc3339())),
            ("completed_at", Some(self.completed_at.to_rfc3339())),
            ("call_recording_url", self.call_recording_url.clone()),
            ("call_from_number", self.call_from_number.clone()),
            ("call_to_number", self.call_to_number.clone()),
            ("tracking_number", self.tracking_number.clone()),
            ("source", self.source.clone()),
            ("medium", self.medium.clone()),
            ("campaign", self.campaign.clone()),
            ("keywords", self.keywords.clone()),
            ("landing_page_url", self.landing_page_url.clone()),
            ("gclid", self.gclid.clone()),
            ("utm_source", self.utm_source.clone()),
            ("utm_medium", self.utm_medium.clone()),
            ("utm_campaign", self.utm_campaign.clone()),
            ("utm_term", self.utm_term.clone()),
            ("utm_content", self.utm_content.clone()),
            ("transcription", self.transcription.clone()),
            ("call_summary", self.call_summary.clone()),
            ("tags", tags),
            ("lead_status", self.lead_status.clone()),
            ("value", self.value.clone()),
            ("first_call", self.first_call.map(|first| first.to_string())),
            ("agent_email", self.agent_email.clone()),
            ("customer_name", self.customer_name.clone()),
            ("spam", Some(self.spam.to_string())),
            ("notes", Some(self.notes.clone())),
        ]
    }
}

/// The word for a direction in the database and in JSON.
pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

/// A number as it stands in a row.
pub(crate) fn number(party: Option<&Party>) -> Option<String> {
    party.map(|party| party.display().to_owned())
}
