//! Publishing: many callers, one channel, many messages on their way at a time, and `Ok` only for what the broker has
//! confirmed and some queue has taken.
//!
//! Whoever publishes does it himself, in his own thread, and whoever hears of a confirm collects those of all others. A
//! task opens the channels and watches over what is on its way; no message passes through it.
//!
//! A returned message means that a queue of ours is gone. Then everything outstanding fails, and the next generation
//! declares the queues anew. That is coarse for a reason: lapin hands a returned message to whichever message is
//! confirmed next, not to the one that came back, and confirms many in any order. So nobody is told `Ok` before it is
//! certain that no message came back in the same breath: see [`Outstanding::settle`].

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, interval, sleep_until, timeout, timeout_at};

use super::envelope::properties_of;
use super::failure::Failure;
use super::link::{Generation, Link, Watch};
use crate::error::QueueError;
use crate::message::Message;

/// So many messages may be on their way.
const WINDOW: usize = 512;
/// A broker that is silent about a message, or the wish for a channel, for so many times the patience will not speak of it
/// any more: it has lost the leader of a queue, or its majority. Another connection may lead to one that does; and each lost
/// message keeps a place.
const SILENT_FOR: u32 = 2;
/// A broker that refuses all that goes to a queue for so long is left for another connection. The queue may be full; but
/// it may also be this channel alone that looks for the queue's leader on a broker that is gone, and would go on so until
/// that one is back.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// How often what is on its way is looked at, at least.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Where a message goes first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
}

/// A handle on the link and the task that watches over it, which end with the last of them.
#[derive(Clone)]
pub(super) struct Publisher {
    /// None while there is none to publish through.
    confirming: watch::Receiver<Option<Arc<Confirming>>>,
    window: Arc<Semaphore>,
    link: Link,
    patience: Duration,
}

type Answer = oneshot::Receiver<Result<(), QueueError>>;

impl Publisher {
    /// `patience`: how long a message may wait for its confirm.
    pub(super) fn start(link: Link, patience: Duration) -> Self {
        let (sender, confirming) = watch::channel(None);
        tokio::spawn(confirm_while_wanted(link.watch(), sender, patience * SILENT_FOR));
        Self {
            confirming,
            window: Arc::new(Semaphore::new(WINDOW)),
            link,
            patience,
        }
    }

    /// `Ok` when all of them are confirmed; they keep their order.
    pub(super) async fn publish(&self, target: &Target, messages: Vec<Message>) -> Result<(), QueueError> {
        let mut link = self.link.watch();
        let news = Arc::new(Notify::new());
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            link.usable().map_err(QueueError::unavailable)?;
            let deadline = Instant::now() + self.patience;
            let ready = pin!(async {
                tokio::select! {
                    biased;
                    ready = self.ready() => ready,
                    failure = link.unusable() => Err(QueueError::unavailable(failure)),
                    () = sleep_until(deadline) => Err(self.overdue()),
                }
            });
            let (place, confirming) = self.settling(&news, ready).await?;
            let answer = confirming.publish(target.clone(), message, place, &news);
            answers.push((answer.map_err(QueueError::unavailable)?, deadline));
        }
        let mut results = Vec::with_capacity(answers.len());
        for (answer, deadline) in answers {
            let answered = pin!(timeout_at(deadline, answer));
            results.push(match self.settling(&news, answered).await {
                Ok(Ok(result)) => result,
                // Dropped unanswered only when the runtime ends.
                Ok(Err(_)) => Err(QueueError::Closed),
                Err(_) => Err(self.overdue()),
            });
        }
        QueueError::of_all(results)
    }

    /// Waits for a place in the window, and for a channel.
    async fn ready(&self) -> Result<(OwnedSemaphorePermit, Arc<Confirming>), QueueError> {
        let place = Arc::clone(&self.window).acquire_owned().await;
        let mut confirming = self.confirming.clone();
        // Both are gone only when the runtime ends.
        let confirming = confirming.wait_for(Option::is_some).await;
        let confirming = confirming.ok().and_then(|confirming| confirming.clone());
        place.ok().zip(confirming).ok_or(QueueError::Closed)
    }

    /// Waits for this, and settles meanwhile whatever there is news of.
    async fn settling<T>(&self, news: &Notify, mut awaited: Pin<&mut impl Future<Output = T>>) -> T {
        loop {
            tokio::select! {
                biased;
                done = &mut awaited => return done,
                () = news.notified() => {
                    // Of a channel that is gone everything is settled.
                    let confirming = self.confirming.borrow().clone();
                    if let Some(confirming) = confirming {
                        confirming.settle();
                    }
                }
            }
        }
    }

    pub(super) fn link(&self) -> Watch {
        self.link.watch()
    }

    fn overdue(&self) -> QueueError {
        QueueError::unavailable(Failure::Unconfirmed(self.patience))
    }
}

