//! One request: counted, failed if that is wanted, let in, and answered.

use actix_web::http::{Method, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use reqwest::Url;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{Parameters, Refusal, numbered};
use super::calls;
use super::fault::{Fault, too_many};
use super::recording;
use super::state::RequestKind;
use crate::account::{AGENT_EMAIL, BUSINESS_NUMBER, SimulatedAccount};
use crate::body::{ACCOUNT_NUMBER, COMPANY_NAME, COMPANY_TIME_ZONE, Tracker};

/// What `CallRail` says without a key that holds is not known: a text, so that nobody relies on JSON.
const DENIED: &str = "HTTP Token: Access denied.\n";

/// Where a request goes, with the names in its path.
enum Route<'a> {
    Accounts,
    Account,
    Companies,
    Trackers,
    Users,
    TextMessages,
    Calls,
    Call(&'a str),
    Recording(&'a str),
    RecordingLink(&'a str),
    RecordingFile(&'a str),
    Integrations,
    CreateIntegration,
    UpdateIntegration(&'a str),
    DeleteIntegration(&'a str),
    Triggers,
    Unknown,
}

pub(super) async fn serve(request: HttpRequest, body: Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let (route, account) = Route::of(request.method(), request.path());
    let kind = route.kind();
    let fault = {
        let mut state = shared.state();
        state.count(kind);
        state.take_fault(kind)
    };
    if let Some(fault) = &fault
        && let Some(failed) = fault.answer().await
    {
        return failed;
    }
    // The key in a link to a recording is enough.
    if kind != RequestKind::RecordingFile {
        if !is_authorised(&request, &shared) {
            return HttpResponse::Unauthorized().body(DENIED);
        }
        if !shared.state().use_one() {
            return with_usage(too_many(shared.options.retry_after), &shared);
        }
        if account.is_some_and(|account| !is_own(&shared.account, account)) {
            return with_usage(Refusal::FORBIDDEN.into_response(), &shared);
        }
    }
    let answered = answer(&route, &request, &body, &shared, fault.as_ref());
    with_usage(answered.unwrap_or_else(Refusal::into_response), &shared)
}

impl<'a> Route<'a> {
    /// The route, and the account that it names.
    fn of(method: &Method, path: &'a str) -> (Self, Option<&'a str>) {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let plain = |name: &'a str| name.strip_suffix(".json").unwrap_or(name);
        let is_read = method == Method::GET;
        match parts[..] {
            ["v3", "a.json"] if is_read => (Self::Accounts, None),
            ["v3", "a", account] if is_read => (Self::Account, Some(plain(account))),
            ["v3", "a", account, ref rest @ ..] => (Self::of_account(method, rest), Some(account)),
            ["calls", call, "recording", "redirect"] if is_read => (Self::RecordingLink(call), None),
            ["recordings", file] if is_read => (
                Self::RecordingFile(file.strip_suffix(".wav").unwrap_or(file)),
                None,
            ),
            _ => (Self::Unknown, None),
        }
    }

    fn of_account(method: &Method, rest: &[&'a str]) -> Self {
        let plain = |name: &'a str| name.strip_suffix(".json").unwrap_or(name);
        match (method.as_str(), rest) {
            ("GET", ["companies.json"]) => Self::Companies,
            ("GET", ["trackers.json"]) => Self::Trackers,
            ("GET", ["users.json"]) => Self::Users,
            ("GET", ["text-messages.json"]) => Self::TextMessages,
            // The links to next pages have no ending.
            ("GET", ["calls.json" | "calls"]) => Self::Calls,
            ("GET", ["calls", call]) => Self::Call(plain(call)),
            ("GET", ["calls", call, "recording.json"]) => Self::Recording(call),
            ("GET", ["integrations.json"]) => Self::Integrations,
            ("POST", ["integrations.json"]) => Self::CreateIntegration,
            ("PUT", ["integrations", id]) => Self::UpdateIntegration(plain(id)),
            ("DELETE", ["integrations", id]) => Self::DeleteIntegration(plain(id)),
            ("GET", ["integration_triggers.json"]) => Self::Triggers,
            _ => Self::Unknown,
        }
    }

    fn kind(&self) -> RequestKind {
        match self {
            Self::Accounts => RequestKind::Accounts,
            Self::Account => RequestKind::Account,
            Self::Companies => RequestKind::Companies,
            Self::Trackers => RequestKind::Trackers,
            Self::Users => RequestKind::Users,
            Self::TextMessages => RequestKind::TextMessages,
            Self::Calls => RequestKind::Calls,
            Self::Call(_) => RequestKind::Call,
            Self::Recording(_) => RequestKind::Recording,
            Self::RecordingLink(_) | Self::RecordingFile(_) => RequestKind::RecordingFile,
            Self::Integrations => RequestKind::Integrations,
            Self::CreateIntegration | Self::UpdateIntegration(_) | Self::DeleteIntegration(_) => {
                RequestKind::IntegrationWrite
            }
            Self::Triggers => RequestKind::Triggers,
            Self::Unknown => RequestKind::Other,
        }
    }
}

/// `Token token="KEY"`, also without quotes, or `Bearer TOKEN`.
fn is_authorised(request: &HttpRequest, shared: &Shared) -> bool {
    let header = request.headers().get(header::AUTHORIZATION);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some(key) = text.strip_prefix("Token token=") {
        return key.trim_matches('"') == shared.account.api_key;
    }
    let token = text.strip_prefix("Bearer ");
    token.is_some() && token == shared.options.bearer_token.as_deref()
}

fn is_own(account: &SimulatedAccount, named: &str) -> bool {
    named == account.account_id || named == ACCOUNT_NUMBER
}

fn answer(
    route: &Route,
    request: &HttpRequest,
    body: &Bytes,
    shared: &Shared,
    fault: Option<&Fault>,
) -> Result<HttpResponse, Refusal> {
    let query = request.query_string();
    let parameters = Parameters::read(query);
    let account = &shared.account;
    let json = match route {
        Route::Accounts => numbered(&parameters, "accounts", vec![account_object(account)]),
        Route::Account => account_object(account),
        Route::Companies => numbered(&parameters, "companies", vec![company_object(account)]),
        Route::Trackers => {
            let trackers = account.trackers.iter();
            let objects = trackers.map(|tracker| tracker_object(account, tracker));
            numbered(&parameters, "trackers", objects.collect())
        }
        Route::Users => numbered(&parameters, "users", vec![user_object(account)]),
        // Nobody writes to this account.
        Route::TextMessages => numbered(&parameters, "conversations", Vec::new()),
        Route::Calls => return calls::page(shared, &parameters, (request.path(), query), fault),
        Route::Call(call) => calls::single(shared, &parameters, call)?,
        Route::Recording(call) => recording::link(shared, call)?,
        Route::RecordingLink(call) => return recording::redirect(shared, call, &parameters),
        Route::RecordingFile(call) => {
            let range = request.headers().get(header::RANGE);
            let range = range.and_then(|range| range.to_str().ok());
            return recording::file(shared, call, &parameters, range, fault);
        }
        Route::Integrations => shared.state().integrations.list(&parameters)?,
        Route::CreateIntegration => {
            let body = written(shared, body)?;
            let made = shared.state().integrations.create(&body)?;
            return Ok(HttpResponse::Created().json(made));
        }
        Route::UpdateIntegration(id) => {
            let body = written(shared, body)?;
            shared.state().integrations.update(id, &body)?
        }
        Route::DeleteIntegration(id) => {
            written(shared, b"{}")?;
            shared.state().integrations.disable(id)?;
            return Ok(HttpResponse::NoContent().finish());
        }
        Route::Triggers => numbered(
            &parameters,
            "integration_criteria",
            shared.options.triggers.clone(),
        ),
        Route::Unknown => return Err(Refusal::NOT_FOUND),
    };
    let mut response = HttpResponse::Ok();
    if let Some(next) = next_page(&json, shared, request.path(), &parameters) {
        response.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    Ok(response.json(json))
}

/// Where a list with numbered pages goes on.
fn next_page(list: &Value, shared: &Shared, path: &str, parameters: &Parameters) -> Option<Url> {
    let (page, pages) = (list["page"].as_u64()?, list["total_pages"].as_u64()?);
    let next = (page < pages).then(|| (page + 1).to_string())?;
    let others = parameters.pairs().filter(|(name, _)| *name != "page");
    let address = format!("{}{path}", shared.origin);
    Url::parse_with_params(&address, others.chain([("page", next.as_str())])).ok()
}

/// The body of a write, if the key's user may write at all.
fn written(shared: &Shared, body: &[u8]) -> Result<Value, Refusal> {
    if shared.options.forbids_writes {
        return Err(Refusal::FORBIDDEN);
    }
    serde_json::from_slice(body).map_err(|_| Refusal::bad_request("The body is not JSON"))
}

fn with_usage(mut response: HttpResponse, shared: &Shared) -> HttpResponse {
    if shared.options.shows_usage {
        for (name, number) in shared.state().usage_headers() {
            let name = header::HeaderName::from_static(name);
            response
                .headers_mut()
                .insert(name, header::HeaderValue::from(number));
        }
    }
    response
}

fn account_object(account: &SimulatedAccount) -> Value {
    json!({
        "id": account.account_id,
        "name": "Example Agency",
        "outbound_recording_enabled": true,
        "hipaa_account": false,
    })
}

fn company_object(account: &SimulatedAccount) -> Value {
    json!({
        "id": account.company_id,
        "name": COMPANY_NAME,
        "status": "active",
        "time_zone": COMPANY_TIME_ZONE,
        "created_at": "2024-02-03T16:00:00.000Z",
        "disabled_at": null,
        "dni_active": true,
        "callscribe_enabled": true,
        "lead_scoring_enabled": true,
        "callscore_enabled": false,
        "keyword_spotting_enabled": true,
        "form_capture": true,
    })
}

fn user_object(account: &SimulatedAccount) -> Value {
    json!({
        "id": account.user_id,
        "email": AGENT_EMAIL,
        "first_name": "Sam",
        "last_name": "Example",
        "name": "Sam Example",
        "role": "admin",
        "created_at": "2024-02-03T16:00:00.000Z",
        "companies": [{ "id": account.company_id, "name": COMPANY_NAME }],
    })
}

fn tracker_object(account: &SimulatedAccount, tracker: &Tracker) -> Value {
    json!({
        "id": tracker.id,
        "name": tracker.source_name,
        "type": if tracker.is_session { "session" } else { "source" },
        "status": "active",
        "destination_number": BUSINESS_NUMBER,
        "tracking_numbers": [tracker.number],
        "whisper_message": null,
        "sms_enabled": true,
        "sms_supported": true,
        "company": { "id": account.company_id, "name": COMPANY_NAME },
        "call_flow": { "type": "basic", "recording_enabled": true, "destination_number": BUSINESS_NUMBER },
        "source": { "type": if tracker.is_session { "all" } else { "offline" } },
        "created_at": "2024-02-03T16:10:00.000Z",
        "disabled_at": null,
    })
}
