//! Work that waits for a disk or a server, off the threads that serve the network.

use crate::StoreError;

/// Runs `work` on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panicked| Err(StoreError::Refused(panicked.into())))
}
