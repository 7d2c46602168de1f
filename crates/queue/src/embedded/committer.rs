//! The thread that owns the queue file: takes all commands that wait, commits their writes at once, answers, and
//! serves the consumers.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::Utc;
use diesel::QueryResult;

use super::command::{Command, ConsumerId, Fetch, Reply, Settlement, Write, answer};
use super::database::{Database, Transaction};
use super::file;
use super::outstanding::Outstanding;
use crate::error::QueueError;
use crate::message::{Delivery, QueueName, Tag};

/// What one transaction takes at most; the rest waits for the next.
const ROUND_COMMANDS: usize = 1024;
const ROUND_BYTES: usize = 16 * 1024 * 1024;
/// A batch is cut when its bodies have this many bytes.
const BATCH_BYTES: i64 = 32 * 1024 * 1024;
/// How often to look whether another process has written, while a consumer waits.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// How many delayed messages return to their queues in one transaction.
const DUE_AT_ONCE: i32 = 256;

/// The state of the thread.
pub(super) struct Committer {
    path: PathBuf,
    database: Database,
    queues: HashMap<QueueName, Consumed>,
    waiting: Vec<Fetch>,
    last_number: u64,
    data_version: i64,
    /// Milliseconds since 1970, as all times here.
    next_due_at: Option<i64>,
    longest_rest: i64,
}

/// A queue as far as it is consumed here.
#[derive(Default)]
struct Consumed {
    outstanding: Outstanding,
    /// Alive while there are consumers.
    lock: Weak<File>,
}

impl Committer {
    /// `longest_rest`: no message is delayed longer.
    pub(super) fn open(path: &Path, longest_rest: Duration) -> Result<Self, QueueError> {
        let cannot_open = |error| QueueError::CannotOpen {
            path: path.to_owned(),
            source: Arc::new(error),
        };
        let path = std::path::absolute(path).map_err(cannot_open)?;
        Ok(Self {
            database: Database::open(&path)?,
            path,
            queues: HashMap::new(),
            waiting: Vec::new(),
            last_number: 0,
            // No file has this one: the first look finds a change.
            data_version: -1,
            next_due_at: None,
            longest_rest: milliseconds(longest_rest),
        })
    }

