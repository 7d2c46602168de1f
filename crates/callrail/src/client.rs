//! The client of `CallRail`'s API, version 3 (docs/callrail.md, "API").
//!
//! A [`Client`] asks for calls page by page ([`Client::calls`], [`Client::calls_after`]), for one call and its
//! recording, for what an account consists of, and reads and writes the webhook integration. It follows no
//! redirect, since the key would go with it; it sends the key to the configured address alone; and it writes
//! nothing twice, since `CallRail` knows no way to tell a repetition from a second request.
//!
//! Calls are handed on as the JSON they came as: [`crate::Call::from_object`] reads one, so that one that
//! cannot be read costs only itself.

mod budget;
mod calls;
mod credential;
mod error;
mod integrations;
mod listing;
mod recording;
mod recording_file;
mod transport;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect, retry};

pub use budget::{Budget, BudgetError, Permission, Quota, Unlimited, Usage};
pub use calls::{CALL_FIELDS, CallPage, CallQuery, Cursor, SINGLE_CALL_FIELDS};
pub use credential::{Credential, CredentialError, InvalidCredential};
pub use error::{ApiError, Outage, Said};
pub use integrations::{Integration, IntegrationTrigger};
pub use listing::{Account, Company, MAX_PER_PAGE, Tracker};
pub use recording::RecordingLink;
pub use recording_file::{RecordingError, RecordingFile, RecordingFiles};
pub use transport::Retries;

use crate::ids::AccountId;

/// Where the API is served: [`ApiUrl::CALLRAIL`], or another server that speaks it.
///
/// Plain `http` is taken too, for a simulator on the same machine; the key then travels readably.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiUrl(Url);

/// Why a text is no [`ApiUrl`]. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiUrl {
    /// Does not parse, or is neither `http` nor `https`.
    #[error("the address of CallRail's API must be a URL with http or https")]
    NotAUrl,
    /// User, password, query or fragment.
    #[error("the address of CallRail's API may have a host, a port and a path, and nothing else")]
    TooMuch,
}

/// How the client behaves, apart from where it asks and as whom.
#[derive(Debug)]
pub struct ClientOptions {
    /// How often a request is sent again, and when.
    pub retries: Retries,
    /// For one request, from connecting to the end of the answer; a retry begins anew.
    pub timeout: Duration,
    /// The longest answer read, in bytes.
    pub max_answer_bytes: usize,
    /// Asked before every request, retries included.
    pub budget: Arc<dyn Budget>,
    /// What the HTTP client is made of: proxies, certificates. Redirects and its own retries are switched off
    /// in any case.
    pub http: ClientBuilder,
}

impl Default for ClientOptions {
    /// Four tries, 60 s a request, answers of up to 64 MiB, no limit but `CallRail`'s.
    fn default() -> Self {
        Self {
            retries: Retries::default(),
            timeout: Duration::from_secs(60),
            max_answer_bytes: 64 << 20,
            budget: Arc::new(Unlimited),
            http: reqwest::Client::builder().connect_timeout(Duration::from_secs(10)),
        }
    }
}

/// The accounts that a key's user may see, for whoever does not know yet which of them to make a [`Client`] for.
///
/// Panics like [`Client::new`].
pub async fn list_accounts(
    base_url: ApiUrl,
    credential: Credential,
    options: ClientOptions,
) -> Result<Vec<Account>, ApiError> {
    let client = Client::new(base_url, AccountId::none(), credential, options).map_err(Outage::NoAnswer)?;
    client.accounts().await
}

/// Asks `CallRail` on behalf of one account. Cheap to clone; clones share connections.
///
/// `Debug` shows address and account, never the key.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    base_url: ApiUrl,
    account: AccountId,
    credential: Credential,
    retries: Retries,
    timeout: Duration,
    max_answer_bytes: usize,
    budget: Arc<dyn Budget>,
    http: reqwest::Client,
}

impl Client {
    /// A client for one account. Sends nothing yet.
    ///
    /// Fails when TLS cannot be set up. Panics, as `reqwest` does, when no provider of cryptography was
    /// installed before.
    pub fn new(
        base_url: ApiUrl,
        account: AccountId,
        credential: Credential,
        options: ClientOptions,
    ) -> Result<Self, reqwest::Error> {
        let http = options
            .http
            .redirect(redirect::Policy::none())
            // Every request must pass the budget, so that nobody else may repeat one.
            .retry(retry::never())
            // One connection shared by all, as HTTP/2 has it, would take them all along when it hangs.
            .http1_only()
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                base_url,
                account,
                credential,
                retries: options.retries,
                timeout: options.timeout,
                max_answer_bytes: options.max_answer_bytes,
                budget: options.budget,
                http,
            }),
        })
    }

    /// The account it asks for.
    pub fn account_id(&self) -> &AccountId {
        &self.shared.account
    }

    /// The address of a resource of the account: `calls.json`.
    fn resource(&self, path: &str) -> Url {
        self.shared
            .base_url
            .join(&format!("a/{}/{path}", self.shared.account))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("base_url", &self.shared.base_url)
            .field("account", &self.shared.account)
            .finish_non_exhaustive()
    }
}

impl ApiUrl {
    /// `CallRail`'s own API, as a text to parse.
    pub const CALLRAIL: &'static str = "https://api.callrail.com/v3";

    /// Whether a URL leads to the same server: scheme, host and port.
    fn has_same_origin(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// The address of something below it. The path is made of identifiers and fixed words, which need no
    /// encoding.
    fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl FromStr for ApiUrl {
    type Err = InvalidApiUrl;

    fn from_str(text: &str) -> Result<Self, InvalidApiUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidApiUrl::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidApiUrl::NotAUrl);
        }
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidApiUrl::TooMuch);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for ApiUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callrails_own_address_is_one() {
        let url: ApiUrl = ApiUrl::CALLRAIL.parse().unwrap();
        assert_eq!(url.to_string(), ApiUrl::CALLRAIL);
    }

    #[test]
    fn resources_are_below_the_address_whatever_its_end() {
        for text in ["http://127.0.0.1:9000/v3", " http://127.0.0.1:9000/v3/\n"] {
            let url: ApiUrl = text.parse().unwrap();
            assert_eq!(url.join("a.json").as_str(), "http://127.0.0.1:9000/v3/a.json");
            assert_eq!(url.to_string(), "http://127.0.0.1:9000/v3");
        }
    }

    #[test]
    fn an_address_with_more_than_a_path_is_refused_and_not_repeated() {
        for (text, expected) in [
            ("", InvalidApiUrl::NotAUrl),
            ("api.callrail.com", InvalidApiUrl::NotAUrl),
            ("ftp://api.callrail.com/v3", InvalidApiUrl::NotAUrl),
            ("https://hush@api.callrail.com/v3", InvalidApiUrl::TooMuch),
            ("https://user:hush@api.callrail.com/v3", InvalidApiUrl::TooMuch),
            ("https://api.callrail.com/v3?key=hush", InvalidApiUrl::TooMuch),
            ("https://api.callrail.com/v3#hush", InvalidApiUrl::TooMuch),
        ] {
            let error = text.parse::<ApiUrl>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!format!("{error} {error:?}").contains("hush"));
        }
    }
}