/// The task: from generation to generation, until nobody publishes any more.
async fn confirm_while_wanted(
    mut link: Watch,
    current: watch::Sender<Option<Arc<Confirming>>>,
    longest_silence: Duration,
) {
    let mut number = 0;
    loop {
        let generation = tokio::select! {
            biased;
            () = current.closed() => return,
            generation = link.generation_after(number) => generation,
        };
        let Some(generation) = generation else { return };
        number = generation.number;
        let opened = timeout(longest_silence, confirming_channel(&generation)).await;
        match opened.unwrap_or(Err(Failure::Mute(longest_silence))) {
            Ok(channel) => {
                let confirming = Arc::new(Confirming::new(channel, generation, link.clone()));
                current.send_replace(Some(Arc::clone(&confirming)));
                tokio::select! {
                    () = current.closed() => return,
                    () = confirming.watch_over(longest_silence) => {}
                }
                current.send_replace(None);
            }
            Err(failure) => generation.fail(failure),
        }
    }
}

async fn confirming_channel(generation: &Generation) -> Result<Channel, Failure> {
    let channel = generation.channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .map_err(Failure::lost)?;
    Ok(channel)
}

/// The channel of a generation, and what is on its way through it.
struct Confirming {
    generation: Arc<Generation>,
    link: Watch,
    outstanding: Mutex<Outstanding>,
}

impl Confirming {
    fn new(channel: Channel, generation: Arc<Generation>, link: Watch) -> Self {
        let outstanding = Outstanding {
            channel,
            last: 0,
            messages: BTreeMap::new(),
            untold: Vec::new(),
            refused: HashMap::new(),
            heard_of: Arc::default(),
            closed: None,
        };
        Self {
            generation,
            link,
            outstanding: Mutex::new(outstanding),
        }
    }

    /// Sends a message on its way, behind all that were sent before. `news` is told when there is something to settle.
    fn publish(
        &self,
        target: Target,
        message: Message,
        place: OwnedSemaphorePermit,
        news: &Arc<Notify>,
    ) -> Result<Answer, Failure> {
        let mut outstanding = self.outstanding();
        // Asked under the lock: what is sent after this is there to fail when the link does.
        self.link.usable()?;
        if let Some(failure) = &outstanding.closed {
            return Err(failure.clone());
        }
        let (answer, answered) = oneshot::channel();
        let published = outstanding.publish(target, message, answer, place, news);
        self.close_if(&mut outstanding, published);
        Ok(answered)
    }

    /// Until the generation ends.
    async fn watch_over(&self, longest_silence: Duration) {
        let (mut link, mut blocked_link) = (self.link.clone(), self.link.clone());
        let mut blocked = false;
        let mut unblocked_at = Instant::now();
        let mut looks = interval(LOOKS_EVERY.min(longest_silence / 4));
        loop {
            tokio::select! {
                biased;
                failure = self.generation.ended() => {
                    self.outstanding().close(&failure);
                    return;
                }
                failure = link.unusable(), if !blocked => {
                    self.outstanding().fail_all(&failure);
                    blocked = true;
                }
                () = blocked_link.usable_again(), if blocked => {
                    blocked = false;
                    unblocked_at = Instant::now();
                }
                now = looks.tick() => {
                    // Whoever heard of something may have gone away before he settled it.
                    self.settle();
                    let since = self.outstanding().oldest().map(|oldest| oldest.max(unblocked_at));
                    if !blocked && since.is_some_and(|since| now > since + longest_silence) {
                        self.generation.fail(Failure::Unconfirmed(longest_silence));
                    }
                }
            }
        }
    }

    fn settle(&self) {
        let mut outstanding = self.outstanding();
        let settled = outstanding.settle();
        self.close_if(&mut outstanding, settled);
    }

    fn close_if(&self, outstanding: &mut Outstanding, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.generation.fail(failure);
            outstanding.close(&self.generation.failure());
        }
    }

    fn outstanding(&self) -> MutexGuard<'_, Outstanding> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages on their way through one channel.
struct Outstanding {
    channel: Channel,
    last: u64,
    messages: BTreeMap<u64, Sent>,
    /// Of these the broker has spoken, but their publishers were not told yet; `true` where it confirmed.
    untold: Vec<(Sent, bool)>,
    /// Where everything is refused, and since when.
    refused: HashMap<Target, Instant>,
    heard_of: Arc<HeardOf>,
    /// Why nothing can be sent any more.
    closed: Option<Failure>,
}

/// A message on its way.
struct Sent {
    since: Instant,
    target: Target,
    confirm: Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>,
    waker: Waker,
    /// None once it was told.
    answer: Option<oneshot::Sender<Result<(), QueueError>>>,
    body_bytes: usize,
    /// Kept until the broker has spoken, whoever still waits for it.
    _place: OwnedSemaphorePermit,
}

