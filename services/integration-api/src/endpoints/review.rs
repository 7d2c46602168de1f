//! `GET /api/review`: calls that nobody is linked with, or that could be several people's.

use std::cmp::Reverse;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use store::{InteractionFilter, MatchState};
use utoipa::IntoParams;

use super::interactions::{MAX_PAGE, PAGE, page, word};
use crate::answer::Answer;
use crate::shapes::{InteractionPage, Problem};
use crate::{Api, cursor, query};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Review {
    /// `unmatched` or `ambiguous`; both unless said otherwise.
    r#match: Option<String>,
    /// How many, up to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Calls that somebody should look at, latest first: linked with nobody, or possibly of several people.
#[utoipa::path(
    get,
    path = "/api/review",
    operation_id = "list_review",
    tag = "interactions",
    params(Review),
    responses(
        (status = 200, description = "A page of them", body = InteractionPage),
        (status = 400, description = "A parameter cannot be read", body = Problem),
    )
)]
pub(crate) async fn list(review: query::Parameters<Review>, api: Data<Api>) -> Answer {
    let limit = review.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let before = review.cursor.as_deref().map(cursor::position).transpose()?;
    let open = |name: &str| MatchState::from_name(name).filter(|state| *state != MatchState::Matched);
    let wanted = word(
        review.r#match.as_deref(),
        open,
        "match must be unmatched or ambiguous",
    )?;
    let states = match wanted {
        Some(state) => vec![state],
        None => vec![MatchState::Unmatched, MatchState::Ambiguous],
    };
    // The latest of each list hold the latest of both.
    let mut found = Vec::new();
    for state in states {
        let filter = InteractionFilter {
            match_state: Some(state),
            ..InteractionFilter::default()
        };
        found.extend(api.store.search_interactions(filter, limit, before).await?);
    }
    found.sort_by_key(|one| Reverse((one.interaction.scheduled_at, one.interaction.id)));
    found.truncate(limit as usize);
    Ok(HttpResponse::Ok().json(page(&api, &found, limit).await?))
}
