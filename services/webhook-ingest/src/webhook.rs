//! `POST /api/webhooks/callrail/{kind}` and `/api/webhooks/callrail/{company}/{kind}`.

use std::time::Instant;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use callrail::{CompanyId, WebhookKind};
use chrono::Utc;
use tracing::Instrument;

use crate::accept::NotAccepted;
use crate::metrics::Outcome;
use crate::{Parts, answer};

pub(crate) async fn receive(
    request: HttpRequest,
    kind: Path<String>,
    payload: Payload,
    parts: Data<Parts>,
) -> HttpResponse {
    receive_kind(request, None, &kind, payload, parts).await
}

/// The company in the URL is for people who set up several: what is signed, the body, says which company it is.
pub(crate) async fn receive_for_company(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    parts: Data<Parts>,
) -> HttpResponse {
    let (company, kind) = path.into_inner();
    let company = CompanyId::parse(&company).ok();
    receive_kind(request, company, &kind, payload, parts).await
}

async fn receive_kind(
    request: HttpRequest,
    company_in_url: Option<CompanyId>,
    kind: &str,
    payload: Payload,
    parts: Data<Parts>,
) -> HttpResponse {
    let kind = WebhookKind::from_path(kind);
    let (received_at, began) = (Utc::now(), Instant::now());
    let parts = parts.into_inner();

    let handled = async move {
        let acceptor = &parts.acceptor;
        let body = match parts.body_reader.read(payload).await {
            Ok(body) => body,
            Err(error) => {
                acceptor.metrics.count(Outcome::Unread);
                tracing::warn!(reason = %error, "did not read the body of a webhook");
                return answer::unread(error);
            }
        };
        let accepted = match acceptor.verify(request.headers(), &body.bytes) {
            Ok(verified) => acceptor.accept(verified, kind, company_in_url, received_at).await,
            Err(error) => Err(NotAccepted::Signature(error)),
        };
        match accepted {
            Ok(accepted) => {
                acceptor.metrics.accepted_after(began.elapsed());
                answer::accepted(accepted)
            }
            Err(error) => parts.refuse(&error, &request),
        }
    };
    // A task of its own: a client that hangs up does not matter.
    actix_web::rt::spawn(handled.in_current_span())
        .await
        .unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
}

impl Parts {
    /// Counts and logs a delivery that is not accepted, and answers it.
    fn refuse(&self, error: &NotAccepted, request: &HttpRequest) -> HttpResponse {
        let metrics = &self.acceptor.metrics;
        match error {
            NotAccepted::Signature(reason) => {
                metrics.count(Outcome::BadSignature);
                if !self.failed_signatures.is_to_be_told(request) {
                    return answer::too_many_failures();
                }
                tracing::warn!(%reason, "refused a webhook whose signature does not hold");
            }
            NotAccepted::Queue(cause) => {
                metrics.count(Outcome::Unavailable);
                tracing::error!(
                    error = cause as &dyn std::error::Error,
                    "a signed webhook is lost unless CallRail's API is asked for it"
                );
            }
        }
        answer::not_accepted(error)
    }
}
