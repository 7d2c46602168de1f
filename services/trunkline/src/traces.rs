//! Whether spans of traces are told of, and to whom: from the settings, in the names of OpenTelemetry.

use std::collections::HashMap;
use std::str::FromStr;

use clap::ValueEnum;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use runtime::Settings;
use runtime::settings::SettingsError;
use trace::{Export, InvalidSampling, Sampling};

use crate::services::Service;

/// Where a collector takes traces, below its address.
const PATH: &str = "v1/traces";

/// `None` unless an address is set.
pub(crate) fn export(settings: &Settings, services: &[Service]) -> Result<Option<Export>, SettingsError> {
    let Some(Endpoint(url)) = settings.get("OTEL_EXPORTER_OTLP_ENDPOINT")? else {
        return Ok(None);
    };
    let headers: Option<Headers> = settings.get("OTEL_EXPORTER_OTLP_HEADERS")?;
    let service_name = settings.text("OTEL_SERVICE_NAME").map(str::to_owned);
    Ok(Some(Export {
        url,
        headers: headers.map(|Headers(headers)| headers).unwrap_or_default(),
        service_name: service_name.unwrap_or_else(|| name_of(services)),
        service_version: env!("TRUNKLINE_VERSION"),
        sampling: sampling(settings)?,
    }))
}

fn sampling(settings: &Settings) -> Result<Sampling, SettingsError> {
    let name: String = settings.get_or_default("OTEL_TRACES_SAMPLER")?;
    Sampling::new(&name, settings.text("OTEL_TRACES_SAMPLER_ARG")).map_err(|error| SettingsError::Invalid {
        name: match error {
            InvalidSampling::Name => "OTEL_TRACES_SAMPLER",
            InvalidSampling::Ratio => "OTEL_TRACES_SAMPLER_ARG",
        },
        reason: error.to_string(),
    })
}

/// A process is called after its service; one that runs several, after the program.
fn name_of(services: &[Service]) -> String {
    let only = match services {
        [service] => service.to_possible_value(),
        _ => None,
    };
    only.map_or_else(|| "trunkline".to_owned(), |value| value.get_name().to_owned())
}

/// The address that takes traces.
struct Endpoint(String);

#[derive(Debug, thiserror::Error)]
#[error("no address of a collector such as http://127.0.0.1:4318")]
struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let base = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() {
            return Err(InvalidEndpoint);
        }
        Ok(Self(format!("{}/{PATH}", base.as_str().trim_end_matches('/'))))
    }
}

/// `NAME=VALUE[,NAME=VALUE]`, values percent-encoded where they must.
struct Headers(HashMap<String, String>);

#[derive(Debug, thiserror::Error)]
#[error("no headers such as api-key=SECRET,x-team=sales")]
struct InvalidHeaders;

impl FromStr for Headers {
    type Err = InvalidHeaders;

    fn from_str(text: &str) -> Result<Self, InvalidHeaders> {
        let header = |item: &str| {
            let (name, value) = item.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name = HeaderName::from_str(name.trim()).ok()?;
            HeaderValue::from_str(&value).ok()?;
            Some((name.to_string(), value.into_owned()))
        };
        let items = text.split(',').filter(|item| !item.trim().is_empty());
        let headers = items.map(header).collect::<Option<_>>();
        headers.map(Self).ok_or(InvalidHeaders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_to_their_place_below_the_address() {
        for (address, place) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            (
                "https://otlp.example.com/otlp/",
                "https://otlp.example.com/otlp/v1/traces",
            ),
        ] {
            assert_eq!(address.parse::<Endpoint>().unwrap().0, place);
        }
        for wrong in [
            "127.0.0.1:4318",
            "grpc://127.0.0.1:4317",
            "http://",
            "http://a/?b=c",
        ] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let Headers(headers) = "api-key=a%20b=, X-Team = sales,".parse().unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(
            (headers["api-key"].as_str(), headers["x-team"].as_str()),
            ("a b=", "sales")
        );
        for wrong in ["api-key", "a b=c", "a=%0a", "=x"] {
            assert!(wrong.parse::<Headers>().is_err(), "{wrong}");
        }
    }
}
