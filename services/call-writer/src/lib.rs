//! Call events in; records, rows and alerts out. Also moves dead letters to where people look at them.
//!
//! Three queues bring calls, each with a worker of its own, so that a ring never waits for bulk work: see
//! [`events`]. [`dead_letters`] empties the queue `dead` into its table; [`outbox`] publishes the alerts that a
//! crash left behind.

mod dead_letters;
mod events;
mod metrics;
mod outbox;

use std::sync::Arc;

use calls::MatchRules;
use queue::{Pauses, Queue, QueueName, Worker};
use runtime::{CancellationToken, Health};
use store::Store;

use dead_letters::DeadLetters;
use events::Events;
use metrics::Metrics;

/// How many events a transaction takes at most. Rings are few and in a hurry; a batch of the others must be short
/// enough for a ring to wait for.
const MAX_RINGS: usize = 16;
const MAX_EVENTS: usize = 64;
const MAX_DEAD_LETTERS: usize = 64;

/// What the service is told.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How calls are matched with the CRM's people.
    pub rules: MatchRules,
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
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        Self {
            settings,
            queue,
            store,
            metrics,
        }
    }

    /// Works until `shutdown`; then finishes the batches under way.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            settings,
            queue,
            store,
            metrics,
        } = self;
        let rules = Arc::new(settings.rules);
        let events = || Events::new(store.clone(), queue.clone(), Arc::clone(&rules), metrics.clone());
        let worker = |name, max_batch| Worker::new(queue.clone(), name, max_batch, settings.pauses);
        tokio::join!(
            worker(QueueName::Progress, MAX_RINGS).run(events(), shutdown.clone()),
            worker(QueueName::Live, MAX_EVENTS).run(events(), shutdown.clone()),
            worker(QueueName::Backfill, MAX_EVENTS).run(events(), shutdown.clone()),
            worker(QueueName::Dead, MAX_DEAD_LETTERS).run(DeadLetters::new(store.clone()), shutdown.clone()),
            outbox::sweep(store.clone(), queue.clone(), shutdown.clone()),
        );
    }
}
