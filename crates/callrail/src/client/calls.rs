//! Calls: page by page, and one by one (docs/callrail.md, "Listing calls").

use std::fmt;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Client;
use super::budget::Usage;
use super::error::ApiError;
use super::listing::PER_PAGE;
use super::transport::Answer;
use crate::field::{boolean, text};
use crate::ids::{CallId, CompanyId};

/// The fields asked for besides those that come anyway: all that [`crate::Call`] reads, and what identifies
/// person and tracker. `CallRail` answers an unknown name with an error, so every one is documented.
pub const CALL_FIELDS: [&str; 31] = [
    "agent_email",
    "call_summary",
    "call_type",
    "campaign",
    "company_id",
    "company_name",
    "company_time_zone",
    "created_at",
    "device_type",
    "first_call",
    "formatted_tracking_source",
    "gclid",
    "keywords",
    "landing_page_url",
    "lead_status",
    "medium",
    "note",
    "person_id",
    "prior_calls",
    "source",
    "source_name",
    "tags",
    "total_calls",
    "tracker_id",
    "transcription",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "value",
];

/// The fields that a single call has besides.
pub const SINGLE_CALL_FIELDS: [&str; 1] = ["conversational_transcript"];

/// Which calls to list: those that began from `from` to `until`, both included, oldest first.
///
/// `CallRail` takes whole minutes, so that calls up to a minute outside come as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallQuery {
    /// Only this company's; none: all that the key's user sees.
    pub company: Option<CompanyId>,
    /// At most 25 months ago: `CallRail` answers an earlier time with an error, not with fewer calls.
    pub from: DateTime<Utc>,
    /// Fixed, so that calls that arrive meanwhile shift no page.
    pub until: DateTime<Utc>,
}

/// Where the next page is: `CallRail`'s own address of it, opaque and used as it stands.
///
/// Serialises as its text, so that it can be kept and an interrupted reading go on. A cursor that was met
/// before, even much earlier, means that the pages go in a circle. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// A page of calls.
#[derive(Clone)]
pub struct CallPage {
    /// As they came. What is no object is for the caller to report.
    pub calls: Vec<Value>,
    /// None: this is the last page.
    pub next: Option<Cursor>,
    /// How many calls there are on all pages, if the answer said so.
    pub total_records: Option<u64>,
    /// How many pages there are, if the answer said so.
    pub total_pages: Option<u64>,
    /// What the answer said of the account's limits.
    pub usage: Usage,
}

impl Client {
    /// The first page of up to 250 calls.
    pub async fn calls(&self, query: &CallQuery) -> Result<CallPage, ApiError> {
        let mut url = self.resource("calls.json");
        {
            let mut parameters = url.query_pairs_mut();
            parameters
                .append_pair("relative_pagination", "true")
                .append_pair("per_page", PER_PAGE)
                .append_pair("sort", "start_time")
                .append_pair("order", "asc")
                .append_pair("start_date", &minute(query.from))
                .append_pair("end_date", &minute(end_of_minute(query.until)))
                .append_pair("time_zone", "UTC")
                .append_pair("fields", &CALL_FIELDS.join(","));
            if let Some(company) = &query.company {
                parameters.append_pair("company_id", company.as_str());
            }
        }
        self.page(url).await
    }

    /// The page after the one that gave the cursor.
    ///
    /// [`ApiError::ForeignPage`] when the cursor leads to another server than the one configured, by scheme,
    /// host or port: nothing is sent there.
    pub async fn calls_after(&self, cursor: &Cursor) -> Result<CallPage, ApiError> {
        let url = Url::parse(&cursor.0).map_err(|_| ApiError::ForeignPage)?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || !self.shared.base_url.has_same_origin(&url) {
            return Err(ApiError::ForeignPage);
        }
        self.page(url).await
    }

