//! Reads the bodies of requests, within bounds.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use serde::de::DeserializeOwned;

use crate::answer::Refusal;

/// The longest object; all of ours are short.
const MAX_OBJECT: usize = 256 * 1024;

/// The longest list.
const MAX_LIST: usize = 16 * 1024 * 1024;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A JSON object. No body at all is an empty object.
pub(crate) async fn object<T: DeserializeOwned>(payload: Payload) -> Result<T, Refusal> {
    let bytes = read(payload, MAX_OBJECT).await?;
    let text = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        &bytes[..]
    };
    serde_json::from_slice(text)
        .map_err(|error| Refusal::invalid(format!("The body is not the JSON that is expected: {error}")))
}

/// Many lines.
pub(crate) async fn list(payload: Payload) -> Result<Bytes, Refusal> {
    read(payload, MAX_LIST).await
}

async fn read(payload: Payload, limit: usize) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(PATIENCE, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(_))) => Err(Refusal::invalid("The body broke off")),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("The body is longer than {limit} bytes"),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "The body did not arrive in time",
        )),
    }
}
