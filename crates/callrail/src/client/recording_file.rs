//! The sound at the end of a [`RecordingLink`] (docs/callrail.md, "Recording").

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use reqwest::{ClientBuilder, Response, StatusCode, Url, Version, redirect};

use super::recording::RecordingLink;

/// How many redirects a link may have; `CallRail`'s has one.
const MAX_REDIRECTS: usize = 5;

/// Fetches recordings from where their links lead: from `CallRail`'s own hosts over TLS, and from those that the
/// operator names. No key is sent, whoever asks. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct RecordingFiles {
    http: reqwest::Client,
    named_hosts: Arc<[String]>,
}

/// A recording, or a part of one, that a server has begun to send.
#[derive(Debug)]
pub struct RecordingFile {
    response: Response,
}

/// Why there is no recording. Holds no part of the link but a host.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The link, or a redirect from it, leads to a host that recordings may not come from. Nothing was sent there.
    #[error("the recording is at a host that is not allowed")]
    ForeignHost {
        /// The host, for the log.
        host: Option<String>,
    },
    /// Not connected, TLS failed, or the connection broke before there was an answer.
    #[error("the server of the recording does not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// A redirect without an address, or one too many.
    #[error("the recording is said to be elsewhere, and is not found there")]
    Lost,
    /// 404 or 410: it is not there any more.
    #[error("the server of the recording does not have it any more")]
    Gone,
    /// Another status that is no success.
    #[error("the server of the recording answered {}", .0.as_u16())]
    Refused(StatusCode),
    /// A page or something else that nobody can listen to.
    #[error("what is at the recording's link is no recording")]
    NotSound,
    /// The connection broke, or time ran out, before the end.
    #[error("the recording broke off")]
    CutShort(#[source] reqwest::Error),
}

impl RecordingFiles {
    /// `named_hosts` are hosts beside `CallRail`'s, as `HOST` (over TLS) or `HOST:PORT`. `http` is what the HTTP client
    /// is made of: proxies, certificates, timeouts.
    pub fn new(named_hosts: Vec<String>, http: ClientBuilder) -> Result<Self, reqwest::Error> {
        Ok(Self {
            http: http.redirect(redirect::Policy::none()).http1_only().build()?,
            named_hosts: named_hosts.into(),
        })
    }

    /// Asks for a recording, or for the part of it that `range`, the value of a header `Range`, names.
    pub async fn fetch(
        &self,
        link: &RecordingLink,
        range: Option<&str>,
    ) -> Result<RecordingFile, RecordingError> {
        let mut url = link.url().clone();
        for _ in 0..=MAX_REDIRECTS {
            if !is_allowed(&url, &self.named_hosts) {
                return Err(RecordingError::ForeignHost {
                    host: url.host_str().map(str::to_owned),
                });
            }
            let mut request = self.http.get(url.clone());
            if let Some(range) = range {
                request = request.header(header::RANGE, range);
            }
            let found = request
                .send()
                .await
                .map_err(|error| RecordingError::NoAnswer(error.without_url()))?;
            if !found.status().is_redirection() {
                return RecordingFile::of_answer(found);
            }
            let location = found.headers().get(header::LOCATION);
            url = location
                .and_then(|location| url.join(location.to_str().ok()?).ok())
                .ok_or(RecordingError::Lost)?;
        }
        Err(RecordingError::Lost)
    }
}

impl RecordingFile {
    fn of_answer(response: Response) -> Result<Self, RecordingError> {
        match response.status() {
            // There is no sound in it, but the length.
            StatusCode::RANGE_NOT_SATISFIABLE => return Ok(Self { response }),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(RecordingError::Gone),
            status => return Err(RecordingError::Refused(status)),
        }
        let file = Self { response };
        // A login page is no recording.
        if file.content_type().is_some_and(is_sound) {
            Ok(file)
        } else {
            Err(RecordingError::NotSound)
        }
    }

    /// 200, 206 for a part, or 416 when there is no such part.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// What kind of sound it is.
    pub fn content_type(&self) -> Option<&str> {
        let value = self.response.headers().get(header::CONTENT_TYPE)?;
        value.to_str().ok()
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        Some(self.response.headers().get(name)?.as_bytes())
    }

