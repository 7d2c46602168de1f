//! Alerts: what a person at a screen should hear of a call, and whether it is still worth interrupting for.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use callrail::{CallId, Direction};
use trace::TraceContext;

use crate::event::{DecodeError, EventKind};
use crate::interaction::{Interaction, NAMESPACE, Outcome, interaction_id};
use crate::matching::{Contact, ContactRef};
use crate::record::RecordedSnapshot;
use crate::snapshot::Stage;

/// A ring older than this is history.
pub const RING_IS_NEWS: TimeDelta = TimeDelta::seconds(60);

/// An imported call that ended longer ago than this interrupts nobody.
const IMPORT_IS_NEWS: TimeDelta = TimeDelta::minutes(60);

/// The longest name or source that an alert carries, in characters.
const MAX_TEXT: usize = 200;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// An inbound call rings.
    IncomingCall,
    /// It was routed to its destination.
    CallRouted,
    /// Somebody picked up.
    CallAnswered,
    /// A call is over that was answered, or that the business made.
    CallCompleted,
    /// Nobody took an inbound call.
    CallMissed,
    /// The caller left a message.
    VoicemailReceived,
    /// The first call of somebody whom the CRM does not know.
    NewLead,
    /// The row of a call that was over has changed.
    CallUpdated,
}

impl AlertKind {
    /// The name: Pusher's event name, and the `kind` in the payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncomingCall => "incoming-call",
            Self::CallRouted => "call-routed",
            Self::CallAnswered => "call-answered",
            Self::CallCompleted => "call-completed",
            Self::CallMissed => "call-missed",
            Self::VoicemailReceived => "voicemail-received",
            Self::NewLead => "new-lead",
            Self::CallUpdated => "call-updated",
        }
    }
}

/// What is told: the payload that browsers get. Never a recording's link, never a word that was spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Made from the call and the kind: the same alert again has the same id, and readers drop it. One that tells more,
    /// such as the name that a ring had to go out without, has another.
    pub id: Uuid,
    /// CallRail's id of the call.
    pub call_sid: CallId,
    /// The row, which for a ringing call is not there yet.
    pub interaction_id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: AlertKind,
    /// From the business's side.
    pub direction: Direction,
    /// The person outside: E.164, or the text CallRail sent.
    pub from: Option<String>,
    /// Whom the CRM knows by that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<AlertContact>,
    /// How the call ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Where the caller came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The person, as an alert names him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertContact {
    /// Lead or customer, and the CRM's id.
    #[serde(flatten)]
    pub contact: ContactRef,
    /// The CRM's name.
    pub name: Option<String>,
}

/// An alert on its way: the message in the queue `alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingAlert {
    /// What is told.
    pub alert: Alert,
    /// The CRM user who looks after the contact and hears of it on a channel of his own.
    pub owner_id: Option<String>,
    /// Whether it may interrupt; otherwise it only stands in the table.
    pub push: bool,
    /// How it came so far, to measure what a screen waits for.
    #[serde(default)]
    pub way: Way,
    /// The trace of the event that raised it. Travels beside the JSON form.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
}

/// When an alert passed the steps between the receipt of its event, which is its `at`, and the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The caller was matched and the alert raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_at: Option<DateTime<Utc>>,
    /// It was stored and went into its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<DateTime<Utc>>,
}

impl OutgoingAlert {
    /// The JSON form, as it travels in the queue.
    pub fn encode(&self) -> Vec<u8> {
        // Every key is a string, so there is nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the JSON form.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        serde_json::from_slice(body).map_err(|error| DecodeError::new("an alert", error))
    }
}

/// What one event means for the people at the screens.
pub(crate) struct Occasion<'a> {
    /// The snapshot that the event brought.
    pub(crate) told: &'a RecordedSnapshot,
    /// Whether a webhook had told before that the call is over.
    pub(crate) ended_by_webhook: bool,
    /// The row before the event and after it.
    pub(crate) before: Option<&'a Interaction>,
    pub(crate) after: Option<&'a Interaction>,
    /// The linked contact.
    pub(crate) contact: Option<&'a Contact>,
    /// The trace that the event belongs to.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) now: DateTime<Utc>,
}

