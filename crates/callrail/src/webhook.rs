//! The webhooks that carry a call, and why a body may not be one (docs/callrail.md, "Webhook types").

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of `CallRail`'s call webhooks a body came by.
///
/// The body does not say: only the address it was sent to does. Its serialised form and its `Display` are
/// [`Self::path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    /// An inbound call was received and is not connected yet. Reads like a missed call and is none.
    PreCall,
    /// An inbound call was routed to its destination.
    RoutingComplete,
    /// An inbound call is over.
    PostCall,
    /// An inbound call that is over was changed.
    CallModified,
    /// An outbound call is over.
    OutboundPostCall,
    /// An outbound call that is over was changed.
    OutboundCallModified,
}

impl WebhookKind {
    /// Every kind, in the order a call meets them.
    pub const ALL: [Self; 6] = [
        Self::PreCall,
        Self::RoutingComplete,
        Self::PostCall,
        Self::CallModified,
        Self::OutboundPostCall,
        Self::OutboundCallModified,
    ];

    /// The kind as the last part of a webhook address.
    pub fn path(self) -> &'static str {
        match self {
            Self::PreCall => "pre-call",
            Self::RoutingComplete => "routing-complete",
            Self::PostCall => "post-call",
            Self::CallModified => "call-modified",
            Self::OutboundPostCall => "outbound-post-call",
            Self::OutboundCallModified => "outbound-call-modified",
        }
    }

    /// The kind whose [`Self::path`] this is, to the letter.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.path() == path)
    }

    /// The key under which `CallRail`'s integrations API keeps the addresses of this kind. Two of them do not
    /// have the name one expects: routing complete is `answered_call_webhook`, call modified is
    /// `updated_call_webhook`.
    pub fn config_key(self) -> &'static str {
        match self {
            Self::PreCall => "pre_call_webhook",
            Self::RoutingComplete => "answered_call_webhook",
            Self::PostCall => "post_call_webhook",
            Self::CallModified => "updated_call_webhook",
            Self::OutboundPostCall => "post_outbound_call_webhook",
            Self::OutboundCallModified => "updated_outbound_call_webhook",
        }
    }

    /// What the box for its addresses is called on `CallRail`'s Webhooks page (docs/callrail.md, "Webhook types").
    pub fn box_name(self) -> &'static str {
        match self {
            Self::PreCall => "Pre-Call",
            Self::RoutingComplete => "Call Routing Complete",
            Self::PostCall => "Post-Call",
            Self::CallModified => "Call Modified",
            Self::OutboundPostCall => "Outbound Post Call",
            Self::OutboundCallModified => "Outbound Call Modified",
        }
    }
}

impl fmt::Display for WebhookKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path())
    }
}

/// Why a body is not a call. Its `Display` never holds text of the body, which is personal data.
#[derive(Debug, thiserror::Error)]
pub enum NotACall {
    /// Not JSON: another format, invalid UTF-8, or nested deeper than 128 levels.
    #[error("the body is not readable JSON")]
    NotJson {
        /// What the parser stumbled over, by line and column.
        source: serde_json::Error,
    },
    /// JSON, but a list or a single value.
    #[error("the body is JSON but not an object")]
    NotAnObject,
    /// Another kind of event: `text message`, `form submission`, `Convert Assist` or `Voice Assist`.
    #[error("the body is a CallRail event of another kind ({0}), not a call")]
    OtherKind(&'static str),
    /// Neither `resource_id` nor `id` holds anything.
    #[error("the body names no call: resource_id and id are missing or empty")]
    NoId,
    /// The identifier is there but is not that of a call.
    #[error("the identifier in the body is not that of a call")]
    InvalidId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_path() {
        for kind in WebhookKind::ALL {
            assert_eq!(WebhookKind::from_path(kind.path()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.path());
            assert_eq!(
                serde_json::from_value::<WebhookKind>(kind.path().into()).unwrap(),
                kind
            );
            assert_eq!(kind.to_string(), kind.path());
        }
    }

    #[test]
    fn a_path_that_only_resembles_a_kind_is_none() {
        for path in ["", "PRE-CALL", "pre-call/", "pre_call", "text-message-received"] {
            assert_eq!(WebhookKind::from_path(path), None);
        }
    }

    #[test]
    fn config_keys_are_callrails_and_differ() {
        let mut keys: Vec<_> = WebhookKind::ALL.iter().map(|kind| kind.config_key()).collect();
        assert_eq!(keys[1], "answered_call_webhook");
        assert_eq!(keys[3], "updated_call_webhook");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 6);
    }
}
