//! The spool: what the broker does not confirm in time is kept on this machine's disk, and sent on later.
//!
//! While the broker is trusted, messages go to it, and only one that is not confirmed within the patience goes to the
//! spool. With that one the trust ends: whatever comes goes to the spool at once, until the broker has confirmed
//! something of the spool. Then it is trusted again with few messages at a time, and with all when the spool is empty.
//! So nobody waits for a broker that is away, and one that is slow is not flooded with what the spool holds already.
//!
//! A spool is a folder with a number, owned by one process at a time ([`slot`]). What a process that died has left is
//! sent on by the next one that takes its folder, or by any other that finds it.

mod slot;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::slot::Slot;
use crate::embedded::{Kept, Size};
use crate::error::QueueError;
use crate::message::{Message, QueueName};
use crate::{Pauses, Queue, Readiness};

/// So many messages of a spool are on their way to the broker at a time.
const BATCH: usize = 64;
/// So many others may be, as long as the spool is not empty.
const BESIDE: usize = 32;
/// While the broker does not confirm.
const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(2),
};
/// How long broker and disk may take to answer whether they are well. Whoever asks does not wait for long.
const ANSWERING: Duration = Duration::from_secs(1);
/// How long another connection may take when the broker has ended one for a message that was too large.
const CONNECTING_AGAIN: Duration = Duration::from_secs(10);
/// How often to look for spools whose owner is gone.
const LOOK_FOR_ORPHANS: Duration = Duration::from_secs(30);

/// What may be chosen about a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Where spools are; each is a folder in it, named by a number.
    pub folder: PathBuf,
    /// How many bytes the bodies in the spool may have together.
    pub max_bytes: u64,
    /// How long the broker may take to confirm a message before it goes to the spool.
    pub patience: Duration,
}

impl SpoolOptions {
    /// 1 GiB, and 300 ms for a confirm.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            max_bytes: 1024 * 1024 * 1024,
            patience: Duration::from_millis(300),
        }
    }
}

/// A spool that lies on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolState {
    /// The name of its folder.
    pub number: u32,
    /// A running process owns it, and sends on what is in it by itself.
    pub is_owned: bool,
    /// How many messages wait in it.
    pub messages: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
}

/// A handle on the spool of this process; the task that sends on ends with the last of them.
#[derive(Clone)]
pub(crate) struct Spool {
    shared: Arc<Shared>,
    _sending_on: Arc<DropGuard>,
}

struct Shared {
    /// Without a spool.
    broker: Queue,
    slot: Slot,
    options: SpoolOptions,
    trust: watch::Sender<Trust>,
    beside: Semaphore,
    /// There is something to send on.
    kept: Notify,
}

/// How far the broker is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Full,
    /// It confirms again, but the spool is not empty yet.
    Regained,
    None,
}

impl Spool {
    /// Takes a spool and starts to send on what is in it.
    pub(crate) async fn open(broker: Queue, options: SpoolOptions) -> Result<Self, QueueError> {
        let slot = Slot::first_free(&options.folder, options.max_bytes, broker.metrics.clone()).await?;
        let is_empty = slot.size().messages == 0;
        let shared = Arc::new(Shared {
            broker,
            slot,
            options,
            trust: watch::Sender::new(if is_empty { Trust::Full } else { Trust::Regained }),
            beside: Semaphore::new(BESIDE),
            kept: Notify::new(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&shared).send_on_until(stop.clone()));
        Ok(Self {
            shared,
            _sending_on: Arc::new(stop.drop_guard()),
        })
    }

    /// `Ok` when all of them are durable, at the broker or here.
    pub(crate) async fn publish(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        self.shared.publish(queue, messages).await
    }

    pub(crate) async fn readiness(&self) -> Result<Readiness, QueueError> {
        self.shared.readiness().await
    }
}

impl Shared {
    async fn publish(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let trust = *self.trust.borrow();
        let place = self.beside.try_acquire().ok();
        let asks_broker = trust == Trust::Full || (trust == Trust::Regained && place.is_some());
        if asks_broker {
            match self.ask_broker(queue, messages.clone()).await {
                Ok(()) => return Ok(()),
                // It stays here, until the broker takes larger ones.
                Err(QueueError::TooLarge { .. }) => {}
                Err(error) => self.end_trust(&error),
            }
        }
        drop(place);
        match self.slot.keep(queue, messages.clone()).await {
            Ok(()) => {
                self.kept.notify_one();
                Ok(())
            }
            Err(error) if asks_broker => Err(error),
            // The last resort, for few: what many ask of a broker that is too slow arrives after all, but too late to be
            // accepted.
            Err(error) => {
                let _place = self.beside.try_acquire().map_err(|_| error.clone())?;
                self.ask_broker(queue, messages).await.map_err(|_| error)?;
                self.trust_again();
                Ok(())
            }
        }
    }

