//! Which database: `sqlite://PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The address of the database, as the setting `DATABASE_URL` gives it.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://PATH`: a file, created when it is not there. Relative to the working folder unless it starts with
    /// a slash.
    Sqlite(PathBuf),
}

/// The text is no address of a database that Trunkline can use. Never repeats it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Another scheme, or none.
    #[error("DATABASE_URL must start with sqlite://, as in sqlite://trunkline-data/trunkline.db")]
    Scheme,
    /// Nothing behind the scheme.
    #[error("DATABASE_URL names no file, as in sqlite://trunkline-data/trunkline.db")]
    NoPath,
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().strip_prefix("sqlite://") {
            None => Err(InvalidDatabaseUrl::Scheme),
            Some("") => Err(InvalidDatabaseUrl::NoPath),
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
}
