//! The second port of every process: `/healthz`, `/readyz` and `/metrics`. Not for the internet.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

/// How long one part may take to answer before it counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

type Check = Box<dyn Fn() -> BoxFuture<'static, Result<Condition, String>> + Send + Sync>;

/// How a part does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// As it should.
    Ready,
    /// It does it, and so the process is ready; but a person should know why this is not as it should be.
    Degraded(String),
}

/// What a process knows of its own health: its metrics, and checks that say whether it can do its work.
#[derive(Default)]
pub struct Health {
    registry: Registry,
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// Without checks a process is ready as soon as it runs.
    pub fn new() -> Self {
        Self {
            registry: Registry::with_prefix("trunkline"),
            checks: Vec::new(),
        }
    }

    /// Where the parts of the process register their metrics, at the start.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Adds a check: how this part does its work, or one line that says why it cannot.
    pub fn check<F>(&mut self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Condition, String>> + Send + 'static,
    {
        self.checks.push((name, Box::new(move || Box::pin(check()))));
    }

    /// Serves the port until `shutdown`. Liveness depends on nothing outside the process; readiness on the checks.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
        let health = web::Data::from(Arc::new(self));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(health.clone())
                .route(
                    "/healthz",
                    web::get().to(|| async { HttpResponse::Ok().body("alive\n") }),
                )
                .route("/readyz", web::get().to(readyz))
                .route("/metrics", web::get().to(metrics))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .context("cannot listen for health checks")?
        .run();
        crate::serve(server, shutdown)
            .await
            .context("the server of the health checks failed")
    }
}

async fn readyz(health: web::Data<Health>) -> HttpResponse {
    let mut text = String::new();
    let mut ready = true;
    for (name, check) in &health.checks {
        let answer = tokio::time::timeout(PATIENCE, check()).await;
        let state = match answer.unwrap_or_else(|_| Err("does not answer".to_owned())) {
            Ok(Condition::Ready) => "ready".to_owned(),
            Ok(Condition::Degraded(why)) => format!("degraded: {why}"),
            Err(why) => {
                ready = false;
                format!("not ready: {why}")
            }
        };
        text.push_str(&[name, ": ", &state, "\n"].concat());
    }
    if ready {
        HttpResponse::Ok().body(text)
    } else {
        HttpResponse::ServiceUnavailable().body(text)
    }
}

async fn metrics(health: web::Data<Health>) -> HttpResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &health.registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
