//! From the POST of a ring to Pusher, in the scaled shape: beside the sum of its steps, each measured alone.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use callrail::WebhookKind;
use callrail_simulator::SimulatedAccount;
use chrono::Utc;
use hdrhistogram::Histogram;
use pusher::{Event, Pusher, PusherUrl, http_client};
use queue::{Message, QueueName};
use store::{DatabaseUrl, Store};
use test_servers::Database;
use tokio::time::Instant;
use trunkline_tests::pusher_peer::{self, Mood, Peer};
use trunkline_tests::{Installation, Process, eventually};
use uuid::Uuid;

use super::{Extent, metric};
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::deliveries::{account, request};
use crate::load::{Load, Pace, histogram, milliseconds, note};
use crate::office;
use crate::report::{Measured, Reach};

const CONNECTIONS: usize = 64;
/// The shares of the sustained rate at which rings are timed.
const SHARES: [f64; 3] = [0.1, 0.5, 0.8];
const MAX_OF_STEPS: f64 = 1.5;
/// The 99th percentile, in medians, at half of the sustained rate.
const MAX_TAIL: f64 = 10.0;

/// What is posted of an inbound call.
struct InboundCall {
    call_sid: String,
    ring: Bytes,
    end: Bytes,
}

/// Everything that a ring passes through.
struct Site {
    trunkline: Installation,
    pusher: Peer,
    /// Calls that have not rung yet, and the ends of those that have.
    waiting: VecDeque<InboundCall>,
    ends: VecDeque<Bytes>,
    posted: f64,
    writer: Process,
    notifier: Process,
    database: Database,
    _ingest: Process,
    _broker: Broker,
}

impl Site {
    async fn start(calls: usize, contacts: usize) -> Self {
        // Three in four are inbound.
        let account = account(calls * 3 / 2);
        let (pusher, address) = Peer::start(Mood::Fine);
        let (broker, database) = (Broker::new().await, office::postgres(contacts).await);
        let trunkline = office::writer(&broker, &database.url())
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
            .with("PUSHER_URL", pusher_peer::url(&address));
        Self {
            waiting: inbound(&account),
            ends: VecDeque::new(),
            posted: 0.0,
            _ingest: trunkline.start("webhook-ingest").await,
            writer: trunkline.start("call-writer").await,
            notifier: trunkline.start("notifier").await,
            trunkline,
            pusher,
            database,
            _broker: broker,
        }
    }

    /// Lets so many calls ring, and posts by turns with them the ends of calls that rang in earlier rounds, as far as
    /// there are any. Waits until Pusher has been told of all of it. Gives how many deliveries went all that way in a
    /// second, and how long the rings took.
    async fn post(&mut self, rings: usize, pace: Pace) -> (f64, Histogram<u64>) {
        assert!(rings <= self.waiting.len(), "there are no calls left");
        let calls: Vec<InboundCall> = self.waiting.drain(..rings).collect();
        let ends = self.ends.drain(..rings.min(self.ends.len()));
        let mut deliveries = Vec::with_capacity(2 * rings);
        let mut ends = ends.map(|end| (end, None));
        for call in &calls {
            deliveries.push((call.ring.clone(), Some(call.call_sid.as_str())));
            deliveries.extend(ends.next());
        }
        drop(ends);
        let before = self.pusher.count();
        let requests: Arc<[Bytes]> = deliveries.iter().map(|(request, _)| request.clone()).collect();
        let address: SocketAddr = self.trunkline.http_address().parse().unwrap();
        let began = Instant::now();
        let sent = Load::once(address, requests, CONNECTIONS, pace)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.refused, 0);

        let due: HashMap<&str, Instant> = sent
            .sent
            .iter()
            .filter_map(|(place, due)| Some((deliveries[*place].1?, *due)))
            .collect();
        self.posted += sent.count();
        let settled = eventually(|| async { self.is_settled().await.then_some(()) }).await;
        assert!(
            settled.is_some(),
            "alerts are under way for ever: {}",
            self.trunkline.logs()
        );
        let arrived = self.pusher.received().split_off(before);
        let mut took = histogram();
        for event in &arrived {
            if event.name == "incoming-call" && event.channel == "private-calls" {
                let call = event.data["call_sid"].as_str().unwrap_or_default();
                let due = due.get(call).expect("a ring of a call that did not ring");
                note(&mut took, event.at.saturating_duration_since(due.into_std()));
            }
        }
        let rung = usize::try_from(took.len()).unwrap();
        assert_eq!(rung, rings, "rings are lost: {}", self.trunkline.logs());
        let last = arrived.iter().map(|event| event.at).max().unwrap();
        let lasted = last.saturating_duration_since(began.into_std());
        self.ends.extend(calls.into_iter().map(|call| call.end));
        (sent.count() / lasted.as_secs_f64(), took)
    }

    /// Whether all that was posted is in the database, and its alerts are pushed or will never be.
    async fn is_settled(&self) -> bool {
        let written = metric(&self.writer, "call_events_applied_total").await;
        let alerts = office::number(&self.database, "select count(*) from trunkline.alerts where push");
        let notified = metric(&self.notifier, "alerts_total").await;
        written.is_some_and(|written| written >= self.posted)
            && notified.is_some_and(|notified| notified >= alerts)
    }
}

