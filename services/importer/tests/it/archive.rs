//! Recordings on their way into the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use callrail::client::{Budget, BudgetError, Permission, RecordingFiles, Unlimited, Usage};
use callrail_simulator::{CallChange, CallState, Fault, RequestKind};
use calls::{CallId, MatchRules};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt as _;
use importer::{Importer, Recordings};
use recordings::Archive;
use sha2::{Digest as _, Sha256};
use store::ArchivedRecording;
use tokio::time::{sleep, timeout};

use crate::bench::{Bench, PATIENCE, now};

/// Later than any rest after a failure or a kill, and than the day until a recording counts as gone.
fn later() -> DateTime<Utc> {
    now() + TimeDelta::hours(30)
}

fn much_later() -> DateTime<Utc> {
    now() + TimeDelta::hours(60)
}

/// So many requests and not one more.
#[derive(Debug)]
struct Few(AtomicI64);

impl Budget for Few {
    fn permit(&self) -> Permission<'_> {
        let has_left = self.0.fetch_sub(1, Ordering::SeqCst) > 0;
        let exhausted = BudgetError::Exhausted {
            retry_after: Some(Duration::from_secs(3_600)),
        };
        Box::pin(std::future::ready(has_left.then_some(()).ok_or(exhausted)))
    }

    fn report(&self, _usage: Usage) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// A bench whose calls are in the database already.
async fn bench(calls: usize) -> Bench {
    let bench = Bench::new(calls).await;
    let run = bench.wanted().await;
    bench.work(bench.importer(&bench.account.api_key), run.id).await;
    let events = bench.published().await;
    bench
        .store
        .apply(events, &MatchRules::default(), now())
        .await
        .unwrap();
    bench
}

fn archive(bench: &Bench) -> Archive {
    let url = format!("file://{}/recordings", bench.folder.path().display());
    Archive::open(&url.parse().unwrap(), []).unwrap()
}

fn keeper(bench: &Bench, clock: fn() -> DateTime<Utc>, budget: Arc<dyn Budget>) -> Importer {
    let host = bench.api.base_url();
    let host = host.trim_start_matches("http://").trim_end_matches("/v3");
    let http = reqwest::Client::builder().no_proxy();
    let mut importer = bench.importer(&bench.account.api_key);
    importer.recordings = Some(Recordings {
        links: bench.client(&bench.account.api_key, budget),
        files: RecordingFiles::new(vec![host.to_owned()], http).unwrap(),
        archive: archive(bench),
    });
    importer.clock = clock;
    importer
}

fn unlimited(bench: &Bench, clock: fn() -> DateTime<Utc>) -> Importer {
    keeper(bench, clock, Arc::new(Unlimited))
}

/// The calls that have a recording.
fn recorded(bench: &Bench) -> BTreeSet<CallId> {
    let calls = bench.account.calls.iter();
    let recorded = calls.filter(|call| call.expected.recording_url.is_some());
    recorded
        .map(|call| CallId::parse(&call.call_sid).unwrap())
        .collect()
}

async fn archived(bench: &Bench) -> BTreeMap<CallId, ArchivedRecording> {
    let mut archived = BTreeMap::new();
    for call in recorded(bench) {
        if let Some(found) = bench.store.archived_recording(&call).await.unwrap() {
            archived.insert(call, found);
        }
    }
    archived
}

