//! `/api/session`: a person signs in with a token, and the browser keeps it where no script can read it.

use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::auth::{self, User};
use crate::session;
use crate::shapes::{Done, Problem, SUCCESS};

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionShape {
    #[schema(example = "success")]
    status: &'static str,
    /// The CRM's id of the user, if the token has one.
    user: Option<String>,
    /// What he may do.
    scopes: Vec<String>,
    /// When the token ends, and the session with it.
    expires_at: DateTime<Utc>,
}

impl From<User> for SessionShape {
    fn from(user: User) -> Self {
        Self {
            status: SUCCESS,
            user: user.id,
            scopes: user.scopes,
            expires_at: user.expires_at,
        }
    }
}

/// Signs in: the token of the header `Authorization` becomes a cookie, for as long as it holds. With it every GET is
/// answered; changes are the console's own.
#[utoipa::path(
    post,
    path = "/api/session",
    operation_id = "sign_in",
    tag = "session",
    responses(
        (status = 200, description = "`Set-Cookie` holds the session", body = SessionShape),
        (status = 400, description = "The token is too long for a cookie", body = Problem),
    )
)]
pub(crate) async fn sign_in(request: HttpRequest, user: User) -> Answer {
    let cookie = session::begin(&request, auth::bearer_token(&request)?, user.remaining())?;
    tracing::info!("somebody signed in at the console");
    Ok(HttpResponse::Ok().cookie(cookie).json(SessionShape::from(user)))
}

/// Who is signed in.
#[utoipa::path(
    get,
    path = "/api/session",
    operation_id = "show_session",
    tag = "session",
    responses((status = 200, description = "The session", body = SessionShape))
)]
pub(crate) async fn show(user: User) -> Answer {
    Ok(HttpResponse::Ok().json(SessionShape::from(user)))
}

/// Signs out: the browser forgets the token.
#[utoipa::path(
    delete,
    path = "/api/session",
    operation_id = "sign_out",
    tag = "session",
    responses((status = 200, description = "`Set-Cookie` takes the session away", body = Done))
)]
pub(crate) async fn sign_out(request: HttpRequest) -> Answer {
    Ok(HttpResponse::Ok()
        .cookie(session::end(&request))
        .json(Done::new("Signed out")))
}
