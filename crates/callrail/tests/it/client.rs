//! The client against a server on loopback that answers with `CallRail`'s samples, or in every way a server can.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callrail::client::{
    ApiError, Budget, BudgetError, CALL_FIELDS, CallQuery, Client, ClientOptions, Credential, Cursor, Outage,
    Permission, Quota, Retries, SINGLE_CALL_FIELDS, Usage, list_accounts,
};
use callrail::{AccountId, Call, CallId, CompanyId, WebhookKind};
use serde_json::{Map, Value, json};
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use crate::data::api_sample;

const ACCOUNT: &str = "ACCdef0b17f603245ef8336f6e3e3dcd43c";
const CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";
const COMPANY: &str = "COMf168ccdd91544c5a8c871bd4b9b757c5";
const KEY: &str = "0123456789abcdef";

/// So short that no test waits.
const QUICK: Retries = Retries {
    tries: 3,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(4),
};

fn options() -> ClientOptions {
    // A second call finds a provider installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientOptions {
        retries: QUICK,
        timeout: Duration::from_secs(10),
        http: reqwest::Client::builder().no_proxy(),
        ..ClientOptions::default()
    }
}

fn client_with(base_url: &str, options: ClientOptions) -> Client {
    Client::new(
        base_url.parse().unwrap(),
        AccountId::parse(ACCOUNT).unwrap(),
        Credential::api_key(KEY).unwrap(),
        options,
    )
    .unwrap()
}

fn client(server: &MockServer) -> Client {
    client_with(&format!("{}/v3", server.uri()), options())
}

fn at(resource: &str) -> impl Match + use<> {
    path(format!("/v3/a/{ACCOUNT}/{resource}"))
}

fn json_answer(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// A server that gives this answer to everything, as often as expected.
async fn answering(answer: ResponseTemplate, times: u64) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .expect(times)
        .mount(&server)
        .await;
    server
}

fn query() -> CallQuery {
    CallQuery {
        company: None,
        from: "2026-11-20T00:00:30Z".parse().unwrap(),
        until: "2026-11-20T23:59:30Z".parse().unwrap(),
    }
}

fn call_id() -> CallId {
    CallId::parse(CALL).unwrap()
}

fn company_id() -> CompanyId {
    CompanyId::parse(COMPANY).unwrap()
}

/// The sample of a page, whose next one is at this server.
fn page_with_next(server: &MockServer) -> (Value, String) {
    let mut page = api_sample("calls_list_relative.json");
    let next = page["next_page"]
        .as_str()
        .unwrap()
        .replace("https://api.callrail.com", &server.uri());
    page["next_page"] = json!(next);
    (page, next)
}

#[tokio::test]
async fn calls_are_asked_for_with_everything_explicit() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(at("calls.json"))
        .and(header("authorization", format!("Token token=\"{KEY}\"")))
        .and(header("accept", "application/json"))
        .and(query_param("relative_pagination", "true"))
        .and(query_param("per_page", "250"))
        .and(query_param("sort", "start_time"))
        .and(query_param("order", "asc"))
        .and(query_param("start_date", "2026-11-20T00:00"))
        .and(query_param("end_date", "2026-11-21T00:00"))
        .and(query_param("time_zone", "UTC"))
        .and(query_param("fields", CALL_FIELDS.join(",")))
        .and(query_param("company_id", COMPANY))
        .respond_with(json_answer(&json!({"calls": [], "has_next_page": false})))
        .expect(1)
        .mount(&server)
        .await;

    let query = CallQuery {
        company: Some(company_id()),
        ..query()
    };
    let page = client(&server).calls(&query).await.unwrap();
    assert!(page.calls.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn the_next_page_is_fetched_as_it_stands() {
    let server = MockServer::start().await;
    let (page, next) = page_with_next(&server);
    Mock::given(at("calls.json"))
        .respond_with(json_answer(&page))
        .expect(1)
        .mount(&server)
        .await;
    let whole_query = |request: &Request| {
        request.url.query()
            == Some(
                "action=index&agency_id=100200300&api_version=v3&offset=1&page=1&per_page=100\
                 &relative_pagination=true",
            )
    };
    Mock::given(path("/v3/a/100200300/calls"))
        .and(whole_query)
        .and(header("authorization", format!("Token token=\"{KEY}\"")))
        .respond_with(json_answer(
            &json!({"calls": [], "has_next_page": false, "next_page": null}),
        ))
        .expect(1)
        .mount(&server)
        .await;

    let client = client(&server);
    let first = client.calls(&query()).await.unwrap();
    assert_eq!(first.calls.len(), 2);
    assert_eq!((first.total_records, first.total_pages), (None, None));
    let cursor = first.next.unwrap();
    assert_eq!(cursor.as_str(), next);

    let kept: Cursor = serde_json::from_str(&serde_json::to_string(&cursor).unwrap()).unwrap();
    assert!(client.calls_after(&kept).await.unwrap().next.is_none());
}

#[tokio::test]
async fn a_next_page_elsewhere_is_not_fetched() {
    let server = answering(ResponseTemplate::new(200), 0).await;
    let client = client(&server);
    let port = server.address().port();
    for elsewhere in [
        "https://api.callrail.com/v3/a/1/calls?offset=1".to_owned(),
        format!("https://127.0.0.1:{port}/v3/a/1/calls"),
        format!("http://127.0.0.1:{}/v3/a/1/calls", port ^ 1),
        format!("http://localhost:{port}/v3/a/1/calls"),
        format!("http://127.0.0.1:{port}@example.com/v3/a/1/calls"),
        format!("http://user:word@127.0.0.1:{port}/v3/a/1/calls"),
        "/v3/a/1/calls?offset=1".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ] {
        let error = client
            .calls_after(&Cursor::from_text(&elsewhere))
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::ForeignPage), "{elsewhere}: {error:?}");
    }
}

