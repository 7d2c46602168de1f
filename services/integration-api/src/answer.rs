//! How a refusal looks, for all endpoints: `{"status":"error","code":"…","message":"…"}`, with the status that says
//! what to do. What went wrong inside is logged here and told to nobody.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use callrail::client::{ApiError, BudgetError, Outage};
use queue::QueueError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::StoreError;

use crate::advice;
use crate::shapes::Problem;

/// What an endpoint answers when all is well.
pub(crate) type Answer = Result<HttpResponse, Refusal>;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What the caller needs besides.
    details: Map<String, Value>,
    retry_after: Option<Duration>,
    /// For the log alone.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Map::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// The request is not as it should be, and the message says what is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// CallRail's account and key are not set.
    pub(crate) fn not_configured() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_configured", NOT_CONFIGURED)
    }

    /// Adds something that the caller needs.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.details.insert(name.to_owned(), json!(value));
        self
    }

    fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

/// What to set when CallRail cannot be asked.
pub(crate) const NOT_CONFIGURED: &str =
    "CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID are not set, so CallRail cannot be asked";

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(cause) = &self.cause {
            let cause = &**cause as &dyn Error;
            if self.status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(error = cause, code = self.code, "could not answer a request");
            } else {
                tracing::warn!(error = cause, code = self.code, "could not answer a request");
            }
        }
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(rest) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, rest.as_secs().max(1).to_string()));
        }
        response.json(Problem {
            status: "error",
            code: self.code,
            message: &self.message,
            details: &self.details,
        })
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if error.is_outside() {
            unavailable("The database is not available: try again soon").because(error)
        } else {
            internal().because(error)
        }
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        unavailable("The queue is not available: try again soon").because(error)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let message = advice(&error);
        let bad_gateway = |code| Self::new(StatusCode::BAD_GATEWAY, code, message);
        let refusal = match &error {
            ApiError::Unauthorized { .. } => bad_gateway("callrail_unauthorized"),
            ApiError::Forbidden { .. } => bad_gateway("callrail_forbidden"),
            ApiError::NotFound { .. } => bad_gateway("callrail_not_found"),
            ApiError::RateLimited { retry_after, .. }
            | ApiError::Budget(BudgetError::Exhausted { retry_after }) => Self {
                retry_after: *retry_after,
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "callrail_rate_limited", message)
            },
            ApiError::Budget(BudgetError::Unavailable { .. }) => unavailable(message),
            ApiError::Unavailable {
                source: Outage::Status(_) | Outage::NoAnswer(_) | Outage::CutShort(_),
            } => bad_gateway("callrail_unavailable"),
            ApiError::Credential(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "callrail_key_unreadable",
                message,
            ),
            ApiError::Unavailable {
                source: Outage::TooLong(_) | Outage::NotJson,
            }
            | ApiError::Redirected
            | ApiError::Invalid { .. }
            | ApiError::Unexpected(_)
            | ApiError::ForeignPage
            | ApiError::EndlessPages => bad_gateway("callrail_unexpected"),
        };
        refusal.because(error)
    }
}

fn unavailable(message: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
}

fn internal() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong inside: see the log",
    )
}

/// For what is at no endpoint.
pub(crate) async fn not_found() -> Refusal {
    Refusal::not_found("There is nothing at this address")
}

/// For an endpoint that is asked in another way.
pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This address does not take that method",
    )
}

impl actix_web::Responder for Refusal {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _request: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
