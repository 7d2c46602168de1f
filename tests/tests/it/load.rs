//! A CallRail that delivers as fast as it is answered, and remembers every answer.
//!
//! Each delivery is sent once. One that was answered 2xx must be in the database; one whose answer was lost may be
//! there, or not: both are right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, iter};

use callrail::{CallId, parse_object};
use callrail_simulator::{
    Deliverer, ExpectedInteraction, SimulatedAccount, SimulatedCall, SimulatedDelivery,
};
use calls::{
    CallEvent, Digest, Direction, Interaction, Origin, Party, Receipt, Region, Snapshot, Stage,
    from_callrail, project,
};
use chrono::Utc;
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use reqwest::Client;
use store::{CallHistory, Store};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use trunkline_tests::{Installation, PATIENCE, eventually};
use uuid::Uuid;

/// How many deliveries are under way at a time, and how many calls are looked at.
const AT_A_TIME: usize = 8;

/// One delivery: its call's place in the account, and its own place in the call.
type Place = (usize, usize);

/// Deliverers at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    accepted: watch::Receiver<usize>,
    deliverers: JoinSet<()>,
}

struct Shared {
    account: Arc<SimulatedAccount>,
    receivers: Vec<Receiver>,
    /// The deliveries of a run are sent one after the other, to one receiver; several runs go on at a time.
    runs: Vec<Vec<Place>>,
    next_run: AtomicUsize,
    /// A permit for each delivery that may be sent by now; closed when all may be.
    released: Semaphore,
    stopped: AtomicBool,
    accepted: watch::Sender<usize>,
    /// Of every delivery that was sent, and whether it was answered 2xx.
    answers: std::sync::Mutex<Vec<(Place, bool)>>,
}

struct Receiver {
    deliverer: Deliverer,
    address: String,
}

/// What was sent, and what became of it.
pub(crate) struct Sent {
    account: Arc<SimulatedAccount>,
    /// By call: its deliveries in the order of sending, and whether they were accepted.
    calls: BTreeMap<usize, Vec<(usize, bool)>>,
}

impl Load {
    /// Starts to deliver the account's calls, several calls at a time, the deliveries of a call one after the other.
    pub(crate) fn in_order(trunkline: &Installation, account: &Arc<SimulatedAccount>) -> Self {
        let run = |(call, simulated): (usize, &SimulatedCall)| {
            (0..simulated.deliveries.len())
                .map(|index| (call, index))
                .collect()
        };
        let runs = account.calls.iter().enumerate().map(run).collect();
        let load = Self::start(&[trunkline], account, runs);
        load.release_all();
        load
    }

    /// Gets ready to send that many deliveries of the account in random order, to the receivers in turn: every delivery
    /// once, and some again. They wait to be released.
    pub(crate) fn shuffled(
        rng: &mut Rng,
        receivers: &[&Installation],
        account: &Arc<SimulatedAccount>,
        deliveries: usize,
    ) -> Self {
        let each = account.calls.iter().enumerate();
        let mut runs: Vec<Vec<Place>> = each
            .flat_map(|(call, simulated)| {
                (0..simulated.deliveries.len()).map(move |index| vec![(call, index)])
            })
            .collect();
        let once = runs.len();
        assert!(once <= deliveries, "there are {once} deliveries already");
        for _ in once..deliveries {
            runs.push(runs[rng.usize(0..once)].clone());
        }
        rng.shuffle(&mut runs);
        Self::start(receivers, account, runs)
    }

    fn start(receivers: &[&Installation], account: &Arc<SimulatedAccount>, runs: Vec<Vec<Place>>) -> Self {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let receiver = |trunkline: &&Installation| Receiver {
            deliverer: Deliverer::new(
                client.clone(),
                trunkline.url("/api/webhooks/callrail").parse().unwrap(),
            ),
            address: trunkline.http_address().to_owned(),
        };
        let (accepted, watched) = watch::channel(0);
        let shared = Arc::new(Shared {
            account: Arc::clone(account),
            receivers: receivers.iter().map(receiver).collect(),
            runs,
            next_run: AtomicUsize::new(0),
            released: Semaphore::new(0),
            stopped: AtomicBool::new(false),
            accepted,
            answers: std::sync::Mutex::default(),
        });
        let mut deliverers = JoinSet::new();
        for _ in 0..AT_A_TIME {
            deliverers.spawn(Arc::clone(&shared).deliver_runs());
        }
        Self {
            shared,
            accepted: watched,
            deliverers,
        }
    }

    /// Lets so many deliveries more be sent.
    pub(crate) fn release(&self, deliveries: usize) {
        self.shared.released.add_permits(deliveries);
    }

    fn release_all(&self) {
        self.shared.released.close();
    }

