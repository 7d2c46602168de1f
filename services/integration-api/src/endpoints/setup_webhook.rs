//! `POST /api/integrations/callrail/setup-webhook`: has CallRail send its webhooks to us, beside whoever gets them now.
//!
//! No address is written before the service that receives webhooks knows the key they are signed with
//! ([`crate::webhooks`]).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use callrail::client::{ApiError, Integration};
use callrail::{SigningKey, WebhookKind};
use calls::CompanyId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::answer::{Answer, Refusal};
use crate::shapes::{Problem, SUCCESS};
use crate::webhooks::{self, ACTIVE, Addresses, STEPS_BY_HAND};
use crate::{Api, body};

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
    verification: Option<String>,
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
    let addresses = Addresses::parse(&wanted.webhook_url).map_err(|error| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_webhook_url",
            format!("webhook_url {error}"),
        )
    })?;
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

    let by_hand = |error| by_hand(error, &addresses, &company);
    let integration = webhooks::find_or_make(client, &company).await.map_err(by_hand)?;
    let key = integration.signing_key.clone();
    require_installed(&api, key.as_deref(), &company, wanted.signing_key_installed)?;
    let written = webhooks::point(client, &integration, &addresses)
        .await
        .map_err(by_hand)?;
    if written.is_some() {
        tracing::info!(
            integration.id = integration.id,
            "CallRail was told to send its webhooks to this installation"
        );
    }
    let written = written.unwrap_or(integration);
    let (verified, verification) = if wanted.verify {
        let probed = probe(&api, &addresses, key.as_deref()).await;
        (Some(probed.is_ok()), probed.err())
    } else {
        (None, None)
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
    let is_installed = SigningKey::parse(key).is_ok_and(|key| keys.accept(&key, company));
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
fn by_hand(error: ApiError, addresses: &Addresses, company: &CompanyId) -> Refusal {
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
        .map(|kind| json!({"box": kind.box_name(), "url": addresses.of(kind)}))
        .collect();
    refusal
        .with("steps", STEPS_BY_HAND)
        .with("urls", urls)
        .with("company_id", company)
}

/// Whether a signed request gets to where webhooks are received, and holds there; else why not.
async fn probe(api: &Api, addresses: &Addresses, key: Option<&str>) -> Result<(), String> {
    let key = key.ok_or("CallRail does not tell the signing key")?;
    let key = SigningKey::parse(key).map_err(|error| error.to_string())?;
    webhooks::probe(&api.outside, addresses, &key)
        .await
        .map_err(|error| error.to_string())
}
