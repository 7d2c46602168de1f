//! `POST /api/integrations/callrail/setup-webhook`: has CallRail send its webhooks to us, beside whoever gets them now.
//!
//! Two things must never happen. A delivery that we refuse is lost, since CallRail does not send it again, so no
//! address is written before the service that receives webhooks knows the key they are signed with. And the addresses
//! of other vendors stand in the same object, so all that was read is written back.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use callrail::client::{ApiError, Client, Integration};
use callrail::{SIGNATURE_HEADER, SigningKey, WebhookKind, sign};
use calls::CompanyId;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::answer::{Answer, Refusal};
use crate::shapes::{Problem, SUCCESS};
use crate::{Api, body};

/// Where webhooks are received, at the end of an address.
const ENDPOINT: &str = "/api/webhooks/callrail";

/// How long the probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

const ACTIVE: &str = "active";

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct SetUp {
    /// Any of the six addresses, or what they have in common.
    #[schema(example = "https://yourdomain.com/api/webhooks/callrail/post-call")]
    webhook_url: String,
    /// Whose webhooks, unless it is the company that is set.
    #[schema(value_type = Option<String>)]
    company_id: Option<CompanyId>,
    /// Whether to try afterwards that a signed request gets to where webhooks are received.
    #[serde(default)]
    verify: bool,
    /// That the service which receives webhooks accepts the company's key; for a process that cannot know it.
    #[serde(default)]
    signing_key_installed: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SetUpDone {
    #[schema(example = "success")]
    status: &'static str,
    #[schema(example = "Webhook configured successfully")]
    message: &'static str,
    integration: IntegrationShape,
    /// Only with `verify`: whether the signed request got there.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<&'static str>,
}

/// CallRail's integration.
#[derive(Serialize, ToSchema)]
struct IntegrationShape {
    #[schema(example = 12345)]
    id: u64,
    #[schema(example = "Webhooks")]
    r#type: String,
    #[schema(example = "active")]
    state: String,
    #[schema(example = "abc123def456...")]
    signing_key: Option<String>,
}

/// Has CallRail send all six kinds of call webhooks to us. Addresses of others stay; asking again changes nothing.
///
/// No address is written before the signing key is known where webhooks are received: until then the answer is 409
/// with the key, to be set there.
#[utoipa::path(
    post,
    path = "/api/integrations/callrail/setup-webhook",
    operation_id = "set_up_webhook",
    tag = "callrail",
    request_body = SetUp,
    responses(
        (status = 200, description = "CallRail sends its webhooks to us", body = SetUpDone),
        (status = 400, description = "The address or the company is none", body = Problem),
        (status = 409, description = "First set `signing_key` as CALLRAIL_SIGNING_KEYS, then ask again", body = Problem),
        (status = 502, description = "CallRail does not allow it: `steps` and `urls` tell how to do it by hand", body = Problem),
    )
)]
pub(crate) async fn set_up(payload: Payload, api: Data<Api>) -> Answer {
    let wanted: SetUp = body::object(payload).await?;
    let client = &api
        .callrail
        .as_ref()
        .ok_or_else(Refusal::not_configured)?
        .interactive;
    let base = Base::read(&wanted.webhook_url)?;
    let company = wanted
        .company_id
        .or_else(|| api.settings.company.clone())
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "company_missing",
                "Webhooks belong to a company: set CALLRAIL_COMPANY_ID, or send company_id (COM…)",
            )
        })?;

    let by_hand = |error| by_hand(error, &base, &company);
    let found = webhooks(client, &company).await.map_err(by_hand)?;
    let integration = match found {
        Some(integration) => integration,
        // Without addresses at first: it tells the key.
        None => client
            .create_webhooks(&company, &Map::new())
            .await
            .map_err(by_hand)?,
    };
    let key = match &integration.signing_key {
        Some(key) => Some(key.clone()),
        None => webhooks(client, &company)
            .await
            .map_err(by_hand)?
            .and_then(|found| found.signing_key),
    };
    require_installed(&api, key.as_deref(), &company, wanted.signing_key_installed)?;

    let config = base.added_to(&integration.config);
    let is_set_up = config == integration.config && integration.state == ACTIVE;
    let written = if is_set_up {
        integration
    } else {
        let written = client
            .update_integration(integration.id, ACTIVE, &config)
            .await
            .map_err(by_hand)?;
        tracing::info!(
            integration.id = written.id,
            "CallRail was told to send its webhooks to this installation"
        );
        written
    };
    let (verified, verification) = match (wanted.verify, &key) {
        (false, _) => (None, None),
        (true, Some(key)) => match probe(&api, &base, key).await {
            Ok(()) => (Some(true), None),
            Err(reason) => (Some(false), Some(reason)),
        },
        (true, None) => (Some(false), Some("CallRail does not tell the signing key")),
    };
    Ok(HttpResponse::Ok().json(SetUpDone {
        status: SUCCESS,
        message: "Webhook configured successfully",
        integration: IntegrationShape {
            id: written.id,
            r#type: Integration::WEBHOOKS.to_owned(),
            state: if written.state.is_empty() {
                ACTIVE.to_owned()
            } else {
                written.state
            },
            signing_key: key,
        },
        verified,
        verification,
    }))
}

