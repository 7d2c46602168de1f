//! What people wait for is answered fast, whatever CallRail does.

use std::time::{Duration, Instant};

use callrail::parse_object;
use callrail_simulator::{ApiOptions, Fault, SimulatedAccount, SimulatedCall};
use calls::{CallEvent, EventKind, MatchRules, Origin, Receipt, Region, from_callrail};
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use reqwest::StatusCode;
use uuid::Uuid;

use crate::api::Api;

/// Alone on the machine: see `.config/nextest.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_fast_while_callrail_hangs() {
    const CALLS: usize = 500;
    const REQUESTS: usize = 120;
    const AT_A_TIME: usize = 8;
    let api = Api::start_with(ApiOptions::default(), |trunkline, callrail| {
        callrail.fail(Fault::Hang);
        trunkline
    })
    .await;
    let calls = SimulatedAccount::generate(9, CALLS, Utc::now() - TimeDelta::hours(1)).calls;
    let events = calls.iter().map(ended).collect();
    let store = api.trunkline.store().await;
    store
        .apply(events, &MatchRules::default(), Utc::now())
        .await
        .unwrap();

    let status = api.get("/api/integrations/callrail/status").await.json();
    assert_eq!(status["integration"]["connected"], false);
    assert_eq!(status["integration"]["configured"], true);
    assert!(status["integration"]["error"].is_string(), "{status}");
    for path in [
        "/api/integrations/callrail/status",
        "/api/interactions?limit=50",
        "/api/alerts?limit=50",
    ] {
        let ask = async |_| {
            let began = Instant::now();
            let answer = api.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            began.elapsed()
        };
        let asked = stream::iter(0..REQUESTS).map(ask).buffer_unordered(AT_A_TIME);
        let mut took: Vec<Duration> = asked.collect().await;
        took.sort();
        let [median, p99] = [REQUESTS / 2, REQUESTS * 99 / 100].map(|place| took[place]);
        println!("{path}: median {median:?}, p99 {p99:?} of {REQUESTS} requests, {AT_A_TIME} at a time");
        assert!(p99 < Duration::from_millis(500), "{path}: {p99:?}");
    }
}

/// What the last webhook of a call becomes.
fn ended(call: &SimulatedCall) -> CallEvent {
    let delivery = call.deliveries.last().unwrap();
    let receipt = Receipt {
        event_id: Uuid::now_v7(),
        kind: EventKind::PostCall,
        origin: Origin::Webhook,
        observed_at: Utc::now(),
        import_id: None,
        company: None,
    };
    from_callrail(parse_object(&delivery.body).unwrap(), receipt, Region::US.into()).unwrap()
}
