//! How a server fails, on demand.

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::{StatusCode, header};
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::answer::Refusal;

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
}

impl Fault {
    /// Whether only pages of calls can have it.
    pub(super) fn is_of_pages(&self) -> bool {
        matches!(
            self,
            Self::SelfPointingPage | Self::EndlessPages | Self::ForeignPage(_)
        )
    }

    /// Fails a request. None: the fault is one of pages, and the page is to be made.
    pub(super) async fn answer(&self) -> Option<HttpResponse> {
        let response = match self {
            Self::SelfPointingPage | Self::EndlessPages | Self::ForeignPage(_) => return None,
            Self::Status(status) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                HttpResponse::build(status).json(json!({ "error": "Something went wrong" }))
            }
            Self::TooManyRequests(retry_after) => too_many(*retry_after),
            Self::Html => HttpResponse::Ok()
                .content_type("text/html")
                .body("<!doctype html><title>We will be back</title>"),
            Self::CutBody => {
                let beginning = stream::iter([Ok(Bytes::from_static(b"{\"calls\":["))]);
                let end = stream::once(async {
                    // While the rest is awaited the server sends what it has.
                    tokio::task::yield_now().await;
                    Err(std::io::Error::other("cut short on demand"))
                });
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(SizedStream::new(1_000, beginning.chain(end)))
            }
            Self::Hang => std::future::pending().await,
            Self::Redirect(address) => HttpResponse::Found()
                .insert_header((header::LOCATION, address.as_str()))
                .finish(),
        };
        Some(response)
    }
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
