//! `GET /api/integrations/callrail/call/{call_id}`: one call, as we know it or as CallRail does.

use actix_web::HttpResponse;
use actix_web::web::Data;
use calls::{CallId, EventKind, Interaction, Origin, Receipt, Record, from_callrail, project};
use chrono::Utc;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::answer::{Answer, Refusal};
use crate::shapes::{InteractionShape, OneCall, Problem, SUCCESS};
use crate::{Api, path, query};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Freshness {
    /// `true`: ask CallRail, whatever we know.
    #[serde(default)]
    fresh: bool,
}

/// A call by CallRail's id. What is not in the database is asked of CallRail, as is everything with `fresh=true`;
/// nothing is stored by asking.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/call/{call_id}",
    operation_id = "show_call",
    tag = "callrail",
    params(("call_id" = String, Path, description = "CAL…, as in the column `call_sid`"), Freshness),
    responses(
        (status = 200, description = "The call", body = OneCall),
        (status = 400, description = "The request cannot be read", body = Problem),
        (status = 404, description = "Neither we nor CallRail know it", body = Problem),
        (status = 502, description = "CallRail does not answer", body = Problem),
    )
)]
pub(crate) async fn show(
    call_id: path::Segment<CallId>,
    freshness: query::Parameters<Freshness>,
    api: Data<Api>,
) -> Answer {
    let known = api.store.call(&call_id).await?;
    let history = known.as_ref().map(Into::into);
    let seals = known
        .as_ref()
        .map(|known| known.seals.clone())
        .unwrap_or_default();
    if let Some(known) = known.filter(|_| !freshness.fresh) {
        let call = match &known.row {
            Some(row) => stored(&api, row).await?,
            None => None,
        };
        return Ok(HttpResponse::Ok().json(OneCall {
            status: SUCCESS,
            source: "trunkline",
            call,
            history,
        }));
    }
    let unknown = || Refusal::not_found("There is no such call in the database");
    let callrail = match &api.callrail {
        Some(callrail) => callrail,
        None if freshness.fresh => return Err(Refusal::not_configured()),
        None => return Err(unknown()),
    };
    let observed_at = Utc::now();
    let object = callrail.interactive.call(&call_id).await?;
    let object =
        object.ok_or_else(|| Refusal::not_found("CallRail knows no such call, or hides it as spam"))?;
    let receipt = Receipt {
        event_id: Uuid::now_v7(),
        kind: EventKind::Import,
        origin: Origin::Import,
        observed_at,
        import_id: None,
        company: None,
    };
    // The way that every call comes in by: what is told is redacted, and of one shape.
    let event = from_callrail((&object).into(), receipt, api.settings.reading).map_err(|error| {
        tracing::warn!(call.id = %*call_id, %error, "a call from CallRail's API cannot be read");
        Refusal::new(
            actix_web::http::StatusCode::BAD_GATEWAY,
            "callrail_unexpected",
            "CallRail's answer is not a call that can be read: see the log",
        )
    })?;
    let mut record = Record::default();
    record.add(event.as_sealed(&seals).to_recorded());
    let call = project(&record, &seals);
    Ok(HttpResponse::Ok().json(OneCall {
        status: SUCCESS,
        source: "callrail",
        call: call.as_ref().map(Into::into),
        history,
    }))
}

/// The row with the times at which it was written.
async fn stored(api: &Api, row: &Interaction) -> Result<Option<InteractionShape>, Refusal> {
    let stored = api.store.interaction(row.id).await?;
    Ok(stored.as_ref().map(Into::into))
}
