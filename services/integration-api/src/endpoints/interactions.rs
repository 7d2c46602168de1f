//! `/api/interactions`: the calls in the database, to be searched, looked at and linked.

use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use calls::{ContactKind, ContactRef, Direction, Outcome};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::{InteractionFilter, MatchState, NumberFilter, StoredInteraction};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::shapes::{
    InteractionPage, InteractionShape, OneHistory, OneInteraction, Person, Problem, SUCCESS,
};
use crate::{Api, body, cursor, path, people, query};

/// How many interactions a page has, unless the caller says otherwise, and at most.
pub(super) const PAGE: u32 = 50;
pub(super) const MAX_PAGE: u32 = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// A telephone number in any spelling, or a part of one.
    number: Option<String>,
    /// A part of a name: the carrier's, or the CRM's.
    name: Option<String>,
    /// Calls that began at this time or later.
    from: Option<DateTime<Utc>>,
    /// Calls that began before this time.
    to: Option<DateTime<Utc>>,
    /// `completed`, `no_answer` or `voicemail`.
    outcome: Option<String>,
    /// `inbound` or `outbound`.
    direction: Option<String>,
    /// `matched`, `unmatched` or `ambiguous`.
    r#match: Option<String>,
    /// How many, up to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl Search {
    fn filter(&self, api: &Api) -> Result<InteractionFilter, Refusal> {
        let number = self.number.as_deref().filter(|text| !text.trim().is_empty());
        let number = number.map(|text| {
            NumberFilter::read(text, api.settings.reading.region)
                .ok_or_else(|| Refusal::invalid("number holds no digits"))
        });
        Ok(InteractionFilter {
            number: number.transpose()?,
            name: self.name.clone().filter(|name| !name.trim().is_empty()),
            from: self.from,
            to: self.to,
            outcome: word(
                self.outcome.as_deref(),
                Outcome::from_stored,
                "outcome must be completed, no_answer or voicemail",
            )?,
            direction: word(
                self.direction.as_deref(),
                direction,
                "direction must be inbound or outbound",
            )?,
            match_state: word(
                self.r#match.as_deref(),
                MatchState::from_name,
                "match must be matched, unmatched or ambiguous",
            )?,
            to_call_back: false,
        })
    }
}

pub(super) fn word<T>(
    text: Option<&str>,
    read: impl Fn(&str) -> Option<T>,
    expected: &str,
) -> Result<Option<T>, Refusal> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| read(text).ok_or_else(|| Refusal::invalid(expected)))
        .transpose()
}

fn direction(name: &str) -> Option<Direction> {
    match name {
        "inbound" => Some(Direction::Inbound),
        "outbound" => Some(Direction::Outbound),
        _ => None,
    }
}

/// Looks for calls, latest first. Spam and what vanished from CallRail is left out.
#[utoipa::path(
    get,
    path = "/api/interactions",
    operation_id = "search_interactions",
    tag = "interactions",
    params(Search),
    responses(
        (status = 200, description = "A page of them", body = InteractionPage),
        (status = 400, description = "A parameter cannot be read", body = Problem),
    )
)]
pub(crate) async fn search(search: query::Parameters<Search>, api: Data<Api>) -> Answer {
    let limit = search.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let before = search.cursor.as_deref().map(cursor::position).transpose()?;
    let filter = search.filter(&api)?;
    let found = api.store.search_interactions(filter, limit, before).await?;
    Ok(HttpResponse::Ok().json(page(&api, &found, limit).await?))
}

/// A page, with where it goes on if it is full.
pub(super) async fn page(
    api: &Api,
    found: &[StoredInteraction],
    limit: u32,
) -> Result<InteractionPage, Refusal> {
    let last = found.last().filter(|_| found.len() >= limit as usize);
    let mut interactions: Vec<InteractionShape> = found.iter().map(Into::into).collect();
    let people = interactions.iter_mut().flat_map(InteractionShape::people);
    people::name(&api.store, people.collect()).await?;
    Ok(InteractionPage {
        status: SUCCESS,
        interactions,
        next: last.map(|last| cursor::of_position(last.position())),
    })
}

