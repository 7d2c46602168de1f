//! Past calls from CallRail's API: every one once, whatever is killed, and in agreement with the webhooks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callrail::CallId;
use callrail_simulator::{RequestKind, SimulatedAccount, SimulatedApi};
use calls::{Interaction, interaction_id};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use store::{DatabaseUrl, Import, ImportCounts, ImportSource, ImportState, NewImport, Store};
use test_servers::{Database, Vhost};
use tokio::time::interval;
use trunkline_tests::simulated::{BUDGET, read_alone, unlimited_api, with_account};
use trunkline_tests::{Installation, eventually};
use uuid::Uuid;

use crate::load::{Load, import_people};
use crate::pusher::post_renamed;
use trunkline_tests::pusher_peer::{self, Mood, Peer};

/// CallRail gives so many calls with one request, and a window has so many days.
const PER_PAGE: u64 = 250;
const WINDOW: TimeDelta = TimeDelta::days(31);

/// An account with a year of calls, and an installation in the scaled shape that may ask for them without limits.
struct Year {
    account: Arc<SimulatedAccount>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    api: SimulatedApi,
    trunkline: Installation,
    store: Store,
    _broker: Vhost,
    _database: Database,
}

impl Year {
    async fn with(calls: usize) -> Self {
        let end = Utc::now();
        let start = (end - TimeDelta::days(365)).trunc_subsecs(0);
        let every = (end - start) / i32::try_from(calls + 1).unwrap();
        let account = Arc::new(SimulatedAccount::history(11, calls, start, every));
        let api = unlimited_api(&account);
        let (broker, database) = (Vhost::new(), Database::empty());
        let trunkline = with_account(Installation::new(), &account, &api)
            .with("DATABASE_URL", database.url())
            .with("QUEUE_URL", broker.url());
        assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
        let store = Store::connect(&database.url().parse::<DatabaseUrl>().unwrap())
            .await
            .unwrap();
        Self {
            account,
            start,
            end,
            api,
            trunkline,
            store,
            _broker: broker,
            _database: database,
        }
    }
}

/// How many calls are imported: as many as are enough, unless `IMPORTED_CALLS` says more.
fn imported_calls(enough: usize) -> usize {
    std::env::var("IMPORTED_CALLS").map_or(enough, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_year_is_imported_once_though_importer_and_writer_are_killed() {
    const KILLS: u64 = 3;
    let calls = imported_calls(6_000);
    let Year {
        start,
        end,
        api,
        trunkline,
        store,
        ..
    } = &Year::with(calls).await;
    let run = wanted(store, *start, *end).await;

    let mut importer = trunkline.spawn("importer");
    let mut writer = trunkline.spawn("call-writer");
    for kill in 1..=KILLS {
        let share = calls as u64 * kill / (KILLS + 2);
        stored(store, run.id, share, trunkline).await;
        importer.kill().await;
        writer.kill().await;
        importer = trunkline.spawn("importer");
        writer = trunkline.spawn("call-writer");
    }
    stored(store, run.id, calls as u64, trunkline).await;
    let complete = eventually(|| async {
        let now = store.import(run.id).await.unwrap().unwrap();
        now.is_complete(&counts(store, run.id).await).then_some(now)
    });
    let ended = complete.await.unwrap_or_else(|| panic!("{}", trunkline.logs()));

    assert_eq!(ended.state, ImportState::Finished);
    let counts = counts(store, run.id).await;
    let calls = calls as u64;
    assert_eq!((counts.total, counts.stored, counts.failed), (calls, calls, 0));
    assert_eq!(store.count_interactions().await.unwrap(), calls);
    assert_eq!(store.waiting_dead_letters(10).await.unwrap(), []);
    let windows = u64::try_from((*end - *start).num_seconds() / WINDOW.num_seconds() + 1).unwrap();
    let (requests, most) = (
        api.requests(RequestKind::Calls),
        calls.div_ceil(PER_PAGE) + windows + KILLS,
    );
    println!("{calls} calls with {requests} requests, {most} at most");
    assert!(requests <= most, "{requests} requests, {most} at most");
    for process in [importer, writer] {
        process.kill().await;
    }
}

/// Rings have a queue of their own and workers of their own, which wait for no page of an import. At the budget of an
/// installation that sets nothing: a burst of pages each minute. Alone on the machine: see `.config/nextest.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_on_the_screen_in_time_while_the_past_is_imported() {
    let p99 = time_rings_beside_an_import(Budget::Default, 4_000).await;
    assert!(p99 < Duration::from_millis(500), "{p99:?}");
}

/// The same while pages come as fast as they are read.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, tests nothing: ./test --full"]
async fn rings_are_timed_while_the_past_is_imported_without_a_budget() {
    time_rings_beside_an_import(Budget::Lifted, 10_000).await;
}

/// How many requests may be made of CallRail's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Budget {
    /// As many as when nothing is set.
    Default,
    /// As many as one likes.
    Lifted,
}

