//! One spool: a folder with a number that one process owns, and a queue file in it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::embedded::{self, Embedded, Kept, Size};
use crate::error::QueueError;
use crate::message::{Message, QueueName};
use crate::metrics::Metrics;

/// A spool in the hands of this process, which gives it up when it is dropped.
pub(super) struct Slot {
    number: u32,
    file: Embedded,
    messages: AtomicU64,
    bytes: AtomicU64,
    max_bytes: u64,
    /// Messages that the broker finds too large, as far as this process has tried them.
    set_aside: Mutex<BTreeSet<i64>>,
    metrics: Metrics,
    _lock: File,
}

impl Slot {
    /// Takes the first spool that nobody owns, made if there is none. One that cannot be opened is passed over: it may
    /// be damaged, and webhooks cannot wait for that to be mended. When a new one cannot be made, this fails.
    pub(super) async fn first_free(
        folder: &Path,
        max_bytes: u64,
        metrics: Metrics,
    ) -> Result<Self, QueueError> {
        let mut number = 0;
        loop {
            let is_new = !file_of(folder, number).exists();
            match Self::take(folder, number, max_bytes, metrics.clone()).await {
                Ok(Some(slot)) => return Ok(slot),
                Ok(None) => {}
                Err(error) if is_new => return Err(error),
                Err(error) => tracing::error!(
                    spool = number,
                    error = &error as &dyn std::error::Error,
                    "cannot open a spool: what is in it stays there, and another one is used"
                ),
            }
            number += 1;
        }
    }

    /// Takes this spool; `None` if somebody owns it.
    pub(super) async fn take(
        folder: &Path,
        number: u32,
        max_bytes: u64,
        metrics: Metrics,
    ) -> Result<Option<Self>, QueueError> {
        let path = file_of(folder, number);
        let lock = embedded::own(&path.with_file_name("lock"));
        let Some(lock) = lock.map_err(|error| cannot_open(&path, error))? else {
            return Ok(None);
        };
        let file = Embedded::open(&path, Duration::ZERO).await?;
        let Size { messages, bytes } = file.size().await?;
        metrics.spool_grew(messages, bytes);
        Ok(Some(Self {
            number,
            file,
            messages: messages.into(),
            bytes: bytes.into(),
            max_bytes,
            set_aside: Mutex::default(),
            metrics,
            _lock: lock,
        }))
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn size(&self) -> Size {
        Size {
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// `Ok` when all of them are on the disk.
    pub(super) async fn keep(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let added = Size {
            messages: messages.len() as u64,
            bytes: messages.iter().map(|message| message.body.len() as u64).sum(),
        };
        // Counted first: what is on the disk may be sent on and removed before this goes on.
        self.take_room(added)?;
        if let Err(error) = self.file.publish(queue, messages).await {
            self.shrink(added);
            return Err(error);
        }
        self.metrics.spooled(added.messages);
        Ok(())
    }

    /// `Ok` when it takes messages at present.
    pub(super) async fn probe(&self) -> Result<(), QueueError> {
        if self.bytes.load(Ordering::Relaxed) > self.max_bytes {
            return Err(self.is_full());
        }
        self.file.probe().await
    }

    /// Messages in the order in which they were kept, from the first one behind `after`.
    pub(super) async fn oldest(&self, after: i64, max: usize) -> Result<Vec<Kept>, QueueError> {
        self.file.oldest(after, max).await
    }

    /// Removes messages with so many bytes in their bodies.
    pub(super) async fn remove(&self, ids: Vec<i64>, bytes: u64) -> Result<(), QueueError> {
        let messages = ids.len() as u64;
        self.file.remove(ids).await?;
        self.shrink(Size { messages, bytes });
        Ok(())
    }

    /// Leaves those of these messages where they are that have so many bytes, since the broker takes none of that size.
    /// Returns whether there are any.
    pub(super) fn set_aside(&self, messages: &[Kept], size: usize) -> bool {
        let mut set_aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        let before = set_aside.len();
        for kept in messages.iter().filter(|kept| kept.message.body.len() == size) {
            set_aside.insert(kept.id);
            tracing::error!(
                spool = self.number,
                message.id = %kept.message.id,
                bytes = size,
                "a message stays in the spool until the broker takes larger ones: raise max_message_size in \
                 rabbitmq.conf, then restart this process"
            );
        }
        set_aside.len() > before
    }

    pub(super) fn is_set_aside(&self, id: i64) -> bool {
        let set_aside = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        set_aside.contains(&id)
    }

    /// Counts what is to be kept, if there is room for it: looked at and taken in one, since many come at a time.
    fn take_room(&self, added: Size) -> Result<(), QueueError> {
        let with_these = |bytes| Some(bytes + added.bytes).filter(|bytes| *bytes <= self.max_bytes);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_these)
            .map_err(|_| self.is_full())?;
        self.messages.fetch_add(added.messages, Ordering::Relaxed);
        self.metrics.spool_grew(added.messages, added.bytes);
        Ok(())
    }

    fn shrink(&self, removed: Size) {
        // First where it is looked at: the room is taken again as soon as it is given back.
        self.metrics.spool_shrank(removed.messages, removed.bytes);
        self.messages.fetch_sub(removed.messages, Ordering::Relaxed);
        self.bytes.fetch_sub(removed.bytes, Ordering::Relaxed);
    }

    fn is_full(&self) -> QueueError {
        QueueError::SpoolFull {
            max_bytes: self.max_bytes,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Size { messages, bytes } = self.size();
        self.metrics.spool_shrank(messages, bytes);
    }
}

/// The numbers of the spools there are, in their order.
pub(super) fn numbers(folder: &Path) -> Result<Vec<u32>, QueueError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot_open(folder, error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot_open(folder, error))?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        numbers.extend(number.filter(|number| file_of(folder, *number).exists()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// How much there is in a spool, whoever owns it.
pub(super) async fn size_of(folder: &Path, number: u32) -> Result<Size, QueueError> {
    let file = Embedded::open(&file_of(folder, number), Duration::ZERO).await?;
    file.size().await
}

/// Whether somebody owns a spool.
pub(super) fn is_owned(folder: &Path, number: u32) -> Result<bool, QueueError> {
    let path = file_of(folder, number);
    let lock = embedded::own(&path.with_file_name("lock"));
    lock.map(|lock| lock.is_none())
        .map_err(|error| cannot_open(&path, error))
}

fn file_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(number.to_string()).join("spool.db")
}

fn cannot_open(path: &Path, error: io::Error) -> QueueError {
    QueueError::CannotOpen {
        path: path.to_owned(),
        source: Arc::new(error),
    }
}
