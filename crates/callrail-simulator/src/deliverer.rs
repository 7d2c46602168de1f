//! Sends webhooks as `CallRail` does.

use std::borrow::Cow;

use callrail::SIGNATURE_HEADER;
use reqwest::{Client, StatusCode, Url, header};
use serde_json::Value;

use crate::account::SimulatedAccount;
use crate::call::SimulatedDelivery;

/// Posts deliveries to a receiver.
#[derive(Clone, Debug)]
pub struct Deliverer {
    client: Client,
    base_url: Url,
}

/// The body's fields that `CallRail` repeats in the query, under the names of its first API
/// (docs/callrail.md, "Transport").
const MIRRORED: [(&str, &str); 11] = [
    ("trackingnum", "tracking_phone_number"),
    ("callernum", "customer_phone_number"),
    ("destinationnum", "business_phone_number"),
    ("callername", "customer_name"),
    ("callercity", "customer_city"),
    ("callerstate", "customer_state"),
    ("callercountry", "customer_country"),
    ("callsource", "callsource"),
    ("duration", "duration"),
    ("answered", "answered"),
    ("first_call", "first_call"),
];

impl Deliverer {
    /// Posts to addresses under `base_url`, which is what stands before the kind:
    /// `http://127.0.0.1:8001/api/webhooks/callrail`.
    pub fn new(client: Client, base_url: Url) -> Self {
        Self { client, base_url }
    }

    /// Posts a delivery with `CallRail`'s headers and query, signed by the account.
    ///
    /// Gives the status of the answer, whatever it is: `CallRail` never sends a delivery again. An error is a
    /// delivery without an answer; it holds no URL, since the query names a person.
    pub async fn deliver(
        &self,
        account: &SimulatedAccount,
        delivery: &SimulatedDelivery,
    ) -> Result<StatusCode, reqwest::Error> {
        let request = self
            .client
            .post(self.address(delivery))
            .header(header::USER_AGENT, "CallRail Webhook/1.0")
            .header(header::ACCEPT, "*/*")
            .header(header::ACCEPT_ENCODING, "gzip;q=1.0,deflate;q=0.6,identity;q=0.3")
            .header(header::CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, account.signature(&delivery.body))
            .body(delivery.body.clone());
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = response.status();
        // Read, so that the connection can serve the next delivery; that it broke off changes nothing by now.
        let _ = response.bytes().await;
        Ok(status)
    }

    fn address(&self, delivery: &SimulatedDelivery) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!(
            "{}/{}",
            url.path().trim_end_matches('/'),
            delivery.kind.path()
        ));
        let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        {
            let mut query = url.query_pairs_mut();
            if let Some(time) = body.get("datetime").and_then(Value::as_str) {
                query.append_pair("datetime", time);
            }
            for (name, field) in MIRRORED {
                if let Some(value) = body.get(field) {
                    query.append_pair(name, &as_text(value));
                }
            }
        }
        url
    }
}

fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}