async fn until(bench: &Bench, is_so: impl AsyncFn(&Bench) -> bool) {
    let wait = async {
        while !is_so(bench).await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

async fn until_archived(bench: &Bench, count: usize) {
    until(bench, async |bench| archived(bench).await.len() >= count).await;
}

/// What the archive holds of every call is what its row says. Returns the keys.
async fn assert_all_are_whole(bench: &Bench) -> BTreeSet<String> {
    let archive = archive(bench);
    let mut keys = BTreeSet::new();
    for (call, told) in archived(bench).await {
        let reading = archive.read(&told.key, None).await.unwrap();
        let sound: Vec<Bytes> = reading.pieces.try_collect().await.unwrap();
        let sound = sound.concat();
        assert_eq!(sound.len() as u64, told.length, "{call}");
        assert_eq!(hex::encode(Sha256::digest(&sound)), told.sha256, "{call}");
        assert!(sound.starts_with(b"RIFF") && told.content_type == "audio/wav");
        // A WAV file says itself how long it is.
        let says = u32::from_le_bytes(sound[4..8].try_into().unwrap());
        assert_eq!(u64::from(says) + 8, told.length, "{call}");
        keys.insert(told.key);
    }
    keys
}

/// The same, and nothing else is there. (Of an importer that was stopped just before it noted a recording something is,
/// until the next has fetched it again.)
async fn assert_archive_is_as_told(bench: &Bench) {
    let keys = assert_all_are_whole(bench).await;
    let root = bench.folder.path().join("recordings");
    let months = std::fs::read_dir(&root).unwrap();
    let files = months.flat_map(|month| std::fs::read_dir(month.unwrap().path()).unwrap());
    let files: BTreeSet<String> = files
        .map(|file| {
            let path = file.unwrap().path();
            path.strip_prefix(&root).unwrap().display().to_string()
        })
        .collect();
    assert_eq!(files, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recording_is_archived_once_by_two_importers() {
    let bench = bench(80).await;
    let all = recorded(&bench).len();
    assert!(all > 20, "{all}");
    let one = Bench::start(unlimited(&bench, now));
    let other = Bench::start(unlimited(&bench, now));
    until_archived(&bench, all).await;
    until(&bench, async |bench| {
        bench.store.recordings_waiting().await.unwrap() == 0
    })
    .await;
    one.stop().await;
    other.stop().await;
    assert_archive_is_as_told(&bench).await;
    assert_eq!(bench.api.requests(RequestKind::Recording), all as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_importer_that_is_killed_leaves_nothing_out() {
    let bench = bench(60).await;
    let all = recorded(&bench).len();
    for clock in [now as fn() -> DateTime<Utc>, later] {
        let before = archived(&bench).await.len();
        let running = Bench::start(unlimited(&bench, clock));
        until_archived(&bench, before + 5).await;
        running.kill().await;
    }
    assert!(archived(&bench).await.len() < all);
    let running = Bench::start(unlimited(&bench, much_later));
    until_archived(&bench, all).await;
    running.stop().await;
    assert_archive_is_as_told(&bench).await;
    // Of two who fetched at the time of each kill.
    let requests = bench.api.requests(RequestKind::Recording);
    assert!(requests <= all as u64 + 4, "{requests} requests for {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_cut_short_is_not_archived_and_tried_again_later() {
    let bench = bench(30).await;
    let all = recorded(&bench).len();
    bench.api.fail(Fault::CutRecording);
    let running = Bench::start(unlimited(&bench, now));
    until(&bench, async |bench| {
        bench.api.requests(RequestKind::Recording) > 1
    })
    .await;
    bench.api.recover();
    // What was cut rests, and the others do not wait for it.
    until_archived(&bench, 5).await;
    running.stop().await;
    assert_all_are_whole(&bench).await;

    let running = Bench::start(unlimited(&bench, later));
    until_archived(&bench, all).await;
    running.stop().await;
    assert_archive_is_as_told(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_callrail_does_not_have_is_asked_for_twice() {
    let bench = bench(30).await;
    let all = recorded(&bench);
    let gone = all.first().unwrap();
    assert!(
        bench
            .api
            .change_call(gone.as_str(), CallChange::State(CallState::Spam))
    );
    let waiting = async |left: u64| {
        until(&bench, async |bench| {
            archived(bench).await.len() == all.len() - 1
                && bench.store.recordings_waiting().await.unwrap() == left
        })
        .await;
    };
    for (clock, left, asked) in [
        (now as fn() -> DateTime<Utc>, 1, all.len()),
        (later, 0, all.len() + 1),
        (much_later, 0, all.len() + 1),
    ] {
        let running = Bench::start(unlimited(&bench, clock));
        waiting(left).await;
        running.stop().await;
        assert_eq!(bench.api.requests(RequestKind::Recording), asked as u64);
    }
    assert!(bench.store.knows_recording(gone).await.unwrap());
    assert_eq!(bench.store.archived_recording(gone).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_is_kept_and_an_outage_counts_against_no_recording() {
    let bench = bench(30).await;
    let all = recorded(&bench).len();
    let running = Bench::start(keeper(&bench, now, Arc::new(Few(AtomicI64::new(3)))));
    until_archived(&bench, 3).await;
    running.stop().await;
    assert_eq!(bench.api.requests(RequestKind::Recording), 3);

    bench.api.fail(Fault::Status(503));
    let running = Bench::start(unlimited(&bench, now));
    until(&bench, async |bench| {
        bench.api.requests(RequestKind::Recording) > 4
    })
    .await;
    bench.api.recover();
    // None of them rests: the clock stands still.
    until_archived(&bench, all).await;
    running.stop().await;
    assert_archive_is_as_told(&bench).await;
}
