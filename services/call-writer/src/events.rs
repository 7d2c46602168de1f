//! Works on call events: record, project, match and store in one transaction; then alert.

use std::sync::Arc;
use std::time::Instant;

use calls::{CallEvent, MatchRules};
use chrono::Utc;
use queue::{Delivery, Handler, Outside, Queue, Verdict};
use store::Store;

use crate::metrics::Metrics;
use crate::outbox;

pub(crate) struct Events {
    store: Store,
    queue: Queue,
    rules: Arc<MatchRules>,
    metrics: Metrics,
}

impl Events {
    pub(crate) fn new(store: Store, queue: Queue, rules: Arc<MatchRules>, metrics: Metrics) -> Self {
        Self {
            store,
            queue,
            rules,
            metrics,
        }
    }

    /// Applies events in one transaction. If the database refuses the batch, it is halved until the one event that
    /// is refused stands alone, and the others pass.
    async fn apply(&self, events: &[(usize, CallEvent)], verdicts: &mut [Verdict]) -> Result<(), Outside> {
        let mut parts = vec![events];
        while let Some(part) = parts.pop() {
            let batch: Vec<CallEvent> = part.iter().map(|(_, event)| event.clone()).collect();
            let began = Instant::now();
            match self.store.apply(batch, &self.rules, Utc::now()).await {
                Ok(applied) => {
                    self.metrics
                        .applied(part.len(), applied.rows_written, began.elapsed());
                    outbox::publish(&self.store, &self.queue, applied.alerts).await;
                }
                Err(error) if error.is_outside() => return Err(Outside(Arc::new(error))),
                Err(error) => {
                    if let [(index, _)] = part {
                        verdicts[*index] = Verdict::Retry(reason(&error));
                    } else {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Handler for Events {
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        let mut verdicts = vec![Verdict::Done; deliveries.len()];
        let mut events = Vec::with_capacity(deliveries.len());
        for (index, delivery) in deliveries.iter().enumerate() {
            match CallEvent::decode(&delivery.message.body) {
                Ok(event) => events.push((index, event)),
                Err(error) => verdicts[index] = Verdict::Reject(reason(&error)),
            }
        }
        if !events.is_empty() {
            self.apply(&events, &mut verdicts).await?;
        }
        Ok(verdicts)
    }
}

/// An error with its cause, in one line.
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
