//! The account's API, read by the client and by plain HTTP.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use callrail::client::{
    ApiError, CallPage, CallQuery, Client, ClientOptions, Credential, Cursor, Outage, Quota, Retries,
};
use callrail::{AccountId, CallId, CompanyId, WebhookKind};
use callrail_simulator::{
    ApiOptions, CallChange, CallState, Fault, Limits, RequestKind, SimulatedAccount, SimulatedApi,
};
use calls::{CallEvent, EventKind, Origin, Receipt, Region, Stage, from_callrail};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const START: &str = "2026-11-20T19:03:20.236Z";

fn start() -> DateTime<Utc> {
    START.parse().unwrap()
}

/// An API with its account and a client that tries three times, without pauses worth the name.
struct Simulation {
    account: Arc<SimulatedAccount>,
    api: SimulatedApi,
    client: Client,
}

fn simulate(account: SimulatedAccount, options: ApiOptions) -> Simulation {
    let account = Arc::new(account);
    let options = ApiOptions {
        now: Some(start() + TimeDelta::days(3)),
        ..options
    };
    let api = SimulatedApi::start(Arc::clone(&account), options).unwrap();
    let client = client_of(&api, &account, Credential::api_key(&account.api_key).unwrap());
    Simulation { account, api, client }
}

fn with_calls(calls: usize) -> Simulation {
    simulate(
        SimulatedAccount::generate(1, calls, start()),
        ApiOptions::default(),
    )
}

fn client_of(api: &SimulatedApi, account: &SimulatedAccount, credential: Credential) -> Client {
    client_with(api, account, credential, Duration::from_secs(10))
}

fn client_with(
    api: &SimulatedApi,
    account: &SimulatedAccount,
    credential: Credential,
    timeout: Duration,
) -> Client {
    let options = ClientOptions {
        retries: Retries {
            tries: 3,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
        },
        timeout,
        http: http(),
        ..ClientOptions::default()
    };
    let id = AccountId::parse(&account.account_id).unwrap();
    Client::new(api.base_url().parse().unwrap(), id, credential, options).unwrap()
}

