//! `GET /api/callbacks`: whom nobody has called back.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use store::InteractionFilter;
use utoipa::IntoParams;

use super::interactions::{MAX_PAGE, PAGE, page};
use crate::answer::Answer;
use crate::shapes::{InteractionPage, Problem};
use crate::{Api, cursor, query};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageOfCallbacks {
    /// How many, up to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Missed calls and voicemails, latest first, of people with whom nobody has talked since: the view `crm_callbacks`.
#[utoipa::path(
    get,
    path = "/api/callbacks",
    operation_id = "list_callbacks",
    tag = "interactions",
    params(PageOfCallbacks),
    responses(
        (status = 200, description = "A page of them", body = InteractionPage),
        (status = 400, description = "The cursor is none", body = Problem),
    )
)]
pub(crate) async fn list(callbacks: query::Parameters<PageOfCallbacks>, api: Data<Api>) -> Answer {
    let limit = callbacks.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let before = callbacks.cursor.as_deref().map(cursor::position).transpose()?;
    let filter = InteractionFilter {
        to_call_back: true,
        ..InteractionFilter::default()
    };
    let found = api.store.search_interactions(filter, limit, before).await?;
    Ok(HttpResponse::Ok().json(page(&api, &found, limit).await?))
}
