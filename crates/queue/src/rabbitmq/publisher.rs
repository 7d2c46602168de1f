//! Publishing: many callers, one channel, many messages on their way at a time, and `Ok` only for what the broker has
//! confirmed and some queue has taken.
//!
//! A returned message means that a queue of ours is gone. Then everything outstanding fails, and the next generation
//! declares the queues anew. That is coarse for a reason: lapin hands a returned message to whichever message is
//! confirmed next, not to the one that came back, and confirms many in any order. So nobody is told `Ok` before it is
//! certain that no message came back in the same breath: see [`Confirms::settled`].

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval, timeout, timeout_at};

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

/// Where a message goes first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
}

/// A handle on the publishing task and its link, which end with the last of them.
#[derive(Clone)]
pub(super) struct Publisher {
    jobs: mpsc::UnboundedSender<Job>,
    window: Arc<Semaphore>,
    link: Link,
    patience: Duration,
}

/// A message to be published.
struct Job {
    target: Target,
    message: Message,
    answer: oneshot::Sender<Result<(), QueueError>>,
    /// Its place in the window, which it keeps until the broker has spoken, whoever still waits for it.
    place: OwnedSemaphorePermit,
}

impl Publisher {
    /// `patience`: how long a message may wait for its confirm.
    pub(super) fn start(link: Link, patience: Duration) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        tokio::spawn(publish_while_wanted(
            link.watch(),
            receiver,
            patience * SILENT_FOR,
        ));
        Self {
            jobs,
            window: Arc::new(Semaphore::new(WINDOW)),
            link,
            patience,
        }
    }

    /// `Ok` when all of them are confirmed; they keep their order.
    pub(super) async fn publish(&self, target: &Target, messages: Vec<Message>) -> Result<(), QueueError> {
        let mut link = self.link.watch();
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            link.usable().map_err(QueueError::unavailable)?;
            let deadline = Instant::now() + self.patience;
            let place = tokio::select! {
                biased;
                place = Arc::clone(&self.window).acquire_owned() => place.map_err(|_| QueueError::Closed)?,
                failure = link.unusable() => return Err(QueueError::unavailable(failure)),
                () = tokio::time::sleep_until(deadline) => return Err(self.overdue()),
            };
            let (answer, answered) = oneshot::channel();
            let job = Job {
                target: target.clone(),
                message,
                answer,
                place,
            };
            self.jobs.send(job).map_err(|_| QueueError::Closed)?;
            answers.push((answered, deadline));
        }
        let mut results = Vec::with_capacity(answers.len());
        for (answered, deadline) in answers {
            results.push(match timeout_at(deadline, answered).await {
                Ok(Ok(result)) => result,
                // Dropped unanswered only when the runtime ends.
                Ok(Err(_)) => Err(QueueError::Closed),
                Err(_) => Err(self.overdue()),
            });
        }
        QueueError::of_all(results)
    }

    pub(super) fn link(&self) -> Watch {
        self.link.watch()
    }

    fn overdue(&self) -> QueueError {
        QueueError::unavailable(Failure::Unconfirmed(self.patience))
    }
}

