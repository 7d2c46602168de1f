//! A server that takes events as Pusher does, refuses them as Pusher does, and hands them to the pages that have
//! joined their channels.
//!
//! It checks what Pusher's HTTP API reference asks for ("Authentication", "POST batch events", "GET channels") with code
//! of its own; to pages it speaks as much of the Channels protocol (version 7) as `pusher-js` needs: [`pages`].

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod pages;

use crate::{Server, eventually};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::Value;
use sha2::Sha256;

const APP_ID: &str = "4711";
const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";

/// Pusher's limits: seconds, events in a batch, bytes of an event's data, characters of names.
const MAX_CLOCK_DIFFERENCE: i64 = 600;
const MAX_BATCH: usize = 10;
const MAX_DATA: usize = 10_240;
const MAX_EVENT_NAME: usize = 200;
const MAX_CHANNEL_NAME: usize = 164;

/// A running server; it ends when it is dropped.
pub struct Peer {
    state: Arc<State>,
    server: Server,
}

/// What the server does with a good request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes it.
    Fine,
    /// Answers with this status.
    Answers(u16),
    /// Never answers.
    Hangs,
}

/// An event that the server took.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who hears it.
    pub channel: String,
    /// Which alert.
    pub name: String,
    /// What it says.
    pub data: Value,
    /// When it was taken.
    pub at: Instant,
}

struct State {
    mood: Mutex<Mood>,
    received: Mutex<Vec<Received>>,
    /// Status and reason of every request that was not taken.
    refused: Mutex<Vec<(u16, String)>>,
    pages: pages::Pages,
}

/// The setting `PUSHER_URL` for a server at this address.
pub fn url(address: &str) -> String {
    url_with_secret(address, SECRET)
}

/// The same with another secret.
pub fn url_with_secret(address: &str, secret: &str) -> String {
    format!("http://{KEY}:{secret}@{address}/apps/{APP_ID}")
}

impl Peer {
    /// Serves on an address of its own choice, which it returns.
    pub fn start(mood: Mood) -> (Self, String) {
        let peer = Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), mood);
        let address = peer.server.address.to_string();
        (peer, address)
    }

    /// Serves on this listener.
    pub fn serve(listener: TcpListener, mood: Mood) -> Self {
        let state = Arc::new(State {
            mood: Mutex::new(mood),
            received: Mutex::default(),
            refused: Mutex::default(),
            pages: pages::Pages::default(),
        });
        let shared = web::Data::from(Arc::clone(&state));
        let server = Server::on(listener, move |app| {
            app.app_data(shared.clone())
                .route("/app/{key}", web::get().to(pages::join))
                .default_service(web::to(take));
        });
        Self { state, server }
    }

    /// Does this from now on.
    pub fn becomes(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// All that was taken so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// How many events were taken so far.
    pub fn count(&self) -> usize {
        self.state.received.lock().unwrap().len()
    }

    /// The last event of this name about a call.
    pub fn event_of(&self, name: &str, call_sid: &str) -> Option<Received> {
        let received = self.state.received.lock().unwrap();
        // Whoever asks is waiting for one of the last, of which there may be thousands.
        let of_call = |event: &&Received| event.name == name && event.data["call_sid"] == call_sid;
        received.iter().rev().find(of_call).cloned()
    }

    /// Status and reason of all that was not taken so far.
    pub fn refused(&self) -> Vec<(u16, String)> {
        self.state.refused.lock().unwrap().clone()
    }

    /// Waits until that many events of this name have come, and gives them.
    pub async fn events(&self, name: &str, count: usize) -> Vec<Received> {
        let named = || {
            let mut events = self.received();
            events.retain(|event| event.name == name);
            events
        };
        let all_there = eventually(|| async { Some(named()).filter(|events| events.len() >= count) });
        all_there.await.unwrap_or_else(|| {
            panic!(
                "not {count} {name}, but {:?}; refused: {:?}",
                named(),
                self.refused()
            )
        })
    }

    /// Waits until that many requests were refused.
    pub async fn refuses(&self, count: usize) {
        let refused = eventually(|| async { (self.refused().len() >= count).then_some(()) });
        assert!(refused.await.is_some(), "only {:?} were refused", self.refused());
    }
}

