//! Webhook bodies as `CallRail`'s Rails application writes them (docs/callrail.md, "Payload fields").

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::format::{
    eastern, escaped_like_rails, formatted_call_type, formatted_duration, formatted_number, title_case,
};

/// The company, the same in every body.
pub(crate) struct Company {
    pub(crate) id: String,
    pub(crate) business_number: &'static str,
}

/// A tracking number and what `CallRail` attributes to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tracker {
    pub(crate) id: String,
    pub(crate) number: &'static str,
    pub(crate) source_name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) medium: &'static str,
    pub(crate) call_source: &'static str,
    /// Follows visitors of the website, so it knows their page and keywords.
    pub(crate) is_session: bool,
}

/// What never changes about a call once it is over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) call_sid: String,
    pub(crate) start: DateTime<Utc>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) caller: Caller,
    pub(crate) direction: &'static str,
    pub(crate) answered: bool,
    pub(crate) voicemail: bool,
    pub(crate) call_type: &'static str,
    pub(crate) duration: u32,
    /// Seconds, and the key in the links; none: not recorded.
    pub(crate) recording: Option<(u32, String)>,
    pub(crate) agent_email: &'static str,
}

/// What is added to a call after it is over. Bodies are cumulative: each holds all of it so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Additions {
    pub(crate) transcription: Option<String>,
    /// Speaker, words, and the second at which they begin.
    pub(crate) phrases: Vec<(&'static str, &'static str, f64)>,
    pub(crate) summary: Option<&'static str>,
    pub(crate) tags: &'static [&'static str],
    pub(crate) note: Option<&'static str>,
    pub(crate) lead_status: Option<&'static str>,
}

/// A call while it rings: reads like a missed call, and is none.
pub(crate) fn pre_call(company: &Company, tracker: &Tracker, facts: &Facts) -> Vec<u8> {
    let mut body = Body::default();
    body.head(tracker, facts, &Course::ringing("missed"));
    body.ids(company, tracker, facts);
    body.into_bytes()
}

/// A call that was sent on to its destination; `answered` as far as it is known by then.
pub(crate) fn routing_complete(
    company: &Company,
    tracker: &Tracker,
    facts: &Facts,
    answered: bool,
) -> Vec<u8> {
    let mut body = Body::default();
    body.head(
        tracker,
        facts,
        &Course {
            answered,
            ..Course::ringing("in_progress")
        },
    );
    body.ids(company, tracker, facts);
    body.extend([
        ("business_phone_number", json!(company.business_number)),
        (
            "formatted_business_phone_number",
            json!(formatted_number(company.business_number)),
        ),
        ("tags", json!([])),
        ("formatted_tracking_source", json!(tracker.source)),
        ("medium", json!(tracker.medium)),
        ("campaign", json!(tracker.campaign())),
        ("keywords", json!(tracker.keywords())),
        ("utm_source", json!(tracker.utm_source())),
        ("utm_medium", json!(tracker.medium)),
        ("utm_campaign", json!(tracker.campaign())),
    ]);
    body.into_bytes()
}

/// A call that is over, with all that was added so far; `changes` makes it a body of the Modified kinds.
pub(crate) fn full(
    company: &Company,
    tracker: &Tracker,
    facts: &Facts,
    added: &Additions,
    changes: Option<&[&str]>,
) -> Vec<u8> {
    let course = Course {
        answered: facts.answered,
        voicemail: facts.voicemail,
        call_type: facts.call_type,
        duration: facts.duration,
    };
    let mut body = Body::default();
    body.head(tracker, facts, &course);
    body.outcome(company, facts, added);
    body.recording(facts);
    body.attribution(tracker, facts);
    body.legacy(company, tracker, facts, added);
    body.ids(company, tracker, facts);
    if let Some(summary) = added.summary {
        body.extend([("call_summary", json!(summary))]);
    }
    if let Some(changes) = changes {
        body.extend([("changes", json!(changes))]);
    }
    body.into_bytes()
}

