//! Where the queue is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::error::QueueError;
use crate::rabbitmq::{Broker, Host};

const EMBEDDED: &str = "embedded://";

/// The address of a queue, one of
///
/// * `embedded://PATH`, where PATH is the queue file, taken as it stands (nothing is percent-decoded), relative to the
///   working directory or absolute: `embedded://trunkline-data/queue.db`, `embedded:///var/lib/trunkline/queue.db`;
/// * `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://…` for TLS: `RabbitMQ`. Several hosts of one cluster are
///   separated by commas, each with all its parts, and are tried in turn. User, password and virtual host are
///   percent-decoded; what is left out is `guest`, `guest`, 5672 (5671 with TLS) and `/`. `?heartbeat=SECONDS` sets how
///   soon a dead connection is noticed (default 10).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QueueUrl {
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Embedded(PathBuf),
    /// One host at least.
    RabbitMq(Vec<Host>),
}

impl QueueUrl {
    /// The embedded queue in this file.
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Embedded(path.into()),
        }
    }

    /// The queue file of an embedded queue.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::Embedded(path) => Some(path),
            Place::RabbitMq(_) => None,
        }
    }

    /// The broker, or the first of several.
    pub fn broker(&self) -> Option<Broker> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::RabbitMq(hosts) => hosts.first().map(Host::broker),
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl FromStr for QueueUrl {
    type Err = QueueError;

    fn from_str(url: &str) -> Result<Self, QueueError> {
        let refuse = |reason| Err(QueueError::InvalidUrl { reason });
        if url.starts_with("amqp") {
            let hosts: Result<_, _> = url.split(',').map(|host| host.trim().parse()).collect();
            return hosts.map_or_else(refuse, |hosts| {
                Ok(Self {
                    place: Place::RabbitMq(hosts),
                })
            });
        }
        let Some(path) = url.strip_prefix(EMBEDDED) else {
            return refuse("expected embedded://PATH, amqp://… or amqps://…");
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
        match &self.place {
            Place::Embedded(path) => write!(f, "{EMBEDDED}{}", path.display()),
            Place::RabbitMq(hosts) => {
                for (index, host) in hosts.iter().enumerate() {
                    write!(f, "{}{host}", if index > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
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
            assert!(matches!(parsed.place(), Place::Embedded(found) if found.as_os_str() == path));
            assert_eq!(parsed.to_string(), url);
        }
    }

    #[test]
    fn several_hosts_are_read_and_printed_without_credentials() {
        let url: QueueUrl = "amqp://u:hunter2@a:5673/calls, amqps://u:hunter%2C2@b"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "amqp://a:5673/calls,amqps://b:5671/%2F");
        assert_eq!(
            format!("{url:?}"),
            "QueueUrl(amqp://a:5673/calls,amqps://b:5671/%2F)"
        );
        assert!(matches!(url.place(), Place::RabbitMq(hosts) if hosts.len() == 2));
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
            "amqp:user:hunter2@host",
            "amqp://user:hunter2@",
            "amqp://user:hun,ter2@host",
            "amqp://user:hunter2@host,",
            "amqp://user:hunter2@a,embedded://b",
            "amqp://user:hunter2@host:port",
            "amqp://user:hunter2@host?heartbeat=soon",
            "amqp://user:hunter2@host?verify=verify_none",
            "amqp://user:hunter2@host/%FF",
            "amqpx://user:hunter2@host",
        ] {
            let error = url.parse::<QueueUrl>().unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(matches!(error, QueueError::InvalidUrl { .. }), "{url:?}: {said}");
            assert!(!said.contains("hunter2") && !said.contains('\n'));
        }
    }
}
