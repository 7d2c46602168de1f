//! Server-sent events, as pages read them by `fetch` or `EventSource`.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::stream;
use runtime::CancellationToken;
use serde::Serialize;
use tokio::sync::mpsc;

/// How often something is sent in any case, so that proxies keep the connection and we notice who is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many events wait for a slow reader before the one who sends waits, too.
const WAITING: usize = 64;

/// Where the events of one stream go.
pub(crate) struct Events(mpsc::Sender<Bytes>);

/// Nobody reads any more.
#[derive(Debug)]
pub(crate) struct Gone;

impl Events {
    /// Sends one event. `id` is what the reader names when it comes back (`Last-Event-ID`).
    pub(crate) async fn send(
        &self,
        name: &str,
        id: Option<&str>,
        data: &(impl Serialize + Sync),
    ) -> Result<(), Gone> {
        let mut text = String::new();
        if let Some(id) = id {
            text.push_str(&["id: ", id, "\n"].concat());
        }
        // Compact JSON is one line.
        let data = serde_json::to_string(data).unwrap_or_default();
        text.push_str(&["event: ", name, "\ndata: ", &data, "\n\n"].concat());
        self.0.send(Bytes::from(text)).await.map_err(|_| Gone)
    }
}

/// Answers with the events that `feed` sends, until it ends, the reader is gone, `lifetime` is over, or the process
/// ends.
pub(crate) fn answer<F>(
    lifetime: Duration,
    shutdown: CancellationToken,
    feed: impl FnOnce(Events) -> F,
) -> HttpResponse
where
    F: Future<Output = Result<(), Gone>> + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let feed = feed(Events(sender.clone()));
    actix_web::rt::spawn(async move {
        let keep_alive = async {
            // At once, too: the reader learns that it is connected.
            while sender.send(Bytes::from_static(b": keep-alive\n\n")).await.is_ok() {
                tokio::time::sleep(KEEP_ALIVE).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(lifetime) => {}
            () = sender.closed() => {}
            () = keep_alive => {}
            _ = feed => {}
        }
    });
    let events = stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|event| event.map(Ok::<_, Infallible>))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        // nginx would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events)
}
