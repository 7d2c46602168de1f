//! Publishes alerts after the transaction that raised them, and those that a crash left behind.
//!
//! They stand in their table since that transaction, so nobody need wait until they are on their way: an [`Outbox`]
//! publishes those of one batch while the next is being written.

use std::error::Error;
use std::time::Duration;

use calls::OutgoingAlert;
use chrono::{DateTime, TimeDelta, Utc};
use queue::{Message, Queue, QueueName};
use runtime::{CancellationToken, Turns};
use store::Store;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

/// How often the table is searched for alerts that are not on their way.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// An alert younger than this is on its way to being published by whoever raised it.
const LEFT_BEHIND_AFTER: TimeDelta = TimeDelta::seconds(5);

const MAX_SWEPT: u32 = 256;

/// So many batches may wait to be told of before whoever writes waits too.
const MAX_WAITING: usize = 4;

/// That alerts are published is noted for those of so long a time together, since each note is a transaction. Whoever is
/// killed meanwhile leaves them to be published twice.
const NOTED_EVERY: Duration = Duration::from_millis(100);
const MAX_NOTED: usize = 1_024;

/// Takes alerts to be published, in their order. Its task ends, with all of them published, when the last handle is
/// dropped.
pub(crate) struct Outbox(mpsc::Sender<Vec<OutgoingAlert>>);

impl Outbox {
    /// An outbox, and the task that empties it and notes that.
    pub(crate) fn new(store: Store, queue: Queue) -> (Self, impl Future<Output = ()>) {
        let (sender, mut raised) = mpsc::channel(MAX_WAITING);
        let (published, mut to_note) = mpsc::unbounded_channel();
        let emptying = async move {
            let mut batches: Vec<Vec<OutgoingAlert>> = Vec::new();
            while raised.recv_many(&mut batches, MAX_WAITING).await > 0 {
                let alerts = batches.drain(..).flatten().collect();
                for id in publish(&queue, alerts).await {
                    // The other end is there for as long as this one.
                    let _ = published.send(id);
                }
            }
        };
        let noting = async move {
            let mut ids = Vec::new();
            while to_note.recv_many(&mut ids, MAX_NOTED).await > 0 {
                note(&store, std::mem::take(&mut ids)).await;
                sleep(NOTED_EVERY).await;
            }
        };
        let task = async move {
            tokio::join!(emptying, noting);
        };
        (Self(sender), task)
    }

    /// Publishes alerts behind all that were handed in before.
    pub(crate) async fn publish(&self, alerts: Vec<OutgoingAlert>) {
        // The task is gone only when the runtime ends; then the sweep of another process finds them.
        if !alerts.is_empty() && self.0.send(alerts).await.is_err() {
            tracing::warn!("could not hand on alerts: they are swept up later");
        }
    }
}

/// Publishes alerts and notes that. What fails here is not lost: the sweep finds it.
pub(crate) async fn publish_and_note(store: &Store, queue: &Queue, alerts: Vec<OutgoingAlert>) {
    let published = publish(queue, alerts).await;
    note(store, published).await;
}

/// Publishes alerts; returns those that are published, which is all or none.
async fn publish(queue: &Queue, alerts: Vec<OutgoingAlert>) -> Vec<Uuid> {
    if alerts.is_empty() {
        return Vec::new();
    }
    let now = Utc::now();
    let messages = alerts.iter().map(|outgoing| message(outgoing, now)).collect();
    if let Err(error) = queue.publish_all(QueueName::Alerts, messages).await {
        tracing::error!(
            error = &error as &dyn Error,
            alerts = alerts.len(),
            "could not publish alerts: they are swept up later"
        );
        return Vec::new();
    }
    alerts.iter().map(|outgoing| outgoing.alert.id).collect()
}

async fn note(store: &Store, published: Vec<Uuid>) {
    if published.is_empty() {
        return;
    }
    if let Err(error) = store.mark_alerts_published(published, Utc::now()).await {
        tracing::warn!(
            error = &error as &dyn Error,
            "could not note that alerts are published: they may be published again"
        );
    }
}

/// Publishes what was left behind, until `shutdown`.
pub(crate) async fn sweep(store: Store, queue: Queue, shutdown: CancellationToken) {
    let mut turns = Turns::every(SWEEP_EVERY, &shutdown);
    while turns.next().await.is_some() {
        match store
            .unpublished_alerts(Utc::now() - LEFT_BEHIND_AFTER, MAX_SWEPT)
            .await
        {
            Ok(alerts) => publish_and_note(&store, &queue, alerts).await,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn Error,
                    "could not look for alerts that were left behind"
                );
            }
        }
    }
}

fn message(outgoing: &OutgoingAlert, now: DateTime<Utc>) -> Message {
    let mut queued = outgoing.clone();
    queued.way.queued_at = Some(now);
    Message {
        trace: queued.trace,
        ..Message::new(queued.alert.id, queued.encode())
    }
}
