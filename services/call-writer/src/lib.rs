//! Call events in; records, rows and alerts out. Also moves dead letters to where people look at them.
//!
//! Three queues bring calls, each with workers of its own, so that a ring never waits for bulk work: see [`events`].
//! [`dead_letters`] empties the queue `dead` into its table; [`crm_contacts`] mirrors the CRM's people from a view over
//! its own tables; [`outbox`] publishes the alerts that a crash left behind; [`amendments`] tells the names that rings
//! could not wait for; [`retention`] takes away what is kept no longer.

mod amendments;
mod crm_contacts;
mod dead_letters;
mod events;
mod metrics;
mod outbox;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use calls::{MatchRules, Retention};
use queue::{Pauses, Queue, QueueName, Worker};
use runtime::{CancellationToken, Condition, Health};
use store::Store;
use tokio::task::{JoinError, JoinSet};

pub use crm_contacts::CrmContacts;
use dead_letters::DeadLetters;
use events::Events;
use metrics::Metrics;
use outbox::Outbox;

/// How many events a transaction takes at most. Rings are few and in a hurry; a batch of the others must be short
/// enough for a ring to wait for.
const MAX_RINGS: usize = 16;
const MAX_EVENTS: usize = 64;
const MAX_DEAD_LETTERS: usize = 64;

/// How many batches of a queue are under way at a time, where there are many: one is read and worked out while the
/// database is busy with the other.
const BATCHES_AT_A_TIME: usize = 2;

/// Batches of what is in no hurry are gathered for so long when they would be small: a transaction costs about as much as
/// ten more events in it, and takes that from the rings.
const GATHERED_FOR: Duration = Duration::from_millis(50);

/// What the service is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How calls are matched with the CRM's people.
    pub rules: MatchRules,
    /// How the CRM's people are mirrored from the view `crm_contacts`, if there is one.
    pub crm_contacts: CrmContacts,
    /// How long parts of calls are kept.
    pub retention: Retention,
    /// How long to wait when the database is away.
    pub pauses: Pauses,
}

/// The service, ready to run.
pub struct CallWriter {
    settings: Settings,
    queue: Queue,
    store: Store,
    metrics: Metrics,
}

impl CallWriter {
    /// Registers the service's metrics and its checks: that queue and database answer.
    pub fn new(settings: Settings, queue: Queue, store: Store, health: &mut Health) -> Self {
        let metrics = Metrics::register(health.registry());
        let database = store.clone();
        health.check("database", move || {
            let store = database.clone();
            async move {
                let answer = store.ping().await;
                answer
                    .map(|()| Condition::Ready)
                    .map_err(|error| error.to_string())
            }
        });
        Self {
            store: store.keeping(settings.retention),
            settings,
            queue,
            metrics,
        }
    }

    /// Works until `shutdown`; then finishes the batches under way. Fails when one of its tasks panics.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), JoinError> {
        let Self {
            settings,
            queue,
            store,
            metrics,
        } = self;
        let rules = Arc::new(settings.rules);
        let mut tasks = JoinSet::new();
        let batches = [
            (QueueName::Progress, MAX_RINGS, 1, Duration::ZERO),
            (QueueName::Live, MAX_EVENTS, BATCHES_AT_A_TIME, GATHERED_FOR),
            (QueueName::Backfill, MAX_EVENTS, BATCHES_AT_A_TIME, GATHERED_FOR),
        ];
        for (name, max_batch, at_a_time, interval) in batches {
            for _ in 0..at_a_time {
                // One for each, so that what rings raise does not wait behind what bulk work does.
                let (outbox, emptying) = Outbox::new(store.clone(), queue.clone());
                tasks.spawn(emptying);
                let rules = Arc::clone(&rules);
                let events = Events::new(name, store.clone(), outbox, rules, metrics.clone());
                let worker =
                    Worker::new(queue.clone(), name, max_batch, settings.pauses).with_interval(interval);
                tasks.spawn(worker.run(events, shutdown.clone()));
            }
        }
        let worker = Worker::new(queue.clone(), QueueName::Dead, MAX_DEAD_LETTERS, settings.pauses);
        tasks.spawn(worker.run(DeadLetters::new(store.clone()), shutdown.clone()));
        let people = crm_contacts::mirror(
            store.clone(),
            settings.crm_contacts,
            Arc::clone(&rules),
            shutdown.clone(),
        );
        tasks.spawn(people);
        tasks.spawn(amendments::amend(
            store.clone(),
            queue.clone(),
            rules,
            shutdown.clone(),
        ));
        tasks.spawn(retention::keep(store.clone(), shutdown.clone()));
        tasks.spawn(metrics.keep_counting(store.clone(), shutdown.clone()));
        tasks.spawn(outbox::sweep(store, queue, shutdown));
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}
