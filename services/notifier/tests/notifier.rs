//! A notifier between a real queue and a Pusher server on loopback.
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

use std::time::Duration;

use calls::{Alert, AlertKind, CallId, Direction, OutgoingAlert, Way};
use chrono::{DateTime, TimeDelta, Utc};
use notifier::{Metrics, Notifier, Payload};
use pusher::{Pusher, http_client};
use queue::{Message, Pauses, Queue, QueueName, QueueOptions};
use runtime::CancellationToken;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;
use wiremock::matchers::{body_string_contains, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_000_000, 0).unwrap()
}

/// A queue, a Pusher server, and a notifier between them once it is started.
struct Bench {
    queue: Queue,
    server: MockServer,
    _folder: TempDir,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    async fn new(retry_ladder: &[Duration]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = TempDir::new().unwrap();
        let url = format!("embedded://{}/queue.db", folder.path().display())
            .parse()
            .unwrap();
        let options = QueueOptions {
            retry_ladder: retry_ladder.to_vec(),
            ..QueueOptions::default()
        };
        let queue = Queue::connect(&url, options).await.unwrap();
        Self {
            queue,
            server: MockServer::start().await,
            _folder: folder,
        }
    }

    async fn answers(&self, status: u16) {
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .mount(&self.server)
            .await;
    }

    async fn publish(&self, alerts: &[OutgoingAlert]) {
        let messages = alerts
            .iter()
            .map(|alert| Message::new(alert.alert.id, serde_json::to_vec(alert).unwrap()));
        self.queue
            .publish_all(QueueName::Alerts, messages.collect())
            .await
            .unwrap();
    }

