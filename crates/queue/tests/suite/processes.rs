//! The embedded backend among several processes, one of which dies. A child process is this test binary again, told
//! to run one of the ignored tests below.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use queue::{Message, Queue, QueueError, QueueName, QueueOptions, QueueUrl};
use uuid::Uuid;

use crate::backend::{Backend, Embedded, collect, next_batch};
use crate::cases::{numbered, numbers};
use crate::spool::without_broker;

const PLACE: &str = "QUEUE_TEST_PLACE";
const MARK: &str = "child says ";

#[tokio::test]
async fn what_a_killed_process_had_confirmed_is_there() {
    let backend = Embedded::fresh();
    let mut confirmed = BTreeSet::new();
    for round in 0..5_usize {
        let (mut child, said) = spawn(&backend.url().to_string(), "child_publishes_until_killed");
        let mut said = said.map(|id| id.parse::<Uuid>().unwrap());
        confirmed.extend(said.by_ref().take(100 + 150 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before it died.
        confirmed.extend(said);
    }
    assert!(confirmed.len() >= 5 * 100);

    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    while !confirmed.is_empty() {
        let batch = next_batch(&mut consumer, 1000).await;
        for delivery in &batch {
            confirmed.remove(&delivery.message.id);
            assert_eq!(delivery.message.body, body_of(delivery.message.id));
        }
    }
}

#[tokio::test]
async fn what_a_killed_process_had_kept_in_its_spool_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = BTreeSet::new();
    for round in 0..5_usize {
        let place = folder.path().to_str().unwrap();
        let (mut child, said) = spawn(place, "child_spools_until_killed");
        let mut said = said.map(|id| id.parse::<Uuid>().unwrap());
        kept.extend(said.by_ref().take(50 + 100 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        kept.extend(said);
    }
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    queue.send_on_spools(folder.path(), |_, _| {}).await.unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    while !kept.is_empty() {
        for delivery in next_batch(&mut consumer, 1000).await {
            kept.remove(&delivery.message.id);
            assert_eq!(delivery.message.body, body_of(delivery.message.id));
        }
    }
}

#[tokio::test]
async fn processes_share_the_file_but_not_the_consuming() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let waiting = tokio::spawn(async move {
        let batch = collect(&mut consumer, 3).await;
        (numbers(&batch), consumer)
    });
    let (mut child, said) = spawn(
        &backend.url().to_string(),
        "child_publishes_three_and_tries_to_consume",
    );
    assert_eq!(said.collect::<Vec<_>>(), ["in use"]);
    assert!(child.wait().unwrap().success());
    let (seen, consumer) = waiting.await.unwrap();
    assert_eq!(seen, [0, 1, 2]);

    drop(consumer);
    let (mut child, said) = spawn(
        &backend.url().to_string(),
        "child_publishes_three_and_tries_to_consume",
    );
    assert_eq!(said.collect::<Vec<_>>(), ["consumes 0"]);
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_killed_consumer_leaves_its_queue_to_others() {
    let backend = Embedded::fresh();
    let queue = backend.open().await;
    let (mut child, mut said) = spawn(
        &backend.url().to_string(),
        "child_publishes_three_and_consumes_until_killed",
    );
    assert_eq!(said.next().unwrap(), "holds 3");
    assert!(matches!(
        queue.consume(QueueName::Live).await,
        Err(QueueError::InUse { .. })
    ));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&collect(&mut consumer, 3).await), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started by another test, as a process of its own"]
async fn child_publishes_until_killed() {
    if let Some(queue) = queue_of_the_parent().await {
        publish_until_killed(&queue).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started by another test, as a process of its own"]
async fn child_spools_until_killed() {
    if let Ok(folder) = std::env::var(PLACE) {
        publish_until_killed(&without_broker(Path::new(&folder)).await).await;
    }
}

async fn publish_until_killed(queue: &Queue) {
    let publishers: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                loop {
                    let id = Uuid::now_v7();
                    match queue
                        .publish(QueueName::Live, Message::new(id, body_of(id)))
                        .await
                    {
                        Ok(()) => println!("{MARK}{id}"),
                        Err(error) => break error,
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        let error = publisher.await.unwrap();
        println!("{error:?}");
    }
}

#[tokio::test]
#[ignore = "is started by another test, as a process of its own"]
async fn child_publishes_three_and_tries_to_consume() {
    let Some(queue) = queue_of_the_parent().await else {
        return;
    };
    queue
        .publish_all(QueueName::Live, (0..3).map(numbered).collect())
        .await
        .unwrap();
    match queue.consume(QueueName::Live).await {
        Ok(mut consumer) => println!(
            "{MARK}consumes {}",
            numbers(&next_batch(&mut consumer, 1).await)[0]
        ),
        Err(QueueError::InUse { .. }) => println!("{MARK}in use"),
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
#[ignore = "is started by another test, as a process of its own"]
async fn child_publishes_three_and_consumes_until_killed() {
    let Some(queue) = queue_of_the_parent().await else {
        return;
    };
    queue
        .publish_all(QueueName::Live, (0..3).map(numbered).collect())
        .await
        .unwrap();
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    let batch = collect(&mut consumer, 3).await;
    println!("{MARK}holds {}", batch.len());
    std::future::pending::<()>().await;
}

/// None when somebody runs the ignored tests by hand.
async fn queue_of_the_parent() -> Option<Queue> {
    let url: QueueUrl = std::env::var(PLACE).ok()?.parse().unwrap();
    Some(Queue::connect(&url, QueueOptions::default()).await.unwrap())
}

/// Starts a child process, and reads what it says.
fn spawn(place: &str, test: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            &format!("processes::{test}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    // The test harness writes on the same stream; a line cut short by the kill has no end.
    let lines = said
        .split(b'\n')
        .map(|line| String::from_utf8(line.unwrap()).unwrap());
    let said = lines.filter_map(|line| Some(line.split_once(MARK)?.1.to_owned()));
    (child, said)
}

/// A body from which a torn or mixed-up row would show.
fn body_of(id: Uuid) -> Vec<u8> {
    id.as_bytes().repeat(256)
}
