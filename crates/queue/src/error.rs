//! What can go wrong with a queue, sorted by what the caller should do.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use crate::message::QueueName;

/// What lies behind an error. Shared, because one failed commit answers many callers.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a call to a queue failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The outside failed (disk full, connection lost): no message is to blame, try again after a pause.
    #[error("the queue is not available")]
    Unavailable {
        /// What the backend said.
        source: Cause,
    },
    /// This `Queue` has ended and will not come back; connect anew.
    #[error("the queue is closed")]
    Closed,
    /// An embedded queue is consumed by one process (one `Queue::connect`) at a time, and there is another.
    #[error("{queue} of {} is already consumed by another process", path.display())]
    InUse {
        /// Which queue.
        queue: QueueName,
        /// The queue file.
        path: PathBuf,
    },
    /// The address cannot be used. The message never repeats the address, which may hold a password.
    #[error("the queue address is not valid: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The queue file cannot be opened, made or understood.
    #[error("cannot open the queue file {}", path.display())]
    CannotOpen {
        /// The queue file.
        path: PathBuf,
        /// What the operating system or `SQLite` said.
        source: Cause,
    },
    /// The queue file was written by a newer Trunkline.
    #[error("the queue file {} has format {found}, this program knows up to {known}", path.display())]
    NewerFormat {
        /// The queue file.
        path: PathBuf,
        /// The format of the file.
        found: i32,
        /// The newest format this program can read.
        known: i32,
    },
    /// The file with the certificates to be trusted cannot be read, or has none.
    #[error("cannot read the certificates in {}", path.display())]
    CannotReadCertificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Cause,
    },
    /// The body is longer than [`MAX_BODY_BYTES`](crate::MAX_BODY_BYTES), or than the broker takes (`max_message_size`,
    /// 16 MiB in `RabbitMQ` 4 unless set).
    #[error("a message of {size} bytes is too large for the queue")]
    TooLarge {
        /// Length of the body in bytes.
        size: usize,
    },
    /// The broker does not confirm, and the spool has no room either.
    #[error("the spool is full: it may have {max_bytes} bytes")]
    SpoolFull {
        /// What was chosen.
        max_bytes: u64,
    },
    /// A delivery that this consumer does not hold: settled already, or another's. Nothing of the call was done.
    #[error("the delivery is not held by this consumer")]
    NotHeld,
}

impl QueueError {
    pub(crate) fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable {
            source: Arc::new(cause),
        }
    }

    /// What became of several that went together: of those that failed the first, but that one is too large before all
    /// others. It is why the others failed.
    pub(crate) fn of_all(results: impl IntoIterator<Item = Result<(), Self>>) -> Result<(), Self> {
        let mut first = Ok(());
        for result in results {
            if matches!(result, Err(Self::TooLarge { .. })) {
                return result;
            }
            first = first.and(result);
        }
        first
    }
}