/// Has the phone ring every few milliseconds until so many calls are imported. Prints, from the POST of a ring to Pusher,
/// the median and the 99th percentile, which it returns.
async fn time_rings_beside_an_import(budget: Budget, enough: usize) -> Duration {
    const BETWEEN: Duration = Duration::from_millis(50);
    let calls = imported_calls(enough);
    let (pusher, address) = Peer::start(Mood::Fine);
    let mut year = Year::with(calls).await;
    year.trunkline = year.trunkline.with("PUSHER_URL", pusher_peer::url(&address));
    if budget == Budget::Default {
        year.trunkline = with_default_budget(year.trunkline);
    }
    let Year {
        start,
        end,
        trunkline,
        store,
        ..
    } = &year;
    let mut running = Vec::new();
    for service in ["webhook-ingest", "call-writer", "notifier", "importer"] {
        running.push(trunkline.start(service).await);
    }
    let run = wanted(store, *start, *end).await;
    stored(store, run.id, 1, trunkline).await;
    let began = Instant::now();
    let mut ticks = interval(BETWEEN);
    let mut took = Vec::new();
    for number in 0.. {
        ticks.tick().await;
        let posted_at = Instant::now();
        let call_sid = post_renamed(trunkline, "pre-call", "pre_call.json", number).await;
        let arrived = eventually(|| async { pusher.event_of("incoming-call", &call_sid) }).await;
        let arrived = arrived.unwrap_or_else(|| panic!("no ring\n{}", trunkline.logs()));
        took.push(arrived.at - posted_at);
        if counts(store, run.id).await.stored >= calls as u64 {
            break;
        }
    }
    took.sort_unstable();
    let rings = took.len();
    let [median, p99] = [rings / 2, rings * 99 / 100].map(|place| took[place]);
    println!(
        "{calls} calls imported meanwhile, in {:.0?}, budget {budget:?}: from POST to Pusher median {median:?}, p99 \
         {p99:?} of {rings} rings",
        began.elapsed()
    );
    assert!(rings >= 20, "the import was over after {rings} rings");
    for process in running {
        process.kill().await;
    }
    p99
}

