//! The console: a page without data for everybody, a session for who has a token, and nothing for who has none.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::json;
use trunkline_tests::{Installation, Process, sample};

use crate::api::token;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn start() -> (Installation, Process) {
    let trunkline = Installation::new().with("JWT_SECRET", SECRET);
    let running = trunkline.start("run").await;
    (trunkline, running)
}

fn request(trunkline: &Installation, method: Method, path: &str) -> RequestBuilder {
    trunkline.client().request(method, trunkline.url(path))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().expect("a header of ours is text"))
}

async fn sign_in(trunkline: &Installation, token: &str, proto: &str) -> Response {
    let signed_in = request(trunkline, Method::POST, "/api/session")
        .bearer_auth(token)
        .header("x-forwarded-proto", proto)
        .send();
    signed_in.await.unwrap()
}

/// The cookie as a browser sends it back.
fn cookie(response: &Response) -> String {
    let set = header(response.headers(), "set-cookie");
    set.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_given_to_everybody_and_may_load_nothing_from_elsewhere() {
    let (trunkline, _running) = start().await;
    let page = request(&trunkline, Method::GET, "/console").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let headers = page.headers().clone();
    assert_eq!(header(&headers, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
    let policy = header(&headers, "content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");

    let html = page.text().await.unwrap();
    let files = html.split('"').filter(|part| part.starts_with("/console/"));
    let mut files: Vec<String> = files.map(str::to_owned).collect();
    let mut next = 0;
    while let Some(path) = files.get(next).cloned() {
        next += 1;
        let file = request(&trunkline, Method::GET, &path).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        let tag = header(file.headers(), "etag").to_owned();
        let again = request(&trunkline, Method::GET, &path).header("if-none-match", tag);
        assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
        let text = file.text().await.unwrap();
        assert!(!text.contains("innerHTML"), "{path}");
        // The icon names the namespace of SVG, which nobody loads.
        assert!(
            !text.replace("http://www.w3.org/2000/svg", "").contains("://"),
            "{path}"
        );
        for import in text.split("from \"./").skip(1) {
            let name = import.split('"').next().unwrap_or_default();
            let path = format!("/console/{name}");
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 18, "{files:?}");
    let other = request(&trunkline, Method::GET, "/console/../auth.rs")
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends() {
    let (trunkline, _running) = start().await;
    let token = token(&trunkline, &["--user", "7", "--valid-for", "10m"]).await;
    let plain = sign_in(&trunkline, &token, "http").await;
    assert_eq!(plain.status(), StatusCode::OK);
    let set = header(plain.headers(), "set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api", "Max-Age="] {
        assert!(set.contains(attribute), "{attribute}");
    }
    assert!(!set.contains("Secure"), "a browser would not send it back");
    let seconds: u64 = set
        .split("Max-Age=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((550..=660).contains(&seconds), "as long as the token: {seconds}");
    let secure = sign_in(&trunkline, &token, "https").await;
    assert!(header(secure.headers(), "set-cookie").contains("Secure"));

    let cookie = cookie(&plain);
    let session: serde_json::Value = serde_json::from_str(&plain.text().await.unwrap()).unwrap();
    assert_eq!(session["user"], "7");
    assert_eq!(session["scopes"], json!(["callrail:read", "callrail:write"]));
    for path in ["/api/session", "/api/interactions", "/api/alerts"] {
        let answer = request(&trunkline, Method::GET, path)
            .header("cookie", &cookie)
            .send();
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_changes_nothing_unless_the_console_itself_asks() {
    let (trunkline, _running) = start().await;
    let token = token(&trunkline, &[]).await;
    let cookie = cookie(&sign_in(&trunkline, &token, "http").await);
    let path = "/api/contacts/lead/1";
    let put = |headers: &[(&'static str, &'static str)]| {
        let request = request(&trunkline, Method::PUT, path)
            .header("cookie", &cookie)
            .body("{}");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for (headers, expected) in [
        (&[][..], 403),
        (&[("sec-fetch-site", "same-origin")][..], 403),
        (
            &[("x-trunkline-console", "1"), ("sec-fetch-site", "cross-site")][..],
            403,
        ),
        (
            &[("x-trunkline-console", "1"), ("sec-fetch-site", "same-site")][..],
            403,
        ),
        (
            &[("x-trunkline-console", "1"), ("sec-fetch-site", "same-origin")][..],
            200,
        ),
        (&[("x-trunkline-console", "1")][..], 200),
    ] {
        let answer = put(headers).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{headers:?}");
    }
    // A page of another origin asks first whether it may send the header, and may not.
    let preflight = request(&trunkline, Method::OPTIONS, path)
        .header("origin", "https://crm.example.com")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-trunkline-console");
    let allowed = preflight.send().await.unwrap();
    assert!(!allowed.headers().contains_key("access-control-allow-headers"));

    let sign_out = request(&trunkline, Method::DELETE, "/api/session")
        .header("cookie", &cookie)
        .header("x-trunkline-console", "1");
    let signed_out = sign_out.send().await.unwrap();
    assert_eq!(signed_out.status(), StatusCode::OK);
    assert!(header(signed_out.headers(), "set-cookie").contains("Max-Age=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_do_what_its_token_may_and_a_bad_token_makes_none() {
    let (trunkline, _running) = start().await;
    let reader = token(&trunkline, &["--scope", "callrail:read"]).await;
    let cookie = cookie(&sign_in(&trunkline, &reader, "http").await);
    let put = request(&trunkline, Method::PUT, "/api/contacts/lead/1")
        .header("cookie", &cookie)
        .header("x-trunkline-console", "1")
        .body("{}");
    assert_eq!(put.send().await.unwrap().status(), StatusCode::FORBIDDEN);

    for bad in ["x", &format!("{reader}x")] {
        let refused = sign_in(&trunkline, bad, "http").await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(!refused.headers().contains_key("set-cookie"));
        let cookie = format!("trunkline_session={bad}");
        let asked = request(&trunkline, Method::GET, "/api/interactions").header("cookie", cookie);
        assert_eq!(asked.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    // A session makes no other: that takes a token.
    let by_cookie = request(&trunkline, Method::POST, "/api/session")
        .header("cookie", &cookie)
        .header("x-trunkline-console", "1");
    assert_eq!(by_cookie.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_looked_for_and_callers_who_wait_are_listed_with_the_names_of_the_crm() {
    let (trunkline, _running) = start().await;
    let token = token(&trunkline, &[]).await;
    let ask = |method, path: &str| request(&trunkline, method, path).bearer_auth(&token);
    let jane = json!({"name": "Jane Doe", "owner_id": "7", "phones": ["(404) 555-0123"]});
    let told = ask(Method::PUT, "/api/contacts/customer/42").body(jane.to_string());
    assert_eq!(trunkline.send(told).await.status, StatusCode::OK);
    for (search, found) in [
        ("jane", 1),
        ("404.555.0123", 1),
        ("555-01", 1),
        ("42", 1),
        ("nobody", 0),
    ] {
        let answer = trunkline
            .send(ask(Method::GET, &format!("/api/contacts?q={search}")))
            .await;
        let contacts = answer.json()["contacts"].as_array().cloned().unwrap();
        assert_eq!(contacts.len(), found, "{search}: {answer:?}");
    }

    let accepted = trunkline
        .post("post-call", sample("post_call_missed.json").body)
        .await;
    assert_eq!(accepted.status, StatusCode::OK);
    trunkline.settle().await;
    let waiting = trunkline.send(ask(Method::GET, "/api/callbacks")).await.json();
    assert_eq!(waiting["interactions"].as_array().map(Vec::len), Some(1));
    let expected = json!({"kind": "customer", "id": "42", "name": "Jane Doe"});
    assert_eq!(waiting["interactions"][0]["contact"], expected);
    let since = trunkline
        .send(ask(Method::GET, "/api/alerts?since=2020-01-01T00:00:00Z"))
        .await
        .json();
    assert!(!since["alerts"].as_array().unwrap().is_empty());
}
