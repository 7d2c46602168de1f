//! `/api/dead-letters`: what could not be worked on, to be looked at, tried once more, or put aside.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use calls::QuarantinedDelivery;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{DeadLetterState, KeptDeadLetter};
use utoipa::IntoParams;
use uuid::Uuid;

use super::interactions::word;
use crate::answer::{Answer, Refusal};
use crate::dead_letters::{NotReplayed, discard as put_aside, replay as try_again};
use crate::shapes::{DeadLetterPage, Done, OneDeadLetter, Problem, SUCCESS};
use crate::{Api, path, query};

/// How many a page has, unless the caller says otherwise, and at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageOfLetters {
    /// `waiting`, `replayed`, `discarded` or `all`; `waiting` unless said otherwise.
    state: Option<String>,
    /// How many, up to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next` of the page before.
    before: Option<Uuid>,
}

/// Dead letters with their reasons, newest first; those that wait for somebody, unless said otherwise.
#[utoipa::path(
    get,
    path = "/api/dead-letters",
    operation_id = "list_dead_letters",
    tag = "dead letters",
    params(PageOfLetters),
    responses(
        (status = 200, description = "A page of them", body = DeadLetterPage),
        (status = 400, description = "A parameter cannot be read", body = Problem),
    )
)]
pub(crate) async fn list(page: query::Parameters<PageOfLetters>, api: Data<Api>) -> Answer {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let state = match page.state.as_deref() {
        Some("all") => None,
        text => word(
            text.or(Some("waiting")),
            DeadLetterState::from_name,
            "state must be waiting, replayed, discarded or all",
        )?,
    };
    let letters = api.store.dead_letters(state, limit, page.before).await?;
    let next = letters.last().filter(|_| letters.len() >= limit as usize);
    Ok(HttpResponse::Ok().json(DeadLetterPage {
        status: SUCCESS,
        next: next.map(|last| last.letter.id),
        dead_letters: letters.iter().map(Into::into).collect(),
    }))
}

/// One dead letter with the message in it, which holds personal data.
#[utoipa::path(
    get,
    path = "/api/dead-letters/{id}",
    operation_id = "show_dead_letter",
    tag = "dead letters",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "The dead letter", body = OneDeadLetter),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn show(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let kept = find(&api, *id).await?;
    Ok(HttpResponse::Ok().json(OneDeadLetter {
        status: SUCCESS,
        dead_letter: (&kept).into(),
        body: content(&kept.letter.body),
    }))
}

/// The message as JSON. A delivery in quarantine is told apart: what it holds is a text.
fn content(body: &[u8]) -> Value {
    if let Ok(kept) = QuarantinedDelivery::decode(body) {
        return json!(kept);
    }
    serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body)))
}

/// Tries a dead letter once more: what is mended works now, and what is not comes back as another dead letter.
#[utoipa::path(
    post,
    path = "/api/dead-letters/{id}/replay",
    operation_id = "replay_dead_letter",
    tag = "dead letters",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "It is on its way again", body = Done),
        (status = 404, description = "There is none with this id", body = Problem),
        (status = 409, description = "It cannot be tried again: `message` says why", body = Problem),
    )
)]
pub(crate) async fn replay(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let kept = find(&api, *id).await?;
    match try_again(&api.store, &api.queue, &kept, api.settings.reading).await {
        Ok(()) => {
            tracing::info!(dead_letter.id = %*id, "a dead letter was replayed");
            Ok(HttpResponse::Ok().json(Done::new("Dead letter replayed")))
        }
        Err(NotReplayed::Unfit(reason)) => Err(Refusal::new(
            StatusCode::CONFLICT,
            "not_replayable",
            format!("It cannot be tried again: {:#}", anyhow::Error::new(reason)),
        )),
        Err(NotReplayed::Queue(error)) => Err(error.into()),
        Err(NotReplayed::Store(error)) => Err(error.into()),
    }
}

/// Puts a dead letter aside. It is kept, and can be replayed later all the same.
#[utoipa::path(
    post,
    path = "/api/dead-letters/{id}/discard",
    operation_id = "discard_dead_letter",
    tag = "dead letters",
    params(("id" = Uuid, Path, description = "As the list shows it")),
    responses(
        (status = 200, description = "It is put aside", body = Done),
        (status = 404, description = "There is none with this id", body = Problem),
        (status = 409, description = "Somebody else has done something with it meanwhile", body = Problem),
    )
)]
pub(crate) async fn discard(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let kept = find(&api, *id).await?;
    if put_aside(&api.store, &kept).await? {
        tracing::info!(dead_letter.id = %*id, "a dead letter was discarded");
        return Ok(HttpResponse::Ok().json(Done::new("Dead letter discarded")));
    }
    Err(Refusal::new(
        StatusCode::CONFLICT,
        "changed_meanwhile",
        "Somebody else has done something with it meanwhile: look again",
    ))
}

async fn find(api: &Api, id: Uuid) -> Result<KeptDeadLetter, Refusal> {
    let found = api.store.dead_letter(id).await?;
    found.ok_or_else(|| Refusal::not_found("There is no dead letter with this id"))
}
