//! Moves dead letters from their queue into their table, where people list, show, replay and discard them.

use std::sync::Arc;

use calls::CallEvent;
use chrono::Utc;
use queue::{Delivery, Failures, Handler, Outside, QueueName, Verdict};
use store::{DeadLetter, Store};

pub(crate) struct DeadLetters {
    store: Store,
}

impl DeadLetters {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Handler for DeadLetters {
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        let letters = deliveries.iter().map(dead_letter).collect();
        match self.store.save_dead_letters(letters).await {
            Ok(()) => Ok(vec![Verdict::Done; deliveries.len()]),
            // There is nowhere else to put them, so they wait where they are.
            Err(error) => Err(Outside(Arc::new(error))),
        }
    }
}

fn dead_letter(delivery: &Delivery) -> DeadLetter {
    let message = &delivery.message;
    let event = CallEvent::decode(&message.body).ok();
    let failures = message
        .failures
        .clone()
        .unwrap_or_else(|| unexplained(Utc::now()));
    DeadLetter {
        id: message.id,
        queue: failures.queue.to_string(),
        reason: failures.reason,
        event_id: event.as_ref().map(|event| event.event_id),
        call_sid: event.as_ref().map(|event| event.call.call_sid.clone()),
        import_id: event.and_then(|event| event.import_id),
        attempts: failures.attempts,
        first_failed_at: failures.first_failed_at,
        last_failed_at: failures.last_failed_at,
        body: message.body.clone(),
    }
}

fn unexplained(now: chrono::DateTime<Utc>) -> Failures {
    Failures {
        queue: QueueName::Live,
        reason: "came without a reason".to_owned(),
        attempts: 0,
        first_failed_at: now,
        last_failed_at: now,
    }
}
