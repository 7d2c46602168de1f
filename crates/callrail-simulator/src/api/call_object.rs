//! A call as the API writes it (docs/callrail.md, "Payload fields"): `id`, whole numbers, null for nothing.

use serde_json::{Map, Value, json};

use super::state::{CallState, Changed};
use crate::account::SimulatedAccount;
use crate::body::{
    COMPANY_NAME, COMPANY_TIME_ZONE, GOOGLE_ANALYTICS, LANDING_PAGE, LAST_PAGE, REFERRER, Tracker, milestone,
    recording_link, speakers, timeline_url,
};
use crate::call::SimulatedCall;
use crate::format::{eastern, formatted_call_type, formatted_duration, formatted_number, title_case};

/// What comes without being asked for.
const DEFAULT_FIELDS: [&str; 17] = [
    "answered",
    "business_phone_number",
    "customer_city",
    "customer_country",
    "customer_name",
    "customer_phone_number",
    "customer_state",
    "direction",
    "duration",
    "id",
    "recording",
    "recording_duration",
    "recording_player",
    "start_time",
    "tracking_phone_number",
    "voicemail",
    "agent_email",
];

/// What may be asked for besides. The `utm` letters are not documented, and were asked for with success.
const MORE_FIELDS: [&str; 66] = [
    "call_highlights",
    "call_summary",
    "call_type",
    "campaign",
    "company_id",
    "company_name",
    "company_time_zone",
    "created_at",
    "custom",
    "device_type",
    "fbclid",
    "first_call",
    "formatted_business_phone_number",
    "formatted_call_type",
    "formatted_customer_location",
    "formatted_customer_name",
    "formatted_customer_name_or_phone_number",
    "formatted_customer_phone_number",
    "formatted_duration",
    "formatted_tracking_phone_number",
    "formatted_tracking_source",
    "formatted_value",
    "ga",
    "gclid",
    "good_lead_call_id",
    "good_lead_call_time",
    "keypad_entries",
    "keywords",
    "keywords_spotted",
    "landing_page_url",
    "last_requested_url",
    "lead_explanation",
    "lead_score",
    "lead_status",
    "medium",
    "milestones",
    "msclkid",
    "note",
    "person_id",
    "prior_calls",
    "referrer_domain",
    "referring_url",
    "sentiment",
    "session_uuid",
    "source",
    "source_name",
    "speaker_percent",
    "tags",
    "timeline_url",
    "total_calls",
    "tracker_id",
    "transcription",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "utma",
    "utmb",
    "utmc",
    "utmv",
    "utmz",
    "value",
    "voice_assist_message",
    "waveforms",
    "zip_code",
];

/// What only a single call has; asked for in a list it is left out.
const SINGLE_FIELDS: [&str; 2] = ["conversational_transcript", "integration_data"];

/// Whether calls are written one by one or in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Single,
    Listed,
}

/// The fields that a request wants, in the order in which they are written.
pub(super) struct Fields(Vec<&'static str>);

impl Fields {
    /// The default ones and those that `asked` names, separated by commas. None: one of them is unknown.
    pub(super) fn read(asked: &str, form: Form) -> Option<Self> {
        let mut fields = DEFAULT_FIELDS.to_vec();
        for name in asked.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if let Some(field) = MORE_FIELDS.iter().find(|field| **field == name) {
                fields.push(field);
            } else if let Some(field) = SINGLE_FIELDS.iter().find(|field| **field == name) {
                if form == Form::Single {
                    fields.push(field);
                }
            } else if !DEFAULT_FIELDS.contains(&name) {
                return None;
            }
        }
        Some(Self(fields))
    }
}

/// One call, with what it takes to write it.
pub(super) struct CallView<'a> {
    pub(super) account: &'a SimulatedAccount,
    pub(super) call: &'a SimulatedCall,
    pub(super) changed: Option<&'a Changed>,
    /// Where the API is: `http://127.0.0.1:PORT`.
    pub(super) origin: &'a str,
    pub(super) tags_are_objects: bool,
    pub(super) form: Form,
}

