//! How CallRail comes to send its webhooks here; for the HTTP API and the command line alike.
//!
//! Two things must never happen. A delivery that we refuse is lost, since CallRail does not send it again: so first
//! [`find_or_make`] tells the key, whoever receives webhooks is given it, and only then [`point`] writes addresses. And
//! the addresses of other vendors stand in the same object, so all that was read is written back.

use std::fmt;
use std::time::Duration;

use callrail::client::{ApiError, Client, Integration};
use callrail::{CompanyId, SIGNATURE_HEADER, SigningKey, WebhookKind, sign};
use reqwest::Url;
use serde_json::{Map, Value};

/// Where webhooks are received, at the end of an address.
const ENDPOINT: &str = "/api/webhooks/callrail";

/// How long the probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of an integration that sends.
pub const ACTIVE: &str = "active";

/// What to do when CallRail does not let the key's user write integrations, which happens with some accounts
/// (docs/callrail.md, "Managing webhooks by API").
pub const STEPS_BY_HAND: [&str; 4] = [
    "In CallRail, choose the company, then Settings, Integrations, Webhooks, and activate the integration.",
    "Copy the signing key from that page into CALLRAIL_SIGNING_KEYS, and restart Trunkline.",
    "Then add each URL to the box of its name, beside those that are there, and save.",
    "Make a call to one of the tracking numbers: `last_webhook_at` in the status tells that it came.",
];

/// The six addresses of one installation: what they have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Url);

/// Why a text is no address of ours. Reads on after the name of what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// Does not parse.
    #[error("is no URL: it should be like https://yourdomain.com/api/webhooks/callrail/post-call")]
    NotAUrl,
    /// Not encrypted, and not on the same machine.
    #[error("must begin with https://: webhooks carry personal data")]
    NotEncrypted,
    /// User, password, query or fragment.
    #[error("may have a host, a port and a path, and nothing else")]
    TooMuch,
    /// Another path.
    #[error("names no webhook of ours: it should end in /api/webhooks/callrail/post-call")]
    OtherPath,
}

/// Why a signed request does not come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Nobody knows where the test endpoint is.
    #[error("the address has a form of its own: make a test call")]
    OwnForm,
    /// Not connected, or not in time.
    #[error("nothing answers at the address")]
    NoAnswer,
    /// Whatever answers, it is not us.
    #[error("something else than Trunkline answers at the address")]
    NotOurs,
    /// It came, and would have been refused.
    #[error(
        "the signature does not hold there: CALLRAIL_SIGNING_KEYS lacks the key, or something changes bodies"
    )]
    Refused,
}

impl Addresses {
    /// Reads one of the six addresses, or what they have in common.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = plain_url(text)?;
        let path = url.path().trim_end_matches('/').to_owned();
        let (before, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let names_a_kind = WebhookKind::from_path(last).is_some();
        let is_base =
            path.ends_with(ENDPOINT) || (before.ends_with(ENDPOINT) && CompanyId::parse(last).is_ok());
        let base = match (names_a_kind, is_base) {
            (true, _) => before,
            (false, true) => &path,
            (false, false) => return Err(InvalidAddress::OtherPath),
        };
        url.set_path(base);
        Ok(Self(url))
    }

    /// Reads the public address of an installation, such as `https://yourdomain.com`, or what [`Self::parse`] reads.
    pub fn of_installation(text: &str) -> Result<Self, InvalidAddress> {
        let mut url = plain_url(text)?;
        if url.path().contains(ENDPOINT) {
            return Self::parse(text);
        }
        url.set_path(&format!("{}{ENDPOINT}", url.path().trim_end_matches('/')));
        Ok(Self(url))
    }