impl Occasion<'_> {
    /// The alerts that the event raises. Ids are made from the content, so an event that is worked on twice
    /// raises the same ones.
    pub(crate) fn alerts(&self) -> Vec<OutgoingAlert> {
        let Some(after) = self.after else {
            return self.while_it_goes_on().into_iter().collect();
        };
        let is_import = self.told.kind == EventKind::Import;
        // An import tells less than a webhook: what the webhook has to say is news even when the row is there.
        let first_told = !is_import && !self.ended_by_webhook;
        let ended_anew = first_told || self.before.is_none_or(|before| before.outcome != after.outcome);
        let is_news = !is_import || self.now - after.completed_at < IMPORT_IS_NEWS;
        let mut alerts = Vec::new();
        if self.told.snapshot.stage < Stage::Ended {
            // A ring that comes after the end of its call: kept for the history, interrupts nobody.
            alerts.extend(
                self.while_it_goes_on()
                    .map(|late| OutgoingAlert { push: false, ..late }),
            );
        } else if after.spam {
            return alerts;
        } else if ended_anew {
            let kind = ended(after);
            let told = is_import && (kind == AlertKind::CallCompleted || self.ended_by_webhook);
            if !told && is_news {
                alerts.push(self.of_row(kind, after, true));
            }
        } else if !is_import && self.before != Some(after) {
            alerts.push(self.of_row(AlertKind::CallUpdated, after, true));
        }
        if self.before.is_none() && is_new_lead(after) {
            alerts.push(self.of_row(AlertKind::NewLead, after, is_news));
        }
        alerts
    }

    /// What was told of a call that goes on when nobody could look up who calls, once more: now with the contact. Still
    /// the same kind, so that no screen goes back to an earlier state. `None` when it is no news any more.
    pub(crate) fn amended(&self) -> Option<OutgoingAlert> {
        let mut amended = self.while_it_goes_on()?;
        amended.alert.id = named(&format!(
            "{}/{}/{}",
            self.told.snapshot.call_sid,
            amended.alert.kind.as_str(),
            self.told.digest
        ));
        amended.push.then_some(amended)
    }

    fn while_it_goes_on(&self) -> Option<OutgoingAlert> {
        let facts = &self.told.snapshot.facts;
        let kind = match self.told.kind {
            EventKind::PreCall if facts.direction == Direction::Inbound => AlertKind::IncomingCall,
            EventKind::RoutingComplete if facts.answered => AlertKind::CallAnswered,
            EventKind::RoutingComplete => AlertKind::CallRouted,
            _ => return None,
        };
        let alert = Alert {
            from: crate::interaction::number(facts.customer.as_ref()),
            direction: facts.direction,
            source: facts.source_name.as_deref().map(cut),
            ..self.alert(kind)
        };
        let push = self.now - self.told.first_observed_at <= RING_IS_NEWS;
        Some(self.outgoing(alert, push))
    }

    fn of_row(&self, kind: AlertKind, row: &Interaction, push: bool) -> OutgoingAlert {
        let alert = Alert {
            from: row.customer_number().map(str::to_owned),
            direction: row.direction,
            outcome: Some(row.outcome),
            duration: Some(row.call_duration_seconds),
            source: row.source.as_deref().map(cut),
            ..self.alert(kind)
        };
        self.outgoing(alert, push)
    }

    fn alert(&self, kind: AlertKind) -> Alert {
        let call_sid = &self.told.snapshot.call_sid;
        let contact = self.contact.map(|known| AlertContact {
            contact: known.contact.clone(),
            name: known.name.as_deref().map(cut),
        });
        Alert {
            id: self.id(kind),
            call_sid: call_sid.clone(),
            interaction_id: interaction_id(call_sid),
            at: self.told.first_observed_at,
            kind,
            direction: self.told.snapshot.facts.direction,
            from: None,
            contact,
            outcome: None,
            duration: None,
            source: None,
        }
    }

    /// A call rings once and ends once, but changes often: an update is named by its content and, since a state
    /// can come back, by its time.
    fn id(&self, kind: AlertKind) -> Uuid {
        let call_sid = self.told.snapshot.call_sid.as_str();
        let name = match kind {
            AlertKind::CallUpdated => {
                let (digest, at) = (&self.told.digest, self.told.first_observed_at.timestamp_micros());
                format!("{call_sid}/{}/{digest}/{at}", kind.as_str())
            }
            _ => format!("{call_sid}/{}", kind.as_str()),
        };
        named(&name)
    }

    fn outgoing(&self, alert: Alert, push: bool) -> OutgoingAlert {
        OutgoingAlert {
            alert,
            owner_id: self.contact.and_then(|contact| contact.owner_id.clone()),
            push,
            way: Way {
                matched_at: Some(self.now),
                queued_at: None,
            },
            trace: self.trace,
        }
    }
}

fn named(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

/// Names and sources may be of any length, Pusher's messages not (10 kB).
fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn ended(row: &Interaction) -> AlertKind {
    match (row.direction, row.outcome) {
        (Direction::Inbound, Outcome::NoAnswer) => AlertKind::CallMissed,
        (Direction::Inbound, Outcome::Voicemail) => AlertKind::VoicemailReceived,
        _ => AlertKind::CallCompleted,
    }
}

fn is_new_lead(row: &Interaction) -> bool {
    let unknown = row.link.method == crate::matching::MatchMethod::NoContact;
    row.direction == Direction::Inbound && unknown && row.first_call == Some(true) && !row.spam
}