fn http() -> reqwest::ClientBuilder {
    // A second call finds a provider installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// A window that holds all calls of an account of `with_calls`.
fn query() -> CallQuery {
    CallQuery {
        company: None,
        from: start(),
        until: start() + TimeDelta::days(2),
    }
}

impl Simulation {
    fn call_id(&self, index: usize) -> CallId {
        CallId::parse(&self.account.calls[index].call_sid).unwrap()
    }

    fn company(&self) -> CompanyId {
        CompanyId::parse(&self.account.company_id).unwrap()
    }

    /// All pages, as an importer reads them.
    async fn pages(&self, query: &CallQuery) -> Result<Vec<CallPage>, ApiError> {
        let mut page = self.client.calls(query).await?;
        let mut pages = Vec::new();
        while let Some(next) = page.next.clone() {
            pages.push(page);
            page = self.client.calls_after(&next).await?;
        }
        pages.push(page);
        Ok(pages)
    }

    async fn all_calls(&self, query: &CallQuery) -> Vec<Value> {
        let pages = self.pages(query).await.unwrap();
        pages.into_iter().flat_map(|page| page.calls).collect()
    }

    async fn all_ids(&self, query: &CallQuery) -> Vec<String> {
        self.all_calls(query).await.iter().map(id).collect()
    }

    /// Asks as the account's own user, by plain HTTP.
    async fn get(&self, path_and_query: &str) -> reqwest::Response {
        let url = format!(
            "{}/a/{}{path_and_query}",
            self.api.base_url(),
            self.account.account_id
        );
        self.get_url(&url).await
    }

    async fn get_url(&self, url: &str) -> reqwest::Response {
        let key = format!("Token token={}", self.account.api_key);
        let request = http().build().unwrap().get(url).header("authorization", key);
        request.send().await.unwrap()
    }

    async fn json(&self, path_and_query: &str) -> Value {
        let response = self.get(path_and_query).await;
        assert_eq!(response.status(), 200, "{path_and_query}");
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    /// How many calls the account's list has in the time of all calls, with these parameters.
    async fn count(&self, parameters: &str) -> u64 {
        let dates = "start_date=2026-11-20&end_date=2026-11-22&time_zone=UTC";
        let page = self.json(&format!("/calls.json?{dates}&{parameters}")).await;
        page["total_records"].as_u64().unwrap()
    }
}

fn id(call: &Value) -> String {
    call["id"].as_str().unwrap().to_owned()
}

fn event(object: &Map<String, Value>, kind: EventKind) -> CallEvent {
    let receipt = Receipt {
        event_id: Uuid::nil(),
        kind,
        origin: Origin::Import,
        observed_at: start(),
        import_id: None,
        company: None,
    };
    from_callrail(object.into(), receipt, Region::US.into()).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

#[tokio::test]
async fn the_whole_account_is_read_once_and_in_order() {
    let history = SimulatedAccount::history(3, 1_003, start(), TimeDelta::seconds(20));
    let simulation = simulate(history, ApiOptions::default());
    let read = simulation.all_ids(&query()).await;
    let own: Vec<_> = simulation
        .account
        .calls
        .iter()
        .map(|call| call.call_sid.clone())
        .collect();
    assert_eq!(read, own);
    assert_eq!(read.iter().collect::<HashSet<_>>().len(), 1_003);
    assert_eq!(simulation.api.visible_calls(), own);
    assert_eq!(simulation.api.requests(RequestKind::Calls), 5);
    assert_eq!(simulation.api.all_requests(), 5);
}

#[tokio::test]
async fn neighbouring_windows_lose_no_call() {
    let history = SimulatedAccount::history(4, 300, start(), TimeDelta::seconds(60));
    let simulation = simulate(history, ApiOptions::default());
    let middle = simulation.account.calls[150].start;
    let first = CallQuery {
        until: middle,
        ..query()
    };
    let second = CallQuery {
        from: middle,
        ..query()
    };
    let mut read: BTreeSet<String> = simulation.all_ids(&first).await.into_iter().collect();
    assert!(read.len() < 300);
    read.extend(simulation.all_ids(&second).await);
    assert_eq!(read.len(), 300);
}

#[tokio::test]
async fn pages_of_both_kinds_hold_the_same_calls() {
    let simulation = with_calls(230);
    let dates = "start_date=2026-11-20&end_date=2026-11-22&sort=start_time&order=asc&per_page=100";
    let mut numbered = Vec::new();
    for page in 1..=3 {
        let page = simulation.json(&format!("/calls.json?{dates}&page={page}")).await;
        assert_eq!(
            (page["total_pages"].as_u64(), page["total_records"].as_u64()),
            (Some(3), Some(230))
        );
        numbered.extend(page["calls"].as_array().unwrap().iter().map(id));
    }
    assert_eq!(numbered, simulation.all_ids(&query()).await);
}

#[tokio::test]
async fn the_next_page_is_named_by_the_header_too_and_has_no_ending() {
    let simulation = with_calls(20);
    let parameters = "start_date=2026-11-20&end_date=2026-11-22&fields=note,tags&per_page=8&tags[]=Booked";
    for relative in ["", "&relative_pagination=true"] {
        let response = simulation
            .get(&format!(
                "/calls.json?{}{relative}",
                parameters.replace("&tags[]=Booked", "")
            ))
            .await;
        let link = response.headers()["link"].to_str().unwrap().to_owned();
        let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let next = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap();
        assert!(next.contains("/a/100200300/calls?action=index&"), "{next}");
        if !relative.is_empty() {
            assert_eq!(
                (&page["next_page"], &page["has_next_page"]),
                (&json!(next), &json!(true))
            );
            assert!(page.get("total_records").is_none());
        }
        let after: Value =
            serde_json::from_slice(&simulation.get_url(next).await.bytes().await.unwrap()).unwrap();
        let ids = |page: &Value| {
            page["calls"]
                .as_array()
                .unwrap()
                .iter()
                .map(id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&after).len(), 8);
        assert!(ids(&page).iter().all(|id| !ids(&after).contains(id)));
        // What was asked for at first is asked for again.
        assert!(after["calls"][0].get("note").is_some());
    }
    let last = simulation
        .get(&format!("/calls.json?{parameters}&relative_pagination=true"))
        .await;
    assert!(!last.headers().contains_key("link"));
    let page: Value = serde_json::from_slice(&last.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&page["next_page"], &page["has_next_page"]),
        (&json!(null), &json!(false))
    );
}

#[tokio::test]
async fn webhooks_and_both_forms_of_the_api_tell_the_same_calls() {
    for tags_are_objects in [false, true] {
        let options = ApiOptions {
            tags_are_objects,
            ..ApiOptions::default()
        };
        let simulation = simulate(SimulatedAccount::generate(5, 60, start()), options);
        let listed = simulation.all_calls(&query()).await;
        for (call, listed) in simulation.account.calls.iter().zip(listed) {
            let body = &call
                .deliveries
                .iter()
                .rfind(|delivery| {
                    !matches!(delivery.kind, WebhookKind::PreCall | WebhookKind::RoutingComplete)
                })
                .unwrap()
                .body;
            let webhook = event(&serde_json::from_slice(body).unwrap(), EventKind::PostCall).call;
            let listed = event(&object(listed), EventKind::Import).call;
            let id = CallId::parse(&call.call_sid).unwrap();
            let single = simulation.client.call(&id).await.unwrap().unwrap();
            let single = event(&single, EventKind::Import).call;
            for api in [&listed, &single] {
                assert_eq!(webhook.call_sid, api.call_sid);
                assert_eq!(webhook.stage, api.stage);
                assert_eq!(webhook.facts, api.facts);
                assert_eq!(webhook.attribution, api.attribution);
                assert_eq!(webhook.judgement, api.judgement);
                assert_eq!(webhook.transcript, api.transcript);
                let [one, other] = [&webhook, api].map(|call| call.recording.as_ref().unwrap());
                assert_eq!(one.player, other.player);
                assert_eq!(other.url, None, "the API's link is for holders of the key");
                let summary = webhook.summary.clone().unwrap_or_default();
                assert_eq!(Some(summary), api.summary, "the API asserts that there is none");
                assert_eq!(api.spam, None);
            }
        }
    }
}

#[tokio::test]
async fn a_call_has_the_form_that_callrail_documents() {
    let simulation = with_calls(100);
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/api/call_single_all_fields.json"
    );
    let sample = object(serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap());
    let fields: Vec<_> = sample.keys().map(String::as_str).collect();
    let asked = fields.join(",");
    for call in simulation.account.calls.iter().take(20) {
        let call = object(
            simulation
                .json(&format!("/calls/{}.json?fields={asked}", call.call_sid))
                .await,
        );
        assert_eq!(call.keys().map(String::as_str).collect::<Vec<_>>(), fields);
        for (key, value) in &call {
            let like = std::mem::discriminant(value) == std::mem::discriminant(&sample[key]);
            assert!(
                like || value.is_null() || sample[key].is_null(),
                "{key} is {value}"
            );
            assert_ne!(value, "", "{key}");
        }
        assert!(call.get("timestamp").is_none());
        assert!(call["company_id"].as_str().unwrap().starts_with("COM"));
    }
    let single = simulation
        .json(&format!("/calls/{}.json", simulation.call_id(0)))
        .await;
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/api/call_single_default.json"
    );
    let sample = object(serde_json::from_slice(&std::fs::read(sample).unwrap()).unwrap());
    assert!(object(single).keys().eq(sample.keys()));
}

