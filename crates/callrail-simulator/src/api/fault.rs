//! How a server fails, on demand.

use actix_web::HttpResponse;
use actix_web::body::{MessageBody, SizedStream};
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::answer::Refusal;
use super::state::RequestKind;

/// What a request meets instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with an error in JSON.
    Status(u16),
    /// 429, with these seconds in `Retry-After` if any.
    TooManyRequests(Option<u32>),
    /// 200 and the page of a proxy.
    Html,
    /// 200 and the beginning of an answer; then the connection closes.
    CutBody,
    /// Nothing, for ever.
    Hang,
    /// A redirect to this address.
    Redirect(String),
    /// A page of calls that names itself as the next one.
    SelfPointingPage,
    /// Pages of calls that are each followed by another, the last one again and again.
    EndlessPages,
    /// A page of calls whose next one is said to be at this address.
    ForeignPage(String),
    /// The first half of a recording; then the connection closes.
    CutRecording,
}

impl Fault {
    /// Whether a request of this kind can have it.
    pub(super) fn is_met_by(&self, kind: RequestKind) -> bool {
        match self {
            Self::SelfPointingPage | Self::EndlessPages | Self::ForeignPage(_) => kind == RequestKind::Calls,
            Self::CutRecording => kind == RequestKind::RecordingFile,
            _ => true,
        }
    }

    /// Fails a request. None: the answer is to be made, and has the fault in it.
    pub(super) async fn answer(&self) -> Option<HttpResponse> {
        let response = match self {
            Self::SelfPointingPage | Self::EndlessPages | Self::ForeignPage(_) | Self::CutRecording => {
                return None;
            }
            Self::Status(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                HttpResponse::build(status).json(json!({ "error": "Something went wrong" }))
            }
            Self::TooManyRequests(retry_after) => too_many(*retry_after),
            Self::Html => HttpResponse::Ok()
                .content_type("text/html")
                .body("<!doctype html><title>We will be back</title>"),
            Self::CutBody => HttpResponse::Ok()
                .content_type("application/json")
                .body(cut(Bytes::from_static(b"{\"calls\":["), 1_000)),
            Self::Hang => std::future::pending().await,
            Self::Redirect(address) => HttpResponse::Found()
                .insert_header((header::LOCATION, address.as_str()))
                .finish(),
        };
        Some(response)
    }
}

/// The beginning of a body that has so many bytes; then the connection closes.
pub(super) fn cut(beginning: Bytes, length: u64) -> impl MessageBody + use<> {
    let end = stream::once(async {
        // While the rest is awaited the server sends what it has.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut short on demand"))
    });
    SizedStream::new(length, stream::iter([Ok(beginning)]).chain(end))
}

/// The answer to one request too many.
pub(super) fn too_many(retry_after: Option<u32>) -> HttpResponse {
    let mut response = Refusal::TOO_MANY.into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
    }
    response
}
