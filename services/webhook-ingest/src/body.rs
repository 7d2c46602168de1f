//! Reads bodies that nobody has verified yet, within bounds: of one body, and of all that are under way.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest body. A real one has about 4 kB; a long transcript makes it longer.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// A body counts as usual up to here. What is longer competes for room with its like only, so that nobody can keep
/// CallRail's deliveries out with a few long bodies that never end.
const USUAL_BODY: usize = 256 * 1024;

/// Room for the usual part of all bodies under way, and for what is longer; in bytes.
const USUAL_ROOM: usize = 16 * 1024 * 1024;
const LONG_ROOM: usize = 16 * 1024 * 1024;

/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads bodies; all of a process share one.
pub(crate) struct BodyReader {
    usual: Semaphore,
    long: Semaphore,
}

/// A body, and its share of the room, which is free again when it is dropped.
pub(crate) struct Body<'a> {
    pub(crate) bytes: Bytes,
    _room: Vec<SemaphorePermit<'a>>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    #[error("the body is longer than 16 MiB")]
    TooLong,
    #[error("too many bodies are under way")]
    NoRoom,
    #[error("the body did not arrive within 10 seconds")]
    TooSlow,
    #[error("the body broke off")]
    BrokenOff,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self {
            usual: Semaphore::new(USUAL_ROOM),
            long: Semaphore::new(LONG_ROOM),
        }
    }
}

impl BodyReader {
    /// Reads a whole body.
    pub(crate) async fn read(&self, payload: Payload) -> Result<Body<'_>, Unread> {
        tokio::time::timeout(PATIENCE, self.read_chunks(payload))
            .await
            .unwrap_or(Err(Unread::TooSlow))
    }

    async fn read_chunks(&self, mut payload: Payload) -> Result<Body<'_>, Unread> {
        let mut bytes = BytesMut::new();
        let mut room = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Unread::BrokenOff)?;
            if bytes.len() + chunk.len() > MAX_BODY {
                return Err(Unread::TooLong);
            }
            room.push(self.make_room(bytes.len(), chunk.len()).await?);
            bytes.extend_from_slice(&chunk);
        }
        Ok(Body {
            bytes: bytes.freeze(),
            _room: room,
        })
    }

    /// Room for a chunk behind so many bytes. A usual body waits for it, in turn; a long one is refused.
    async fn make_room(&self, read: usize, chunk: usize) -> Result<SemaphorePermit<'_>, Unread> {
        let size = u32::try_from(chunk).map_err(|_| Unread::TooLong)?;
        if read + chunk <= USUAL_BODY {
            self.usual.acquire_many(size).await.map_err(|_| Unread::NoRoom)
        } else {
            self.long.try_acquire_many(size).map_err(|_| Unread::NoRoom)
        }
    }
}
