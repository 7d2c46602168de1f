//! The HTTP API as the CRM uses it: what people typed from the documentation of the integration they had works as it
//! stands there, and nobody gets anything without a token.

use callrail::WebhookKind;
use callrail_simulator::{ApiOptions, Fault, SimulatedAccount, SimulatedApi};
use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{ImportCursor, ImportSource, ImportedCall, ImportedPage, IntegrationSeen, WebhooksCounted};
use trunkline_tests::{Answer, Installation, Process, SIGNING_KEY, eventually, sample};
use uuid::Uuid;

pub(crate) const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

const ANSWERED_CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

/// A token as `trunkline token` makes it.
pub(crate) async fn token(trunkline: &Installation, arguments: &[&str]) -> String {
    let told = trunkline.run(&[&["token"], arguments].concat()).await;
    assert_eq!(told.code, 0, "{told:?}");
    told.out.trim().to_owned()
}

/// An installation with a simulated account, and a token for it.
pub(crate) struct Api {
    pub(crate) trunkline: Installation,
    pub(crate) account: Arc<SimulatedAccount>,
    pub(crate) callrail: SimulatedApi,
    pub(crate) token: String,
    pub(crate) running: Process,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(ApiOptions::default(), |trunkline, _| trunkline).await
    }

    /// The service alone: nobody works on imports but the test.
    async fn start_alone() -> Self {
        Self::start_service("integration-api", ApiOptions::default(), |trunkline, _| trunkline).await
    }

    pub(crate) async fn start_with(
        options: ApiOptions,
        set: impl FnOnce(Installation, &SimulatedApi) -> Installation,
    ) -> Self {
        Self::start_service("run", options, set).await
    }

    async fn start_service(
        service: &str,
        options: ApiOptions,
        set: impl FnOnce(Installation, &SimulatedApi) -> Installation,
    ) -> Self {
        let account = SimulatedAccount::generate(7, 12, Utc::now() - TimeDelta::hours(2));
        let account = Arc::new(account);
        let callrail = SimulatedApi::start(Arc::clone(&account), options).unwrap();
        let host = callrail.base_url();
        let host = host.trim_start_matches("http://").trim_end_matches("/v3");
        let trunkline = Installation::new()
            .with("CALLRAIL_API_KEY", &account.api_key)
            .with("CALLRAIL_ACCOUNT_ID", &account.account_id)
            .with("CALLRAIL_COMPANY_ID", &account.company_id)
            .with("CALLRAIL_API_URL", callrail.base_url())
            .with(
                "CALLRAIL_SIGNING_KEYS",
                format!("{SIGNING_KEY},{}", account.signing_key),
            )
            .with("RECORDING_HOSTS", host)
            // Nothing is asked of CallRail but what the test wants.
            .with("RECONCILE", "off")
            .with("JWT_SECRET", JWT_SECRET);
        let trunkline = set(trunkline, &callrail);
        let migrated = trunkline.run(&["migrate"]).await;
        assert_eq!(migrated.code, 0, "{migrated:?}");
        let running = trunkline.start(service).await;
        let token = token(&trunkline, &["--user", "7"]).await;
        Self {
            trunkline,
            account,
            callrail,
            token,
            running,
        }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self
            .trunkline
            .client()
            .request(method, self.trunkline.url(path))
            .header("authorization", format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        self.trunkline.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Works on the next run as the importer does: these calls are on their way, or could not be read.
    async fn import(&self, calls: Vec<ImportedCall>) {
        let store = self.trunkline.store().await;
        let holder = Uuid::now_v7();
        let run = eventually(|| async {
            store
                .lease_import(&[ImportSource::Api], holder, Utc::now(), TimeDelta::seconds(60))
                .await
                .unwrap()
        });
        let run = run.await.expect("nobody has asked for an import");
        let page = ImportedPage {
            calls,
            cursor: ImportCursor {
                window_start: run.end,
                next_page: None,
            },
            requests: 1,
        };
        let _ = store.save_import_page(run.id, holder, page).await.unwrap();
        let _ = store.finish_import(run.id, holder, Utc::now()).await.unwrap();
    }
}

fn failed(call_sid: &str) -> ImportedCall {
    ImportedCall::Failed(store::FailedCall {
        call_sid: call_sid.to_owned(),
        reason: "the call is over, but `duration` is missing or unreadable".to_owned(),
    })
}

pub(crate) fn code(answer: &Answer) -> String {
    let json = answer.json();
    assert_eq!(json["status"], "error", "{answer:?}");
    assert!(
        !json["message"].as_str().unwrap_or_default().is_empty(),
        "{answer:?}"
    );
    json["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_is_tested_as_documented() {
    let api = Api::start().await;
    let answer = api.get("/api/integrations/callrail/test-connection").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        answer.json(),
        json!({"status": "success", "message": "CallRail API connection successful"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_says_what_to_do() {
    let api = Api::start().await;
    let cases = [
        (
            Fault::Status(401),
            StatusCode::BAD_GATEWAY,
            "callrail_unauthorized",
        ),
        (Fault::Status(403), StatusCode::BAD_GATEWAY, "callrail_forbidden"),
        (Fault::Status(404), StatusCode::BAD_GATEWAY, "callrail_not_found"),
        (
            Fault::Status(500),
            StatusCode::BAD_GATEWAY,
            "callrail_unavailable",
        ),
        (Fault::Html, StatusCode::BAD_GATEWAY, "callrail_unexpected"),
        (Fault::CutBody, StatusCode::BAD_GATEWAY, "callrail_unavailable"),
        (
            Fault::TooManyRequests(Some(120)),
            StatusCode::SERVICE_UNAVAILABLE,
            "callrail_rate_limited",
        ),
    ];
    for (fault, status, expected) in cases {
        api.callrail.fail(fault.clone());
        let answer = api.get("/api/integrations/callrail/test-connection").await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (status, expected),
            "{fault:?}"
        );
        assert!(!answer.text.contains(&api.account.api_key), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_the_last_30_days_answers_as_documented_once_all_is_stored() {
    let api = Api::start_alone().await;
    let body = json!({"days_back": 30});
    let asked = api.post("/api/integrations/callrail/import-calls", body);
    let (answer, ()) = tokio::join!(asked, api.import(vec![failed("CAL1"), failed("CAL2")]));
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        answer.text,
        r#"{"status":"success","message":"Imported 2 calls","processed":0,"failed":2,"total_calls":2}"#
    );

    let list = api.get("/api/integrations/callrail/imports").await.json();
    let run = &list["imports"][0];
    assert_eq!(
        (
            &run["state"],
            &run["source"],
            &run["complete"],
            &run["company_id"]
        ),
        (
            &json!("finished"),
            &json!("api"),
            &json!(true),
            &json!(api.account.company_id)
        )
    );
    let path = format!(
        "/api/integrations/callrail/imports/{}",
        run["id"].as_str().unwrap()
    );
    let one = api.get(&path).await.json();
    assert_eq!(one["failed_calls"][1]["call_sid"], "CAL2");
    assert_eq!(one["import"]["calls"]["failed"], 2);
    let done = api.get(&format!("{path}/events")).await;
    assert!(done.text.contains("event: done\ndata: {\"id\":"), "{done:?}");
    let over = api.send(Method::DELETE, &path, None).await;
    assert_eq!(
        (over.status, code(&over).as_str()),
        (StatusCode::CONFLICT, "import_over")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_brings_every_call_into_the_database_while_the_caller_waits() {
    let api = Api::start().await;
    let answer = api
        .post(
            "/api/integrations/callrail/import-calls",
            json!({"days_back": 30}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let calls = api.callrail.visible_calls();
    assert_eq!(
        answer.json(),
        json!({
            "status": "success",
            "message": format!("Imported {} calls", calls.len()),
            "processed": calls.len(),
            "failed": 0,
            "total_calls": calls.len(),
        })
    );
    for call in calls {
        assert!(api.trunkline.row(&call).await.is_some(), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_calls_of_an_import_are_tried_again_once_it_is_over() {
    let api = Api::start_alone().await;
    let retry = async |id: &str| {
        let path = format!("/api/integrations/callrail/imports/{id}/retry");
        api.post(&path, json!({})).await
    };
    let asked = api.post(
        "/api/integrations/callrail/import-calls",
        json!({"days_back": 30}),
    );
    let (answer, ()) = tokio::join!(asked, api.import(vec![failed("CAL1")]));
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let list = api.get("/api/integrations/callrail/imports").await.json();
    let id = list["imports"][0]["id"].as_str().unwrap();

    let answer = retry(id).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let told = answer.json();
    assert_eq!(
        (
            &told["import"]["id"],
            &told["import"]["state"],
            &told["import"]["complete"]
        ),
        (&json!(id), &json!("waiting"), &json!(false))
    );
    assert_eq!(told["import"]["calls"]["failed"], 1);
    assert_eq!(told["failed_calls"][0]["call_sid"], "CAL1");

    let answer = retry(id).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "import_running")
    );
    let wanted = store::NewImport {
        source: ImportSource::Api,
        start: Utc::now() - TimeDelta::days(1),
        end: Utc::now(),
        company: None,
    };
    let store = api.trunkline.store().await;
    let unread = store.create_import(wanted, Utc::now()).await.unwrap();
    assert!(store.cancel_import(unread.id, Utc::now()).await.unwrap());
    let answer = retry(&unread.id.to_string()).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "import_incomplete")
    );
    let answer = retry(&Uuid::now_v7().to_string()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_a_range_of_dates_covers_it_and_one_that_is_none_is_refused() {
    let api = Api::start_alone().await;
    // CallRail keeps calls for 25 months, so a date that stands here would be too old one day.
    let first_of_january = |years_ago| format!("{}-01-01T00:00:00Z", Utc::now().year() - years_ago);
    let body = json!({"start_date": first_of_january(1), "end_date": first_of_january(0)});
    let asked = api.post("/api/integrations/callrail/import-calls", body);
    let (answer, ()) = tokio::join!(asked, api.import(Vec::new()));
    assert_eq!(
        answer.json(),
        json!({"status": "success", "message": "Imported 0 calls", "processed": 0, "failed": 0, "total_calls": 0})
    );
    let list = api.get("/api/integrations/callrail/imports").await.json();
    assert_eq!(list["imports"][0]["start"], first_of_january(1));

    for wrong in [
        json!({"days_back": 0}),
        json!({"start_date": "2025-09-01"}),
        json!({"days_back": 3, "start_date": "2025-09-01", "end_date": "2025-09-02"}),
        json!({"start_date": "yesterday", "end_date": "2025-09-02"}),
        json!({"start_date": "2025-09-02", "end_date": "2025-09-01"}),
        json!({"start_date": "2001-01-01", "end_date": "2001-02-01"}),
    ] {
        let answer = api
            .post("/api/integrations/callrail/import-calls", wrong.clone())
            .await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (StatusCode::BAD_REQUEST, "invalid_range"),
            "{wrong}"
        );
    }
    let answer = api
        .post(
            "/api/integrations/callrail/import-calls",
            json!({"days_back": "many"}),
        )
        .await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::BAD_REQUEST, "invalid_request")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_want_to_wait_is_told_where_to_ask_and_may_cancel() {
    let api = Api::start_alone().await;
    let request = api
        .trunkline
        .client()
        .post(api.trunkline.url("/api/integrations/callrail/import-calls"))
        .header("authorization", format!("Bearer {}", api.token))
        .header("prefer", "respond-async");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let json: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(
        (
            &json["status"],
            &json["processed"],
            &json["failed"],
            &json["total_calls"]
        ),
        (&json!("success"), &json!(0), &json!(0), &json!(0))
    );
    let cancelled = api.send(Method::DELETE, &location, None).await;
    assert_eq!(cancelled.status, StatusCode::OK, "{cancelled:?}");
    assert_eq!(api.get(&location).await.json()["import"]["state"], "cancelled");
    let nowhere = format!("/api/integrations/callrail/imports/{}", Uuid::now_v7());
    let answer = api.get(&nowhere).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::NOT_FOUND, "not_found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_given_up_is_an_error_with_its_reason() {
    let api = Api::start_alone().await;
    let store = api.trunkline.store().await;
    let asked = api.post("/api/integrations/callrail/import-calls", json!({}));
    let give_up = async {
        let holder = Uuid::now_v7();
        let run = eventually(|| async {
            store
                .lease_import(&[ImportSource::Api], holder, Utc::now(), TimeDelta::seconds(60))
                .await
                .unwrap()
        });
        let run = run.await.unwrap();
        let reason = "CallRail does not accept the key";
        let _ = store
            .fail_import(run.id, holder, reason, Utc::now())
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(asked, give_up);
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::BAD_GATEWAY, "import_failed")
    );
    assert!(
        answer.text.contains("CallRail does not accept the key"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_as_documented() {
    let api = Api::start().await;
    let connected = eventually(|| async {
        let status = api.get("/api/integrations/callrail/status").await.json();
        (status["integration"]["connected"] == true).then_some(status)
    });
    let status = connected.await.expect("it never gets connected");
    assert_eq!(status["status"], "success");
    assert_eq!(
        status["integration"],
        json!({
            "name": "CallRail",
            "configured": true,
            "connected": true,
            "error": null,
            "features": {
                "call_import": true,
                "webhook_support": true,
                "recording_download": true,
                "real_time_alerts": true
            }
        })
    );
    assert_eq!(status["health"]["last_webhook_at"], Value::Null);
    // No reconciler has looked.
    assert_eq!(status["health"]["gap"], Value::Null);
    assert_eq!(status["health"]["webhooks"], Value::Null);
    assert_eq!(status["health"]["dead_letters_waiting"], 0);
    assert_eq!(status["health"]["queues"]["calls.live"], 0);
    assert!(
        status["health"]["requests"]["last_day"].as_u64() >= Some(1),
        "{status}"
    );

    let call = sample("post_call_answered.json");
    api.trunkline
        .post_signed("post-call", call.body, &call.signature)
        .await;
    api.trunkline.settle().await;
    let status = api.get("/api/integrations/callrail/status").await.json();
    assert!(status["health"]["last_webhook_at"].is_string(), "{status}");
}

/// The reconciler may be another process: what it found stands in the database.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_the_reconciler_found() {
    let api = Api::start_alone().await;
    let store = api.trunkline.store().await;
    let health = async || {
        let status = api.get("/api/integrations/callrail/status").await.json();
        status["health"].clone()
    };
    let now = Utc::now().trunc_subsecs(0);
    let mut counted = WebhooksCounted {
        counted_at: now,
        gap: Some(3),
        silent_since: None,
    };
    store.note_webhooks_counted(counted.clone()).await.unwrap();
    let told = health().await;
    assert_eq!(told["gap"], 3);
    assert_eq!(
        told["webhooks"],
        json!({"state": null, "checked_at": null, "silent_since": null})
    );

    let seen = IntegrationSeen {
        checked_at: now,
        state: "disabled".to_owned(),
    };
    store.note_integration(seen).await.unwrap();
    counted.silent_since = Some(now - TimeDelta::hours(5));
    store.note_webhooks_counted(counted.clone()).await.unwrap();
    let told = health().await["webhooks"].clone();
    assert_eq!(told["state"], "disabled");
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert_eq!(time(&told["checked_at"]), now);
    assert_eq!(time(&told["silent_since"]), now - TimeDelta::hours(5));

    // It has not run for hours: what it counted then is not known now, and when it saw the integration is told.
    counted.counted_at = now - TimeDelta::hours(2);
    store.note_webhooks_counted(counted).await.unwrap();
    let told = health().await;
    assert_eq!(
        (&told["gap"], &told["webhooks"]["silent_since"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(told["webhooks"]["state"], "disabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_callrail_says_which_settings_are_missing() {
    let trunkline = Installation::new().with("JWT_SECRET", JWT_SECRET);
    let _running = trunkline.start("run").await;
    let bearer = format!("Bearer {}", token(&trunkline, &[]).await);
    let get = |path: &str| {
        trunkline
            .client()
            .get(trunkline.url(path))
            .header("authorization", &bearer)
    };
    let answer = trunkline
        .send(get("/api/integrations/callrail/test-connection"))
        .await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "not_configured")
    );
    assert!(answer.text.contains("CALLRAIL_API_KEY") && answer.text.contains("CALLRAIL_ACCOUNT_ID"));
    let status = trunkline
        .send(get("/api/integrations/callrail/status"))
        .await
        .json();
    assert_eq!(status["integration"]["configured"], false);
    assert_eq!(status["integration"]["features"]["webhook_support"], true);
    assert!(
        status["integration"]["error"]
            .as_str()
            .unwrap()
            .contains("CALLRAIL_API_KEY")
    );

    let half = Installation::new().with("CALLRAIL_API_KEY", "k");
    let told = half.with("METRICS_ADDRESS", "127.0.0.1:0").run(&["run"]).await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("CALLRAIL_ACCOUNT_ID is not set"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_set_up_as_documented_and_others_keep_theirs() {
    let others = json!({
        "post_call_webhook": ["https://other.example.com/hook"],
        "sms_sent_webhook": ["https://other.example.com/sms"],
    });
    let options = ApiOptions {
        webhook_config: others.as_object().cloned(),
        ..ApiOptions::default()
    };
    let api = Api::start_with(options, |trunkline, _| trunkline).await;
    let body = json!({"webhook_url": "https://yourdomain.com/api/webhooks/callrail/post-call"});
    let answer = api
        .post("/api/integrations/callrail/setup-webhook", body.clone())
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let json = answer.json();
    assert_eq!(
        json,
        json!({
            "status": "success",
            "message": "Webhook configured successfully",
            "integration": {
                "id": json["integration"]["id"].as_u64().unwrap(),
                "type": "Webhooks",
                "state": "active",
                "signing_key": api.account.signing_key,
            }
        })
    );
    for kind in WebhookKind::ALL {
        let ours = format!("https://yourdomain.com/api/webhooks/callrail/{kind}");
        let addresses = api.callrail.webhook_addresses(kind);
        assert!(addresses.contains(&ours), "{kind}: {addresses:?}");
    }
    let config = api.callrail.webhook_config().unwrap();
    assert_eq!(config["post_call_webhook"][0], "https://other.example.com/hook");
    assert_eq!(config["sms_sent_webhook"], others["sms_sent_webhook"]);

    let again = api.post("/api/integrations/callrail/setup-webhook", body).await;
    assert_eq!(again.json(), json);
    assert_eq!(api.callrail.webhook_config().unwrap(), config);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_is_written_before_the_key_is_accepted() {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
        trunkline.with("CALLRAIL_SIGNING_KEYS", SIGNING_KEY)
    })
    .await;
    let body = json!({
        "webhook_url": "https://yourdomain.com/api/webhooks/callrail/post-call",
        "signing_key_installed": true,
    });
    let answer = api.post("/api/integrations/callrail/setup-webhook", body).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "signing_key_not_installed")
    );
    assert_eq!(answer.json()["signing_key"], api.account.signing_key);
    assert!(answer.text.contains("CALLRAIL_SIGNING_KEYS"));
    assert_eq!(
        api.callrail.webhook_config().unwrap_or_default().len(),
        0,
        "the integration is made, so that there is a key, and sends nothing"
    );
    assert!(!api.trunkline.logs().contains(&api.account.signing_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_know_the_keys_takes_the_operators_word() {
    let api = Api::start_service("integration-api", ApiOptions::default(), |trunkline, _| {
        trunkline.without("CALLRAIL_SIGNING_KEYS")
    })
    .await;
    let url = "https://yourdomain.com/api/webhooks/callrail/post-call";
    let path = "/api/integrations/callrail/setup-webhook";
    let answer = api.post(path, json!({ "webhook_url": url })).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "signing_key_not_installed")
    );
    let body = json!({"webhook_url": url, "signing_key_installed": true});
    let answer = api.post(path, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(api.callrail.webhook_addresses(WebhookKind::PostCall), [url]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_probe_tells_whether_webhooks_will_arrive() {
    let api = Api::start().await;
    let set_up = |url: String| {
        api.post(
            "/api/integrations/callrail/setup-webhook",
            json!({"webhook_url": url, "verify": true}),
        )
    };
    let here = set_up(api.trunkline.url("/api/webhooks/callrail/post-call"))
        .await
        .json();
    assert_eq!(
        (&here["verified"], here.get("verification")),
        (&json!(true), None),
        "{here}"
    );
    let nowhere = set_up("http://127.0.0.1:9/api/webhooks/callrail/post-call".to_owned())
        .await
        .json();
    assert_eq!(nowhere["verified"], false, "{nowhere}");
    api.trunkline.settle().await;
    assert_eq!(
        api.trunkline.dead_letters().await,
        [],
        "a probe leaves nothing behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_callrail_forbids_it_the_steps_by_hand_are_told() {
    let options = ApiOptions {
        forbids_writes: true,
        ..ApiOptions::default()
    };
    let api = Api::start_with(options, |trunkline, _| trunkline).await;
    let body = json!({"webhook_url": "https://yourdomain.com/api/webhooks/callrail/post-call"});
    let answer = api.post("/api/integrations/callrail/setup-webhook", body).await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::BAD_GATEWAY, "callrail_forbidden")
    );
    let json = answer.json();
    assert_eq!(json["urls"].as_array().unwrap().len(), 6, "{json}");
    assert_eq!(
        json["urls"][1],
        json!({
            "box": "Call Routing Complete",
            "url": "https://yourdomain.com/api/webhooks/callrail/routing-complete"
        })
    );
    assert!(json["steps"].as_array().unwrap().len() > 2, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_as_we_know_it_or_fresh_from_callrail() {
    let api = Api::start().await;
    let call = sample("post_call_answered.json");
    api.trunkline
        .post_signed("post-call", call.body, &call.signature)
        .await;
    api.trunkline.settle().await;
    let ours = api
        .get(&format!("/api/integrations/callrail/call/{ANSWERED_CALL}"))
        .await
        .json();
    assert_eq!(
        (&ours["source"], &ours["call"]["call_sid"]),
        (&json!("trunkline"), &json!(ANSWERED_CALL))
    );
    assert_eq!(ours["call"]["type"], "call");
    assert_eq!(ours["history"]["snapshots"], 1);
    assert!(ours["call"]["created_at"].is_string());
    assert!(!ours.to_string().contains("access_key"), "{ours}");

    let theirs = &api.callrail.visible_calls()[0];
    let fresh = api
        .get(&format!("/api/integrations/callrail/call/{theirs}"))
        .await
        .json();
    assert_eq!(
        (&fresh["source"], &fresh["call"]["call_sid"]),
        (&json!("callrail"), &json!(theirs))
    );
    assert_eq!(fresh["history"], Value::Null);
    let gone = api
        .get(&format!(
            "/api/integrations/callrail/call/{ANSWERED_CALL}?fresh=true"
        ))
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_searched_page_by_page_explained_and_linked() {
    let api = Api::start().await;
    for name in ["post_call_answered.json", "post_call_missed.json"] {
        let call = sample(name);
        api.trunkline
            .post_signed("post-call", call.body, &call.signature)
            .await;
    }
    api.trunkline.settle().await;

    let first = api.get("/api/interactions?limit=1").await.json();
    let next = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("/api/interactions?limit=1&cursor={next}"))
        .await
        .json();
    let (first, second) = (&first["interactions"][0], &second["interactions"][0]);
    assert!(first["scheduled_at"].as_str() > second["scheduled_at"].as_str());
    let missed = api.get("/api/interactions?outcome=no_answer").await.json();
    assert_eq!(missed["interactions"].as_array().unwrap().len(), 1, "{missed}");
    let by_number = api.get("/api/interactions?number=(404)%20555-0123").await.json();
    assert!(!by_number["interactions"].as_array().unwrap().is_empty());
    for wrong in [
        "outcome=great",
        "direction=up",
        "match=perhaps",
        "cursor=x",
        "limit=many",
        "from=today",
    ] {
        let answer = api.get(&format!("/api/interactions?{wrong}")).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (StatusCode::BAD_REQUEST, "invalid_request"),
            "{wrong}"
        );
    }

    let review = api.get("/api/review").await.json();
    assert_eq!(review["interactions"].as_array().unwrap().len(), 2, "{review}");
    let id = first["id"].as_str().unwrap();
    let link = json!({"contact": {"kind": "customer", "id": "42"}});
    let linked = api
        .post(&format!("/api/interactions/{id}/link"), link)
        .await
        .json();
    assert_eq!(
        (
            &linked["interaction"]["customer_id"],
            &linked["interaction"]["match_method"]
        ),
        (&json!("42"), &json!("human"))
    );
    let review = api.get("/api/review").await.json();
    assert_eq!(review["interactions"].as_array().unwrap().len(), 1, "{review}");
    let history = api.get(&format!("/api/interactions/{id}/history")).await.json();
    assert_eq!(history["sealed"][0]["by"], "7", "{history}");
    assert_eq!(
        history["matched"]["contact"],
        json!({"kind": "customer", "id": "42", "name": null})
    );
    assert!(!history.to_string().contains("access_key"), "{history}");
    let answer = api.post(&format!("/api/interactions/{id}/link"), json!({})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(api.get("/api/interactions/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_one_by_one_or_many_at_once_and_calls_find_them() {
    let api = Api::start().await;
    let call = sample("post_call_answered.json");
    api.trunkline
        .post_signed("post-call", call.body, &call.signature)
        .await;
    api.trunkline.settle().await;
    let person = json!({"name": "Jane Dough", "owner_id": "7", "phones": ["404.555.0123", "none"]});
    let saved = api
        .send(Method::PUT, "/api/contacts/customer/42", Some(person))
        .await
        .json();
    assert_eq!(
        (&saved["saved"], &saved["calls_linked"], &saved["problems"]),
        (&json!(1), &json!(1), &json!(1)),
        "{saved}"
    );
    let row = api.trunkline.row(ANSWERED_CALL).await.unwrap();
    assert_eq!(row.link.customer_id.as_deref(), Some("42"));

    let lines = "{\"kind\":\"lead\",\"id\":\"1\",\"phones\":[\"3125550100\"]}\n\nnonsense\n{\"kind\":\"boss\",\"id\":\"2\"}\n";
    let request = api
        .trunkline
        .client()
        .post(api.trunkline.url("/api/contacts"))
        .header("authorization", format!("Bearer {}", api.token))
        .body(lines);
    let told = api.trunkline.send(request).await.json();
    assert_eq!(
        (&told["saved"], &told["problems"]),
        (&json!(1), &json!(2)),
        "{told}"
    );
    assert_eq!(told["first_problems"][0]["line"], 3);
    for (status, path) in [
        (StatusCode::OK, "/api/contacts/lead/1"),
        (StatusCode::NOT_FOUND, "/api/contacts/lead/1"),
        (StatusCode::BAD_REQUEST, "/api/contacts/boss/1"),
    ] {
        assert_eq!(
            api.send(Method::DELETE, path, None).await.status,
            status,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_shown_replayed_and_discarded() {
    let api = Api::start().await;
    api.trunkline.post("post-call", "{\"no\":\"call\"}").await;
    let listed = eventually(|| async {
        let list = api.get("/api/dead-letters").await.json();
        list["dead_letters"][0]["id"].as_str().map(str::to_owned)
    });
    let id = listed.await.expect("no dead letter comes");
    let shown = api.get(&format!("/api/dead-letters/{id}")).await.json();
    assert_eq!(shown["body"]["text"], "{\"no\":\"call\"}", "{shown}");
    let answer = api
        .post(&format!("/api/dead-letters/{id}/replay"), json!({}))
        .await;
    assert_eq!(
        (answer.status, code(&answer).as_str()),
        (StatusCode::CONFLICT, "not_replayable")
    );
    let answer = api
        .post(&format!("/api/dead-letters/{id}/discard"), json!({}))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let list = api.get("/api/dead-letters").await.json();
    assert_eq!(list["dead_letters"], json!([]));
    let list = api.get("/api/dead-letters?state=discarded").await.json();
    assert_eq!(list["dead_letters"][0]["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_asked_for_by_cursor_and_come_to_those_who_listen() {
    let api = Api::start().await;
    let request = api
        .trunkline
        .client()
        .get(api.trunkline.url("/api/alerts/stream"))
        .header("authorization", format!("Bearer {}", api.token));
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");

    let ring = sample("pre_call.json");
    api.trunkline
        .post_signed("pre-call", ring.body, &ring.signature)
        .await;
    let mut heard = String::new();
    let listen = async {
        while !heard.contains("event: incoming-call") {
            let piece = stream.chunk().await.unwrap().expect("the stream ends");
            heard.push_str(&String::from_utf8_lossy(&piece));
        }
    };
    tokio::time::timeout(trunkline_tests::PATIENCE, listen)
        .await
        .expect("no alert comes");
    assert!(heard.contains("id: "), "{heard}");

    let first = api.get("/api/alerts").await.json();
    assert_eq!(first["alerts"][0]["kind"], "incoming-call", "{first}");
    let cursor = first["cursor"].as_str().unwrap();
    let again = api.get(&format!("/api/alerts?since={cursor}")).await.json();
    assert_eq!(
        again["alerts"][0]["id"], first["alerts"][0]["id"],
        "the last 30 s are repeated"
    );
    let answer = api.get("/api/alerts?since=yesterday").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_join_the_channel_of_all_calls_and_his_own() {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
        trunkline.with("PUSHER_URL", "http://key:secret@127.0.0.1:9/apps/1")
    })
    .await;
    let join = |channel: &str| {
        let request = api
            .trunkline
            .client()
            .post(api.trunkline.url("/api/pusher/auth"))
            .header("authorization", format!("Bearer {}", api.token))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("socket_id=1234.5678&channel_name={channel}"));
        api.trunkline.send(request)
    };
    for channel in ["private-calls", "private-user-7"] {
        let answer = join(channel).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(
            answer.json()["auth"].as_str().unwrap().starts_with("key:"),
            "{answer:?}"
        );
    }
    for channel in ["private-user-8", "private-user-", "presence-calls", "calls"] {
        assert_eq!(join(channel).await.status, StatusCode::FORBIDDEN, "{channel}");
    }
}
