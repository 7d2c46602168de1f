//! `GET|POST /api/webhooks/test`: is the service reachable from where CallRail is, and does a signature hold?

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use callrail::SignatureError;
use serde_json::json;

use crate::{Parts, answer};

/// Stores nothing.
pub(crate) async fn test(request: HttpRequest, payload: Payload, parts: Data<Parts>) -> HttpResponse {
    let body = match parts.body_reader.read(payload).await {
        Ok(body) => body,
        Err(error) => return answer::unread(error),
    };
    let signature = match parts.acceptor.verify(request.headers(), &body.bytes) {
        Ok(_) => "valid",
        Err(SignatureError::Missing) => "missing",
        Err(SignatureError::Malformed) => "malformed",
        Err(SignatureError::NoKeys) => "not checked: no signing key is set",
        Err(_) => "invalid",
    };
    HttpResponse::Ok().json(json!({
        "status": "success",
        "message": "Webhook endpoint is reachable",
        "signature": signature,
    }))
}
