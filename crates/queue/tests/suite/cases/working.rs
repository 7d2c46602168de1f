//! A worker settles every message as its handler says, and lets no outage cost one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use queue::{Delivery, Handler, Outside, Pauses, Queue, QueueName, QueueOptions, Verdict, Worker};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{depth, depth_becomes, number, numbers, publish};
use crate::backend::{Backend, next_batch, within_deadline};

/// Works as a function says, and tells which messages were done.
struct Script<F> {
    verdict: F,
    done: mpsc::UnboundedSender<u32>,
}

impl<F> Handler for Script<F>
where
    F: Fn(u32) -> Result<Verdict, Outside> + Send + Sync,
{
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        let verdicts = deliveries.iter().map(|delivery| (self.verdict)(number(delivery)));
        let verdicts = verdicts.collect::<Result<Vec<_>, _>>()?;
        for (delivery, verdict) in deliveries.iter().zip(&verdicts) {
            if *verdict == Verdict::Done {
                self.done.send(number(delivery)).unwrap();
            }
        }
        Ok(verdicts)
    }
}

/// Runs a worker until so many messages are done and so many are dead, and gives the numbers done, in order.
async fn work(
    queue: &Queue,
    until_done: usize,
    until_dead: u64,
    verdict: impl Fn(u32) -> Result<Verdict, Outside> + Send + Sync + 'static,
) -> Vec<u32> {
    let pauses = Pauses {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
    };
    let shutdown = CancellationToken::new();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let worker = Worker::new(queue.clone(), QueueName::Live, 4, pauses);
    let running = tokio::spawn(worker.run(
        Script {
            verdict,
            done: sender,
        },
        shutdown.clone(),
    ));
    let mut done = Vec::new();
    while done.len() < until_done {
        done.push(within_deadline(receiver.recv()).await.unwrap());
    }
    depth_becomes(queue, QueueName::Dead, until_dead).await;
    shutdown.cancel();
    within_deadline(running).await.unwrap();
    while let Some(number) = receiver.recv().await {
        done.push(number);
    }
    done.sort_unstable();
    done
}

fn outage() -> Outside {
    Outside(Arc::new(std::io::Error::other("the database is away")))
}

pub(crate) async fn what_a_worker_has_done_never_comes_again(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..100).await;
    let done = work(&queue, 100, 0, |_| Ok(Verdict::Done)).await;
    assert_eq!(done, (0..100).collect::<Vec<_>>());
    publish(&queue, QueueName::Live, 100..101).await;
    let mut consumer = queue.consume(QueueName::Live).await.unwrap();
    assert_eq!(numbers(&next_batch(&mut consumer, 9).await), [100]);
}

pub(crate) async fn a_message_that_fails_does_not_hold_up_the_others(backend: &impl Backend) {
    let options = QueueOptions {
        retry_ladder: vec![Duration::from_millis(1)],
        ..QueueOptions::default()
    };
    let queue = backend.open_with(options).await;
    publish(&queue, QueueName::Live, 0..10).await;
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let done = work(&queue, 8, 2, move |number| match number {
        3 => {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Verdict::Retry("not today".to_owned()))
        }
        5 => Ok(Verdict::Reject("no call event".to_owned())),
        _ => Ok(Verdict::Done),
    })
    .await;
    assert_eq!(done, [0, 1, 2, 4, 6, 7, 8, 9]);
    assert_eq!(
        tries.load(Ordering::Relaxed),
        2,
        "once, and once for the one step of the ladder"
    );
    let mut dead = queue.consume(QueueName::Dead).await.unwrap();
    let mut buried = Vec::new();
    while buried.len() < 2 {
        buried.extend(next_batch(&mut dead, 2).await);
    }
    buried.sort_by_key(number);
    assert_eq!(numbers(&buried), [3, 5]);
    let reasons: Vec<_> = buried
        .iter()
        .map(|one| one.message.failures.clone().unwrap())
        .collect();
    assert_eq!(
        (reasons[0].reason.as_str(), reasons[0].attempts),
        ("not today", 2)
    );
    assert_eq!(
        (reasons[1].reason.as_str(), reasons[1].attempts),
        ("no call event", 1)
    );
}

pub(crate) async fn an_outage_costs_no_message_and_counts_no_attempt(backend: &impl Backend) {
    let queue = backend
        .open_with(QueueOptions {
            retry_ladder: Vec::new(),
            ..QueueOptions::default()
        })
        .await;
    publish(&queue, QueueName::Live, 0..10).await;
    let failures = AtomicU32::new(0);
    let done = work(&queue, 10, 0, move |_| {
        if failures.fetch_add(1, Ordering::Relaxed) < 20 {
            Err(outage())
        } else {
            Ok(Verdict::Done)
        }
    })
    .await;
    assert_eq!(done, (0..10).collect::<Vec<_>>());
    assert_eq!(depth(&queue, QueueName::Dead).await, 0);
}

pub(crate) async fn a_worker_can_be_stopped_during_an_outage(backend: &impl Backend) {
    let queue = backend.open().await;
    publish(&queue, QueueName::Live, 0..3).await;
    let (sender, mut tried) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let (done, _) = mpsc::unbounded_channel();
    let verdict = move |_| {
        let _ = sender.send(());
        Err(outage())
    };
    let worker = Worker::new(queue.clone(), QueueName::Live, 4, Pauses::default());
    let running = tokio::spawn(worker.run(Script { verdict, done }, shutdown.clone()));
    within_deadline(tried.recv()).await.unwrap();
    shutdown.cancel();
    within_deadline(running).await.unwrap();
    depth_becomes(&queue, QueueName::Live, 3).await;
}

/// Is done with everything, and tells of each batch when it began and how many messages it has.
struct Batches(mpsc::UnboundedSender<(Instant, usize)>);

impl Handler for Batches {
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        self.0.send((Instant::now(), deliveries.len())).unwrap();
        Ok(vec![Verdict::Done; deliveries.len()])
    }
}

pub(crate) async fn a_batch_that_is_not_full_keeps_the_next_one_waiting(backend: &impl Backend) {
    const MAX: usize = 4;
    const INTERVAL: Duration = Duration::from_millis(200);
    let queue = backend.open().await;
    let shutdown = CancellationToken::new();
    let (sender, mut batches) = mpsc::unbounded_channel();
    let worker = Worker::new(queue.clone(), QueueName::Live, MAX, Pauses::default()).with_interval(INTERVAL);
    let running = tokio::spawn(worker.run(Batches(sender), shutdown.clone()));
    publish(&queue, QueueName::Live, 0..1).await;
    let mut seen = vec![within_deadline(batches.recv()).await.unwrap()];
    publish(&queue, QueueName::Live, 1..21).await;
    while seen.iter().map(|(_, messages)| messages).sum::<usize>() < 21 {
        seen.push(within_deadline(batches.recv()).await.unwrap());
    }
    for pair in seen.windows(2) {
        let [(began, messages), (next, _)] = pair else {
            unreachable!()
        };
        assert!(*messages == MAX || *next - *began >= INTERVAL, "{seen:?}");
    }
    shutdown.cancel();
    within_deadline(running).await.unwrap();
}
