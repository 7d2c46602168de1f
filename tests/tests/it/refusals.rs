//! Who may send what: signatures, keys, sizes, addresses; and what a sender who leaves early costs.

use std::collections::HashMap;

use calls::{CompanyId, QuarantinedDelivery};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trunkline_tests::{Answer, Installation, Process, SIGNING_KEY, eventually, sample, signature};

const OTHER_KEY: &str = "0123456789abcdef0123456789abcdef";
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The recorded answered call under another id, with other fields.
fn call(id: &str, fields: Value) -> Vec<u8> {
    let mut call: Map<String, Value> =
        serde_json::from_slice(&sample("post_call_answered.json").body).unwrap();
    let Value::Object(fields) = fields else {
        unreachable!()
    };
    call.insert("resource_id".to_owned(), json!(id));
    call.extend(fields);
    Value::Object(call).to_string().into_bytes()
}

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    let error = answer.json();
    assert_eq!(
        (&error["status"], &error["code"]),
        (&json!("error"), &json!(code)),
        "{}",
        answer.text
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
}

/// What became of all deliveries so far, as the metrics count them.
async fn counted(trunkline: &Installation, running: &Process) -> HashMap<String, u64> {
    let url = format!("http://{}/metrics", running.metrics_address());
    let metrics = trunkline.send(trunkline.client().get(url)).await.text;
    let counts = metrics.lines().filter_map(|line| {
        let labelled = line.strip_prefix("trunkline_webhook_deliveries_total{outcome=\"")?;
        let (outcome, count) = labelled.split_once("\"} ")?;
        Some((outcome.to_owned(), count.parse().unwrap()))
    });
    counts.collect()
}

#[tokio::test]
async fn what_callrail_did_not_sign_is_refused_and_leaves_nothing() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let body = call("CALrefused", json!({}));
    let right = signature(SIGNING_KEY, &body);
    let with_newline = [&body[..], b"\n"].concat();
    let sha256_long = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";

    let unsigned = trunkline.send(trunkline.webhook("post-call", body.clone())).await;
    assert_refused(&unsigned, 401, "signature_missing");
    for malformed in ["", "none", "*", sha256_long, &right[1..], "déjà vu"] {
        let answer = trunkline.post_signed("post-call", body.clone(), malformed).await;
        assert_refused(&answer, 401, "signature_malformed");
    }
    let others = [
        (signature(OTHER_KEY, &body), body.clone()),
        (signature(SIGNING_KEY, &with_newline), body.clone()),
        (right.clone(), with_newline),
        (right.clone(), call("CALrefused", json!({"duration": "185"}))),
        (right.clone(), Vec::new()),
    ];
    for (signature, body) in &others {
        let answer = trunkline.post_signed("post-call", body.clone(), signature).await;
        assert_refused(&answer, 401, "signature_invalid");
    }
    // The URL changes nothing about that.
    for kind in ["pre-call", "COM1/post-call", "no-such-kind"] {
        let answer = trunkline.send(trunkline.webhook(kind, body.clone())).await;
        assert_refused(&answer, 401, "signature_missing");
    }

    trunkline.settle().await;
    let refused = 1 + 6 + 5 + 3;
    let expected = HashMap::from([("BadSignature".to_owned(), refused)]);
    assert_eq!(counted(&trunkline, &running).await, expected);
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 0);
    assert_eq!(trunkline.dead_letters().await, []);
    let log = running.log();
    for reason in [
        "the request carries no signature",
        "the signature is not the base64 of 20 bytes",
        "the signature was made with another key or for other bytes",
    ] {
        assert!(log.contains(reason), "{reason} is not in the log:\n{log}");
    }
    assert!(
        !log.contains("CALrefused") && !log.contains(&right) && !log.contains("+1404"),
        "{log}"
    );
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_told_no_more_and_holds_nobody_up() {
    let trunkline = Installation::new().with("TRUSTED_PROXIES", "127.0.0.1");
    let running = trunkline.start("run").await;
    let from = |address: &str, id: &str| {
        trunkline
            .webhook("post-call", call(id, json!({})))
            .header("x-forwarded-for", address)
    };
    for _ in 0..100 {
        let answer = trunkline.send(from("203.0.113.7", "CALnuisance")).await;
        assert_refused(&answer, 401, "signature_missing");
    }
    let answer = trunkline.send(from("203.0.113.7", "CALnuisance")).await;
    assert_refused(&answer, 429, "too_many_failures");
    let neighbour = trunkline.send(from("203.0.113.8", "CALnuisance")).await;
    assert_refused(&neighbour, 401, "signature_missing");
    let signed = signature(SIGNING_KEY, &call("CALgenuine", json!({})));
    let genuine = from("203.0.113.7", "CALgenuine").header("signature", signed);
    assert_eq!(trunkline.send(genuine).await.status, 200);

    assert_eq!(counted(&trunkline, &running).await["BadSignature"], 102);
    let told = running.log().matches("refused a webhook").count();
    assert_eq!(told, 101, "what is not told is not logged either");
}

