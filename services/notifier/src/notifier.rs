//! Takes alerts, publishes them, and says what became of each.

use std::sync::Arc;
use std::time::Instant;

use calls::alert::RING_IS_NEWS;
use calls::{AlertKind, OutgoingAlert};
use chrono::{DateTime, Utc};
use pusher::{Event, MAX_BATCH, Pusher, PusherError};
use queue::{Delivery, Handler, Outside, Pauses, Queue, QueueName, Verdict, Worker};
use runtime::CancellationToken;
use trace::{Kind, Span};

use crate::event::{Payload, events};
use crate::metrics::{Metrics, Outcome};

/// An alert becomes two events at most, so that many alerts are one request at most.
const ALERTS_PER_REQUEST: usize = MAX_BATCH / 2;

/// An alert with what it becomes, and its place among the deliveries.
struct Pushable {
    index: usize,
    outgoing: OutgoingAlert,
    events: Vec<Event>,
}

/// Publishes alerts. Any number of them may run on one queue, but the alerts of a call keep their order with
/// one only.
#[derive(Clone, Debug)]
pub struct Notifier {
    /// Where to. `None`: nowhere, alerts stand in their table only.
    pub pusher: Option<Pusher>,
    /// How much is told.
    pub payload: Payload,
    /// While Pusher or the queue cannot be reached.
    pub pauses: Pauses,
    /// The current time.
    pub clock: fn() -> DateTime<Utc>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Notifier {
    /// Works until `shutdown`; then the request under way is finished.
    ///
    /// While Pusher cannot be reached, is busy or refuses our key, alerts stay in the queue, however long; no
    /// attempt is counted. An alert that Pusher refuses goes up the retry ladder alone. One that is no alert
    /// is dead-lettered. Rings that are no news any more are dropped here: the table `alerts` has them.
    pub async fn run(self, queue: Queue, shutdown: CancellationToken) {
        Worker::new(queue, QueueName::Alerts, ALERTS_PER_REQUEST, self.pauses)
            .run(self, shutdown)
            .await;
    }

    /// Publishes alerts with one request; if Pusher refuses one of them, each with its own, to find out which.
    async fn publish(
        &self,
        pusher: &Pusher,
        alerts: &[Pushable],
        deliveries: &[Delivery],
        verdicts: &mut [Verdict],
    ) -> Result<(), Outside> {
        if self.request(pusher, alerts, deliveries).await?.is_ok() {
            let now = (self.clock)();
            for alert in alerts {
                self.metrics.pushed(&alert.outgoing, now);
            }
            return Ok(());
        }
        for alert in alerts {
            match self
                .request(pusher, std::slice::from_ref(alert), deliveries)
                .await?
            {
                Ok(()) => self.metrics.pushed(&alert.outgoing, (self.clock)()),
                Err(refusal) => {
                    self.metrics.count(Outcome::Refused, 1);
                    verdicts[alert.index] = Verdict::Retry(refusal.to_string());
                }
            }
        }
        Ok(())
    }

    /// One request; the inner error is Pusher's refusal of what is in it.
    async fn request(
        &self,
        pusher: &Pusher,
        alerts: &[Pushable],
        deliveries: &[Delivery],
    ) -> Result<Result<(), PusherError>, Outside> {
        let events: Vec<Event> = alerts.iter().flat_map(|alert| &alert.events).cloned().collect();
        let mut spans: Vec<Span> = alerts
            .iter()
            .map(|alert| {
                let told = &alert.outgoing.alert;
                let mut span = deliveries[alert.index]
                    .span
                    .child(format_args!("push"), Kind::Client);
                span.set("alert.kind", told.kind.as_str());
                span.set_call(&told.call_sid);
                span.set("push.events", events.len());
                span
            })
            .collect();
        let began = Instant::now();
        let answer = pusher.publish_batch(&events, (self.clock)()).await;
        self.metrics.answered_after(began.elapsed());
        if answer.is_err() {
            spans.iter_mut().for_each(Span::fail);
        }
        drop(spans);
        match answer {
            Err(error) if error.is_outside() => Err(Outside(Arc::new(error))),
            answer => Ok(answer),
        }
    }
}

impl Handler for Notifier {
    async fn handle(&self, deliveries: &[Delivery]) -> Result<Vec<Verdict>, Outside> {
        let now = (self.clock)();
        let mut verdicts = vec![Verdict::Done; deliveries.len()];
        let Some(pusher) = &self.pusher else {
            return Ok(verdicts);
        };
        let mut alerts = Vec::with_capacity(deliveries.len());
        for (index, delivery) in deliveries.iter().enumerate() {
            match OutgoingAlert::decode(&delivery.message.body) {
                Ok(outgoing) if is_news(&outgoing, now) => {
                    alerts.push(Pushable {
                        index,
                        events: events(&outgoing, self.payload),
                        outgoing,
                    });
                }
                Ok(_) => self.metrics.count(Outcome::NotPushed, 1),
                Err(error) => {
                    self.metrics.count(Outcome::Refused, 1);
                    verdicts[index] = Verdict::Reject(error.to_string());
                }
            }
        }
        self.publish(pusher, &alerts, deliveries, &mut verdicts).await?;
        Ok(verdicts)
    }
}

/// Whether an alert is worth interrupting for: after an outage, an old ring is not.
fn is_news(outgoing: &OutgoingAlert, now: DateTime<Utc>) -> bool {
    let alert = &outgoing.alert;
    let while_ringing = [
        AlertKind::IncomingCall,
        AlertKind::CallRouted,
        AlertKind::CallAnswered,
    ];
    outgoing.push && (!while_ringing.contains(&alert.kind) || now - alert.at <= RING_IS_NEWS)
}
