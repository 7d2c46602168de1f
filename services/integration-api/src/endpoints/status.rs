//! `GET /api/integrations/callrail/status`: is all well? Answered at once, whatever is away.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::{RequestLimits, RequestsMade, WebhookHealth};
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::Api;
use crate::answer::Answer;
use crate::shapes::SUCCESS;

/// How long the database and the queue may take before their part stays empty.
const PATIENCE: Duration = Duration::from_millis(300);

/// The reconciler counts every 15 minutes. What is older than this nobody knows any more: it does not run.
const COUNTED_WITHIN: TimeDelta = TimeDelta::hours(1);

#[derive(Serialize, ToSchema)]
pub(crate) struct InstallationStatus {
    #[schema(example = "success")]
    status: &'static str,
    integration: IntegrationStatus,
    health: HealthStatus,
}

#[derive(Serialize, ToSchema)]
struct IntegrationStatus {
    #[schema(example = "CallRail")]
    name: &'static str,
    /// Account and key are set.
    configured: bool,
    /// CallRail has accepted the key within the last minute.
    connected: bool,
    /// Why not.
    error: Option<String>,
    features: Features,
}

/// What works with what is set.
#[derive(Serialize, ToSchema)]
#[allow(clippy::struct_excessive_bools, reason = "as it is documented")]
struct Features {
    call_import: bool,
    webhook_support: bool,
    recording_download: bool,
    real_time_alerts: bool,
}

/// What an operator looks at. What does not answer in time is null.
#[derive(Serialize, ToSchema)]
struct HealthStatus {
    /// When CallRail last sent something.
    last_webhook_at: Option<DateTime<Utc>>,
    /// Calls of the last 24 hours that no webhook has brought, though their end is more than 30 minutes ago. Null, too,
    /// while no reconciler runs, and when no webhook has come for a month.
    gap: Option<u64>,
    webhooks: Option<Webhooks>,
    /// Messages that wait, by queue.
    queues: Option<BTreeMap<&'static str, u64>>,
    /// Dead letters that wait for somebody to look at them.
    dead_letters_waiting: Option<u64>,
    imports_open: Option<u64>,
    requests: Option<Requests>,
}

/// Whether webhooks come, as the reconciler saw it last. Null until it has looked.
#[derive(Serialize, ToSchema)]
struct Webhooks {
    /// The state of the company's webhook integration in CallRail: `active`, `disabled`, `pending`, `failed`, or `missing`
    /// when there is none. Null without `CALLRAIL_COMPANY_ID`.
    #[schema(example = "active")]
    state: Option<String>,
    /// When CallRail said so.
    checked_at: Option<DateTime<Utc>>,
    /// When the last call began that a webhook has told of, if at least 10 calls were usual since.
    silent_since: Option<DateTime<Utc>>,
}

impl Webhooks {
    fn new(health: WebhookHealth) -> Option<Self> {
        let WebhookHealth { counted, integration } = health;
        if counted.is_none() && integration.is_none() {
            return None;
        }
        let (state, checked_at) = integration.map(|seen| (seen.state, seen.checked_at)).unzip();
        Some(Self {
            state,
            checked_at,
            silent_since: counted.and_then(|counted| counted.silent_since),
        })
    }
}

/// What the reconciler found last, without what it counted too long ago.
fn known(mut health: WebhookHealth) -> WebhookHealth {
    health
        .counted
        .take_if(|counted| counted.counted_at < Utc::now() - COUNTED_WITHIN);
    health
}

/// Requests to CallRail's API by this installation, by other tools of the account, and how many there may be.
#[derive(Serialize, ToSchema)]
struct Requests {
    last_minute: u32,
    last_hour: u32,
    last_day: u32,
    last_hour_by_others: u32,
    last_day_by_others: u32,
    limit_per_minute: u32,
    limit_per_hour: u32,
    limit_per_day: u32,
}

impl Requests {
    fn new(made: RequestsMade, limits: RequestLimits) -> Self {
        Self {
            last_minute: made.minute,
            last_hour: made.hour,
            last_day: made.day,
            last_hour_by_others: made.hour_by_others,
            last_day_by_others: made.day_by_others,
            limit_per_minute: limits.per_minute,
            limit_per_hour: limits.per_hour,
            limit_per_day: limits.per_day,
        }
    }
}

/// Whether CallRail answers, what works, and what an operator should look at.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/status",
    operation_id = "show_status",
    tag = "callrail",
    responses((status = 200, description = "Also when something is not well", body = InstallationStatus))
)]
pub(crate) async fn show(api: Data<Api>) -> Answer {
    let (connected, activity, webhooks, made, depths) = tokio::join!(
        api.connection.state(),
        timeout(PATIENCE, api.store.activity()),
        timeout(PATIENCE, api.store.webhook_health()),
        timeout(PATIENCE, api.store.requests_made(Utc::now())),
        timeout(PATIENCE, api.queue.depths()),
    );
    let activity = activity.ok().and_then(Result::ok);
    let webhooks = webhooks.ok().and_then(Result::ok).map(known).unwrap_or_default();
    let made = made.ok().and_then(Result::ok);
    let depths = depths.ok().and_then(Result::ok);
    let configured = api.callrail.is_some();
    let knows_keys = api.settings.receives_webhooks;
    Ok(HttpResponse::Ok().json(InstallationStatus {
        status: SUCCESS,
        integration: IntegrationStatus {
            name: "CallRail",
            configured,
            connected: connected.is_ok(),
            error: connected.err(),
            features: Features {
                call_import: configured,
                webhook_support: !(knows_keys && api.settings.signing_keys.is_empty()),
                recording_download: configured,
                real_time_alerts: true,
            },
        },
        health: HealthStatus {
            last_webhook_at: activity.and_then(|activity| activity.last_webhook_at),
            gap: webhooks.counted.as_ref().and_then(|counted| counted.gap),
            webhooks: Webhooks::new(webhooks),
            queues: depths.map(|depths| {
                depths
                    .into_iter()
                    .map(|(name, depth)| (name.as_str(), depth))
                    .collect()
            }),
            dead_letters_waiting: activity.map(|activity| activity.dead_letters_waiting),
            imports_open: activity.map(|activity| activity.imports_open),
            requests: made.map(|made| Requests::new(made, api.settings.request_limits)),
        },
    }))
}
