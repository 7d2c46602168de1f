//! Disks that are full, read-only or slow. A small disk is mounted for it, which only root may do: elsewhere the tests
//! say that they were not tried.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use calls::CallId;
use futures_util::future::join_all;
use store::{DatabaseUrl, Store};
use test_servers::Disk;
use tokio::process::Command;
use trunkline_tests::{Answer, Installation, Process, SIGNING_KEY, eventually, sample, signature};

#[tokio::test]
async fn webhooks_are_refused_while_the_disk_of_the_spool_is_full_and_taken_when_there_is_room() {
    let Some(disk) = disk() else { return };
    let trunkline = Installation::new()
        .with("DATA_DIR", text(disk.path()))
        .with("QUEUE_URL", nobody());
    let ingest = trunkline.start("webhook-ingest").await;
    let mut accepted = Calls::default();
    accepted.grow(&trunkline, 20).await;

    disk.fill();
    accepted.grow_until(&trunkline, 503).await;
    is_not_ready(&trunkline, &ingest).await;
    assert!(
        ingest
            .log()
            .contains("a signed webhook is lost unless CallRail's API is asked for it"),
        "{}",
        ingest.log()
    );

    disk.make_room();
    accepted.grow_until(&trunkline, 200).await;
    accepted.grow(&trunkline, 20).await;
    assert_eq!(ready(&trunkline, &ingest).await.status, 200);
    ingest.kill().await;

    let trunkline = trunkline.without("QUEUE_URL");
    let drained = trunkline.run(&["spool", "drain"]).await;
    assert_eq!(
        drained.out,
        format!("Sent on {} messages.\n", accepted.ids.len()),
        "{drained:?}"
    );
    let running = trunkline.start("run").await;
    let store = database(&disk.path().join("trunkline.db")).await;
    accepted.become_rows(&trunkline, &store).await;
    running.kill().await;
}

#[tokio::test]
async fn one_process_on_a_full_disk_refuses_webhooks_and_goes_on_when_there_is_room() {
    let Some(disk) = disk() else { return };
    let trunkline = Installation::new().with("DATA_DIR", text(disk.path()));
    let running = trunkline.start("run").await;
    let mut accepted = Calls::default();
    accepted.grow(&trunkline, 50).await;
    disk.fill();
    accepted.grow_until(&trunkline, 503).await;
    is_not_ready(&trunkline, &running).await;
    disk.make_room();
    accepted.grow_until(&trunkline, 200).await;
    accepted.grow(&trunkline, 50).await;
    assert_eq!(ready(&trunkline, &running).await.status, 200);
    let store = database(&disk.path().join("trunkline.db")).await;
    accepted.become_rows(&trunkline, &store).await;
    running.kill().await;
}

#[tokio::test]
async fn calls_wait_in_the_queue_while_the_disk_of_the_database_is_full() {
    let Some(disk) = disk() else { return };
    let file = disk.path().join("calls.db");
    let trunkline = Installation::new().with("DATABASE_URL", format!("sqlite://{}", file.display()));
    let running = trunkline.start("run").await;
    let mut accepted = Calls::default();
    accepted.grow(&trunkline, 20).await;
    disk.fill();
    let given_back = || running.log().contains("gave the messages back");
    while !given_back() {
        accepted.grow(&trunkline, 1).await;
        assert!(accepted.posted < 2_000, "{}", running.log());
    }
    accepted.grow(&trunkline, 20).await;
    disk.make_room();
    let store = database(&file).await;
    accepted.become_rows(&trunkline, &store).await;
    running.kill().await;
}

#[tokio::test]
async fn nothing_starts_on_a_disk_that_is_read_only_and_it_says_so() {
    let Some(disk) = disk() else { return };
    disk.make_read_only();
    let trunkline = Installation::new()
        .with("DATA_DIR", text(disk.path()))
        .with("METRICS_ADDRESS", "127.0.0.1:0");
    let scaled = Installation::new()
        .with("DATA_DIR", text(disk.path()))
        .with("METRICS_ADDRESS", "127.0.0.1:0")
        .with("QUEUE_URL", nobody());
    for (installation, service) in [(&trunkline, "run"), (&scaled, "webhook-ingest")] {
        let told = installation.run(&[service]).await;
        assert_ne!(told.code, 0, "{told:?}");
        let reason = told.err.lines().last().unwrap_or_default();
        assert!(reason.contains(&text(disk.path())), "{told:?}");
        assert!(reason.contains("Read-only file system"), "{told:?}");
    }
}

