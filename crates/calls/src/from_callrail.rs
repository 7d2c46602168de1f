//! The one place that knows both shapes: CallRail's call object and our call event.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use callrail::{Call, CallType, CompanyId, Direction, Field, Json, NotACall, Object};

use crate::event::{CallEvent, EventKind, Origin, SCHEMA};
use crate::original::Original;
use crate::phone::{Party, Region};
use crate::redaction::Redaction;
use crate::snapshot::{Attribution, Facts, Judgement, Recording, Snapshot, Stage};

/// The end of the links that CallRail's API gives as `recording`: they need the API key, so nobody else can use
/// them (`docs/callrail.md`, "Recording").
const API_RECORDING: &str = "/recording.json";

/// An object is nested at most this deep. Readers of JSON stop at 128 levels, and inside an event the object is
/// one level deeper: what is taken here must be readable there.
const MAX_DEPTH: usize = 120;

/// How an object came to us.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// A fresh UUIDv7.
    pub event_id: Uuid,
    /// The webhook that the URL named, or an import.
    pub kind: EventKind,
    /// Who brought it.
    pub origin: Origin,
    /// See [`CallEvent::observed_at`].
    pub observed_at: DateTime<Utc>,
    /// The import run.
    pub import_id: Option<Uuid>,
    /// The company to take when the object names none: that of the key that signed it.
    pub company: Option<CompanyId>,
}

/// How objects are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The country of numbers that name none.
    pub region: Region,
    /// What is taken out of texts before anything is stored.
    pub redaction: Redaction,
}

impl From<Region> for Reading {
    /// Card data is taken out, and nothing else.
    fn from(region: Region) -> Self {
        Self {
            region,
            redaction: Redaction::default(),
        }
    }
}

