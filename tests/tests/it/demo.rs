//! `trunkline demo`: what a newcomer tries first.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;
use trunkline_tests::{Installation, PATIENCE, Told};

#[tokio::test]
async fn the_demo_ends_by_itself_with_every_call_in_the_database() {
    let told = demo(&["--calls", "25", "--exit", "--rate", "50"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    let all = "25 of 25 calls are in the database exactly once and as expected; 25 rows";
    assert!(told.out.contains(all), "{}", told.out);
    assert!(told.out.contains(" accepted, 0 not accepted."), "{}", told.out);
    for event in ["RINGING", "ENDED", "MISSED", "VOICEMAIL", "outcome=completed"] {
        assert!(told.out.contains(event), "{event}: {}", told.out);
    }
}

#[tokio::test]
async fn the_demo_kills_its_own_workers_and_is_complete_all_the_same() {
    let told = demo(&["--calls", "40", "--exit", "--kill"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.out.contains("40 of 40 calls are in the database"),
        "{}",
        told.out
    );
    for worker in ["call-writer", "notifier"] {
        let killed = format!("KILLED    {worker} (kill -9 ");
        assert!(told.out.contains(&killed), "{}", told.out);
    }
    let kills = told.out.matches("KILLED").count();
    let summary = format!("Workers killed with kill -9 and started again: {kills} times.");
    assert!(told.out.contains(&summary), "{}", told.out);
}

#[tokio::test]
async fn the_demo_keeps_its_database_where_it_is_told_and_never_plays_into_a_used_one() {
    let trunkline = Installation::new();
    let arguments = ["demo", "--calls", "3", "--exit", "--rate", "50", "--data", "data"];
    let first = trunkline.run(&arguments).await;
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.out.contains("sqlite3 data/trunkline.db"), "{}", first.out);
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 3);

    let second = trunkline.run(&arguments).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert_eq!(
        second.err,
        "error: data holds calls already: name an empty folder\n"
    );
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 3);
}

#[tokio::test]
async fn the_demo_is_not_touched_by_the_settings_around_it() {
    let trunkline = Installation::new()
        .with("DATABASE_URL", "sqlite:///nowhere/trunkline.db")
        .with("HTTP_ADDRESS", "127.0.0.1:1")
        .with("PUSHER_URL", "http://key:secret@127.0.0.1:1/apps/1");
    let told = trunkline
        .run(&["demo", "--calls", "3", "--exit", "--rate", "50"])
        .await;
    assert_eq!(told.code, 0, "{told:?}");
}

#[tokio::test]
async fn ctrl_c_ends_the_demo_in_order() {
    // A terminal sends it to all processes of its foreground group.
    ends_in_order("-INT", "-").await;
}

#[tokio::test]
async fn a_demo_that_is_asked_to_end_ends_its_processes() {
    ends_in_order("-TERM", "").await;
}

/// `whom`: put before the process id; `-` makes it the group.
async fn ends_in_order(signal: &str, whom: &str) {
    let trunkline = Installation::new();
    let mut demo = trunkline
        .command(&["demo", "--calls", "2", "--rate", "50", "--data", "data"])
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let still_running = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("Still running") {
                return;
            }
        }
        panic!("the demo ended by itself");
    };
    timeout(PATIENCE, still_running).await.unwrap();
    let whom = format!("{whom}{}", demo.id().unwrap());
    let kill = Command::new("kill").args([signal, "--", &whom]).status().await;
    assert!(kill.unwrap().success());

    let ended = timeout(PATIENCE, demo.wait_with_output()).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && told.is_empty(),
        "{}: {told}",
        ended.status
    );
    let log = std::fs::read_to_string(trunkline.data_dir().join("demo.log")).unwrap();
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

async fn demo(arguments: &[&str]) -> Told {
    let arguments = [&["demo"], arguments].concat();
    Installation::new().run(&arguments).await
}
