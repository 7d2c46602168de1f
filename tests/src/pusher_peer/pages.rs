//! The pages' side: web sockets, on which a page joins channels with the signature that Trunkline gave it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::{HttpRequest, HttpResponse, rt, web};
use actix_ws::{Message, MessageStream, Session};
use futures_util::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{KEY, Received, SECRET, State};

/// The pages that are connected.
#[derive(Default)]
pub(super) struct Pages {
    connected: Mutex<Vec<Page>>,
    next: AtomicU64,
}

struct Page {
    socket_id: String,
    channels: BTreeSet<String>,
    session: Session,
}

impl Pages {
    /// Hands events to the pages that have joined their channels.
    pub(super) async fn tell(&self, events: &[Received]) {
        for event in events {
            let joined: Vec<Session> = {
                let connected = self.connected.lock().unwrap();
                let joined = connected
                    .iter()
                    .filter(|page| page.channels.contains(&event.channel));
                joined.map(|page| page.session.clone()).collect()
            };
            // The data is a text, as it was published.
            let text = json!({"event": event.name, "channel": event.channel, "data": event.data.to_string()});
            for mut session in joined {
                // A page that is gone hears nothing.
                let _ = session.text(text.to_string()).await;
            }
        }
    }

    fn with<T>(&self, socket_id: &str, work: impl FnOnce(&mut Page) -> T) -> Option<T> {
        let mut connected = self.connected.lock().unwrap();
        connected
            .iter_mut()
            .find(|page| page.socket_id == socket_id)
            .map(work)
    }
}

/// A page connects.
pub(super) async fn join(
    request: HttpRequest,
    body: web::Payload,
    key: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    if *key != KEY {
        return Ok(HttpResponse::NotFound().finish());
    }
    rt::spawn(serve(state, session, messages));
    Ok(response)
}

async fn serve(state: web::Data<State>, mut session: Session, mut messages: MessageStream) {
    let pages = &state.pages;
    let socket_id = format!("4711.{}", pages.next.fetch_add(1, Ordering::Relaxed));
    pages.connected.lock().unwrap().push(Page {
        socket_id: socket_id.clone(),
        channels: BTreeSet::new(),
        session: session.clone(),
    });
    let established = json!({"socket_id": socket_id, "activity_timeout": 120});
    let mut answer = Some(message("pusher:connection_established", None, &established));
    loop {
        if let Some(text) = answer.take()
            && session.text(text).await.is_err()
        {
            break;
        }
        match messages.next().await {
            Some(Ok(Message::Text(text))) => {
                let told: Value = serde_json::from_str(&text).unwrap_or_default();
                answer = answer_to(pages, &socket_id, &told);
            }
            Some(Ok(Message::Ping(bytes))) => drop(session.pong(&bytes).await),
            Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            Some(Ok(_)) => {}
        }
    }
    let mut connected = pages.connected.lock().unwrap();
    connected.retain(|page| page.socket_id != socket_id);
}

fn answer_to(pages: &Pages, socket_id: &str, told: &Value) -> Option<String> {
    let channel = told["data"]["channel"].as_str().unwrap_or_default();
    match told["event"].as_str()? {
        "pusher:ping" => Some(message("pusher:pong", None, &json!({}))),
        "pusher:unsubscribe" => {
            pages.with(socket_id, |page| page.channels.remove(channel));
            None
        }
        "pusher:subscribe" if may_join(socket_id, channel, &told["data"]["auth"]) => {
            pages.with(socket_id, |page| page.channels.insert(channel.to_owned()));
            Some(message(
                "pusher_internal:subscription_succeeded",
                Some(channel),
                &json!({}),
            ))
        }
        "pusher:subscribe" => {
            let refusal = json!({"type": "AuthError", "error": "the signature does not hold", "status": 401});
            Some(message("pusher:subscription_error", Some(channel), &refusal))
        }
        _ => None,
    }
}

/// A private channel takes a signature of `SOCKET_ID:CHANNEL`.
fn may_join(socket_id: &str, channel: &str, auth: &Value) -> bool {
    let mut hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    hmac.update(format!("{socket_id}:{channel}").as_bytes());
    let expected = format!("{KEY}:{}", hex::encode(hmac.finalize().into_bytes()));
    channel.starts_with("private-") && auth.as_str() == Some(&expected)
}

fn message(event: &str, channel: Option<&str>, data: &Value) -> String {
    json!({"event": event, "channel": channel, "data": data.to_string()}).to_string()
}
