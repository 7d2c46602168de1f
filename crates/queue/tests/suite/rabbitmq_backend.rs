//! What only the `RabbitMQ` backend does: connections that fail, brokers that refuse, queues that vanish.

mod connecting;
mod consuming;
mod publishing;
mod spooling;

use std::error::Error;
use std::time::Duration;

use queue::{Queue, QueueName, QueueOptions, QueueUrl};
use test_servers::{Proxy, Vhost};

use crate::backend::within_deadline;
use crate::cases::numbered;

on_backend!(every_case, crate::backend::RabbitMq::fresh());

async fn connect(url: &str) -> Queue {
    let url: QueueUrl = url.parse().unwrap();
    Queue::connect(&url, QueueOptions::default()).await.unwrap()
}

/// No test waits so long for a confirm.
const ENDLESS: Duration = Duration::from_secs(600);

/// A queue of a virtual host of its own, and the proxy between the two. `publish_timeout`: of the queue.
async fn behind_a_proxy(publish_timeout: Duration) -> (Vhost, Proxy, Queue) {
    let vhost = Vhost::new();
    let proxy = Proxy::to(vhost.address()).await;
    let options = QueueOptions {
        publish_timeout,
        ..QueueOptions::default()
    };
    let url = vhost.url_by(proxy.address).parse().unwrap();
    let queue = Queue::connect(&url, options).await.unwrap();
    (vhost, proxy, queue)
}

/// An error and all its causes.
fn explained(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", explained(source)),
        None => error.to_string(),
    }
}

/// Publishes until it is confirmed, as a spool does.
async fn publish_until_confirmed(queue: &Queue, name: QueueName, number: u32) {
    within_deadline(async {
        while queue.publish(name, numbered(number)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