    async fn ask_broker(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let published = self.broker.publish_without_spool(queue, messages);
        timeout(self.options.patience, published)
            .await
            .unwrap_or_else(|overdue| Err(QueueError::unavailable(overdue)))
    }

    fn end_trust(&self, error: &QueueError) {
        if self.trust.send_replace(Trust::None) != Trust::None {
            self.broker.metrics.spooling(true);
            tracing::error!(
                error = error as &dyn Error,
                "the broker does not confirm: what comes is kept in the spool, and sent on when it does"
            );
        }
    }

    /// The broker has confirmed something.
    fn trust_again(&self) {
        let regain = |trust: &mut Trust| {
            let is_regained = *trust == Trust::None;
            if is_regained {
                *trust = Trust::Regained;
            }
            is_regained
        };
        if self.trust.send_if_modified(regain) {
            self.broker.metrics.spooling(false);
            self.kept.notify_one();
            tracing::info!(
                messages = self.slot.size().messages,
                "the broker confirms again: sending on the spool"
            );
        }
    }

    /// The spool is empty.
    fn trust_fully(&self) {
        let complete = |trust: &mut Trust| {
            let is_complete = *trust == Trust::Regained;
            if is_complete {
                *trust = Trust::Full;
            }
            is_complete
        };
        if self.trust.send_if_modified(complete) {
            tracing::info!("the spool is empty");
        }
    }

    /// Sends on what is in the spool whenever there is something, and what others have left.
    async fn send_on_until(self: Arc<Self>, stop: CancellationToken) {
        let mut look_for_orphans = interval(LOOK_FOR_ORPHANS);
        self.kept.notify_one();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.kept.notified() => self.send_on_all(&stop).await,
                // Given up when something comes in, which goes first: looked at again at the next turn.
                () = async {
                    look_for_orphans.tick().await;
                    self.send_on_orphans().await;
                } => {}
            }
        }
    }

    /// Tries until the spool is empty.
    async fn send_on_all(&self, stop: &CancellationToken) {
        let mut pause = PAUSES.first;
        loop {
            let sent_on = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                sent_on = send_on(&self.slot, &self.broker, |_| self.trust_again()) => sent_on,
            };
            match sent_on {
                Ok(()) => return self.trust_fully(),
                Err(error) => tracing::debug!(error = &error as &dyn Error, "cannot send on the spool yet"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => pause = (pause * 2).min(PAUSES.longest),
            }
        }
    }

    /// Sends on what is in spools that nobody owns. What cannot be sent on now is looked at again later.
    async fn send_on_orphans(&self) {
        if *self.trust.borrow() != Trust::Full {
            return;
        }
        let folder = &self.options.folder;
        let orphans = match slot::numbers(folder) {
            Ok(numbers) => numbers.into_iter().filter(|number| *number != self.slot.number()),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn Error,
                    "cannot look for spools that nobody owns"
                );
                return;
            }
        };
        for number in orphans {
            match send_on_orphan(&self.broker, folder, number, |_| {}).await {
                Ok(Some(0) | None) => {}
                Ok(Some(messages)) => {
                    tracing::info!(
                        spool = number,
                        messages,
                        "sent on what a process that is gone had kept"
                    );
                }
                Err(error) => tracing::error!(
                    spool = number,
                    error = &error as &dyn Error,
                    "cannot send on a spool that nobody owns"
                ),
            }
        }
    }

    async fn readiness(&self) -> Result<Readiness, QueueError> {
        let (broker, spool) = tokio::join!(
            timeout(ANSWERING, self.broker.depths()),
            timeout(ANSWERING, self.slot.probe()),
        );
        let broker = broker.unwrap_or_else(|overdue| Err(QueueError::unavailable(overdue)));
        let spool = spool.unwrap_or_else(|overdue| Err(QueueError::unavailable(overdue)));
        let Size { messages, bytes } = self.slot.size();
        match (broker, spool) {
            (Ok(_), Ok(())) if *self.trust.borrow() == Trust::Full => Ok(Readiness::Ready),
            (Ok(_), Ok(())) => Ok(Readiness::Degraded(format!(
                "{messages} messages in the spool are being sent on"
            ))),
            (Ok(_), Err(spool)) => Ok(Readiness::Degraded(format!(
                "the spool takes nothing, so that an outage of the broker would cost calls: {}",
                explained(&spool)
            ))),
            (Err(broker), Ok(())) => Ok(Readiness::Degraded(format!(
                "webhooks are kept in the spool ({messages} messages, {bytes} of {} bytes): {}",
                self.options.max_bytes,
                explained(&broker)
            ))),
            (Err(_), Err(spool)) => Err(spool),
        }
    }
}

