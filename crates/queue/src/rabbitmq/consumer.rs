//! Consuming: a task for each consumer, which attaches itself to one generation after the other, takes what the broker
//! sends ahead, and settles on the channel that delivered.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::envelope::{delivery_count, message_from};
use super::failure::Failure;
use super::link::{Generation, Link, Watch};
use super::publisher::{Publisher, Target};
use super::topology::{retry_exchange, short};
use crate::error::QueueError;
use crate::message::{Delivery, Message, QueueName, Tag};

/// A batch is cut when its bodies have this many bytes.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// A message that came back so often is given back as a new one: brokers give up what comes back too often (`RabbitMQ`
/// 4 after 20 times), and an outage may last.
pub(super) const RENEW_AFTER: u64 = 10;
/// How long attaching may take.
const ATTACHING: Duration = Duration::from_secs(10);

/// A handle on the task, which ends with it.
pub(crate) struct RabbitConsumer {
    number: u64,
    queue: QueueName,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    commands: mpsc::UnboundedSender<Command>,
    /// The number of the generation whose deliveries are still good; 0 between two.
    attached_to: Arc<AtomicU64>,
    publisher: Publisher,
    _link: Link,
}

/// A wish of the handle, answered when it is carried out.
struct Command {
    tags: Vec<Tag>,
    settlement: Settlement,
    reply: oneshot::Sender<Result<(), QueueError>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Settlement {
    /// Only says whether all of them are held.
    Look,
    Acknowledge,
    GiveBack,
}

impl RabbitConsumer {
    /// `number`: no other consumer of this process has it.
    pub(super) fn start(
        number: u64,
        queue: QueueName,
        prefetch: u16,
        link: Link,
        publisher: Publisher,
    ) -> Self {
        let (commands, wishes) = mpsc::unbounded_channel();
        let (arrivals, deliveries) = mpsc::unbounded_channel();
        let attached_to = Arc::new(AtomicU64::new(0));
        let feeder = Feeder {
            number,
            queue,
            prefetch,
            arrivals,
            wishes,
            attached_to: Arc::clone(&attached_to),
        };
        tokio::spawn(feeder.run(link.watch()));
        Self {
            number,
            queue,
            deliveries,
            commands,
            attached_to,
            publisher,
            _link: link,
        }
    }

    pub(crate) async fn next_batch(&mut self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.is_empty() {
            let mut next = self.deliveries.recv().await;
            if next.is_none() {
                return Err(QueueError::Closed);
            }
            while let Some(delivery) = next {
                // What an ended generation delivered comes again.
                if delivery.tag.generation == self.attached_to.load(Ordering::Acquire) {
                    bytes += delivery.message.body.len();
                    batch.push(delivery);
                }
                next = if batch.len() < max && bytes < BATCH_BYTES {
                    self.deliveries.try_recv().ok()
                } else {
                    None
                };
            }
        }
        Ok(batch)
    }

    pub(crate) async fn acknowledge(&self, tags: Vec<Tag>) -> Result<(), QueueError> {
        self.settle(tags, Settlement::Acknowledge).await
    }

    /// Moves a message, as it is given here, to the queue where it rests.
    pub(crate) async fn delay(&self, tag: Tag, message: Message, rest: Duration) -> Result<(), QueueError> {
        let target = Target {
            exchange: retry_exchange(rest),
            routing_key: short(self.queue.as_str()),
        };
        self.replace(tag, message, target).await
    }

    /// Moves a message, as it is given here, to the dead letters.
    pub(crate) async fn bury(&self, tag: Tag, message: Message) -> Result<(), QueueError> {
        self.replace(tag, message, Target::queue(QueueName::Dead)).await
    }

    pub(crate) async fn give_back(&self, deliveries: Vec<Delivery>) -> Result<(), QueueError> {
        let tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        match self.settle(tags, Settlement::Look).await {
            // The broker has them back already.
            Err(QueueError::Unavailable { .. }) => return Ok(()),
            looked => looked?,
        }
        let (worn, fresh): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|delivery| delivery.tag.returned >= RENEW_AFTER);
        let fresh = fresh.iter().map(|delivery| delivery.tag).collect();
        self.settle(fresh, Settlement::GiveBack).await?;
        let target = Target::queue(self.queue);
        let renewing = worn
            .into_iter()
            .map(|delivery| self.replace(delivery.tag, delivery.message, target.clone()));
        try_join_all(renewing).await.map(drop)
    }

    /// Publishes before it acknowledges, so that the message is there at least once.
    async fn replace(&self, tag: Tag, message: Message, target: Target) -> Result<(), QueueError> {
        self.settle(vec![tag], Settlement::Look).await?;
        let published = self.publisher.publish(&target, vec![message]).await;
        if published.is_ok() {
            self.settle(vec![tag], Settlement::Acknowledge).await
        } else {
            // When this fails too, the connection is gone, and the broker has it back.
            let _ = self.settle(vec![tag], Settlement::GiveBack).await;
            published
        }
    }

    async fn settle(&self, tags: Vec<Tag>, settlement: Settlement) -> Result<(), QueueError> {
        if tags.iter().any(|tag| tag.consumer != self.number) {
            return Err(QueueError::NotHeld);
        }
        let (reply, answer) = oneshot::channel();
        let command = Command {
            tags,
            settlement,
            reply,
        };
        self.commands.send(command).map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }
}

/// The task of a consumer.
struct Feeder {
    number: u64,
    queue: QueueName,
    prefetch: u16,
    arrivals: mpsc::UnboundedSender<Delivery>,
    wishes: mpsc::UnboundedReceiver<Command>,
    attached_to: Arc<AtomicU64>,
}

