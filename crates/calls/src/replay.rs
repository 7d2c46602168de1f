//! What a dead letter becomes when it is tried once more.

use uuid::Uuid;

use crate::alert::OutgoingAlert;
use crate::event::{CallEvent, Origin};
use crate::from_callrail::{Reading, Unreadable};
use crate::quarantine::QuarantinedDelivery;

/// A message to publish again.
#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    /// Of a call, with the time at which it was first observed: a replay is no newer than what it repeats.
    Event(Box<CallEvent>),
    /// To somebody's screen.
    Alert(Box<OutgoingAlert>),
}

/// Why a dead letter cannot be tried once more.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayable {
    /// A delivery in quarantine that this program cannot read either.
    #[error("it still cannot be read")]
    Unreadable(#[from] Unreadable),
    /// Neither an event, nor a delivery in quarantine, nor an alert.
    #[error("it is nothing that this program knows: it can only be discarded")]
    Unknown,
}

impl Replay {
    /// Reads the body of a dead letter. `event_id` names the event if one has to be made.
    pub fn of(body: &[u8], event_id: Uuid, reading: Reading) -> Result<Self, NotReplayable> {
        if let Ok(event) = CallEvent::decode(body) {
            return Ok(Self::Event(Box::new(CallEvent {
                origin: Origin::Replay,
                ..event
            })));
        }
        if let Ok(delivery) = QuarantinedDelivery::decode(body) {
            return Ok(Self::Event(Box::new(delivery.read_again(event_id, reading)?)));
        }
        match OutgoingAlert::decode(body) {
            Ok(alert) => Ok(Self::Alert(Box::new(alert))),
            Err(_) => Err(NotReplayable::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::event::EventKind;
    use crate::phone::Region;
    use crate::redaction::Redaction;

    const CALL: &[u8] = br#"{"resource_id":"CAL1","answered":true,"duration":"5","note":"",
                             "start_time":"2026-11-20T14:03:20-05:00"}"#;

    fn quarantined(body: &[u8]) -> Vec<u8> {
        QuarantinedDelivery::new(
            Some(EventKind::PostCall),
            DateTime::UNIX_EPOCH,
            None,
            body,
            Redaction::default(),
        )
        .encode()
    }

    #[test]
    fn an_event_is_replayed_at_its_own_time() {
        let Ok(Replay::Event(read)) = Replay::of(&quarantined(CALL), Uuid::nil(), Region::US.into()) else {
            panic!()
        };
        let Ok(Replay::Event(again)) = Replay::of(&read.encode(), Uuid::max(), Region::US.into()) else {
            panic!()
        };
        assert_eq!(again, read, "neither its id nor its time is another");
        assert_eq!(
            (again.origin, again.observed_at),
            (Origin::Replay, DateTime::UNIX_EPOCH)
        );
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        let error = Replay::of(&quarantined(b"{"), Uuid::nil(), Region::US.into()).unwrap_err();
        assert_eq!(error.to_string(), "it still cannot be read");
        assert!(matches!(
            Replay::of(b"{}", Uuid::nil(), Region::US.into()),
            Err(NotReplayable::Unknown)
        ));
        assert!(matches!(
            Replay::of(b"\xff", Uuid::nil(), Region::US.into()),
            Err(NotReplayable::Unknown)
        ));
    }
}
