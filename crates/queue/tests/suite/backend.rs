//! What the cases need to know of a backend: how to open it, and to open it again.

use std::time::Duration;

use queue::{Consumer, Delivery, Queue, QueueOptions, QueueUrl};
use tempfile::TempDir;
use test_servers::Vhost;

/// Long enough for the slowest machine, and never waited out by a test that passes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A queue of its own for one test.
pub(crate) trait Backend {
    /// Opens the queue: empty the first time, later with what was left in it.
    async fn open_with(&self, options: QueueOptions) -> Queue;

    /// Opens the queue with a ladder that no test waits for.
    async fn open(&self) -> Queue {
        self.open_with(QueueOptions::default()).await
    }
}

/// The embedded backend, in a folder that goes with it.
pub(crate) struct Embedded {
    folder: TempDir,
}

impl Embedded {
    pub(crate) fn fresh() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> QueueUrl {
        QueueUrl::embedded(self.path())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("data/queue.db")
    }
}

impl Backend for Embedded {
    async fn open_with(&self, options: QueueOptions) -> Queue {
        Queue::connect(&self.url(), options).await.unwrap()
    }
}

/// The `RabbitMQ` backend, in a virtual host that goes with it.
pub(crate) struct RabbitMq {
    pub(crate) vhost: Vhost,
}

impl RabbitMq {
    pub(crate) fn fresh() -> Self {
        Self { vhost: Vhost::new() }
    }
}

impl Backend for RabbitMq {
    async fn open_with(&self, options: QueueOptions) -> Queue {
        Queue::connect(&self.vhost.url().parse().unwrap(), options)
            .await
            .unwrap()
    }
}

/// The next batch, which must come before the deadline.
pub(crate) async fn next_batch(consumer: &mut Consumer, max: usize) -> Vec<Delivery> {
    within_deadline(consumer.next_batch(max)).await.unwrap()
}

/// Collects exactly so many messages, however they are batched.
pub(crate) async fn collect(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut collected = Vec::new();
    while collected.len() < count {
        collected.extend(next_batch(consumer, count - collected.len()).await);
    }
    collected
}

/// Panics when the future takes too long.
pub(crate) async fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("nothing happened before the deadline")
}

/// Polls the future once, which must not be ready, and drops it.
pub(crate) async fn begin_and_drop<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let poll = std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await;
    assert!(poll.is_pending(), "there was something already");
}
