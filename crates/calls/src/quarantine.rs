//! What is kept of a signed delivery that is no call we can read: enough to read it later, with a newer program.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use callrail::{CompanyId, parse_object};

use crate::digest::Digest;
use crate::event::{CallEvent, DecodeError, EventKind, Origin};
use crate::from_callrail::{Reading, Receipt, Unreadable, from_callrail};
use crate::redaction::Redaction;

/// A delivery in quarantine: the body of its dead letter, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedDelivery {
    /// Which webhook the URL named; `None`: it named none of a call.
    pub kind: Option<EventKind>,
    /// When it was received.
    pub received_at: DateTime<Utc>,
    /// The company of the key that signed it, if the key is bound to one.
    pub company: Option<CompanyId>,
    /// Of the body as it came, to compare with what somebody captured.
    pub sha256: Digest,
    /// The body, redacted as text; what was not UTF-8 is replaced.
    pub text: String,
}

impl QuarantinedDelivery {
    /// Keeps a body.
    pub fn new(
        kind: Option<EventKind>,
        received_at: DateTime<Utc>,
        company: Option<CompanyId>,
        body: &[u8],
        redaction: Redaction,
    ) -> Self {
        let sha256 = Digest::of_bytes(body);
        let text = redaction.redact_text(&String::from_utf8_lossy(body));
        Self {
            kind,
            received_at,
            company,
            sha256,
            text,
        }
    }

    /// The JSON form.
    pub fn encode(&self) -> Vec<u8> {
        // Every key is a string, so there is nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the JSON form.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(body).map_err(|error| DecodeError::new("a delivery in quarantine", error))
    }

    /// Tries to read it once more. Without a kind it is taken for a modification, which claims the least: it may
    /// tell of any state.
    pub fn read_again(&self, event_id: Uuid, reading: Reading) -> Result<CallEvent, Unreadable> {
        let receipt = Receipt {
            event_id,
            kind: self.kind.unwrap_or(EventKind::CallModified),
            origin: Origin::Replay,
            observed_at: self.received_at,
            import_id: None,
            company: self.company.clone(),
        };
        from_callrail(parse_object(self.text.as_bytes())?, receipt, reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::Region;

    fn quarantined(body: &[u8]) -> QuarantinedDelivery {
        let company = CompanyId::parse("COM1").ok();
        QuarantinedDelivery::new(
            Some(EventKind::PostCall),
            DateTime::UNIX_EPOCH,
            company,
            body,
            Redaction::default(),
        )
    }

    #[test]
    fn what_is_kept_is_redacted_and_names_the_original() {
        let kept = quarantined(b"\xff card 4111 1111 1111 1111");
        assert_eq!(kept.text, "\u{fffd} card [card number removed]");
        assert_eq!(kept.sha256, Digest::of_bytes(b"\xff card 4111 1111 1111 1111"));
        assert_eq!(QuarantinedDelivery::decode(&kept.encode()).unwrap(), kept);
    }

    #[test]
    fn what_has_become_readable_is_read_as_it_was_received() {
        let body = br#"{"resource_id":"CAL1","answered":true,"duration":"5","note":"",
                        "start_time":"2026-11-20T14:03:20-05:00"}"#;
        let event = quarantined(body)
            .read_again(Uuid::nil(), Region::US.into())
            .unwrap();
        assert_eq!(
            (event.origin, event.observed_at),
            (Origin::Replay, DateTime::UNIX_EPOCH)
        );
        assert_eq!(event.company, CompanyId::parse("COM1").ok());
        assert!(
            quarantined(b"{")
                .read_again(Uuid::nil(), Region::US.into())
                .is_err()
        );
    }
}