fn inbound(account: &SimulatedAccount) -> VecDeque<InboundCall> {
    let calls = account.calls.iter().filter_map(|call| {
        let ring = call
            .deliveries
            .iter()
            .find(|delivery| delivery.kind == WebhookKind::PreCall)?;
        Some(InboundCall {
            call_sid: call.call_sid.clone(),
            ring: request(account, ring),
            end: request(account, office::ended(call)),
        })
    });
    calls.collect()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of deliveries"
)]
pub(super) async fn measure(extent: Extent) -> Measured {
    let rounds = extent.of(5, 2);
    let saturating = extent.of(3_000, 750);
    // Rings at each share in a round: enough for a 99th percentile, and for `lasting` where that is shorter.
    let most = extent.of(1_500, 300);
    let lasting = extent.of(8.0, 1.5);
    let calls = 2 * saturating + rounds * SHARES.len() * most;
    let mut site = Site::start(calls, extent.of(100_000, 5_000)).await;
    // These have ends for the next ones, and what is slow the first time is over.
    site.post(saturating, Pace::PerSecond(500.0)).await;
    let (sustained, _) = site.post(saturating, Pace::Unbounded).await;

    let mut at = [(); 3].map(|()| [Rounds::default(), Rounds::default()]);
    let mut steps = Steps::new().await;
    let mut alone = Rounds::default();
    for _ in 0..rounds {
        alone.push(steps.measure(extent.of(200, 50)).await);
        for (share, [median, p99]) in SHARES.iter().zip(&mut at) {
            let rate = sustained * share;
            let rings = ((rate * lasting / 2.0) as usize).min(most);
            let (_, took) = site.post(rings, Pace::PerSecond(rate)).await;
            median.push(milliseconds(&took, 0.5));
            p99.push(milliseconds(&took, 0.99));
        }
    }
    let mut measured = Measured::default();
    for (share, [median, p99]) in SHARES.iter().zip(&at) {
        let rate = sustained * share;
        let what = format!("at {:.0} % of it, {rate:.0} deliveries/s", share * 100.0);
        measured.compare(
            format!("median of the rings {what}, by the sum of the steps"),
            "ms",
            (median, &alone),
            Some(Reach::AtMost(MAX_OF_STEPS)),
        );
        let reach = ((share - 0.5).abs() < f64::EPSILON).then_some(Reach::AtMost(MAX_TAIL));
        measured.compare(
            format!("99th percentile {what}, by the median"),
            "ms",
            (p99, median),
            reach,
        );
    }
    measured.note(format!(
        "{sustained:.0} deliveries a second, rings and ends of calls in turn, go all the way to Pusher when more are \
         offered, from the first POST to the last alert: that is the sustained rate. Every process and both servers are on this machine, the load too. The \
         steps alone, medians one after the other: {}.",
        steps.describe()
    ));
    measured
}