impl CallView<'_> {
    /// The call with these fields.
    pub(super) fn object(&self, fields: &Fields) -> Value {
        let fields = fields.0.iter();
        let object: Map<String, Value> = fields
            .map(|&name| {
                let value = if self.is_over() {
                    self.field(name)
                } else {
                    self.field_in_progress(name)
                };
                (name.to_owned(), value)
            })
            .collect();
        Value::Object(object)
    }

    pub(super) fn is_over(&self) -> bool {
        self.changed
            .is_none_or(|changed| changed.state != CallState::InProgress)
    }

    pub(super) fn tracker(&self) -> &Tracker {
        &self.account.trackers[self.call.tracker]
    }

    pub(super) fn tags(&self) -> Vec<&str> {
        match self.changed.and_then(|changed| changed.tags.as_ref()) {
            Some(tags) => tags.iter().map(String::as_str).collect(),
            None => self.call.added.tags.to_vec(),
        }
    }

    pub(super) fn note(&self) -> &str {
        let changed = self.changed.and_then(|changed| changed.note.as_deref());
        changed.or(self.call.added.note).unwrap_or_default()
    }

    pub(super) fn lead_status(&self) -> Option<&str> {
        let changed = self.changed.and_then(|changed| changed.lead_status.as_deref());
        changed
            .or(self.call.added.lead_status)
            .filter(|status| !status.is_empty())
    }

    fn transcription(&self) -> &str {
        let changed = self.changed.and_then(|changed| changed.transcription.as_deref());
        let own = self.call.added.transcription.as_deref();
        changed.or(own).unwrap_or_default()
    }

    /// Whether there is a conversation by speaker: somebody who corrects the text leaves none.
    fn has_phrases(&self) -> bool {
        let is_as_spoken = self.changed.is_none_or(|changed| changed.transcription.is_none());
        is_as_spoken && !self.call.added.phrases.is_empty()
    }

    /// A call that is not over has no outcome, and nothing was added to it.
    fn field_in_progress(&self, name: &str) -> Value {
        match name {
            "answered" | "voicemail" => json!(false),
            "call_type" => json!("in_progress"),
            "formatted_call_type" => json!(formatted_call_type("in_progress")),
            "tags" | "call_highlights" => json!([]),
            "duration"
            | "formatted_duration"
            | "recording"
            | "recording_duration"
            | "recording_player"
            | "business_phone_number"
            | "formatted_business_phone_number"
            | "agent_email"
            | "transcription"
            | "conversational_transcript"
            | "call_summary"
            | "note"
            | "lead_status"
            | "speaker_percent" => Value::Null,
            _ => self.field(name),
        }
    }

    fn field(&self, name: &str) -> Value {
        let facts = &self.call.facts;
        let caller = &facts.caller;
        match name {
            "id" => json!(facts.call_sid),
            "answered" => json!(facts.answered),
            "voicemail" => json!(facts.voicemail),
            "call_type" => json!(facts.call_type),
            "direction" => json!(facts.direction),
            "duration" => json!(facts.duration),
            "start_time" => json!(eastern(facts.start)),
            "created_at" => json!(eastern(facts.created)),
            "business_phone_number" => text(self.business_number()),
            "customer_city" => text(caller.city),
            "customer_country" => text(caller.country),
            "customer_name" => text(&caller.cnam),
            "customer_phone_number" => text(&caller.number),
            "customer_state" => text(caller.state),
            "agent_email" => text(facts.agent_email),
            "first_call" => json!(caller.prior_calls == 0),
            "prior_calls" => json!(caller.prior_calls),
            "total_calls" => json!(caller.prior_calls + 1),
            "person_id" => json!(caller.person_id),
            "company_id" => json!(self.account.company_id),
            "company_name" => json!(COMPANY_NAME),
            "company_time_zone" => json!(COMPANY_TIME_ZONE),
            "timeline_url" => json!(timeline_url(facts)),
            _ if name.starts_with("formatted_") => self.formatted(name),
            _ if name.starts_with("recording") => self.recording(name),
            _ => self.added(name),
        }
    }

    fn business_number(&self) -> &'static str {
        if self.call.facts.answered {
            crate::account::BUSINESS_NUMBER
        } else {
            ""
        }
    }

    fn formatted(&self, name: &str) -> Value {
        let facts = &self.call.facts;
        match name {
            "formatted_call_type" => json!(formatted_call_type(facts.call_type)),
            "formatted_business_phone_number" => text(&formatted_number(self.business_number())),
            "formatted_customer_location" => text(&facts.caller.location()),
            "formatted_customer_name" | "formatted_customer_name_or_phone_number" => {
                text(&title_case(&facts.caller.cnam))
            }
            "formatted_customer_phone_number" => text(&formatted_number(&facts.caller.number)),
            "formatted_duration" => json!(formatted_duration(facts.duration)),
            "formatted_tracking_phone_number" => text(&formatted_number(self.tracker().number)),
            "formatted_tracking_source" => text(self.tracker().source),
            "formatted_value" => json!("--"),
            _ => Value::Null,
        }
    }

    /// The API's `recording` is an address of the API, not the link that a webhook gives (docs/callrail.md,
    /// "Recording").
    fn recording(&self, name: &str) -> Value {
        let facts = &self.call.facts;
        let Some((seconds, _)) = &facts.recording else {
            return Value::Null;
        };
        match name {
            "recording" => json!(format!(
                "{}/v3/a/{}/calls/{}/recording.json",
                self.origin, self.account.account_id, facts.call_sid
            )),
            "recording_duration" => json!(seconds.to_string()),
            "recording_player" => json!(recording_link(facts, "recording")),
            _ => Value::Null,
        }
    }

    /// What came after the call, by people and by machines.
    fn added(&self, name: &str) -> Value {
        let added = &self.call.added;
        match name {
            "tags" => self.tag_values(),
            "note" => text(self.note()),
            "lead_status" => json!(self.lead_status()),
            "transcription" => text(self.transcription()),
            "call_highlights" => json!([]),
            "call_summary" => match (added.summary, self.form) {
                (None, _) => Value::Null,
                (Some(summary), Form::Single) => json!([summary]),
                (Some(summary), Form::Listed) => json!(summary),
            },
            "conversational_transcript" if self.has_phrases() => json!(added.phrases()),
            "speaker_percent" if self.has_phrases() => speakers(),
            "integration_data" => json!([{ "integration": "Webhooks", "data": null }]),
            _ => self.attribution(name),
        }
    }

    fn tag_values(&self) -> Value {
        let tags = self.tags();
        if !self.tags_are_objects {
            return json!(tags);
        }
        // The number stands for the name: the same tag has the same one in every call.
        let number = |tag: &str| tag.bytes().map(u64::from).sum::<u64>();
        let objects = tags.iter().map(|tag| json!({ "id": number(tag), "name": tag }));
        Value::Array(objects.collect())
    }

    fn attribution(&self, name: &str) -> Value {
        let tracker = self.tracker();
        match name {
            "tracking_phone_number" => json!(tracker.number),
            "tracker_id" => json!(tracker.id),
            "source" => text(tracker.source),
            "source_name" => text(tracker.source_name),
            "medium" | "utm_medium" => text(tracker.medium),
            "campaign" | "utm_campaign" => text(tracker.campaign()),
            "keywords" => text(tracker.keywords()),
            "utm_source" => text(tracker.utm_source()),
            "device_type" => text(tracker.of_session("mobile")),
            "ga" => text(tracker.of_session(GOOGLE_ANALYTICS)),
            "gclid" => text(tracker.of_session("EXAMPLE")),
            "landing_page_url" => text(tracker.of_session(LANDING_PAGE)),
            "last_requested_url" => text(tracker.of_session(LAST_PAGE)),
            "referring_url" => text(tracker.of_session(REFERRER)),
            "referrer_domain" => text(tracker.of_session("google.com")),
            "milestones" => {
                let touch = milestone(tracker, &self.call.facts);
                json!({ "first_touch": touch, "lead_created": touch })
            }
            // The others are never set here.
            _ => Value::Null,
        }
    }
}

/// The API writes null where a webhook has an empty text.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}