/// The company's webhook integration, if it has one.
async fn webhooks(client: &Client, company: &CompanyId) -> Result<Option<Integration>, ApiError> {
    let all = client.integrations(company).await?;
    Ok(all.into_iter().find(|one| one.kind == Integration::WEBHOOKS))
}

/// Refuses unless webhooks signed with this key will be accepted.
fn require_installed(
    api: &Api,
    key: Option<&str>,
    company: &CompanyId,
    is_said_to_be: bool,
) -> Result<(), Refusal> {
    let Some(key) = key else {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "signing_key_unknown",
            "CallRail does not tell the signing key: copy it from the company's Webhooks page into \
             CALLRAIL_SIGNING_KEYS, and set the addresses there by hand",
        ));
    };
    let keys = &api.settings.signing_keys;
    // What the key signs must hold for those that are set: nothing else is ever asked of a key.
    let probe = b"{}";
    let is_installed = SigningKey::parse(key).is_ok_and(|key| {
        keys.verify([sign(&key, probe)], probe)
            .is_ok_and(|accepting| accepting.allows(Some(company)).is_ok())
    });
    let cannot_know = keys.is_empty() && !api.settings.receives_webhooks;
    if is_installed || (cannot_know && is_said_to_be) {
        return Ok(());
    }
    let refusal = if cannot_know {
        Refusal::new(
            StatusCode::CONFLICT,
            "signing_key_not_installed",
            "This process does not know which keys the service that receives webhooks accepts, and what is signed with \
             another is lost. Set CALLRAIL_SIGNING_KEYS to `signing_key` there and here, restart both, and ask again; \
             or, when it is set there, send \"signing_key_installed\": true",
        )
    } else {
        Refusal::new(
            StatusCode::CONFLICT,
            "signing_key_not_installed",
            "Webhooks signed with this company's key would be refused, and CallRail does not send them again. Add \
             `signing_key` to CALLRAIL_SIGNING_KEYS (COMPANY:KEY, several separated by commas), restart, and ask again",
        )
    };
    // In the answer alone: the caller may set up webhooks, and gets the key in any case.
    Err(refusal.with("signing_key", key).with("company_id", company))
}

