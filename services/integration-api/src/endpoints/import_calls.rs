//! `POST /api/integrations/callrail/import-calls`: have past calls read, and wait for it as long as people wait.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use calls::{CompanyId, ImportRange, InvalidRange};
use chrono::Utc;
use serde::Deserialize;
use store::{Import, ImportCounts, ImportSource, ImportState, NewImport, Store};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::answer::{Answer, Refusal};
use crate::shapes::{Imported, Problem, SUCCESS};
use crate::{Api, body};

/// How long the caller waits for an import: shorter than the patience of usual proxies and clients (30 s).
const PATIENCE: Duration = Duration::from_secs(25);

/// How often it is looked whether the import is complete.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is imported when the caller does not say.
const DEFAULT_DAYS: u32 = 30;

/// Either `days_back`, or `start_date` and `end_date`; nothing: the last 30 days.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct ImportRequest {
    /// Up to 760.
    #[schema(example = 30)]
    days_back: Option<u32>,
    /// A date, or a time in RFC 3339; included.
    #[schema(example = "2025-09-01T00:00:00Z")]
    start_date: Option<String>,
    /// A date, or a time in RFC 3339; included.
    #[schema(example = "2025-10-01T00:00:00Z")]
    end_date: Option<String>,
    /// Calls of one company only, instead of the one that is set.
    #[schema(value_type = Option<String>)]
    company_id: Option<CompanyId>,
}

impl ImportRequest {
    fn range(&self) -> Result<ImportRange, Refusal> {
        let now = Utc::now();
        let range = match (self.days_back, &self.start_date, &self.end_date) {
            (days, None, None) => ImportRange::days_back(days.unwrap_or(DEFAULT_DAYS), now),
            (None, Some(start), Some(end)) => ImportRange::between(start, end, now),
            (None, _, _) => return Err(invalid("start_date and end_date go together: one is missing")),
            (Some(_), _, _) => {
                return Err(invalid(
                    "Send either days_back, or start_date and end_date, not both",
                ));
            }
        };
        range.map_err(|error: InvalidRange| invalid(&error.to_string()))
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_range", message)
}

/// Imports calls from CallRail, and waits up to 25 s until all are stored.
///
/// After that, or at once with `Prefer: respond-async`, the answer is 202 with what was imported so far, and
/// `Location` says where to ask again. The import goes on in any case.
#[utoipa::path(
    post,
    path = "/api/integrations/callrail/import-calls",
    operation_id = "import_calls",
    tag = "callrail",
    request_body = ImportRequest,
    responses(
        (status = 200, description = "All is stored", body = Imported),
        (status = 202, description = "It goes on; `Location` tells where to ask", body = Imported),
        (status = 400, description = "There is no such range", body = Problem),
        (status = 409, description = "Somebody has cancelled it", body = Problem),
        (status = 502, description = "It was given up, for the reason in `message`", body = Problem),
        (status = 503, description = "CALLRAIL_API_KEY or CALLRAIL_ACCOUNT_ID is not set", body = Problem),
    )
)]
pub(crate) async fn import(request: HttpRequest, payload: Payload, api: Data<Api>) -> Answer {
    if api.callrail.is_none() {
        return Err(Refusal::not_configured());
    }
    let wanted: ImportRequest = body::object(payload).await?;
    let range = wanted.range()?;
    let new = NewImport {
        source: ImportSource::Api,
        start: range.start(),
        end: range.end(),
        company: wanted.company_id.or_else(|| api.settings.company.clone()),
    };
    let run = api.store.create_import(new, Utc::now()).await?;
    tracing::info!(import.id = %run.id, start = %run.start, end = %run.end, "an import was asked for");

    let deadline = if prefers_async(&request) {
        Instant::now()
    } else {
        Instant::now() + PATIENCE
    };
    loop {
        let run = find(&api.store, run.id).await?;
        match run.state {
            ImportState::Failed => return Err(failed(&run)),
            ImportState::Cancelled => {
                return Err(Refusal::new(
                    StatusCode::CONFLICT,
                    "import_cancelled",
                    "The import was cancelled",
                ));
            }
            ImportState::Finished => {
                let counts = api.store.import_counts(run.id).await?;
                if run.is_complete(&counts) {
                    let message = format!("Imported {} calls", counts.total);
                    return Ok(HttpResponse::Ok().json(imported(message, &counts)));
                }
            }
            ImportState::Waiting | ImportState::Running => {}
        }
        if Instant::now() >= deadline || api.shutdown.is_cancelled() {
            return Ok(goes_on(&run, &api.store.import_counts(run.id).await?));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// RFC 7240, section 4.1.
fn prefers_async(request: &HttpRequest) -> bool {
    let preferences = request
        .headers()
        .get_all(header::HeaderName::from_static("prefer"));
    preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

pub(super) async fn find(store: &Store, id: Uuid) -> Result<Import, Refusal> {
    let run = store.import(id).await?;
    run.ok_or_else(no_such_import)
}

pub(super) fn no_such_import() -> Refusal {
    Refusal::not_found("There is no import with this id")
}

fn failed(run: &Import) -> Refusal {
    let reason = run.error.as_deref().unwrap_or("no reason is known");
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        "import_failed",
        format!("The import was given up: {reason}"),
    )
    .with("import_id", run.id)
}

fn goes_on(run: &Import, counts: &ImportCounts) -> HttpResponse {
    let message = format!("Importing: {} calls so far", counts.total);
    HttpResponse::Accepted()
        .insert_header((
            header::LOCATION,
            format!("/api/integrations/callrail/imports/{}", run.id),
        ))
        .json(imported(message, counts))
}

fn imported(message: String, counts: &ImportCounts) -> Imported {
    Imported {
        status: SUCCESS,
        message,
        processed: counts.stored,
        failed: counts.failed,
        total_calls: counts.total,
    }
}