    /// One call with all its fields, as it came. None: there is none by that identifier, or none any more,
    /// since it was marked as spam or deleted.
    pub async fn call(&self, id: &CallId) -> Result<Option<Map<String, Value>>, ApiError> {
        let mut url = self.resource(&format!("calls/{id}.json"));
        let fields = [&CALL_FIELDS[..], &SINGLE_CALL_FIELDS[..]].concat().join(",");
        url.query_pairs_mut().append_pair("fields", &fields);
        match self.get(url).await {
            Ok(Answer {
                json: Value::Object(call),
                ..
            }) => Ok(Some(call)),
            Ok(_) => Err(ApiError::Unexpected("a call is no object")),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn page(&self, url: Url) -> Result<CallPage, ApiError> {
        let answer = self.get(url.clone()).await?;
        let page = CallPage::from_json(answer.json, answer.usage)?;
        match &page.next {
            Some(next) if Url::parse(&next.0).is_ok_and(|next| next == url) => Err(ApiError::EndlessPages),
            _ => Ok(page),
        }
    }
}

impl CallPage {
    /// Reads a page as CallRail answers it.
    ///
    /// [`ApiError::Unexpected`] when it holds no list of calls, or has a next page and does not name it.
    pub fn from_json(json: Value, usage: Usage) -> Result<Self, ApiError> {
        let Value::Object(mut object) = json else {
            return Err(ApiError::Unexpected("a page of calls is no object"));
        };
        let Some(Value::Array(calls)) = object.remove("calls") else {
            return Err(ApiError::Unexpected("a page of calls holds no list of calls"));
        };
        let has_next = object
            .get("has_next_page")
            .and_then(|value| boolean(&value.into()).into_value());
        let next_page = object
            .get("next_page")
            .and_then(|value| text(&value.into()).into_value());
        // Whether the last page has a null there or nothing is not known, and either will do.
        let next = match (has_next, next_page) {
            (Some(false), _) | (None, None) => None,
            (_, Some(next)) => Some(Cursor(next)),
            (Some(true), None) => {
                return Err(ApiError::Unexpected(
                    "a page of calls has a next one and does not name it",
                ));
            }
        };
        let total = |key| object.get(key).and_then(Value::as_u64);
        Ok(Self {
            calls,
            next,
            total_records: total("total_records"),
            total_pages: total("total_pages"),
            usage,
        })
    }
}

impl fmt::Debug for CallPage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CallPage")
            .field("calls", &self.calls.len())
            .field("next", &self.next)
            .field("total_records", &self.total_records)
            .field("total_pages", &self.total_pages)
            .field("usage", &self.usage)
            .finish()
    }
}

impl Cursor {
    /// A cursor that was kept as its text.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cursor")
    }
}

/// The form of a time that is documented; with seconds or an offset errors have been seen.
fn minute(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M").to_string()
}

/// The time itself, or the next whole minute.
fn end_of_minute(time: DateTime<Utc>) -> DateTime<Utc> {
    let one = TimeDelta::minutes(1);
    match time.duration_trunc(one) {
        Ok(begun) if begun < time => begun + one,
        // No time that a call could have is too far away to be rounded.
        _ => time,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(json: Value) -> Result<CallPage, ApiError> {
        CallPage::from_json(json, Usage::default())
    }

    #[test]
    fn a_query_covers_its_minutes_whole() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (whole, within) = (at("2026-11-20T19:03:00Z"), at("2026-11-20T19:03:00.001Z"));
        assert_eq!(minute(whole), "2026-11-20T19:03");
        assert_eq!(minute(within), "2026-11-20T19:03");
        assert_eq!(minute(end_of_minute(whole)), "2026-11-20T19:03");
        assert_eq!(minute(end_of_minute(within)), "2026-11-20T19:04");
        assert_eq!(
            minute(end_of_minute(at("2026-12-31T23:59:59Z"))),
            "2027-01-01T00:00"
        );
    }

    #[test]
    fn the_last_page_is_told_in_every_way_it_may_be() {
        for last in [
            json!({"calls": []}),
            json!({"calls": [], "has_next_page": false}),
            json!({"calls": [], "has_next_page": false, "next_page": null}),
            json!({"calls": [], "has_next_page": false, "next_page": "https://api.callrail.com/v3/x"}),
            json!({"calls": [], "next_page": ""}),
        ] {
            assert_eq!(page(last.clone()).unwrap().next, None, "{last}");
        }
        let more = json!({"calls": [], "next_page": "https://api.callrail.com/v3/x"});
        assert_eq!(
            page(more).unwrap().next.unwrap().as_str(),
            "https://api.callrail.com/v3/x"
        );
    }

    #[test]
    fn an_answer_that_is_no_page_is_unexpected() {
        for answer in [
            json!([]),
            json!({}),
            json!({"calls": {}}),
            json!({"calls": null}),
            json!({"calls": [], "has_next_page": true}),
        ] {
            assert!(
                matches!(page(answer.clone()), Err(ApiError::Unexpected(_))),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_cursor_is_kept_as_its_text_and_not_shown() {
        let cursor = Cursor::from_text("https://api.callrail.com/v3/a/1/calls?offset=1");
        let kept = serde_json::to_string(&cursor).unwrap();
        assert_eq!(kept, "\"https://api.callrail.com/v3/a/1/calls?offset=1\"");
        assert_eq!(serde_json::from_str::<Cursor>(&kept).unwrap(), cursor);
        assert_eq!(format!("{cursor:?}"), "Cursor");
    }

    #[test]
    fn the_fields_are_sorted_and_each_is_asked_for_once() {
        assert!(CALL_FIELDS.is_sorted_by(|one, next| one < next));
        assert!(
            SINGLE_CALL_FIELDS
                .iter()
                .all(|field| !CALL_FIELDS.contains(field))
        );
    }
}