    fn start(&self) -> Running {
        let url = format!("http://key:hush@{}/apps/7", self.server.address())
            .parse()
            .unwrap();
        let client = http_client().no_proxy().build().unwrap();
        let notifier = Notifier {
            pusher: Some(Pusher::new(url, client, PATIENCE)),
            payload: Payload::Full,
            pauses: Pauses {
                first: Duration::from_millis(5),
                longest: Duration::from_millis(20),
            },
            clock: now,
            metrics: Metrics::default(),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(notifier.run(self.queue.clone(), shutdown.clone()));
        Running { shutdown, task }
    }

    async fn depth(&self, queue: QueueName) -> u64 {
        self.queue
            .depths()
            .await
            .unwrap()
            .into_iter()
            .find(|(name, _)| *name == queue)
            .unwrap()
            .1
    }

    async fn until_depths_are(&self, alerts: u64, dead: u64) {
        let reached = async {
            while self.depth(QueueName::Alerts).await != alerts || self.depth(QueueName::Dead).await != dead {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap();
    }

    /// Channel and alert id of every event in every request, in order.
    async fn received(&self) -> Vec<(String, Uuid)> {
        let mut events = Vec::new();
        for request in self.server.received_requests().await.unwrap() {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            for event in body["batch"].as_array().unwrap() {
                let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
                events.push((
                    event["channel"].as_str().unwrap().to_owned(),
                    data["id"].as_str().unwrap().parse().unwrap(),
                ));
            }
        }
        events
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

fn alert(number: u128, kind: AlertKind) -> OutgoingAlert {
    OutgoingAlert {
        alert: Alert {
            id: Uuid::from_u128(number),
            call_sid: CallId::parse(&format!("CAL{number}")).unwrap(),
            interaction_id: Uuid::from_u128(1_000 + number),
            at: now(),
            kind,
            direction: Direction::Inbound,
            from: Some("+14045550123".into()),
            contact: None,
            outcome: None,
            duration: None,
            source: None,
        },
        owner_id: None,
        push: true,
        way: Way::default(),
        trace: None,
    }
}

#[tokio::test]
async fn alerts_reach_everybody_and_the_owner_in_order_and_leave_the_queue() {
    let bench = Bench::new(&[]).await;
    bench.answers(200).await;
    let owned = OutgoingAlert {
        owner_id: Some("9".into()),
        ..alert(2, AlertKind::CallMissed)
    };
    bench
        .publish(&[
            alert(1, AlertKind::IncomingCall),
            owned,
            alert(3, AlertKind::CallUpdated),
        ])
        .await;

    let running = bench.start();
    bench.until_depths_are(0, 0).await;
    let expected = [
        ("private-calls", 1),
        ("private-calls", 2),
        ("private-user-9", 2),
        ("private-calls", 3),
    ];
    let expected = expected.map(|(channel, number)| (channel.to_owned(), Uuid::from_u128(number)));
    assert_eq!(bench.received().await, expected);
    running.stop().await;
}

#[tokio::test]
async fn many_alerts_go_out_in_batches_of_what_pusher_takes() {
    let bench = Bench::new(&[]).await;
    bench.answers(200).await;
    let alerts: Vec<_> = (1..=23)
        .map(|number| OutgoingAlert {
            owner_id: Some("9".into()),
            ..alert(number, AlertKind::CallCompleted)
        })
        .collect();
    bench.publish(&alerts).await;

    let running = bench.start();
    bench.until_depths_are(0, 0).await;
    assert_eq!(bench.received().await.len(), 46);
    assert_eq!(bench.server.received_requests().await.unwrap().len(), 5);
    running.stop().await;
}

#[tokio::test]
async fn an_outage_costs_no_alert_and_counts_no_attempt() {
    let bench = Bench::new(&[]).await;
    for status in [503, 429, 401] {
        let broken = Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .up_to_n_times(3);
        broken.mount(&bench.server).await;
    }
    bench.answers(200).await;
    bench
        .publish(&[alert(1, AlertKind::CallMissed), alert(2, AlertKind::CallMissed)])
        .await;

    let running = bench.start();
    // With an empty ladder, one attempt that counts would make a dead letter.
    bench.until_depths_are(0, 0).await;
    let received = bench.received().await;
    let last_two: Vec<_> = received[received.len() - 2..].iter().map(|(_, id)| *id).collect();
    assert_eq!(last_two, [Uuid::from_u128(1), Uuid::from_u128(2)]);
    assert_eq!(bench.server.received_requests().await.unwrap().len(), 10);
    running.stop().await;
}

#[tokio::test]
async fn a_refused_alert_is_found_and_the_others_pass() {
    let bench = Bench::new(&[]).await;
    let bad = alert(666, AlertKind::CallMissed);
    Mock::given(method("POST"))
        .and(body_string_contains("CAL666"))
        .respond_with(ResponseTemplate::new(400).set_body_string("no such thing"))
        .mount(&bench.server)
        .await;
    bench.answers(200).await;
    bench
        .publish(&[
            alert(1, AlertKind::CallMissed),
            bad,
            alert(2, AlertKind::CallMissed),
        ])
        .await;

    let running = bench.start();
    bench.until_depths_are(0, 1).await;
    running.stop().await;

    let mut dead = bench.queue.consume(QueueName::Dead).await.unwrap();
    let letter = dead.next_batch(1).await.unwrap().remove(0).message;
    assert_eq!(letter.id, Uuid::from_u128(666));
    let failures = letter.failures.unwrap();
    assert_eq!(
        failures.reason,
        "the Pusher server refused the events with 400: no such thing"
    );
    assert_eq!(failures.attempts, 1);
}

#[tokio::test]
async fn a_refused_alert_climbs_the_ladder_before_it_is_a_dead_letter() {
    let bench = Bench::new(&[Duration::from_millis(1), Duration::from_millis(1)]).await;
    bench.answers(400).await;
    bench.publish(&[alert(1, AlertKind::CallMissed)]).await;

    let running = bench.start();
    bench.until_depths_are(0, 1).await;
    running.stop().await;
    let mut dead = bench.queue.consume(QueueName::Dead).await.unwrap();
    let letter = dead.next_batch(1).await.unwrap().remove(0).message;
    assert_eq!(letter.failures.unwrap().attempts, 3);
}

#[tokio::test]
async fn what_is_no_alert_is_dead_lettered_without_its_words() {
    let bench = Bench::new(&[]).await;
    bench.answers(200).await;
    let nonsense = Message::new(Uuid::from_u128(5), br#"{"alert":"Jane Doe"}"#.to_vec());
    bench.queue.publish(QueueName::Alerts, nonsense).await.unwrap();
    bench.publish(&[alert(1, AlertKind::CallMissed)]).await;

    let running = bench.start();
    bench.until_depths_are(0, 1).await;
    running.stop().await;
    let mut dead = bench.queue.consume(QueueName::Dead).await.unwrap();
    let letter = dead.next_batch(1).await.unwrap().remove(0).message;
    assert_eq!(letter.id, Uuid::from_u128(5));
    assert!(!letter.failures.unwrap().reason.contains("Jane"));
    assert_eq!(bench.received().await.len(), 1);
}

#[tokio::test]
async fn old_rings_and_alerts_that_shall_not_interrupt_are_not_published() {
    let bench = Bench::new(&[]).await;
    bench.answers(200).await;
    let aged = |seconds, mut outgoing: OutgoingAlert| {
        outgoing.alert.at = now() - TimeDelta::seconds(seconds);
        outgoing
    };
    bench
        .publish(&[
            aged(61, alert(1, AlertKind::IncomingCall)),
            aged(60, alert(2, AlertKind::IncomingCall)),
            aged(86_400, alert(3, AlertKind::CallMissed)),
            OutgoingAlert {
                push: false,
                ..alert(4, AlertKind::NewLead)
            },
        ])
        .await;

    let running = bench.start();
    bench.until_depths_are(0, 0).await;
    let ids: Vec<_> = bench.received().await.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, [Uuid::from_u128(2), Uuid::from_u128(3)]);
    running.stop().await;
}

#[tokio::test]
async fn it_stops_in_the_middle_of_an_outage_and_keeps_the_alerts() {
    let bench = Bench::new(&[]).await;
    bench.answers(503).await;
    bench.publish(&[alert(1, AlertKind::CallMissed)]).await;

    let running = bench.start();
    let tried = async {
        while bench.server.received_requests().await.unwrap().len() < 3 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, tried).await.unwrap();
    running.stop().await;
    assert_eq!(bench.depth(QueueName::Alerts).await, 1);
}
