//! Runs an HTTP server to its orderly end.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, Service, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

/// How long a connection may take to send its headers, and to be let go at the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an idle connection is kept. Whoever reuses one just as we close it loses the request, and CallRail does
/// not send a webhook again: so longer than the proxies that stand before us keep theirs (up to 600 s).
const KEEP_ALIVE: Duration = Duration::from_secs(620);

/// The header that names a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a connection may be on its way to the thread that serves it.
const HANDING_OVER: Duration = Duration::from_millis(100);

/// Runs a server that was built with `disable_signals` until `shutdown`; then it takes no more connections and
/// finishes the requests under way within its own `shutdown_timeout`.
pub async fn serve(server: Server, shutdown: CancellationToken) -> std::io::Result<()> {
    let handle = server.handle();
    let stop = tokio::spawn(async move {
        shutdown.cancelled().await;
        // A stopping server drops the connections that it has taken and not begun to serve: first it takes no more.
        handle.pause().await;
        tokio::time::sleep(HANDING_OVER).await;
        handle.stop(true).await;
    });
    let result = server.await;
    stop.abort();
    result
}

/// Serves the endpoints of one service, or of several, on one port until `shutdown`. What is at no endpoint is
/// answered 404, as all errors are: `{"status":"error","code":"…","message":"…"}`. After `shutdown` each answer closes
/// its connection, so that the next request finds another process.
///
/// Each request has an id, which its answer and all that is logged of it carry: that of `X-Request-Id` when a proxy has
/// given one that is a UUID, else a new one.
pub async fn serve_http(
    listener: TcpListener,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener has no address")?;
    let stopping = shutdown.clone();
    let server = HttpServer::new(move || {
        let stopping = stopping.clone();
        App::new()
            .wrap_fn(move |request, service| {
                let (answer, stopping) = (service.call(request), stopping.clone());
                async move {
                    let mut answer = answer.await?;
                    if stopping.is_cancelled() {
                        let head = answer.response_mut().head_mut();
                        head.set_connection_type(ConnectionType::Close);
                    }
                    Ok(answer)
                }
            })
            .wrap(from_fn(name_request))
            .configure(routes.clone())
            .default_service(web::to(not_found))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(PATIENCE)
    .client_disconnect_timeout(PATIENCE)
    .shutdown_timeout(PATIENCE.as_secs())
    .disable_signals()
    .listen(listener)
    .context("cannot listen for HTTP")?
    .run();
    tracing::info!(%address, "serving HTTP");
    serve(server, shutdown).await.context("the HTTP server failed")
}

async fn name_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let given = request.headers().get(REQUEST_ID);
    let given = given.and_then(|value| Uuid::try_parse_ascii(value.as_bytes()).ok());
    let id = given.unwrap_or_else(Uuid::now_v7);
    let mut answer = next
        .call(request)
        .instrument(tracing::info_span!("request", %id))
        .await?;
    let id = HeaderValue::from_str(&id.to_string())?;
    answer.headers_mut().insert(REQUEST_ID, id);
    Ok(answer)
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("application/json")
        .body(r#"{"status":"error","code":"not_found","message":"There is nothing at this address"}"#)
}
