//! The spool, while there is no broker at all.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use queue::{Queue, QueueError, QueueName, QueueOptions, Readiness, SpoolOptions, SpoolState, spools};

use crate::backend::{Backend, Embedded, collect, within_deadline};
use crate::cases::{numbered, numbers};

#[tokio::test]
async fn what_no_broker_confirms_is_durable_here_and_arrives_later_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let queue = without_broker(folder.path()).await;
    for number in 0..70 {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    queue.publish(QueueName::Dead, numbered(70)).await.unwrap();
    let [spool] = &spools(folder.path()).await.unwrap()[..] else {
        panic!("there is one spool");
    };
    assert_eq!((spool.number, spool.is_owned, spool.messages), (0, true, 71));
    assert_eq!(spool.bytes, 10 + 61 * 2);

    let backend = Embedded::fresh();
    let elsewhere = backend.open().await;
    let mut sent = Vec::new();
    let progress = |spool, messages| sent.push((spool, messages));
    elsewhere.send_on_spools(folder.path(), progress).await.unwrap();
    assert_eq!(sent, [], "its owner minds it");
    abandoned(queue, folder.path()).await;
    let progress = |spool, messages| sent.push((spool, messages));
    elsewhere.send_on_spools(folder.path(), progress).await.unwrap();
    assert_eq!(sent, [(0, 64), (0, 7)]);
    let mut live = elsewhere.consume(QueueName::Live).await.unwrap();
    assert!(numbers(&collect(&mut live, 70).await).into_iter().eq(0..70));
    let mut dead = elsewhere.consume(QueueName::Dead).await.unwrap();
    assert_eq!(numbers(&collect(&mut dead, 1).await), [70]);
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 0);
}

#[tokio::test]
async fn a_full_spool_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        max_bytes: 3,
        ..SpoolOptions::new(folder.path())
    };
    let queue = nobody().await.with_spool(options).await.unwrap();
    for number in 0..3 {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    let readiness = queue.readiness().await.unwrap();
    assert!(
        matches!(&readiness, Readiness::Degraded(why) if why.starts_with(
            "webhooks are kept in the spool (3 messages, 3 of 3 bytes): the queue is not available: "
        )),
        "{readiness:?}"
    );
    let error = queue.publish(QueueName::Live, numbered(3)).await.unwrap_err();
    assert_eq!(error.to_string(), "the spool is full: it may have 3 bytes");
    assert_eq!(spools(folder.path()).await.unwrap()[0].messages, 3);
}

#[tokio::test]
async fn each_process_has_a_spool_of_its_own_and_takes_over_one_that_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let first = without_broker(folder.path()).await;
    let second = without_broker(folder.path()).await;
    first.publish(QueueName::Live, numbered(1)).await.unwrap();
    second.publish(QueueName::Live, numbered(2)).await.unwrap();
    let owned = |spools: Vec<SpoolState>| -> Vec<_> {
        spools
            .iter()
            .map(|spool| (spool.number, spool.is_owned, spool.messages))
            .collect()
    };
    assert_eq!(
        owned(spools(folder.path()).await.unwrap()),
        [(0, true, 1), (1, true, 1)]
    );
    abandoned(first, folder.path()).await;
    let third = without_broker(folder.path()).await;
    third.publish(QueueName::Live, numbered(3)).await.unwrap();
    assert_eq!(
        owned(spools(folder.path()).await.unwrap()),
        [(0, true, 2), (1, true, 1)]
    );
}

#[tokio::test]
async fn a_damaged_spool_stays_as_it_is_and_another_is_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("0")).unwrap();
    let damaged = folder.path().join("0/spool.db");
    fs::write(&damaged, b"torn").unwrap();
    let queue = without_broker(folder.path()).await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    assert!(folder.path().join("1/spool.db").exists());
    assert_eq!(fs::read(&damaged).unwrap(), b"torn");
}

/// What was on its way to the disk when the power went was not confirmed to anybody, and costs nothing that was.
#[tokio::test]
async fn a_torn_last_record_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let queue = without_broker(folder.path()).await;
    for number in 0..20 {
        queue.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    let log = fs::read(folder.path().join("0/spool.db-wal")).unwrap();
    let torn = &log[..log.len() - 100];
    let mut garbled = log.clone();
    garbled[log.len() - 100..].fill(0xff);
    for log in [torn, &garbled] {
        let copied = tempfile::tempdir().unwrap();
        let spool = copied.path().join("0");
        fs::create_dir(&spool).unwrap();
        fs::copy(folder.path().join("0/spool.db"), spool.join("spool.db")).unwrap();
        fs::write(spool.join("spool.db-wal"), log).unwrap();

        let again = without_broker(copied.path()).await;
        again.publish(QueueName::Live, numbered(20)).await.unwrap();
        abandoned(again, copied.path()).await;

        let backend = Embedded::fresh();
        let elsewhere = backend.open().await;
        elsewhere.send_on_spools(copied.path(), |_, _| {}).await.unwrap();
        let mut live = elsewhere.consume(QueueName::Live).await.unwrap();
        let arrived = numbers(&collect(&mut live, 20).await);
        assert!(arrived.into_iter().eq((0..19).chain([20])));
    }
}

#[tokio::test]
async fn without_a_place_for_a_spool_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = nobody()
        .await
        .with_spool(SpoolOptions::new(file.join("spool")))
        .await
        .unwrap_err();
    assert!(matches!(error, QueueError::CannotOpen { .. }), "{error:?}");
}

#[tokio::test]
async fn the_embedded_queue_needs_no_spool() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Embedded::fresh().open().await;
    let queue = queue.with_spool(SpoolOptions::new(folder.path())).await.unwrap();
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    assert_eq!(queue.readiness().await.unwrap(), Readiness::Ready);
    assert_eq!(spools(folder.path()).await.unwrap(), []);
}

/// A queue whose broker is not there, with a spool in this folder.
pub(crate) async fn without_broker(folder: &Path) -> Queue {
    nobody()
        .await
        .with_spool(SpoolOptions::new(folder))
        .await
        .unwrap()
}

/// Gives up a spool as a process does that ends.
async fn abandoned(queue: Queue, folder: &Path) {
    let own: BTreeSet<u32> = owned_spools(folder).await;
    drop(queue);
    within_deadline(async {
        while owned_spools(folder).await == own {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn owned_spools(folder: &Path) -> BTreeSet<u32> {
    let spools = spools(folder).await.unwrap();
    spools
        .iter()
        .filter(|spool| spool.is_owned)
        .map(|spool| spool.number)
        .collect()
}

async fn nobody() -> Queue {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("amqp://guest:guest@127.0.0.1:{port}/").parse().unwrap();
    Queue::connect(&url, QueueOptions::default()).await.unwrap()
}
