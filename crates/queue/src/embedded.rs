//! The embedded backend: one `SQLite` file, and one thread that owns it.
//!
//! Everything that changes the file goes through that thread, which commits all that wait with one fsync. What is
//! delivered is only remembered, in memory: consuming costs no write, and after a crash all that was not settled is
//! there again.

mod command;
mod committer;
mod database;
mod file;
mod outstanding;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use self::command::{Command, ConsumerId, Fetch, Reply, Settlement, Write};
pub(crate) use self::command::{Kept, Size};
use self::committer::Committer;
pub(crate) use self::file::own;
use crate::error::QueueError;
use crate::message::{Delivery, Failures, Message, QueueName, Tag};

/// So many publishes may wait for the thread; the next one waits for room.
const MAX_WAITING: usize = 1024;
/// A long list is published in parts, so that what comes meanwhile need not wait for all of it.
const PART_MESSAGES: usize = 256;
const PART_BYTES: usize = 2 * 1024 * 1024;

/// A handle on the thread; it ends with the last handle.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
}

impl Embedded {
    /// `longest_rest`: no message rests longer before a retry.
    pub(crate) async fn open(path: &Path, longest_rest: Duration) -> Result<Self, QueueError> {
        let path = path.to_owned();
        let (commands, receiver) = mpsc::channel();
        let (opened, opening) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || {
                match Committer::open(&path, longest_rest) {
                    Ok(committer) => {
                        if opened.send(Ok(())).is_ok() {
                            committer.run(&receiver);
                        }
                    }
                    // Nobody listens any more: nobody is told.
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        thread.map_err(QueueError::unavailable)?;
        opening.await.map_err(|_| QueueError::Closed)??;
        Ok(Self {
            commands,
            room: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }

    pub(crate) async fn publish(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        for part in parts(messages) {
            let room = Arc::clone(&self.room)
                .acquire_owned()
                .await
                .map_err(|_| QueueError::Closed)?;
            let write = Write::Publish {
                queue,
                messages: part,
                _room: room,
            };
            ask(&self.commands, |reply| Command::Write(write, reply)).await?;
        }
        Ok(())
    }

    pub(crate) async fn consume(&self, queue: QueueName) -> Result<EmbeddedConsumer, QueueError> {
        let (id, lock) = ask(&self.commands, |reply| Command::Consume(queue, reply)).await?;
        Ok(EmbeddedConsumer {
            commands: self.commands.clone(),
            id,
            _lock: lock,
        })
    }

    pub(crate) async fn depths(&self) -> Result<Vec<(QueueName, u64)>, QueueError> {
        ask(&self.commands, Command::Depths).await
    }

    /// The first messages of all queues with ids greater than `after`. For a file that nobody consumes.
    pub(crate) async fn oldest(&self, after: i64, max: usize) -> Result<Vec<Kept>, QueueError> {
        ask(&self.commands, |reply| Command::Oldest(after, max, reply)).await
    }

    /// Removes messages that [`oldest`](Self::oldest) has shown.
    pub(crate) async fn remove(&self, ids: Vec<i64>) -> Result<(), QueueError> {
        ask(&self.commands, |reply| Command::Write(Write::Remove(ids), reply)).await
    }

    /// How much there is, without what rests before a retry.
    pub(crate) async fn size(&self) -> Result<Size, QueueError> {
        ask(&self.commands, Command::Size).await
    }

    /// Whether the file can be written at present.
    pub(crate) async fn probe(&self) -> Result<(), QueueError> {
        ask(&self.commands, |reply| Command::Write(Write::Probe, reply)).await
    }
}

#[derive(Debug)]
pub(crate) struct EmbeddedConsumer {
    commands: mpsc::Sender<Command>,
    id: ConsumerId,
    /// Keeps other processes from consuming this queue, until the last consumer of it is dropped.
    _lock: Arc<File>,
}

impl EmbeddedConsumer {
    pub(crate) async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let (consumer, home) = (self.id, self.commands.clone());
        let batch = ask(&self.commands, |reply| {
            Command::Fetch(Fetch {
                consumer,
                max,
                reply,
                home,
            })
        })
        .await?;
        Ok(batch.take())
    }

    pub(crate) async fn acknowledge(&self, tags: Vec<Tag>) -> Result<(), QueueError> {
        self.settle(tags, Settlement::Acknowledge).await
    }

    pub(crate) async fn delay(
        &self,
        tag: Tag,
        failures: Failures,
        after: Duration,
    ) -> Result<(), QueueError> {
        self.settle(vec![tag], Settlement::Delay(failures, after)).await
    }

    pub(crate) async fn bury(&self, tag: Tag, failures: Failures) -> Result<(), QueueError> {
        self.settle(vec![tag], Settlement::Bury(failures)).await
    }

    pub(crate) async fn give_back(&self, tags: Vec<Tag>) -> Result<(), QueueError> {
        let ids = self.own_ids(tags)?;
        ask(&self.commands, |reply| Command::GiveBack(self.id, ids, reply)).await
    }

    async fn settle(&self, tags: Vec<Tag>, settlement: Settlement) -> Result<(), QueueError> {
        let write = Write::Settle(self.id, self.own_ids(tags)?, settlement);
        ask(&self.commands, |reply| Command::Write(write, reply)).await
    }

    fn own_ids(&self, tags: Vec<Tag>) -> Result<Vec<i64>, QueueError> {
        let own = |tag: Tag| {
            (tag.consumer == self.id.number)
                .then_some(tag.id)
                .ok_or(QueueError::NotHeld)
        };
        tags.into_iter().map(own).collect()
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        // Fails only without the thread, and then there is nothing to give back to. Sent before `_lock` is dropped,
        // and so before anyone can consume anew.
        let _ = self.commands.send(Command::Leave(self.id));
    }
}

/// Sends a command and waits for its answer. The command is carried out even if nobody waits any more.
async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, QueueError> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).map_err(|_| QueueError::Closed)?;
    answer.await.map_err(|_| QueueError::Closed)?
}

/// Cuts a list where a part has its messages or its bytes.
fn parts(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let mut parts: Vec<Vec<Message>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        bytes += message.body.len();
        match parts.last_mut() {
            Some(part) if part.len() < PART_MESSAGES && bytes <= PART_BYTES => part.push(message),
            _ => {
                bytes = message.body.len();
                parts.push(vec![message]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_list_is_cut_by_number_and_by_bytes() {
        let messages = |count, bytes| vec![Message::new(Uuid::nil(), vec![0; bytes]); count];
        let sizes = |messages| parts(messages).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(messages(0, 0)), Vec::<usize>::new());
        assert_eq!(sizes(messages(600, 1)), [256, 256, 88]);
        assert_eq!(sizes(messages(5, PART_BYTES / 2)), [2, 2, 1]);
        assert_eq!(sizes(messages(2, PART_BYTES + 1)), [1, 1]);
    }
}
