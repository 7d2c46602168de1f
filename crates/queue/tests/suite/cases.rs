//! What every backend promises, said once.

mod delivering;
mod failing;
mod settling;
mod working;

use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::{Consumer, Delivery, Message, Queue, QueueName};
use trace::TraceContext;
use uuid::Uuid;

use crate::backend::within_deadline;

pub(crate) use delivering::*;
pub(crate) use failing::*;
pub(crate) use settling::*;
pub(crate) use working::*;

/// A message whose body is a number, and which belongs to the trace of that number.
pub(crate) fn numbered(number: u32) -> Message {
    Message {
        trace: Some(trace(number)),
        ..Message::new(Uuid::now_v7(), number.to_string().into_bytes())
    }
}

fn trace(number: u32) -> TraceContext {
    let text = format!(
        "00-{:032x}-{:016x}-01",
        u128::from(number) + 1,
        u64::from(number) + 1
    );
    text.parse().unwrap()
}

/// The numbers in the bodies. Whatever happened to the messages, their traces went with them.
pub(crate) fn numbers(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries.iter().map(number).collect()
}

/// How many messages a queue has.
pub(crate) async fn depth(queue: &Queue, name: QueueName) -> u64 {
    let depths = queue.depths().await.unwrap();
    depths.into_iter().find(|(queue, _)| *queue == name).unwrap().1
}

/// Waits until a queue has so many messages.
pub(crate) async fn depth_becomes(queue: &Queue, name: QueueName, expected: u64) {
    within_deadline(async {
        while depth(queue, name).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// So many seconds after some moment.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn number(delivery: &Delivery) -> u32 {
    let message = &delivery.message;
    let number = std::str::from_utf8(&message.body).unwrap().parse().unwrap();
    assert_eq!(message.trace, Some(trace(number)));
    number
}

pub(crate) async fn publish(queue: &Queue, name: QueueName, numbers: std::ops::Range<u32>) {
    queue
        .publish_all(name, numbers.map(numbered).collect())
        .await
        .unwrap();
}

/// Holds the types to what services rely on: they travel between tasks.
const _: fn() = || {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + Sync + 'static>() {}
    shared::<Queue>();
    sent::<Consumer>();
    sent::<Delivery>();
};
