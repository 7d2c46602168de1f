//! A CallRail that delivers as fast as it is answered, and remembers every answer.
//!
//! Each delivery is sent once. One that was answered 2xx must be in the database; one whose answer was lost may be
//! there, or not: both are right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use callrail::{CallId, parse_object};
use callrail_simulator::{Deliverer, SimulatedAccount, SimulatedDelivery};
use calls::{
    CallEvent, Digest, Interaction, Judgement, Origin, Receipt, Region, Snapshot, Stage, from_callrail,
    project,
};
use chrono::Utc;
use reqwest::Client;
use store::Store;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trunkline_tests::{Installation, PATIENCE, eventually};
use uuid::Uuid;

/// How many deliveries are under way at a time.
const DELIVERERS: usize = 8;

/// Deliverers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    accepted: watch::Receiver<usize>,
    deliverers: JoinSet<()>,
}

struct Shared {
    account: Arc<SimulatedAccount>,
    deliverer: Deliverer,
    address: String,
    next_call: AtomicUsize,
    stopped: AtomicBool,
    accepted: watch::Sender<usize>,
    /// Of every delivery that was sent: its call, its place in the call, and whether it was answered 2xx.
    answers: std::sync::Mutex<Vec<(usize, usize, bool)>>,
}

/// What was sent, and what became of it.
pub(crate) struct Sent {
    account: Arc<SimulatedAccount>,
    /// By call: its deliveries in the order of sending, and whether they were accepted.
    calls: BTreeMap<usize, Vec<(usize, bool)>>,
}

impl Load {
    /// Starts to deliver the account's calls, several calls at a time, the deliveries of a call one after the other.
    pub(crate) fn start(trunkline: &Installation, account: &Arc<SimulatedAccount>) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let webhooks = trunkline.url("/api/webhooks/callrail").parse().unwrap();
        let (accepted, receiver) = watch::channel(0);
        let shared = Arc::new(Shared {
            account: Arc::clone(account),
            deliverer: Deliverer::new(client, webhooks),
            address: trunkline.http_address().to_owned(),
            next_call: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            accepted,
            answers: std::sync::Mutex::default(),
        });
        let mut deliverers = JoinSet::new();
        for _ in 0..DELIVERERS {
            deliverers.spawn(Arc::clone(&shared).deliver_calls());
        }
        Self {
            shared,
            accepted: receiver,
            deliverers,
        }
    }

    /// Waits until that many deliveries more than now are accepted.
    pub(crate) async fn accepts(&mut self, more: usize) {
        let goal = *self.accepted.borrow_and_update() + more;
        let reached =
            tokio::time::timeout(PATIENCE, self.accepted.wait_for(|accepted| *accepted >= goal)).await;
        assert!(reached.is_ok(), "{goal} deliveries are never accepted");
    }

    /// Sends no more, waits for the answers that are under way, and gives what was sent.
    pub(crate) async fn stop(mut self) -> Sent {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.deliverers.join_next().await {
            ended.unwrap();
        }
        self.sent()
    }

    /// Waits until all calls are delivered, and gives what was sent.
    pub(crate) async fn finish(mut self) -> Sent {
        while let Some(ended) = self.deliverers.join_next().await {
            ended.unwrap();
        }
        self.sent()
    }

    fn sent(&self) -> Sent {
        let mut calls: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
        for &(call, delivery, accepted) in self.shared.answers.lock().unwrap().iter() {
            calls.entry(call).or_default().push((delivery, accepted));
        }
        Sent {
            account: Arc::clone(&self.shared.account),
            calls,
        }
    }
}

impl Shared {
    async fn deliver_calls(self: Arc<Self>) {
        loop {
            let call = self.next_call.fetch_add(1, Ordering::Relaxed);
            let Some(simulated) = self.account.calls.get(call) else {
                return;
            };
            for (index, delivery) in simulated.deliveries.iter().enumerate() {
                if self.stopped.load(Ordering::Relaxed) {
                    return;
                }
                self.deliver(call, index, delivery).await;
            }
        }
    }

    async fn deliver(&self, call: usize, index: usize, delivery: &SimulatedDelivery) {
        let answer = self.deliverer.deliver(&self.account, delivery).await;
        if let Ok(status) = answer {
            assert_eq!(status, 200, "a genuine delivery was refused");
        }
        self.answers.lock().unwrap().push((call, index, answer.is_ok()));
        if answer.is_ok() {
            self.accepted.send_modify(|accepted| *accepted += 1);
        } else {
            // Nobody listens. A real CallRail would go on; this one has few calls, and waits for a receiver.
            eventually(|| async {
                let connected = TcpStream::connect(&self.address).await.is_ok();
                (connected || self.stopped.load(Ordering::Relaxed)).then_some(())
            })
            .await
            .expect("nobody listens any more");
        }
    }
}

