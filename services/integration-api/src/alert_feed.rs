//! Reads alerts from their table for all who listen to this process: one reader, however many listeners.
//!
//! What is written at the same time need not become visible in order, so every reading goes back a while and drops
//! what it has seen. Every process reads for itself: no listener misses what another process wrote.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use runtime::CancellationToken;
use store::{RaisedAlert, Store, StoreError};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

/// How far every reading goes back.
pub(crate) const REPEATED: TimeDelta = TimeDelta::seconds(30);

/// How often the table is read while somebody listens.
const EVERY: Duration = Duration::from_millis(100);

/// How long the database is left in peace after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// How many alerts are read at a time, and at most.
const PAGE: u32 = 1_000;
const MAX_PAGE: u32 = 64_000;

/// How many alerts a listener may be behind.
const WAITING: usize = 4_096;

/// Tells alerts to all who listen.
pub(crate) struct AlertFeed {
    sender: broadcast::Sender<Arc<RaisedAlert>>,
    wanted: Arc<Notify>,
}

impl AlertFeed {
    /// Starts to read, until `shutdown`; only while somebody listens.
    pub(crate) fn start(store: Store, shutdown: CancellationToken) -> Self {
        let (sender, _) = broadcast::channel(WAITING);
        let wanted = Arc::new(Notify::new());
        let reader = read(store, sender.clone(), Arc::clone(&wanted));
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = reader => {}
            }
        });
        Self { sender, wanted }
    }

    /// Listens. An alert may come that the listener knows from the table already.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<RaisedAlert>> {
        let receiver = self.sender.subscribe();
        self.wanted.notify_one();
        receiver
    }
}

async fn read(store: Store, sender: broadcast::Sender<Arc<RaisedAlert>>, wanted: Arc<Notify>) {
    let mut seen: HashMap<Uuid, DateTime<Utc>> = HashMap::new();
    let mut newest = Utc::now();
    loop {
        if sender.receiver_count() == 0 {
            wanted.notified().await;
            seen.clear();
            newest = Utc::now();
        }
        match raised_since(&store, newest - REPEATED, newest).await {
            Ok(alerts) => {
                for alert in alerts {
                    // Never past our own clock: behind one that is ahead, those of all others would be missed.
                    newest = newest.max(alert.raised_at.min(Utc::now()));
                    if seen.insert(alert.outgoing.alert.id, alert.raised_at).is_none() {
                        // Nobody listens any more: noticed above.
                        let _ = sender.send(Arc::new(alert));
                    }
                }
                seen.retain(|_, raised_at| *raised_at >= newest - REPEATED);
                tokio::time::sleep(EVERY).await;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot read the alerts: those who listen wait"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Alerts raised since a time, oldest first: as many as needed to come past `known`, up to which they were read
/// before.
pub(crate) async fn raised_since(
    store: &Store,
    since: DateTime<Utc>,
    known: DateTime<Utc>,
) -> Result<Vec<RaisedAlert>, StoreError> {
    let mut limit = PAGE;
    loop {
        let alerts = store.alerts_since(since, limit).await?;
        let is_past = alerts.last().is_none_or(|last| last.raised_at > known);
        if is_past || alerts.len() < limit as usize || limit >= MAX_PAGE {
            return Ok(alerts);
        }
        limit *= 4;
    }
}
