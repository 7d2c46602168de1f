//! What only the embedded backend does: one file on a disk.

use std::fs;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use queue::{Queue, QueueError, QueueName, QueueOptions, QueueUrl};

use crate::backend::{Backend, Embedded, begin_and_drop, collect, next_batch, within_deadline};
use crate::cases::{at, depth, numbered, numbers, publish};

#[tokio::test]
async fn a_second_connection_that_consumes_the_same_queue_is_refused() {
    let backend = Embedded::fresh();
    let (first, second) = (backend.open().await, backend.open().await);
    let consumer = first.consume(QueueName::Live).await.unwrap();
    let another = first.consume(QueueName::Live).await.unwrap();
    let error = second.consume(QueueName::Live).await.unwrap_err();
    assert!(matches!(&error, QueueError::InUse { queue: QueueName::Live, path } if *path == backend.path()));
    second.consume(QueueName::Alerts).await.unwrap();
    drop(consumer);
    assert!(
        second.consume(QueueName::Live).await.is_err(),
        "one consumer is left"
    );
    drop(another);
    second.consume(QueueName::Live).await.unwrap();
}

#[tokio::test]
async fn a_consumer_sees_what_another_connection_publishes() {
    let backend = Embedded::fresh();
    let (consuming, publishing) = (backend.open().await, backend.open().await);
    let mut consumer = consuming.consume(QueueName::Live).await.unwrap();
    for number in 0..3 {
        let publish = async {
            // Two answers later the first connection has looked, found nothing, and waits.
            consuming.depths().await.unwrap();
            consuming.depths().await.unwrap();
            publishing
                .publish(QueueName::Live, numbered(number))
                .await
                .unwrap();
        };
        let (batch, ()) = tokio::join!(biased; next_batch(&mut consumer, 10), publish);
        assert_eq!(numbers(&batch), [number]);
        consumer.acknowledge(&batch).await.unwrap();
    }
}

#[tokio::test]
async fn a_queue_may_change_hands_and_come_back() {
    let backend = Embedded::fresh();
    let (first, second) = (backend.open().await, backend.open().await);
    for number in 0..4 {
        first.publish(QueueName::Live, numbered(number)).await.unwrap();
    }
    let mut consumer = first.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 4).await), [0, 1, 2, 3]);
    drop(consumer);

    let mut consumer = second.consume(QueueName::Live).await.unwrap();
    let mut batch = collect(&mut consumer, 4).await;
    consumer.acknowledge(&batch.split_off(2)).await.unwrap();
    drop(consumer);

    let mut consumer = first.consume(QueueName::Live).await.unwrap();
    second.publish(QueueName::Live, numbered(4)).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 3).await), [0, 1, 4]);
}

#[tokio::test]
async fn a_message_does_not_stay_with_who_dropped_the_wait() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let mut other = queue.consume(QueueName::Live).await.unwrap();
    begin_and_drop(consumer.next_batch(10)).await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    assert_eq!(numbers(&next_batch(&mut other, 10).await), [1]);
}

#[tokio::test]
async fn what_is_given_back_comes_first() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..6).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 3).await;
    consumer.give_back(batch).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 6).await), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn depths_count_resting_and_held_messages_too() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..3).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let mut batch = collect(&mut consumer, 2).await;
    consumer.retry(batch.remove(0), "rest", at(0)).await.unwrap();
    assert_eq!(
        depth(&queue, QueueName::Live).await,
        3,
        "one rests, one is held, one waits"
    );
}

#[tokio::test]
async fn an_outage_fails_the_writes_and_ends_without_a_trace() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    queue
        .publish_all(QueueName::Live, (0..4).map(numbered).collect())
        .await
        .unwrap();
    let mut batch = collect(&mut consumer, 4).await;
    begin_and_drop(consumer.next_batch(1)).await;

    let mut outside = SqliteConnection::establish(backend.path().to_str().unwrap()).unwrap();
    outside
        .batch_execute("alter table messages rename to hidden")
        .unwrap();
    let error = queue.publish(QueueName::Live, numbered(9)).await.unwrap_err();
    assert_eq!(error.to_string(), "the queue is not available");
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("messages")
    );
    let (retried, buried) = (batch.remove(0), batch.remove(0));
    assert!(matches!(
        consumer.retry(retried, "r", at(0)).await,
        Err(QueueError::Unavailable { .. })
    ));
    assert!(matches!(
        consumer.dead_letter(buried, "d", at(0)).await,
        Err(QueueError::Unavailable { .. })
    ));
    assert!(matches!(
        consumer.acknowledge(&batch).await,
        Err(QueueError::Unavailable { .. })
    ));
    assert!(matches!(
        queue.depths().await,
        Err(QueueError::Unavailable { .. })
    ));
    let error = within_deadline(consumer.next_batch(9)).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error:?}");

    outside
        .batch_execute("alter table hidden rename to messages")
        .unwrap();
    queue.publish(QueueName::Live, numbered(10)).await.unwrap();
    let back = collect(&mut consumer, 3).await;
    assert_eq!(
        numbers(&back),
        [0, 1, 10],
        "what could not be retried or buried was given back"
    );
    assert!(back.iter().all(|delivery| delivery.message.failures.is_none()));
    consumer.acknowledge(&batch).await.unwrap();
    consumer.acknowledge(&back).await.unwrap();
    assert_eq!(depth(&queue, QueueName::Live).await, 0);
}

