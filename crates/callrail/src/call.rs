//! The call object, read with patience: what `CallRail` documents and what it sends differ (docs/callrail.md,
//! "Payload fields").

use std::fmt;

use chrono::{DateTime, Utc};

use crate::field::{
    CallType, Direction, Field, Phrase, boolean, call_type, direction, lines, phrases, seconds, tags, text,
    time,
};
use crate::ids::{CallId, CompanyId};
use crate::json::{Json, Object};
use crate::webhook::NotACall;

/// Makes [`Call`] and its decoding from one table: a line `name: Type = decoder` reads the JSON key `name`.
macro_rules! call_fields {
    ($($(#[$doc:meta])+ $name:ident: $type:ty = $decoder:ident,)+) => {
        /// One call as a webhook or the API tells it.
        ///
        /// Both tell almost the same; where they differ, either form is read. A field that cannot be read is
        /// [`Field::Absent`] and named in [`Call::unreadable`]; it never spoils the rest. Texts are trimmed
        /// and otherwise as sent, control characters included. `Debug` shows the identifiers alone: all else
        /// is personal data.
        #[derive(Clone, PartialEq)]
        pub struct Call {
            /// `resource_id` of a webhook, `id` of the API.
            pub id: CallId,
            /// `company_resource_id`, or a `company_id` that is no number.
            pub company: Option<CompanyId>,
            $($(#[$doc])+ pub $name: Field<$type>,)+
            /// What a "call modified" webhook says was changed, in its order. The names are not those of the
            /// fields (docs/callrail.md, "Call modified"). Empty in everything else.
            pub changes: Vec<String>,
            /// The names of the keys above that hold something unreadable. Safe to log.
            pub unreadable: Vec<&'static str>,
        }

        impl Call {
            fn decode(id: CallId, object: &Object) -> Self {
                let mut unreadable = Vec::new();
                let company = company(object, &mut unreadable);
                $(let $name = read(object, stringify!($name), $decoder, &mut unreadable);)+
                let changes = changes(object, &mut unreadable);
                Self { id, company, $($name,)+ changes, unreadable }
            }
        }
    };
}

call_fields! {
    /// The company's name.
    company_name: String = text,
    /// The company's time zone, an IANA name. Times come in another one (docs/callrail.md, "Time zones").
    company_time_zone: String = text,
    /// Who called whom.
    direction: Direction = direction,
    /// Whether somebody, or a machine of the business, picked up. False before anybody could.
    answered: bool = boolean,
    /// Whether the caller left a message.
    voicemail: bool = boolean,
    /// Whether it is this customer's first call to the company.
    first_call: bool = boolean,
    /// Whether somebody marked the call as spam.
    spam: bool = boolean,
    /// What became of the call.
    call_type: CallType = call_type,
    /// Length of the call, in whole seconds.
    duration: u32 = seconds,
    /// Length of the recording, in whole seconds.
    recording_duration: u32 = seconds,
    /// When the call began.
    start_time: DateTime<Utc> = time,
    /// When `CallRail` began to keep it: milliseconds before or after the start.
    created_at: DateTime<Utc> = time,
    /// The outside party, in both directions; usually E.164 (docs/callrail.md, "Numbers").
    customer_phone_number: String = text,
    /// The number of ours that was called or shown; usually E.164.
    tracking_phone_number: String = text,
    /// Where the call was sent; empty when it was not connected.
    business_phone_number: String = text,
    /// The name the carrier gives, often that of a place or `WIRELESS CALLER`. Not a name to file a person
    /// under.
    customer_name: String = text,
    /// City of the customer's number.
    customer_city: String = text,
    /// State of the customer's number.
    customer_state: String = text,
    /// Country of the customer's number, two letters.
    customer_country: String = text,
    /// Where the customer came from.
    source: String = text,
    /// The name of the tracker.
    source_name: String = text,
    /// Where the customer came from, for reading.
    formatted_tracking_source: String = text,
    /// The medium of the visit, such as `cpc`.
    medium: String = text,
    /// The campaign.
    campaign: String = text,
    /// The words searched for.
    keywords: String = text,
    /// The first page of the visit.
    landing_page_url: String = text,
    /// The identifier of the Google Ads click.
    gclid: String = text,
    /// `utm_source` of the visit.
    utm_source: String = text,
    /// `utm_medium` of the visit.
    utm_medium: String = text,
    /// `utm_campaign` of the visit.
    utm_campaign: String = text,
    /// `utm_term` of the visit.
    utm_term: String = text,
    /// `utm_content` of the visit.
    utm_content: String = text,
    /// The recording: a secret link in a webhook, an API address elsewhere (docs/callrail.md, "Recording").
    recording: String = text,
    /// A page that plays the recording. A secret link.
    recording_player: String = text,
    /// What was said, as one text.
    transcription: String = text,
    /// What was said, by speaker.
    conversational_transcript: Vec<Phrase> = phrases,
    /// What the call was about, one statement a line.
    call_summary: String = lines,
    /// The note somebody wrote.
    note: String = text,
    /// The tags, sorted, each once. No tags are a value too: an empty list.
    tags: Vec<String> = tags,
    /// What the call was worth, as `CallRail` writes it: `250`, `1.00`.
    value: String = text,
    /// `good_lead`, `not_a_lead`, `previously_marked_good_lead`.
    lead_status: String = text,
    /// The address of the user who took the call.
    agent_email: String = text,
}

impl Call {
    /// Reads a body: [`parse_object`], then [`Call::from_object`].
    pub fn from_slice(body: &[u8]) -> Result<Self, NotACall> {
        Self::from_object(&parse_object(body)?)
    }

    /// Reads an object: a webhook's body, or one call of an API answer.
    pub fn from_object(object: &Object) -> Result<Self, NotACall> {
        if let Some(kind) = other_kind(object) {
            return Err(NotACall::OtherKind(kind));
        }
        let id = call_id(object)?;
        Ok(Self::decode(id, object))
    }
}

/// Reads a body as the object that a webhook must be, whatever it tells of. A byte order mark before it is
/// tolerated; of a key given twice the last holds.
pub fn parse_object(body: &[u8]) -> Result<Object<'_>, NotACall> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let json = match std::str::from_utf8(body) {
        // Checked once as a whole, and not text by text.
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    };
    match json.map_err(|source| NotACall::NotJson { source })? {
        Json::Object(object) => Ok(object),
        _ => Err(NotACall::NotAnObject),
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("id", &self.id)
            .field("company", &self.company)
            .field("changes", &self.changes)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}

/// What the object is, if its keys show that it is no call (docs/callrail.md, "Webhook types").
fn other_kind(object: &Object) -> Option<&'static str> {
    let has = |key| object.has(key);
    if has("message_type") || has("content") {
        Some("text message")
    } else if has("form_data") {
        Some("form submission")
    } else if has("answers") && has("last_interaction_resource_id") {
        Some("Convert Assist")
    } else if has("call_id") && !has("resource_id") && !has("id") {
        Some("Voice Assist")
    } else {
        None
    }
}

fn call_id(object: &Object) -> Result<CallId, NotACall> {
    for key in ["resource_id", "id"] {
        match object.get(key).map(text) {
            None | Some(Field::Empty) => {}
            Some(Field::Absent) => return Err(NotACall::InvalidId),
            Some(Field::Value(id)) => return CallId::parse(&id).map_err(|_| NotACall::InvalidId),
        }
    }
    Err(NotACall::NoId)
}

fn company(object: &Object, unreadable: &mut Vec<&'static str>) -> Option<CompanyId> {
    let parse = |id: String| CompanyId::parse(&id).ok();
    match object.get("company_resource_id").map(text) {
        None | Some(Field::Empty) => {}
        Some(Field::Value(id)) if CompanyId::parse(&id).is_ok() => return parse(id),
        Some(_) => unreadable.push("company_resource_id"),
    }
    // The number that webhooks send here is readable, but not this identifier.
    object
        .get("company_id")
        .and_then(|id| text(id).into_value())
        .and_then(parse)
}

fn read<T>(
    object: &Object,
    key: &'static str,
    decoder: fn(&Json) -> Field<T>,
    unreadable: &mut Vec<&'static str>,
) -> Field<T> {
    let Some(value) = object.get(key) else {
        return Field::Absent;
    };
    let field = decoder(value);
    if !field.is_present() {
        unreadable.push(key);
    }
    field
}

fn changes(object: &Object, unreadable: &mut Vec<&'static str>) -> Vec<String> {
    let Some(value) = object.get("changes") else {
        return Vec::new();
    };
    let items = match value {
        Json::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    if items.iter().any(|item| !item.is_present()) {
        unreadable.push("changes");
    }
    items.into_iter().filter_map(Field::into_value).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn read_json(value: &Value) -> Result<Call, NotACall> {
        Call::from_slice(value.to_string().as_bytes())
    }

    /// A call with this one key besides its identifier.
    fn call_with(key: &str, value: Value) -> Call {
        let mut object = Map::new();
        object.insert("resource_id".to_owned(), json!("CAL1"));
        object.insert(key.to_owned(), value);
        Call::from_object(&Object::from(&object)).unwrap()
    }

    #[test]
    fn a_missing_an_empty_and_an_unreadable_field_differ() {
        let missing = call_with("unknown", json!(1));
        assert_eq!((missing.duration, missing.unreadable), (Field::Absent, vec![]));
        let empty = call_with("duration", json!(""));
        assert_eq!((empty.duration, empty.unreadable), (Field::Empty, vec![]));
        let unreadable = call_with("duration", json!("soon"));
        assert_eq!(
            (unreadable.duration, unreadable.unreadable),
            (Field::Absent, vec!["duration"])
        );
    }

    #[test]
    fn the_id_is_read_from_either_key() {
        for (value, id) in [
            (json!({"resource_id": "CAL1", "id": "CAL2"}), "CAL1"),
            (json!({"resource_id": "", "id": "CAL2"}), "CAL2"),
            (json!({"resource_id": null, "id": 766_970_532}), "766970532"),
            (json!({"id": "766970532"}), "766970532"),
            (json!({"id": u64::MAX}), "18446744073709551615"),
            (json!({"resource_id": "CAL1", "call_id": "CAL2"}), "CAL1"),
        ] {
            assert_eq!(read_json(&value).unwrap().id.as_str(), id);
        }
    }

    #[test]
    fn a_body_without_the_id_of_a_call_is_refused() {
        for value in [
            json!({}),
            json!({"id": null}),
            json!({"resource_id": " ", "id": ""}),
        ] {
            assert!(matches!(read_json(&value), Err(NotACall::NoId)));
        }
        for id in [
            json!("SCI1"),
            json!("CAL"),
            json!(-1),
            json!(1.5),
            json!({}),
            json!("1".repeat(21)),
        ] {
            assert!(
                matches!(read_json(&json!({ "resource_id": id })), Err(NotACall::InvalidId)),
                "{id}"
            );
        }
    }

    #[test]
    fn other_events_are_told_by_their_shape() {
        for (value, expected) in [
            (
                json!({"resource_id": "SCI1", "message_type": "sms"}),
                "text message",
            ),
            (json!({"id": 1, "content": ""}), "text message"),
            (json!({"resource_id": "FRM1", "form_data": {}}), "form submission"),
            (
                json!({"answers": [], "last_interaction_resource_id": "CAL1"}),
                "Convert Assist",
            ),
            (
                json!({"call_id": "CAL1", "tracking_number": "+14045550199"}),
                "Voice Assist",
            ),
        ] {
            match read_json(&value) {
                Err(NotACall::OtherKind(kind)) => assert_eq!(kind, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["[]", "null", "\"CAL1\"", "1"] {
            assert!(
                matches!(Call::from_slice(body.as_bytes()), Err(NotACall::NotAnObject)),
                "{body}"
            );
        }
        let deep = format!(
            "{{\"id\":\"CAL1\",\"custom\":{}1{}}}",
            "[".repeat(200),
            "]".repeat(200)
        );
        let bodies: [&[u8]; 6] = [
            b"",
            b"datetime=2026",
            b"{\"id\":\"CAL1\"",
            b"{\"id\":\"CAL1\"}x",
            b"{\"id\":\"\xFF\"}",
            deep.as_bytes(),
        ];
        for body in bodies {
            assert!(matches!(Call::from_slice(body), Err(NotACall::NotJson { .. })));
        }
    }

    #[test]
    fn refusals_do_not_repeat_the_body() {
        for body in [
            "+14045550123",
            "{\"id\":\"+14045550123\"}",
            "{\"note\":+14045550123}",
        ] {
            let refusal = Call::from_slice(body.as_bytes()).unwrap_err();
            let source = std::error::Error::source(&refusal)
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !format!("{refusal} {source}").contains("0123"),
                "{refusal}: {source}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_is_tolerated() {
        let call = Call::from_slice(b"\xEF\xBB\xBF{\"id\":\"CAL1\"}").unwrap();
        assert_eq!(call.id.as_str(), "CAL1");
    }

    #[test]
    fn of_a_repeated_key_the_last_holds() {
        let call = Call::from_slice(br#"{"id":"CAL1","note":"first","note":"last"}"#).unwrap();
        assert_eq!(call.note.value().unwrap(), "last");
    }

    #[test]
    fn the_company_is_never_the_number() {
        let company = |value: Value| {
            read_json(&value)
                .map(|call| (call.company, call.unreadable))
                .unwrap()
        };
        let one = || Some(CompanyId::parse("COM1").unwrap());
        let both = json!({"id": "CAL1", "company_id": 123_456_789, "company_resource_id": "COM1"});
        assert_eq!(company(both), (one(), vec![]));
        assert_eq!(
            company(json!({"id": "CAL1", "company_id": "COM1"})),
            (one(), vec![])
        );
        assert_eq!(
            company(json!({"id": "CAL1", "company_id": 123_456_789})),
            (None, vec![])
        );
        let unreadable = json!({"id": "CAL1", "company_id": "COM1", "company_resource_id": ["COM2"]});
        assert_eq!(company(unreadable), (one(), vec!["company_resource_id"]));
    }

    #[test]
    fn changes_are_a_list_or_one_name() {
        assert_eq!(
            call_with("changes", json!(["tag", " tags", ""])).changes,
            ["tag", "tags"]
        );
        assert_eq!(call_with("changes", json!("note")).changes, ["note"]);
        for nothing in [json!(null), json!(""), json!([])] {
            let call = call_with("changes", nothing);
            assert!(call.changes.is_empty() && call.unreadable.is_empty());
        }
        let odd = call_with("changes", json!(["note", {}]));
        assert_eq!(
            (odd.changes, odd.unreadable),
            (vec!["note".to_owned()], vec!["changes"])
        );
    }

    #[test]
    fn text_passes_through_however_strange() {
        let long = "4".repeat(10_000);
        assert_eq!(
            call_with("customer_phone_number", json!(long)).customer_phone_number,
            Field::Value(long)
        );
        let call = call_with("note", json!("a\0b"));
        assert_eq!(call.note.value().unwrap(), "a\0b");
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let shown = format!("{:?}", call_with("customer_name", json!("DOE JANE")));
        assert!(shown.contains("CAL1") && !shown.contains("DOE"), "{shown}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[0-9]{1,4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})?"
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(key(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    fn key() -> impl Strategy<Value = String> {
        let known = [
            "duration",
            "start_time",
            "tags",
            "changes",
            "call_summary",
            "conversational_transcript",
            "phrase",
            "start",
            "name",
            "company_id",
            "company_resource_id",
            "answered",
            "call_type",
            "direction",
            "note",
        ];
        prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
    }

    proptest! {
        #[test]
        fn any_object_with_an_id_is_a_call_and_is_kept_whole(
            fields in prop::collection::hash_map(key(), any_json(), 0..12),
        ) {
            let mut object: Map<String, Value> = fields.into_iter().collect();
            object.insert("resource_id".to_owned(), json!("CAL1"));
            let body = serde_json::to_vec(&object).unwrap();
            let read = parse_object(&body).unwrap();
            prop_assert_eq!(serde_json::to_value(&read).unwrap(), Value::Object(object));
            // A random key may be that of another event; everything else is a call.
            prop_assert!(Call::from_object(&read).is_ok() || other_kind(&read).is_some());
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = Call::from_slice(&body);
        }

        #[test]
        fn a_damaged_delivery_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            end in any::<prop::sample::Index>(),
        ) {
            let mut body = include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/data/webhooks/call_modified_transcription.json"
            ))
            .to_vec();
            let index = at.index(body.len());
            body[index] = byte;
            let _ = Call::from_slice(&body);
            body.truncate(end.index(body.len()));
            let _ = Call::from_slice(&body);
        }

        #[test]
        fn any_json_is_read_or_refused(body in any_json()) {
            let _ = Call::from_slice(body.to_string().as_bytes());
        }
    }
}
