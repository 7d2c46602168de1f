//! What can go wrong with a request, told apart by what a caller does about it (docs/callrail.md, "API errors").
//!
//! No text here, nor any `Debug`, holds the key, a URL or anything of an answer's body but [`Said`].

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::budget::BudgetError;
use super::credential::CredentialError;

/// Why a request to `CallRail`'s API came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: the key is wrong, was withdrawn, or is that of another kind of credential.
    #[error("CallRail does not accept the key{said}")]
    Unauthorized {
        /// What it said besides.
        said: Said,
    },
    /// 403: the key's user may not do this.
    #[error("CallRail does not allow this to the user whose key it is{said}")]
    Forbidden {
        /// What it said besides.
        said: Said,
    },
    /// 404: there is no such thing, or not for this key's user. Where that is an answer (a call, a recording),
    /// the client gives `None` instead.
    #[error("CallRail knows nothing of the kind{said}")]
    NotFound {
        /// What it said besides.
        said: Said,
    },
    /// 400, 405, 406, 422 and other statuses from 400 on: the request is not as `CallRail` wants it, now or
    /// later.
    #[error("CallRail refused the request with {}{said}", status.as_u16())]
    Invalid {
        /// What it answered.
        status: StatusCode,
        /// What it said besides.
        said: Said,
    },
    /// 429: the account's requests of this hour or day are used up, by whatever tool.
    #[error("CallRail takes no more requests for this account now{said}")]
    RateLimited {
        /// How long to wait, if it said so; longer than the client itself would.
        retry_after: Option<Duration>,
        /// What it said besides.
        said: Said,
    },
    /// No answer, a broken one, or one that is not the API's. After a write nobody knows whether it was done.
    #[error("CallRail's API is not available")]
    Unavailable {
        /// In which way.
        #[from]
        source: Outage,
    },
    /// A redirect. None is followed, since the key would go with it.
    #[error("CallRail answered with a redirect: the address of its API must name the server itself")]
    Redirected,
    /// JSON, but not as the API's documentation has it.
    #[error("CallRail's answer is not as expected: {0}")]
    Unexpected(&'static str),
    /// The next page is said to be elsewhere. It is not fetched, since the key would go there.
    #[error("the next page is not at the address of CallRail's API")]
    ForeignPage,
    /// A page names itself as the next one, or a list has more pages than any account could fill.
    #[error("the pages of CallRail's answer do not end")]
    EndlessPages,
    /// The budget does not allow the request, which was not sent.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The key cannot be read. Nothing was sent.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

/// In which way the API is not available.
#[derive(Debug, thiserror::Error)]
pub enum Outage {
    /// 408 or 5xx.
    #[error("it answered {}", .0.as_u16())]
    Status(StatusCode),
    /// Not connected, TLS failed, the connection broke, or not in time.
    #[error("no answer came")]
    NoAnswer(#[source] reqwest::Error),
    /// The connection broke, or time ran out, in the middle of the answer.
    #[error("the answer broke off")]
    CutShort(#[source] reqwest::Error),
    /// The answer is longer than the client was told to read.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    /// A success without JSON, such as the page of a proxy or of maintenance.
    #[error("the answer is not JSON")]
    NotJson,
}

impl ApiError {
    /// The error for an answer that is no success; `body` is its beginning, which need not be JSON.
    pub(crate) fn of_answer(
        status: StatusCode,
        retry_after: Option<Duration>,
        body: &[u8],
        secret: &str,
    ) -> Self {
        let said = Said::of_body(body, secret);
        match status.as_u16() {
            300..=399 => Self::Redirected,
            401 => Self::Unauthorized { said },
            403 => Self::Forbidden { said },
            404 => Self::NotFound { said },
            429 => Self::RateLimited { retry_after, said },
            408 | 500.. => Outage::Status(status).into(),
            _ => Self::Invalid { status, said },
        }
    }

    /// Whether the outside is to blame rather than this request: the same will pass once the network, `CallRail`
    /// or its limits allow.
    pub fn is_outside(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::Budget(_) => true,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Redirected
            | Self::Unexpected(_)
            | Self::ForeignPage
            | Self::EndlessPages
            | Self::Credential(_) => false,
        }
    }
}

/// The `error` text of an answer, made fit for a log; empty when there was none. `Display` puts a colon before
/// it.
///
/// At most 160 characters, and only words in small letters and a few that such texts begin with: what else
/// there may be (numbers, names, addresses, identifiers) is an ellipsis.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Said(String);

/// How long a text may be, in characters, and one word of it.
const MAX_TEXT: usize = 160;
const MAX_WORD: usize = 40;

/// Words with a capital that stand in `CallRail`'s errors.
const CAPITALISED: [&str; 24] = [
    "Access",
    "Account",
    "API",
    "Call",
    "Company",
    "Config",
    "Date",
    "End",
    "Field",
    "HTTP",
    "Integration",
    "Invalid",
    "Missing",
    "Not",
    "Parameter",
    "Rate",
    "Start",
    "The",
    "Token",
    "Too",
    "Type",
    "URL",
    "Unknown",
    "You",
];

impl Said {
    fn of_body(body: &[u8], secret: &str) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(text) = body.get("error").and_then(Value::as_str) else {
            return Self::default();
        };
        let mut said = String::new();
        for word in text.split_whitespace() {
            let is_secret = !secret.is_empty() && word.contains(secret);
            let word = if is_plain(word) && !is_secret {
                word
            } else if said.ends_with('…') {
                continue;
            } else {
                "…"
            };
            if said.chars().count() + word.chars().count() >= MAX_TEXT {
                break;
            }
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(word);
        }
        Self(said)
    }

    /// The text, perhaps empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a word can be neither a number nor a name.
fn is_plain(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| ".,:;!?'\"`()[]".contains(c));
    let is_lower = |byte: u8| byte.is_ascii_lowercase() || b"_-'".contains(&byte);
    word.len() <= MAX_WORD && (bare.bytes().all(is_lower) || CAPITALISED.contains(&bare))
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(formatter, ": {}", self.0)
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(text: &str) -> String {
        Said::of_body(json!({ "error": text }).to_string().as_bytes(), "hushhush").0
    }

    #[test]
    fn what_callrail_is_known_to_say_is_kept() {
        for text in [
            "You do not have permission to perform the requested action",
            "You must have at least one active company.",
            "Unknown tracking source type",
            "HTTP Token: Access denied.",
            "Invalid field: tracking_phone_number_name",
        ] {
            assert_eq!(said(text), text);
        }
    }

    #[test]
    fn numbers_names_and_keys_are_left_out() {
        assert_eq!(
            said("Call CAL01a1fa57 of DOE JANE (+1 404-555-0123) is invalid"),
            "Call … of … is invalid"
        );
        assert_eq!(said("Jane Doe, jane@example.com: unknown"), "… unknown");
        assert_eq!(said("the key (hushhush), is wrong"), "the key … is wrong");
        assert_eq!(said("see https://example.com/x?access_key=abc"), "see …");
        assert_eq!(said(&"a".repeat(41)), "…");
    }

    #[test]
    fn a_long_text_is_cut_at_a_word_and_controls_are_blanks() {
        let long = said(&"not valid\n\u{7}".repeat(100));
        assert!(long.starts_with("not valid"), "{long}");
        assert!(long.chars().count() <= MAX_TEXT && !long.contains('\n'));
    }

    #[test]
    fn a_body_that_is_no_json_or_says_nothing_is_no_text() {
        for body in ["", "<html>", "{}", "[]", "{\"error\":{}}", "{\"error\":\"\"}"] {
            let said = Said::of_body(body.as_bytes(), "");
            assert_eq!((said.as_str(), said.to_string().as_str()), ("", ""), "{body}");
        }
    }
}
