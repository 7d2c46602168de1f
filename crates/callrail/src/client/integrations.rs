//! The webhook integration of a company, and the filters on it (docs/callrail.md, "Managing webhooks by API").

use std::fmt;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Client;
use super::error::ApiError;
use super::listing::{company_id, word};
use crate::ids::CompanyId;
use crate::webhook::WebhookKind;

/// One integration of a company.
///
/// `Debug` shows neither the signing key nor the addresses: those of other vendors may be secrets of theirs.
#[derive(Clone, PartialEq, Eq)]
pub struct Integration {
    /// `CallRail`'s number of it.
    pub id: u64,
    /// `Webhooks`, or the name of another product.
    pub kind: String,
    /// `active`, `disabled`, `pending` or `failed`.
    pub state: String,
    /// Lists of addresses by [`WebhookKind::config_key`], those of other vendors among them; for other products
    /// whatever they need.
    pub config: Map<String, Value>,
    /// Signs the webhooks of the company.
    pub signing_key: Option<String>,
}

/// A filter: which calls the webhooks are sent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationTrigger {
    /// `CallRail`'s number of it.
    pub id: u64,
    /// Whose calls.
    pub company: Option<CompanyId>,
    /// Which integration.
    pub integration: Option<u64>,
    /// Calls to these trackers only; empty: to any.
    pub trackers: Vec<String>,
    /// `first_call`, `vm` or `missed_and_vm`; none: calls of any kind.
    pub call_type: Option<String>,
    /// Calls not shorter, in seconds.
    pub min_duration: Option<u64>,
    /// Calls not longer, in seconds.
    pub max_duration: Option<u64>,
    /// Calls judged so.
    pub lead_status: Option<String>,
}

impl Client {
    /// The company's integrations, with their signing keys.
    pub async fn integrations(&self, company: &CompanyId) -> Result<Vec<Integration>, ApiError> {
        let mut url = self.resource("integrations.json");
        url.query_pairs_mut()
            .append_pair("company_id", company.as_str())
            .append_pair("fields", "signing_key");
        self.list(url, "integrations")
            .await?
            .iter()
            .map(Integration::read)
            .collect()
    }

    /// Makes the company's webhook integration. A company has one: look with [`Self::integrations`] first.
    ///
    /// Never sent twice, but for 429. After [`ApiError::Unavailable`] look again before the next attempt.
    pub async fn create_webhooks(
        &self,
        company: &CompanyId,
        config: &Map<String, Value>,
    ) -> Result<Integration, ApiError> {
        let url = self.resource("integrations.json");
        let body = json!({ "type": Integration::WEBHOOKS, "company_id": company, "config": config });
        let answer = self.send(Method::POST, url, Some(&body)).await?;
        Integration::of_answer(&answer.json)
    }

    /// Sets state and addresses of an integration. `config` must hold everything that is to stay, addresses of
    /// other vendors too: it may replace what was there.
    ///
    /// There is no protection against somebody else who writes at the same time. Never sent twice, but for 429.
    pub async fn update_integration(
        &self,
        id: u64,
        state: &str,
        config: &Map<String, Value>,
    ) -> Result<Integration, ApiError> {
        let url = self.resource(&format!("integrations/{id}.json"));
        let body = json!({ "state": state, "config": config });
        let answer = self.send(Method::PUT, url, Some(&body)).await?;
        Integration::of_answer(&answer.json)
    }

    /// The filters of all the account's integrations.
    pub async fn integration_triggers(&self) -> Result<Vec<IntegrationTrigger>, ApiError> {
        let url = self.resource("integration_triggers.json");
        self.list(url, "integration_criteria")
            .await?
            .iter()
            .map(IntegrationTrigger::read)
            .collect()
    }
}

impl Integration {
    /// The [`Self::kind`] of the one that sends webhooks.
    pub const WEBHOOKS: &'static str = "Webhooks";

    /// The addresses to which webhooks of this kind go.
    pub fn addresses(&self, kind: WebhookKind) -> impl Iterator<Item = &str> {
        let addresses = self.config.get(kind.config_key()).and_then(Value::as_array);
        addresses.into_iter().flatten().filter_map(Value::as_str)
    }

    fn of_answer(answer: &Value) -> Result<Self, ApiError> {
        answer.as_object().map_or(
            Err(ApiError::Unexpected("an integration is no object")),
            Self::read,
        )
    }

    fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let config = object.get("config").and_then(Value::as_object);
        Ok(Self {
            id: number(object, "id").ok_or(ApiError::Unexpected("an integration has no number"))?,
            kind: word(object, "type").unwrap_or_default(),
            state: word(object, "state").unwrap_or_default(),
            config: config.cloned().unwrap_or_default(),
            signing_key: word(object, "signing_key"),
        })
    }
}

impl IntegrationTrigger {
    fn read(object: &Map<String, Value>) -> Result<Self, ApiError> {
        let trackers = object.get("tracker_ids").and_then(Value::as_array).into_iter();
        Ok(Self {
            id: number(object, "id").ok_or(ApiError::Unexpected("a filter has no number"))?,
            company: company_id(object, "company_id"),
            integration: number(object, "integration_id"),
            trackers: trackers
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
            call_type: word(object, "call_type"),
            min_duration: number(object, "min_duration"),
            max_duration: number(object, "max_duration"),
            lead_status: word(object, "lead_status"),
        })
    }
}

impl fmt::Debug for Integration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Integration")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("config", &self.config.keys().collect::<Vec<_>>())
            .field("has_signing_key", &self.signing_key.is_some())
            .finish()
    }
}

fn number(object: &Map<String, Value>, key: &str) -> Option<u64> {
    word(object, key)?.parse().ok()
}
