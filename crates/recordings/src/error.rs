//! What can go wrong with an archive.

/// Why an archive did not do what was asked of it. Texts name keys and paths, which are made of identifiers of calls.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// What was asked for is not there.
    #[error("the archive has nothing under this key")]
    NotFound,
    /// The folder or the bucket does not take or give anything at present: it is away, full, or not ours to use.
    #[error("the archive of recordings is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is there is not what was written.
    #[error("the archive holds {found} bytes of the {written} that were written")]
    Differs {
        /// How many bytes were written.
        written: u64,
        /// How many are there.
        found: u64,
    },
}

impl From<object_store::Error> for ArchiveError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error => Self::Unavailable(error.into()),
        }
    }
}

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.into())
    }
}
