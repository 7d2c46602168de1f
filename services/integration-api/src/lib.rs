//! The HTTP API for the CRM: JSON for people and programs that carry a token.
//!
//! Every endpoint is a file in [`endpoints`]. What they share stands once: who may come in ([`auth`]), how a refusal
//! looks ([`answer`]), the JSON of what they tell ([`shapes`]), where a list goes on ([`cursor`]). Two tasks work in
//! the background: [`connection`] knows whether CallRail answers, [`alert_feed`] reads alerts for all who listen.
//!
//! People look at it all through a page ([`console`]), which asks the same endpoints as everybody.

mod advice;
mod alert_feed;
mod answer;
mod auth;
mod body;
mod connection;
mod console;
mod cursor;
pub mod dead_letters;
mod endpoints;
mod event_stream;
mod path;
mod people;
mod query;
mod session;
mod shapes;
mod ticket;
pub mod webhooks;

use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::HttpServiceFactory;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web;
use anyhow::Context;
use callrail::client::{Client, RecordingFiles};
use callrail::{CompanyId, SigningKeys};
use calls::{MatchRules, Reading};
use pusher::PusherUrl;
use queue::Queue;
use recordings::Archive;
use runtime::{CancellationToken, Condition, Health};
use store::{RequestLimits, Store};

use alert_feed::AlertFeed;
use connection::Connection;
use ticket::TicketKey;

pub use advice::advice;
pub use auth::{InvalidTokenRules, MIN_SECRET_BYTES, READ, TokenRules, TokenSettings, WRITE};

/// How long a server behind a webhook address may take to connect, and to go on.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// What the service is told.
#[derive(Clone)]
pub struct Settings {
    /// Which tokens are good.
    pub tokens: TokenRules,
    /// Origins whose pages may call the API from a browser.
    pub cors_origins: Vec<String>,
    /// The company whose calls are imported and whose webhooks are set up, unless a request names another.
    pub company: Option<CompanyId>,
    /// The keys that the service which receives webhooks accepts, as far as this process knows.
    pub signing_keys: SigningKeys,
    /// Whether this process receives webhooks itself: then no key means that none is accepted.
    pub receives_webhooks: bool,
    /// How calls, and numbers that people write, are read.
    pub reading: Reading,
    /// How calls are matched with the CRM's people.
    pub rules: MatchRules,
    /// The Pusher app whose private channels users may join.
    pub pusher: Option<PusherUrl>,
    /// Where recordings come from.
    pub recordings: Recordings,
    /// How many requests to CallRail's API there may be, for the status.
    pub request_limits: RequestLimits,
    /// What tickets for recordings are signed with, when the processes that share it cannot take it from the tokens'
    /// secret.
    pub ticket_secret: Option<String>,
}

/// How CallRail is asked.
#[derive(Clone)]
pub struct CallRail {
    /// When somebody waits for the answer.
    pub interactive: Client,
    /// When somebody wants to listen.
    pub recording: Client,
}

/// Where recordings come from.
#[derive(Clone)]
pub struct Recordings {
    /// From where CallRail's links lead.
    pub files: RecordingFiles,
    /// From here first.
    pub archive: Option<Archive>,
}

/// The service, ready to be served.
#[derive(Clone)]
pub struct IntegrationApi {
    api: web::Data<Api>,
}

/// What all endpoints share.
pub(crate) struct Api {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) callrail: Option<CallRail>,
    pub(crate) connection: Connection,
    pub(crate) alerts: AlertFeed,
    pub(crate) tickets: TicketKey,
    /// Tries webhook addresses. Follows no redirect and knows no key.
    pub(crate) outside: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
}

impl IntegrationApi {
    /// Registers the service's check, that the database answers, and starts what works in the background until
    /// `shutdown`. Without `callrail` what needs it says which settings are missing.
    ///
    /// Must be called within a tokio runtime.
    pub fn new(
        settings: Settings,
        store: Store,
        queue: Queue,
        callrail: Option<CallRail>,
        health: &mut Health,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        if !settings.tokens.can_check() {
            tracing::warn!(
                "neither JWT_SECRET nor JWT_PUBLIC_KEY is set, so the API lets nobody in: set JWT_SECRET, then make a \
                 token with `trunkline token`"
            );
        }
        let probe = store.clone();
        health.check("api-database", move || {
            let store = probe.clone();
            async move {
                let answer = store.ping().await;
                answer
                    .map(|()| Condition::Ready)
                    .map_err(|error| error.to_string())
            }
        });
        let tickets = TicketKey::new(
            settings.ticket_secret.as_deref().map(str::as_bytes),
            settings.tokens.secret(),
        );
        let outside = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(PROBE_TIMEOUT)
            .read_timeout(PROBE_TIMEOUT)
            .http1_only()
            .build()
            .context("cannot make an HTTP client")?;
        let asks = callrail.as_ref().map(|callrail| callrail.interactive.clone());
        Ok(Self {
            api: web::Data::new(Api {
                connection: Connection::start(asks, shutdown.clone()),
                alerts: AlertFeed::start(store.clone(), shutdown.clone()),
                tickets,
                outside,
                settings,
                store,
                queue,
                callrail,
                shutdown,
            }),
        })
    }

    /// Adds the service's endpoints to an application.
    pub fn routes(&self, app: &mut web::ServiceConfig) {
        let origins = &self.api.settings.cors_origins;
        app.app_data(self.api.clone())
            .service(public(
                "/api/openapi.json",
                web::get().to(endpoints::openapi::document),
                origins,
            ))
            // A player cannot send a token: what lets it in is the ticket.
            .service(public(
                "/api/integrations/callrail/call/{call_id}/recording",
                web::get().to(endpoints::recording::play),
                origins,
            ))
            .service(protected(
                "/api/integrations/callrail",
                endpoints::callrail,
                origins,
            ))
            .service(protected("/api/alerts", endpoints::alerts, origins))
            .service(protected("/api/pusher", endpoints::pusher, origins))
            .service(protected("/api/interactions", endpoints::interactions, origins))
            .service(protected("/api/review", endpoints::review, origins))
            .service(protected("/api/contacts", endpoints::contacts, origins))
            .service(protected("/api/callbacks", endpoints::callbacks, origins))
            .service(protected("/api/dead-letters", endpoints::dead_letters, origins))
            .service(protected("/api/session", endpoints::session, origins))
            .service(console::service());
    }
}

/// Endpoints that nothing gets to without a token that is good for it: not even a 404.
fn protected(
    prefix: &str,
    endpoints: fn(&mut web::ServiceConfig),
    origins: &[String],
) -> impl HttpServiceFactory + use<> {
    web::scope(prefix)
        .configure(endpoints)
        .default_service(web::to(answer::not_found))
        .wrap(from_fn(auth::authorise))
        .wrap(private_answers())
        .wrap(cors(origins))
}

fn public(path: &str, route: actix_web::Route, origins: &[String]) -> impl HttpServiceFactory + use<> {
    web::resource(path)
        .route(route)
        .default_service(web::to(answer::method_not_allowed))
        .wrap(private_answers())
        .wrap(cors(origins))
}

/// Nothing of what is told may be kept by a proxy or a browser.
fn private_answers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

fn cors(origins: &[String]) -> Cors {
    let allowed = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "DELETE"])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::RANGE,
            header::HeaderName::from_static("prefer"),
            header::HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
        .max_age(600);
    origins
        .iter()
        .fold(allowed, |cors, origin| cors.allowed_origin(origin))
}
