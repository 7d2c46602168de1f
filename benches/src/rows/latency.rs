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
/// A call ends so many calls after it rang.
const CALLS_UNDER_WAY: usize = 200;

/// Everything that a ring passes through.
struct Site {
    trunkline: Installation,
    pusher: Peer,
    /// Rings, and the ends of earlier calls, that were not sent yet; with the call where it is a ring.
    waiting: VecDeque<(Bytes, Option<String>)>,
    posted: f64,
    writer: Process,
    notifier: Process,
    database: Database,
    _ingest: Process,
    _broker: Broker,
}

impl Site {
    async fn start(deliveries: usize, contacts: usize) -> Self {
        let account = account(deliveries * 65 / 100);
        let (pusher, address) = Peer::start(Mood::Fine);
        let (broker, database) = (Broker::new().await, office::postgres(contacts).await);
        let trunkline = office::writer(&broker, &database.url())
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
            .with("PUSHER_URL", pusher_peer::url(&address));
        Self {
            waiting: calls(&account),
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

    /// Posts the next deliveries and waits until all of them have reached Pusher that will. Gives how many did in a
    /// second, and how long the rings took. Where more are offered than can be written, a call's end may overtake its
    /// ring, which is no news then; at any pace below that all of them must ring.
    async fn post(&mut self, deliveries: usize, pace: Pace) -> (f64, Histogram<u64>) {
        let deliveries: Vec<_> = self.waiting.drain(..deliveries).collect();
        let before = self.pusher.count();
        let requests: Arc<[Bytes]> = deliveries.iter().map(|(request, _)| request.clone()).collect();
        let address: SocketAddr = self.trunkline.http_address().parse().unwrap();
        let load = Load::once(address, requests, CONNECTIONS, pace);
        let sent = load.send().await.unwrap();
        assert_eq!(sent.refused, 0);

        let due: HashMap<&str, Instant> = sent
            .sent
            .iter()
            .filter_map(|(place, due)| Some((deliveries[*place].1.as_deref()?, *due)))
            .collect();
        self.posted += sent.count();
        let settled = eventually(|| async { self.is_settled().await.then_some(()) }).await;
        assert!(
            settled.is_some(),
            "alerts are under way for ever: {}",
            self.trunkline.logs()
        );
        let arrived = self.pusher.received().split_off(before);
        let rings = self.pusher.count_after(before, "incoming-call", "private-calls");
        if matches!(pace, Pace::PerSecond(_)) {
            assert_eq!(rings, due.len(), "rings are lost: {}", self.trunkline.logs());
        }
        let mut took = histogram();
        for event in &arrived {
            let call = event.data["call_sid"].as_str().unwrap_or_default();
            if event.name == "incoming-call" && event.channel == "private-calls" {
                let due = due.get(call).expect("a ring of a call that did not ring");
                note(&mut took, event.at.saturating_duration_since(due.into_std()));
            }
        }
        let first = arrived.iter().map(|event| event.at).min().unwrap();
        let last = arrived.iter().map(|event| event.at).max().unwrap();
        (sent.count() / (last - first).as_secs_f64(), took)
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

/// Every inbound call rings, and ends some calls later.
fn calls(account: &SimulatedAccount) -> VecDeque<(Bytes, Option<String>)> {
    let ringing = account.calls.iter().filter_map(|call| {
        let ring = call
            .deliveries
            .iter()
            .find(|delivery| delivery.kind == WebhookKind::PreCall)?;
        Some((ring, office::ended(call), &call.call_sid))
    });
    let mut under_way = VecDeque::new();
    let mut all = VecDeque::new();
    for (ring, end, call) in ringing {
        all.push_back((request(account, ring), Some(call.clone())));
        under_way.push_back(request(account, end));
        if under_way.len() > CALLS_UNDER_WAY {
            all.extend(under_way.pop_front().map(|end| (end, None)));
        }
    }
    all
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of deliveries"
)]
pub(super) async fn measure(extent: Extent) -> Measured {
    let saturating = extent.of(6_000, 1_500);
    let lasting = extent.of(8.0, 1.5);
    let rounds = extent.of(5, 2);
    // Before anybody knows how many it will take.
    let most = extent.of(32_000, 6_000);
    let mut site = Site::start(most, extent.of(100_000, 5_000)).await;
    site.post(500, Pace::PerSecond(100.0)).await;
    let (sustained, _) = site.post(saturating, Pace::Unbounded).await;

    let mut at = [(); 3].map(|()| [Rounds::default(), Rounds::default()]);
    let mut steps = Steps::new().await;
    let mut alone = Rounds::default();
    for _ in 0..rounds {
        alone.push(steps.measure(extent.of(200, 50)).await);
        for (share, [median, p99]) in SHARES.iter().zip(&mut at) {
            let rate = sustained * share;
            let deliveries = ((rate * lasting) as usize).min(site.waiting.len());
            let (_, took) = site.post(deliveries, Pace::PerSecond(rate)).await;
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
         offered: that is the sustained rate. Every process and both servers are on this machine, the load too. The \
         steps alone, medians one after the other: {}.",
        steps.describe()
    ));
    measured
}

/// The steps of a ring, each by itself on an idle machine.
struct Steps {
    account: SimulatedAccount,
    waiting: VecDeque<(Bytes, Option<String>)>,
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
            waiting: calls(&account),
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
        let (confirmed, delivered) = self.pass_on(times).await;
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
        let rings: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, ring)| ring.is_some())
            .take(times)
            .collect();
        let requests: Arc<[Bytes]> = rings.into_iter().map(|(request, _)| request.clone()).collect();
        let address = self.installation.http_address().parse().unwrap();
        let outcome = Load::once(address, requests, 1, Pace::Unbounded)
            .send()
            .await
            .unwrap();
        assert_eq!(outcome.refused, 0, "{}", self.ingest.log());
        outcome.milliseconds(0.5)
    }

    /// One message at a time from here to here: to the broker's confirm, and to its arrival.
    async fn pass_on(&self, times: usize) -> (f64, f64) {
        self.broker.purge(QueueName::Progress);
        let queue = &self.broker.queue;
        let mut consumer = queue.consume(QueueName::Progress).await.unwrap();
        let (mut confirmed, mut delivered) = (histogram(), histogram());
        for _ in 0..times {
            let message = Message::new(Uuid::now_v7(), vec![b'x'; 2_048]);
            let began = Instant::now();
            let (published, batch) = tokio::join!(
                async {
                    queue.publish(QueueName::Progress, message).await.unwrap();
                    began.elapsed()
                },
                async {
                    let batch = consumer.next_batch(1).await.unwrap();
                    (batch, began.elapsed())
                }
            );
            note(&mut confirmed, published);
            note(&mut delivered, batch.1);
            consumer.acknowledge(&batch.0).await.unwrap();
        }
        (milliseconds(&confirmed, 0.5), milliseconds(&delivered, 0.5))
    }

    /// One ring at a time into the database.
    async fn write(&mut self, times: usize) -> f64 {
        let calls: Vec<String> = (0..times)
            .filter_map(|_| {
                loop {
                    if let (_, Some(call)) = self.waiting.pop_front()? {
                        break Some(call);
                    }
                }
            })
            .collect();
        let mut took = histogram();
        for call_sid in calls {
            let call = self
                .account
                .calls
                .iter()
                .find(|call| call.call_sid == call_sid)
                .unwrap();
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