async fn take(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let refuse = |status: u16, reason: &str| {
        state.refused.lock().unwrap().push((status, reason.to_owned()));
        HttpResponse::build(status.try_into().unwrap()).body(reason.to_owned())
    };
    if let Err((status, reason)) = authenticate(&request, &body) {
        return refuse(status, reason);
    }
    let mood = *state.mood.lock().unwrap();
    match mood {
        Mood::Fine => {}
        Mood::Answers(status) => return refuse(status, "broken"),
        Mood::Hangs => {
            drop(refuse(500, "never said"));
            return std::future::pending().await;
        }
    }
    if request.method() == "GET" {
        return HttpResponse::Ok().body("{\"channels\":{}}");
    }
    match events(&body) {
        Ok(events) => {
            state.pages.tell(&events).await;
            state.received.lock().unwrap().extend(events);
            HttpResponse::Ok().body("{}")
        }
        Err((status, reason)) => refuse(status, reason),
    }
}

type Refusal = (u16, &'static str);

fn authenticate(request: &HttpRequest, body: &[u8]) -> Result<(), Refusal> {
    let (method, path) = (request.method().as_str(), request.path());
    let endpoint = path
        .strip_prefix("/apps/")
        .and_then(|path| path.strip_prefix(APP_ID));
    if !matches!(
        (method, endpoint),
        ("POST", Some("/batch_events")) | ("GET", Some("/channels"))
    ) {
        return Err((404, "no such endpoint"));
    }
    let query = request.query_string();
    let mut query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let signature = query.remove("auth_signature").ok_or((401, "no signature"))?;
    let parameter = |name| query.get(name).copied().unwrap_or_default();
    if parameter("auth_key") != KEY || parameter("auth_version") != "1.0" {
        return Err((401, "another key or version"));
    }
    let timestamp: i64 = parameter("auth_timestamp")
        .parse()
        .map_err(|_| (401, "no timestamp"))?;
    if (Utc::now().timestamp() - timestamp).abs() > MAX_CLOCK_DIFFERENCE {
        return Err((401, "the timestamp has expired"));
    }
    if method == "POST" && parameter("body_md5") != hex::encode(Md5::digest(body)) {
        return Err((401, "another body"));
    }
    let sorted: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={value}", name.to_lowercase()))
        .collect();
    let signed = format!("{method}\n{path}\n{}", sorted.join("&"));
    let mut hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    hmac.update(signed.as_bytes());
    if signature != hex::encode(hmac.finalize().into_bytes()) {
        return Err((401, "the signature does not hold"));
    }
    Ok(())
}

fn events(body: &[u8]) -> Result<Vec<Received>, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| (400, "not JSON"))?;
    let batch = body["batch"].as_array().ok_or((400, "no batch"))?;
    if batch.is_empty() || batch.len() > MAX_BATCH {
        return Err((400, "not 1 to 10 events"));
    }
    batch.iter().map(event).collect()
}

fn event(event: &Value) -> Result<Received, Refusal> {
    let text = |key| event[key].as_str().unwrap_or_default();
    let (channel, name, data) = (text("channel"), text("name"), text("data"));
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    if !(1..=MAX_CHANNEL_NAME).contains(&channel.len()) || !channel.bytes().all(is_allowed) {
        return Err((400, "not a channel"));
    }
    if !(1..=MAX_EVENT_NAME).contains(&name.len()) {
        return Err((400, "not the name of an event"));
    }
    if data.len() > MAX_DATA {
        return Err((413, "more than 10 kB"));
    }
    Ok(Received {
        channel: channel.to_owned(),
        name: name.to_owned(),
        data: serde_json::from_str(data).map_err(|_| (400, "the data is not JSON"))?,
        at: Instant::now(),
    })
}

/// The value in the middle, and the greatest.
pub fn median_and_max(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}
