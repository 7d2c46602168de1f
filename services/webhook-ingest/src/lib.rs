//! Receives CallRail's webhooks and publishes them as call events. Faces the internet; has no database.
//!
//! The way of a delivery: [`body`] reads it within bounds, [`accept`] verifies the signature, turns it into an
//! event or a quarantined body, and publishes that; [`webhook`] answers. CallRail never sends a delivery twice, so
//! the answer is 2xx exactly when the message is durable.

mod accept;
mod answer;
mod body;
mod metrics;
mod sender;
mod test_endpoint;
mod webhook;

use actix_web::web;
use callrail::SigningKeys;
use calls::{PhoneNumber, Reading};
use queue::{Queue, Readiness};
use runtime::{Condition, Health, in_one_line};
use trace::Tracer;

use accept::Acceptor;
use body::BodyReader;
use metrics::Metrics;
use sender::FailedSignatures;

pub use sender::{InvalidProxies, TrustedProxies};

/// What the service is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Without any, every webhook is refused.
    pub signing_keys: SigningKeys,
    /// How bodies are read.
    pub reading: Reading,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
}

/// The service, ready to be served.
#[derive(Clone)]
pub struct WebhookIngest(web::Data<Parts>);

/// What the endpoints share.
struct Parts {
    acceptor: Acceptor,
    body_reader: BodyReader,
    failed_signatures: FailedSignatures,
}

impl WebhookIngest {
    /// Registers the service's metrics and its check: that the queue, or its spool, takes messages.
    pub fn new(settings: Settings, queue: Queue, tracer: Tracer, health: &mut Health) -> Self {
        if settings.signing_keys.is_empty() {
            tracing::error!(
                "no signing key is set, so every webhook is refused: set CALLRAIL_SIGNING_KEYS to the key on the \
                 Webhooks page of the company in CallRail"
            );
        }
        // The first number that is not North American loads the plans of all countries: not while a call rings. A start
        // need not wait for it either.
        let region = settings.reading.region;
        tokio::task::spawn_blocking(move || PhoneNumber::parse("+442079460123", region));
        let metrics = Metrics::register(health.registry());
        let probe = queue.clone();
        health.check("queue", move || {
            let queue = probe.clone();
            async move { condition(&queue).await }
        });
        Self(web::Data::new(Parts {
            failed_signatures: FailedSignatures::new(settings.trusted_proxies.clone()),
            acceptor: Acceptor::new(settings, queue, tracer, metrics),
            body_reader: BodyReader::default(),
        }))
    }

    /// Adds the service's endpoints to an application.
    pub fn routes(&self, app: &mut web::ServiceConfig) {
        app.app_data(self.0.clone())
            .route("/api/webhooks/test", web::get().to(test_endpoint::test))
            .route("/api/webhooks/test", web::post().to(test_endpoint::test))
            .route("/api/webhooks/callrail/{kind}", web::post().to(webhook::receive))
            .route(
                "/api/webhooks/callrail/{company}/{kind}",
                web::post().to(webhook::receive_for_company),
            );
    }
}

async fn condition(queue: &Queue) -> Result<Condition, String> {
    match queue.readiness().await {
        Ok(Readiness::Ready) => Ok(Condition::Ready),
        Ok(Readiness::Degraded(why)) => Ok(Condition::Degraded(why)),
        Err(error) => Err(in_one_line(&error)),
    }
}