/// What to do when CallRail does not let this key write integrations, which happens with some accounts.
fn by_hand(error: ApiError, base: &Base, company: &CompanyId) -> Refusal {
    if matches!(error, ApiError::NotFound { .. }) {
        return Refusal::new(
            StatusCode::BAD_GATEWAY,
            "callrail_not_found",
            "CallRail does not know this company, or not for this key: compare CALLRAIL_COMPANY_ID (COM…) and \
             CALLRAIL_ACCOUNT_ID with the addresses of CallRail's pages",
        );
    }
    let cannot_write = matches!(error, ApiError::Forbidden { .. } | ApiError::Invalid { .. });
    let refusal = Refusal::from(error);
    if !cannot_write {
        return refusal;
    }
    let urls: Vec<Value> = WebhookKind::ALL
        .into_iter()
        .map(|kind| json!({"box": box_name(kind), "url": base.address(kind)}))
        .collect();
    let steps = [
        "In CallRail, choose the company, then Settings, Integrations, Webhooks, and activate the integration.",
        "Copy the signing key from that page into CALLRAIL_SIGNING_KEYS, and restart Trunkline.",
        "Then add each URL to the box of its name, beside those that are there, and save.",
        "Make a call to one of the tracking numbers: `last_webhook_at` in the status tells that it came.",
    ];
    refusal
        .with("steps", steps)
        .with("urls", urls)
        .with("company_id", company)
}

/// What the box for a kind is called on the Webhooks page (docs/callrail.md, "Webhook types").
fn box_name(kind: WebhookKind) -> &'static str {
    match kind {
        WebhookKind::PreCall => "Pre-Call",
        WebhookKind::RoutingComplete => "Call Routing Complete",
        WebhookKind::PostCall => "Post-Call",
        WebhookKind::CallModified => "Call Modified",
        WebhookKind::OutboundPostCall => "Outbound Post Call",
        WebhookKind::OutboundCallModified => "Outbound Call Modified",
    }
}

/// What our addresses have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base(Url);

impl Base {
    /// Reads one of the six addresses, or what they have in common.
    fn read(text: &str) -> Result<Self, Refusal> {
        let invalid = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, "invalid_webhook_url", message);
        let mut url = Url::parse(text.trim()).map_err(|_| {
            invalid("webhook_url is no URL: it should be like https://yourdomain.com/api/webhooks/callrail/post-call")
        })?;
        let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(invalid(
                "webhook_url must begin with https://: webhooks carry personal data",
            ));
        }
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(
                "webhook_url may have a host, a port and a path, and nothing else",
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let (before, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let names_a_kind = WebhookKind::from_path(last).is_some();
        let is_base =
            path.ends_with(ENDPOINT) || (before.ends_with(ENDPOINT) && CompanyId::parse(last).is_ok());
        let base = match (names_a_kind, is_base) {
            (true, _) => before.to_owned(),
            (false, true) => path.clone(),
            (false, false) => {
                return Err(invalid(
                    "webhook_url names no webhook of ours: it should end in /api/webhooks/callrail/post-call",
                ));
            }
        };
        url.set_path(&base);
        Ok(Self(url))
    }

    /// Where webhooks of a kind go.
    fn address(&self, kind: WebhookKind) -> String {
        format!("{}/{}", self.0.as_str().trim_end_matches('/'), kind.path())
    }

    /// Where a signed request is tried: the test endpoint beside them, which stores nothing.
    fn test_address(&self) -> Option<Url> {
        let path = self.0.path();
        let end = path.rfind(ENDPOINT)?;
        let mut url = self.0.clone();
        url.set_path(&format!("{}/api/webhooks/test", &path[..end]));
        Some(url)
    }

    /// All that stands in a configuration, and our addresses.
    fn added_to(&self, config: &Map<String, Value>) -> Map<String, Value> {
        let mut config = config.clone();
        for kind in WebhookKind::ALL {
            let ours = Value::from(self.address(kind));
            let kept = match config.remove(kind.config_key()) {
                Some(Value::Array(addresses)) => addresses,
                None | Some(Value::Null) => Vec::new(),
                // Lists are documented; whatever else there is must not be lost.
                Some(other) => vec![other],
            };
            let is_there = kept.contains(&ours);
            let all: Vec<Value> = kept.into_iter().chain((!is_there).then_some(ours)).collect();
            config.insert(kind.config_key().to_owned(), Value::Array(all));
        }
        config
    }
}

