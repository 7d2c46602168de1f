//! Integrations, of which one sends the webhooks (docs/callrail.md, "Managing webhooks by API").

use callrail::WebhookKind;
use serde_json::{Map, Value, json};

use super::ApiOptions;
use super::answer::{Parameters, Refusal, numbered};
use crate::account::SimulatedAccount;

const WEBHOOKS: &str = "Webhooks";
const FIRST_ID: u64 = 227_001;

/// The integrations of the account's one company.
pub(super) struct Integrations {
    company_id: String,
    signing_key: String,
    items: Vec<Item>,
}

struct Item {
    id: u64,
    kind: &'static str,
    state: String,
    config: Map<String, Value>,
}

impl Integrations {
    /// One of another product, which nobody may touch, and that of the webhooks, if there is one.
    pub(super) fn new(account: &SimulatedAccount, options: &ApiOptions) -> Self {
        let mut integrations = Self {
            company_id: account.company_id.clone(),
            signing_key: account.signing_key.clone(),
            items: Vec::new(),
        };
        integrations.add("Google Analytics", Map::new());
        if let Some(config) = &options.webhook_config {
            integrations.add(WEBHOOKS, config.clone());
        }
        integrations
    }

    fn add(&mut self, kind: &'static str, config: Map<String, Value>) -> usize {
        let place = self.items.len();
        self.items.push(Item {
            id: FIRST_ID + place as u64,
            kind,
            state: "active".to_owned(),
            config,
        });
        place
    }

    fn webhooks(&self) -> Option<&Item> {
        self.items.iter().find(|item| item.kind == WEBHOOKS)
    }

    pub(super) fn webhook_config(&self) -> Option<Map<String, Value>> {
        self.webhooks().map(|item| item.config.clone())
    }

    pub(super) fn webhook_addresses(&self, kind: WebhookKind) -> Vec<String> {
        let active = self.webhooks().filter(|item| item.state == "active");
        let addresses = active.and_then(|item| item.config.get(kind.config_key())?.as_array());
        let texts = addresses.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    pub(super) fn set_webhook_state(&mut self, state: &str) {
        for item in self.items.iter_mut().filter(|item| item.kind == WEBHOOKS) {
            state.clone_into(&mut item.state);
        }
    }

    /// A page of the company's integrations; the key only when it is asked for.
    pub(super) fn list(&self, parameters: &Parameters) -> Result<Value, Refusal> {
        let company = parameters
            .get("company_id")
            .ok_or(Refusal::bad_request("company_id is missing"))?;
        if company != self.company_id {
            return Err(Refusal::NOT_FOUND);
        }
        let shows_key = parameters
            .get("fields")
            .is_some_and(|fields| fields.split(',').any(|field| field == "signing_key"));
        let items = self.items.iter().map(|item| self.object(item, shows_key));
        Ok(numbered(parameters, "integrations", items.collect()))
    }

    /// Makes the company's webhook integration, of which there may be one.
    pub(super) fn create(&mut self, body: &Value) -> Result<Value, Refusal> {
        if body["type"] != WEBHOOKS {
            return Err(Refusal::unprocessable("Type is not included in the list"));
        }
        if body["company_id"] != self.company_id.as_str() {
            return Err(Refusal::bad_request("company_id is missing"));
        }
        if self.webhooks().is_some() {
            return Err(Refusal::unprocessable("Integration already exists"));
        }
        let config = config(&body["config"])?;
        let place = self.add(WEBHOOKS, config);
        Ok(self.object(&self.items[place], true))
    }

    /// Sets state and config, each if it is given. The config is replaced: whoever does not send all of it loses
    /// the rest.
    pub(super) fn update(&mut self, id: &str, body: &Value) -> Result<Value, Refusal> {
        let place = self.place(id)?;
        let config = body.get("config").map(config).transpose()?;
        let state = body.get("state").map(|state| match state.as_str() {
            Some(state @ ("active" | "disabled")) => Ok(state.to_owned()),
            _ => Err(Refusal::unprocessable("State is not included in the list")),
        });
        if let Some(state) = state.transpose()? {
            self.items[place].state = state;
        }
        if let Some(config) = config {
            self.items[place].config = config;
        }
        Ok(self.object(&self.items[place], true))
    }

    /// What `DELETE` does: the integration stays, disabled.
    pub(super) fn disable(&mut self, id: &str) -> Result<(), Refusal> {
        let place = self.place(id)?;
        "disabled".clone_into(&mut self.items[place].state);
        Ok(())
    }

    fn place(&self, id: &str) -> Result<usize, Refusal> {
        let place = self.items.iter().position(|item| item.id.to_string() == id);
        place.ok_or(Refusal::NOT_FOUND)
    }

    fn object(&self, item: &Item, shows_key: bool) -> Value {
        let mut object = json!({
            "id": item.id,
            "type": item.kind,
            "state": item.state,
            "config": item.config,
        });
        if shows_key && item.kind == WEBHOOKS {
            object["signing_key"] = json!(self.signing_key);
        }
        object
    }
}

/// Lists of addresses under any keys.
fn config(value: &Value) -> Result<Map<String, Value>, Refusal> {
    let is_address = |address: &Value| {
        let text = address.as_str().unwrap_or_default();
        text.starts_with("https://") || text.starts_with("http://")
    };
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(is_address));
    match value {
        Value::Object(config) if config.values().all(is_list) => Ok(config.clone()),
        _ => Err(Refusal::unprocessable("Config is invalid")),
    }
}