    /// Waits until that many deliveries more than now are accepted.
    pub(crate) async fn accepts(&mut self, more: usize) {
        let goal = *self.accepted.borrow_and_update() + more;
        self.has_accepted(goal).await;
    }

    /// Waits until that many deliveries are accepted in all.
    pub(crate) async fn has_accepted(&mut self, goal: usize) {
        let reached =
            tokio::time::timeout(PATIENCE, self.accepted.wait_for(|accepted| *accepted >= goal)).await;
        assert!(reached.is_ok(), "{goal} deliveries are never accepted");
    }

    /// Sends no more, waits for the answers that are under way, and gives what was sent.
    pub(crate) async fn stop(self) -> Sent {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until everything is delivered, and gives what was sent.
    pub(crate) async fn finish(mut self) -> Sent {
        self.release_all();
        while let Some(ended) = self.deliverers.join_next().await {
            ended.unwrap();
        }
        let mut calls: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
        for &((call, delivery), accepted) in self.shared.answers.lock().unwrap().iter() {
            calls.entry(call).or_default().push((delivery, accepted));
        }
        Sent {
            account: Arc::clone(&self.shared.account),
            calls,
        }
    }
}

impl Shared {
    async fn deliver_runs(self: Arc<Self>) {
        loop {
            let number = self.next_run.fetch_add(1, Ordering::Relaxed);
            let Some(run) = self.runs.get(number) else {
                return;
            };
            let receiver = &self.receivers[number % self.receivers.len()];
            for &place in run {
                if let Ok(permit) = self.released.acquire().await {
                    permit.forget();
                }
                if self.stopped.load(Ordering::Relaxed) {
                    return;
                }
                self.deliver(receiver, place).await;
            }
        }
    }

    async fn deliver(&self, receiver: &Receiver, place: Place) {
        let delivery = &self.account.calls[place.0].deliveries[place.1];
        let answer = receiver.deliverer.deliver(&self.account, delivery).await;
        if let Ok(status) = answer {
            assert_eq!(status, 200, "a genuine delivery was refused");
        }
        self.answers.lock().unwrap().push((place, answer.is_ok()));
        if answer.is_ok() {
            self.accepted.send_modify(|accepted| *accepted += 1);
        } else {
            // Nobody listens. A real CallRail would go on; this one has few calls, and waits for the receiver.
            eventually(|| async {
                let connected = TcpStream::connect(&receiver.address).await.is_ok();
                (connected || self.stopped.load(Ordering::Relaxed)).then_some(())
            })
            .await
            .expect("nobody listens any more");
        }
    }
}

/// Brings the people whom the account's calls are with into the database, which is migrated for that.
pub(crate) async fn import_people(trunkline: &Installation, account: &SimulatedAccount) {
    let people = account.people.iter().map(|person| {
        let owner = person.owner_id.as_deref().unwrap_or_default();
        format!(
            "{},{},{},{owner},{}\n",
            person.kind, person.id, person.name, person.phone
        )
    });
    let list: String = iter::once("kind,id,name,owner_id,phone\n".to_owned())
        .chain(people)
        .collect();
    fs::write(trunkline.folder().join("people.csv"), list).unwrap();
    for command in [&["migrate"][..], &["contacts", "import", "people.csv"]] {
        let told = trunkline.run(command).await;
        assert_eq!(told.code, 0, "{told:?}");
    }
}

impl Sent {
    /// How many deliveries were answered 2xx, and how many were not answered.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let answers = || self.calls.values().flatten();
        let accepted = answers().filter(|(_, accepted)| *accepted).count();
        (accepted, answers().count() - accepted)
    }

    /// Whether everything that was accepted is in the database by now.
    pub(crate) async fn is_stored(&self, store: &Store) -> bool {
        let missing = self.calls.iter().map(async |(&call, deliveries)| {
            let simulated = &self.account.calls[call];
            let accepted = deliveries.iter().filter(|(_, was_accepted)| *was_accepted);
            let accepted = accepted.map(|(index, _)| event(&simulated.deliveries[*index]).digest());
            let accepted: BTreeSet<Digest> = accepted.collect();
            let call_sid = CallId::parse(&simulated.call_sid).unwrap();
            let recorded: BTreeSet<Digest> = match store.call(&call_sid).await.unwrap() {
                Some(history) => digests(&history),
                None => BTreeSet::new(),
            };
            !accepted.is_subset(&recorded)
        });
        let missing = stream::iter(missing).buffer_unordered(AT_A_TIME);
        !missing.any(async |is_missing| is_missing).await
    }

    /// Compares the database, once all that was accepted is worked on, with what was sent. Returns how many rows there
    /// are.
    pub(crate) async fn check(&self, store: &Store) -> u64 {
        let checks = self.calls.iter();
        let checks = checks.map(|(&call, deliveries)| self.check_call(store, call, deliveries));
        let checked: Vec<bool> = stream::iter(checks).buffer_unordered(AT_A_TIME).collect().await;
        let rows = checked.into_iter().filter(|has_row| *has_row).count() as u64;
        assert_eq!(store.count_interactions().await.unwrap(), rows, "rows of no call");
        assert_eq!(store.waiting_dead_letters(10).await.unwrap(), []);
        rows
    }

