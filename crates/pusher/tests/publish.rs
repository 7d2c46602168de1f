//! Publishing to a server on loopback that answers in every way a server can.
#![allow(
    clippy::unwrap_used,
    reason = "clippy takes the functions shared by the tests for no tests"
)]

use std::{net::TcpListener, time::Duration};

use chrono::{DateTime, Utc};
use pusher::{Event, InvalidEvent, Pusher, PusherError, PusherUrl, http_client};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json_string, header, method, path, query_param},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_764_000_000, 0).unwrap()
}

fn ring() -> Event {
    Event {
        channel: "private-calls".into(),
        name: "incoming-call".into(),
        data: r#"{"id":"1"}"#.into(),
    }
}

fn url_for(address: &str) -> PusherUrl {
    format!("http://key:hush@{address}/apps/7").parse().unwrap()
}

fn pusher_at(address: &str, client: reqwest::Client, timeout: Duration) -> Pusher {
    Pusher::new(url_for(address), client, timeout)
}

fn client() -> reqwest::Client {
    // A second call finds a provider installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    http_client().no_proxy().build().unwrap()
}

/// Publishes one event to a server that gives this answer to everything.
async fn published_to(answer: ResponseTemplate) -> Result<(), PusherError> {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    pusher_at(&server.address().to_string(), client(), PATIENCE)
        .publish_batch(&[ring()], now())
        .await
}

#[tokio::test]
async fn a_batch_goes_out_as_one_signed_request() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/apps/7/batch_events"))
        .and(header("content-type", "application/json"))
        .and(query_param("auth_key", "key"))
        .and(query_param("auth_timestamp", "1764000000"))
        .and(query_param("auth_version", "1.0"))
        .and(body_json_string(
            r#"{"batch":[
                {"channel":"private-calls","name":"incoming-call","data":"{\"id\":\"1\"}"},
                {"channel":"private-user-9","name":"incoming-call","data":"{\"id\":\"1\"}"}
            ]}"#,
        ))
        .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
        .expect(1)
        .mount(&server)
        .await;

    let to_the_owner = Event {
        channel: "private-user-9".into(),
        ..ring()
    };
    let pusher = pusher_at(&server.address().to_string(), client(), PATIENCE);
    pusher
        .publish_batch(&[ring(), to_the_owner], now())
        .await
        .unwrap();

    let requests = server.received_requests().await.unwrap();
    let names: Vec<_> = requests[0]
        .url
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    assert_eq!(
        names,
        [
            "auth_key",
            "auth_timestamp",
            "auth_version",
            "body_md5",
            "auth_signature"
        ]
    );
    assert!(
        !requests[0].headers.contains_key("authorization"),
        "the secret itself is never sent"
    );
}

#[tokio::test]
async fn a_check_asks_for_channels_and_tells_whether_the_server_lets_us() {
    for (status, holds) in [(200, true), (401, false)] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/apps/7/channels"))
            .and(query_param("auth_key", "key"))
            .and(query_param(
                "auth_signature",
                // HMAC-SHA256 with `hush` of "GET\n/apps/7/channels\nauth_key=key&auth_timestamp=1764000000&auth_version=1.0"
                "c72689592000f4e54b1cb49bd3440da4913589241646de37604c38b705a585e0",
            ))
            .respond_with(ResponseTemplate::new(status))
            .expect(1)
            .mount(&server)
            .await;
        let checked = pusher_at(&server.address().to_string(), client(), PATIENCE)
            .check(now())
            .await;
        assert_eq!(checked.is_ok(), holds, "{checked:?}");
        assert!(
            holds || matches!(checked, Err(PusherError::Unauthorised { .. })),
            "{checked:?}"
        );
    }
}

#[tokio::test]
async fn no_events_is_no_request() {
    let pusher = pusher_at("127.0.0.1:1", client(), PATIENCE);
    pusher.publish_batch(&[], now()).await.unwrap();
}

