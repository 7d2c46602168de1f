//! From the bytes of a delivery to a durable message. Once a delivery is here, it goes its way to the end.

use actix_web::http::header::HeaderMap;
use callrail::{
    ALTERNATIVE_SIGNATURE_HEADER, CompanyId, SIGNATURE_HEADER, SignatureError, SigningKey, WebhookKind,
    parse_object,
};
use calls::{CallEvent, EventKind, Origin, Receipt, Unreadable, from_callrail, redact_text};
use chrono::{DateTime, Utc};
use queue::{Failures, Message, Queue, QueueError, QueueName};
use uuid::Uuid;

use crate::Settings;
use crate::metrics::{Metrics, Outcome};

/// Verifies, reads and publishes deliveries.
pub(crate) struct Acceptor {
    settings: Settings,
    queue: Queue,
    pub(crate) metrics: Metrics,
}

/// A delivery whose signature holds. Only [`Acceptor::verify`] makes one, so what is not signed cannot be published.
pub(crate) struct Verified<'a> {
    body: &'a [u8],
    key: &'a SigningKey,
}

/// What became of a delivery: either way it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is on its way into the database, under this event id.
    Published(Uuid),
    /// It is kept as a dead letter, since it is no call.
    Quarantined(Uuid),
}

/// Why a delivery was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAccepted {
    /// It does not come from CallRail, or the key is wrong.
    #[error("the signature does not hold")]
    Signature(#[from] SignatureError),
    /// It could not be made durable.
    #[error("the delivery could not be stored")]
    Queue(#[from] QueueError),
}

impl Acceptor {
    pub(crate) fn new(settings: Settings, queue: Queue, metrics: Metrics) -> Self {
        Self {
            settings,
            queue,
            metrics,
        }
    }

    /// Checks the signature over the raw bytes. A key that comes with the request is never looked at.
    pub(crate) fn verify<'a>(
        &'a self,
        headers: &HeaderMap,
        body: &'a [u8],
    ) -> Result<Verified<'a>, SignatureError> {
        let signatures = [SIGNATURE_HEADER, ALTERNATIVE_SIGNATURE_HEADER];
        let signatures = signatures.into_iter().flat_map(|name| headers.get_all(name));
        let key = self.settings.signing_keys.verify(signatures, body)?;
        Ok(Verified { body, key })
    }

    /// Makes a verified delivery durable: as an event when it can be read, as a quarantined body when not.
    pub(crate) async fn accept(
        &self,
        delivery: Verified<'_>,
        kind: Option<WebhookKind>,
        company_in_url: Option<CompanyId>,
        received_at: DateTime<Utc>,
    ) -> Result<Accepted, NotAccepted> {
        let event_id = Uuid::now_v7();
        let Some(kind) = kind.map(EventKind::from) else {
            return self
                .quarantine(
                    event_id,
                    delivery.body,
                    "the URL names no kind of call webhook",
                    received_at,
                )
                .await;
        };
        match self.read(&delivery, event_id, kind, received_at) {
            Ok(event) => {
                delivery.key.allows(event.company.as_ref())?;
                if company_in_url.is_some() && company_in_url != event.company {
                    tracing::warn!(
                        event.id = %event.event_id,
                        "a webhook came to another company's URL: the company in its signed body is taken"
                    );
                }
                self.publish(event).await
            }
            Err(unreadable) => {
                let reason = reason(&unreadable);
                self.quarantine(event_id, delivery.body, &reason, received_at)
                    .await
            }
        }
    }

    fn read(
        &self,
        delivery: &Verified<'_>,
        event_id: Uuid,
        kind: EventKind,
        observed_at: DateTime<Utc>,
    ) -> Result<CallEvent, Unreadable> {
        let company: Option<CompanyId> = delivery.key.company().cloned();
        let receipt = Receipt {
            event_id,
            kind,
            origin: Origin::Webhook,
            observed_at,
            import_id: None,
            company,
        };
        from_callrail(parse_object(delivery.body)?, receipt, self.settings.region)
    }

    /// Counts and logs a delivery that is not accepted.
    pub(crate) fn note_refusal(&self, error: &NotAccepted) {
        match error {
            NotAccepted::Signature(reason) => {
                self.metrics.count(Outcome::BadSignature);
                tracing::warn!(%reason, "refused a webhook whose signature does not hold");
            }
            NotAccepted::Queue(cause) => {
                self.metrics.count(Outcome::Unavailable);
                tracing::error!(
                    error = cause as &dyn std::error::Error,
                    "a signed webhook is lost unless CallRail's API is asked for it"
                );
            }
        }
    }

    async fn publish(&self, event: CallEvent) -> Result<Accepted, NotAccepted> {
        let queue = if event.kind.is_progress() {
            QueueName::Progress
        } else {
            QueueName::Live
        };
        self.queue
            .publish(queue, Message::new(event.event_id, event.encode()))
            .await?;
        self.metrics.count(Outcome::Accepted);
        tracing::debug!(
            event.id = %event.event_id,
            call.id = %event.call.call_sid,
            kind = event.kind.as_str(),
            "accepted a webhook"
        );
        Ok(Accepted::Published(event.event_id))
    }

    async fn quarantine(
        &self,
        id: Uuid,
        body: &[u8],
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Accepted, NotAccepted> {
        let redacted = redact_text(&String::from_utf8_lossy(body)).into_bytes();
        let failures = Failures {
            queue: QueueName::Live,
            reason: reason.to_owned(),
            attempts: 0,
            first_failed_at: now,
            last_failed_at: now,
        };
        let mut message = Message::new(id, redacted);
        message.failures = Some(failures);
        self.queue.publish(QueueName::Dead, message).await?;
        self.metrics.count(Outcome::Quarantined);
        tracing::warn!(event.id = %id, reason, "a signed webhook is no call that can be read: it is kept as a dead letter");
        Ok(Accepted::Quarantined(id))
    }
}

/// The whole chain of causes, in one line.
fn reason(error: &Unreadable) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    reason
}