#[tokio::test]
async fn filters_choose_and_what_is_unknown_is_ignored() {
    let simulation = with_calls(200);
    let calls = &simulation.account.calls;
    let with = |outcome| {
        let is_so = calls.iter().filter(|call| call.expected.outcome == outcome);
        is_so.count() as u64
    };
    assert_eq!(simulation.count("").await, 200);
    assert_eq!(
        simulation.count("answer_status=answered").await,
        with("completed")
    );
    assert_eq!(
        simulation.count("answer_status=voicemail").await,
        with("voicemail")
    );
    assert_eq!(simulation.count("answer_status=missed").await, with("no_answer"));
    let outbound = calls
        .iter()
        .filter(|call| call.expected.direction == "outbound")
        .count() as u64;
    assert_eq!(simulation.count("direction=outbound").await, outbound);
    assert_eq!(simulation.count("call_type=inbound").await, 200 - outbound);
    let booked = calls
        .iter()
        .filter(|call| call.expected.tags.iter().any(|tag| tag == "Booked"))
        .count() as u64;
    assert!(booked > 0);
    assert_eq!(simulation.count("tags[]=Booked&tags[]=nobody").await, booked);
    assert_eq!(
        simulation.count("search=WIRELESS").await,
        simulation.count("search=wireless").await
    );
    assert_eq!(simulation.count("search=nobody+at+all").await, 0);
    let company = format!("company_id={}", simulation.account.company_id);
    assert_eq!(simulation.count(&company).await, 200);
    assert_eq!(simulation.count("company_id=COM1").await, 0);
    for ignored in [
        "answer_status=no",
        "direction=up",
        "call_type=",
        "sorting=x",
        "lead_status=?",
    ] {
        assert_eq!(simulation.count(ignored).await, 200, "{ignored}");
    }
}