#[tokio::test]
async fn what_can_never_be_published_is_told_without_a_request() {
    let pusher = pusher_at("127.0.0.1:1", client(), PATIENCE);

    let bad = Event {
        channel: "private user".into(),
        ..ring()
    };
    let error = pusher.publish_batch(&[ring(), bad], now()).await.unwrap_err();
    assert!(
        matches!(
            error,
            PusherError::Invalid {
                index: 1,
                source: InvalidEvent::ChannelName
            }
        ),
        "{error:?}"
    );
    assert!(!error.is_outside());

    let error = pusher.publish_batch(&vec![ring(); 11], now()).await.unwrap_err();
    assert!(
        matches!(error, PusherError::BatchTooLong { events: 11 }),
        "{error:?}"
    );
    assert!(!error.is_outside());
}

#[tokio::test]
async fn a_busy_or_broken_server_is_the_outside() {
    for status in [408, 429, 500, 502, 503, 504] {
        let error = published_to(ResponseTemplate::new(status)).await.unwrap_err();
        assert!(
            matches!(error, PusherError::Unavailable { status: s } if s == status),
            "{error:?}"
        );
        assert!(error.is_outside());
    }
}

#[tokio::test]
async fn a_wrong_key_or_app_is_the_outside_and_says_what_to_check() {
    for status in [401, 403, 404] {
        let error = published_to(ResponseTemplate::new(status)).await.unwrap_err();
        assert!(
            matches!(error, PusherError::Unauthorised { status: s } if s == status),
            "{error:?}"
        );
        assert!(error.is_outside());
        assert!(error.to_string().contains("PUSHER_URL"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_start_of_the_answer() {
    let answer = format!(
        "The data content of this event\nexceeds the maximum {}",
        "x".repeat(100_000)
    );
    for status in [400, 413, 422] {
        let refusal = ResponseTemplate::new(status).set_body_string(&answer);
        let error = published_to(refusal).await.unwrap_err();
        assert!(!error.is_outside());
        let PusherError::Refused {
            status: s,
            body_start,
        } = error
        else {
            panic!("{error:?}")
        };
        assert_eq!(s, status);
        assert!(
            body_start.starts_with("The data content of this event exceeds"),
            "{body_start}"
        );
        assert_eq!(body_start.len(), 200);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&elsewhere)
        .await;
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str());

    let error = published_to(redirect).await.unwrap_err();
    assert!(matches!(error, PusherError::Redirected), "{error:?}");
    assert!(error.is_outside());
}

#[tokio::test]
async fn a_redirect_followed_by_another_client_is_no_success() {
    client();
    let follows = reqwest::Client::builder().no_proxy().build().unwrap();
    let elsewhere = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&elsewhere)
        .await;
    let server = MockServer::start().await;
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str());
    Mock::given(method("POST"))
        .respond_with(redirect)
        .mount(&server)
        .await;

    let pusher = pusher_at(&server.address().to_string(), follows, PATIENCE);
    let error = pusher.publish_batch(&[ring()], now()).await.unwrap_err();
    assert!(matches!(error, PusherError::Redirected), "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_is_the_outside_and_leaks_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);

    let pusher = pusher_at(&address.to_string(), client(), PATIENCE);
    let error = pusher.publish_batch(&[ring()], now()).await.unwrap_err();
    assert!(matches!(error, PusherError::Unreachable { .. }), "{error:?}");
    assert!(error.is_outside());
    let text = format!("{error:?} {pusher:?}");
    assert!(
        !text.contains("auth_signature") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_runs_into_the_timeout() {
    // Listens, so that connecting works, and never reads or answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let pusher = pusher_at(&address, client(), Duration::from_millis(50));
    let error = pusher.publish_batch(&[ring()], now()).await.unwrap_err();
    let PusherError::Unreachable { source } = &error else {
        panic!("{error:?}")
    };
    assert!(source.is_timeout());
    assert!(error.is_outside());
}
