//! The call event: what travels in the queues, one for every delivery of CallRail and every imported call.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use callrail::{CompanyId, WebhookKind};
use trace::TraceContext;

use crate::digest::Digest;
use crate::original::Original;
use crate::snapshot::Snapshot;

/// The version of the JSON form. Later versions only add to it, so an older event can always be read.
pub const SCHEMA: u16 = 1;

/// One snapshot of one call, with where and when it was seen.
///
/// The JSON form is the contract between the services. It holds no card data: it can only be made by
/// [`from_callrail`](crate::from_callrail()), which redacts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// See [`SCHEMA`].
    pub schema: u16,
    /// A UUIDv7 made once, at receipt. It names the message in logs and queues. It is never a reason to drop one.
    pub event_id: Uuid,
    /// Which webhook, or the import.
    pub kind: EventKind,
    /// Who brought it.
    pub origin: Origin,
    /// When it was true: a webhook's receipt, or the clock just before the request that fetched it. A replay keeps
    /// the time of the original. Whole microseconds.
    pub observed_at: DateTime<Utc>,
    /// The import run that fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_id: Option<Uuid>,
    /// The company in CallRail, as the body or else the signing key names it.
    pub company: Option<CompanyId>,
    /// The call, normalised.
    pub call: Snapshot,
    /// What CallRail says has changed (`docs/callrail.md`, "Call modified"), sorted.
    pub changes: Vec<String>,
    /// The object as it came, redacted, unknown fields and all.
    pub raw: Original,
    /// The trace that what follows from it belongs to. Says nothing of the call, and travels beside the JSON form.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
}

impl CallEvent {
    /// The JSON form.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(2 * self.raw.as_str().len());
        // Every key is a string and every number finite, so there is nothing that JSON could not hold.
        let _ = serde_json::to_writer(&mut body, self);
        body
    }

    /// Reads the JSON form.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(body).map_err(|error| DecodeError::new("a call event", error))
    }

    /// Names the content: kind, normalised call and changes, never the time or the message.
    pub fn digest(&self) -> Digest {
        content_digest(self.kind, &self.call, &self.changes)
    }
}

/// Names what an event says.
pub(crate) fn content_digest(kind: EventKind, call: &Snapshot, changes: &[String]) -> Digest {
    Digest::of(&(kind, call, changes))
}

/// The body of a message is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("the message is not {expected}")]
pub struct DecodeError {
    expected: &'static str,
    source: serde_json::Error,
}

impl DecodeError {
    pub(crate) fn new(expected: &'static str, source: serde_json::Error) -> Self {
        Self { expected, source }
    }
}

/// Which webhook brought an event, or that it was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// An inbound call rings.
    PreCall,
    /// An inbound call was routed to its destination.
    RoutingComplete,
    /// An inbound call is over.
    PostCall,
    /// An inbound call that is over has changed.
    CallModified,
    /// An outbound call is over.
    OutboundPostCall,
    /// An outbound call that is over has changed.
    OutboundCallModified,
    /// Read from CallRail's API.
    Import,
}

impl EventKind {
    /// The name in JSON, in the database and, for a webhook, in its URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreCall => "pre-call",
            Self::RoutingComplete => "routing-complete",
            Self::PostCall => "post-call",
            Self::CallModified => "call-modified",
            Self::OutboundPostCall => "outbound-post-call",
            Self::OutboundCallModified => "outbound-call-modified",
            Self::Import => "import",
        }
    }

    /// Whether the call is still going on: such events overtake all others.
    pub fn is_progress(self) -> bool {
        matches!(self, Self::PreCall | Self::RoutingComplete)
    }
}

impl From<WebhookKind> for EventKind {
    fn from(kind: WebhookKind) -> Self {
        match kind {
            WebhookKind::PreCall => Self::PreCall,
            WebhookKind::RoutingComplete => Self::RoutingComplete,
            WebhookKind::PostCall => Self::PostCall,
            WebhookKind::CallModified => Self::CallModified,
            WebhookKind::OutboundPostCall => Self::OutboundPostCall,
            WebhookKind::OutboundCallModified => Self::OutboundCallModified,
        }
    }
}

/// Who brought an event. The order says which is kept when the same content comes twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// CallRail, by a signed delivery.
    Webhook,
    /// Trunkline, from CallRail's API.
    Import,
    /// An operator, from the dead letters.
    Replay,
}

impl Origin {
    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Import => "import",
            Self::Replay => "replay",
        }
    }
}