#[tokio::test]
async fn a_page_that_names_itself_is_an_error() {
    let server = MockServer::start().await;
    let (page, next) = page_with_next(&server);
    Mock::given(method("GET"))
        .respond_with(json_answer(&page))
        .expect(2)
        .mount(&server)
        .await;
    let client = client(&server);
    let cursor = client.calls(&query()).await.unwrap().next.unwrap();
    assert_eq!(cursor.as_str(), next);
    let error = client.calls_after(&cursor).await.unwrap_err();
    assert!(matches!(error, ApiError::EndlessPages), "{error:?}");
}

#[tokio::test]
async fn what_is_no_call_on_a_page_costs_only_itself() {
    let mut page = api_sample("calls_list_offset.json");
    page["calls"].as_array_mut().unwrap().push(json!(17));
    let server = answering(json_answer(&page), 1).await;
    let page = client(&server).calls(&query()).await.unwrap();
    assert_eq!((page.total_records, page.total_pages), (Some(4), Some(1)));
    let read = page.calls.into_iter().map(|call| match call {
        Value::Object(call) => Call::from_object(&(&call).into()).is_ok(),
        _ => false,
    });
    assert_eq!(read.collect::<Vec<_>>(), [true, true, true, true, false]);
}

#[tokio::test]
async fn a_single_call_comes_whole() {
    let sample = api_sample("call_single_all_fields.json");
    let fields = [&CALL_FIELDS[..], &SINGLE_CALL_FIELDS[..]].concat();
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(at(&format!("calls/{CALL}.json")))
        .and(query_param("fields", fields.join(",")))
        .respond_with(json_answer(&sample))
        .mount(&server)
        .await;
    let call = client(&server).call(&call_id()).await.unwrap().unwrap();
    assert_eq!(Value::Object(call), sample);
}

#[test]
fn every_field_asked_for_is_one_of_the_documentations() {
    let documented = api_sample("call_single_all_fields.json");
    for field in CALL_FIELDS.iter().chain(&SINGLE_CALL_FIELDS) {
        assert!(documented.get(field).is_some(), "{field}");
    }
}

#[test]
fn everything_that_is_read_of_a_call_is_asked_for_or_comes_anyway() {
    let default = api_sample("call_single_default.json");
    let documented = api_sample("call_single_all_fields.json");
    let comes = |key: &String| default.get(key).is_some() || CALL_FIELDS.contains(&key.as_str());
    let list: Map<String, Value> = documented
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .filter(|(key, _)| comes(key))
        .collect();
    let one = Call::from_object(&documented.as_object().unwrap().into()).unwrap();
    let listed = Call::from_object(&(&list).into()).unwrap();
    // The one thing that only a single call has; `spam` is in neither.
    assert!(one.conversational_transcript.is_present());
    let one = Call {
        conversational_transcript: callrail::Field::Absent,
        ..one
    };
    assert!(one == listed);
}