/// Each write takes a quarter of a second to be durable, and what waits is written together.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_makes_all_wait_together_and_not_for_each_other() {
    const WEBHOOKS: u32 = 100;
    const WRITE: Duration = Duration::from_millis(250);
    let plain = Installation::new();
    let library = plain.folder().join("slow_disk.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/data/slow_disk.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", source, "-o"]).arg(&library);
    assert!(compiler.status().await.unwrap().success());
    let trunkline = plain
        .with("QUEUE_URL", nobody())
        .with("LD_PRELOAD", text(&library));
    let ingest = trunkline.start("webhook-ingest").await;

    let began = Instant::now();
    let mut accepted = Calls::default();
    accepted.grow(&trunkline, 1).await;
    let one = began.elapsed();
    assert!(one >= WRITE, "the disk is fast: {one:?}");
    let began = Instant::now();
    let answers = join_all((1..=WEBHOOKS).map(|number| post(&trunkline, number))).await;
    let all = began.elapsed();
    println!("one webhook took {one:?}, {WEBHOOKS} at once took {all:?}");
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(all < WRITE * WEBHOOKS / 2, "{all:?}");
    ingest.kill().await;
}

/// Calls that were accepted.
#[derive(Default)]
struct Calls {
    ids: Vec<CallId>,
    posted: u32,
}

impl Calls {
    /// Posts so many more, which must be accepted.
    async fn grow(&mut self, trunkline: &Installation, calls: u32) {
        for _ in 0..calls {
            let answer = self.post(trunkline).await;
            assert_eq!(answer.status, 200, "{answer:?}\n{}", trunkline.logs());
        }
    }

    /// Posts until one is answered with this status.
    async fn grow_until(&mut self, trunkline: &Installation, status: u16) {
        // A few may still find room that was taken before, or none for a moment.
        for _ in 0..2_000 {
            if self.post(trunkline).await.status == status {
                return;
            }
        }
        panic!("no webhook is answered {status}\n{}", trunkline.logs());
    }

    async fn post(&mut self, trunkline: &Installation) -> Answer {
        self.posted += 1;
        let answer = post(trunkline, self.posted).await;
        if answer.status == 200 {
            self.ids.push(call_id(self.posted));
        }
        answer
    }

    /// Waits until each has its row.
    async fn become_rows(&self, trunkline: &Installation, store: &Store) {
        let stored = eventually(|| async {
            let rows = store.interactions(&self.ids).await.unwrap();
            (rows.len() == self.ids.len()).then_some(())
        });
        assert!(
            stored.await.is_some(),
            "accepted calls are lost\n{}",
            trunkline.logs()
        );
        assert_eq!(store.waiting_dead_letters(10).await.unwrap(), []);
        println!(
            "{} of {} webhooks accepted, and all of them stored",
            self.ids.len(),
            self.posted
        );
    }
}

async fn post(trunkline: &Installation, number: u32) -> Answer {
    let recorded = String::from_utf8(sample("post_call_answered.json").body).unwrap();
    let (before, rest) = recorded.split_once("\"resource_id\":\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let body = format!("{before}\"resource_id\":\"{}\"{after}", call_id(number));
    let signature = signature(SIGNING_KEY, body.as_bytes());
    trunkline.post_signed("post-call", body, &signature).await
}

fn call_id(number: u32) -> CallId {
    CallId::parse(&format!("CALdisk{number}")).unwrap()
}

async fn ready(trunkline: &Installation, process: &Process) -> Answer {
    let url = format!("http://{}/readyz", process.metrics_address());
    trunkline.send(trunkline.client().get(url)).await
}

/// Waits until it says so: a last page may still find room.
async fn is_not_ready(trunkline: &Installation, process: &Process) {
    let refused = eventually(|| async {
        let ready = ready(trunkline, process).await;
        (ready.status == 503).then_some(ready)
    });
    let refused = refused.await.expect("it is ready on a full disk");
    let reason = "queue: not ready: the queue is not available: database or disk is full";
    assert!(refused.text.contains(reason), "{refused:?}");
}

async fn database(file: &Path) -> Store {
    Store::connect(&DatabaseUrl::Sqlite(file.to_owned()))
        .await
        .unwrap()
}

/// A broker that is not there.
fn nobody() -> String {
    // Bound, but not listening: connections are refused.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("amqp://user:password@{nobody}/")
}

fn disk() -> Option<Disk> {
    let disk = Disk::mount(16);
    if disk.is_none() {
        println!("NOT tried: this process may not mount a disk");
    }
    disk
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}