#[tokio::test]
async fn calls_are_newest_first_unless_asked_otherwise_and_at_most_250_a_page() {
    let simulation = with_calls(300);
    let dates = "start_date=2026-11-20&end_date=2026-11-22";
    let page = simulation
        .json(&format!("/calls.json?{dates}&per_page=1000"))
        .await;
    let calls = page["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 250);
    assert_eq!(id(&calls[0]), simulation.account.calls[299].call_sid);
    let page = simulation
        .json(&format!("/calls.json?{dates}&sort=duration&order=asc"))
        .await;
    let durations: Vec<_> = page["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["duration"].as_u64())
        .collect();
    assert_eq!(durations.len(), 100);
    assert!(durations.is_sorted());
}

#[tokio::test]
async fn an_unknown_field_is_an_error_and_so_is_too_old_a_date() {
    let simulation = with_calls(1);
    for path in [
        "/calls.json?fields=note,tracker".to_owned(),
        format!("/calls/{}.json?fields=spam", simulation.call_id(0)),
        "/calls.json?start_date=2024-10-01&end_date=2026-11-22".to_owned(),
        "/calls.json?start_date=2026-11-20T19:03:20Z".to_owned(),
        "/integrations.json".to_owned(),
    ] {
        let response = simulation.get(&path).await;
        assert_eq!(response.status(), 400, "{path}");
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert!(body["error"].is_string(), "{path}");
    }
    let old = CallQuery {
        from: start() - TimeDelta::days(800),
        ..query()
    };
    let error = simulation.client.calls(&old).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Invalid { status, .. } if *status == 400),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wrong_key_is_not_taken_and_a_token_is_if_there_is_one() {
    let options = ApiOptions {
        bearer_token: Some("a-token".to_owned()),
        ..ApiOptions::default()
    };
    let Simulation { account, api, client } = simulate(SimulatedAccount::generate(1, 1, start()), options);
    assert_eq!(client.account().await.unwrap().id.as_str(), account.account_id);
    let bearer = client_of(&api, &account, Credential::bearer("a-token").unwrap());
    bearer.account().await.unwrap();
    for credential in [
        Credential::api_key("wrong").unwrap(),
        Credential::api_key("a-token").unwrap(),
        Credential::bearer(&account.api_key).unwrap(),
    ] {
        let error = client_of(&api, &account, credential).account().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
    }
    assert_eq!(api.requests(RequestKind::Account), 5);
}

#[tokio::test]
async fn the_account_of_somebody_else_is_forbidden() {
    let simulation = with_calls(1);
    let url = format!("{}/a/ACC1/calls.json", simulation.api.base_url());
    assert_eq!(simulation.get_url(&url).await.status(), 403);
    let unknown = format!("{}/nowhere.json", simulation.api.base_url());
    assert_eq!(simulation.get_url(&unknown).await.status(), 404);
    assert_eq!(simulation.api.requests(RequestKind::Other), 1);
}

#[tokio::test]
async fn what_the_account_consists_of_is_told() {
    let simulation = with_calls(1);
    let client = &simulation.client;
    assert_eq!(
        client.accounts().await.unwrap(),
        [client.account().await.unwrap()]
    );
    assert_eq!(client.companies().await.unwrap()[0].id, simulation.company());
    let trackers = client.trackers().await.unwrap();
    let mut numbers: Vec<_> = trackers
        .iter()
        .flat_map(|tracker| tracker.tracking_numbers.clone())
        .collect();
    numbers.push(trackers[0].destination_number.clone().unwrap());
    assert_eq!(numbers, simulation.account.own_numbers);
    let users = simulation.json("/users.json").await;
    assert_eq!(users["users"][0]["email"], "agent@example.com");
    assert_eq!(
        users["users"][0]["companies"][0]["id"],
        simulation.account.company_id
    );
    let texts = simulation.json("/text-messages.json").await;
    assert_eq!(
        (&texts["total_records"], &texts["conversations"]),
        (&json!(0), &json!([]))
    );
    let kinds = [
        RequestKind::Accounts,
        RequestKind::Account,
        RequestKind::Companies,
        RequestKind::Trackers,
        RequestKind::Users,
        RequestKind::TextMessages,
    ];
    let times = simulation.api.request_times();
    assert_eq!(times.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), kinds);
    assert!(times.is_sorted_by_key(|(_, time)| *time));
    for kind in kinds {
        assert_eq!(simulation.api.requests(kind), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn the_next_page_of_any_list_is_named_by_the_header() {
    let simulation = with_calls(1);
    let mut address = format!(
        "{}/a/{}/trackers.json?per_page=2",
        simulation.api.base_url(),
        simulation.account.account_id
    );
    let mut pages = Vec::new();
    loop {
        let response = simulation.get_url(&address).await;
        let link = response
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        let page: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        pages.push(page["trackers"].as_array().unwrap().len());
        let Some(link) = link else { break };
        address = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap()
            .to_owned();
    }
    assert_eq!(pages, [2, 1]);
}

#[tokio::test]
async fn usage_is_told_and_one_request_too_many_is_refused() {
    let options = ApiOptions {
        limits: Limits { hourly: 2, daily: 3 },
        retry_after: Some(120),
        ..ApiOptions::default()
    };
    let simulation = simulate(SimulatedAccount::generate(1, 5, start()), options);
    let page = simulation.client.calls(&query()).await.unwrap();
    assert_eq!(page.usage.hourly, Some(Quota { allowed: 2, used: 1 }));
    assert_eq!(page.usage.daily, Some(Quota { allowed: 3, used: 1 }));
    simulation.client.calls(&query()).await.unwrap();
    let error = simulation.client.calls(&query()).await.unwrap_err();
    let ApiError::RateLimited { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(120)));
    // A longer pause than the client makes itself: it was sent once.
    assert_eq!(simulation.api.requests(RequestKind::Calls), 3);

    simulation.api.begin_day();
    simulation.client.calls(&query()).await.unwrap();
    simulation.api.set_limits(Limits { hourly: 1, daily: 1 });
    simulation.client.calls(&query()).await.unwrap_err();
}

#[tokio::test]
async fn faults_last_as_long_as_they_should() {
    let simulation = with_calls(5);
    let Simulation { api, client, .. } = &simulation;
    api.fail_next(2, Fault::Status(500));
    client.calls(&query()).await.unwrap();
    assert_eq!(api.requests(RequestKind::Calls), 3);

    api.fail_next(1, Fault::TooManyRequests(Some(0)));
    client.calls(&query()).await.unwrap();
    assert_eq!(api.requests(RequestKind::Calls), 5);

    api.fail(Fault::Status(503));
    let error = client.calls(&query()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Unavailable {
                source: Outage::Status(_)
            }
        ),
        "{error:?}"
    );
    assert_eq!(api.requests(RequestKind::Calls), 8);
    api.recover();
    client.calls(&query()).await.unwrap();
}

#[tokio::test]
async fn broken_answers_are_outages() {
    let simulation = with_calls(5);
    let Simulation { account, api, .. } = &simulation;
    let impatient = client_with(
        api,
        account,
        Credential::api_key(&account.api_key).unwrap(),
        Duration::from_millis(50),
    );
    for fault in [Fault::Html, Fault::CutBody, Fault::Hang] {
        api.fail(fault.clone());
        let client = if fault == Fault::Hang {
            &impatient
        } else {
            &simulation.client
        };
        let error = client.calls(&query()).await.unwrap_err();
        let ApiError::Unavailable { source } = error else {
            panic!("{fault:?}: {error:?}")
        };
        let is_right = match fault {
            Fault::Html => matches!(source, Outage::NotJson),
            Fault::CutBody => matches!(source, Outage::CutShort(_)),
            _ => matches!(&source, Outage::NoAnswer(error) if error.is_timeout()),
        };
        assert!(is_right, "{fault:?}: {source:?}");
    }
    assert_eq!(api.requests(RequestKind::Calls), 9);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let simulation = with_calls(5);
    let elsewhere = with_calls(1);
    let address = format!("{}/a.json", elsewhere.api.base_url());
    simulation.api.fail(Fault::Redirect(address));
    let error = simulation.client.calls(&query()).await.unwrap_err();
    assert!(matches!(error, ApiError::Redirected), "{error:?}");
    assert_eq!(
        (simulation.api.all_requests(), elsewhere.api.all_requests()),
        (1, 0)
    );
}

#[tokio::test]
async fn pages_that_point_to_themselves_or_elsewhere_end_the_reading() {
    let simulation = with_calls(5);
    let elsewhere = with_calls(1);
    simulation.api.fail(Fault::SelfPointingPage);
    let error = simulation.pages(&query()).await.unwrap_err();
    assert!(matches!(error, ApiError::EndlessPages), "{error:?}");
    assert_eq!(simulation.api.all_requests(), 1);

    let foreign = format!("{}/a/1/calls?offset=1", elsewhere.api.base_url());
    simulation.api.fail(Fault::ForeignPage(foreign));
    let error = simulation.pages(&query()).await.unwrap_err();
    assert!(matches!(error, ApiError::ForeignPage), "{error:?}");
    assert_eq!(elsewhere.api.all_requests(), 0);
}

#[tokio::test]
async fn endless_pages_bring_the_same_calls_again_and_again() {
    let simulation = with_calls(5);
    simulation.api.fail(Fault::EndlessPages);
    let mut page = simulation.client.calls(&query()).await.unwrap();
    let own = page.calls.clone();
    let mut met: HashSet<Cursor> = HashSet::new();
    for _ in 0..5 {
        let next = page.next.unwrap();
        assert!(met.insert(next.clone()));
        page = simulation.client.calls_after(&next).await.unwrap();
        assert_eq!(page.calls, own);
    }
}

#[tokio::test]
async fn spam_vanishes_from_lists_and_is_not_found() {
    let simulation = with_calls(10);
    let Simulation { account, api, client } = &simulation;
    let spam = &account.calls[3].call_sid;
    assert!(api.change_call(spam, CallChange::State(CallState::Spam)));
    assert!(!api.change_call("CAL1", CallChange::State(CallState::Spam)));
    let ids = simulation.all_ids(&query()).await;
    assert_eq!((ids.len(), ids.contains(spam)), (9, false));
    assert_eq!(ids, api.visible_calls());
    assert_eq!(client.call(&simulation.call_id(3)).await.unwrap(), None);
    assert_eq!(client.recording(&simulation.call_id(3)).await.unwrap(), None);
    assert_eq!(client.call(&CallId::parse("CAL1").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_call_begins_goes_on_and_ends() {
    let simulation = with_calls(10);
    let answered = |call: &&callrail_simulator::SimulatedCall| call.expected.outcome == "completed";
    let call_sid = simulation
        .account
        .calls
        .iter()
        .find(answered)
        .unwrap()
        .call_sid
        .clone();
    let id = CallId::parse(&call_sid).unwrap();
    let put = |state| assert!(simulation.api.change_call(&call_sid, CallChange::State(state)));

    put(CallState::NotBegun);
    assert_eq!(simulation.all_ids(&query()).await.len(), 9);
    put(CallState::InProgress);
    assert_eq!(simulation.all_ids(&query()).await.len(), 10);
    let going_on = simulation.client.call(&id).await.unwrap().unwrap();
    assert_eq!(
        (&going_on["call_type"], &going_on["duration"]),
        (&json!("in_progress"), &json!(null))
    );
    assert_eq!(event(&going_on, EventKind::Import).call.stage, Stage::Routed);
    assert_eq!(simulation.client.recording(&id).await.unwrap(), None);
    put(CallState::Ended);
    let over = simulation.client.call(&id).await.unwrap().unwrap();
    assert_eq!(event(&over, EventKind::Import).call.stage, Stage::Ended);
    assert!(simulation.client.recording(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn changes_of_a_call_show_in_the_api_and_leave_the_account() {
    let simulation = with_calls(10);
    let before = (*simulation.account).clone();
    let call_sid = &simulation.account.calls[2].call_sid;
    for change in [
        CallChange::Tags(vec!["VIP".to_owned()]),
        CallChange::Note("Call back.".to_owned()),
        CallChange::Transcription("Hello?".to_owned()),
        CallChange::LeadStatus("not_a_lead".to_owned()),
    ] {
        assert!(simulation.api.change_call(call_sid, change));
    }
    let call = simulation
        .client
        .call(&simulation.call_id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(call["tags"], json!(["VIP"]));
    assert_eq!(call["note"], "Call back.");
    assert_eq!(call["transcription"], "Hello?");
    assert_eq!(call["conversational_transcript"], json!(null));
    assert_eq!(call["lead_status"], "not_a_lead");
    assert_eq!(simulation.count("tags=VIP").await, 1);
    assert_eq!(simulation.count("lead_status=not_a_lead").await, 1);

    assert!(
        simulation
            .api
            .change_call(call_sid, CallChange::Note(String::new()))
    );
    let call = simulation
        .client
        .call(&simulation.call_id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(call["note"], json!(null));
    assert_eq!(*simulation.account, before);
}

#[tokio::test]
async fn a_recording_is_found_by_its_link_without_a_key_of_the_api() {
    let simulation = with_calls(20);
    let calls = &simulation.account.calls;
    let recorded = calls
        .iter()
        .position(|call| call.expected.recording_url.is_some())
        .unwrap();
    let silent = calls
        .iter()
        .position(|call| call.expected.recording_url.is_none())
        .unwrap();
    assert_eq!(
        simulation
            .client
            .recording(&simulation.call_id(silent))
            .await
            .unwrap(),
        None
    );
    let link = simulation
        .client
        .recording(&simulation.call_id(recorded))
        .await
        .unwrap()
        .unwrap();
    // The same key as in the link that webhooks give.
    assert_eq!(
        link.url().query(),
        calls[recorded]
            .expected
            .recording_url
            .as_ref()
            .unwrap()
            .split('?')
            .nth(1)
    );

    let http = http().build().unwrap();
    let redirect = http.get(link.url().clone()).send().await.unwrap();
    assert_eq!(redirect.status(), 302);
    let file = redirect.headers()["location"].to_str().unwrap().to_owned();
    let whole = http.get(&file).send().await.unwrap();
    assert_eq!(
        (whole.status().as_u16(), &whole.headers()["content-type"]),
        (200, &"audio/wav".parse().unwrap())
    );
    let whole = whole.bytes().await.unwrap();
    let part = http.get(&file).header("range", "bytes=4-7").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        format!("bytes 4-7/{}", whole.len())
    );
    assert_eq!(part.bytes().await.unwrap(), whole[4..=7]);
    let beyond = http
        .get(&file)
        .header("range", "bytes=9999999-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), 416);
    let wrong = file.split('?').next().unwrap();
    assert_eq!(http.get(wrong).send().await.unwrap().status(), 403);
    assert_eq!(simulation.api.requests(RequestKind::RecordingFile), 5);
}

fn config(address: &str) -> Map<String, Value> {
    object(json!({ WebhookKind::PostCall.config_key(): [address] }))
}

#[tokio::test]
async fn the_webhook_integration_is_made_changed_and_disabled() {
    let simulation = with_calls(1);
    let Simulation { account, api, client } = &simulation;
    let company = simulation.company();
    let others = client.integrations(&company).await.unwrap();
    assert_eq!((others.len(), others[0].signing_key.as_deref()), (1, None));

    let ours = config("https://crm.example.com/post-call");
    let made = client.create_webhooks(&company, &ours).await.unwrap();
    assert_eq!(made.signing_key.as_deref(), Some(account.signing_key.as_str()));
    assert_eq!(client.integrations(&company).await.unwrap()[1], made);
    assert_eq!(
        api.webhook_addresses(WebhookKind::PostCall),
        ["https://crm.example.com/post-call"]
    );
    let error = client.create_webhooks(&company, &ours).await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Invalid { status, .. } if *status == 422),
        "{error:?}"
    );

    let theirs = config("https://crm.example.com/other");
    let changed = client
        .update_integration(made.id, "disabled", &theirs)
        .await
        .unwrap();
    assert_eq!((changed.state.as_str(), &changed.config), ("disabled", &theirs));
    assert!(api.webhook_addresses(WebhookKind::PostCall).is_empty());
    api.set_webhook_state("active");
    assert_eq!(
        api.webhook_addresses(WebhookKind::PostCall),
        ["https://crm.example.com/other"]
    );
    assert_eq!(api.requests(RequestKind::IntegrationWrite), 3);

    let bad = object(json!({ "post_call_webhook": "https://crm.example.com" }));
    let error = client
        .update_integration(made.id, "active", &bad)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ApiError::Invalid { status, .. } if *status == 422),
        "{error:?}"
    );
    let error = client.update_integration(1, "active", &theirs).await.unwrap_err();
    assert!(matches!(error, ApiError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn addresses_of_others_are_lost_to_whoever_does_not_send_them_back() {
    let theirs = config("https://other-vendor.example.net/hook");
    let options = ApiOptions {
        webhook_config: Some(theirs.clone()),
        triggers: vec![json!({ "id": 3301, "integration_id": 227_002, "call_type": "first_call" })],
        ..ApiOptions::default()
    };
    let simulation = simulate(SimulatedAccount::generate(1, 1, start()), options);
    let found = simulation
        .client
        .integrations(&simulation.company())
        .await
        .unwrap();
    assert_eq!(found[1].config, theirs);
    let ours = object(json!({ "pre_call_webhook": ["https://crm.example.com/pre-call"] }));
    simulation
        .client
        .update_integration(found[1].id, "active", &ours)
        .await
        .unwrap();
    assert_eq!(simulation.api.webhook_config(), Some(ours));
    let triggers = simulation.client.integration_triggers().await.unwrap();
    assert_eq!(triggers[0].integration, Some(found[1].id));
}

#[tokio::test]
async fn an_account_that_may_not_write_says_so() {
    let options = ApiOptions {
        forbids_writes: true,
        ..ApiOptions::default()
    };
    let simulation = simulate(SimulatedAccount::generate(1, 1, start()), options);
    let error = simulation
        .client
        .create_webhooks(&simulation.company(), &config("https://crm.example.com/"))
        .await
        .unwrap_err();
    let said = "CallRail does not allow this to the user whose key it is: \
                You do not have permission to perform the requested action";
    assert_eq!(error.to_string(), said);
    assert_eq!(simulation.api.webhook_config(), None);
}

#[test]
fn a_history_has_the_same_people_and_outcomes_without_webhooks() {
    let told = SimulatedAccount::generate(8, 100, start());
    let past = SimulatedAccount::history(8, 100, start(), TimeDelta::hours(1));
    assert_eq!((&told.api_key, &told.people), (&past.api_key, &past.people));
    for (one, other) in told.calls.iter().zip(&past.calls) {
        assert!(other.deliveries.is_empty());
        assert_eq!(one.expected.outcome, other.expected.outcome);
        assert_eq!(one.expected.customer, other.expected.customer);
        assert_eq!(one.expected.note, other.expected.note);
    }
    for (hour, call) in (0..).zip(&past.calls) {
        assert_eq!((call.start - start()).num_hours(), hour);
    }
}
