//! The queues and exchanges on the broker. Every process declares all of them, the same way.
//!
//! Only what never changes is an argument: declaring again with other arguments fails. What an operator may want to
//! tune (delivery limits, lengths) belongs into policies.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::message::QueueName;

/// The longest `x-message-ttl` there is, in milliseconds: about 49 days.
const LONGEST_REST: u32 = u32::MAX;

/// Where messages rest before a retry: the lengths of the rests, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    rests: BTreeSet<u32>,
}

impl Topology {
    /// `rests`: how long messages may rest.
    pub(super) fn new(rests: impl IntoIterator<Item = Duration>) -> Self {
        Self {
            rests: rests.into_iter().map(milliseconds).collect(),
        }
    }

    /// Declares everything; what is there already stays as it is.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for queue in QueueName::ALL {
            declare_queue(channel, queue.as_str(), work_queue_arguments(queue)).await?;
        }
        for rest in &self.rests {
            let name = retry_name(*rest);
            let exchange = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            // A fanout in front, so that the routing key stays free to name the queue to go back to.
            channel
                .exchange_declare(
                    short(&name),
                    ExchangeKind::Fanout,
                    exchange,
                    FieldTable::default(),
                )
                .await?;
            declare_queue(channel, &name, retry_queue_arguments(*rest)).await?;
            channel
                .queue_bind(
                    short(&name),
                    short(&name),
                    ShortString::default(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }
}

/// The exchange in front of the queue where messages rest so long.
pub(super) fn retry_exchange(rest: Duration) -> ShortString {
    short(&retry_name(milliseconds(rest)))
}

/// Our names are short.
pub(super) fn short(name: &str) -> ShortString {
    name.into()
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    channel
        .queue_declare(short(name), QueueDeclareOptions::durable(), arguments)
        .await
        .map(drop)
}

/// What the broker itself gives up (a message that came back more often than a policy, or `RabbitMQ` 4, allows) becomes
/// a dead letter. Without this it would be gone.
fn work_queue_arguments(queue: QueueName) -> FieldTable {
    match queue {
        QueueName::Dead => quorum(),
        _ => dead_lettering(quorum(), Some(QueueName::Dead.as_str())),
    }
}

/// Messages go back to the queue that their routing key names.
fn retry_queue_arguments(rest: u32) -> FieldTable {
    let mut arguments = dead_lettering(quorum(), None);
    arguments.insert("x-message-ttl".into(), AMQPValue::LongUInt(rest));
    arguments
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

/// At least once, which the broker can promise only to a queue that refuses what it has no room for.
fn dead_lettering(mut arguments: FieldTable, routing_key: Option<&str>) -> FieldTable {
    let mut insert = |key: &str, value: &str| {
        arguments.insert(short(key), AMQPValue::LongString(value.into()));
    };
    insert("x-dead-letter-exchange", "");
    if let Some(routing_key) = routing_key {
        insert("x-dead-letter-routing-key", routing_key);
    }
    insert("x-dead-letter-strategy", "at-least-once");
    insert("x-overflow", "reject-publish");
    arguments
}

/// Named after its length, for another length needs another queue.
fn retry_name(rest: u32) -> String {
    match rest {
        rest if rest % 60_000 == 0 => format!("retry.{}m", rest / 60_000),
        rest if rest % 1_000 == 0 => format!("retry.{}s", rest / 1_000),
        rest => format!("retry.{rest}ms"),
    }
}

/// Whether a name is one of those. Others may have queues in the same virtual host.
pub(super) fn is_retry_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("retry.") else {
        return false;
    };
    let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < rest.len() && ["ms", "s", "m"].contains(&unit)
}

/// Rounded up, so that nothing comes before its time.
fn milliseconds(rest: Duration) -> u32 {
    let rounded_up = rest.as_nanos().div_ceil(1_000_000).max(1);
    u32::try_from(rounded_up).unwrap_or(LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_queue_is_named_after_its_length() {
        let names = [1, 10, 60, 600].map(|seconds| retry_exchange(Duration::from_secs(seconds)));
        assert_eq!(
            names.map(|name| name.to_string()),
            ["retry.1s", "retry.10s", "retry.1m", "retry.10m"]
        );
        assert_eq!(
            retry_exchange(Duration::from_millis(1500)).as_str(),
            "retry.1500ms"
        );
        assert_eq!(retry_exchange(Duration::from_micros(1)).as_str(), "retry.1ms");
        assert!(
            ["retry.1s", "retry.10m", "retry.1500ms"]
                .into_iter()
                .all(is_retry_name)
        );
        let of_others = [
            "retry.",
            "retry.s",
            "retry.payments",
            "retry.10",
            "retry.10s.old",
            "calls.live",
        ];
        assert!(!of_others.into_iter().any(is_retry_name));
        assert_eq!(
            retry_exchange(Duration::from_micros(20_001)).as_str(),
            "retry.21ms"
        );
        assert_eq!(retry_exchange(Duration::MAX).as_str(), "retry.4294967295ms");
    }
}
