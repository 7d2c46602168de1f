//! Which app at which server: `PUSHER_URL`, in the form that Pusher's dashboard shows.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

/// An app of a Pusher server: `http(s)://KEY:SECRET@HOST[:PORT]/apps/APP_ID`.
///
/// `Debug` and `Display` show the key, which every browser gets to know, but never the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct PusherUrl {
    /// Scheme, host and port; nothing else.
    server: Url,
    key: String,
    secret: String,
    app_id: String,
}

impl PusherUrl {
    /// The public half of the credentials; clients connect with it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The app's id at the server.
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn server(&self) -> &Url {
        &self.server
    }
}

impl FromStr for PusherUrl {
    type Err = InvalidPusherUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut url = Url::parse(text.trim()).map_err(|source| InvalidPusherUrl::NotAUrl { source })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidPusherUrl::Scheme);
        }

        let key = decoded(url.username()).ok_or(InvalidPusherUrl::Credentials)?;
        let secret = url
            .password()
            .and_then(decoded)
            .ok_or(InvalidPusherUrl::Credentials)?;
        if key.is_empty() || secret.is_empty() {
            return Err(InvalidPusherUrl::Credentials);
        }
        // The key is part of the signed query: with these characters, signed and sent text are the same.
        if !key.bytes().all(is_plain) {
            return Err(InvalidPusherUrl::Key);
        }

        let app_id = url.path().strip_prefix("/apps/").unwrap_or_default();
        let app_id = app_id.strip_suffix('/').unwrap_or(app_id).to_owned();
        if app_id.is_empty() || !app_id.bytes().all(is_plain) {
            return Err(InvalidPusherUrl::Path);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidPusherUrl::Path);
        }

        url.set_path("");
        url.set_username("").map_err(|()| InvalidPusherUrl::Credentials)?;
        url.set_password(None)
            .map_err(|()| InvalidPusherUrl::Credentials)?;
        Ok(Self {
            server: url,
            key,
            secret,
            app_id,
        })
    }
}

impl fmt::Display for PusherUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server[url::Position::BeforeHost..url::Position::AfterPort];
        write!(
            f,
            "{}://{}:[redacted]@{server}/apps/{}",
            self.server.scheme(),
            self.key,
            self.app_id
        )
    }
}

impl fmt::Debug for PusherUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PusherUrl({self})")
    }
}

/// Why a text is no [`PusherUrl`]. No case repeats the text, since it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPusherUrl {
    /// The text does not parse as a URL.
    #[error("not a URL (a / ? # @ in key or secret must be percent-encoded)")]
    NotAUrl {
        /// What the parser says.
        #[source]
        source: url::ParseError,
    },
    /// Neither `http` nor `https`.
    #[error("the scheme must be http or https")]
    Scheme,
    /// No key, no secret, or bytes in them that are no UTF-8.
    #[error("key and secret must stand before the host: https://KEY:SECRET@HOST/apps/APP_ID")]
    Credentials,
    /// A character that Pusher's keys do not have.
    #[error("the key may have letters, digits, hyphens, dots and underscores only")]
    Key,
    /// Not `/apps/APP_ID`, or something after it.
    #[error("the path must be /apps/APP_ID, with nothing after it")]
    Path,
}

/// Undoes percent-encoding, which the URL parser itself adds where a character needs it.
fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// Characters that look the same in a URL and in what is signed.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PusherUrl, InvalidPusherUrl> {
        text.parse()
    }

    #[test]
    fn the_form_of_the_dashboard_is_read() {
        let url =
            parse("https://278d425bdf160c739803:7ad3773142a6692b25b8@api-eu.pusher.com/apps/3").unwrap();
        assert_eq!(url.key(), "278d425bdf160c739803");
        assert_eq!(url.secret(), "7ad3773142a6692b25b8");
        assert_eq!(url.app_id(), "3");
        assert_eq!(url.server().as_str(), "https://api-eu.pusher.com/");
    }

    #[test]
    fn port_final_slash_and_encoded_secret_are_read() {
        let url = parse(" http://key:p%40ss=word%2F@127.0.0.1:6001/apps/app-1/\n").unwrap();
        assert_eq!(url.secret(), "p@ss=word/");
        assert_eq!(url.app_id(), "app-1");
        assert_eq!(url.server().as_str(), "http://127.0.0.1:6001/");
    }

    #[test]
    fn the_secret_is_never_shown() {
        let url = parse("http://key:hush@[::1]:6001/apps/1").unwrap();
        assert_eq!(url.to_string(), "http://key:[redacted]@[::1]:6001/apps/1");
        assert_eq!(
            format!("{url:?}"),
            "PusherUrl(http://key:[redacted]@[::1]:6001/apps/1)"
        );
    }

    #[test]
    fn every_mistake_has_its_own_error_and_none_echoes_the_secret() {
        let cases = [
            ("ftp://key:hush@host/apps/1", InvalidPusherUrl::Scheme),
            ("https://host/apps/1", InvalidPusherUrl::Credentials),
            ("https://key@host/apps/1", InvalidPusherUrl::Credentials),
            ("https://:hush@host/apps/1", InvalidPusherUrl::Credentials),
            ("https://key:@host/apps/1", InvalidPusherUrl::Credentials),
            ("https://key:%ffhush@host/apps/1", InvalidPusherUrl::Credentials),
            ("https://k+y:hush@host/apps/1", InvalidPusherUrl::Key),
            ("https://key:hush@host", InvalidPusherUrl::Path),
            ("https://key:hush@host/apps/", InvalidPusherUrl::Path),
            ("https://key:hush@host/apps/1/events", InvalidPusherUrl::Path),
            ("https://key:hush@host/apps/%31", InvalidPusherUrl::Path),
            ("https://key:hush@host/apps/1?cluster=eu", InvalidPusherUrl::Path),
            ("https://key:hush@host/apps/1#x", InvalidPusherUrl::Path),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
        for text in [
            "",
            "key:hush",
            "https://key:hu/sh@host/apps/1",
            "https://key:hush@/apps/1",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{text}");
        }
    }
}