impl Outstanding {
    fn publish(
        &mut self,
        target: Target,
        message: Message,
        answer: oneshot::Sender<Result<(), QueueError>>,
        place: OwnedSemaphorePermit,
        news: &Arc<Notify>,
    ) -> Result<(), Failure> {
        self.last += 1;
        let wake = WakeOne {
            number: self.last,
            heard_of: Arc::clone(&self.heard_of),
            news: Arc::clone(news),
        };
        let sent = Sent {
            since: Instant::now(),
            target: target.clone(),
            body_bytes: message.body.len(),
            confirm: Box::pin(confirmation(self.channel.clone(), target, message)),
            waker: Waker::from(Arc::new(wake)),
            answer: Some(answer),
            _place: place,
        };
        self.messages.insert(self.last, sent);
        // The first poll puts it into line. When lapin's thread is faster than this one, it even brings the confirm.
        self.poll(self.last)?;
        if !self.untold.is_empty() {
            news.notify_one();
        }
        Ok(())
    }

    /// Since when the oldest message is on its way.
    fn oldest(&self) -> Option<Instant> {
        self.messages.values().next().map(|sent| sent.since)
    }

    /// Tells the publishers of all of which the broker has spoken. Fails when the generation is over.
    fn settle(&mut self) -> Result<(), Failure> {
        self.collect()?;
        while !self.untold.is_empty() {
            let certain = self.untold.len();
            // Lapin holds a lock while it confirms many at once, and this waits for that lock. So afterwards the whole
            // of what was confirmed together can be collected, and with it any message that came back.
            drop(self.channel.wait_for_confirms().now_or_never());
            self.collect()?;
            for (mut sent, confirmed) in self.untold.drain(..certain) {
                let result = if confirmed {
                    Ok(())
                } else {
                    Err(QueueError::unavailable(Failure::refused(&sent.target)))
                };
                sent.tell(result);
            }
        }
        Ok(())
    }

    /// Looks at all of which something was heard.
    fn collect(&mut self) -> Result<(), Failure> {
        let heard_of = self.heard_of.take();
        heard_of.into_iter().try_for_each(|number| self.poll(number))
    }

    fn poll(&mut self, number: u64) -> Result<(), Failure> {
        let Some(sent) = self.messages.get_mut(&number) else {
            return Ok(());
        };
        let mut context = Context::from_waker(&sent.waker);
        let Poll::Ready(result) = sent.confirm.as_mut().poll(&mut context) else {
            return Ok(());
        };
        let Some(settled) = self.messages.remove(&number) else {
            return Ok(());
        };
        let (confirmed, heard) = match result {
            Ok(Confirmation::Ack(None)) => {
                self.refused.remove(&settled.target);
                (true, Ok(()))
            }
            Ok(Confirmation::Nack(None) | Confirmation::NotRequested) => {
                (false, self.note_refused(&settled.target))
            }
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => (false, Err(Failure::Returned)),
            Err(error) => (false, Err(Failure::lost(error))),
        };
        self.untold.push((settled, confirmed));
        heard
    }

    /// Fails when all that goes there has been refused for too long.
    fn note_refused(&mut self, target: &Target) -> Result<(), Failure> {
        let since = self.refused.entry(target.clone()).or_insert_with(Instant::now);
        if since.elapsed() < REFUSED_FOR {
            Ok(())
        } else {
            Err(Failure::refused(target))
        }
    }

    /// Fails everything, and all that would follow.
    fn close(&mut self, failure: &Failure) {
        self.closed.get_or_insert_with(|| failure.clone());
        self.fail_all(failure);
    }

    /// Tells everybody, but lets the messages keep their places: they may still be confirmed.
    fn fail_all(&mut self, failure: &Failure) {
        let too_large = size_refused(failure);
        let untold = self.untold.iter_mut().map(|(sent, _)| sent);
        for sent in untold.chain(self.messages.values_mut()) {
            let error = match too_large {
                Some(size) if size == sent.body_bytes => QueueError::TooLarge { size },
                _ => QueueError::unavailable(failure.clone()),
            };
            sent.tell(Err(error));
        }
    }
}

impl Sent {
    fn tell(&mut self, result: Result<(), QueueError>) {
        if let Some(answer) = self.answer.take() {
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        }
    }
}

/// The numbers of the messages of which something was heard.
#[derive(Default)]
struct HeardOf(Mutex<Vec<u64>>);

impl HeardOf {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers())
    }

    fn numbers(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct WakeOne {
    number: u64,
    heard_of: Arc<HeardOf>,
    news: Arc<Notify>,
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.heard_of.numbers().push(self.number);
        self.news.notify_one();
    }
}

/// Publishes one message and waits for what the broker says to it.
async fn confirmation(channel: Channel, target: Target, message: Message) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = properties_of(&message);
    let Target {
        exchange,
        routing_key,
    } = target;
    let sent = channel
        .basic_publish(exchange, routing_key, options, &message.body, properties)
        .await?;
    drop(message);
    sent.await
}

/// The length of the body for which the broker closed the channel, if it did: `RabbitMQ` 4 takes 16 MiB unless told
/// otherwise, and says so only in words. Without this the message would be sent again and again.
fn size_refused(failure: &Failure) -> Option<usize> {
    let Failure::Lost { source } = failure else {
        return None;
    };
    let said = source.to_string();
    let (_, rest) = said.split_once("message size ")?;
    rest.split(' ').next()?.parse().ok()
}
