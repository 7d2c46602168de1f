//! Publishes events: one signed request for up to ten of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, Url, header, redirect};
use serde::Serialize;
use sha2::Sha256;

use crate::{
    error::PusherError,
    event::{Event, MAX_BATCH},
    url::PusherUrl,
};

/// How much of an answer is read. Pusher's answers are one line.
const MAX_ANSWER_BYTES: usize = 4_096;

/// How much of a refusal goes into the error, in characters.
const MAX_BODY_START: usize = 200;

/// An HTTP client fit for [`Pusher::new`]: it follows no redirect, and no alert shares a connection with others that
/// may hang. The caller may set more, and builds it.
pub fn http_client() -> ClientBuilder {
    Client::builder().redirect(redirect::Policy::none()).http1_only()
}

/// An app at a Pusher server, to publish to. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Pusher {
    url: PusherUrl,
    client: Client,
    timeout: Duration,
}

impl Pusher {
    /// Publishes to `url` over `client`, which should come from [`http_client`].
    ///
    /// `timeout` bounds a whole request, from connecting to the end of the answer.
    pub fn new(url: PusherUrl, client: Client, timeout: Duration) -> Self {
        Self { url, client, timeout }
    }

    /// Publishes the events, in order, with one request. No events is no request.
    ///
    /// `now` goes into the signature; Pusher refuses one that is more than 600 s off its own clock.
    /// After [`PusherError::Unreachable`] the events may have been published; after any other error none was.
    pub async fn publish_batch(&self, events: &[Event], now: DateTime<Utc>) -> Result<(), PusherError> {
        if events.is_empty() {
            return Ok(());
        }
        if events.len() > MAX_BATCH {
            return Err(PusherError::BatchTooLong { events: events.len() });
        }
        for (index, event) in events.iter().enumerate() {
            event
                .check()
                .map_err(|source| PusherError::Invalid { index, source })?;
        }

        // Three strings cannot fail to serialise, and an empty body would only be refused by the server.
        let body = serde_json::to_vec(&Batch { batch: events }).unwrap_or_default();
        let path = format!("/apps/{}/batch_events", self.url.app_id());
        let address = self.signed_address(&Method::POST, &path, &body, now);
        let request = self
            .client
            .post(address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        self.send(request, &address).await
    }

    /// Asks which channels are in use, and only looks at whether the server answers: so key, secret and app hold, and
    /// nobody notices.
    pub async fn check(&self, now: DateTime<Utc>) -> Result<(), PusherError> {
        let path = format!("/apps/{}/channels", self.url.app_id());
        let address = self.signed_address(&Method::GET, &path, &[], now);
        self.send(self.client.get(address.clone()), &address).await
    }

    fn signed_address(&self, method: &Method, path: &str, body: &[u8], now: DateTime<Utc>) -> Url {
        let mut address = self.url.server().clone();
        address.set_path(path);
        address.set_query(Some(&signed_query(&self.url, method, path, body, now)));
        address
    }

    async fn send(&self, request: RequestBuilder, address: &Url) -> Result<(), PusherError> {
        let request = request.timeout(self.timeout);
        let response = request.send().await.map_err(unreachable)?;

        // A client that follows redirects in spite of our advice ends at another address.
        if response.url() != address {
            return Err(PusherError::Redirected);
        }
        let status = response.status();
        // Read in any case: a connection can be used again only after its answer was read.
        let answer = start_of(response).await;
        if status.is_success() {
            return Ok(());
        }
        Err(PusherError::of_answer(status, || shortened(&answer)))
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    batch: &'a [Event],
}

/// The query that proves who sends `body` to `path` (Pusher's HTTP API reference, "Generating authentication
/// signatures"): the parameters in alphabetical order, then their signature. Without a body there is no hash of it.
fn signed_query(url: &PusherUrl, method: &Method, path: &str, body: &[u8], now: DateTime<Utc>) -> String {
    let mut query = format!(
        "auth_key={}&auth_timestamp={}&auth_version=1.0",
        url.key(),
        now.timestamp(),
    );
    if !body.is_empty() {
        query.push_str("&body_md5=");
        query.push_str(&hex::encode(Md5::digest(body)));
    }
    let signed = format!("{method}\n{path}\n{query}");
    format!(
        "{query}&auth_signature={}",
        hex::encode(hmac_sha256(url.secret().as_bytes(), signed.as_bytes()))
    )
}

pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length; the error type is there for other algorithms.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// The URL carries key and signature, and errors are logged.
fn unreachable(error: reqwest::Error) -> PusherError {
    PusherError::Unreachable {
        source: error.without_url(),
    }
}

/// The first bytes of an answer; what cannot be read any more is left out.
async fn start_of(mut response: Response) -> Vec<u8> {
    let mut start = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        start.extend_from_slice(&chunk);
        if start.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    start
}

fn shortened(answer: &[u8]) -> String {
    let blank_controls = |c: char| if c.is_control() { ' ' } else { c };
    String::from_utf8_lossy(answer)
        .trim()
        .chars()
        .take(MAX_BODY_START)
        .map(blank_controls)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_pushers_reference_is_signed_as_published() {
        let url: PusherUrl = "http://278d425bdf160c739803:7ad3773142a6692b25b8@api.pusherapp.com/apps/3"
            .parse()
            .unwrap();
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let now = DateTime::from_timestamp(1_353_088_179, 0).unwrap();
        assert_eq!(
            signed_query(&url, &Method::POST, "/apps/3/events", body, now),
            "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }

    #[test]
    fn a_long_answer_with_control_characters_is_shortened_to_one_line() {
        let answer = format!("bad\nrequest {}", "é".repeat(300));
        let short = shortened(answer.as_bytes());
        assert!(short.starts_with("bad request é"));
        assert_eq!(short.chars().count(), MAX_BODY_START);
    }
}