#[tokio::test]
async fn an_answer_names_its_request_as_the_log_does() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let refused = async |given: Option<&str>| {
        let request = trunkline.webhook("post-call", "{}");
        let request = given
            .into_iter()
            .fold(request, |request, id| request.header("x-request-id", id));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    let given = "0191b1c6-6a7c-7a50-8f4e-3f6b1c2d4e5f";
    assert_eq!(refused(Some(given)).await, given);
    assert_eq!(refused(Some("0191B1C66A7C7A508F4E3F6B1C2D4E5F")).await, given);
    let made = [refused(None).await, refused(Some("+14045550123")).await];
    assert_ne!(made[0], made[1]);
    for id in made.iter().map(String::as_str).chain([given]) {
        let log = running.log();
        let line = log
            .lines()
            .find(|line| line.contains("refused a webhook") && line.contains(id));
        assert!(line.is_some(), "{id} is not in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_key_that_comes_with_the_request_is_never_trusted() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let body = call("CALforged", json!({}));
    for header in ["signature", "x-callrail-signature"] {
        let forged = trunkline
            .webhook("post-call", body.clone())
            .header(header, signature(OTHER_KEY, &body))
            .header("x-callrail-signature-key", OTHER_KEY);
        assert_refused(&trunkline.send(forged).await, 401, "signature_invalid");
    }
    // It does no harm to a delivery that is genuine.
    let genuine = trunkline
        .webhook("post-call", body.clone())
        .header("X-CallRail-Signature", signature(SIGNING_KEY, &body))
        .header("X-CallRail-Signature-Key", OTHER_KEY);
    assert_eq!(trunkline.send(genuine).await.status, 200);
    trunkline.settle().await;
    assert!(trunkline.row("CALforged").await.is_some());
}

#[tokio::test]
async fn either_header_may_carry_the_signature() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let right = |body: &[u8]| signature(SIGNING_KEY, body);
    let wrong = signature(OTHER_KEY, b"");
    for (id, headers) in [
        ("CALa", vec![("Signature", true)]),
        ("CALb", vec![("X-CallRail-Signature", true)]),
        ("CALc", vec![("signature", true), ("x-callrail-signature", true)]),
        ("CALd", vec![("signature", false), ("x-callrail-signature", true)]),
        ("CALe", vec![("signature", false), ("signature", true)]),
    ] {
        let body = call(id, json!({}));
        let mut request = trunkline.webhook("post-call", body.clone());
        for (name, is_right) in headers {
            request = request.header(name, if is_right { right(&body) } else { wrong.clone() });
        }
        assert_eq!(trunkline.send(request).await.status, 200, "{id}");
    }
    trunkline.settle().await;
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 5);
}

