//! What travels: queue names, messages, and what went wrong with them so far.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trace::{Span, TraceContext};
use uuid::Uuid;

/// A reason is cut to this many bytes, so that it always fits a message header of any broker.
const MAX_REASON_BYTES: usize = 4096;

/// The queues there are; each carries one kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QueueName {
    /// Calls that still ring or are being routed: alerts only, in a hurry.
    #[serde(rename = "calls.progress")]
    Progress,
    /// Calls as webhooks report them.
    #[serde(rename = "calls.live")]
    Live,
    /// Calls as the importer reads them.
    #[serde(rename = "calls.backfill")]
    Backfill,
    /// What to tell whom.
    #[serde(rename = "alerts")]
    Alerts,
    /// Dead letters on their way to where they are kept.
    #[serde(rename = "dead")]
    Dead,
}

impl QueueName {
    /// Every queue.
    pub const ALL: [Self; 5] = [
        Self::Progress,
        Self::Live,
        Self::Backfill,
        Self::Alerts,
        Self::Dead,
    ];

    /// The name as brokers, metrics and people see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "calls.progress",
            Self::Live => "calls.live",
            Self::Backfill => "calls.backfill",
            Self::Alerts => "alerts",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for QueueName {
    type Err = UnknownQueue;

    fn from_str(name: &str) -> Result<Self, UnknownQueue> {
        Self::ALL
            .into_iter()
            .find(|queue| queue.as_str() == name)
            .ok_or_else(|| UnknownQueue(name.to_owned()))
    }
}

/// No queue has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no queue {0:?}")]
pub struct UnknownQueue(String);

/// One message. The queue never looks into its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Names the message in logs and dead letters. Not a reason to drop one: two with the same id are two messages.
    pub id: Uuid,
    /// At most [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES).
    pub body: Vec<u8>,
    /// What went wrong with it so far, if anything did.
    pub failures: Option<Failures>,
    /// The trace it belongs to, if it does to one. Goes with it wherever it goes.
    pub trace: Option<TraceContext>,
}

impl Message {
    /// A message with which nothing has gone wrong, and which belongs to no trace.
    pub fn new(id: Uuid, body: Vec<u8>) -> Self {
        Self {
            id,
            body,
            failures: None,
            trace: None,
        }
    }

    pub(crate) fn with(self, failures: Failures) -> Self {
        Self {
            failures: Some(failures),
            ..self
        }
    }
}

impl fmt::Debug for Message {
    /// Leaves the body out: it is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .field("failures", &self.failures)
            .field("trace", &self.trace)
            .finish()
    }
}

/// What went wrong with a message so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// Where it was consumed, or meant to be; a dead letter goes back there when it is replayed.
    pub queue: QueueName,
    /// The last failure, for a person to read.
    pub reason: String,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// The first failure, by the clock of the consumer that saw it.
    pub first_failed_at: DateTime<Utc>,
    /// The last failure, by the clock of the consumer that saw it.
    pub last_failed_at: DateTime<Utc>,
}

impl Failures {
    /// What is known after one more attempt in vain on `queue`.
    pub(crate) fn after(previous: Option<Self>, queue: QueueName, reason: &str, now: DateTime<Utc>) -> Self {
        let (attempts, first_failed_at) = match previous {
            Some(previous) => (previous.attempts, previous.first_failed_at),
            None => (0, now),
        };
        Self {
            queue,
            reason: shortened(reason).to_owned(),
            attempts: attempts.saturating_add(1),
            first_failed_at,
            last_failed_at: now,
        }
    }
}

/// A message in the hands of a consumer, who settles it with one of [`Consumer`](crate::Consumer)'s methods. Dropping
/// a delivery settles nothing: the consumer still holds the message.
#[derive(Debug)]
pub struct Delivery {
    /// What was published. `retry` and `dead_letter` expect it unchanged.
    pub message: Message,
    /// The work on it, for whoever tells of traces: what is done and published for it belongs under this.
    pub span: Span,
    pub(crate) tag: Tag,
}

impl Delivery {
    /// A delivery on which nobody works yet.
    pub(crate) fn new(message: Message, tag: Tag) -> Self {
        Self {
            message,
            span: Span::default(),
            tag,
        }
    }
}

/// Which delivery of which consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) consumer: u64,
    /// Which connection of the consumer; always 0 in the embedded queue.
    pub(crate) generation: u64,
    pub(crate) id: i64,
    /// How often it came back before, as far as the broker tells.
    pub(crate) returned: u64,
}

/// As much of the reason as fits, in whole characters.
fn shortened(reason: &str) -> &str {
    let end = (0..=reason.len().min(MAX_REASON_BYTES))
        .rev()
        .find(|end| reason.is_char_boundary(*end));
    &reason[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_found_by_its_name() {
        for queue in QueueName::ALL {
            assert_eq!(queue.as_str().parse(), Ok(queue));
            assert_eq!(serde_json::to_string(&queue).unwrap(), format!("\"{queue}\""));
        }
        assert_eq!(
            "calls".parse::<QueueName>().unwrap_err().to_string(),
            "there is no queue \"calls\""
        );
    }

    #[test]
    fn a_message_prints_without_its_body() {
        let message = Message::new(Uuid::nil(), b"4045550123".to_vec());
        let printed = format!("{message:?}");
        assert!(
            printed.contains("body_bytes: 10") && !printed.contains("404") && !printed.contains("52, 48")
        );
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let failures = Failures::after(None, QueueName::Live, &"é".repeat(5000), Utc::now());
        assert_eq!(failures.reason, "é".repeat(2048));
        let odd = Failures::after(
            None,
            QueueName::Live,
            &format!("a{}", "é".repeat(5000)),
            Utc::now(),
        );
        assert_eq!(odd.reason.len(), 4095);
    }

    #[test]
    fn a_further_failure_keeps_the_time_of_the_first() {
        let first_at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let then = DateTime::from_timestamp(1_700_000_060, 0).unwrap();
        let first = Failures::after(None, QueueName::Live, "one", first_at);
        let second = Failures::after(Some(first), QueueName::Live, "two", then);
        assert_eq!(
            (second.attempts, second.first_failed_at, second.last_failed_at),
            (2, first_at, then)
        );
        assert_eq!(second.reason, "two");
    }
}
