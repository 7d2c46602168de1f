//! Reads bodies that nobody has verified yet, within bounds: of one body, and of all that are under way.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use runtime::CancellationToken;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

/// The longest body. A real one has about 4 kB; a long transcript makes it longer.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// A body counts as usual up to here. What is longer competes for room with its like only, so that nobody can keep
/// CallRail's deliveries out with a few long bodies that never end; nor with many usual ones, since where others wait for
/// room the one that has been longest under way is cut off.
const USUAL_BODY: usize = 256 * 1024;

/// Room for the usual part of all bodies under way, and for what is longer; in bytes.
const USUAL_ROOM: usize = 16 * 1024 * 1024;
const LONG_ROOM: usize = 16 * 1024 * 1024;

/// How long a body may take, and how long where others wait for room: whoever stalls keeps nobody out for longer.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_IN_A_CROWD: Duration = Duration::from_secs(1);

/// How often somebody who waits for room looks for the one who has been longest at it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads bodies; all of a process share one.
pub(crate) struct BodyReader {
    usual: Semaphore,
    long: Semaphore,
    under_way: Mutex<UnderWay>,
}

/// The bodies that are being read, in the order of their beginning, and how to cut one off.
#[derive(Default)]
struct UnderWay {
    begun: u64,
    bodies: BTreeMap<u64, (Instant, CancellationToken)>,
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
    #[error("the body did not arrive within 10 seconds, or a second while others waited for room")]
    TooSlow,
    #[error("the body broke off")]
    BrokenOff,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self {
            usual: Semaphore::new(USUAL_ROOM),
            long: Semaphore::new(LONG_ROOM),
            under_way: Mutex::default(),
        }
    }
}

impl BodyReader {
    /// Reads a whole body.
    pub(crate) async fn read(&self, payload: Payload) -> Result<Body<'_>, Unread> {
        let (number, cut_off) = self.begin();
        let read = tokio::select! {
            biased;
            read = self.read_chunks(payload) => read,
            () = cut_off.cancelled() => Err(Unread::TooSlow),
            () = sleep(PATIENCE) => Err(Unread::TooSlow),
        };
        self.with_under_way(|under_way| under_way.bodies.remove(&number));
        read
    }

    fn begin(&self) -> (u64, CancellationToken) {
        let cut_off = CancellationToken::new();
        let number = self.with_under_way(|under_way| {
            under_way.begun += 1;
            let body = (Instant::now(), cut_off.clone());
            under_way.bodies.insert(under_way.begun, body);
            under_way.begun
        });
        (number, cut_off)
    }

    /// Cuts off the body that has been longest under way, if that is too long while others wait.
    fn cut_off_the_slowest(&self) {
        self.with_under_way(|under_way| {
            if let Some(slowest) = under_way.bodies.first_entry()
                && slowest.get().0.elapsed() > PATIENCE_IN_A_CROWD
            {
                slowest.remove().1.cancel();
            }
        });
    }

    fn with_under_way<T>(&self, look: impl FnOnce(&mut UnderWay) -> T) -> T {
        look(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
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
        if read + chunk > USUAL_BODY {
            return self.long.try_acquire_many(size).map_err(|_| Unread::NoRoom);
        }
        let mut room = pin!(self.usual.acquire_many(size));
        loop {
            tokio::select! {
                biased;
                room = &mut room => return room.map_err(|_| Unread::NoRoom),
                () = sleep(LOOK_EVERY) => self.cut_off_the_slowest(),
            }
        }
    }
}