    /// Whether the call has a row, as it should.
    async fn check_call(&self, store: &Store, call: usize, deliveries: &[(usize, bool)]) -> bool {
        let simulated = &self.account.calls[call];
        let call_sid = CallId::parse(&simulated.call_sid).unwrap();
        let mut sent = BTreeSet::new();
        let mut accepted = BTreeSet::new();
        for &(index, was_accepted) in deliveries {
            let event = event(&simulated.deliveries[index]);
            sent.insert(event.digest());
            if was_accepted {
                accepted.insert(event.digest());
            }
        }

        let Some(history) = store.call(&call_sid).await.unwrap() else {
            assert!(accepted.is_empty(), "{call_sid}: accepted deliveries are lost");
            return false;
        };
        let recorded = history.record.in_order();
        let in_record = digests(&history);
        let lost = accepted.difference(&in_record).count();
        assert_eq!(lost, 0, "{call_sid}: accepted deliveries are lost");
        let invented = in_record.difference(&sent).count();
        assert_eq!(invented, 0, "{call_sid}: snapshots that nobody sent");

        // The row is what the record says it is, and the record tells nothing but the truth.
        let projected = project(&history.record, &history.seals);
        let columns = |row: &Option<Interaction>| row.as_ref().map(Interaction::columns);
        assert_eq!(columns(&history.row), columns(&projected), "{call_sid}");
        let told: Vec<&Snapshot> = recorded
            .iter()
            .map(|one| &one.snapshot)
            .filter(|snapshot| snapshot.stage == Stage::Ended)
            .collect();
        match &history.row {
            Some(row) => assert_true(row, &simulated.expected, &told),
            None => assert!(told.is_empty(), "{call_sid}: an ended call has no row"),
        }
        history.row.is_some()
    }
}

fn digests(history: &CallHistory) -> BTreeSet<Digest> {
    let recorded = history.record.in_order();
    recorded.iter().map(|one| one.digest.clone()).collect()
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
    from_callrail(parse_object(&delivery.body).unwrap(), receipt, Region::US.into()).unwrap()
}

/// Asserts that a row is as the simulated call was, as far as the snapshots of the ended call, in their order, told it.
fn assert_true(row: &Interaction, call: &ExpectedInteraction, told: &[&Snapshot]) {
    let sid = &row.call_sid;
    let direction = match row.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    assert_eq!(direction, call.direction, "{sid}");
    assert_eq!(row.outcome.as_str(), call.outcome, "{sid}");
    assert_eq!(row.call_duration_seconds, call.duration_seconds, "{sid}");
    assert_eq!(row.scheduled_at, call.started_at, "{sid}");
    assert_eq!(row.first_call, Some(call.first_call), "{sid}");
    assert_eq!(row.source.as_deref(), Some(call.source), "{sid}");
    assert_eq!(row.call_recording_url, call.recording_url, "{sid}");
    if let Some(customer) = &call.customer {
        assert_eq!(row.customer_number(), Some(customer.as_str()), "{sid}");
    } else {
        let sent = told.last().and_then(|snapshot| snapshot.facts.customer.as_ref());
        assert_eq!(row.customer_number(), sent.map(Party::display), "{sid}");
    }
    let contact = row.link.contact();
    let contact = contact.map(|contact| (contact.kind.as_str(), contact.id));
    assert_eq!(contact, call.contact, "{sid}: the wrong person");

    // Late texts stay once they are told, in whatever order; what people made of the call is as it was told last.
    let is_told = |text: fn(&Snapshot) -> &Option<String>| {
        told.iter()
            .any(|snapshot| text(snapshot).as_deref().is_some_and(|text| !text.is_empty()))
    };
    let transcription = call
        .transcription
        .as_ref()
        .filter(|_| is_told(|snapshot| &snapshot.transcript));
    assert_eq!(row.transcription.as_ref(), transcription, "{sid}");
    let summary = call
        .call_summary
        .as_ref()
        .filter(|_| is_told(|snapshot| &snapshot.summary));
    assert_eq!(row.call_summary.as_ref(), summary, "{sid}");
    let judged = told.last().and_then(|snapshot| snapshot.judgement.clone());
    let judged = judged.unwrap_or_default();
    assert_eq!(row.tags, judged.tags, "{sid}");
    assert_eq!(row.lead_status, judged.lead_status, "{sid}");
    assert!(
        row.notes.contains(&judged.note.unwrap_or_default()),
        "{sid}: the note is lost"
    );
}
