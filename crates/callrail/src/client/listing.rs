//! What an account consists of: small lists, read to their end (docs/callrail.md, "Other resources").

use std::fmt;

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::{Map, Value};

use super::Client;
use super::error::ApiError;
use crate::field::text;
use crate::ids::{AccountId, CompanyId};

/// As many calls, or other things, as `CallRail` gives with one request (docs/callrail.md, "API").
pub const MAX_PER_PAGE: usize = 250;
/// The same as it stands in a URL.
pub(crate) const PER_PAGE: &str = "250";

/// No list has more pages: 100,000 trackers are more than any account has.
const MAX_PAGES: u64 = 400;

/// A `CallRail` account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `ACC…`.
    pub id: AccountId,
    /// What people call it.
    pub name: Option<String>,
    /// Whether links to its recordings die within a day (docs/callrail.md, "Recording").
    pub is_hipaa: bool,
}

/// A company of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// `COM…`.
    pub id: CompanyId,
    /// What people call it.
    pub name: Option<String>,
    /// `active` or `disabled`.
    pub status: Option<String>,
    /// An IANA name.
    pub time_zone: Option<String>,
}

/// Telephone numbers of the account, and what they stand for. `Debug` shows no number.
#[derive(Clone, PartialEq, Eq)]
pub struct Tracker {
    /// `TRK…`.
    pub id: String,
    /// What people call it: the `source_name` of its calls.
    pub name: Option<String>,
    /// `source` or `session`.
    pub kind: Option<String>,
    /// `active` or `disabled`.
    pub status: Option<String>,
    /// Whose it is.
    pub company: Option<CompanyId>,
    /// Where calls are put through to; E.164.
    pub destination_number: Option<String>,
    /// The numbers that are called; E.164.
    pub tracking_numbers: Vec<String>,
}

impl Client {
    /// The client's own account: the cheapest question that shows whether the key holds.
    pub async fn account(&self) -> Result<Account, ApiError> {
        Ok(self.account_and_time().await?.0)
    }

    /// The same, and what `CallRail`'s clock showed when it answered, to the second, if it says so.
    pub async fn account_and_time(&self) -> Result<(Account, Option<DateTime<Utc>>), ApiError> {
        let url = self
            .shared
            .base_url
            .join(&format!("a/{}.json", self.shared.account));
        let answer = self.get(url).await?;
        match answer.json {
            Value::Object(account) => Ok((Account::read(&account)?, answer.date)),
            _ => Err(ApiError::Unexpected("an account is no object")),
        }
    }

    /// The accounts that the key's user may see.
    pub async fn accounts(&self) -> Result<Vec<Account>, ApiError> {
        let url = self.shared.base_url.join("a.json");
        self.list(url, "accounts")
            .await?
            .iter()
            .map(Account::read)
            .collect()
    }

    /// The account's companies, disabled ones too.
    pub async fn companies(&self) -> Result<Vec<Company>, ApiError> {
        let url = self.resource("companies.json");
        self.list(url, "companies")
            .await?
            .iter()
            .map(Company::read)
            .collect()
    }

    /// The account's trackers, disabled ones too: calls of the past came by them.
    pub async fn trackers(&self) -> Result<Vec<Tracker>, ApiError> {
        let url = self.resource("trackers.json");
        self.list(url, "trackers")
            .await?
            .iter()
            .map(Tracker::read)
            .collect()
    }

    /// All items of a list that has numbered pages, from the first to the last.
    pub(crate) async fn list(
        &self,
        url: Url,
        key: &'static str,
    ) -> Result<Vec<Map<String, Value>>, ApiError> {
        let mut items = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut url = url.clone();
            url.query_pairs_mut()
                .append_pair("page", &page.to_string())
                .append_pair("per_page", PER_PAGE);
            let mut answer = self.get(url).await?.json;
            let Some(Value::Array(found)) = answer.get_mut(key).map(Value::take) else {
                return Err(ApiError::Unexpected("a page of a list holds no list"));
            };
            let count = found.len();
            for item in found {
                match item {
                    Value::Object(item) => items.push(item),
                    _ => return Err(ApiError::Unexpected("a list holds what is no object")),
                }
            }
            let is_last = match answer.get("total_pages").and_then(Value::as_u64) {
                Some(pages) => page >= pages,
                None => count < MAX_PER_PAGE,
            };
            if is_last || count == 0 {
                return Ok(items);
            }
        }
        Err(ApiError::EndlessPages)
    }
}

impl Account {
    fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let id = word(object, "id").and_then(|id| AccountId::parse(&id).ok());
        Ok(Self {
            id: id.ok_or(ApiError::Unexpected("an account has no identifier"))?,
            name: word(object, "name"),
            is_hipaa: object.get("hipaa_account") == Some(&Value::Bool(true)),
        })
    }
}

impl Company {
    fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        Ok(Self {
            id: company_id(object, "id").ok_or(ApiError::Unexpected("a company has no identifier"))?,
            name: word(object, "name"),
            status: word(object, "status"),
            time_zone: word(object, "time_zone"),
        })
    }
}

impl Tracker {
    fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let numbers = object
            .get("tracking_numbers")
            .and_then(Value::as_array)
            .into_iter();
        Ok(Self {
            id: word(object, "id").ok_or(ApiError::Unexpected("a tracker has no identifier"))?,
            name: word(object, "name"),
            kind: word(object, "type"),
            status: word(object, "status"),
            company: object
                .get("company")
                .and_then(Value::as_object)
                .and_then(|company| company_id(company, "id")),
            destination_number: word(object, "destination_number"),
            tracking_numbers: numbers
                .flatten()
                .filter_map(|number| text(&number.into()).into_value())
                .collect(),
        })
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tracker")
            .field("id", &self.id)
            .field("company", &self.company)
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("tracking_numbers", &self.tracking_numbers.len())
            .finish_non_exhaustive()
    }
}

/// The text under a key, or the number as its text.
pub(crate) fn word(object: &Map<String, Value>, key: &str) -> Option<String> {
    text(&object.get(key)?.into()).into_value()
}

/// The identifier of a company under a key.
pub(crate) fn company_id(object: &Map<String, Value>, key: &str) -> Option<CompanyId> {
    CompanyId::parse(&word(object, key)?).ok()
}
