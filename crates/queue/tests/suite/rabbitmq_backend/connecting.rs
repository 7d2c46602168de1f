//! Reaching a broker: one that is away, refuses, says nothing, is one of several, or speaks TLS.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use queue::{Queue, QueueError, QueueName, QueueOptions, QueueUrl};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use test_servers::{Proxy, Vhost};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use uuid::Uuid;

use super::{connect, explained, publish_until_confirmed};
use crate::backend::{RabbitMq, collect, next_batch, within_deadline};
use crate::cases::{numbered, numbers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_may_come_later() {
    let vhost = Vhost::new();
    let nobody = Proxy::to(vhost.address()).await;
    let address = nobody.address;
    drop(nobody);
    let queue = connect(&vhost.url_by(address)).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let error = queue.publish(QueueName::Live, numbered(1)).await.unwrap_err();
    let said = explained(&error);
    assert!(
        said.starts_with(&format!(
            "the queue is not available: cannot connect to amqp://{address}/{}: ",
            vhost.name()
        )),
        "{said}"
    );
    assert!(said.contains("refused"), "{said}");
    assert!(matches!(
        queue.depths().await,
        Err(QueueError::Unavailable { .. })
    ));

    let _somebody = Proxy::listen(address, vhost.address(), None).await;
    publish_until_confirmed(&queue, QueueName::Live, 2).await;
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_may_be_made_right() {
    let vhost = Vhost::new();
    let user = format!("user-{}", Uuid::now_v7());
    let queue = connect(&format!(
        "amqp://{user}:hunter2@{}/{}",
        vhost.address(),
        vhost.name()
    ))
    .await;
    let error = queue.publish(QueueName::Live, numbered(1)).await.unwrap_err();
    let said = explained(&error);
    assert!(
        said.contains("ACCESS-REFUSED") || said.contains("ACCESS_REFUSED"),
        "{said}"
    );
    assert!(!format!("{said} {error:?} {queue:?}").contains("hunter2"));

    vhost.put(
        &format!("users/{user}"),
        &json!({ "password": "hunter2", "tags": "" }),
    );
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    vhost.put(&format!("permissions/{}/{user}", vhost.name()), &all);
    publish_until_confirmed(&queue, QueueName::Live, 2).await;
    assert!(vhost.delete(&format!("users/{user}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hosts_are_tried_in_turn() {
    let vhost = Vhost::new();
    let nobody = Proxy::to(vhost.address()).await;
    let dead = nobody.address;
    drop(nobody);
    let (first, second) = (Proxy::to(vhost.address()).await, Proxy::to(vhost.address()).await);
    let url = [dead, first.address, second.address].map(|address| vhost.url_by(address));
    let queue = connect(&url.join(",")).await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    drop(first);
    publish_until_confirmed(&queue, QueueName::Live, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_says_nothing_is_passed_over() {
    let vhost = Vhost::new();
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = [vhost.url_by(mute.local_addr().unwrap()), vhost.url()];
    let queue = within_deadline(connect(&url.join(","))).await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_declare_the_same_and_share_it() {
    let backend = RabbitMq::fresh();
    let openings: Vec<_> = (0..4)
        .map(|_| {
            let url = backend.vhost.url();
            tokio::spawn(async move { connect(&url).await })
        })
        .collect();
    let mut queues = Vec::new();
    for opening in openings {
        queues.push(within_deadline(opening).await.unwrap());
    }
    let mut consumer = queues[0].consume(QueueName::Live).await.unwrap();
    for (number, queue) in (0..).zip(&queues) {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    assert_eq!(numbers(&collect(&mut consumer, 4).await), [0, 1, 2, 3]);
    let names = backend
        .vhost
        .get(&format!("queues/{}", backend.vhost.name()))
        .unwrap();
    let names: BTreeSet<_> = names
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| queue["name"].as_str().unwrap().to_owned())
        .collect();
    let expected = [
        "alerts",
        "calls.backfill",
        "calls.live",
        "calls.progress",
        "dead",
        "retry.10m",
        "retry.10s",
        "retry.1m",
        "retry.1s",
    ];
    assert!(names.iter().eq(expected.iter()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_when_it_is_named() {
    let vhost = Vhost::new();
    let (authority, acceptor) = private_tls();
    let proxy = Proxy::listen("127.0.0.1:0".parse().unwrap(), vhost.address(), Some(acceptor)).await;
    let url: QueueUrl = vhost
        .url_by(format!("localhost:{}", proxy.address.port()))
        .replace("amqp://", "amqps://")
        .parse()
        .unwrap();

    let stranger = Queue::connect(&url, QueueOptions::default()).await.unwrap();
    let error = stranger.publish(QueueName::Live, numbered(1)).await.unwrap_err();
    assert!(
        explained(&error).contains("UnknownIssuer"),
        "{}",
        explained(&error)
    );

    let mut file = tempfile::NamedTempFile::new().unwrap();
    let options = QueueOptions {
        ca_file: Some(file.path().to_owned()),
        ..QueueOptions::default()
    };
    let error = Queue::connect(&url, options.clone()).await.unwrap_err();
    assert!(
        matches!(&error, QueueError::CannotReadCertificates { path, .. } if path == file.path()),
        "{error:?}"
    );
    file.write_all(authority.as_bytes()).unwrap();
    let queue = Queue::connect(&url, options).await.unwrap();
    queue.publish(QueueName::Live, numbered(2)).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [2]);
}

/// The certificate (PEM) of an authority nobody knows, and a server that it vouches for as localhost.
fn private_tls() -> (String, TlsAcceptor) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}