    /// Works until the last handle is dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let first = match self.patience() {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => commands.recv_timeout(patience),
            };
            match first {
                Ok(first) => self.carry_out(first, commands),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.serve();
        }
    }

    /// How long to wait for a command; None for ever.
    fn patience(&self) -> Option<Duration> {
        if self.waiting.is_empty() {
            return None;
        }
        let until_due = self
            .next_due_at
            .map_or(i64::MAX, |due_at| due_at.saturating_sub(now()));
        Some(LOOK_AROUND.min(Duration::from_millis(u64::try_from(until_due).unwrap_or(0))))
    }

    /// Carries out this command and those that wait behind it: the writes together, then the others in order.
    fn carry_out(&mut self, first: Command, commands: &Receiver<Command>) {
        let mut writes = Vec::new();
        let mut others = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Write(write, reply) => {
                    bytes += write.bytes();
                    writes.push((write, reply));
                }
                other => others.push(other),
            }
            let is_full = writes.len() + others.len() >= ROUND_COMMANDS || bytes >= ROUND_BYTES;
            next = if is_full { None } else { commands.try_recv().ok() };
        }
        self.commit(writes);
        for command in others {
            self.carry_out_one(command);
        }
    }

    fn carry_out_one(&mut self, command: Command) {
        match command {
            Command::Write(write, reply) => self.commit(vec![(write, reply)]),
            Command::Consume(queue, reply) => answer(reply, self.begin_to_consume(queue)),
            Command::Fetch(fetch) => {
                // A consumer asks for one batch at a time; nobody waits for an older question.
                self.waiting.retain(|waiting| waiting.consumer != fetch.consumer);
                self.waiting.push(fetch);
            }
            Command::GiveBack(consumer, ids, reply) => {
                let outstanding = self.outstanding(consumer.queue);
                if outstanding.holds_all(consumer.number, &ids) {
                    outstanding.give_back(consumer.number, &ids);
                    answer(reply, Ok(()));
                } else {
                    answer(reply, Err(QueueError::NotHeld));
                }
            }
            Command::Untaken(consumer, ids) => {
                self.outstanding(consumer.queue).give_back(consumer.number, &ids);
            }
            Command::Leave(consumer) => {
                self.waiting.retain(|waiting| waiting.consumer != consumer);
                self.outstanding(consumer.queue).give_back_all(consumer.number);
            }
            Command::Depths(reply) => answer(reply, self.database.depths().map_err(QueueError::unavailable)),
            Command::Oldest(after, max, reply) => {
                let oldest = self.database.oldest(after, max, BATCH_BYTES);
                answer(reply, oldest.map_err(QueueError::unavailable));
            }
            Command::Size(reply) => answer(reply, self.database.size().map_err(QueueError::unavailable)),
        }
    }

    fn begin_to_consume(&mut self, queue: QueueName) -> Result<(ConsumerId, Arc<File>), QueueError> {
        let shared = self
            .queues
            .get(&queue)
            .and_then(|consumed| consumed.lock.upgrade());
        let lock = if let Some(lock) = shared {
            lock
        } else {
            let lock = Arc::new(file::lock(&self.path, queue)?);
            // While nobody here held the lock, another process may have held any of the messages, and left them.
            let outstanding = Outstanding::default();
            self.queues.insert(
                queue,
                Consumed {
                    outstanding,
                    lock: Arc::downgrade(&lock),
                },
            );
            lock
        };
        self.last_number += 1;
        let number = self.last_number;
        Ok((ConsumerId { queue, number }, lock))
    }

    fn commit(&mut self, mut writes: Vec<(Write, Reply<()>)>) {
        for (_, reply) in writes.extract_if(.., |(write, _)| !self.may_be_done(write)) {
            answer(reply, Err(QueueError::NotHeld));
        }
        if writes.is_empty() {
            return;
        }
        let now = now();
        let done = self.database.write(|transaction| {
            let all = writes.iter().map(|(write, _)| write);
            write_all(transaction, all, now)
        });
        match done {
            Ok(()) => {
                for (write, reply) in writes {
                    self.note_success(&write, now);
                    answer(reply, Ok(()));
                }
            }
            Err(error) => {
                let error = QueueError::unavailable(error);
                for (write, reply) in writes {
                    self.note_failure(&write);
                    answer(reply, Err(error.clone()));
                }
            }
        }
    }

    fn may_be_done(&mut self, write: &Write) -> bool {
        match write {
            Write::Publish { .. } | Write::Remove(_) | Write::Probe => true,
            Write::Settle(consumer, ids, _) => {
                self.outstanding(consumer.queue).holds_all(consumer.number, ids)
            }
        }
    }

    fn note_success(&mut self, write: &Write, now: i64) {
        match write {
            Write::Publish { queue, .. } => self.outstanding(*queue).note_arrival(),
            Write::Remove(_) | Write::Probe => {}
            Write::Settle(consumer, ids, settlement) => {
                self.outstanding(consumer.queue).forget(ids);
                match settlement {
                    Settlement::Acknowledge => {}
                    Settlement::Delay(_, after) => {
                        let due_at = now.saturating_add(milliseconds(*after));
                        self.next_due_at = Some(self.next_due_at.map_or(due_at, |next| next.min(due_at)));
                    }
                    Settlement::Bury(_) => self.outstanding(QueueName::Dead).note_arrival(),
                }
            }
        }
    }

    fn note_failure(&mut self, write: &Write) {
        match write {
            Write::Publish { .. }
            | Write::Remove(_)
            | Write::Probe
            | Write::Settle(_, _, Settlement::Acknowledge) => {}
            // The caller has parted with the delivery and could not give it back.
            Write::Settle(consumer, ids, Settlement::Delay(..) | Settlement::Bury(..)) => {
                self.outstanding(consumer.queue).give_back(consumer.number, ids);
            }
        }
    }

    /// Answers the waiting consumers for whom there is something.
    fn serve(&mut self) {
        self.waiting.retain(|fetch| !fetch.reply.is_closed());
        if self.waiting.is_empty() {
            return;
        }
        let looked = self.look_around().map_err(QueueError::unavailable);
        for fetch in std::mem::take(&mut self.waiting) {
            let batch = match &looked {
                Ok(()) => self
                    .read(fetch.consumer, fetch.max)
                    .map_err(QueueError::unavailable),
                Err(error) => Err(error.clone()),
            };
            match batch {
                Ok(deliveries) if deliveries.is_empty() => self.waiting.push(fetch),
                result => fetch.answer(result),
            }
        }
    }

    /// Notices what other processes wrote and what has become due.
    fn look_around(&mut self) -> QueryResult<()> {
        let data_version = self.database.data_version()?;
        if data_version != self.data_version {
            self.next_due_at = self.database.next_due_at()?;
            self.note_arrivals();
            self.data_version = data_version;
        }
        let now = now();
        let horizon = now.saturating_add(self.longest_rest);
        if self
            .next_due_at
            .is_some_and(|due_at| due_at <= now || due_at > horizon)
        {
            self.database
                .write(|transaction| transaction.return_due(now, horizon, DUE_AT_ONCE))?;
            self.note_arrivals();
            self.next_due_at = self.database.next_due_at()?;
        }
        Ok(())
    }

    fn note_arrivals(&mut self) {
        for consumed in self.queues.values_mut() {
            consumed.outstanding.note_arrival();
        }
    }

    /// Reads a batch and notes that it is held; empty if there is nothing.
    fn read(&mut self, consumer: ConsumerId, max: usize) -> QueryResult<Vec<Delivery>> {
        let outstanding = &mut self.queues.entry(consumer.queue).or_default().outstanding;
        if outstanding.is_exhausted() {
            return Ok(Vec::new());
        }
        let mut room = BATCH_BYTES;
        let again = outstanding.first_given_back(max);
        let mut read = match again.as_slice() {
            [] => Vec::new(),
            ids => self.database.read_these(ids, &mut room)?,
        };
        if room > 0 {
            let missing = max - read.len();
            let found = self
                .database
                .read_after(consumer.queue, outstanding.cursor(), missing, &mut room)?;
            if found.len() < missing && room > 0 {
                outstanding.note_end();
            }
            read.extend(found);
            // There was room for all of them: those that were not read are no more.
            outstanding.forget(&again);
        }
        let deliver = |(id, message)| {
            outstanding.hold(consumer.number, id);
            let tag = Tag {
                consumer: consumer.number,
                generation: 0,
                id,
                returned: 0,
            };
            Delivery::new(message, tag)
        };
        Ok(read.into_iter().map(deliver).collect())
    }

    fn outstanding(&mut self, queue: QueueName) -> &mut Outstanding {
        &mut self.queues.entry(queue).or_default().outstanding
    }
}

fn write_all<'a>(
    transaction: &mut Transaction<'_>,
    writes: impl Iterator<Item = &'a Write>,
    now: i64,
) -> QueryResult<()> {
    let mut done_with = Vec::new();
    for write in writes {
        match write {
            Write::Publish { queue, messages, .. } => {
                messages
                    .iter()
                    .try_for_each(|message| transaction.insert(*queue, message))?;
            }
            Write::Settle(_, ids, Settlement::Acknowledge) | Write::Remove(ids) => {
                done_with.extend_from_slice(ids);
            }
            Write::Probe => transaction.touch()?,
            Write::Settle(_, ids, Settlement::Delay(failures, after)) => {
                let due_at = now.saturating_add(milliseconds(*after));
                ids.iter()
                    .try_for_each(|id| transaction.delay(*id, due_at, failures))?;
            }
            Write::Settle(_, ids, Settlement::Bury(failures)) => {
                ids.iter()
                    .try_for_each(|id| transaction.transfer(*id, QueueName::Dead, failures))?;
            }
        }
    }
    if done_with.is_empty() {
        Ok(())
    } else {
        transaction.delete(&done_with)
    }
}

fn now() -> i64 {
    Utc::now().timestamp_millis()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
