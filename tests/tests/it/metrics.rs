//! Every step of a call is counted, so that an operator sees where it is stuck.

use std::sync::Arc;

use callrail_simulator::{ApiOptions, SimulatedAccount, SimulatedApi};
use chrono::{TimeDelta, Utc};
use store::Store;
use trunkline_tests::{Installation, Process, eventually, sample};

use trunkline_tests::pusher_peer::{self, Mood, Peer};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_call_is_counted_and_timed() {
    let (pusher, address) = Peer::start(Mood::Fine);
    let trunkline = Installation::new().with("PUSHER_URL", pusher_peer::url(&address));
    let running = trunkline.start("run").await;
    for (kind, name) in [
        ("pre-call", "pre_call.json"),
        ("post-call", "post_call_answered.json"),
        ("post-call", "form_submission.json"),
    ] {
        let sample = sample(name);
        let answer = trunkline.post_signed(kind, sample.body, &sample.signature).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    pusher.events("call-completed", 1).await;
    trunkline.settle().await;

    let metrics = told(&trunkline, &running).await;
    let store: Store = trunkline.store().await;
    let raised = store
        .alerts_since(chrono::DateTime::UNIX_EPOCH, 100)
        .await
        .unwrap()
        .len();
    for line in [
        "webhook_deliveries_total{outcome=\"Accepted\"} 2",
        "webhook_deliveries_total{outcome=\"Quarantined\"} 1",
        "webhook_acceptance_seconds_count 3",
        "queue_published_total{queue=\"calls.progress\"} 1",
        "queue_published_total{queue=\"calls.live\"} 1",
        "queue_published_total{queue=\"dead\"} 1",
        "queue_confirm_seconds_count{queue=\"calls.live\"} 1",
        "queue_settled_total{queue=\"calls.progress\",settlement=\"Acknowledged\"} 1",
        "queue_settled_total{queue=\"calls.live\",settlement=\"Acknowledged\"} 1",
        "queue_settled_total{queue=\"dead\",settlement=\"Acknowledged\"} 1",
        "call_events_applied_total 2",
        "interactions_written_total 1",
        "transaction_seconds_count 2",
        "event_written_seconds_count{queue=\"calls.progress\"} 1",
        "event_written_seconds_count{queue=\"calls.live\"} 1",
        "matches_total{result=\"Unmatched\"} 1",
        "matches_total{result=\"Matched\"} 0",
        &format!("alert_seconds_count{{until=\"Matched\"}} {raised}"),
        &format!("alert_seconds_count{{until=\"Queued\"}} {raised}"),
        &format!("alert_seconds_count{{until=\"Pushed\"}} {raised}"),
        &format!("alerts_total{{outcome=\"Pushed\"}} {raised}"),
    ] {
        let line = format!("trunkline_{line}");
        assert!(metrics.lines().any(|one| one == line), "no {line} in\n{metrics}");
    }
    let counted = eventually(|| async {
        let metrics = told(&trunkline, &running).await;
        let waits = "trunkline_dead_letters_waiting{tried=\"Never\"} 1";
        metrics.lines().any(|line| line == waits).then_some(())
    });
    assert!(counted.await.is_some(), "{}", told(&trunkline, &running).await);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_to_callrail_s_api_are_told_beside_their_limits() {
    let began = Utc::now() - TimeDelta::hours(2);
    let account = Arc::new(SimulatedAccount::generate(7, 10, began));
    let callrail = SimulatedApi::start(Arc::clone(&account), ApiOptions::default()).unwrap();
    let trunkline = Installation::new()
        .with("CALLRAIL_API_KEY", &account.api_key)
        .with("CALLRAIL_ACCOUNT_ID", &account.account_id)
        .with("CALLRAIL_API_URL", callrail.base_url())
        .with("CALLRAIL_REQUESTS_PER_DAY", "5000");
    let running = trunkline.start("run").await;
    let lines = [
        "trunkline_callrail_requests_used{window=\"Minute\"} ",
        "trunkline_callrail_requests_used{window=\"Hour\"} ",
        "trunkline_callrail_requests_limit{window=\"Hour\"} 1000",
        "trunkline_callrail_requests_limit{window=\"Day\"} 5000",
    ];
    let there = eventually(|| async {
        let metrics = told(&trunkline, &running).await;
        lines.iter().all(|line| metrics.contains(line)).then_some(())
    });
    assert!(there.await.is_some(), "{}", told(&trunkline, &running).await);
    running.kill().await;
}

async fn told(trunkline: &Installation, running: &Process) -> String {
    let url = format!("http://{}/metrics", running.metrics_address());
    trunkline.send(trunkline.client().get(url)).await.text
}
