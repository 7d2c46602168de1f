//! A virtual host of the broker with Trunkline's queues.

use queue::{Queue, QueueName, QueueOptions, QueueUrl};
use test_servers::Vhost;

/// Gone when it is dropped.
pub(crate) struct Broker {
    vhost: Vhost,
    /// Has made the queues.
    pub(crate) queue: Queue,
}

impl Broker {
    pub(crate) async fn new() -> Self {
        let vhost = Vhost::new();
        let url: QueueUrl = vhost.url().parse().unwrap();
        let queue = Queue::connect(&url, QueueOptions::default()).await.unwrap();
        Self { vhost, queue }
    }

    pub(crate) fn url(&self) -> String {
        self.vhost.url()
    }

    /// Throws away what waits there.
    pub(crate) fn purge(&self, name: QueueName) {
        let path = format!("queues/{}/{}/contents", self.vhost.name(), name.as_str());
        assert!(self.vhost.delete(&path), "cannot purge {name}");
    }
}
