//! What each field of a call holds, as far as redaction is concerned (`docs/callrail.md`, "Payload fields").

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

/// How a field is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// People spoke or typed it: searched, with all that stands below it.
    FreeText,
    /// What a caller typed on the keypad, as likely a card as anything else: replaced as a whole.
    Keypad,
    /// An identifier, a number, an address, a time, a choice of CallRail's: never searched, since one in ten numbers
    /// of that length would pass for a card. What stands below it neither.
    Kept,
}

/// Every field that CallRail is known to send. What is not in the table is free text.
const FIELDS: [(Content, &[&str]); 3] = [
    (
        Content::FreeText,
        &[
            "answers",
            "call_highlights",
            "call_summary",
            "content",
            "conversational_transcript",
            "custom",
            "detail_tags",
            "form_data",
            "integration_data",
            "keywords_spotted",
            "lead_explanation",
            "note",
            "tag",
            "tags",
            "transcription",
            "voice_assist_message",
        ],
    ),
    (Content::Keypad, &["keypad_entries"]),
    (
        Content::Kept,
        &[
            "agent",
            "agent_email",
            "answered",
            "business_phone_number",
            "call_id",
            "call_type",
            "callercity",
            "callercountry",
            "callername",
            "callernum",
            "callerstate",
            "callsource",
            "campaign",
            "changes",
            "company_id",
            "company_name",
            "company_resource_id",
            "company_time_zone",
            "conversation_id",
            "created_at",
            "customer_city",
            "customer_country",
            "customer_name",
            "customer_phone_number",
            "customer_state",
            "datetime",
            "destination_number",
            "destinationnum",
            "device_type",
            "direction",
            "duration",
            "fbclid",
            "fcid",
            "first_call",
            "form_url",
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
            "hidden",
            "id",
            "ip",
            "keywords",
            "kissmetrics_id",
            "landing",
            "landing_page_url",
            "landingpage",
            "last_interaction_resource_id",
            "last_interaction_type",
            "last_requested_url",
            "lead_score",
            "lead_status",
            "media_urls",
            "medium",
            "message_type",
            "milestones",
            "msclkid",
            "person_id",
            "person_resource_id",
            "prior_calls",
            "received_at",
            "recording",
            "recording_duration",
            "recording_player",
            "recording_redirect",
            "referrer",
            "referrer_domain",
            "referrer_url",
            "referrermedium",
            "referring_url",
            "resource_id",
            "score",
            "sentiment",
            "session_uuid",
            "source",
            "source_name",
            "source_number",
            "spam",
            "speaker_percent",
            "start_time",
            "submitted_at",
            "thread_resource_id",
            "timeline_url",
            "timestamp",
            "total_calls",
            "tracker_id",
            "tracker_resource_id",
            "tracking_number",
            "tracking_phone_number",
            "trackingnum",
            "updated_at",
            "url",
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
            "voicemail",
            "waveforms",
            "zip_code",
        ],
    ),
];

/// The table by name: every member of every delivery is looked up.
static CONTENTS: LazyLock<HashMap<&str, Content, RandomState>> = LazyLock::new(|| {
    let fields = FIELDS.iter();
    fields
        .flat_map(|(content, names)| names.iter().map(|name| (*name, *content)))
        .collect()
});

/// Members of a phrase, or of anything else in free text, that are not what was said.
const BESIDE_THE_WORDS: [&str; 3] = ["speaker", "start", "end"];

impl Content {
    /// What a field of a call holds.
    pub(super) fn of_field(name: &str) -> Self {
        CONTENTS.get(name).copied().unwrap_or(Self::FreeText)
    }

    /// What a member holds, given what the field holds that it stands in.
    pub(super) fn of_member(self, name: &str) -> Self {
        match Self::of_field(name) {
            Self::Keypad => Self::Keypad,
            _ if self == Self::FreeText && BESIDE_THE_WORDS.contains(&name) => Self::Kept,
            _ => self,
        }
    }

    /// Whether the table has it.
    pub(super) fn is_known(name: &str) -> bool {
        CONTENTS.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_each_field_once() {
        for (_, names) in FIELDS {
            assert!(names.is_sorted(), "{names:?}");
        }
        let named: usize = FIELDS.iter().map(|(_, names)| names.len()).sum();
        assert_eq!(CONTENTS.len(), named);
    }

    #[test]
    fn what_is_not_in_the_table_is_free_text() {
        assert_eq!(Content::of_field("from_the_future"), Content::FreeText);
        assert_eq!(Content::of_field("resource_id"), Content::Kept);
        assert_eq!(Content::Kept.of_member("keypad_entries"), Content::Keypad);
        assert_eq!(Content::FreeText.of_member("resource_id"), Content::FreeText);
    }
}