/// Why an object cannot become a call event. The texts hold nothing of the object.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no call at all.
    #[error("the body is not a call")]
    NotACall(#[from] NotACall),
    /// Nobody would write such a thing on purpose.
    #[error("the object is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// It claims that a call is over, but does not tell what a row needs.
    #[error("the call is over, but `{0}` is missing or unreadable")]
    Incomplete(&'static str),
}

/// Turns a call object of a webhook or of the API into a call event.
///
/// The object is redacted first: there is no way to an event around that. The kind gives the stage; the shape may
/// only lower it: an object of a call in progress, or one without any of the keys `recording`, `note` and `value`,
/// is no full snapshot, whatever URL it came to.
pub fn from_callrail(
    mut object: Object<'_>,
    receipt: Receipt,
    reading: Reading,
) -> Result<CallEvent, Unreadable> {
    if object
        .iter()
        .any(|(_, value)| is_deeper_than(value, MAX_DEPTH - 1))
    {
        return Err(Unreadable::TooDeep);
    }
    reading.redaction.redact_object(&mut object);
    let mut call = Call::from_object(&object)?;
    let stage = stage(receipt.kind, &call, &object);
    if stage == Stage::Ended {
        check_complete(&call)?;
    }
    let mut changes = std::mem::take(&mut call.changes);
    changes.sort_unstable();
    changes.dedup();
    let region = call
        .customer_country
        .value()
        .and_then(|country| country.parse().ok())
        .unwrap_or(reading.region);

    Ok(CallEvent {
        schema: SCHEMA,
        event_id: receipt.event_id,
        kind: receipt.kind,
        origin: receipt.origin,
        // PostgreSQL keeps microseconds; what is compared there must be equal here.
        observed_at: receipt.observed_at.trunc_subsecs(6),
        import_id: receipt.import_id,
        company: call.company.take().or(receipt.company),
        call: Snapshot {
            call_sid: call.id.clone(),
            stage,
            facts: facts(&mut call, receipt.kind, region),
            attribution: attribution(&mut call),
            judgement: judgement(&mut call),
            recording: recording(&mut call),
            transcript: transcript(&mut call),
            summary: asserted(&mut call.call_summary),
            spam: call.spam.value().copied(),
        },
        changes,
        raw: Original::of(&object),
        trace: None,
    })
}

fn is_deeper_than(value: &Json, levels: usize) -> bool {
    match value {
        Json::Array(values) => levels == 0 || values.iter().any(|value| is_deeper_than(value, levels - 1)),
        Json::Object(object) => {
            levels == 0 || object.iter().any(|(_, value)| is_deeper_than(value, levels - 1))
        }
        _ => false,
    }
}

fn stage(kind: EventKind, call: &Call, object: &Object) -> Stage {
    let in_progress = call.call_type.value() == Some(&CallType::InProgress);
    // The keys count, not what they hold: a call that is over must not lose its row to a value of a new type.
    let is_full = ["recording", "note", "value"]
        .into_iter()
        .any(|key| object.has(key));
    match kind {
        EventKind::PreCall => Stage::Ringing,
        EventKind::RoutingComplete => Stage::Routed,
        EventKind::Import if call.duration.value().is_none() => Stage::Routed,
        _ if in_progress || !is_full => Stage::Routed,
        _ => Stage::Ended,
    }
}

fn check_complete(call: &Call) -> Result<(), Unreadable> {
    if started_at(call).is_none() {
        return Err(Unreadable::Incomplete("start_time"));
    }
    if call.duration.value().is_none() {
        return Err(Unreadable::Incomplete("duration"));
    }
    if answered(call).is_none() {
        return Err(Unreadable::Incomplete("answered"));
    }
    Ok(())
}

fn facts(call: &mut Call, kind: EventKind, region: Region) -> Facts {
    let party = |number: &Field<String>| number.value().map(|text| Party::read(text, region));
    let location: Vec<&str> = [&call.customer_city, &call.customer_state]
        .into_iter()
        .filter_map(|part| Some(part.value()?.as_str()))
        .collect();
    Facts {
        direction: direction(call, kind),
        answered: answered(call).unwrap_or(false),
        voicemail: voicemail(call),
        call_type: call.call_type.value().copied(),
        duration_seconds: call.duration.value().copied().unwrap_or(0),
        started_at: started_at(call),
        first_call: call.first_call.value().copied(),
        customer: party(&call.customer_phone_number),
        tracking: party(&call.tracking_phone_number),
        business: party(&call.business_phone_number),
        customer_name: text(&mut call.customer_name),
        customer_location: (!location.is_empty()).then(|| location.join(", ")),
        agent_email: text(&mut call.agent_email),
        source_name: text(&mut call.source_name),
    }
}

fn direction(call: &Call, kind: EventKind) -> Direction {
    let by_kind = match kind {
        EventKind::OutboundPostCall | EventKind::OutboundCallModified => Direction::Outbound,
        _ if call.call_type.value() == Some(&CallType::Outbound) => Direction::Outbound,
        _ => Direction::Inbound,
    };
    call.direction.value().copied().unwrap_or(by_kind)
}

fn answered(call: &Call) -> Option<bool> {
    let by_type = || match call.call_type.value()? {
        CallType::Answered => Some(true),
        CallType::Missed | CallType::Abandoned | CallType::Voicemail | CallType::VoicemailTranscription => {
            Some(false)
        }
        CallType::InProgress | CallType::Outbound => None,
    };
    call.answered.value().copied().or_else(by_type)
}

fn voicemail(call: &Call) -> bool {
    let by_type = matches!(
        call.call_type.value(),
        Some(CallType::Voicemail | CallType::VoicemailTranscription)
    );
    call.voicemail.value().copied().unwrap_or(by_type)
}

fn started_at(call: &Call) -> Option<DateTime<Utc>> {
    call.start_time
        .value()
        .or(call.created_at.value())
        .map(|time| time.trunc_subsecs(6))
}

/// Asserted when everything that every full object has is there; a ringing call names its source only by the
/// tracking number's name, which stands with the facts.
fn attribution(call: &mut Call) -> Option<Attribution> {
    let source = [&call.source, &call.formatted_tracking_source];
    let keys = [
        &call.medium,
        &call.campaign,
        &call.keywords,
        &call.landing_page_url,
        &call.utm_source,
    ];
    if !source.into_iter().any(Field::is_present) || !keys.into_iter().all(Field::is_present) {
        return None;
    }
    Some(Attribution {
        source: text(&mut call.source).or_else(|| text(&mut call.formatted_tracking_source)),
        medium: text(&mut call.medium),
        campaign: text(&mut call.campaign),
        keywords: text(&mut call.keywords),
        landing_page_url: text(&mut call.landing_page_url),
        gclid: text(&mut call.gclid),
        utm_source: text(&mut call.utm_source),
        utm_medium: text(&mut call.utm_medium),
        utm_campaign: text(&mut call.utm_campaign),
        utm_term: text(&mut call.utm_term),
        utm_content: text(&mut call.utm_content),
    })
}

fn judgement(call: &mut Call) -> Option<Judgement> {
    let texts = [&call.note, &call.value, &call.lead_status];
    if !call.tags.is_present() || !texts.into_iter().all(Field::is_present) {
        return None;
    }
    Some(Judgement {
        tags: std::mem::take(&mut call.tags).into_value().unwrap_or_default(),
        note: text(&mut call.note),
        value: text(&mut call.value),
        lead_status: text(&mut call.lead_status),
    })
}

fn recording(call: &mut Call) -> Option<Recording> {
    if !call.recording.is_present() && !call.recording_player.is_present() {
        return None;
    }
    let url = text(&mut call.recording).filter(|url| !url.ends_with(API_RECORDING));
    Some(Recording {
        url,
        player: text(&mut call.recording_player),
    })
}

fn transcript(call: &mut Call) -> Option<String> {
    let phrases = call.conversational_transcript.value().map(|phrases| {
        let lines: Vec<String> = phrases
            .iter()
            .map(|one| match one.speaker.as_str() {
                "" => one.text.clone(),
                speaker => format!("{speaker}: {}", one.text),
            })
            .collect();
        lines.join("\n")
    });
    match asserted(&mut call.transcription) {
        Some(text) if !text.is_empty() => Some(text),
        empty => phrases.filter(|text| !text.is_empty()).or(empty),
    }
}

/// Takes the text out of a field.
fn text(field: &mut Field<String>) -> Option<String> {
    std::mem::take(field).into_value()
}

/// `Some` when the key was there, and then the empty string when it was empty.
fn asserted(field: &mut Field<String>) -> Option<String> {
    field.is_present().then(|| text(field).unwrap_or_default())
}
