//! `POST /api/pusher/auth`: lets a user's browser join Pusher's private channels: that of all calls, and his own.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::Api;
use crate::answer::{Answer, Refusal};
use crate::auth::User;
use crate::shapes::Problem;

/// As Pusher's clients send it.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Join {
    #[schema(example = "1234.5678")]
    socket_id: String,
    #[schema(example = "private-calls")]
    channel_name: String,
}

/// Signs that the user may join `private-calls`, or `private-user-` and his own id. A form in, Pusher's JSON out.
#[utoipa::path(
    post,
    path = "/api/pusher/auth",
    operation_id = "authorise_channel",
    tag = "alerts",
    request_body(content = Join, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "`{\"auth\": \"KEY:SIGNATURE\"}`"),
        (status = 400, description = "The request cannot be read", body = Problem),
        (status = 403, description = "The channel is another's", body = Problem),
        (status = 503, description = "PUSHER_URL is not set", body = Problem),
    )
)]
pub(crate) async fn authorise(
    form: Result<Form<Join>, actix_web::Error>,
    user: User,
    api: Data<Api>,
) -> Answer {
    let Form(join) =
        form.map_err(|_| Refusal::invalid("The body is not the form that Pusher's clients send"))?;
    let app = api.settings.pusher.as_ref().ok_or_else(|| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_configured",
            "PUSHER_URL is not set, so there are no channels",
        )
    })?;
    let own = user.id.map(|id| format!("private-user-{id}"));
    let is_allowed = join.channel_name == "private-calls" || own.as_ref() == Some(&join.channel_name);
    if !is_allowed {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "channel_forbidden",
            "You may join private-calls, and the channel of your own id",
        ));
    }
    let auth = app
        .authorise(&join.socket_id, &join.channel_name)
        .ok_or_else(|| Refusal::invalid("socket_id or channel_name is none of Pusher's"))?;
    Ok(HttpResponse::Ok().json(json!({ "auth": auth })))
}