    /// Reads an address that stands in an integration, perhaps in the box of another kind. `None`: it is somebody
    /// else's.
    pub fn of_address(text: &str) -> Option<Result<(Self, WebhookKind), InvalidAddress>> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.path().contains(ENDPOINT))?;
        let last = url.path().trim_end_matches('/').rsplit('/').next();
        let kind = last.and_then(WebhookKind::from_path);
        let read =
            Self::parse(text).and_then(|addresses| Ok((addresses, kind.ok_or(InvalidAddress::OtherPath)?)));
        Some(read)
    }

    /// Where webhooks of a kind go.
    pub fn of(&self, kind: WebhookKind) -> String {
        format!("{}/{}", self.0.as_str().trim_end_matches('/'), kind.path())
    }

    /// Where a signed request is tried: the test endpoint beside them, which stores nothing.
    pub fn probe(&self) -> Option<Url> {
        let path = self.0.path();
        let end = path.rfind(ENDPOINT)?;
        let mut url = self.0.clone();
        url.set_path(&format!("{}/api/webhooks/test", &path[..end]));
        Some(url)
    }

    /// All that stands in a configuration, and ours.
    fn added_to(&self, config: &Map<String, Value>) -> Map<String, Value> {
        let mut config = config.clone();
        for kind in WebhookKind::ALL {
            let ours = Value::from(self.of(kind));
            let kept = match config.remove(kind.config_key()) {
                Some(Value::Array(addresses)) => addresses,
                None | Some(Value::Null) => Vec::new(),
                // Lists are documented; whatever else there is must not be lost.
                Some(other) => vec![other],
            };
            let is_there = kept.contains(&ours);
            let all: Vec<Value> = kept.into_iter().chain((!is_there).then_some(ours)).collect();
            config.insert(kind.config_key().to_owned(), Value::Array(all));
        }
        config
    }
}

