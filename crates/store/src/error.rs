//! What can go wrong with the database, by who has to act.

use std::path::PathBuf;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The outside failed: no connection, a full disk, a lock held too long. The same call may work later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database works and refuses what it was given. Another try would fail as well.
    #[error("the database refuses what was to be written")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema is older than this program.
    #[error("the database has an older schema than this program: run `trunkline migrate`")]
    SchemaTooOld,
    /// The file cannot be opened or created.
    #[error("cannot open the database {}", path.display())]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The migrations cannot be run.
    #[error("cannot migrate the database")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The view `crm_contacts` is there, but cannot be read: a column is missing or holds something else, or it is
    /// not granted.
    #[error("cannot read the view trunkline.crm_contacts (see docs/database.md)")]
    CrmView(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored is not what this program wrote.
    #[error("the database holds a value that this program cannot read: column `{0}`")]
    Corrupt(&'static str),
}

impl StoreError {
    /// Whether the outside failed, so that nothing is wrong with what was to be written.
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::SchemaTooOld | Self::CannotOpen { .. }
        )
    }

    /// Blames what was to be written.
    pub(crate) fn into_refused(self) -> Self {
        match self {
            Self::Unavailable(source) => Self::Refused(source),
            other => other,
        }
    }
}

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::DatabaseErrorKind as Kind;
        use diesel::result::Error;

        match &error {
            Error::DatabaseError(
                Kind::UniqueViolation
                | Kind::ForeignKeyViolation
                | Kind::NotNullViolation
                | Kind::CheckViolation
                | Kind::RestrictViolation
                | Kind::ExclusionViolation,
                _,
            )
            | Error::InvalidCString(_)
            | Error::QueryBuilderError(_)
            | Error::DeserializationError(_)
            | Error::SerializationError(_) => Self::Refused(Box::new(error)),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}
