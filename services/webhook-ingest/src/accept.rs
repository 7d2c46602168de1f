//! From the bytes of a delivery to a durable message. Once a delivery is here, it goes its way to the end.

use actix_web::http::header::HeaderMap;
use callrail::{
    ALTERNATIVE_SIGNATURE_HEADER, CompanyId, SIGNATURE_HEADER, SignatureError, SigningKey, WebhookKind,
    parse_object,
};
use calls::{CallEvent, EventKind, Origin, QuarantinedDelivery, Receipt, Unreadable, from_callrail};
use chrono::{DateTime, Utc};
use queue::{Failures, Message, Queue, QueueError, QueueName};
use runtime::in_one_line;
use trace::{Span, TraceContext, Tracer};
use uuid::Uuid;

use crate::Settings;
use crate::metrics::{Metrics, Outcome};

/// Header: the trace that CallRail's delivery belongs to, if it says so.
const TRACE_HEADER: &str = "traceparent";

/// Verifies, reads and publishes deliveries.
pub(crate) struct Acceptor {
    settings: Settings,
    queue: Queue,
    tracer: Tracer,
    pub(crate) metrics: Metrics,
}

/// A delivery whose signature holds. Only [`Acceptor::verify`] makes one, so what is not signed cannot be published.
pub(crate) struct Verified<'a> {
    body: &'a [u8],
    key: &'a SigningKey,
    trace: Option<TraceContext>,
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
    pub(crate) fn new(settings: Settings, queue: Queue, tracer: Tracer, metrics: Metrics) -> Self {
        Self {
            settings,
            queue,
            tracer,
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
        let trace = self.tracer.is_on().then(|| trace_of(headers)).flatten();
        Ok(Verified { body, key, trace })
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
        let kind = kind.map(EventKind::from);
        let mut span = self
            .tracer
            .begin_trace(format_args!("webhook"), received_at, delivery.trace);
        span.set("event.id", event_id);
        span.set("webhook.kind", kind.map_or("unknown", EventKind::as_str));
        let accepted = self
            .accept_as(event_id, delivery, kind, company_in_url, received_at, &mut span)
            .await;
        match &accepted {
            Ok(Accepted::Published(_)) => span.set("webhook.outcome", "published"),
            Ok(Accepted::Quarantined(_)) => span.set("webhook.outcome", "quarantined"),
            Err(_) => span.fail(),
        }
        accepted
    }

    async fn accept_as(
        &self,
        event_id: Uuid,
        delivery: Verified<'_>,
        kind: Option<EventKind>,
        company_in_url: Option<CompanyId>,
        received_at: DateTime<Utc>,
        span: &mut Span,
    ) -> Result<Accepted, NotAccepted> {
        let unreadable = match self.read(&delivery, event_id, kind, received_at) {
            Ok(event) => {
                delivery.key.allows(event.company.as_ref())?;
                if company_in_url.is_some() && company_in_url != event.company {
                    tracing::warn!(
                        event.id = %event.event_id,
                        "a webhook came to another company's URL: the company in its signed body is taken"
                    );
                }
                span.set_call(&event.call.call_sid);
                return self.publish(event, span.context()).await;
            }
            Err(unreadable) => unreadable,
        };
        let company = delivery.key.company().cloned();
        let redaction = self.settings.reading.redaction;
        let kept = QuarantinedDelivery::new(kind, received_at, company, delivery.body, redaction);
        let reason = in_one_line(&unreadable);
        self.quarantine(event_id, &kept, reason, span.context()).await
    }

    fn read(
        &self,
        delivery: &Verified<'_>,
        event_id: Uuid,
        kind: Option<EventKind>,
        observed_at: DateTime<Utc>,
    ) -> Result<CallEvent, NotReadable> {
        let receipt = Receipt {
            event_id,
            kind: kind.ok_or(NotReadable::UnknownKind)?,
            origin: Origin::Webhook,
            observed_at,
            import_id: None,
            company: delivery.key.company().cloned(),
        };
        let object = parse_object(delivery.body).map_err(Unreadable::from)?;
        Ok(from_callrail(object, receipt, self.settings.reading)?)
    }

    async fn publish(&self, event: CallEvent, trace: Option<TraceContext>) -> Result<Accepted, NotAccepted> {
        let queue = if event.kind.is_progress() {
            QueueName::Progress
        } else {
            QueueName::Live
        };
        let message = Message {
            trace,
            ..Message::new(event.event_id, event.encode())
        };
        let (id, kind, call_id) = (event.event_id, event.kind, event.call.call_sid.clone());
        // Many wait for their confirms at a time: only the bytes wait with them.
        drop(event);
        self.queue.publish(queue, message).await?;
        self.metrics.count(Outcome::Accepted);
        tracing::debug!(
            event.id = %id,
            call.id = %call_id,
            kind = kind.as_str(),
            "accepted a webhook"
        );
        Ok(Accepted::Published(id))
    }

    async fn quarantine(
        &self,
        id: Uuid,
        kept: &QuarantinedDelivery,
        reason: String,
        trace: Option<TraceContext>,
    ) -> Result<Accepted, NotAccepted> {
        tracing::warn!(
            event.id = %id,
            reason,
            "a signed webhook is no call that can be read: it is kept as a dead letter"
        );
        let message = Message {
            failures: Some(Failures {
                queue: QueueName::Live,
                reason,
                attempts: 0,
                first_failed_at: kept.received_at,
                last_failed_at: kept.received_at,
            }),
            trace,
            ..Message::new(id, kept.encode())
        };
        self.queue.publish(QueueName::Dead, message).await?;
        self.metrics.count(Outcome::Quarantined);
        Ok(Accepted::Quarantined(id))
    }
}

/// What the sender says of his own trace. If he says it more than once, or not as the standard wants it, he has said
/// nothing.
fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut told = headers.get_all(TRACE_HEADER);
    let only = told.next().filter(|_| told.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}

/// Why a signed delivery is kept in quarantine. The texts hold nothing of its body.
#[derive(Debug, thiserror::Error)]
enum NotReadable {
    #[error("the URL names no kind of call webhook")]
    UnknownKind,
    #[error(transparent)]
    Body(#[from] Unreadable),
}
