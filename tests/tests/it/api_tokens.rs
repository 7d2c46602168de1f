//! Who gets into the HTTP API, and who does not, whatever he tries.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use trunkline_tests::{Answer, Installation};

use crate::api::token;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Made for these tests with `openssl ecparam -name prime256v1`.
const EC_PRIVATE: &str = include_str!("keys/ec_private.pem");
const EC_PUBLIC: &str = include_str!("keys/ec_public.pem");
const RSA_PRIVATE: &str = include_str!("keys/rsa_private.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa_public.pem");

const BOTH: &str = "callrail:read callrail:write";

fn claims(change: &Value) -> Value {
    let mut claims = json!({"sub": "7", "scope": BOTH, "exp": Utc::now().timestamp() + 600});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

fn hs256(claims: &Value) -> String {
    signed(
        Algorithm::HS256,
        &EncodingKey::from_secret(SECRET.as_bytes()),
        claims,
    )
}

async fn ask(trunkline: &Installation, method: Method, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = trunkline.client().request(method, trunkline.url(path));
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    trunkline.send(request).await
}

async fn status_with(trunkline: &Installation, token: &str) -> (u16, String) {
    let authorization = format!("Bearer {token}");
    let path = "/api/interactions";
    let answer = ask(trunkline, Method::GET, path, Some(&authorization)).await;
    let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), code)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_of_the_description_asks_for_a_token() {
    let trunkline = Installation::new().with("JWT_SECRET", SECRET);
    let _running = trunkline.start("run").await;
    let document = ask(&trunkline, Method::GET, "/api/openapi.json", None)
        .await
        .json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{paths:?}");
    let good = format!("Bearer {}", token(&trunkline, &[]).await);
    for (path, methods) in paths {
        let path = path
            .replace("{call_id}", "CAL1")
            .replace("{kind}", "lead")
            .replace("{id}", "0190b7a5-0000-7000-8000-000000000000");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = ask(&trunkline, method.clone(), &path, None).await;
            assert_eq!(
                answer.status,
                StatusCode::UNAUTHORIZED,
                "{method} {path}: {answer:?}"
            );
            assert_eq!(answer.json()["status"], "error", "{method} {path}");
            // The description and the routes say the same.
            if path.ends_with("/stream") {
                continue;
            }
            let answer = ask(&trunkline, method.clone(), &path, Some(&good)).await;
            assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_ne!(
                answer.json()["message"],
                "There is nothing at this address",
                "{method} {path}"
            );
        }
    }
    for path in [
        "/api/integrations/callrail/nothing",
        "/api/interactions/1/2/3",
        "/api/pusher/auth",
    ] {
        assert_eq!(
            ask(&trunkline, Method::GET, path, None).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let cases = [
        ("/api/integrations/callrail/nothing", 404, "not_found"),
        ("/api/pusher/auth", 405, "method_not_allowed"),
        ("/nothing", 404, "not_found"),
    ];
    for (path, status, code) in cases {
        let answer = ask(&trunkline, Method::GET, path, Some(&good)).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.json()["code"], code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_gets_nothing() {
    let trunkline = Installation::new().with("JWT_SECRET", SECRET);
    let _running = trunkline.start("run").await;
    let now = Utc::now().timestamp();
    assert_eq!(status_with(&trunkline, &hs256(&claims(&json!({})))).await.0, 200);
    // A minute may lie between two clocks.
    assert_eq!(
        status_with(&trunkline, &hs256(&claims(&json!({"exp": now - 30}))))
            .await
            .0,
        200
    );
    assert_eq!(
        status_with(
            &trunkline,
            &hs256(&claims(&json!({"scope": "", "scopes": ["callrail:read"]})))
        )
        .await
        .0,
        200
    );

    let mut without_end = claims(&json!({}));
    without_end.as_object_mut().unwrap().remove("exp");
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let good = hs256(&claims(&json!({})));
    let (start, _) = good.rsplit_once('.').unwrap();
    let other_secret = EncodingKey::from_secret(&[7; 32]);
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
    for (what, token, code) in [
        (
            "expired",
            hs256(&claims(&json!({"exp": now - 120}))),
            "token_expired",
        ),
        ("without exp", hs256(&without_end), "token_invalid"),
        (
            "not yet",
            hs256(&claims(&json!({"nbf": now + 600}))),
            "token_invalid",
        ),
        (
            "another secret",
            signed(Algorithm::HS256, &other_secret, &claims(&json!({}))),
            "token_invalid",
        ),
        (
            "HS512",
            signed(Algorithm::HS512, &secret, &claims(&json!({}))),
            "token_invalid",
        ),
        (
            "RS256",
            signed(Algorithm::RS256, &rsa, &claims(&json!({}))),
            "token_invalid",
        ),
        (
            "alg none",
            format!(
                "{}.{}.",
                part(json!({"alg": "none", "typ": "JWT"})),
                part(claims(&json!({})))
            ),
            "token_invalid",
        ),
        ("no signature", format!("{start}."), "token_invalid"),
        ("no token", "x".to_owned(), "token_invalid"),
    ] {
        assert_eq!(
            status_with(&trunkline, &token).await,
            (401, code.to_owned()),
            "{what}"
        );
    }
    for authorization in ["", "Basic eDp5", "Bearer", &format!("Token {good}")] {
        let answer = ask(&trunkline, Method::GET, "/api/interactions", Some(authorization)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization}");
        assert_eq!(answer.json()["code"], "token_missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_and_writing_need_their_scopes() {
    let trunkline = Installation::new().with("JWT_SECRET", SECRET);
    let _running = trunkline.start("run").await;
    let read = format!(
        "Bearer {}",
        token(&trunkline, &["--scope", "callrail:read"]).await
    );
    let write = format!(
        "Bearer {}",
        token(&trunkline, &["--scope", "callrail:write"]).await
    );
    let other = format!(
        "Bearer {}",
        token(&trunkline, &["--scope", "callrail:reader"]).await
    );
    let path = "/api/contacts/lead/1";
    for (method, path, authorization, expected) in [
        (Method::GET, "/api/interactions", &read, 200),
        (Method::GET, "/api/interactions", &write, 403),
        (Method::GET, "/api/interactions", &other, 403),
        (Method::PUT, path, &read, 403),
        (Method::PUT, path, &write, 200),
        (
            Method::POST,
            "/api/integrations/callrail/import-calls",
            &read,
            403,
        ),
        (
            Method::POST,
            "/api/integrations/callrail/call/CAL1/recording/ticket",
            &read,
            503,
        ),
    ] {
        let answer = ask(&trunkline, method.clone(), path, Some(authorization)).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {answer:?}");
        if expected == 403 {
            assert_eq!(answer.json()["code"], "scope_missing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn audience_and_issuer_are_checked_when_they_are_set_and_the_token_command_knows_them() {
    let trunkline = Installation::new()
        .with("JWT_SECRET", SECRET)
        .with("JWT_AUDIENCE", "trunkline")
        .with("JWT_ISSUER", "crm")
        .with("JWT_USER_CLAIM", "uid");
    let _running = trunkline.start("run").await;
    let made = token(&trunkline, &["--user", "7"]).await;
    assert_eq!(status_with(&trunkline, &made).await.0, 200);
    for (expected, change) in [
        (200, json!({"aud": ["x", "trunkline"], "iss": "crm"})),
        (401, json!({"aud": "else", "iss": "crm"})),
        (401, json!({"aud": "trunkline", "iss": "else"})),
        (401, json!({"aud": "trunkline"})),
        (401, json!({"iss": "crm"})),
    ] {
        let answer = status_with(&trunkline, &hs256(&claims(&change))).await;
        assert_eq!(answer.0, expected, "{change}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_takes_the_tokens_of_its_own_algorithm_alone() {
    let ec = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap();
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).unwrap();
    let all = [(Algorithm::ES256, ec), (Algorithm::RS256, rsa)];
    for (index, public) in [EC_PUBLIC, RSA_PUBLIC].into_iter().enumerate() {
        let trunkline = Installation::new().with("JWT_PUBLIC_KEY", public);
        let _running = trunkline.start("run").await;
        for (other, (algorithm, key)) in all.iter().enumerate() {
            let answer = status_with(&trunkline, &signed(*algorithm, key, &claims(&json!({})))).await;
            assert_eq!(
                answer.0,
                if other == index { 200 } else { 401 },
                "{algorithm:?}: {answer:?}"
            );
        }
        // The public key is no secret: whoever signs with it by HMAC must not get in.
        for text in [public, public.trim()] {
            let key = EncodingKey::from_secret(text.as_bytes());
            let forged = signed(Algorithm::HS256, &key, &claims(&json!({})));
            assert_eq!(status_with(&trunkline, &forged).await.0, 401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nobody_gets_in_and_a_key_that_is_none_stops_the_process() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let answer = status_with(&trunkline, &hs256(&claims(&json!({})))).await;
    assert_eq!(answer, (401, "no_key".to_owned()));
    let answer = ask(&trunkline, Method::GET, "/api/integrations/callrail/status", None).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("JWT_SECRET"), "{answer:?}");

    for (settings, expected) in [
        (vec![("JWT_SECRET", "short")], "shorter than 32 bytes"),
        (
            vec![("JWT_SECRET", SECRET), ("JWT_PUBLIC_KEY", EC_PUBLIC)],
            "both set",
        ),
        (vec![("JWT_PUBLIC_KEY", "no key")], "no public key"),
        (vec![("JWT_PUBLIC_KEY", EC_PRIVATE)], "is a private key"),
        (vec![("CORS_ORIGINS", "https://crm.example.com/")], "no origin"),
        (vec![("CORS_ORIGINS", "*")], "no origin"),
    ] {
        let mut trunkline = Installation::new();
        for (name, value) in settings {
            trunkline = trunkline.with(name, value);
        }
        let told = trunkline.run(&["run"]).await;
        assert_eq!(told.code, 1, "{told:?}");
        assert!(told.err.contains(expected), "{told:?}");
        assert!(!told.err.contains(SECRET), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_from_the_pages_that_are_named_and_keep_nothing() {
    let trunkline = Installation::new()
        .with("JWT_SECRET", SECRET)
        .with("CORS_ORIGINS", "https://crm.example.com");
    let _running = trunkline.start("run").await;
    let url = trunkline.url("/api/interactions");
    let preflight = |origin: &'static str| {
        trunkline
            .client()
            .request(Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let allowed = preflight("https://crm.example.com").await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://crm.example.com"
    );
    let other = preflight("https://other.example.com").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));

    let refused = trunkline
        .client()
        .get(&url)
        .header("origin", "https://crm.example.com")
        .send();
    let refused = refused.await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refused.headers()["access-control-allow-origin"],
        "https://crm.example.com"
    );
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
}
