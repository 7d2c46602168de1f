//! What the client proves itself with (docs/callrail.md, "API").

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use reqwest::header::HeaderValue;

/// An API key or an OAuth 2.0 access token, as a text or in a file.
///
/// A file is looked at before every request and read again when its time of change or its length differs, so
/// that a key can be rotated while the program runs. `Debug` never shows the secret.
pub struct Credential {
    scheme: Scheme,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Scheme {
    ApiKey,
    Bearer,
}

enum Source {
    Text(String),
    File {
        path: PathBuf,
        read: Mutex<Option<Read>>,
    },
}

/// A file as it was when it was last read.
#[derive(Clone)]
struct Read {
    modified: Option<SystemTime>,
    length: u64,
    secret: String,
}

/// Why a text cannot be a key or token. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredential {
    /// Nothing but whitespace.
    #[error("the key is empty")]
    Empty,
    /// A space, a quote, a backslash, a control character or a letter outside ASCII.
    #[error("the key holds a space, a quote, a backslash, a control character or a letter outside ASCII")]
    NotPrintable,
}

/// Why the key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the key from {path}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("{path} holds no key of CallRail")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidCredential,
    },
}

impl Credential {
    /// An API key of `CallRail`. Surrounding whitespace is dropped.
    pub fn api_key(key: &str) -> Result<Self, InvalidCredential> {
        Self::text(Scheme::ApiKey, key)
    }

    /// A file that holds an API key and nothing else.
    pub fn api_key_file(path: impl Into<PathBuf>) -> Self {
        Self::file(Scheme::ApiKey, path.into())
    }

    /// An access token of OAuth 2.0. Surrounding whitespace is dropped.
    pub fn bearer(token: &str) -> Result<Self, InvalidCredential> {
        Self::text(Scheme::Bearer, token)
    }

    /// A file that holds an access token, which somebody else renews.
    pub fn bearer_file(path: impl Into<PathBuf>) -> Self {
        Self::file(Scheme::Bearer, path.into())
    }

    fn text(scheme: Scheme, text: &str) -> Result<Self, InvalidCredential> {
        let source = Source::Text(parse(text)?);
        Ok(Self { scheme, source })
    }

    fn file(scheme: Scheme, path: PathBuf) -> Self {
        let read = Mutex::new(None);
        let source = Source::File { path, read };
        Self { scheme, source }
    }

    /// The secret as it stands now.
    pub(crate) async fn secret(&self) -> Result<String, CredentialError> {
        let (path, read) = match &self.source {
            Source::Text(secret) => return Ok(secret.clone()),
            Source::File { path, read } => (path, read),
        };
        let unreadable = |source| CredentialError::Unreadable {
            path: path.clone(),
            source,
        };
        // Before the text: if somebody writes in between, the next request reads again.
        let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
        let (modified, length) = (found.modified().ok(), found.len());
        let known = read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && (known.modified, known.length) == (modified, length)
        {
            return Ok(known.secret);
        }
        let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
        let secret = parse(&text).map_err(|source| CredentialError::Invalid {
            path: path.clone(),
            source,
        })?;
        *read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Read {
            modified,
            length,
            secret: secret.clone(),
        });
        Ok(secret)
    }

    /// The value of the header `Authorization` for a secret that [`Self::secret`] gave.
    pub(crate) fn authorization(&self, secret: &str) -> Option<HeaderValue> {
        let text = match self.scheme {
            Scheme::ApiKey => format!("Token token=\"{secret}\""),
            Scheme::Bearer => format!("Bearer {secret}"),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn parse(text: &str) -> Result<String, InvalidCredential> {
    let text = text.trim();
    if text.is_empty() {
        return Err(InvalidCredential::Empty);
    }
    let is_fit = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
    if !text.bytes().all(is_fit) {
        return Err(InvalidCredential::NotPrintable);
    }
    Ok(text.to_owned())
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Credential");
        shown.field("scheme", &self.scheme);
        match &self.source {
            Source::Text(_) => shown.field("secret", &format_args!("[redacted]")),
            Source::File { path, .. } => shown.field("file", path),
        };
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn key_and_token_are_sent_as_callrail_documents_it() {
        let key = Credential::api_key(" abc123\n").unwrap();
        let secret = key.secret().await.unwrap();
        assert_eq!(key.authorization(&secret).unwrap(), "Token token=\"abc123\"");
        let token = Credential::bearer("abc123").unwrap();
        let header = token.authorization("abc123").unwrap();
        assert_eq!(header, "Bearer abc123");
        assert!(header.is_sensitive());
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        for (text, expected) in [
            (" \n", InvalidCredential::Empty),
            ("two words", InvalidCredential::NotPrintable),
            ("a\"b", InvalidCredential::NotPrintable),
            ("a\\b", InvalidCredential::NotPrintable),
            ("schlüssel", InvalidCredential::NotPrintable),
        ] {
            assert_eq!(Credential::api_key(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let credential = Credential::api_key_file(&path);
        assert!(matches!(
            credential.secret().await,
            Err(CredentialError::Unreadable { .. })
        ));

        fs::write(&path, "first\n").unwrap();
        assert_eq!(credential.secret().await.unwrap(), "first");
        fs::write(&path, "longer\n").unwrap();
        assert_eq!(credential.secret().await.unwrap(), "longer");
        // Of the same length, and known to have changed by its time alone.
        fs::write(&path, "REGNOL\n").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert_eq!(credential.secret().await.unwrap(), "REGNOL");

        fs::write(&path, "").unwrap();
        let error = credential.secret().await.unwrap_err();
        assert!(matches!(error, CredentialError::Invalid { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn debug_never_shows_a_secret() {
        let shown = format!("{:?}", Credential::api_key("hush").unwrap());
        assert!(shown.contains("[redacted]") && !shown.contains("hush"), "{shown}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "hush").unwrap();
        let credential = Credential::bearer_file(path);
        credential.secret().await.unwrap();
        assert!(!format!("{credential:?}").contains("hush"));
    }
}