impl fmt::Display for Addresses {
    /// What they have in common.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

/// The company's webhook integration, if it has one.
pub async fn find(client: &Client, company: &CompanyId) -> Result<Option<Integration>, ApiError> {
    let all = client.integrations(company).await?;
    Ok(all.into_iter().find(|one| one.kind == Integration::WEBHOOKS))
}

/// The company's webhook integration, with its signing key if CallRail tells it. One that is made has no addresses, and
/// sends nothing.
pub async fn find_or_make(client: &Client, company: &CompanyId) -> Result<Integration, ApiError> {
    let mut integration = match find(client, company).await? {
        Some(integration) => integration,
        None => client.create_webhooks(company, &Map::new()).await?,
    };
    if integration.signing_key.is_none() {
        let read = find(client, company).await?;
        integration.signing_key = read.and_then(|read| read.signing_key);
    }
    Ok(integration)
}

/// Has CallRail send to these addresses, too. `None`: it did so before, and nothing was written. To be called with what
/// was read just now: there is no protection against somebody else who writes at the same time.
pub async fn point(
    client: &Client,
    integration: &Integration,
    addresses: &Addresses,
) -> Result<Option<Integration>, ApiError> {
    let config = addresses.added_to(&integration.config);
    if config == integration.config && integration.state == ACTIVE {
        return Ok(None);
    }
    let written = client.update_integration(integration.id, ACTIVE, &config).await?;
    Ok(Some(written))
}

/// Whether a request that is signed as CallRail signs gets to where webhooks are received, and holds there. `http` must
/// follow no redirect.
pub async fn probe(
    http: &reqwest::Client,
    addresses: &Addresses,
    key: &SigningKey,
) -> Result<(), ProbeError> {
    let address = addresses.probe().ok_or(ProbeError::OwnForm)?;
    let body = br#"{"probe":"trunkline"}"#;
    let request = http
        .post(address)
        .header("content-type", "application/json")
        .header(SIGNATURE_HEADER, sign(key, body))
        .timeout(PROBE_TIMEOUT)
        .body(body.to_vec());
    let answer = request.send().await.map_err(|_| ProbeError::NoAnswer)?;
    // What stands in front of us answers so while we are away.
    if answer.status().is_server_error() {
        return Err(ProbeError::NoAnswer);
    }
    if !answer.status().is_success() {
        return Err(ProbeError::NotOurs);
    }
    let answer = answer.bytes().await.map_err(|_| ProbeError::NoAnswer)?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match answer["signature"].as_str() {
        Some("valid") => Ok(()),
        Some(_) => Err(ProbeError::Refused),
        None => Err(ProbeError::NotOurs),
    }
}

/// A URL with nothing but host, port and path.
fn plain_url(text: &str) -> Result<Url, InvalidAddress> {
    let url = Url::parse(text.trim()).map_err(|_| InvalidAddress::NotAUrl)?;
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(InvalidAddress::NotEncrypted);
    }
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidAddress::TooMuch);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pre_call(text: &str) -> Result<String, InvalidAddress> {
        Addresses::parse(text).map(|addresses| addresses.of(WebhookKind::PreCall))
    }

    #[test]
    fn the_six_addresses_come_from_any_one_of_them() {
        let expected = Ok("https://crm.example.com/api/webhooks/callrail/pre-call".to_owned());
        for text in [
            "https://crm.example.com/api/webhooks/callrail/post-call",
            " https://crm.example.com/api/webhooks/callrail/outbound-call-modified/",
            "https://crm.example.com/api/webhooks/callrail",
        ] {
            assert_eq!(pre_call(text), expected, "{text}");
        }
        assert_eq!(
            pre_call("https://crm.example.com/x/api/webhooks/callrail/COM1/post-call").as_deref(),
            Ok("https://crm.example.com/x/api/webhooks/callrail/COM1/pre-call")
        );
        assert_eq!(
            pre_call("https://crm.example.com/hooks/post-call").as_deref(),
            Ok("https://crm.example.com/hooks/pre-call")
        );
    }

    #[test]
    fn an_address_that_is_none_of_ours_is_refused_with_the_reason() {
        use InvalidAddress::{NotAUrl, NotEncrypted, OtherPath, TooMuch};
        for (text, expected) in [
            ("", NotAUrl),
            ("crm.example.com", NotAUrl),
            (
                "http://crm.example.com/api/webhooks/callrail/post-call",
                NotEncrypted,
            ),
            ("https://crm.example.com", OtherPath),
            (
                "https://crm.example.com/api/webhooks/callrail/post_call",
                OtherPath,
            ),
            (
                "https://me@crm.example.com/api/webhooks/callrail/post-call",
                TooMuch,
            ),
            (
                "https://crm.example.com/api/webhooks/callrail/post-call?x=1",
                TooMuch,
            ),
            ("ftp://127.0.0.1/api/webhooks/callrail/post-call", NotEncrypted),
        ] {
            assert_eq!(pre_call(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn an_installation_is_named_by_its_host_or_any_of_its_addresses() {
        let of = |text| Addresses::of_installation(text).map(|addresses| addresses.of(WebhookKind::PreCall));
        let at = |base: &str| {
            Ok(format!(
                "https://crm.example.com{base}/api/webhooks/callrail/pre-call"
            ))
        };
        assert_eq!(of("https://crm.example.com"), at(""));
        assert_eq!(of("https://crm.example.com/calls/"), at("/calls"));
        assert_eq!(
            of("https://crm.example.com/api/webhooks/callrail/post-call"),
            at("")
        );
        assert_eq!(
            of("https://crm.example.com/api/webhooks/callrail/post_call"),
            Err(InvalidAddress::OtherPath)
        );
        assert_eq!(of("crm.example.com"), Err(InvalidAddress::NotAUrl));
    }

    #[test]
    fn addresses_in_an_integration_are_ours_or_somebody_elses() {
        let kind = |text| Addresses::of_address(text).map(|read| read.map(|(_, kind)| kind));
        assert_eq!(
            kind("https://crm.example.com/api/webhooks/callrail/COM1/pre-call"),
            Some(Ok(WebhookKind::PreCall))
        );
        assert_eq!(
            kind("https://crm.example.com/api/webhooks/callrail/precall"),
            Some(Err(InvalidAddress::OtherPath))
        );
        assert_eq!(
            kind("http://crm.example.com/api/webhooks/callrail/pre-call"),
            Some(Err(InvalidAddress::NotEncrypted))
        );
        assert_eq!(kind("https://other.example.com/hooks/pre-call"), None);
    }

    #[test]
    fn addresses_of_others_stay_and_ours_are_added_once() {
        let Value::Object(before) = json!({
            "post_call_webhook": ["https://other.example.com/hook"],
            "sms_sent_webhook": ["https://other.example.com/sms"],
            "pre_call_webhook": "https://odd.example.com",
        }) else {
            panic!()
        };
        let ours = Addresses::parse("https://crm.example.com/api/webhooks/callrail").unwrap();
        let after = ours.added_to(&before);
        assert_eq!(
            after["post_call_webhook"],
            json!([
                "https://other.example.com/hook",
                "https://crm.example.com/api/webhooks/callrail/post-call"
            ])
        );
        assert_eq!(after["sms_sent_webhook"], before["sms_sent_webhook"]);
        assert_eq!(after["pre_call_webhook"][0], "https://odd.example.com");
        assert_eq!(
            after["answered_call_webhook"],
            json!(["https://crm.example.com/api/webhooks/callrail/routing-complete"])
        );
        assert_eq!(ours.added_to(&after), after);
    }

    #[test]
    fn a_probe_goes_to_the_same_server_only() {
        let probe = |text| Addresses::parse(text).unwrap().probe();
        let ours = probe("https://crm.example.com/x/api/webhooks/callrail/COM1/post-call");
        assert_eq!(
            ours.unwrap().as_str(),
            "https://crm.example.com/x/api/webhooks/test"
        );
        assert_eq!(probe("https://crm.example.com/hooks/post-call"), None);
    }
}