/// The steps of a ring, each by itself on an idle machine.
struct Steps {
    account: SimulatedAccount,
    waiting: VecDeque<InboundCall>,
    ingest: Process,
    installation: Installation,
    store: Store,
    pusher: Pusher,
    broker: Broker,
    _peer: Peer,
    _database: Database,
    found: [(&'static str, Rounds); 4],
}

impl Steps {
    async fn new() -> Self {
        let account = account(0);
        let (broker, database) = (Broker::new().await, office::postgres(1_000).await);
        let (peer, address) = Peer::start(Mood::Fine);
        let installation =
            office::writer(&broker, &database.url()).with("CALLRAIL_SIGNING_KEYS", &account.signing_key);
        let url: PusherUrl = pusher_peer::url(&address).parse().unwrap();
        let database_url: DatabaseUrl = office::without_tls(&database.url()).parse().unwrap();
        Self {
            waiting: inbound(&account),
            account,
            ingest: installation.start("webhook-ingest").await,
            store: Store::connect(&database_url).await.unwrap(),
            pusher: Pusher::new(
                url,
                http_client().no_proxy().build().unwrap(),
                Duration::from_secs(5),
            ),
            installation,
            broker,
            _peer: peer,
            _database: database,
            found: [
                "webhook-ingest without the broker",
                "through RabbitMQ, twice",
                "one event into the database",
                "to Pusher",
            ]
            .map(|name| (name, Rounds::default())),
        }
    }

    /// The sum of the medians, milliseconds.
    async fn measure(&mut self, times: usize) -> f64 {
        let accepted = self.accept(times).await;
        let confirmed = self.confirm(times).await;
        let delivered = self.pass_on(times).await;
        let written = self.write(times).await;
        let pushed = self.push(times).await;
        let parts = [(accepted - confirmed).max(0.0), 2.0 * delivered, written, pushed];
        for ((_, rounds), part) in self.found.iter_mut().zip(parts) {
            rounds.push(part);
        }
        parts.iter().sum()
    }

    fn describe(&self) -> String {
        let parts = self
            .found
            .iter()
            .map(|(name, rounds)| format!("{name} {:.2} ms", rounds.median()));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// A ring to webhook-ingest, one at a time, to its answer.
    async fn accept(&mut self, times: usize) -> f64 {
        self.broker.purge(QueueName::Progress);
        let rings = self.waiting.iter().take(times).map(|call| call.ring.clone());
        let requests: Arc<[Bytes]> = rings.collect();
        let address = self.installation.http_address().parse().unwrap();
        let outcome = Load::once(address, requests, 1, Pace::Unbounded)
            .send()
            .await
            .unwrap();
        assert_eq!(outcome.refused, 0, "{}", self.ingest.log());
        outcome.milliseconds(0.5)
    }

    /// One message at a time to the broker's confirm; nobody consumes, as when rings are accepted.
    async fn confirm(&self, times: usize) -> f64 {
        self.broker.purge(QueueName::Progress);
        let mut took = histogram();
        for _ in 0..times {
            let began = Instant::now();
            let published = self.broker.queue.publish(QueueName::Progress, of_a_ring());
            published.await.unwrap();
            note(&mut took, began.elapsed());
        }
        milliseconds(&took, 0.5)
    }

    /// One message at a time from here to here.
    async fn pass_on(&self, times: usize) -> f64 {
        self.broker.purge(QueueName::Progress);
        let queue = &self.broker.queue;
        let mut consumer = queue.consume(QueueName::Progress).await.unwrap();
        let mut took = histogram();
        for _ in 0..times {
            let began = Instant::now();
            let (published, batch) = tokio::join!(queue.publish(QueueName::Progress, of_a_ring()), async {
                let batch = consumer.next_batch(1).await.unwrap();
                note(&mut took, began.elapsed());
                batch
            });
            published.unwrap();
            consumer.acknowledge(&batch).await.unwrap();
        }
        milliseconds(&took, 0.5)
    }

    /// One ring at a time into the database.
    async fn write(&mut self, times: usize) -> f64 {
        assert!(times <= self.waiting.len(), "there are no calls left");
        let mut took = histogram();
        for InboundCall { call_sid, .. } in self.waiting.drain(..times) {
            let mut calls = self.account.calls.iter();
            let call = calls.find(|call| call.call_sid == call_sid).unwrap();
            let ring = call
                .deliveries
                .iter()
                .find(|delivery| delivery.kind == WebhookKind::PreCall);
            let event = office::event(ring.unwrap(), 0);
            let began = Instant::now();
            let applied = self.store.apply(vec![event], &office::rules(), Utc::now()).await;
            note(&mut took, began.elapsed());
            assert_eq!(applied.unwrap().alerts.len(), 1);
        }
        milliseconds(&took, 0.5)
    }

    /// One event at a time to Pusher.
    async fn push(&self, times: usize) -> f64 {
        let mut took = histogram();
        let event = Event {
            channel: "private-calls".to_owned(),
            name: "incoming-call".to_owned(),
            data: r#"{"call_sid":"CAL8154748ae6bd4e278a7cddd38a662f4f"}"#.to_owned(),
        };
        for _ in 0..times {
            let began = Instant::now();
            let events = std::slice::from_ref(&event);
            self.pusher.publish_batch(events, Utc::now()).await.unwrap();
            note(&mut took, began.elapsed());
        }
        milliseconds(&took, 0.5)
    }
}

/// A message as long as that of a ring.
fn of_a_ring() -> Message {
    Message::new(Uuid::now_v7(), vec![b'x'; 2_048])
}
