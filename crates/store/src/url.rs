//! Which database: `sqlite://PATH` or `postgres://…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of the database, as the setting `DATABASE_URL` gives it.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `postgres://…` or `postgresql://…`.
    Postgres(PostgresUrl),
    /// `sqlite://PATH`: a file, created when it is not there. Relative to the working folder unless it starts with
    /// a slash.
    Sqlite(PathBuf),
}

/// The address of a PostgreSQL database, as libpq reads it ("Connection URIs" in PostgreSQL's manual): several hosts,
/// `sslmode=verify-full&sslrootcert=…` and whatever else it knows. Shown without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    text: String,
    /// Hosts and database, which is all that may be shown.
    shown: String,
}

/// The text is no address of a database that Trunkline can use. Never repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Another scheme, or none.
    #[error(
        "DATABASE_URL must start with sqlite:// or postgres://, as in sqlite://trunkline-data/trunkline.db"
    )]
    Scheme,
    /// Nothing behind the scheme.
    #[error("DATABASE_URL names no file, as in sqlite://trunkline-data/trunkline.db")]
    NoPath,
    /// Not what libpq reads.
    #[error(
        "DATABASE_URL must look like postgres://USER:PASSWORD@HOST:5432/DATABASE; in user, password and database, \
         % @ / : ? are written %25 %40 %2F %3A %3F"
    )]
    Postgres,
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite://") {
            return match path {
                "" => Err(InvalidDatabaseUrl::NoPath),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or(InvalidDatabaseUrl::Scheme)?;
        let shown = shown(rest).ok_or(InvalidDatabaseUrl::Postgres)?;
        Ok(Self::Postgres(PostgresUrl {
            text: text.to_owned(),
            shown,
        }))
    }
}

impl PostgresUrl {
    /// The address with these of libpq's settings, unless it has them already.
    pub(crate) fn with_defaults(&self, defaults: &[(&str, &str)]) -> String {
        let mut text = self.text.clone();
        for (name, value) in defaults {
            let query = self.text.split_once('?').map_or("", |(_, query)| query);
            let is_set = query
                .split('&')
                .any(|pair| pair.split_once('=').is_some_and(|(key, _)| key == *name));
            if !is_set {
                text.push(if text.contains('?') { '&' } else { '?' });
                text.push_str(name);
                text.push('=');
                text.push_str(value);
            }
        }
        text
    }
}

/// Hosts and database of an address; `None` if libpq would not read it. libpq's own complaint would quote what it
/// cannot read, which may be a part of the password.
fn shown(rest: &str) -> Option<String> {
    let is_encoded = rest.split('%').skip(1).all(|behind| {
        let digits = behind.get(..2).unwrap_or_default();
        digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && digits != "00"
    });
    // As libpq does: what is before the first `@`, unless a `/` comes earlier, is user and password.
    let authority = rest.split('/').next().unwrap_or_default();
    let (user, behind_user) = match authority.find('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let (place, query) = behind_user.split_once('?').unwrap_or((behind_user, ""));
    let hosts = place.split('/').next().unwrap_or_default();
    let is_place = !place.contains('@') && hosts.split(',').all(is_host);
    let is_query = query.is_empty() || query.split('&').all(|pair| pair.contains('='));
    let is_user = !user.contains('?');
    (is_encoded && is_user && is_place && is_query).then(|| format!("postgres://{place}"))
}

/// A name or address with a port or without; both may be missing.
fn is_host(host: &str) -> bool {
    let behind_brackets = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map(|(_, behind)| behind),
        None => Some(host),
    };
    behind_brackets.is_some_and(|host| match host.split_once(':') {
        Some((_, port)) => port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()),
        None => true,
    })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(url) => f.write_str(&url.shown),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_relative_or_absolute() {
        assert_eq!(
            "sqlite://data/x.db".parse(),
            Ok(DatabaseUrl::Sqlite("data/x.db".into()))
        );
        assert_eq!(
            "sqlite:///var/x.db".parse(),
            Ok(DatabaseUrl::Sqlite("/var/x.db".into()))
        );
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        let error = "mysql://user:secret@host/db".parse::<DatabaseUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert_eq!(
            "sqlite://".parse::<DatabaseUrl>(),
            Err(InvalidDatabaseUrl::NoPath)
        );
    }

    #[test]
    fn user_and_password_are_never_shown() {
        for (text, shown) in [
            (
                "postgres://me:s%40cret@db.example:5432/crm?sslmode=verify-full&sslrootcert=/ca.pem",
                "postgres://db.example:5432/crm",
            ),
            (
                "postgresql://me:s%3Fcret@a:1,[::1]:2/crm",
                "postgres://a:1,[::1]:2/crm",
            ),
            ("postgres:///crm?host=/run&password=secret", "postgres:///crm"),
            ("postgres://", "postgres://"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(
                (url.to_string(), format!("{url:?}")),
                (shown.into(), shown.into())
            );
        }
    }

    #[test]
    fn a_password_that_would_be_read_as_something_else_is_refused() {
        for text in [
            "postgres://me:pa%ss@host/db",
            "postgres://me:pass%@host/db",
            "postgres://me:pa/ss@host/db",
            "postgres://me:12/ss@host/db",
            "postgres://me:pa@ss@host/db",
            "postgres://me:pa?ss@host/db",
            "postgres://me:pa:ss",
            "postgres://host/db?12",
        ] {
            let refused = text.parse::<DatabaseUrl>();
            assert_eq!(refused, Err(InvalidDatabaseUrl::Postgres), "{text}");
        }
    }

    #[test]
    fn what_the_operator_sets_is_not_set_again() {
        let with_defaults = |text: &str| {
            let Ok(DatabaseUrl::Postgres(url)) = text.parse() else {
                panic!("{text}");
            };
            url.with_defaults(&[("connect_timeout", "5"), ("keepalives_idle", "30")])
        };
        assert_eq!(
            with_defaults("postgres://h/db"),
            "postgres://h/db?connect_timeout=5&keepalives_idle=30"
        );
        assert_eq!(
            with_defaults("postgres://h/db?connect_timeout=9"),
            "postgres://h/db?connect_timeout=9&keepalives_idle=30"
        );
    }
}
