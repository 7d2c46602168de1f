//! The account's API, served over HTTP as `CallRail` serves it (docs/callrail.md, "API").

mod answer;
mod call_object;
mod calls;
mod dates;
mod fault;
mod integrations;
mod recording;
mod serve;
mod state;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, io};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use callrail::WebhookKind;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

pub use fault::Fault;
pub use state::{CallChange, CallState, Limits, RequestKind};

use crate::account::SimulatedAccount;
use state::State;

/// How the simulated API behaves.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where it listens; port 0: a free one.
    pub address: SocketAddr,
    /// What addresses in its answers begin with, such as `https://api.callrail.com`, when it is not where it listens.
    pub origin: Option<String>,
    /// What it takes for the present, by which the last days and the 25 months are counted. None: the clock.
    pub now: Option<DateTime<Utc>>,
    /// How many requests it takes.
    pub limits: Limits,
    /// The seconds it names in `Retry-After` when there were too many. None: the header is not there.
    pub retry_after: Option<u32>,
    /// Whether answers say in `x-rate-limit-…` how many requests were used.
    pub shows_usage: bool,
    /// A token that is taken as `Bearer`, besides the account's key.
    pub bearer_token: Option<String>,
    /// Whether tags are objects, which has been seen, and not texts.
    pub tags_are_objects: bool,
    /// What the company's webhook integration holds at first, perhaps addresses of other vendors. None: there is
    /// no such integration.
    pub webhook_config: Option<Map<String, Value>>,
    /// Whether the key's user may not write integrations.
    pub forbids_writes: bool,
    /// The filters of integrations, as the API gives them.
    pub triggers: Vec<Value>,
}

impl Default for ApiOptions {
    /// A free port of this machine, `CallRail`'s limits, no webhook integration.
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            origin: None,
            now: None,
            limits: Limits::default(),
            retry_after: None,
            shows_usage: true,
            bearer_token: None,
            tags_are_objects: false,
            webhook_config: None,
            forbids_writes: false,
            triggers: Vec::new(),
        }
    }
}

/// A running API of a simulated account. It ends when this is dropped.
pub struct SimulatedApi {
    address: SocketAddr,
    shared: web::Data<Shared>,
    server: ServerHandle,
}

/// What all requests share.
struct Shared {
    account: Arc<SimulatedAccount>,
    options: ApiOptions,
    /// `http://127.0.0.1:PORT`, unless another is set.
    origin: String,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedApi {
    /// Serves the account, which stays as it is: what changes changes here alone.
    ///
    /// Must be called within a tokio runtime. Answers as soon as it returns.
    pub fn start(account: Arc<SimulatedAccount>, options: ApiOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.address)?;
        let address = listener.local_addr()?;
        let origin = options.origin.clone();
        let shared = web::Data::new(Shared {
            origin: origin.unwrap_or_else(|| format!("http://{address}")),
            state: Mutex::new(State::new(&account, &options)),
            account,
            options,
        });
        let app_data = shared.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(app_data.clone())
                .default_service(web::to(serve::serve))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Self {
            address,
            shared,
            server: handle,
        })
    }

    /// What stands before `/a.json`: `http://127.0.0.1:PORT/v3`.
    pub fn base_url(&self) -> String {
        format!("{}/v3", self.shared.origin)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked for and when it came, in that order, those included that were refused or failed.
    pub fn request_times(&self) -> Vec<(RequestKind, Instant)> {
        self.shared.state().requests.clone()
    }

    /// How many requests of the kind came, those included that were refused or failed.
    pub fn requests(&self, kind: RequestKind) -> u64 {
        let requests = &self.shared.state().requests;
        requests.iter().filter(|(came, _)| *came == kind).count() as u64
    }

    /// How many requests of all kinds came.
    pub fn all_requests(&self) -> u64 {
        self.shared.state().requests.len() as u64
    }

    /// Sets other limits, from the next request on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.state().limits = limits;
    }

    /// Begins a new hour and a new day: nothing is used of the limits.
    pub fn begin_day(&self) {
        self.shared.state().begin_day();
    }

    /// Makes the next requests fail. Faults of pages and of recordings wait for the next of these.
    pub fn fail_next(&self, requests: u32, fault: Fault) {
        self.shared.state().fault = Some((fault, Some(requests)));
    }

    /// Makes all requests fail until [`Self::recover`].
    pub fn fail(&self, fault: Fault) {
        self.shared.state().fault = Some((fault, None));
    }

    /// Makes no more requests fail.
    pub fn recover(&self) {
        self.shared.state().fault = None;
    }

    /// Changes a call. Says whether there is such a call.
    pub fn change_call(&self, call_sid: &str, change: CallChange) -> bool {
        self.shared.state().change_call(call_sid, change)
    }

    /// The identifiers of the calls that lists and single requests show now, in the order of their start.
    pub fn visible_calls(&self) -> Vec<String> {
        let state = self.shared.state();
        let calls = self.shared.account.calls.iter().enumerate();
        calls
            .filter(|(index, _)| state.is_visible(*index))
            .map(|(_, call)| call.call_sid.clone())
            .collect()
    }

    /// The addresses to which webhooks of this kind would go now: none while the integration is not active.
    pub fn webhook_addresses(&self, kind: WebhookKind) -> Vec<String> {
        self.shared.state().integrations.webhook_addresses(kind)
    }

    /// The webhook integration's `config`, if there is one.
    pub fn webhook_config(&self) -> Option<Map<String, Value>> {
        self.shared.state().integrations.webhook_config()
    }

    /// Puts the webhook integration into another state, as `CallRail` does after failures: `disabled`.
    pub fn set_webhook_state(&self, state: &'static str) {
        self.shared.state().integrations.set_webhook_state(state);
    }
}

impl Drop for SimulatedApi {
    fn drop(&mut self) {
        // Told at once; that the server has ended nobody waits for.
        drop(self.server.stop(false));
    }
}

impl fmt::Debug for SimulatedApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatedApi")
            .field("origin", &self.shared.origin)
            .finish_non_exhaustive()
    }
}
