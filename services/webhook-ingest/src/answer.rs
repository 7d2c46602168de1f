//! Answers: JSON, with the status that says what the sender should know.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use callrail::SignatureError;
use serde_json::json;

use crate::accept::{Accepted, NotAccepted};
use crate::body::Unread;
use crate::sender::WINDOW;

pub(crate) fn accepted(accepted: Accepted) -> HttpResponse {
    let (message, id) = match accepted {
        Accepted::Published(id) => ("Webhook accepted", id),
        Accepted::Quarantined(id) => ("Webhook kept for review: it is not a call that can be read", id),
    };
    HttpResponse::Ok().json(json!({"status": "success", "message": message, "event_id": id}))
}

pub(crate) fn not_accepted(error: &NotAccepted) -> HttpResponse {
    match error {
        NotAccepted::Signature(error) => unsigned(*error),
        NotAccepted::Queue(_) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The webhook could not be stored",
        ),
    }
}

/// For an address of which it was said too often that its signatures do not hold.
pub(crate) fn too_many_failures() -> HttpResponse {
    let mut answer = refuse(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_failures",
        "Too many signatures from this address do not hold",
    );
    answer.headers_mut().insert(RETRY_AFTER, WINDOW.as_secs().into());
    answer
}

/// Says which kind of failure it was, so that whoever sets the webhook up can mend it; nothing about the keys.
fn unsigned(error: SignatureError) -> HttpResponse {
    let (code, message) = match error {
        SignatureError::Missing => ("signature_missing", "The request carries no signature"),
        SignatureError::Malformed => (
            "signature_malformed",
            "The signature is not one of CallRail's form",
        ),
        _ => ("signature_invalid", "The signature does not hold for this body"),
    };
    refuse(StatusCode::UNAUTHORIZED, code, message)
}

pub(crate) fn unread(error: Unread) -> HttpResponse {
    match error {
        Unread::TooLong => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The body is longer than 16 MiB",
        ),
        Unread::NoRoom => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Too many requests are under way",
        ),
        Unread::TooSlow => refuse(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "The body did not arrive in time",
        ),
        Unread::BrokenOff => refuse(StatusCode::BAD_REQUEST, "broken_off", "The body broke off"),
    }
}

fn refuse(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"status": "error", "code": code, "message": message}))
}
