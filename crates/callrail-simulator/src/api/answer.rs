//! What the API answers: JSON, or a refusal with its reason (docs/callrail.md, "API errors").

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

impl Refusal {
    pub(super) const FORBIDDEN: Self = Self {
        status: StatusCode::FORBIDDEN,
        text: "You do not have permission to perform the requested action",
    };

    pub(super) const NOT_FOUND: Self = Self {
        status: StatusCode::NOT_FOUND,
        text: "The requested resource was not found.",
    };

    pub(super) const TOO_MANY: Self = Self {
        status: StatusCode::TOO_MANY_REQUESTS,
        text: "Rate limit exceeded",
    };

    pub(super) fn bad_request(text: &'static str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, text }
    }

    pub(super) fn unprocessable(text: &'static str) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, text }
    }

    pub(super) fn into_response(self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({ "error": self.text }))
    }
}

/// The query of a request.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(query: &str) -> Self {
        let pairs = actix_web::web::Query::from_query(query);
        Self(pairs.map(actix_web::web::Query::into_inner).unwrap_or_default())
    }

    /// The first value by that name; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let first = self.0.iter().find(|(given, _)| given == name)?;
        Some(first.1.as_str()).filter(|value| !value.is_empty())
    }

    /// All values by that name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(given, _)| given == name);
        named
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }

    /// At most 250, as `CallRail` has it; 100 unless asked otherwise.
    pub(super) fn per_page(&self) -> usize {
        self.number("per_page").unwrap_or(100).clamp(1, 250)
    }
}

/// A page of a list that has numbered pages.
pub(super) fn numbered(parameters: &Parameters, key: &str, items: Vec<Value>) -> Value {
    let page = parameters.number("page").unwrap_or(1).max(1);
    let per_page = parameters.per_page();
    let total = items.len();
    let shown: Vec<Value> = items
        .into_iter()
        .skip(per_page.saturating_mul(page - 1))
        .take(per_page)
        .collect();
    json!({
        "page": page,
        "per_page": per_page,
        "total_pages": total.div_ceil(per_page).max(1),
        "total_records": total,
        key: shown,
    })
}
