//! How a message looks to the broker: its body as it is, the rest in properties and headers.

use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use crate::message::{Failures, Message, QueueName};

/// Header: what went wrong so far, in JSON.
const FAILURES: &str = "x-trunkline-failures";
/// Header: the trace it belongs to, under the name that the standard gives it for messages, too.
const TRACE: &str = "traceparent";
/// Header set by quorum queues: how often it was delivered before.
const DELIVERY_COUNT: &str = "x-delivery-count";
/// Header set by the broker on what it moved: an array of tables, the last death first.
const DEATHS: &str = "x-death";
/// The broker gave the message up because it came back too often.
const GIVEN_UP: &str = "delivery_limit";

const PERSISTENT: u8 = 2;

/// Everything but the body.
pub(super) fn properties_of(message: &Message) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.id.to_string().into());
    // Failures always fit JSON.
    let failures = message
        .failures
        .as_ref()
        .and_then(|failures| serde_json::to_string(failures).ok());
    let trace = message.trace.map(|trace| trace.to_string());
    let mut headers = FieldTable::default();
    for (name, text) in [(FAILURES, failures), (TRACE, trace)] {
        if let Some(text) = text {
            headers.insert(name.into(), AMQPValue::LongString(text.into()));
        }
    }
    if headers.inner().is_empty() {
        return properties;
    }
    properties.with_headers(headers)
}

/// What was published. Of a message that others put into the queue as much as there is.
pub(super) fn message_from(
    properties: &BasicProperties,
    body: Vec<u8>,
    queue: QueueName,
    now: DateTime<Utc>,
) -> Message {
    let id = properties
        .message_id()
        .as_ref()
        .and_then(|id| Uuid::parse_str(id.as_str()).ok())
        // The same each time it is delivered.
        .unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, &body));
    let mut failures = text_header(properties, FAILURES).and_then(|json| serde_json::from_str(json).ok());
    if queue == QueueName::Dead
        && let Some(home) = given_up_by_the_broker(properties)
    {
        let reason = "the broker gave it up: it came back too often";
        failures = Some(Failures::after(failures, home, reason, now));
    }
    let trace = text_header(properties, TRACE).and_then(|text| text.parse().ok());
    Message {
        id,
        body,
        failures,
        trace,
    }
}

/// How often the broker says that it delivered the message before.
pub(super) fn delivery_count(properties: &BasicProperties) -> u64 {
    match header(properties, DELIVERY_COUNT) {
        Some(AMQPValue::LongLongInt(count)) => u64::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongInt(count)) => u64::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => u64::from(*count),
        _ => 0,
    }
}

/// The queue where it happened.
fn given_up_by_the_broker(properties: &BasicProperties) -> Option<QueueName> {
    let Some(AMQPValue::FieldArray(deaths)) = header(properties, DEATHS) else {
        return None;
    };
    let Some(AMQPValue::FieldTable(last)) = deaths.as_slice().first() else {
        return None;
    };
    let field = |name| last.inner().get(name).and_then(text);
    (field("reason") == Some(GIVEN_UP))
        .then(|| field("queue")?.parse().ok())
        .flatten()
}

fn text_header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a str> {
    header(properties, name).and_then(text)
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn text(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    #[test]
    fn a_stranger_s_message_keeps_its_made_up_id() {
        let read = |body: &[u8]| {
            message_from(
                &BasicProperties::default(),
                body.to_vec(),
                QueueName::Live,
                Utc::now(),
            )
        };
        assert_eq!(read(b"one").id, read(b"one").id);
        assert_ne!(read(b"one").id, read(b"two").id);
        assert_eq!((read(b"one").failures, read(b"one").trace), (None, None));
    }

    #[test]
    fn a_trace_that_is_none_does_not_keep_a_message_from_being_read() {
        for (name, value) in [
            (TRACE, AMQPValue::LongString("00-0-0-01".into())),
            (TRACE, AMQPValue::LongString(vec![0xff; 55].into())),
            (TRACE, AMQPValue::Boolean(true)),
        ] {
            let mut headers = FieldTable::default();
            headers.insert(name.into(), value);
            let properties = BasicProperties::default().with_headers(headers);
            let message = message_from(&properties, vec![1], QueueName::Live, Utc::now());
            assert_eq!((message.trace, message.body), (None, vec![1]));
        }
    }

    #[test]
    fn what_the_broker_gave_up_says_so() {
        let mut death = FieldTable::default();
        death.insert("reason".into(), AMQPValue::LongString("delivery_limit".into()));
        death.insert("queue".into(), AMQPValue::LongString("calls.live".into()));
        let mut headers = FieldTable::default();
        let deaths = FieldArray::from(vec![AMQPValue::FieldTable(death)]);
        headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
        let properties = BasicProperties::default().with_headers(headers);
        let failures = message_from(&properties, vec![], QueueName::Dead, Utc::now())
            .failures
            .unwrap();
        assert_eq!((failures.queue, failures.attempts), (QueueName::Live, 1));
        assert!(failures.reason.contains("came back too often"));
        let elsewhere = message_from(&properties, vec![], QueueName::Alerts, Utc::now());
        assert_eq!(elsewhere.failures, None);
    }
}