#[tokio::test]
async fn an_unknown_call_and_a_missing_recording_are_answers() {
    let server = answering(ResponseTemplate::new(404), 2).await;
    let client = client(&server);
    assert!(client.call(&call_id()).await.unwrap().is_none());
    assert!(client.recording(&call_id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_recording_is_a_link_that_is_not_shown() {
    for sample in ["call_recording.json", "call_recording_hipaa.json"] {
        let sample = api_sample(sample);
        let server = MockServer::start().await;
        Mock::given(at(&format!("calls/{CALL}/recording.json")))
            .respond_with(json_answer(&sample))
            .mount(&server)
            .await;
        let link = client(&server).recording(&call_id()).await.unwrap().unwrap();
        assert_eq!(link.url().as_str(), sample["url"]);
        assert!(!format!("{link:?}").contains("http"));
    }
    for odd in [
        json!({}),
        json!({"url": null}),
        json!({"url": "file:///etc/passwd"}),
        json!([]),
    ] {
        let server = answering(json_answer(&odd), 1).await;
        let error = client(&server).recording(&call_id()).await.unwrap_err();
        assert!(matches!(error, ApiError::Unexpected(_)), "{odd}: {error:?}");
    }
}

#[tokio::test]
async fn accounts_are_listed_for_whoever_knows_none() {
    let server = MockServer::start().await;
    Mock::given(path("/v3/a.json"))
        .and(header("authorization", format!("Token token=\"{KEY}\"")))
        .respond_with(json_answer(&api_sample("accounts_list.json")))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!("{}/v3", server.uri()).parse().unwrap();
    let credential = Credential::api_key(KEY).unwrap();
    let accounts = list_accounts(url, credential, options()).await.unwrap();
    assert_eq!(accounts[0].id.as_str(), ACCOUNT);
}

#[tokio::test]
async fn the_servers_clock_is_read_from_its_answer() {
    let date = "Fri, 20 Nov 2026 19:03:20 GMT";
    let answer = json_answer(&api_sample("account.json")).insert_header("date", date);
    let server = answering(answer, 1).await;
    let (_, time) = client(&server).account_and_time().await.unwrap();
    assert_eq!(time, Some("2026-11-20T19:03:20Z".parse().unwrap()));
}

#[tokio::test]
async fn account_companies_and_trackers_are_read() {
    let server = MockServer::start().await;
    for (resource, sample) in [
        ("/v3/a.json".to_owned(), "accounts_list.json"),
        (format!("/v3/a/{ACCOUNT}.json"), "account.json"),
        (format!("/v3/a/{ACCOUNT}/companies.json"), "companies_list.json"),
        (format!("/v3/a/{ACCOUNT}/trackers.json"), "trackers_list.json"),
    ] {
        Mock::given(path(resource))
            .respond_with(json_answer(&api_sample(sample)))
            .expect(1)
            .mount(&server)
            .await;
    }
    let client = client(&server);
    let account = client.account().await.unwrap();
    assert_eq!((account.id.as_str(), account.is_hipaa), (ACCOUNT, false));
    assert_eq!(client.accounts().await.unwrap(), [account]);

    let companies = client.companies().await.unwrap();
    assert_eq!((companies.len(), &companies[0].id), (2, &company_id()));
    assert_eq!(companies[0].time_zone.as_deref(), Some("America/Chicago"));

    let trackers = client.trackers().await.unwrap();
    assert_eq!(trackers[1].tracking_numbers, ["+14045550181", "+14045550182"]);
    assert_eq!(trackers[1].kind.as_deref(), Some("session"));
    assert_eq!(trackers[0].company, Some(company_id()));
    assert!(!format!("{trackers:?}").contains("555"));
}

/// Answers page `n` of `pages` with one tracker.
fn tracker_page(request: &Request, pages: Option<u64>) -> ResponseTemplate {
    let page = request
        .url
        .query_pairs()
        .find(|(name, _)| name == "page")
        .unwrap()
        .1;
    json_answer(&json!({ "total_pages": pages, "trackers": [{ "id": format!("TRK{page}") }] }))
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let server = MockServer::start().await;
    Mock::given(at("trackers.json"))
        .and(query_param("per_page", "250"))
        .respond_with(|request: &Request| tracker_page(request, Some(3)))
        .expect(3)
        .mount(&server)
        .await;
    let trackers = client(&server).trackers().await.unwrap();
    let ids: Vec<_> = trackers.iter().map(|tracker| tracker.id.as_str()).collect();
    assert_eq!(ids, ["TRK1", "TRK2", "TRK3"]);
}

#[tokio::test]
async fn a_short_page_without_a_total_is_the_last() {
    let server = MockServer::start().await;
    Mock::given(at("trackers.json"))
        .respond_with(|request: &Request| tracker_page(request, None))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(client(&server).trackers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_that_does_not_end_is_an_error() {
    let server = MockServer::start().await;
    Mock::given(at("trackers.json"))
        .respond_with(|request: &Request| tracker_page(request, Some(u64::MAX)))
        .expect(400)
        .mount(&server)
        .await;
    let error = client(&server).trackers().await.unwrap_err();
    assert!(matches!(error, ApiError::EndlessPages), "{error:?}");
}

#[tokio::test]
async fn integrations_are_read_with_the_key_that_signs() {
    let server = MockServer::start().await;
    Mock::given(at("integrations.json"))
        .and(query_param("company_id", COMPANY))
        .and(query_param("fields", "signing_key"))
        .respond_with(json_answer(&api_sample("integrations_list.json")))
        .mount(&server)
        .await;
    let integrations = client(&server).integrations(&company_id()).await.unwrap();
    assert_eq!(integrations.len(), 2);
    let webhooks = &integrations[0];
    assert_eq!(
        (webhooks.id, webhooks.kind.as_str(), webhooks.state.as_str()),
        (227_001, "Webhooks", "active")
    );
    assert_eq!(
        webhooks.signing_key.as_deref(),
        Some("072e77e426f92738a72fe23c4d1953b4")
    );
    assert_eq!(
        webhooks.addresses(WebhookKind::CallModified).collect::<Vec<_>>(),
        ["https://crm.example.com/callrail/call-modified"]
    );
    assert_eq!(integrations[1].addresses(WebhookKind::PreCall).count(), 0);
    let shown = format!("{integrations:?}");
    assert!(
        !shown.contains("072e77") && !shown.contains("crm.example.com"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_integration_is_made_and_changed_as_documented() {
    let create = api_sample("integration_create_request.json");
    let update = api_sample("integration_update_request.json");
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(at("integrations.json"))
        .and(header("content-type", "application/json"))
        .and(body_json(&create))
        .respond_with(
            ResponseTemplate::new(201).set_body_json(api_sample("integration_create_response.json")),
        )
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(at("integrations/227001.json"))
        .and(body_json(&update))
        .respond_with(json_answer(&api_sample("integration_update_response.json")))
        .expect(1)
        .mount(&server)
        .await;

    let client = client(&server);
    let config = create["config"].as_object().unwrap();
    let made = client.create_webhooks(&company_id(), config).await.unwrap();
    assert_eq!(made.config, *config);
    let config = update["config"].as_object().unwrap();
    let changed = client
        .update_integration(made.id, "active", config)
        .await
        .unwrap();
    assert_eq!(changed.addresses(WebhookKind::PostCall).count(), 2);
}

#[tokio::test]
async fn filters_of_integrations_are_read() {
    let server = answering(json_answer(&api_sample("integration_triggers_list.json")), 1).await;
    let triggers = client(&server).integration_triggers().await.unwrap();
    assert_eq!(triggers.len(), 1);
    assert_eq!(triggers[0].integration, Some(227_001));
    assert_eq!(triggers[0].call_type.as_deref(), Some("missed_and_vm"));
    assert_eq!(triggers[0].trackers, ["TRK7ae4495c83dd4323b71c94739ddc7a45"]);
    assert_eq!(triggers[0].min_duration, None);
}

#[tokio::test]
async fn each_refusal_is_told_by_its_status_and_not_repeated() {
    for (status, sample) in [
        (400, "error_400_company.json"),
        (401, "error_401.json"),
        (403, "error_403.json"),
        (404, "error_422.json"),
        (405, "error_422.json"),
        (406, "error_422.json"),
        (422, "error_422.json"),
    ] {
        let answer = ResponseTemplate::new(status).set_body_json(api_sample(sample));
        let server = answering(answer, 1).await;
        let error = client(&server).account().await.unwrap_err();
        let is_right = match &error {
            ApiError::Unauthorized { .. } => status == 401,
            ApiError::Forbidden { .. } => status == 403,
            ApiError::NotFound { .. } => status == 404,
            ApiError::Invalid { status: invalid, .. } => *invalid == status,
            _ => false,
        };
        assert!(is_right && !error.is_outside(), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn an_error_need_not_be_json() {
    for body in ["HTTP Token: Access denied.\n", "<html>", ""] {
        let server = answering(ResponseTemplate::new(401).set_body_string(body), 1).await;
        let error = client(&server).account().await.unwrap_err();
        assert!(matches!(error, ApiError::Unauthorized { .. }), "{error:?}");
        assert_eq!(error.to_string(), "CallRail does not accept the key");
    }
}

#[tokio::test]
async fn an_error_says_what_callrail_said_but_no_key_number_or_name() {
    let said = format!("Unknown field: foo for {KEY}, +14045550123 DOE JANE");
    let server = answering(
        ResponseTemplate::new(400).set_body_json(json!({"error": said})),
        1,
    )
    .await;
    let client = client(&server);
    let error = client.account().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "CallRail refused the request with 400: Unknown field: foo for …"
    );
    let shown = format!("{error:?} {client:?} {:?}", options());
    for secret in [KEY, "0123", "DOE"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn reads_are_tried_again_when_the_server_fails() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .up_to_n_times(2)
        .expect(2)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .respond_with(json_answer(&api_sample("account.json")))
        .expect(1)
        .mount(&server)
        .await;
    client(&server).account().await.unwrap();
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_not_available() {
    for status in [408, 500, 502, 503, 504] {
        let server = answering(ResponseTemplate::new(status), 3).await;
        let error = client(&server).account().await.unwrap_err();
        assert!(error.is_outside());
        let ApiError::Unavailable {
            source: Outage::Status(answered),
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(answered, status);
    }
}

#[tokio::test]
async fn a_write_is_never_sent_twice_after_a_failure() {
    let server = answering(ResponseTemplate::new(502), 2).await;
    let client = client(&server);
    let error = client
        .create_webhooks(&company_id(), &Map::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::Unavailable { .. }), "{error:?}");
    let error = client
        .update_integration(1, "active", &Map::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ApiError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn too_many_requests_are_tried_again_even_for_writes() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "0"))
        .up_to_n_times(2)
        .expect(2)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(
            ResponseTemplate::new(201).set_body_json(api_sample("integration_create_response.json")),
        )
        .expect(1)
        .mount(&server)
        .await;
    client(&server)
        .create_webhooks(&company_id(), &Map::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_long_pause_is_left_to_the_caller() {
    let server = answering(ResponseTemplate::new(429).insert_header("retry-after", "3600"), 1).await;
    let error = client(&server).account().await.unwrap_err();
    let ApiError::RateLimited { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(3_600)));

    let server = answering(ResponseTemplate::new(429), 3).await;
    let error = client(&server).account().await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::RateLimited {
                retry_after: None,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_json_is_an_outage() {
    for body in ["<html>We'll be back</html>", "", "{\"calls\":["] {
        let server = answering(ResponseTemplate::new(200).set_body_string(body), 3).await;
        let error = client(&server).calls(&query()).await.unwrap_err();
        assert!(
            matches!(
                error,
                ApiError::Unavailable {
                    source: Outage::NotJson
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let body = format!("{{\"calls\":[],\"x\":\"{}\"}}", "x".repeat(2_000));
    let server = answering(ResponseTemplate::new(200).set_body_string(body), 1).await;
    let options = ClientOptions {
        max_answer_bytes: 1_000,
        ..options()
    };
    let client = client_with(&format!("{}/v3", server.uri()), options);
    let error = client.calls(&query()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Unavailable {
                source: Outage::TooLong(1_000)
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answering(ResponseTemplate::new(200), 0).await;
    for status in [301, 302, 307, 308] {
        let redirect = ResponseTemplate::new(status).insert_header("location", elsewhere.uri().as_str());
        let server = answering(redirect, 1).await;
        let options = ClientOptions {
            // What the caller sets here does not count.
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::limited(5)),
            ..options()
        };
        let client = client_with(&format!("{}/v3", server.uri()), options);
        let error = client.account().await.unwrap_err();
        assert!(matches!(error, ApiError::Redirected), "{error:?}");
    }
}

/// A server that reads a request, writes these bytes and closes, for every connection.
fn raw_server(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v3", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // Ends with the process: it waits for connections and nothing else.
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 8_192];
            let _ = connection.read(&mut request);
            let _ = connection.write_all(answer);
        }
    });
    (address, connections)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_outage_and_read_again() {
    let (address, connections) = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"calls\":[");
    let error = client_with(&address, options())
        .calls(&query())
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Unavailable {
                source: Outage::CutShort(_)
            }
        ),
        "{error:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_for_reads_alone() {
    let (address, connections) = raw_server(b"");
    let client = client_with(&address, options());
    let error = client.account().await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Unavailable {
                source: Outage::NoAnswer(_)
            }
        ),
        "{error:?}"
    );
    assert_eq!(connections.swap(0, Ordering::SeqCst), 3);

    client
        .update_integration(1, "active", &Map::new())
        .await
        .unwrap_err();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_stays_silent_runs_into_the_timeout() {
    // Listens, so that connecting works, and never reads or answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v3", silent.local_addr().unwrap());
    let options = ClientOptions {
        timeout: Duration::from_millis(20),
        ..options()
    };
    let error = client_with(&address, options).call(&call_id()).await.unwrap_err();
    let ApiError::Unavailable {
        source: Outage::NoAnswer(source),
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(source.is_timeout());
    assert!(!format!("{error:?}").contains(CALL), "{error:?}");
}

/// Permits a number of requests, and keeps what it is told.
#[derive(Debug)]
struct Purse {
    left: Mutex<usize>,
    told: Mutex<Vec<Usage>>,
}

impl Budget for Purse {
    fn permit(&self) -> Permission<'_> {
        let mut left = self.left.lock().unwrap();
        let permission = match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                Ok(())
            }
            None => Err(BudgetError::Exhausted {
                retry_after: Some(Duration::from_secs(60)),
            }),
        };
        Box::pin(std::future::ready(permission))
    }

    fn report(&self, usage: Usage) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.told.lock().unwrap().push(usage);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn every_request_passes_the_budget_and_tells_it_what_is_used() {
    let answer = ResponseTemplate::new(503)
        .insert_header("x-rate-limit-hourly-allowed", "1000")
        .insert_header("x-rate-limit-hourly-used", "7");
    let server = answering(answer, 2).await;
    let purse = Arc::new(Purse {
        left: Mutex::new(2),
        told: Mutex::default(),
    });
    let options = ClientOptions {
        budget: Arc::clone(&purse) as Arc<dyn Budget>,
        ..options()
    };
    let client = client_with(&format!("{}/v3", server.uri()), options);
    // The third try is not permitted, and not sent.
    let error = client.account().await.unwrap_err();
    assert!(
        matches!(
            error,
            ApiError::Budget(BudgetError::Exhausted { retry_after: Some(_) })
        ),
        "{error:?}"
    );
    assert!(error.is_outside());
    let usage = Usage {
        hourly: Some(Quota {
            allowed: 1_000,
            used: 7,
        }),
        daily: None,
    };
    assert_eq!(*purse.told.lock().unwrap(), [usage, usage]);
}

#[tokio::test]
async fn a_page_says_what_is_used() {
    let answer = json_answer(&json!({"calls": []}))
        .insert_header("x-rate-limit-daily-allowed", "10000")
        .insert_header("x-rate-limit-daily-used", "3");
    let server = answering(answer, 1).await;
    let page = client(&server).calls(&query()).await.unwrap();
    assert_eq!(
        page.usage.daily,
        Some(Quota {
            allowed: 10_000,
            used: 3
        })
    );
}

#[tokio::test]
async fn a_key_that_is_changed_in_its_file_is_used_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let server = MockServer::start().await;
    for key in ["old", "newer"] {
        Mock::given(header("authorization", format!("Token token=\"{key}\"")))
            .respond_with(json_answer(&api_sample("account.json")))
            .expect(1)
            .mount(&server)
            .await;
    }
    let client = Client::new(
        format!("{}/v3", server.uri()).parse().unwrap(),
        AccountId::parse(ACCOUNT).unwrap(),
        Credential::api_key_file(&file),
        options(),
    )
    .unwrap();
    let error = client.account().await.unwrap_err();
    assert!(matches!(error, ApiError::Credential(_)), "{error:?}");
    for key in ["old", "newer"] {
        std::fs::write(&file, key).unwrap();
        client.account().await.unwrap();
    }
}
