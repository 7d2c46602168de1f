//! Ten times as many webhooks as the broker takes. What it cannot take is kept in the spool up to its bound, and then
//! refused; memory does not grow, and nothing that was accepted is lost.
//!
//! `OVERLOAD_SECONDS` makes it longer; `./test --chaos` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use calls::CallId;
use queue::{Queue, QueueName, QueueOptions};
use store::{DatabaseUrl, Store};
use test_servers::{Database, Throttle, Vhost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use trunkline_tests::{Installation, Process, SIGNING_KEY, eventually, sample, signature};

/// What the broker takes at most, and which part of what the ingest could publish on a slow machine.
const TAKEN_PER_SECOND: u32 = 500;
const PART_TAKEN: usize = 4;
/// This share of it at least must reach it, and as many at least must be accepted.
const REACHING: f64 = 0.9;
const OFFERED_PER_SECOND: u32 = 5_000;
const CONNECTIONS: usize = 256;

/// Unless the environment says otherwise.
const SECONDS: u32 = 5;

/// By how much memory may be more in the second half than it was in the first: what the allocator holds on to.
const SLACK: u64 = 16 * MEBIBYTE;
const MEBIBYTE: u64 = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_more_than_the_broker_takes_fills_the_spool_and_is_then_refused() {
    let seconds = std::env::var("OVERLOAD_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let (vhost, database) = (Vhost::new(), Database::empty());
    let broker = Throttle::to(vhost.address()).await;
    // Small enough to be full well before the end, also where this machine cannot offer as much.
    let bound = u64::from(seconds) * MEBIBYTE;
    let trunkline = Installation::new()
        .with("DATABASE_URL", database.url())
        .with("QUEUE_URL", vhost.url_by(broker.address))
        .with("SPOOL_MEGABYTES", seconds.to_string());
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let ingest = trunkline.start("webhook-ingest").await;
    let broker_url = vhost.url().parse().unwrap();
    let queue = Queue::connect(&broker_url, QueueOptions::default())
        .await
        .unwrap();

    let at_once = offer(trunkline.http_address().to_owned(), 1).await;
    let at_once = at_once.iter().filter(|answer| answer.status == 200).count();
    let taken = u32::try_from(at_once / PART_TAKEN).unwrap().min(TAKEN_PER_SECOND);
    let reaching = f64::from(taken) * REACHING;
    broker.limit(taken);
    let reached_before = depth(&queue).await;

    let began = Instant::now();
    let offering = tokio::spawn(offer(trunkline.http_address().to_owned(), seconds));
    let watched = watch(&trunkline, &ingest, began + Duration::from_secs(seconds.into())).await;
    let took = began.elapsed().as_secs_f64();
    let reached = (depth(&queue).await - reached_before) / took;
    let answers = offering.await.unwrap();
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    let accepted: Vec<CallId> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| call_id(answer.number))
        .collect();
    let first_refusal = answers.iter().filter(|answer| answer.status == 503);
    let first_refusal = first_refusal.map(|answer| answer.at.duration_since(began)).min();
    let offered_per_second = f64::from(u32::try_from(answers.len()).unwrap()) / took;
    let accepted_per_second = f64::from(u32::try_from(accepted.len()).unwrap()) / took;
    println!(
        "the broker takes {taken} a second; {offered_per_second:.0} offered, {accepted_per_second:.0} accepted; {refused} \
         refused, the first after {first_refusal:?}; {reached:.0} a second reached the broker; at most {} of {bound} bytes \
         in the spool; memory at most {} MiB, in the second half {} MiB",
        watched.spooled,
        watched.first_half / MEBIBYTE,
        watched.second_half / MEBIBYTE,
    );
    assert_eq!(
        accepted.len() + refused,
        answers.len(),
        "200 or 503, and nothing else"
    );
    assert!(refused > 0, "that was no overload");
    assert!(reached >= reaching, "the broker was kept waiting");
    assert!(
        accepted_per_second >= reaching,
        "what reached the broker was refused"
    );
    assert!(watched.spooled <= bound, "the spool has a bound");
    assert!(
        watched.spooled > bound * 9 / 10,
        "refused although there was room"
    );
    assert!(watched.second_half <= watched.first_half + SLACK, "memory grows");

    broker.lift();
    let lifted = Instant::now();
    let writer = trunkline.spawn("call-writer");
    let database_url: DatabaseUrl = database.url().parse().unwrap();
    let store = Store::connect(&database_url).await.unwrap();
    // As long as it gets less, there is no hurry.
    let mut missing = accepted.clone();
    while !missing.is_empty() {
        let before = missing.len();
        let fewer = eventually(|| async {
            let mut still = Vec::new();
            for calls in missing.chunks(1_000) {
                let rows = store.interactions(calls).await.unwrap();
                still.extend(calls.iter().filter(|call| !rows.contains_key(call)).cloned());
            }
            (still.len() < before).then_some(still)
        });
        let fewer = fewer.await;
        missing =
            fewer.unwrap_or_else(|| panic!("{before} accepted webhooks are lost\n{}", trunkline.logs()));
    }
    println!(
        "{} accepted webhooks are in the database {:.1} s after the broker was well again; lost: 0",
        accepted.len(),
        lifted.elapsed().as_secs_f64()
    );
    let rows = store.count_interactions().await.unwrap();
    assert!(rows <= answers.len() as u64, "rows of no call");
    for process in [ingest, writer] {
        process.kill().await;
    }
}

/// What was answered to a webhook, and when.
struct Answered {
    number: usize,
    status: u16,
    at: Instant,
}

/// Offers so many webhooks a second, each about a call of its own, as far as connections are free.
async fn offer(address: String, seconds: u32) -> Vec<Answered> {
    let (address, next) = (Arc::new(address), Arc::new(AtomicUsize::new(0)));
    let (began, all) = (Instant::now(), (OFFERED_PER_SECOND * seconds) as usize);
    let ends = began + Duration::from_secs(seconds.into());
    let template = Arc::new(Template::new());
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, next, template) = (Arc::clone(&address), Arc::clone(&next), Arc::clone(&template));
        connections.spawn(async move {
            let mut connection = TcpStream::connect(&*address).await.unwrap();
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= all || Instant::now() >= ends {
                    return answers;
                }
                let due = Duration::from_secs(number as u64) / OFFERED_PER_SECOND;
                sleep_until(began + due).await;
                connection.write_all(&template.request(number)).await.unwrap();
                let status = status(&mut connection).await;
                let at = Instant::now();
                answers.push(Answered { number, status, at });
            }
        });
    }
    connections.join_all().await.into_iter().flatten().collect()
}