impl Feeder {
    async fn run(mut self, mut link: Watch) {
        let mut last = 0;
        loop {
            let generation = tokio::select! {
                biased;
                generation = link.generation_after(last) => generation,
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else { return };
                    wish.fail(&link.usable().err().unwrap_or(Failure::Closed));
                    continue;
                }
            };
            let Some(generation) = generation else { return };
            last = generation.number;
            let over = self.feed(&generation).await;
            self.attached_to.store(0, Ordering::Release);
            match over {
                Some(failure) => generation.fail(failure),
                None => return,
            }
        }
    }

    /// Consumes until the generation ends, and says why; None when nobody consumes any more.
    async fn feed(&mut self, generation: &Generation) -> Option<Failure> {
        let attaching = timeout(ATTACHING, self.attach(generation));
        let attached = tokio::select! {
            failure = generation.ended() => return Some(failure),
            attached = attaching => attached.unwrap_or(Err(Failure::Mute(ATTACHING))),
        };
        let (channel, mut consumer) = match attached {
            Ok(attached) => attached,
            Err(failure) => return Some(failure),
        };
        self.attached_to.store(generation.number, Ordering::Release);
        let mut held = Held {
            generation: generation.number,
            channel,
            tags: BTreeSet::new(),
        };
        loop {
            tokio::select! {
                failure = generation.ended() => return Some(failure),
                wish = self.wishes.recv() => {
                    let Some(wish) = wish else {
                        // The broker puts back what is held. When this fails, the connection is gone, and it does too.
                        let _ = held.channel.close(200, "done".into()).await;
                        return None;
                    };
                    if let Err(failure) = held.carry_out(wish).await {
                        return Some(failure);
                    }
                }
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => {
                        held.tags.insert(delivery.delivery_tag);
                        let delivery = self.delivery(generation.number, delivery);
                        // Nobody may consume any more; then the wishes end too.
                        let _ = self.arrivals.send(delivery);
                    }
                    Some(Err(error)) => return Some(Failure::lost(error)),
                    None => return Some(Failure::Cancelled),
                },
            }
        }
    }

    async fn attach(&self, generation: &Generation) -> Result<(Channel, lapin::Consumer), Failure> {
        let channel = generation.channel().await?;
        let consume = async {
            channel
                .basic_qos(self.prefetch, BasicQosOptions::default())
                .await?;
            channel
                .basic_consume(
                    short(self.queue.as_str()),
                    ShortString::default(),
                    BasicConsumeOptions::default(),
                    FieldTable::default(),
                )
                .await
        };
        let consumer = consume.await.map_err(Failure::lost)?;
        Ok((channel, consumer))
    }

    fn delivery(&self, generation: u64, delivery: lapin::message::Delivery) -> Delivery {
        let tag = Tag {
            consumer: self.number,
            generation,
            // The broker counts them from 1 in each channel.
            id: i64::try_from(delivery.delivery_tag).unwrap_or(i64::MAX),
            returned: delivery_count(&delivery.properties),
        };
        let message = message_from(&delivery.properties, delivery.data, self.queue, Utc::now());
        Delivery::new(message, tag)
    }
}

/// What one generation delivered through one channel and nobody has settled.
struct Held {
    generation: u64,
    channel: Channel,
    tags: BTreeSet<u64>,
}

impl Held {
    /// Fails when the channel is gone.
    async fn carry_out(&mut self, wish: Command) -> Result<(), Failure> {
        if wish.tags.iter().any(|tag| tag.generation != self.generation) {
            // Of an ended generation: never said on another channel, where the number means another message.
            wish.fail(&Failure::Closed);
            return Ok(());
        }
        let tags: BTreeSet<u64> = wish.tags.iter().map(|tag| tag.id.unsigned_abs()).collect();
        if !tags.is_subset(&self.tags) || tags.len() < wish.tags.len() {
            wish.answer(Err(QueueError::NotHeld));
            return Ok(());
        }
        let done = match wish.settlement {
            Settlement::Look => Ok(()),
            Settlement::Acknowledge | Settlement::GiveBack => {
                self.settle(tags, wish.settlement).await.map_err(Failure::lost)
            }
        };
        wish.answer(done.clone().map_err(QueueError::unavailable));
        done
    }

    /// One word for all up to the first that stays, and one for each of the others.
    async fn settle(&mut self, tags: BTreeSet<u64>, settlement: Settlement) -> lapin::Result<()> {
        let first_that_stays = self.tags.difference(&tags).next().copied().unwrap_or(u64::MAX);
        let (channel, requeue) = (&self.channel, settlement == Settlement::GiveBack);
        let say = |tag: u64, multiple: bool| async move {
            if requeue {
                channel
                    .basic_nack(tag, BasicNackOptions { multiple, requeue })
                    .await
            } else {
                channel.basic_ack(tag, BasicAckOptions { multiple }).await
            }
        };
        let together = tags.range(..first_that_stays).next_back().copied();
        let together = together.into_iter().map(|last| say(last, true));
        let singly = tags.range(first_that_stays..).map(|tag| say(*tag, false));
        let said = try_join_all(together.chain(singly)).await;
        self.tags.retain(|tag| !tags.contains(tag));
        said.map(drop)
    }
}

impl fmt::Debug for RabbitConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitConsumer")
            .field("number", &self.number)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Command {
    fn fail(self, failure: &Failure) {
        self.answer(Err(QueueError::unavailable(failure.clone())));
    }

    fn answer(self, result: Result<(), QueueError>) {
        // Nobody may be waiting any more.
        let _ = self.reply.send(result);
    }
}