#[tokio::test]
async fn a_clock_set_back_does_not_delay_a_retry_for_ever() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer.retry(delivery, "again", at(0)).await.unwrap();
    let mut outside = SqliteConnection::establish(backend.path().to_str().unwrap()).unwrap();
    let a_day = "update delayed set due_at = due_at + 24 * 60 * 60 * 1000";
    outside
        .batch_execute(&format!("pragma busy_timeout = 5000; {a_day}"))
        .unwrap();
    assert_eq!(numbers(&next_batch(&mut consumer, 1).await), [1]);
}

#[tokio::test]
async fn folders_and_files_are_made_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/queue.db");
    let queue = connect(&path).await.unwrap();
    let _consumer = queue.consume(QueueName::Live).await.unwrap();
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&folder.path().join("a")), mode(path.parent().unwrap())),
        (0o700, 0o700)
    );
    let files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[tokio::test]
async fn a_file_that_is_no_queue_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    let noise = "not a database, just some notes\n".repeat(100);
    fs::write(&text, &noise).unwrap();
    assert_eq!(
        explained(&connect(&text).await.unwrap_err()),
        "cannot open the queue file notes.txt: file is not a database"
    );
    assert_eq!(fs::read_to_string(&text).unwrap(), noise);

    let foreign = folder.path().join("crm.db");
    let mut outside = SqliteConnection::establish(foreign.to_str().unwrap()).unwrap();
    outside
        .batch_execute("create table messages (id integer)")
        .unwrap();
    let before = fs::read(&foreign).unwrap();
    let error = explained(&connect(&foreign).await.unwrap_err());
    assert_eq!(
        error,
        "cannot open the queue file crm.db: the file belongs to another program"
    );
    assert_eq!(fs::read(&foreign).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_queue_file_is_refused() {
    let backend = Embedded::fresh();
    drop(backend.open().await);
    let mut bytes = fs::read(backend.path()).unwrap();
    bytes.truncate(100);
    bytes[40..60].fill(0xff);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    fs::write(&path, bytes).unwrap();
    let error = explained(&connect(&path).await.unwrap_err());
    assert!(
        error.starts_with("cannot open the queue file queue.db: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_taken_over_with_its_messages() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    queue.publish(QueueName::Live, numbered(1)).await.unwrap();
    queue.publish(QueueName::Alerts, numbered(2)).await.unwrap();
    let mut consumer = queue.consume(QueueName::Alerts).await.unwrap();
    let delivery = next_batch(&mut consumer, 1).await.remove(0);
    consumer.retry(delivery, "again", at(0)).await.unwrap();
    drop((consumer, queue));
    let mut outside = SqliteConnection::establish(backend.path().to_str().unwrap()).unwrap();
    outside
        .batch_execute(
            "pragma busy_timeout = 5000; alter table messages drop column trace; alter table delayed drop column trace",
        )
        .unwrap();

    let queue = backend.open().await;
    queue.publish(QueueName::Live, numbered(3)).await.unwrap();
    let mut live = queue.consume(QueueName::Live).await.unwrap();
    let mut batch = collect(&mut live, 2).await;
    assert_eq!(numbers(&batch[1..]), [3]);
    let mut alerts = queue.consume(QueueName::Alerts).await.unwrap();
    batch.extend(next_batch(&mut alerts, 1).await);
    let of_then = [&batch[0].message, &batch[2].message];
    assert_eq!(of_then.map(|message| &message.body[..]), [b"1", b"2"]);
    assert_eq!(of_then.map(|message| message.trace), [None, None]);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let backend = Embedded::fresh();
    drop(backend.open().await);
    let mut outside = SqliteConnection::establish(backend.path().to_str().unwrap()).unwrap();
    outside
        .batch_execute("pragma busy_timeout = 5000; pragma user_version = 7")
        .unwrap();
    let error = connect(&backend.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            QueueError::NewerFormat {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    let error = connect(Path::new("/proc/trunkline/queue.db")).await.unwrap_err();
    assert!(matches!(error, QueueError::CannotOpen { .. }), "{error:?}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = connect(&folder.path().join("file/queue.db")).await.unwrap_err();
    assert!(matches!(error, QueueError::CannotOpen { .. }), "{error:?}");
    let error = connect(folder.path()).await.unwrap_err();
    assert!(matches!(error, QueueError::CannotOpen { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_the_same_time() {
    let backend = Embedded::fresh();
    let openings: Vec<_> = (0..8)
        .map(|number| {
            let url = backend.url();
            tokio::spawn(async move {
                let queue = Queue::connect(&url, QueueOptions::default()).await.unwrap();
                queue.publish(QueueName::Live, numbered(number)).await.unwrap();
            })
        })
        .collect();
    for opening in openings {
        within_deadline(opening).await.unwrap();
    }
    assert_eq!(depth(&backend.open().await, QueueName::Live).await, 8);
}

async fn connect(path: &Path) -> Result<Queue, QueueError> {
    Queue::connect(&QueueUrl::embedded(path), QueueOptions::default()).await
}

/// The error and its cause on one line, without the folder.
fn explained(error: &QueueError) -> String {
    let QueueError::CannotOpen { path, source } = error else {
        panic!("{error:?}")
    };
    let folder = format!("{}/", path.parent().unwrap().display());
    format!("{error}: {source}").replace(&folder, "")
}