/// Importer, queue, writer and database together, beside reading the same pages and doing nothing with them. Alone on the
/// machine: see `.config/nextest.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_reading_alone_is_many_times_what_people_expect() {
    const EXPECTED_A_MINUTE: f64 = 100.0;
    let calls = imported_calls(3_000);
    let Year {
        account,
        start,
        end,
        api,
        trunkline,
        store,
        ..
    } = &Year::with(calls).await;

    let began = Instant::now();
    // CallRail takes whole minutes: what began in the minute where two windows meet is in both.
    assert!(read_alone(account, api, *start, *end).await >= calls);
    let reading = a_second(calls, began.elapsed());

    let (importer, writer) = (
        trunkline.start("importer").await,
        trunkline.start("call-writer").await,
    );
    let began = Instant::now();
    let run = wanted(store, *start, *end).await;
    stored(store, run.id, calls as u64, trunkline).await;
    let importing = a_second(calls, began.elapsed());
    println!(
        "{calls} calls: {importing:.0} a second are imported, {reading:.0} a second are read when nothing is done with \
         them, {EXPECTED_A_MINUTE} a minute are expected"
    );
    assert!(
        importing > 20.0 * EXPECTED_A_MINUTE / 60.0,
        "{importing} a second"
    );
    for process in [importer, writer] {
        process.kill().await;
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate")]
fn a_second(calls: usize, took: Duration) -> f64 {
    calls as f64 / took.as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_imports_and_tells_what_it_did() {
    let now = Utc::now();
    let account = Arc::new(SimulatedAccount::history(
        3,
        300,
        now - TimeDelta::days(20),
        TimeDelta::minutes(90),
    ));
    let api = unlimited_api(&account);
    let trunkline = with_account(Installation::new(), &account, &api);
    let running = trunkline.start("run").await;

    let foretold = trunkline.run(&["import", "--days-back", "30", "--dry-run"]).await;
    assert_eq!(foretold.code, 0, "{foretold:?}");
    assert!(foretold.out.contains("More than 250 calls"), "{foretold:?}");
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 0);

    let told = trunkline.run(&["import", "--days-back", "30"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("Imported 300 calls: 300 stored"), "{told:?}");
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 300);

    let future = trunkline
        .run(&["import", "--from", "2999-01-01", "--to", "2999-02-01"])
        .await;
    assert_ne!(future.code, 0);
    assert!(future.err.contains("must not be in the future"), "{future:?}");
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_without_an_account_says_what_to_set() {
    let trunkline = Installation::new();
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let told = trunkline.run(&["import", "--days-back", "7"]).await;
    assert_ne!(told.code, 0);
    assert!(told.err.contains("CALLRAIL_API_KEY"), "{told:?}");
}

/// An import after the webhooks changes nothing and tells nobody; the same calls the other way round come to the same
/// rows.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_and_import_agree_in_either_order() {
    let now = Utc::now();
    let account = Arc::new(SimulatedAccount::generate(5, 60, now - TimeDelta::hours(6)));
    let api = unlimited_api(&account);
    let mut rows = Vec::new();
    for import_first in [false, true] {
        let trunkline = with_account(Installation::new(), &account, &api)
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key);
        import_people(&trunkline, &account).await;
        let running = trunkline.start("run").await;
        let store = trunkline.store().await;
        let import = || async {
            let told = trunkline.run(&["import", "--days-back", "1"]).await;
            assert_eq!(told.code, 0, "{told:?}");
        };
        if import_first {
            import().await;
        }
        let sent = Load::in_order(&trunkline, &account).finish().await;
        trunkline.settle().await;
        if import_first {
            rows.push(all_rows(&store, &account).await);
        } else {
            assert_eq!(sent.check(&store).await, 60);
            let before = (
                all_rows(&store, &account).await,
                updated_at(&store, &account).await,
                store.alerts_since(DateTime::UNIX_EPOCH, 10_000).await.unwrap(),
            );
            import().await;
            trunkline.settle().await;
            let after = (
                all_rows(&store, &account).await,
                updated_at(&store, &account).await,
                store.alerts_since(DateTime::UNIX_EPOCH, 10_000).await.unwrap(),
            );
            assert_eq!(after.0, before.0);
            assert_eq!(after.1, before.1, "rows were written again");
            assert_eq!(after.2.len(), before.2.len(), "somebody was told");
            rows.push(after.0);
        }
        running.kill().await;
    }
    let [one, other] = rows.try_into().unwrap();
    assert_eq!(one, other);
}

/// As if nobody had set how many requests may be made.
fn with_default_budget(trunkline: Installation) -> Installation {
    BUDGET
        .iter()
        .fold(trunkline, |trunkline, name| trunkline.without(name))
}

pub(crate) async fn wanted(store: &Store, start: DateTime<Utc>, end: DateTime<Utc>) -> Import {
    let new = NewImport {
        source: ImportSource::Api,
        start,
        end,
        company: None,
    };
    store.create_import(new, Utc::now()).await.unwrap()
}

async fn counts(store: &Store, id: Uuid) -> ImportCounts {
    store.import_counts(id).await.unwrap()
}

/// Waits until that many calls of the run are stored, for as long as there are more and more of them.
async fn stored(store: &Store, id: Uuid, goal: u64, trunkline: &Installation) {
    loop {
        let before = counts(store, id).await.stored;
        let reached = eventually(|| async { (counts(store, id).await.stored >= goal).then_some(()) });
        if reached.await.is_some() {
            return;
        }
        let after = counts(store, id).await.stored;
        assert!(after > before, "stuck at {after} of {goal}\n{}", trunkline.logs());
    }
}

async fn all_rows(store: &Store, account: &SimulatedAccount) -> BTreeMap<CallId, Interaction> {
    let ids: Vec<CallId> = account
        .calls
        .iter()
        .map(|call| CallId::parse(&call.call_sid).unwrap())
        .collect();
    store.interactions(&ids).await.unwrap().into_iter().collect()
}

async fn updated_at(store: &Store, account: &SimulatedAccount) -> Vec<DateTime<Utc>> {
    let mut times = Vec::new();
    for call in &account.calls {
        let id = interaction_id(&CallId::parse(&call.call_sid).unwrap());
        times.push(store.interaction(id).await.unwrap().unwrap().updated_at);
    }
    times
}
