//! What Trunkline is compared with: servers and a publisher that make bodies durable, and do nothing else.
//!
//!   floor rabbitmq URL ADDRESS       serves HTTP, publishes each body to `calls.live` and answers when it is confirmed
//!   floor embedded PATH ADDRESS      the same into the embedded queue
//!   floor publisher URL N MS         publishes with N messages on their way, for so long; prints messages a second
#![allow(clippy::print_stdout, reason = "it prints what it found")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data, post};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use queue::{Message, Queue, QueueName, QueueOptions, QueueUrl};
use tokio::task::JoinSet;
use uuid::Uuid;

const PERSISTENT: u8 = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["rabbitmq", url, address] => {
            let (_connection, channel) = connect(url).await?;
            serve_rabbitmq(channel, address).await
        }
        ["embedded", path, address] => {
            let url = QueueUrl::embedded(PathBuf::from(path));
            let queue = Queue::connect(&url, QueueOptions::default()).await?;
            serve_embedded(queue, address).await
        }
        ["publisher", url, at_a_time, lasting] => {
            let (_connection, channel) = connect(url).await?;
            let lasting = Duration::from_millis(lasting.parse()?);
            println!("{}", publish_for(channel, at_a_time.parse()?, lasting).await?);
            Ok(())
        }
        _ => anyhow::bail!(
            "floor rabbitmq URL ADDRESS | floor embedded PATH ADDRESS | floor publisher URL N MS"
        ),
    }
}

async fn connect(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

async fn serve_rabbitmq(channel: Channel, address: &str) -> anyhow::Result<()> {
    let channel = Data::new(channel);
    let server = HttpServer::new(move || {
        let receive = post().to(|body: Bytes, channel: Data<Channel>| async move {
            match confirmed(&channel, &body).await {
                Ok(true) => HttpResponse::Ok().finish(),
                Ok(false) | Err(_) => HttpResponse::ServiceUnavailable().finish(),
            }
        });
        App::new()
            .app_data(channel.clone())
            .route("/api/webhooks/callrail/{kind}", receive)
    });
    server.bind(address)?.run().await.context("cannot serve")
}

async fn serve_embedded(queue: Queue, address: &str) -> anyhow::Result<()> {
    let queue = Data::new(queue);
    let server = HttpServer::new(move || {
        let receive = post().to(|body: Bytes, queue: Data<Queue>| async move {
            let message = Message::new(Uuid::now_v7(), body.to_vec());
            match queue.publish(QueueName::Live, message).await {
                Ok(()) => HttpResponse::Ok().finish(),
                Err(_) => HttpResponse::ServiceUnavailable().finish(),
            }
        });
        App::new()
            .app_data(queue.clone())
            .route("/api/webhooks/callrail/{kind}", receive)
    });
    server.bind(address)?.run().await.context("cannot serve")
}

/// Publishes a body; whether the broker confirmed it.
async fn confirmed(channel: &Channel, body: &[u8]) -> lapin::Result<bool> {
    let sent = channel
        .basic_publish(
            "".into(),
            QueueName::Live.as_str().into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default().with_delivery_mode(PERSISTENT),
        )
        .await?;
    Ok(matches!(sent.await?, Confirmation::Ack(_)))
}

/// Publishes 4 kB bodies; how many a second.
#[allow(clippy::cast_precision_loss, reason = "a rate")]
async fn publish_for(channel: Channel, at_a_time: usize, lasting: Duration) -> anyhow::Result<f64> {
    let published = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut publishers = JoinSet::new();
    for _ in 0..at_a_time {
        let (channel, published) = (channel.clone(), Arc::clone(&published));
        publishers.spawn(async move {
            let body = [b'x'; 4_096];
            while began.elapsed() < lasting {
                anyhow::ensure!(confirmed(&channel, &body).await?, "a message was refused");
                published.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(published.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