/// One call as it is told.
async fn shown(api: &Api, found: &StoredInteraction) -> Result<OneInteraction, Refusal> {
    let mut interaction: InteractionShape = found.into();
    people::name(&api.store, interaction.people().collect()).await?;
    Ok(OneInteraction {
        status: SUCCESS,
        interaction,
    })
}

/// One call, hidden or not.
#[utoipa::path(
    get,
    path = "/api/interactions/{id}",
    operation_id = "show_interaction",
    tag = "interactions",
    params(("id" = Uuid, Path, description = "As in the column `id`")),
    responses(
        (status = 200, description = "The call", body = OneInteraction),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn show(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let found = find(&api, *id).await?;
    Ok(HttpResponse::Ok().json(shown(&api, &found).await?))
}

async fn find(api: &Api, id: Uuid) -> Result<StoredInteraction, Refusal> {
    let found = api.store.interaction(id).await?;
    found.ok_or_else(|| Refusal::not_found("There is no interaction with this id"))
}

/// How a call came to be what the database says: every state seen, what it changed, who decided what, how it was
/// matched.
#[utoipa::path(
    get,
    path = "/api/interactions/{id}/history",
    operation_id = "show_history",
    tag = "interactions",
    params(("id" = Uuid, Path, description = "As in the column `id`")),
    responses(
        (status = 200, description = "The history", body = OneHistory),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn history(id: path::Segment<Uuid>, api: Data<Api>) -> Answer {
    let call_sid = find(&api, *id).await?.interaction.call_sid;
    let history = api.store.call(&call_sid).await?;
    let history = history.ok_or_else(|| Refusal::not_found("There is no interaction with this id"))?;
    let mut history = OneHistory::new(&call_sid, &history);
    people::name(&api.store, history.people().collect()).await?;
    Ok(HttpResponse::Ok().json(history))
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct LinkRequest {
    /// With whom; null: with nobody.
    contact: Option<Person>,
}

/// Links a call with one of the CRM's people, or with nobody. A person's decision: no event changes it.
#[utoipa::path(
    post,
    path = "/api/interactions/{id}/link",
    operation_id = "link_interaction",
    tag = "interactions",
    params(("id" = Uuid, Path, description = "As in the column `id`")),
    request_body = LinkRequest,
    responses(
        (status = 200, description = "The call as it stands now", body = OneInteraction),
        (status = 400, description = "The contact is none", body = Problem),
        (status = 404, description = "There is none with this id", body = Problem),
    )
)]
pub(crate) async fn link(id: path::Segment<Uuid>, payload: Payload, user: User, api: Data<Api>) -> Answer {
    let wanted: serde_json::Map<String, serde_json::Value> = body::object(payload).await?;
    // Forgotten and "nobody" must not look the same.
    if !wanted.contains_key("contact") {
        return Err(Refusal::invalid(
            "The body must hold `contact`: {\"kind\", \"id\"}, or null for nobody",
        ));
    }
    let wanted: LinkRequest = serde_json::from_value(wanted.into())
        .map_err(|error| Refusal::invalid(format!("The contact cannot be read: {error}")))?;
    let contact = wanted.contact.map(contact).transpose()?;
    let call_sid = find(&api, *id).await?.interaction.call_sid;
    let by = user.id.as_deref().unwrap_or("api");
    api.store
        .link_interaction(&call_sid, contact, by, Utc::now())
        .await?;
    tracing::info!(call.id = %call_sid, "a call was linked by a person's decision");
    let found = find(&api, *id).await?;
    Ok(HttpResponse::Ok().json(shown(&api, &found).await?))
}

fn contact(person: Person) -> Result<ContactRef, Refusal> {
    let kind = ContactKind::from_name(&person.kind);
    let kind = kind.ok_or_else(|| Refusal::invalid("kind must be lead or customer"))?;
    if person.id.trim().is_empty() {
        return Err(Refusal::invalid("id must not be empty"));
    }
    Ok(ContactRef { kind, id: person.id })
}
