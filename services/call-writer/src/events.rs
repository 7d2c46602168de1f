//! Works on call events: record, project, match and store in one transaction; then alert.

use std::sync::Arc;
use std::time::Instant;

use calls::{CallEvent, MatchRules, Origin};
use chrono::{DateTime, Utc};
use queue::{Delivery, Handler, Outside, QueueName, Verdict};
use store::Store;
use trace::{Kind, Span};

use crate::metrics::Metrics;
use crate::outbox::Outbox;

pub(crate) struct Events {
    /// Where they come from.
    name: QueueName,
    store: Store,
    outbox: Outbox,
    rules: Arc<MatchRules>,
    metrics: Metrics,
}

impl Events {
    pub(crate) fn new(
        name: QueueName,
        store: Store,
        outbox: Outbox,
        rules: Arc<MatchRules>,
        metrics: Metrics,
    ) -> Self {
        Self {
            name,
            store,
            outbox,
            rules,
            metrics,
        }
    }
}

impl Handler for Events {
    /// Applies events in one transaction. If the database refuses the batch, it is halved until the one event that
    /// is refused stands alone, and the others pass.
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        let mut verdicts = vec![Verdict::Done; deliveries.len()];
        let all = 0..deliveries.len();
        let mut parts = Vec::from([all]);
        while let Some(part) = parts.pop() {
            // Read anew for each attempt: that is rare, and copies for it would be made every time.
            let mut events = Vec::with_capacity(part.len());
            let mut spans: Vec<Span> = Vec::with_capacity(part.len());
            for index in part.clone() {
                match CallEvent::decode(&deliveries[index].message.body) {
                    Ok(event) => {
                        let mut span = deliveries[index].span.child(format_args!("store"), Kind::Client);
                        span.set_call(&event.call.call_sid);
                        span.set("store.events", part.len());
                        events.push(CallEvent {
                            trace: span.context(),
                            ..event
                        });
                        spans.push(span);
                    }
                    Err(error) => verdicts[index] = Verdict::Reject(reason(&error)),
                }
            }
            if events.is_empty() {
                continue;
            }
            let webhooks = events.iter().filter(|event| event.origin == Origin::Webhook);
            let received: Vec<DateTime<Utc>> = webhooks.map(|event| event.observed_at).collect();
            let (count, began) = (events.len(), Instant::now());
            match self.store.apply(events, &self.rules, Utc::now()).await {
                Ok(applied) => {
                    drop(spans);
                    let (took, now) = (began.elapsed(), Utc::now());
                    self.metrics
                        .applied(self.name, count, &received, &applied, took, now);
                    self.outbox.publish(applied.alerts).await;
                }
                Err(error) => {
                    spans.iter_mut().for_each(Span::fail);
                    if error.is_outside() {
                        return Err(Outside(Arc::new(error)));
                    }
                    if part.len() == 1 {
                        verdicts[part.start] = Verdict::Retry(reason(&error));
                    } else {
                        let middle = part.start + part.len() / 2;
                        parts.extend([middle..part.end, part.start..middle]);
                    }
                }
            }
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
