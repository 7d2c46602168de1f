//! Who may still ask, and how much `CallRail` says was asked (docs/callrail.md, "Rate limits").

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};

/// What a [`Budget`] answers, in its own time.
pub type Permission<'a> = Pin<Box<dyn Future<Output = Result<(), BudgetError>> + Send + 'a>>;

/// Shares `CallRail`'s limits among all who ask for one account.
///
/// The client asks before every request it sends, retries included, and tells what the answers say.
pub trait Budget: fmt::Debug + Send + Sync {
    /// Resolves when one request may be sent now; it may wait for that. An error is given back to whoever wanted
    /// the request, and nothing is sent.
    fn permit(&self) -> Permission<'_>;

    /// Learns what an answer said of the account's limits; not called when it said nothing.
    fn report(&self, usage: Usage) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Why a request may not be sent.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// All that may be asked now has been asked.
    #[error("the budget of requests is used up")]
    Exhausted {
        /// When it is worth while to ask again, if known.
        retry_after: Option<Duration>,
    },
    /// Nobody knows, since what keeps the count does not answer.
    #[error("the budget of requests cannot be read")]
    Unavailable {
        /// What went wrong there.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// No limit but `CallRail`'s own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl Budget for Unlimited {
    fn permit(&self) -> Permission<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn report(&self, _usage: Usage) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// How much of the account's limits is used, by whatever tool, as an answer says it. The headers are not
/// documented, so each may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// In this hour.
    pub hourly: Option<Quota>,
    /// On this day.
    pub daily: Option<Quota>,
}

/// A number of requests out of a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// May be sent.
    pub allowed: u32,
    /// Were sent.
    pub used: u32,
}

impl Usage {
    /// Reads the four headers; what is missing or no number is left out.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let quota = |allowed, used| {
            Some(Quota {
                allowed: number(allowed)?,
                used: number(used)?,
            })
        };
        Self {
            hourly: quota("x-rate-limit-hourly-allowed", "x-rate-limit-hourly-used"),
            daily: quota("x-rate-limit-daily-allowed", "x-rate-limit-daily-used"),
        }
    }

    /// Whether nothing was said.
    pub fn is_unknown(&self) -> bool {
        self.hourly.is_none() && self.daily.is_none()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn headers(text: &str) -> HeaderMap {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_headers_that_were_seen_are_read() {
        let seen = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/api/rate_limit_headers_observed.txt"
        ));
        let usage = Usage::of_headers(&headers(seen));
        let quota = |allowed| Some(Quota { allowed, used: 1 });
        assert_eq!((usage.hourly, usage.daily), (quota(150), quota(1_000)));
        assert!(!usage.is_unknown());
    }

    #[test]
    fn headers_that_are_missing_or_no_numbers_say_nothing() {
        for text in [
            "",
            "x-rate-limit-hourly-allowed: 1000",
            "x-rate-limit-hourly-allowed: many\nx-rate-limit-hourly-used: 1",
            "x-rate-limit-daily-allowed: 10000\nx-rate-limit-daily-used: -1",
        ] {
            assert!(Usage::of_headers(&headers(text)).is_unknown(), "{text}");
        }
    }
}