impl Sent {
    /// How many deliveries were answered 2xx, and how many were not answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let answers = || self.calls.values().flatten();
        let accepted = answers().filter(|(_, accepted)| *accepted).count();
        (accepted, answers().count() - accepted)
    }

    /// Compares the database, once all that was accepted is worked on, with what was sent.
    pub(crate) async fn check(&self, store: &Store) {
        let rows = self.check_calls(store).await;
        assert_eq!(store.count_interactions().await.unwrap(), rows, "rows of no call");
        let dead = store.waiting_dead_letters(10).await.unwrap();
        assert!(dead.is_empty(), "{dead:?}");
    }

    /// Compares the calls that were sent, and counts their rows.
    pub(crate) async fn check_calls(&self, store: &Store) -> u64 {
        let mut rows = 0;
        for (&call, deliveries) in &self.calls {
            rows += u64::from(self.check_call(store, call, deliveries).await);
        }
        rows
    }

    /// Whether the call has a row, as it should.
    async fn check_call(&self, store: &Store, call: usize, deliveries: &[(usize, bool)]) -> bool {
        let simulated = &self.account.calls[call];
        let call_sid = CallId::parse(&simulated.call_sid).unwrap();
        let events: Vec<(CallEvent, bool)> = deliveries
            .iter()
            .map(|&(index, accepted)| (event(&simulated.deliveries[index]), accepted))
            .collect();
        let accepted = || {
            events
                .iter()
                .filter(|(_, accepted)| *accepted)
                .map(|(event, _)| event)
        };

        let Some(history) = store.call(&call_sid).await.unwrap() else {
            assert_eq!(accepted().count(), 0, "{call_sid}: accepted deliveries are lost");
            return false;
        };
        for event in accepted() {
            let found = history.record.get(&event.digest());
            assert!(
                found.is_some(),
                "{call_sid}: an accepted {} is lost",
                event.kind.as_str()
            );
        }
        let sent: BTreeSet<Digest> = events.iter().map(|(event, _)| event.digest()).collect();
        for recorded in history.record.in_order() {
            assert!(
                sent.contains(&recorded.digest),
                "{call_sid}: a snapshot that nobody sent"
            );
        }

        // The row is what the record says it is.
        let projected = project(&history.record, &history.seals);
        let columns = |row: &Option<Interaction>| row.as_ref().map(Interaction::columns);
        assert_eq!(columns(&history.row), columns(&projected), "{call_sid}");

        // Bodies only ever add, so whatever the last accepted one tells is in the row, whichever of those whose
        // answer was lost are there as well.
        let last = accepted().rfind(|event| event.call.stage == Stage::Ended);
        if let Some(last) = last {
            let row = history.row.as_ref().expect("an ended call has a row");
            assert_tells(row, &last.call);
        }
        history.row.is_some()
    }
}

/// The event that the ingest makes of a delivery, but for its id and time.
fn event(delivery: &SimulatedDelivery) -> CallEvent {
    let receipt = Receipt {
        event_id: Uuid::nil(),
        kind: delivery.kind.into(),
        origin: Origin::Webhook,
        observed_at: Utc::now(),
        import_id: None,
        company: None,
    };
    from_callrail(parse_object(&delivery.body).unwrap(), receipt, Region::US).unwrap()
}

/// Asserts that a row holds everything that a snapshot of the ended call says.
fn assert_tells(row: &Interaction, told: &Snapshot) {
    let facts = &told.facts;
    assert_eq!(row.direction, facts.direction);
    assert_eq!(row.call_duration_seconds, facts.duration_seconds);
    assert_eq!(Some(row.scheduled_at), facts.started_at);
    assert_eq!(row.first_call, facts.first_call);
    let customer = facts.customer.as_ref().map(calls::Party::display);
    assert_eq!(row.customer_number(), customer);
    let outcome = match (facts.answered, facts.voicemail) {
        (true, _) => "completed",
        (false, true) => "voicemail",
        (false, false) => "no_answer",
    };
    assert_eq!(row.outcome.as_str(), outcome);

    let recording = told.recording.clone().unwrap_or_default();
    assert_eq!(row.call_recording_url, recording.url);
    let is_told = |text: &Option<String>, column: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        text.is_empty() || column.as_deref() == Some(text)
    };
    assert!(
        is_told(&told.transcript, &row.transcription),
        "the transcription is lost"
    );
    assert!(is_told(&told.summary, &row.call_summary), "the summary is lost");
    let Judgement {
        tags,
        note,
        lead_status,
        ..
    } = told.judgement.clone().unwrap_or_default();
    assert!(tags.is_empty() || row.tags == tags, "the tags are lost");
    assert!(is_told(&lead_status, &row.lead_status), "the lead status is lost");
    assert!(row.notes.contains(&note.unwrap_or_default()), "the note is lost");
}