    /// How many bytes come, if that was said.
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Whether it can be told from its end that it was cut short. Without a length and without chunks the end of the
    /// connection is the end of the answer, wherever it broke.
    pub fn says_where_it_ends(&self) -> bool {
        self.content_length().is_some()
            || is_chunked(self.response.headers())
            || self.response.version() >= Version::HTTP_2
    }

    /// The next bytes; `None` at the end. An answer that is shorter than was said is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RecordingError> {
        let next = self.response.chunk().await;
        next.map_err(|error| RecordingError::CutShort(error.without_url()))
    }
}

fn is_chunked(headers: &HeaderMap) -> bool {
    let encoding = headers.get(header::TRANSFER_ENCODING);
    encoding.is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

fn is_sound(content_type: &str) -> bool {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind.starts_with("audio/") || matches!(kind.as_str(), "application/octet-stream" | "binary/octet-stream")
}

/// Whether a recording may be fetched from there: `CallRail`'s own hosts over TLS (docs/callrail.md, "Recording"), and
/// those that the operator names.
fn is_allowed(url: &Url, named: &[String]) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    if has_credentials || !matches!(url.scheme(), "http" | "https") {
        return false;
    }
    let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
    let is_named = named.iter().any(|name| {
        let is_bare = url.port().is_none() && url.scheme() == "https" && name.eq_ignore_ascii_case(host);
        is_bare
            || with_port
                .as_deref()
                .is_some_and(|host| name.eq_ignore_ascii_case(host))
    });
    is_named || (url.scheme() == "https" && url.port().is_none() && is_callrails(host))
}

fn is_callrails(host: &str) -> bool {
    if host.ends_with(".callrail.com") {
        return true;
    }
    // calltrk-production.s3.amazonaws.com, calltrk-x.s3.us-west-2.amazonaws.com, calltrk-x.s3-us-west-2.amazonaws.com
    let Some(bucket) = host.strip_suffix(".amazonaws.com") else {
        return false;
    };
    let labels: Vec<&str> = bucket.split('.').collect();
    match labels[..] {
        [bucket, service] | [bucket, service, _] => {
            bucket.starts_with("calltrk") && (service == "s3" || service.starts_with("s3-"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str, named: &[&str]) -> bool {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        is_allowed(&url.parse().unwrap(), &named)
    }

    #[test]
    fn recordings_come_from_callrails_hosts_over_tls() {
        for url in [
            "https://app.callrail.com/calls/1/recording/redirect?access_key=x",
            "https://calltrk-production.s3.amazonaws.com/x.mp3",
            "https://calltrk-production.s3.us-east-1.amazonaws.com/x.mp3",
            "https://calltrk.s3-us-west-2.amazonaws.com/x.mp3",
        ] {
            assert!(allowed(url, &[]), "{url}");
        }
    }

    #[test]
    fn nothing_comes_from_anywhere_else() {
        for url in [
            "http://app.callrail.com/x",
            "https://app.callrail.com:8443/x",
            "https://callrail.com.example.com/x",
            "https://evilcallrail.com/x",
            "https://user@app.callrail.com/x",
            "https://x.s3.amazonaws.com/calltrk",
            "https://calltrk.ec2.amazonaws.com/x",
            "https://calltrk.s3.amazonaws.com.example.com/x",
            "https://calltrk.s3.a.b.amazonaws.com/x",
            "https://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:9000/x",
            "https://[::1]/x",
        ] {
            assert!(!allowed(url, &[]), "{url}");
        }
    }

    #[test]
    fn a_host_that_is_named_is_meant_with_its_port() {
        assert!(allowed("http://127.0.0.1:9000/x", &["127.0.0.1:9000"]));
        assert!(!allowed("http://127.0.0.1:9001/x", &["127.0.0.1:9000"]));
        assert!(allowed("https://files.example.com/x", &["files.example.com"]));
        assert!(!allowed("http://files.example.com/x", &["files.example.com"]));
        assert!(!allowed(
            "https://files.example.com:8443/x",
            &["files.example.com"]
        ));
    }
}
