//! `GET /api/integrations/callrail/test-connection`: does CallRail take our key?

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::Api;
use crate::answer::{Answer, Refusal};
use crate::shapes::{Done, Problem};

/// Asks CallRail now whether it accepts the key, and says what to do if not.
#[utoipa::path(
    get,
    path = "/api/integrations/callrail/test-connection",
    operation_id = "test_connection",
    tag = "callrail",
    responses(
        (status = 200, description = "CallRail accepts the key", body = Done),
        (status = 502, description = "It does not, or does not answer", body = Problem),
        (status = 503, description = "CALLRAIL_API_KEY or CALLRAIL_ACCOUNT_ID is not set", body = Problem),
    )
)]
pub(crate) async fn test(api: Data<Api>) -> Answer {
    let callrail = api.callrail.as_ref().ok_or_else(Refusal::not_configured)?;
    callrail.interactive.account().await?;
    Ok(HttpResponse::Ok().json(Done::new("CallRail API connection successful")))
}
