//! The reconciler: what it finds that webhooks missed, and what it leaves alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callrail_simulator::{CallChange, CallState, Fault, RequestKind, SimulatedAccount, SimulatedCall};
use calls::{
    CallEvent, CallId, CompanyId, EventKind, MatchRules, Origin, PhoneNumber, Receipt, Region, from_callrail,
};
use chrono::{DateTime, TimeDelta, Utc};
use importer::{Importer, Reconcile};
use prometheus_client::registry::Registry;
use queue::QueueName;
use serde_json::{Map, Value};
use store::{Import, ImportState, InteractionFilter, StoredInteraction};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::bench::{Bench, PATIENCE, Running, now};

/// When the next pass has its turn, and the one after it.
fn later() -> DateTime<Utc> {
    now() + TimeDelta::minutes(20)
}

fn much_later() -> DateTime<Utc> {
    now() + TimeDelta::minutes(40)
}

/// The writer of the calls: applies what is published until it is dropped.
struct Writer {
    written: Arc<Mutex<Vec<CallEvent>>>,
    task: JoinHandle<()>,
}

impl Writer {
    async fn start(bench: &Bench) -> Self {
        let mut consumer = bench.queue.consume(QueueName::Backfill).await.unwrap();
        let store = bench.store.clone();
        let written = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&written);
        let task = tokio::spawn(async move {
            loop {
                let batch = consumer.next_batch(1_000).await.unwrap();
                let events: Vec<_> = batch
                    .iter()
                    .map(|delivery| CallEvent::decode(&delivery.message.body).unwrap())
                    .collect();
                all.lock().unwrap().extend(events.clone());
                let rules = MatchRules::default();
                store.apply(events, &rules, now()).await.unwrap();
                consumer.acknowledge(&batch).await.unwrap();
            }
        });
        Self { written, task }
    }

    /// What was written since the last time.
    fn take(&self) -> Vec<CallEvent> {
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reconciler(bench: &Bench, clock: fn() -> DateTime<Utc>) -> Importer {
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.patience = PATIENCE;
    importer.reconcile = Some(Reconcile {
        company: Some(bench.account.company_id.parse().unwrap()),
    });
    importer.clock = clock;
    importer
}

/// Lets a reconciler work until the pass that it makes at this time has ended.
async fn reconcile(bench: &Bench, clock: fn() -> DateTime<Utc>) -> (Import, String) {
    let importer = reconciler(bench, clock);
    let mut registry = Registry::default();
    importer.metrics.register(&mut registry);
    let running = Bench::start(importer);
    let ended = async {
        loop {
            let passes = bench.store.passes(10).await.unwrap();
            let mut ended = passes.into_iter().filter(|pass| !pass.state.is_open());
            if let Some(pass) = ended.find(|pass| pass.created_at == clock()) {
                return pass;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let pass = timeout(PATIENCE, ended).await.unwrap();
    let metrics = look(&registry).await;
    running.stop().await;
    (pass, metrics)
}

/// The metrics, once the integration was looked at, which comes after a pass.
async fn look(registry: &Registry) -> String {
    let looked = async {
        loop {
            let mut metrics = String::new();
            prometheus_client::encoding::text::encode(&mut metrics, registry).unwrap();
            if metric(&metrics, "integration_active") != -1 {
                return metrics;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, looked).await.unwrap()
}

fn metric(metrics: &str, name: &str) -> i64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// An account whose calls have all ended more than 30 minutes ago, and began less than two hours before any pass.
fn over_for_an_hour(calls: usize) -> SimulatedAccount {
    SimulatedAccount::generate(7, calls, now() - TimeDelta::minutes(75))
}

/// A webhook as it is received.
fn received(call: &SimulatedCall, n: usize) -> CallEvent {
    let delivery = &call.deliveries[n];
    let object: Map<String, Value> = serde_json::from_slice(&delivery.body).unwrap();
    let receipt = Receipt {
        event_id: Uuid::now_v7(),
        kind: delivery.kind.into(),
        origin: Origin::Webhook,
        observed_at: call.start + delivery.after,
        import_id: None,
        company: None,
    };
    from_callrail((&object).into(), receipt, Region::US.into()).unwrap()
}

async fn apply(bench: &Bench, events: Vec<CallEvent>) {
    let rules = MatchRules::default();
    bench.store.apply(events, &rules, now()).await.unwrap();
}

/// The calls as a CRM sees them.
async fn shown(bench: &Bench) -> Vec<StoredInteraction> {
    let filter = InteractionFilter::default();
    bench
        .store
        .search_interactions(filter, 10_000, None)
        .await
        .unwrap()
}

async fn shown_ids(bench: &Bench) -> BTreeSet<String> {
    let shown = shown(bench).await.into_iter();
    shown.map(|row| row.interaction.call_sid.into()).collect()
}

async fn alerts(bench: &Bench) -> usize {
    let all = bench.store.alerts_since(DateTime::UNIX_EPOCH, 10_000).await;
    all.unwrap().len()
}

/// Every row says what CallRail says, and there is a row for every call that CallRail shows.
async fn assert_as_callrail_has_them(bench: &Bench, edited: &BTreeMap<String, (Vec<String>, String)>) {
    assert_eq!(shown_ids(bench).await, bench.calls());
    let rows = shown(bench).await;
    let rows: BTreeMap<&str, _> = rows
        .iter()
        .map(|row| (row.interaction.call_sid.as_str(), &row.interaction))
        .collect();
    for call in &bench.account.calls {
        let Some(row) = rows.get(call.call_sid.as_str()) else {
            continue;
        };
        let expected = &call.expected;
        let (tags, note) = match edited.get(&call.call_sid) {
            Some((tags, note)) => (tags, Some(note)),
            None => (&expected.tags, expected.note.as_ref()),
        };
        assert_eq!(&row.tags, tags, "{}", call.call_sid);
        assert!(note.is_none_or(|note| row.notes.contains(note)), "{}", row.notes);
        assert_eq!(row.transcription, expected.transcription, "{}", call.call_sid);
        assert_eq!(row.call_summary, expected.call_summary, "{}", call.call_sid);
        assert_eq!(row.call_duration_seconds, expected.duration_seconds);
        assert_eq!(row.scheduled_at, expected.started_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_brings_what_webhooks_missed_and_a_second_changes_nothing() {
    let bench = Bench::of(over_for_an_hour(120)).await;
    let writer = Writer::start(&bench).await;
    // Of every tenth call no webhook comes, and of the others one in ten is lost.
    let mut webhooks = 0;
    let mut told = BTreeSet::new();
    let mut events = Vec::new();
    for (index, call) in bench.account.calls.iter().enumerate() {
        for n in 0..call.deliveries.len() {
            webhooks += 1;
            if index % 10 == 4 || webhooks % 10 == 0 {
                continue;
            }
            let event = received(call, n);
            if !event.kind.is_progress() {
                told.insert(call.call_sid.clone());
            }
            events.push(event);
        }
    }
    apply(&bench, events).await;
    let before = bench.store.count_interactions().await.unwrap();
    // What was done in CallRail since, and no webhook has told of.
    let mut edited = BTreeMap::new();
    for call in bench.account.calls.iter().skip(1).step_by(20) {
        let tags = vec!["Late".to_owned()];
        let note = "Called back on Tuesday".to_owned();
        let sid = &call.call_sid;
        assert!(bench.api.change_call(sid, CallChange::Tags(tags.clone())));
        assert!(bench.api.change_call(sid, CallChange::Note(note.clone())));
        edited.insert(sid.clone(), (tags, note));
    }
    let spam: Vec<_> = bench.account.calls.iter().skip(4).step_by(25).collect();
    for call in &spam {
        let marked = bench
            .api
            .change_call(&call.call_sid, CallChange::State(CallState::Spam));
        assert!(marked);
    }

    let (pass, metrics) = reconcile(&bench, now).await;
    assert_eq!((pass.state, pass.error), (ImportState::Finished, None));
    assert_as_callrail_has_them(&bench, &edited).await;
    let counts = bench.store.import_counts(pass.id).await.unwrap();
    let listed = bench.calls().len() as u64;
    assert_eq!((counts.total, counts.stored), (listed, listed));
    let in_doubt = bench.store.calls_to_reread(1).await.unwrap();
    assert!(in_doubt.is_empty(), "{in_doubt:?}");
    let gap = bench.calls().difference(&told).count();
    assert!(gap >= 10, "{gap} calls were missed");
    assert_eq!(metric(&metrics, "gap_calls"), i64::try_from(gap).unwrap());
    assert_eq!(metric(&metrics, "integration_active"), 1);
    assert!(bench.store.count_interactions().await.unwrap() > before);

    let (rows, told) = (shown(&bench).await, alerts(&bench).await);
    assert!(!writer.take().is_empty());
    let (pass, _) = reconcile(&bench, later).await;
    assert_eq!(pass.state, ImportState::Finished);
    assert_eq!(pass.end - pass.start, TimeDelta::hours(2));
    assert!(writer.take().is_empty());
    assert_eq!(shown(&bench).await, rows);
    assert_eq!(alerts(&bench).await, told);
    let counts = bench.store.import_counts(pass.id).await.unwrap();
    assert_eq!((counts.total, counts.stored), (listed, listed));

    // Somebody takes the marks off again.
    for call in &spam {
        let unmarked = bench
            .api
            .change_call(&call.call_sid, CallChange::State(CallState::Ended));
        assert!(unmarked);
    }
    reconcile(&bench, much_later).await;
    assert_as_callrail_has_them(&bench, &edited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_comes_back_is_news() {
    let bench = Bench::of(over_for_an_hour(10)).await;
    let writer = Writer::start(&bench).await;
    reconcile(&bench, now).await;
    let imported = writer.take();
    let call = imported.iter().find(|event| event.call.facts.answered).unwrap();
    let sid = &call.call.call_sid;
    let tags = async || {
        let rows = bench.store.interactions(std::slice::from_ref(sid)).await;
        rows.unwrap().remove(sid).unwrap().tags
    };
    let before = tags().await;
    // A tag is set, of which a webhook tells, and taken off, of which none does; and the mark as spam alike.
    let mut tagged = call.clone();
    tagged.kind = EventKind::CallModified;
    tagged.origin = Origin::Webhook;
    tagged.observed_at = now() + TimeDelta::minutes(5);
    tagged.import_id = None;
    tagged.call.judgement.as_mut().unwrap().tags = vec!["Wrong".to_owned()];
    tagged.call.spam = Some(true);
    apply(&bench, vec![tagged]).await;
    assert_eq!(tags().await, ["Wrong"]);
    assert!(!shown_ids(&bench).await.contains(sid.as_str()));

    reconcile(&bench, later).await;
    assert_eq!(tags().await, before);
    assert_eq!(shown_ids(&bench).await, bench.calls());
    assert_eq!(writer.take().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_that_are_gone_none_is_hidden() {
    let bench = Bench::of(over_for_an_hour(200)).await;
    let _writer = Writer::start(&bench).await;
    reconcile(&bench, now).await;
    let all = shown(&bench).await;
    assert_eq!(all.len(), 200);
    let mark = |calls: usize, state| {
        for call in &bench.account.calls[..calls] {
            assert!(bench.api.change_call(&call.call_sid, CallChange::State(state)));
        }
    };
    mark(21, CallState::Spam);
    let (pass, metrics) = reconcile(&bench, later).await;
    assert_eq!(pass.state, ImportState::Finished);
    assert_eq!(metric(&metrics, "vanishing_stopped_total"), 1);
    assert_eq!(shown(&bench).await, all);
    assert_eq!(bench.api.requests(RequestKind::Call), 0);

    mark(1, CallState::Ended);
    let (_, metrics) = reconcile(&bench, much_later).await;
    assert_eq!(metric(&metrics, "vanished_calls_total"), 20);
    assert_eq!(shown_ids(&bench).await, bench.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_company_that_the_key_does_not_see_stay() {
    let bench = Bench::of(over_for_an_hour(10)).await;
    let writer = Writer::start(&bench).await;
    reconcile(&bench, now).await;
    // CallRail's API would know nothing of it, and its webhooks come all the same.
    let mut elsewhere = writer.take().remove(0);
    elsewhere.kind = EventKind::PostCall;
    elsewhere.origin = Origin::Webhook;
    elsewhere.import_id = None;
    elsewhere.company = Some(CompanyId::parse("COM00000000000000000000000000000001").unwrap());
    elsewhere.call.call_sid = CallId::parse("CAL00000000000000000000000000000001").unwrap();
    let sid = elsewhere.call.call_sid.clone();
    apply(&bench, vec![elsewhere]).await;
    let (pass, metrics) = reconcile(&bench, later).await;
    assert_eq!(pass.state, ImportState::Finished);
    assert_eq!(metric(&metrics, "vanished_calls_total"), 0);
    assert!(shown_ids(&bench).await.contains(sid.as_str()));
}

/// A pass that has read its pages and waits for the writer, with a call gone from CallRail and another edited.
async fn waiting_for_the_writer(bench: &Bench) -> Running {
    let writer = Writer::start(bench).await;
    reconcile(bench, now).await;
    drop(writer);
    let [gone, edited, ..] = &bench.account.calls[..] else {
        panic!("there are more calls");
    };
    let (spam, note) = (CallState::Spam, "Later".to_owned());
    assert!(bench.api.change_call(&gone.call_sid, CallChange::State(spam)));
    assert!(bench.api.change_call(&edited.call_sid, CallChange::Note(note)));
    let running = Bench::start(reconciler(bench, later));
    let read = async {
        while bench.store.queued_backfill().await.unwrap() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_hidden_when_the_account_does_not_answer() {
    let bench = Bench::of(over_for_an_hour(20)).await;
    let running = waiting_for_the_writer(&bench).await;
    bench.api.fail(Fault::Status(404));
    let _writer = Writer::start(&bench).await;
    let failed = async {
        loop {
            let pass = bench.store.passes(1).await.unwrap().remove(0);
            if !pass.state.is_open() {
                return pass;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let pass = timeout(PATIENCE, failed).await.unwrap();
    running.stop().await;
    assert_eq!(pass.state, ImportState::Failed);
    assert!(pass.error.is_some());
    assert_eq!(shown(&bench).await.len(), 20);
    assert_eq!(bench.api.requests(RequestKind::Call), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_whose_importer_is_gone_is_brought_to_its_end_by_another() {
    let bench = Bench::of(over_for_an_hour(20)).await;
    let running = waiting_for_the_writer(&bench).await;
    running.stop().await;
    let pages = bench.api.requests(RequestKind::Calls);
    let _writer = Writer::start(&bench).await;
    let (pass, _) = reconcile(&bench, later).await;
    assert_eq!((pass.state, pass.error), (ImportState::Finished, None));
    assert_eq!(bench.store.passes(10).await.unwrap().len(), 2);
    assert_eq!(shown_ids(&bench).await, bench.calls());
    // One page at most was read by two.
    assert!(bench.api.requests(RequestKind::Calls) <= pages + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_doubt_that_are_older_than_a_pass_are_asked_for_one_by_one() {
    let start = now() - TimeDelta::days(5);
    let account = SimulatedAccount::history(7, 40, start, TimeDelta::minutes(60));
    let bench = Bench::of(account).await;
    let writer = Writer::start(&bench).await;
    reconcile(&bench, now).await;
    let imported = writer.take();
    assert_eq!(imported.len(), 40);
    let mut events = Vec::new();
    for event in &imported[..2] {
        for (n, tag) in [(0, "one"), (1, "two")] {
            let mut told = event.clone();
            told.kind = EventKind::CallModified;
            told.origin = Origin::Webhook;
            told.import_id = None;
            told.observed_at = now() + TimeDelta::seconds(60 + n);
            told.call.judgement.as_mut().unwrap().tags = vec![tag.to_owned()];
            events.push(told);
        }
    }
    apply(&bench, events).await;
    assert_eq!(bench.store.calls_to_reread(10).await.unwrap().len(), 2);
    let (one, gone): (&CallId, &CallId) = (&imported[0].call.call_sid, &imported[1].call.call_sid);
    let (tags, spam) = (vec!["one".to_owned()], CallState::Spam);
    assert!(bench.api.change_call(one.as_str(), CallChange::Tags(tags)));
    assert!(bench.api.change_call(gone.as_str(), CallChange::State(spam)));

    let (pass, _) = reconcile(&bench, later).await;
    assert_eq!((pass.state, pass.error), (ImportState::Finished, None));
    let settled = async {
        while !bench.store.calls_to_reread(10).await.unwrap().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, settled).await.unwrap();
    assert_eq!(bench.api.requests(RequestKind::Call), 2);
    let rows = bench.store.interactions(std::slice::from_ref(one)).await.unwrap();
    assert_eq!(rows[one].tags, ["one"]);
    assert_eq!(shown_ids(&bench).await, bench.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reconcilers_one_makes_a_pass_and_both_see_the_integration() {
    let bench = Bench::of(over_for_an_hour(20)).await;
    let _writer = Writer::start(&bench).await;
    bench.api.set_webhook_state("disabled");
    let mut registries = Vec::new();
    let mut running = Vec::new();
    for _ in 0..2 {
        let importer = reconciler(&bench, now);
        let mut registry = Registry::default();
        importer.metrics.register(&mut registry);
        registries.push(registry);
        running.push(Bench::start(importer));
    }
    let done = async {
        let ended = async || {
            let passes = bench.store.passes(10).await.unwrap();
            passes.iter().any(|pass| !pass.state.is_open())
        };
        while !ended().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, done).await.unwrap();
    for registry in &registries {
        assert_eq!(metric(&look(registry).await, "integration_active"), 0);
    }
    for one in running {
        one.stop().await;
    }
    let seen = bench.store.webhook_health().await.unwrap().integration.unwrap();
    assert_eq!((seen.state.as_str(), seen.checked_at), ("disabled", now()));
    let passes = bench.store.passes(10).await.unwrap();
    assert_eq!(passes.len(), 1, "{passes:?}");
    assert_eq!(bench.api.requests(RequestKind::Calls), passes[0].pages);
    assert_eq!(shown_ids(&bench).await, bench.calls());
    // The numbers of the account are those that CallRail has: nothing is new and nothing gone.
    let own = bench.account.own_numbers.iter();
    let own = own.map(|number| PhoneNumber::parse(number, Region::US).unwrap());
    let changed = bench.store.replace_account_numbers(own.collect()).await;
    assert_eq!(changed.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_noticed_when_calls_are_usual_and_over_when_a_webhook_comes() {
    let bench = Bench::of(SimulatedAccount::history(
        7,
        30 * 24,
        now() - TimeDelta::days(30),
        TimeDelta::hours(1),
    ))
    .await;
    let writer = Writer::start(&bench).await;
    let told = |event: &CallEvent| CallEvent {
        kind: EventKind::PostCall,
        origin: Origin::Webhook,
        import_id: None,
        ..event.clone()
    };
    let (_, metrics) = reconcile(&bench, now).await;
    assert_eq!(metric(&metrics, "webhook_silence_seconds"), 0);
    let counted = bench.store.webhook_health().await.unwrap().counted.unwrap();
    assert_eq!((counted.gap, counted.silent_since), (None, None));

    // A call an hour: of the last 14 no webhook tells.
    let imported = writer.take();
    let began = |event: &CallEvent| event.call.facts.started_at.unwrap();
    let last = imported
        .iter()
        .rev()
        .find(|event| began(event) < now() - TimeDelta::hours(14));
    let last = last.unwrap();
    apply(&bench, vec![told(last)]).await;
    let (_, metrics) = reconcile(&bench, later).await;
    let silence = (later() - began(last)).num_seconds();
    assert_eq!(metric(&metrics, "webhook_silence_seconds"), silence);
    let counted = bench.store.webhook_health().await.unwrap().counted.unwrap();
    assert_eq!(counted.silent_since, Some(began(last)));
    assert_eq!(counted.counted_at, later());
    let gap = u64::try_from(metric(&metrics, "gap_calls")).unwrap();
    assert_eq!(counted.gap, Some(gap));
    assert!(gap >= 10, "{gap}");

    apply(&bench, vec![told(imported.last().unwrap())]).await;
    let (_, metrics) = reconcile(&bench, much_later).await;
    assert_eq!(metric(&metrics, "webhook_silence_seconds"), 0);
    let counted = bench.store.webhook_health().await.unwrap().counted.unwrap();
    assert_eq!(counted.silent_since, None);
}