impl Tracker {
    pub(crate) fn campaign(&self) -> &'static str {
        if self.is_session { "Heating Repair" } else { "" }
    }

    pub(crate) fn keywords(&self) -> &'static str {
        if self.is_session { "furnace repair" } else { "" }
    }

    pub(crate) fn utm_source(&self) -> &'static str {
        if self.medium == "cpc" { "google" } else { "" }
    }

    /// The text, for a tracker that follows visitors only.
    pub(crate) fn of_session(&self, text: &'static str) -> &'static str {
        if self.is_session { text } else { "" }
    }
}

/// How far the call has come, as the fields at the start of every body tell it.
struct Course {
    answered: bool,
    voicemail: bool,
    call_type: &'static str,
    duration: u32,
}

impl Course {
    fn ringing(call_type: &'static str) -> Self {
        Self {
            answered: false,
            voicemail: false,
            call_type,
            duration: 0,
        }
    }
}

/// A JSON object that keeps the order of its keys.
#[derive(Default)]
struct Body(Vec<(&'static str, Value)>);

impl Body {
    fn extend<const N: usize>(&mut self, fields: [(&'static str, Value); N]) {
        self.0.extend(fields);
    }

    /// The fields that every body of a call has, but for the ids.
    fn head(&mut self, tracker: &Tracker, facts: &Facts, course: &Course) {
        let caller = &facts.caller;
        let name = title_case(&caller.cnam);
        let location = caller.location();
        self.extend([
            ("answered", json!(course.answered)),
            ("call_type", json!(course.call_type)),
            ("company_id", json!(COMPANY_NUMBER)),
            ("company_name", json!(COMPANY_NAME)),
            ("company_time_zone", json!(COMPANY_TIME_ZONE)),
            ("created_at", json!(eastern(facts.created))),
            ("customer_city", json!(caller.city)),
            ("customer_country", json!(caller.country)),
            ("customer_name", json!(caller.cnam)),
            ("customer_phone_number", json!(caller.number)),
            ("customer_state", json!(caller.state)),
            ("direction", json!(facts.direction)),
            ("duration", json!(course.duration.to_string())),
            ("first_call", json!(caller.prior_calls == 0)),
            (
                "formatted_call_type",
                json!(formatted_call_type(course.call_type)),
            ),
            ("formatted_customer_location", json!(location)),
            ("formatted_customer_name", json!(name)),
            ("prior_calls", json!(caller.prior_calls)),
            ("formatted_customer_name_or_phone_number", json!(name)),
            (
                "formatted_customer_phone_number",
                json!(formatted_number(&caller.number)),
            ),
            ("formatted_duration", json!(formatted_duration(course.duration))),
            (
                "formatted_tracking_phone_number",
                json!(formatted_number(tracker.number)),
            ),
            ("source_name", json!(tracker.source_name)),
            ("start_time", json!(eastern(facts.start))),
            ("total_calls", json!(caller.prior_calls + 1)),
            ("tracking_phone_number", json!(tracker.number)),
            ("voicemail", json!(course.voicemail)),
        ]);
    }

    /// `timestamp` is the start of the call in every body, not the time of sending (docs/callrail.md,
    /// "Timestamp").
    fn ids(&mut self, company: &Company, tracker: &Tracker, facts: &Facts) {
        self.extend([
            ("timestamp", json!(eastern(facts.start))),
            ("person_resource_id", json!(facts.caller.person_id)),
            ("resource_id", json!(facts.call_sid)),
            ("company_resource_id", json!(company.id)),
            ("tracker_resource_id", json!(tracker.id)),
        ]);
    }

    fn outcome(&mut self, company: &Company, facts: &Facts, added: &Additions) {
        let business_number = if facts.answered {
            company.business_number
        } else {
            ""
        };
        let phrases = added.phrases();
        let has_phrases = !phrases.is_empty();
        let speakers = speakers();
        self.extend([
            ("business_phone_number", json!(business_number)),
            (
                "formatted_business_phone_number",
                json!(formatted_number(business_number)),
            ),
            ("formatted_value", json!("--")),
            ("good_lead_call_id", json!("")),
            ("good_lead_call_time", json!("")),
            ("lead_status", json!(added.lead_status.unwrap_or_default())),
            ("note", json!(added.note.unwrap_or_default())),
            ("tags", json!(added.tags)),
            (
                "transcription",
                json!(added.transcription.as_deref().unwrap_or_default()),
            ),
            ("value", json!("")),
            (
                "conversational_transcript",
                if has_phrases {
                    Value::Array(phrases)
                } else {
                    json!("")
                },
            ),
            (
                "integration_data",
                json!([{ "integration": "Webhooks", "data": null }]),
            ),
            ("keywords_spotted", json!("")),
            ("speaker_percent", if has_phrases { speakers } else { json!("") }),
            ("call_highlights", json!([])),
            ("detail_tags", json!([])),
            ("waveforms", json!("")),
            ("keypad_entries", json!("")),
            ("agent_email", json!(facts.agent_email)),
            ("spam", json!(false)),
        ]);
    }

    fn recording(&mut self, facts: &Facts) {
        let link = |page: &str| recording_link(facts, page).unwrap_or_default();
        let seconds = facts
            .recording
            .as_ref()
            .map_or_else(|| json!(""), |(seconds, _)| json!(seconds));
        self.extend([
            ("recording", json!(link("recording/redirect"))),
            ("recording_duration", seconds),
            ("recording_player", json!(link("recording"))),
            ("recording_redirect", json!(link("recording/redirect"))),
        ]);
    }

    fn attribution(&mut self, tracker: &Tracker, facts: &Facts) {
        let touch = milestone(tracker, facts);
        let timeline = timeline_url(facts);
        self.extend([
            ("device_type", json!(tracker.of_session("mobile"))),
            ("formatted_tracking_source", json!(tracker.source)),
            ("keywords", json!(tracker.keywords())),
            ("medium", json!(tracker.medium)),
            ("referring_url", json!(tracker.of_session(REFERRER))),
            ("landing_page_url", json!(tracker.of_session(LANDING_PAGE))),
            ("last_requested_url", json!(tracker.of_session(LAST_PAGE))),
            ("referrer_domain", json!(tracker.of_session("google.com"))),
            ("utm_source", json!(tracker.utm_source())),
            ("utm_medium", json!(tracker.medium)),
            ("utm_term", json!("")),
            ("utm_content", json!("")),
            ("utm_campaign", json!(tracker.campaign())),
            ("utma", json!("")),
            ("utmb", json!("")),
            ("utmc", json!("")),
            ("utmv", json!("")),
            ("utmz", json!("")),
            ("ga", json!(tracker.of_session(GOOGLE_ANALYTICS))),
            ("gclid", json!(tracker.of_session("EXAMPLE"))),
            ("fbclid", json!("")),
            ("msclkid", json!("")),
            ("campaign", json!(tracker.campaign())),
            ("source", json!(tracker.source)),
            (
                "milestones",
                json!({ "first_touch": touch, "lead_created": touch }),
            ),
            ("timeline_url", json!(timeline)),
        ]);
    }

    /// The fields of `CallRail`'s first API, sent besides.
    fn legacy(&mut self, company: &Company, tracker: &Tracker, facts: &Facts, added: &Additions) {
        let caller = &facts.caller;
        self.extend([
            ("callercity", json!(caller.city)),
            ("callercountry", json!(caller.country)),
            ("callername", json!(caller.cnam)),
            ("callernum", json!(caller.number)),
            ("callerstate", json!(caller.state)),
            ("callsource", json!(tracker.call_source)),
            ("custom", json!("")),
            (
                "datetime",
                json!(facts.start.format("%Y-%m-%d %H:%M:%S").to_string()),
            ),
            (
                "destinationnum",
                json!(if facts.answered {
                    company.business_number
                } else {
                    ""
                }),
            ),
            ("ip", json!(tracker.of_session("203.0.113.7"))),
            ("kissmetrics_id", json!("")),
            ("landingpage", json!(tracker.of_session(LANDING_PAGE))),
            ("referrer", json!(tracker.of_session(REFERRER))),
            ("referrermedium", json!("")),
            ("score", json!("")),
            ("tag", json!(added.tags.join(", "))),
            ("trackingnum", json!(tracker.number)),
        ]);
    }

    /// Compact, without a newline at the end, and escaped as Rails does.
    fn into_bytes(self) -> Vec<u8> {
        // Strings, whole and finite numbers and lists of them: nothing that JSON could not hold.
        let text = serde_json::to_string(&self).unwrap_or_default();
        escaped_like_rails(&text).into_bytes()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// The number of the account in the addresses of `CallRail`'s pages.
pub(crate) const ACCOUNT_NUMBER: &str = "100200300";
const COMPANY_NUMBER: u32 = 123_456_789;
pub(crate) const COMPANY_NAME: &str = "Example Heating & Air";
pub(crate) const COMPANY_TIME_ZONE: &str = "America/Chicago";
pub(crate) const REFERRER: &str = "https://www.google.com/";
pub(crate) const LANDING_PAGE: &str = "https://www.example.com/heating?gclid=EXAMPLE&x=1";
pub(crate) const LAST_PAGE: &str = "https://www.example.com/contact";
pub(crate) const GOOGLE_ANALYTICS: &str = "GA1.2.111111111.222222222";

impl Additions {
    pub(crate) fn phrases(&self) -> Vec<Value> {
        self.phrases
            .iter()
            .map(|(speaker, phrase, start)| json!({ "speaker": speaker, "phrase": phrase, "start": start }))
            .collect()
    }
}

/// Who spoke for how many percent of a talk.
pub(crate) fn speakers() -> Value {
    json!({ "agent": "46", "customer": "54" })
}

pub(crate) fn timeline_url(facts: &Facts) -> String {
    format!(
        "https://app.callrail.com/analytics/a/{ACCOUNT_NUMBER}/events/{}?event_id={}&event_type=call",
        facts.caller.person_id, facts.call_sid
    )
}

/// The link that a webhook gives as `recording`; whoever has it can listen.
pub(crate) fn recording_url(facts: &Facts) -> Option<String> {
    recording_link(facts, "recording/redirect")
}

pub(crate) fn recording_link(facts: &Facts, page: &str) -> Option<String> {
    let (_, key) = facts.recording.as_ref()?;
    Some(format!(
        "https://app.callrail.com/calls/{}/{page}?access_key={key}",
        facts.call_sid
    ))
}

pub(crate) fn milestone(tracker: &Tracker, facts: &Facts) -> Value {
    let is_paid = tracker.medium == "cpc";
    let paid = |text: &'static str| is_paid.then_some(text);
    let landing = paid("https://www.example.com/heating?gclid=EXAMPLE");
    let landing_parameters = if is_paid {
        json!({ "gclid": "EXAMPLE" })
    } else {
        json!({})
    };
    let utm = if is_paid {
        json!({ "utm_source": "google", "utm_medium": "cpc" })
    } else {
        json!({})
    };
    json!({
        "event_date": eastern(facts.start),
        "ad_position": null,
        "campaign": paid("Heating Repair"),
        "device": paid("mobile"),
        "keywords": paid("furnace repair near me"),
        "landing": landing,
        "landing_page_url_params": landing_parameters,
        "match_type": null,
        "medium": tracker.medium,
        "referrer": paid(REFERRER),
        "referrer_url_params": {},
        "session_browser": paid("Chrome"),
        "url_utm_params": utm,
        "source": tracker.source,
    })
}
