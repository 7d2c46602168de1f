//! `/api/integrations/callrail/imports`: what became of imports, and an end to them.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use chrono::Utc;
use serde::Deserialize;
use store::{Import, ImportCounts, ImportRetry, Store};
use utoipa::IntoParams;
use uuid::Uuid;

use super::import_calls::{find, no_such_import};
use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::event_stream;
use crate::shapes::{Done, ImportPage, ImportRun, OneImport, Problem, SUCCESS};
use crate::{Api, path, query};

/// How many runs a page has, unless the caller says otherwise, and at most.
const PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;

/// How many failed calls are told.
const FAILED_SHOWN: u32 = 1_000;

/// How often a listener is told of progress, if there is any.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageOfImports {
    /// How many, up to 100; 20 unless said otherwise.
    limit: Option<u32>,
    /// `next` of the page before.
    before: Option<Uuid>,
}

/// The imports, newest first.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/imports",
    operation_id = "list_imports",
    tag = "imports",
    params(PageOfImports),
    responses(
        (status = 200, description = "A page of them", body = ImportPage),
        (status = 400, description = "The request cannot be read", body = Problem),
    )
)]
pub(crate) async fn list(page: query::Parameters<PageOfImports>, api: Data<Api>) -> Answer {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let runs = api.store.imports(limit, page.before).await?;
    let next = (runs.len() == limit as usize)
        .then(|| runs.last().map(|run| run.id))
        .flatten();
    let mut imports = Vec::with_capacity(runs.len());
    for run in &runs {
        imports.push(ImportRun::new(run, &api.store.import_counts(run.id).await?));
    }
    Ok(HttpResponse::Ok().json(ImportPage {
        status: SUCCESS,
        imports,
        next,
    }))
}

/// One import, with the calls that failed and why.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/imports/{id}",
    operation_id = "show_import",
    tag = "imports",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "The import", body = OneImport),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn show(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    Ok(HttpResponse::Ok().json(one(&api, *id).await?))
}

/// The progress of an import as server-sent events: `progress` whenever something changes, `done` at the end.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/imports/{id}/events",
    operation_id = "follow_import",
    tag = "imports",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "The data of every event is an `ImportRun`", content_type = "text/event-stream"),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn events(id: path::Segment<Uuid>, user: User, api: Data<Api>) -> Answer {
    let id = *id;
    find(&api.store, id).await?;
    let (store, shutdown) = (api.store.clone(), api.shutdown.clone());
    Ok(event_stream::answer(
        user.remaining(),
        shutdown,
        |events| async move {
            let mut told = None;
            loop {
                // A database that is away for a while ends no stream.
                if let Ok((run, counts)) = look(&store, id).await {
                    let now = ImportRun::new(&run, &counts);
                    let is_done = now.complete || !(run.state.is_open() || counts.queued > 0);
                    if is_done {
                        return events.send("done", None, &now).await;
                    }
                    if told.as_ref() != Some(&now) {
                        events.send("progress", None, &now).await?;
                        told = Some(now);
                    }
                }
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
        },
    ))
}

/// Stops an import. Calls that are on their way arrive nevertheless.
#[utoipa::path(
    delete,
    path = "/api/integrations/callrail/imports/{id}",
    operation_id = "cancel_import",
    tag = "imports",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "It is stopped", body = Done),
        (status = 404, description = "There is none with this id", body = Problem),
        (status = 409, description = "It has ended already", body = Problem),
    )
)]
pub(crate) async fn cancel(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let was_open = api.store.cancel_import(*id, Utc::now()).await?;
    if was_open {
        tracing::info!(import.id = %*id, "an import was cancelled");
        return Ok(HttpResponse::Ok().json(Done::new("Import cancelled")));
    }
    find(&api.store, *id).await?;
    Err(Refusal::new(
        StatusCode::CONFLICT,
        "import_over",
        "The import has ended already",
    ))
}

/// Reads the calls of an import that failed once more, each alone. What can be read now is stored; what cannot keeps a
/// reason. Each call takes a request.
#[utoipa::path(
    post,
    path = "/api/integrations/callrail/imports/{id}/retry",
    operation_id = "retry_import",
    tag = "imports",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 202, description = "The import, which waits to go on", body = OneImport),
        (status = 404, description = "There is none with this id", body = Problem),
        (status = 409, description = "It goes on still, or was not read to its end", body = Problem),
        (status = 503, description = "CALLRAIL_API_KEY or CALLRAIL_ACCOUNT_ID is not set", body = Problem),
    )
)]
pub(crate) async fn retry(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    if api.callrail.is_none() {
        return Err(Refusal::not_configured());
    }
    let conflict = |code, message: &str| Err(Refusal::new(StatusCode::CONFLICT, code, message));
    match api.store.retry_import(*id).await? {
        ImportRetry::Waiting => {
            tracing::info!(import.id = %*id, "the failed calls of an import are tried again");
            Ok(HttpResponse::Accepted().json(one(&api, *id).await?))
        }
        ImportRetry::Open => conflict("import_running", "The import goes on still: wait for its end"),
        ImportRetry::Incomplete => conflict(
            "import_incomplete",
            "The import was given up or cancelled before its end: import the same days again",
        ),
        ImportRetry::Unknown => Err(no_such_import()),
    }
}

async fn one(api: &Api, id: Uuid) -> Result<OneImport, Refusal> {
    let (run, counts) = look(&api.store, id).await?;
    let failed = api.store.failed_import_calls(run.id, FAILED_SHOWN, None).await?;
    Ok(OneImport {
        status: SUCCESS,
        import: ImportRun::new(&run, &counts),
        failed_calls: failed.into_iter().map(Into::into).collect(),
    })
}

/// A run and its counts, which are read after it: a run that is read as finished has all its calls.
async fn look(store: &Store, id: Uuid) -> Result<(Import, ImportCounts), Refusal> {
    let run = find(store, id).await?;
    let counts = store.import_counts(id).await?;
    Ok((run, counts))
}
