//! Where a recording is to be had (docs/callrail.md, "Recording").

use std::fmt;

use reqwest::Url;

use super::Client;
use super::error::ApiError;
use super::listing::word;
use crate::ids::CallId;

/// A link to a recording. Whoever has it can listen, so that `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordingLink(Url);

impl Client {
    /// The link to a call's recording. None: there is no recording, or no such call.
    ///
    /// The link may die within a day: it is for use, not for keeping. It is at another server than the API and
    /// needs no key; none may be sent there.
    pub async fn recording(&self, id: &CallId) -> Result<Option<RecordingLink>, ApiError> {
        let url = self.resource(&format!("calls/{id}/recording.json"));
        let answer = match self.get(url).await {
            Ok(answer) => answer.json,
            Err(ApiError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        answer
            .as_object()
            .and_then(|answer| word(answer, "url"))
            .and_then(|url| Url::parse(&url).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .map(|url| Some(RecordingLink(url)))
            .ok_or(ApiError::Unexpected("a recording has no link"))
    }
}

impl RecordingLink {
    /// The link itself: a secret.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for RecordingLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecordingLink([redacted])")
    }
}
