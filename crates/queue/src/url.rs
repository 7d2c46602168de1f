//! Where the queue is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::error::QueueError;

const EMBEDDED: &str = "embedded://";

/// The address of a queue: `embedded://PATH`, where PATH is the queue file, taken as it stands (nothing is
/// percent-decoded), relative to the working directory or absolute: `embedded://trunkline-data/queue.db`,
/// `embedded:///var/lib/trunkline/queue.db`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QueueUrl {
    path: PathBuf,
}

impl QueueUrl {
    /// The embedded queue in this file.
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for QueueUrl {
    type Err = QueueError;

    fn from_str(url: &str) -> Result<Self, QueueError> {
        let refuse = |reason| Err(QueueError::InvalidUrl { reason });
        if url.starts_with("amqp://") || url.starts_with("amqps://") {
            return refuse("RabbitMQ (amqp://, amqps://) is not supported yet, use embedded://PATH");
        }
        let Some(path) = url.strip_prefix(EMBEDDED) else {
            return refuse("expected embedded://PATH");
        };
        if path.is_empty() || path.ends_with('/') {
            return refuse("embedded:// must be followed by the path of a file");
        }
        if path.contains('\0') {
            return refuse("a path cannot contain NUL");
        }
        Ok(Self::embedded(path))
    }
}

impl TryFrom<String> for QueueUrl {
    type Error = QueueError;

    fn try_from(url: String) -> Result<Self, QueueError> {
        url.parse()
    }
}

impl fmt::Display for QueueUrl {
    /// Never shows credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{EMBEDDED}{}", self.path.display())
    }
}

impl fmt::Debug for QueueUrl {
    /// Never shows credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_and_absolute_paths_are_read_and_printed() {
        for (url, path) in [
            ("embedded://trunkline-data/queue.db", "trunkline-data/queue.db"),
            (
                "embedded:///var/lib/trunkline/queue.db",
                "/var/lib/trunkline/queue.db",
            ),
            ("embedded://with space/50%25.db", "with space/50%25.db"),
        ] {
            let parsed: QueueUrl = url.parse().unwrap();
            assert_eq!(parsed.path(), Path::new(path));
            assert_eq!(parsed.to_string(), url);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for url in [
            "",
            "queue.db",
            "embedded://",
            "embedded://folder/",
            "embedded://a\0b",
            "http://user:hunter2@host",
            "amqp://user:hunter2@host/vhost",
            "amqps://user:hunter2@host",
        ] {
            let error = url.parse::<QueueUrl>().unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(matches!(error, QueueError::InvalidUrl { .. }), "{url:?}: {said}");
            assert!(!said.contains("hunter2") && !said.contains('\n'));
        }
    }

    #[test]
    fn an_amqp_address_is_told_what_to_do() {
        let error = "amqp://localhost".parse::<QueueUrl>().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("not supported yet, use embedded://PATH")
        );
    }
}