#[tokio::test]
async fn a_bound_key_speaks_for_its_own_company_only() {
    let third = "fedcba9876543210fedcba9876543210";
    let keys = format!("COMone:{SIGNING_KEY}, COMtwo:{OTHER_KEY},{third}");
    let trunkline = Installation::new().with("CALLRAIL_SIGNING_KEYS", keys);
    let running = trunkline.start("run").await;
    let post = async |kind: &str, id: &str, company: Value, key: &str| {
        let body = call(id, json!({ "company_resource_id": company }));
        trunkline
            .post_signed(kind, body.clone(), &signature(key, &body))
            .await
    };

    for (id, company, key) in [
        ("CALa", json!("COMone"), SIGNING_KEY),
        ("CALb", json!("COMtwo"), OTHER_KEY),
        ("CALc", json!("COMthree"), third),
        ("CALd", json!("COMone"), third),
        ("CALe", json!(null), SIGNING_KEY),
        ("CALf", json!(null), third),
    ] {
        assert_eq!(post("post-call", id, company, key).await.status, 200, "{id}");
    }
    for (id, company, key) in [("CALg", "COMtwo", SIGNING_KEY), ("CALh", "COMone", OTHER_KEY)] {
        for kind in ["post-call", &format!("{company}/post-call"), "pre-call"] {
            let answer = post(kind, id, json!(company), key).await;
            assert_refused(&answer, 401, "signature_invalid");
        }
    }
    // The URL names a company too; the body, which is signed, is believed.
    assert_eq!(
        post("COMtwo/post-call", "CALi", json!("COMone"), SIGNING_KEY)
            .await
            .status,
        200
    );

    // What cannot be read is kept, with the company of the key.
    let answer = trunkline
        .post_signed("post-call", "?", &signature(OTHER_KEY, b"?"))
        .await;
    assert_eq!(answer.status, 200);

    trunkline.settle().await;
    for (id, company) in [
        ("CALa", Some("COMone")),
        ("CALb", Some("COMtwo")),
        ("CALc", Some("COMthree")),
        ("CALd", Some("COMone")),
        ("CALe", Some("COMone")),
        ("CALf", None),
        ("CALi", Some("COMone")),
    ] {
        let row = trunkline.row(id).await.unwrap();
        assert_eq!(row.company_id.as_ref().map(CompanyId::as_str), company, "{id}");
    }
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 7);
    let letters = trunkline.dead_letters().await;
    assert_eq!(letters.len(), 1);
    let kept = QuarantinedDelivery::decode(&letters[0].body).unwrap();
    assert_eq!(kept.company.as_ref().map(CompanyId::as_str), Some("COMtwo"));
    assert!(
        running
            .log()
            .contains("the signing key belongs to another company than the body names")
    );
}

#[tokio::test]
async fn without_a_signing_key_every_webhook_is_refused_and_the_log_says_what_to_do() {
    let trunkline = Installation::new().without("CALLRAIL_SIGNING_KEYS");
    let running = trunkline.start("run").await;
    let example = sample("post_call_answered.json");
    let signed = trunkline
        .post_signed("post-call", example.body.clone(), &example.signature)
        .await;
    assert_eq!(
        (signed.status.as_u16(), &signed.json()["status"]),
        (401, &json!("error"))
    );
    let unsigned = trunkline.send(trunkline.webhook("post-call", example.body)).await;
    assert_eq!(
        (unsigned.status.as_u16(), &unsigned.json()["status"]),
        (401, &json!("error"))
    );
    let by_nothing = trunkline
        .post_signed("post-call", "{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .await;
    assert_eq!(by_nothing.status, 401);

    let log = running.log();
    let error = log
        .lines()
        .find(|line| line.contains("ERROR") && line.contains("CALLRAIL_SIGNING_KEYS"));
    assert!(error.is_some(), "{log}");
    trunkline.settle().await;
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 0);
}

#[tokio::test]
async fn the_test_endpoint_answers_as_the_guide_shows_and_judges_a_signature() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let url = trunkline.url("/api/webhooks/test");
    let data = r#"{"test": "data"}"#;
    let post = || {
        let request = trunkline.client().post(&url);
        request.header("content-type", "application/json").body(data)
    };
    let right = signature(SIGNING_KEY, data.as_bytes());
    let wrong = signature(OTHER_KEY, data.as_bytes());
    for (request, verdict) in [
        (post(), "missing"),
        (post().header("signature", &right), "valid"),
        (post().header("x-callrail-signature", &right), "valid"),
        (post().header("signature", &wrong), "invalid"),
        (post().header("signature", "?"), "malformed"),
        (trunkline.client().get(&url), "missing"),
    ] {
        let answer = trunkline.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let said = answer.json();
        assert_eq!(
            (&said["status"], &said["signature"]),
            (&json!("success"), &json!(verdict))
        );
    }
    trunkline.settle().await;
    assert_eq!(trunkline.dead_letters().await, []);
}

#[tokio::test]
async fn there_is_nothing_at_other_addresses() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let example = sample("post_call_answered.json");
    for path in [
        "/",
        "/api/webhooks",
        "/api/webhooks/callrail",
        "/api/webhooks/callrail/",
        "/api/webhooks/callrail/COM1/post-call/more",
        "/api/webhooks/callrail/../../../etc/passwd",
        "/API/WEBHOOKS/CALLRAIL/post-call",
        "/metrics",
        "/healthz",
    ] {
        let request = trunkline.client().post(trunkline.url(path));
        let request = request
            .header("signature", &example.signature)
            .body(example.body.clone());
        assert_refused(&trunkline.send(request).await, 404, "not_found");
    }
    for method in [
        Method::GET,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::HEAD,
    ] {
        let url = trunkline.url("/api/webhooks/callrail/post-call");
        let request = trunkline.client().request(method.clone(), url);
        let request = request
            .header("signature", &example.signature)
            .body(example.body.clone());
        let status = trunkline.send(request).await.status.as_u16();
        assert!(status == 404 || status == 405, "{method}: {status}");
    }
    trunkline.settle().await;
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 0);
}

