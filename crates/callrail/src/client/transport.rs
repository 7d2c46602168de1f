//! One request and its answer: permitted, sent, tried again where that is safe, and read within bounds.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};
use serde_json::Value;

use super::Client;
use super::budget::Usage;
use super::error::{ApiError, Outage};

/// How much of an error's body is read, in bytes.
const MAX_ERROR_BYTES: usize = 8_192;

/// How often and when a request is sent again.
///
/// After 429 any request is, since `CallRail` did nothing; after an outage only those that read, since a write
/// may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often it is sent at most, the first time included.
    pub tries: u32,
    /// The pause before the second try; it doubles from try to try.
    pub first_pause: Duration,
    /// No pause is longer. When `CallRail` asks for a longer one, the request fails at once and says so.
    pub longest_pause: Duration,
}

impl Default for Retries {
    /// Four tries; 0.5 s, 1 s and 2 s between them; at most 30 s when `CallRail` asks for it.
    fn default() -> Self {
        Self {
            tries: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl Retries {
    /// Every request is sent once.
    pub fn none() -> Self {
        Self {
            tries: 1,
            ..Self::default()
        }
    }

    /// How long to pause after the given number of failed tries; none: give up.
    fn pause(&self, failed: u32, error: &ApiError, is_read: bool) -> Option<Duration> {
        if failed >= self.tries {
            return None;
        }
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        let usual = self.first_pause.saturating_mul(doubled).min(self.longest_pause);
        match error {
            ApiError::RateLimited {
                retry_after: Some(wanted),
                ..
            } => (*wanted <= self.longest_pause).then_some(*wanted),
            ApiError::RateLimited {
                retry_after: None, ..
            } => Some(usual),
            // It will be as long again.
            ApiError::Unavailable {
                source: Outage::TooLong(_),
            } => None,
            ApiError::Unavailable { .. } if is_read => Some(usual),
            _ => None,
        }
    }
}

/// A success.
pub(crate) struct Answer {
    pub(crate) json: Value,
    pub(crate) usage: Usage,
    /// What the server's clock showed.
    pub(crate) date: Option<DateTime<Utc>>,
}

impl Client {
    /// Asks for what is at `url`, which must be of the configured server.
    pub(crate) async fn get(&self, url: Url) -> Result<Answer, ApiError> {
        self.send(Method::GET, url, None).await
    }

    /// Sends a request until it succeeds or must not be sent again.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Answer, ApiError> {
        let is_read = method == Method::GET;
        let mut failed = 0;
        loop {
            let error = match self.try_once(method.clone(), url.clone(), body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failed += 1;
            match self.shared.retries.pause(failed, &error, is_read) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn try_once(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, ApiError> {
        let shared = &self.shared;
        // The key is read after that, since permission may be long in coming.
        shared.budget.permit().await?;
        let secret = shared.credential.secret().await?;
        // A secret is printable ASCII, of which a header may be made.
        let authorization = shared
            .credential
            .authorization(&secret)
            .unwrap_or_else(|| HeaderValue::from_static(""));
        let mut request = shared
            .http
            .request(method, url)
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .timeout(shared.timeout);
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }

        let response = request.send().await.map_err(no_answer)?;
        let usage = Usage::of_headers(response.headers());
        if !usage.is_unknown() {
            shared.budget.report(usage).await;
        }

        let date = date(response.headers());
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers());
            let body = start_of(response).await;
            return Err(ApiError::of_answer(status, retry_after, &body, &secret));
        }
        let body = whole(response, shared.max_answer_bytes).await?;
        let json = serde_json::from_slice(&body).map_err(|_| Outage::NotJson)?;
        Ok(Answer { json, usage, date })
    }
}

/// The URL names a company or a call, and errors are logged.
fn no_answer(error: reqwest::Error) -> Outage {
    Outage::NoAnswer(error.without_url())
}

async fn whole(mut response: Response, limit: usize) -> Result<Vec<u8>, Outage> {
    let announced = response.content_length().unwrap_or(0);
    if announced > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(Outage::TooLong(limit));
    }
    let cut_short = |error: reqwest::Error| Outage::CutShort(error.without_url());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(cut_short)? {
        if body.len() + chunk.len() > limit {
            return Err(Outage::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The first bytes of an error's body; what cannot be read any more is left out.
async fn start_of(mut response: Response) -> Vec<u8> {
    let mut start = Vec::new();
    while start.len() < MAX_ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        start.extend_from_slice(&chunk);
    }
    start
}

/// `Retry-After` in seconds, or as a date, which is taken relative to the date of the same answer.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wanted = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    (wanted - date(headers)?).to_std().ok()
}

fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    const RETRIES: Retries = Retries {
        tries: 4,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(3),
    };

    fn error(status: u16, retry_after: Option<u64>) -> ApiError {
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::of_answer(status, retry_after.map(Duration::from_secs), b"", "")
    }

    fn pause(failed: u32, error: &ApiError, is_read: bool) -> Option<u64> {
        RETRIES.pause(failed, error, is_read).map(|pause| pause.as_secs())
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let outage = error(503, None);
        let pauses: Vec<_> = (1..=4).map(|failed| pause(failed, &outage, true)).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn a_write_is_sent_again_only_when_nothing_was_done() {
        assert_eq!(pause(1, &error(503, None), false), None);
        assert_eq!(pause(1, &error(429, None), false), Some(1));
    }

    #[test]
    fn what_callrail_asks_for_is_granted_unless_it_is_too_long() {
        assert_eq!(pause(1, &error(429, Some(3)), true), Some(3));
        assert_eq!(pause(1, &error(429, Some(0)), true), Some(0));
        assert_eq!(pause(1, &error(429, Some(4)), true), None);
    }

    #[test]
    fn what_will_not_change_is_not_tried_again() {
        for status in [302, 400, 401, 403, 404, 405, 406, 422] {
            assert_eq!(pause(1, &error(status, None), true), None, "{status}");
        }
        assert_eq!(pause(1, &Outage::TooLong(1).into(), true), None);
        assert_eq!(pause(1, &ApiError::EndlessPages, true), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |retry_after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
            if let Some(date) = date {
                headers.insert(header::DATE, date.parse().unwrap());
            }
            headers
        };
        let date = "Fri, 20 Nov 2026 19:03:20 GMT";
        let seconds = |headers| retry_after(&headers).map(|pause| pause.as_secs());
        assert_eq!(seconds(headers("120", None)), Some(120));
        assert_eq!(
            seconds(headers("Fri, 20 Nov 2026 19:04:20 GMT", Some(date))),
            Some(60)
        );
        assert_eq!(seconds(headers("Fri, 20 Nov 2026 19:04:20 GMT", None)), None);
        assert_eq!(
            seconds(headers(date, Some("Fri, 20 Nov 2026 19:04:20 GMT"))),
            None
        );
        assert_eq!(seconds(headers("soon", Some(date))), None);
        assert_eq!(seconds(headers("-1", Some(date))), None);
    }
}
