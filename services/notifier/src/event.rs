//! What of an alert is told, and on which channels.

use calls::{Alert, AlertKind, CallId, OutgoingAlert};
use chrono::{DateTime, Utc};
use pusher::{Event, MAX_EVENT_BYTES, is_channel_name};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The channel of everybody who may see calls.
const CALLS_CHANNEL: &str = "private-calls";

/// Before the id of the CRM's user who looks after the contact.
const OWNER_CHANNEL_PREFIX: &str = "private-user-";

/// How much an alert tells on its way through Pusher's servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// All of the alert: number, name, outcome.
    #[default]
    Full,
    /// What happened when, and ids: a screen asks Trunkline for the rest.
    Minimal,
}

/// The payload that names nobody.
#[derive(Serialize)]
struct MinimalAlert<'a> {
    id: Uuid,
    call_sid: &'a CallId,
    interaction_id: Uuid,
    at: DateTime<Utc>,
    kind: AlertKind,
}

/// The events of an alert: one or two, with the same data.
pub(crate) fn events(outgoing: &OutgoingAlert, payload: Payload) -> Vec<Event> {
    let alert = &outgoing.alert;
    let data = data(alert, payload);
    let name = alert.kind.as_str();
    let on = |channel: String| Event {
        channel,
        name: name.to_owned(),
        data: data.clone(),
    };

    let mut events = vec![on(CALLS_CHANNEL.to_owned())];
    if let Some(owner_id) = &outgoing.owner_id {
        let channel = format!("{OWNER_CHANNEL_PREFIX}{owner_id}");
        if is_channel_name(&channel) {
            events.push(on(channel));
        } else {
            tracing::warn!(
                alert.id = %alert.id,
                call.id = %alert.call_sid,
                "the owner's id has characters that no Pusher channel may have; only the common channel is told"
            );
        }
    }
    events
}

/// JSON text that fits into an event, whatever the CRM calls its people.
fn data(alert: &Alert, payload: Payload) -> String {
    let minimal = MinimalAlert {
        id: alert.id,
        call_sid: &alert.call_sid,
        interaction_id: alert.interaction_id,
        at: alert.at,
        kind: alert.kind,
    };
    // Ids, times and texts: nothing that JSON could not hold.
    let full = match payload {
        Payload::Full => serde_json::to_string(alert)
            .ok()
            .filter(|text| text.len() <= MAX_EVENT_BYTES),
        Payload::Minimal => None,
    };
    full.unwrap_or_else(|| serde_json::to_string(&minimal).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use calls::{AlertContact, ContactKind, ContactRef, Direction, Way};
    use serde_json::{Value, json};

    use super::*;

    fn outgoing(name: &str, owner_id: Option<&str>) -> OutgoingAlert {
        let contact = ContactRef {
            kind: ContactKind::Lead,
            id: "lead-1".into(),
        };
        OutgoingAlert {
            alert: Alert {
                id: Uuid::from_u128(1),
                call_sid: CallId::parse("CAL1").unwrap(),
                interaction_id: Uuid::from_u128(2),
                at: DateTime::from_timestamp(1_764_000_000, 0).unwrap(),
                kind: AlertKind::IncomingCall,
                direction: Direction::Inbound,
                from: Some("+14045550123".into()),
                contact: Some(AlertContact {
                    contact,
                    name: Some(name.into()),
                }),
                outcome: None,
                duration: None,
                source: None,
            },
            owner_id: owner_id.map(str::to_owned),
            push: true,
            way: Way::default(),
            trace: None,
        }
    }

    fn json_of(event: &Event) -> Value {
        serde_json::from_str(&event.data).unwrap()
    }

    #[test]
    fn an_owned_alert_goes_to_all_and_to_its_owner() {
        let events = events(&outgoing("Jane Doe", Some("7")), Payload::Full);
        let channels: Vec<_> = events.iter().map(|event| event.channel.as_str()).collect();
        assert_eq!(channels, ["private-calls", "private-user-7"]);
        assert!(events.iter().all(|event| event.name == "incoming-call"));
        assert_eq!(
            json_of(&events[0])["contact"],
            json!({ "kind": "lead", "id": "lead-1", "name": "Jane Doe" })
        );
        assert_eq!(events[0].data, events[1].data);
    }

    #[test]
    fn an_owner_whose_id_cannot_be_a_channel_does_not_keep_the_others_from_hearing() {
        let events = events(&outgoing("Jane Doe", Some("jane doe")), Payload::Full);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].channel, "private-calls");
    }

    #[test]
    fn the_minimal_payload_names_nobody() {
        let events = events(&outgoing("Jane Doe", None), Payload::Minimal);
        assert_eq!(
            json_of(&events[0]),
            json!({
                "id": Uuid::from_u128(1),
                "call_sid": "CAL1",
                "interaction_id": Uuid::from_u128(2),
                "at": "2025-11-24T16:00:00Z",
                "kind": "incoming-call",
            })
        );
    }

    #[test]
    fn an_alert_too_large_for_pusher_becomes_minimal() {
        let events = events(&outgoing(&"J".repeat(MAX_EVENT_BYTES), Some("7")), Payload::Full);
        assert!(events.iter().all(|event| event.check().is_ok()));
        assert_eq!(json_of(&events[0])["call_sid"], "CAL1");
    }
}
