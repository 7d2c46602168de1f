//! CallRail refuses, is away or talks nonsense: what people are told, and what stands in the record of the import.

use callrail_simulator::{ApiOptions, Fault, SimulatedAccount};
use chrono::Utc;
use reqwest::StatusCode;
use serde_json::json;

use crate::api::{Api, code};

const TEST_CONNECTION: &str = "/api/integrations/callrail/test-connection";
const IMPORT_CALLS: &str = "/api/integrations/callrail/import-calls";
const IMPORTS: &str = "/api/integrations/callrail/imports";

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9/v3";

impl Api {
    /// Imports, which CallRail lets nobody do: the answer and the record say why. How many calls were counted.
    async fn import_in_vain(&self, why: &str) -> u64 {
        let answer = self.post(IMPORT_CALLS, json!({"days_back": 30})).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (StatusCode::BAD_GATEWAY, "import_failed"),
            "{why}: {answer:?}"
        );
        assert!(answer.text.contains(why), "{why}: {answer:?}");
        let run = self.get(IMPORTS).await.json()["imports"][0].clone();
        assert_eq!(run["state"], "failed", "{run}");
        assert!(
            run["error"].as_str().is_some_and(|error| error.contains(why)),
            "{run}"
        );
        run["calls"]["total"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_a_wrong_account_are_told_wherever_one_looks() {
    let other = SimulatedAccount::generate(8, 1, Utc::now());
    for (setting, value, expected, why) in [
        (
            "CALLRAIL_API_KEY",
            &other.api_key,
            "callrail_unauthorized",
            "CallRail does not accept the key",
        ),
        (
            "CALLRAIL_ACCOUNT_ID",
            &other.account_id,
            "callrail_forbidden",
            "CallRail does not allow this to the user whose key it is",
        ),
    ] {
        let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
            trunkline.with(setting, value)
        })
        .await;
        let answer = api.get(TEST_CONNECTION).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (StatusCode::BAD_GATEWAY, expected),
            "{setting}"
        );
        assert_eq!(api.import_in_vain(why).await, 0, "{setting}");
        assert!(!api.trunkline.logs().contains(&other.api_key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_the_connection_says_so() {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
        trunkline.with("CALLRAIL_API_URL", NOWHERE)
    })
    .await;
    let answer = api.get(TEST_CONNECTION).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::BAD_GATEWAY, "callrail_unavailable"),
        "{answer:?}"
    );
    let status = api.get("/api/integrations/callrail/status").await.json();
    assert_eq!(status["integration"]["connected"], false);
    assert_eq!(status["integration"]["error"], answer.json()["message"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_do_not_end_are_given_up_and_what_was_read_counts_once() {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| trunkline).await;
    for fault in [Fault::SelfPointingPage, Fault::EndlessPages] {
        api.callrail.fail(fault.clone());
        let counted = api
            .import_in_vain("the pages of CallRail's answer do not end")
            .await;
        api.trunkline.settle().await;
        let stored = api.trunkline.store().await.count_interactions().await.unwrap();
        assert_eq!(counted, stored, "{fault:?}");
    }
    api.callrail.recover();
    let answer = api.post(IMPORT_CALLS, json!({"days_back": 30})).await;
    let calls = api.callrail.visible_calls().len();
    assert_eq!(answer.json()["processed"], calls, "{answer:?}");
    let stored = api.trunkline.store().await.count_interactions().await.unwrap();
    assert_eq!(stored, calls as u64);
}