/// The spools in a folder.
///
/// Fails when one of them cannot be read.
pub async fn spools(folder: &Path) -> Result<Vec<SpoolState>, QueueError> {
    let mut spools = Vec::new();
    for number in slot::numbers(folder)? {
        let Size { messages, bytes } = slot::size_of(folder, number).await?;
        spools.push(SpoolState {
            number,
            is_owned: slot::is_owned(folder, number)?,
            messages,
            bytes,
        });
    }
    Ok(spools)
}

/// Sends on what is in a spool and says how many messages; `None` if somebody owns it.
pub(crate) async fn send_on_orphan(
    broker: &Queue,
    folder: &Path,
    number: u32,
    mut sent: impl FnMut(usize),
) -> Result<Option<u64>, QueueError> {
    let Some(slot) = Slot::take(folder, number, u64::MAX, broker.metrics.clone()).await? else {
        return Ok(None);
    };
    let mut count = 0;
    send_on(&slot, broker, |messages| {
        count += messages as u64;
        sent(messages);
    })
    .await?;
    Ok(Some(count))
}

/// Sends on what is in a spool, oldest first, and tells of each batch that has arrived. What is too large for the broker
/// stays, and does not hold up the rest. The broker ends the connection on which it finds such a message, with all that
/// is on its way there: so the rest is tried again until there is another one.
async fn send_on(slot: &Slot, broker: &Queue, mut sent: impl FnMut(usize)) -> Result<(), QueueError> {
    let mut after = 0;
    let mut connecting_until = None;
    loop {
        let mut batch = slot.oldest(after, BATCH).await?;
        let Some(last) = batch.last().map(|kept| kept.id) else {
            return Ok(());
        };
        batch.retain(|kept| !slot.is_set_aside(kept.id));
        if batch.is_empty() {
            after = last;
            continue;
        }
        match send(&batch, broker).await {
            Ok(()) => {
                remove(slot, &batch).await?;
                sent(batch.len());
                (after, connecting_until) = (last, None);
            }
            Err(QueueError::TooLarge { size }) if slot.set_aside(&batch, size) => {
                connecting_until = Some(Instant::now() + CONNECTING_AGAIN);
            }
            Err(_) if connecting_until.is_some_and(|until| Instant::now() < until) => {
                sleep(PAUSES.first).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Publishes them at once, those of each queue in their order.
async fn send(batch: &[Kept], broker: &Queue) -> Result<(), QueueError> {
    let of = |queue| {
        let kept = batch.iter().filter(move |kept| kept.queue == queue);
        kept.map(|kept| kept.message.clone()).collect::<Vec<_>>()
    };
    let queues = QueueName::ALL.map(|queue| (queue, of(queue)));
    let published = queues
        .into_iter()
        .filter(|(_, messages)| !messages.is_empty())
        .map(|(queue, messages)| broker.publish_without_spool(queue, messages));
    QueueError::of_all(join_all(published).await)
}

async fn remove(slot: &Slot, batch: &[Kept]) -> Result<(), QueueError> {
    let bytes = batch.iter().map(|kept| kept.message.body.len() as u64).sum();
    slot.remove(batch.iter().map(|kept| kept.id).collect(), bytes)
        .await
}

/// An error with its causes, in one line.
fn explained(error: &QueueError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