#[tokio::test]
async fn a_long_query_is_ignored() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let body = call("CALquery", json!({}));
    let signature = signature(SIGNING_KEY, &body);
    let query = format!(
        "post-call?answered=false&duration=1&callername={}",
        "DOE+JANE".repeat(2_000)
    );
    let answer = trunkline.post_signed(&query, body, &signature).await;
    assert_eq!(answer.status, 200);
    trunkline.settle().await;
    assert_eq!(
        trunkline.row("CALquery").await.unwrap().call_duration_seconds,
        184
    );
}

#[tokio::test]
async fn sixteen_mebibytes_are_read_and_not_a_byte_more() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let padded = |id: &str, length: usize| {
        let mut body = call(id, json!({}));
        body.resize(length, b' ');
        body
    };
    let answer = trunkline.post("post-call", padded("CALlong", MAX_BODY)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let too_long = trunkline
        .post("post-call", padded("CALtoolong", MAX_BODY + 1))
        .await;
    assert_refused(&too_long, 413, "too_large");

    trunkline.settle().await;
    assert!(trunkline.row("CALlong").await.is_some());
    assert!(trunkline.row("CALtoolong").await.is_none());
    assert_eq!(counted(&trunkline, &running).await["Unread"], 1);
}

#[tokio::test]
async fn a_call_is_stored_although_the_sender_hangs_up_without_waiting() {
    let trunkline = Installation::new();
    let mut running = trunkline.start("run").await;
    for number in 0..50 {
        let body = call(&format!("CALhungup{number}"), json!({}));
        let mut connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
        connection.write_all(&head(body.len(), &body)).await.unwrap();
        connection.write_all(&body).await.unwrap();
        drop(connection);
    }
    let stored = eventually(|| async {
        let stored = trunkline.store().await.count_interactions().await.unwrap();
        (stored == 50).then_some(())
    });
    let stored = stored.await;
    let count = trunkline.store().await.count_interactions().await.unwrap();
    assert!(
        stored.is_some(),
        "{count} of 50 are stored; the log:\n{}",
        running.log()
    );
    assert!(running.is_running());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_delivery_and_disturbs_no_other() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let body = call("CALbrokenoff", json!({}));
    for length in [0, 1, body.len() / 2, body.len() - 1] {
        let mut connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
        connection.write_all(&head(body.len(), &body)).await.unwrap();
        connection.write_all(&body[..length]).await.unwrap();
        connection.shutdown().await.unwrap();
        // Whatever is answered, if anything: then the program has done with it.
        let _ = connection.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(
        trunkline
            .post("post-call", call("CALother", json!({})))
            .await
            .status,
        200
    );
    trunkline.settle().await;
    assert!(trunkline.row("CALother").await.is_some());
    assert!(trunkline.row("CALbrokenoff").await.is_none());
    assert_eq!(trunkline.dead_letters().await, []);
    assert!(!running.log().contains("panicked"), "{}", running.log());
}

/// The head of a signed request with a body of this length.
fn head(length: usize, body: &[u8]) -> Vec<u8> {
    let signature = signature(SIGNING_KEY, body);
    format!(
        "POST /api/webhooks/callrail/post-call HTTP/1.1\r\nHost: crm.example.com\r\n\
         User-Agent: CallRail Webhook/1.0\r\nAccept: */*\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nSignature: {signature}\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn long_bodies_that_never_end_keep_no_delivery_out() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(trunkline.http_address()).await.unwrap();
        connection.write_all(&head(MAX_BODY, b"")).await.unwrap();
        // As much as fits; a connection that was refused in the meantime takes no more.
        let _ = connection.write_all(&vec![b' '; MAX_BODY - 1]).await;
        stalled.push(connection);
    }
    let body = call("CALgenuine", json!({}));
    let answer = trunkline.post("post-call", body).await;
    assert_eq!(answer.status, 200, "{}; the log:\n{}", answer.text, running.log());
    trunkline.settle().await;
    assert!(trunkline.row("CALgenuine").await.is_some());
}