/// The publishing task: from generation to generation, until nobody publishes any more.
async fn publish_while_wanted(
    mut link: Watch,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    longest_silence: Duration,
) {
    let (mut number, mut failure) = (0, Failure::NotYet);
    loop {
        let generation = tokio::select! {
            biased;
            generation = link.generation_after(number) => generation,
            job = jobs.recv() => {
                let Some(job) = job else { return };
                let failure = link.usable().err().unwrap_or_else(|| failure.clone());
                job.fail(QueueError::unavailable(failure));
                continue;
            }
        };
        let Some(generation) = generation else { return };
        number = generation.number;
        let opened = timeout(longest_silence, confirming_channel(&generation)).await;
        match opened.unwrap_or(Err(Failure::Mute(longest_silence))) {
            Ok(channel) => {
                if publish_through(channel, &generation, &mut link, &mut jobs, longest_silence)
                    .await
                    .is_none()
                {
                    return;
                }
            }
            Err(failure) => generation.fail(failure),
        }
        failure = generation.failure();
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

/// Publishes until the generation ends; None when nobody publishes any more.
async fn publish_through(
    channel: Channel,
    generation: &Generation,
    link: &mut Watch,
    jobs: &mut mpsc::UnboundedReceiver<Job>,
    longest_silence: Duration,
) -> Option<()> {
    let mut confirms = Confirms::new(channel);
    let mut blocked = false;
    let mut unblocked_at = Instant::now();
    let mut looks = interval(longest_silence / 4);
    loop {
        tokio::select! {
            biased;
            failure = generation.ended() => {
                confirms.fail_all(&failure);
                return Some(());
            }
            failure = link.unusable(), if !blocked => {
                confirms.fail_all(&failure);
                blocked = true;
            }
            // Goes first; the window keeps it from going on for ever.
            job = jobs.recv() => {
                let job = job?;
                match link.usable() {
                    Ok(_) => {
                        if std::mem::take(&mut blocked) {
                            unblocked_at = Instant::now();
                        }
                        if let Err(failure) = confirms.publish(job) {
                            generation.fail(failure);
                        }
                    }
                    Err(failure) => job.fail(QueueError::unavailable(failure)),
                }
            }
            settled = confirms.settled() => {
                if let Err(failure) = settled {
                    generation.fail(failure);
                }
            }
            now = looks.tick() => {
                // No message may come to say so, since each that is on its way keeps its place.
                if blocked && link.usable().is_ok() {
                    blocked = false;
                    unblocked_at = now;
                }
                if blocked {
                    continue;
                }
                let since = confirms.oldest().map(|oldest| oldest.max(unblocked_at));
                if since.is_some_and(|since| now > since + longest_silence) {
                    generation.fail(Failure::Unconfirmed(longest_silence));
                }
            }
        }
    }
}

impl Job {
    fn fail(self, error: QueueError) {
        // Nobody may be waiting any more.
        let _ = self.answer.send(Err(error));
    }
}

/// The messages on their way through one channel.
struct Confirms {
    channel: Channel,
    last: u64,
    outstanding: BTreeMap<u64, Outstanding>,
    /// Of these the broker has spoken, but their publishers were not told yet; `true` where it confirmed.
    untold: Vec<(Outstanding, bool)>,
    /// Where everything is refused, and since when.
    refused: HashMap<Target, Instant>,
    woken: Arc<Woken>,
}

struct Outstanding {
    since: Instant,
    target: Target,
    confirm: Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send>>,
    waker: Waker,
    /// None once it was told.
    answer: Option<oneshot::Sender<Result<(), QueueError>>>,
    body_bytes: usize,
    _place: OwnedSemaphorePermit,
}

impl Confirms {
    fn new(channel: Channel) -> Self {
        Self {
            channel,
            last: 0,
            outstanding: BTreeMap::new(),
            untold: Vec::new(),
            refused: HashMap::new(),
            woken: Arc::default(),
        }
    }

    /// Sends a message on its way, behind all that were sent before.
    fn publish(&mut self, job: Job) -> Result<(), Failure> {
        let Job {
            target,
            message,
            answer,
            place,
        } = job;
        self.last += 1;
        let wake = WakeOne {
            number: self.last,
            woken: Arc::clone(&self.woken),
        };
        let outstanding = Outstanding {
            since: Instant::now(),
            target: target.clone(),
            body_bytes: message.body.len(),
            confirm: Box::pin(confirmation(self.channel.clone(), target, message)),
            waker: Waker::from(Arc::new(wake)),
            answer: Some(answer),
            _place: place,
        };
        self.outstanding.insert(self.last, outstanding);
        // The first poll puts it into line. When lapin's thread is faster than this one, it even brings the confirm.
        self.poll(self.last)?;
        if !self.untold.is_empty() {
            self.woken.news.notify_one();
        }
        Ok(())
    }

    /// Since when the oldest message is on its way.
    fn oldest(&self) -> Option<Instant> {
        self.outstanding
            .values()
            .next()
            .map(|outstanding| outstanding.since)
    }

    /// Waits until the broker has spoken, and tells the publishers. Fails when the generation is over.
    async fn settled(&mut self) -> Result<(), Failure> {
        self.woken.news.notified().await;
        self.collect()?;
        while !self.untold.is_empty() {
            let certain = self.untold.len();
            // Lapin holds a lock while it confirms many at once, and this waits for that lock. So afterwards the whole
            // of what was confirmed together can be collected, and with it any message that came back.
            drop(self.channel.wait_for_confirms().now_or_never());
            self.collect()?;
            for (mut outstanding, confirmed) in self.untold.drain(..certain) {
                let result = if confirmed {
                    Ok(())
                } else {
                    Err(QueueError::unavailable(Failure::refused(&outstanding.target)))
                };
                outstanding.tell(result);
            }
        }
        Ok(())
    }

    /// Looks at all of which something was heard.
    fn collect(&mut self) -> Result<(), Failure> {
        let woken = self.woken.take();
        woken.into_iter().try_for_each(|number| self.poll(number))
    }

    fn poll(&mut self, number: u64) -> Result<(), Failure> {
        let Some(outstanding) = self.outstanding.get_mut(&number) else {
            return Ok(());
        };
        let mut context = Context::from_waker(&outstanding.waker);
        let Poll::Ready(result) = outstanding.confirm.as_mut().poll(&mut context) else {
            return Ok(());
        };
        let Some(settled) = self.outstanding.remove(&number) else {
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

    /// Tells everybody, but lets the messages keep their places: they may still be confirmed.
    fn fail_all(&mut self, failure: &Failure) {
        let too_large = size_refused(failure);
        let untold = self.untold.iter_mut().map(|(outstanding, _)| outstanding);
        for outstanding in untold.chain(self.outstanding.values_mut()) {
            let error = match too_large {
                Some(size) if size == outstanding.body_bytes => QueueError::TooLarge { size },
                _ => QueueError::unavailable(failure.clone()),
            };
            outstanding.tell(Err(error));
        }
    }
}

impl Outstanding {
    fn tell(&mut self, result: Result<(), QueueError>) {
        if let Some(answer) = self.answer.take() {
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        }
    }
}

/// The messages of which something was heard.
#[derive(Default)]
struct Woken {
    numbers: Mutex<Vec<u64>>,
    news: Notify,
}

impl Woken {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct WakeOne {
    number: u64,
    woken: Arc<Woken>,
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        let mut numbers = self.woken.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(self.number);
        drop(numbers);
        self.woken.news.notify_one();
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