/// Whether a request that is signed as CallRail signs gets to where webhooks are received, and holds there.
async fn probe(api: &Api, base: &Base, key: &str) -> Result<(), &'static str> {
    let address = base
        .test_address()
        .ok_or("the address has a form of its own: make a test call")?;
    let key = SigningKey::parse(key).map_err(|_| "the signing key has another form than CallRail's")?;
    let body = br#"{"probe":"trunkline"}"#;
    let request = api
        .outside
        .post(address)
        .header("content-type", "application/json")
        .header(SIGNATURE_HEADER, sign(&key, body))
        .timeout(PROBE_TIMEOUT)
        .body(body.to_vec());
    let answer = request
        .send()
        .await
        .map_err(|_| "nothing answers at the address")?;
    if !answer.status().is_success() {
        return Err("something else than Trunkline answers at the address");
    }
    let answer = answer.bytes().await.map_err(|_| "the answer broke off")?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match answer["signature"].as_str() {
        Some("valid") => Ok(()),
        Some(_) => Err(
            "the signature does not hold there: CALLRAIL_SIGNING_KEYS lacks the key, or something changes bodies",
        ),
        None => Err("something else than Trunkline answers at the address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> Option<String> {
        Base::read(text)
            .ok()
            .map(|base| base.address(WebhookKind::PreCall))
    }

    #[test]
    fn the_six_addresses_come_from_any_one_of_them() {
        let pre_call = "https://crm.example.com/api/webhooks/callrail/pre-call";
        for text in [
            "https://crm.example.com/api/webhooks/callrail/post-call",
            " https://crm.example.com/api/webhooks/callrail/outbound-call-modified/",
            "https://crm.example.com/api/webhooks/callrail",
        ] {
            assert_eq!(base(text).as_deref(), Some(pre_call), "{text}");
        }
        assert_eq!(
            base("https://crm.example.com/x/api/webhooks/callrail/COM1/post-call").as_deref(),
            Some("https://crm.example.com/x/api/webhooks/callrail/COM1/pre-call")
        );
        assert_eq!(
            base("https://crm.example.com/hooks/post-call").as_deref(),
            Some("https://crm.example.com/hooks/pre-call")
        );
    }

    #[test]
    fn an_address_that_is_none_of_ours_is_refused() {
        for text in [
            "",
            "crm.example.com",
            "http://crm.example.com/api/webhooks/callrail/post-call",
            "https://crm.example.com",
            "https://crm.example.com/api/webhooks/callrail/post_call",
            "https://me@crm.example.com/api/webhooks/callrail/post-call",
            "https://crm.example.com/api/webhooks/callrail/post-call?x=1",
            "ftp://127.0.0.1/api/webhooks/callrail/post-call",
        ] {
            assert_eq!(base(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_others_stay_and_ours_are_added_once() {
        let Value::Object(before) = json!({
            "post_call_webhook": ["https://other.example.com/hook"],
            "sms_sent_webhook": ["https://other.example.com/sms"],
            "pre_call_webhook": "https://odd.example.com",
        }) else {
            panic!()
        };
        let ours = Base::read("https://crm.example.com/api/webhooks/callrail").unwrap();
        let after = ours.added_to(&before);
        assert_eq!(
            after["post_call_webhook"],
            json!([
                "https://other.example.com/hook",
                "https://crm.example.com/api/webhooks/callrail/post-call"
            ])
        );
        assert_eq!(after["sms_sent_webhook"], before["sms_sent_webhook"]);
        assert_eq!(after["pre_call_webhook"][0], "https://odd.example.com");
        assert_eq!(
            after["answered_call_webhook"],
            json!(["https://crm.example.com/api/webhooks/callrail/routing-complete"])
        );
        assert_eq!(ours.added_to(&after), after);
    }

    #[test]
    fn a_probe_goes_to_the_same_server_only() {
        let ours = Base::read("https://crm.example.com/x/api/webhooks/callrail/COM1/post-call").unwrap();
        assert_eq!(
            ours.test_address().unwrap().as_str(),
            "https://crm.example.com/x/api/webhooks/test"
        );
        let moved = Base::read("https://crm.example.com/hooks/post-call").unwrap();
        assert_eq!(moved.test_address(), None);
    }
}