/// A recorded call, of which only the id is changed.
struct Template {
    before_id: String,
    after_id: String,
}

impl Template {
    fn new() -> Self {
        let body = String::from_utf8(sample("post_call_answered.json").body).unwrap();
        let (before_id, rest) = body.split_once("\"resource_id\":\"").unwrap();
        let (_, after_id) = rest.split_once('"').unwrap();
        Self {
            before_id: format!("{before_id}\"resource_id\":\""),
            after_id: format!("\"{after_id}"),
        }
    }

    fn request(&self, number: usize) -> Vec<u8> {
        let call = call_id(number);
        let body = format!("{}{call}{}", self.before_id, self.after_id);
        let signature = signature(SIGNING_KEY, body.as_bytes());
        format!(
            "POST /api/webhooks/callrail/post-call HTTP/1.1\r\nHost: crm.example.com\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nSignature: {signature}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

fn call_id(number: usize) -> CallId {
    CallId::parse(&format!("CALoffered{number}")).unwrap()
}

/// Reads an answer: its head, and a body of the length that the head names.
async fn status(connection: &mut TcpStream) -> u16 {
    let mut answer = Vec::with_capacity(1024);
    loop {
        assert_ne!(connection.read_buf(&mut answer).await.unwrap(), 0, "no answer");
        let text = std::str::from_utf8(&answer).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() == length {
            return head.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
}

/// The most that was seen, in bytes.
#[derive(Default)]
struct Watched {
    spooled: u64,
    first_half: u64,
    second_half: u64,
}

/// Looks at an ingest again and again.
async fn watch(trunkline: &Installation, ingest: &Process, until: Instant) -> Watched {
    let mut watched = Watched::default();
    let half = Instant::now() + (until - Instant::now()) / 2;
    let metrics = format!("http://{}/metrics", ingest.metrics_address());
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while ticks.tick().await < until {
        let resident = ingest.resident_bytes().unwrap_or_default();
        let most = if Instant::now() < half {
            &mut watched.first_half
        } else {
            &mut watched.second_half
        };
        *most = resident.max(*most);
        let text = trunkline.send(trunkline.client().get(&metrics)).await.text;
        let spooled = text
            .lines()
            .find_map(|line| line.strip_prefix("trunkline_spool_bytes "));
        watched.spooled = watched.spooled.max(spooled.unwrap().parse().unwrap());
    }
    watched
}

/// How many webhooks are at the broker.
async fn depth(queue: &Queue) -> f64 {
    let depths = queue.depths().await.unwrap();
    let live = depths.iter().find(|(name, _)| *name == QueueName::Live);
    u32::try_from(live.unwrap().1).unwrap().into()
}
