//! What the handles ask of the thread, and how it answers.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::QueueError;
use crate::message::{Delivery, Failures, Message, QueueName};

/// Where the answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// One wish of a handle.
pub(super) enum Command {
    Write(Write, Reply<()>),
    Consume(QueueName, Reply<(ConsumerId, Arc<File>)>),
    Fetch(Fetch),
    GiveBack(ConsumerId, Vec<i64>, Reply<()>),
    /// A batch returns because nobody took it.
    Untaken(ConsumerId, Vec<i64>),
    Leave(ConsumerId),
    Depths(Reply<Vec<(QueueName, u64)>>),
    /// The first so many messages of all queues with greater ids than this one.
    Oldest(i64, usize, Reply<Vec<Kept>>),
    Size(Reply<Size>),
}

/// What changes the file.
pub(super) enum Write {
    /// `_room`: its place among those that may wait, given up when it is answered.
    Publish {
        queue: QueueName,
        messages: Vec<Message>,
        _room: OwnedSemaphorePermit,
    },
    Settle(ConsumerId, Vec<i64>, Settlement),
    /// Whoever removes messages is the only one who reads them; nobody consumes.
    Remove(Vec<i64>),
    /// Changes nothing, but must reach the disk like the others.
    Probe,
}

/// A message as it lies in the file.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: i64,
    pub(crate) queue: QueueName,
    pub(crate) message: Message,
}

/// What lies in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) messages: u64,
    /// Of their bodies.
    pub(crate) bytes: u64,
}

/// How messages leave their queue.
pub(super) enum Settlement {
    Acknowledge,
    Delay(Failures, Duration),
    Bury(Failures),
}

/// A consumer of a queue; no two of one connection have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConsumerId {
    pub(super) queue: QueueName,
    pub(super) number: u64,
}

/// A consumer wants messages, and waits until there are some.
pub(super) struct Fetch {
    pub(super) consumer: ConsumerId,
    pub(super) max: usize,
    pub(super) reply: Reply<Batch>,
    /// The way back for what nobody takes.
    pub(super) home: Sender<Command>,
}

/// Messages on their way to a consumer; they return by themselves when nobody takes them.
pub(super) struct Batch {
    consumer: ConsumerId,
    deliveries: Vec<Delivery>,
    home: Sender<Command>,
}

impl Write {
    /// The bytes of the bodies to be written.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Publish { messages, .. } => messages.iter().map(|message| message.body.len()).sum(),
            Self::Settle(..) | Self::Remove(_) | Self::Probe => 0,
        }
    }
}

impl Fetch {
    pub(super) fn answer(self, result: Result<Vec<Delivery>, QueueError>) {
        let Self {
            consumer,
            reply,
            home,
            ..
        } = self;
        answer(
            reply,
            result.map(|deliveries| Batch {
                consumer,
                deliveries,
                home,
            }),
        );
    }
}

impl Batch {
    pub(super) fn take(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.deliveries.is_empty() {
            let ids = self.deliveries.iter().map(|delivery| delivery.tag.id).collect();
            // Fails only without the thread, and then nobody holds anything.
            let _ = self.home.send(Command::Untaken(self.consumer, ids));
        }
    }
}

/// Nobody may be waiting any more; that is their business.
pub(super) fn answer<T>(reply: Reply<T>, result: Result<T, QueueError>) {
    let _ = reply.send(result);
}
