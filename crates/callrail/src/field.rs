//! One field of a call, and how each type of field is read (docs/callrail.md, "Payload fields").
//!
//! A decoder is a function from the JSON value to a [`Field`]; it answers `Absent` for a value it cannot
//! read.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::json::Json;

/// What a call says of one field. `CallRail` sends some fields only in some webhooks, and writes `""` or null
/// for what is not known (yet), so that three answers must be told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// The key is not there, or its value could not be read: nothing is said.
    #[default]
    Absent,
    /// The key is there and holds nothing: null, `""` or only whitespace.
    Empty,
    /// The key is there and holds this.
    Value(T),
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The customer called.
    Inbound,
    /// The customer was called.
    Outbound,
}

/// What became of a call, in `CallRail`'s words (docs/callrail.md, "Call types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallType {
    /// The caller hung up within 15 seconds.
    #[serde(alias = "abandonded")]
    Abandoned,
    /// Picked up, be it by a machine of the business.
    Answered,
    /// Not over yet.
    InProgress,
    /// Not answered, 15 seconds or longer, no voicemail. A pre-call says so too and means nothing by it.
    Missed,
    /// A call to a customer.
    Outbound,
    /// The caller left a message with `CallRail`.
    Voicemail,
    /// A voicemail with its text.
    VoicemailTranscription,
}

/// One thing said in a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phrase {
    /// Who spoke, as `CallRail` names them (`Agent`, `Caller`); empty when it does not say.
    pub speaker: String,
    /// What was said; never empty.
    pub text: String,
    /// When, in seconds from the start of the recording, if known.
    pub start_seconds: Option<f64>,
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Empty => None,
        }
    }

    /// The value, if there is one.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Empty => None,
        }
    }

    /// Whether the key is there and readable, be it empty.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Reads the value further, if there is one; what `read` cannot read is absent.
    fn and_then<U>(self, read: impl FnOnce(T) -> Option<U>) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Empty => Field::Empty,
            Self::Value(value) => read(value).map_or(Field::Absent, Field::Value),
        }
    }
}

impl Direction {
    /// The direction as `CallRail` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl CallType {
    /// The type as `CallRail` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Answered => "answered",
            Self::InProgress => "in_progress",
            Self::Missed => "missed",
            Self::Outbound => "outbound",
            Self::Voicemail => "voicemail",
            Self::VoicemailTranscription => "voicemail_transcription",
        }
    }
}

/// The longest call believed, in seconds: ten days.
const MAX_SECONDS: u32 = 10 * 24 * 60 * 60;

/// Text, without surrounding whitespace. A number or a boolean becomes its text: `value` comes as both.
pub(crate) fn text(value: &Json) -> Field<String> {
    let text = match value {
        Json::Null => return Field::Empty,
        Json::Text(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        Json::Bool(boolean) => boolean.to_string(),
        Json::Array(_) | Json::Object(_) => return Field::Absent,
    };
    if text.is_empty() {
        Field::Empty
    } else {
        Field::Value(text)
    }
}

/// A boolean, also as a word or a digit.
pub(crate) fn boolean(value: &Json) -> Field<bool> {
    text(value).and_then(|text| match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    })
}

/// Whole seconds: a number or a text of digits, at most ten days.
pub(crate) fn seconds(value: &Json) -> Field<u32> {
    let whole = text(value).and_then(|text| {
        // A float is read only where JSON has one: "184.0" in quotes has never been seen.
        let digits = if matches!(value, Json::Number(_)) {
            text.strip_suffix(".0").unwrap_or(&text)
        } else {
            &text
        };
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    });
    whole.and_then(|seconds| (seconds <= MAX_SECONDS).then_some(seconds))
}

/// A point in time, to the microsecond: RFC 3339 with any offset, or `YYYY-MM-DD HH:MM:SS`, which `CallRail`
/// means as UTC. Years outside 2000 to 2100 are not believed.
pub(crate) fn time(value: &Json) -> Field<DateTime<Utc>> {
    text(value).and_then(|text| {
        let time = match DateTime::parse_from_rfc3339(&text) {
            Ok(time) => time.to_utc(),
            Err(_) => NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S")
                .ok()?
                .and_utc(),
        };
        // Through microseconds: what databases keep, and a leap second becomes the second after it.
        let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
        (2000..=2100).contains(&time.year()).then_some(time)
    })
}

/// `inbound` or `outbound`, in any case.
pub(crate) fn direction(value: &Json) -> Field<Direction> {
    text(value).and_then(|text| match text.to_ascii_lowercase().as_str() {
        "inbound" => Some(Direction::Inbound),
        "outbound" => Some(Direction::Outbound),
        _ => None,
    })
}

/// A call type, in any case. `CallRail`'s documentation spells one of them `abandonded`, its deliveries
/// `abandoned`.
pub(crate) fn call_type(value: &Json) -> Field<CallType> {
    text(value).and_then(|text| match text.to_ascii_lowercase().as_str() {
        "abandoned" | "abandonded" => Some(CallType::Abandoned),
        "answered" => Some(CallType::Answered),
        "in_progress" => Some(CallType::InProgress),
        "missed" => Some(CallType::Missed),
        "outbound" => Some(CallType::Outbound),
        "voicemail" => Some(CallType::Voicemail),
        "voicemail_transcription" => Some(CallType::VoicemailTranscription),
        _ => None,
    })
}

/// Text, or a list of texts that become its lines.
pub(crate) fn lines(value: &Json) -> Field<String> {
    let Json::Array(items) = value else {
        return text(value);
    };
    let mut lines = Vec::new();
    for item in items {
        match text(item) {
            Field::Value(line) => lines.push(line),
            Field::Empty => {}
            Field::Absent => return Field::Absent,
        }
    }
    if lines.is_empty() {
        Field::Empty
    } else {
        Field::Value(lines.join("\n"))
    }
}

/// Tags, trimmed, sorted, each once: a list of texts or of objects with a `name`, or one text.
///
/// An empty list, `""` and null are the value "no tags". One unreadable tag makes the whole list unreadable,
/// since a list that lacks a tag would say that the tag was taken off.
pub(crate) fn tags(value: &Json) -> Field<Vec<String>> {
    let items = match value {
        Json::Null => return Field::Value(Vec::new()),
        Json::Array(items) => items,
        Json::Text(_) => std::slice::from_ref(value),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => return Field::Absent,
    };
    let mut tags = Vec::with_capacity(items.len());
    for item in items {
        let name = match item {
            Json::Object(tag) => tag.get("name").map_or(Field::Absent, text),
            _ => text(item),
        };
        match name {
            Field::Value(name) => tags.push(name),
            Field::Empty => {}
            Field::Absent => return Field::Absent,
        }
    }
    tags.sort_unstable();
    tags.dedup();
    Field::Value(tags)
}

/// A conversation: a list of `{speaker, phrase, start}`. Its filled form in webhooks has not been seen, so a
/// bare text is taken as one phrase of nobody, `text` is taken for `phrase`, and what holds no words is left
/// out.
pub(crate) fn phrases(value: &Json) -> Field<Vec<Phrase>> {
    let Json::Array(items) = value else {
        return text(value).and_then(|text| Some(vec![unattributed(text)]));
    };
    if items.is_empty() {
        return Field::Empty;
    }
    let phrases: Vec<Phrase> = items.iter().filter_map(phrase).collect();
    if phrases.is_empty() {
        Field::Absent
    } else {
        Field::Value(phrases)
    }
}

fn phrase(value: &Json) -> Option<Phrase> {
    let Json::Object(object) = value else {
        return text(value).into_value().map(unattributed);
    };
    let words = |key| object.get(key).and_then(|value| text(value).into_value());
    Some(Phrase {
        speaker: words("speaker").unwrap_or_default(),
        text: words("phrase").or_else(|| words("text"))?,
        start_seconds: words("start")
            .and_then(|start| start.parse().ok())
            .filter(|start: &f64| start.is_finite() && *start >= 0.0),
    })
}

fn unattributed(text: String) -> Phrase {
    Phrase {
        speaker: String::new(),
        text,
        start_seconds: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a decoder makes of a JSON value.
    fn of<T>(decoder: fn(&Json) -> Field<T>, value: &Value) -> Field<T> {
        decoder(&value.into())
    }

    /// Asserts what a decoder makes of each JSON value.
    fn reads<T: PartialEq + std::fmt::Debug>(decoder: fn(&Json) -> Field<T>, cases: Vec<(Value, Field<T>)>) {
        for (value, expected) in cases {
            assert_eq!(of(decoder, &value), expected, "from {value}");
        }
    }

    fn owned(text: &str) -> Field<String> {
        Field::Value(text.to_owned())
    }

    fn strings(texts: &[&str]) -> Field<Vec<String>> {
        Field::Value(texts.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn text_is_trimmed_and_blank_text_is_empty() {
        let cases = vec![
            (json!(" Jane\t"), owned("Jane")),
            (json!(""), Field::Empty),
            (json!(" \n\u{a0}"), Field::Empty),
            (json!(null), Field::Empty),
            (json!(250), owned("250")),
            (json!(1.5), owned("1.5")),
            (json!(false), owned("false")),
            (json!("a\0b"), owned("a\0b")),
            (json!([]), Field::Absent),
            (json!({}), Field::Absent),
        ];
        reads(text, cases);
    }

    #[test]
    fn booleans_come_as_words_and_digits_too() {
        let yes = [json!(true), json!("true"), json!("TRUE"), json!("1"), json!(1)];
        let no = [json!(false), json!("false"), json!("False"), json!("0"), json!(0)];
        let junk = [json!("yes"), json!(2), json!(-1), json!([true])];
        reads(boolean, yes.map(|value| (value, Field::Value(true))).to_vec());
        reads(boolean, no.map(|value| (value, Field::Value(false))).to_vec());
        reads(boolean, junk.map(|value| (value, Field::Absent)).to_vec());
        reads(
            boolean,
            vec![(json!(""), Field::Empty), (json!(null), Field::Empty)],
        );
    }

    #[test]
    fn durations_are_whole_seconds_of_at_most_ten_days() {
        let good = [
            (json!(184), 184),
            (json!("13"), 13),
            (json!("0"), 0),
            (json!(27.0), 27),
            (json!(864_000), 864_000),
        ];
        reads(
            seconds,
            good.map(|(value, expected)| (value, Field::Value(expected)))
                .to_vec(),
        );
        let junk = [
            json!(-1),
            json!("-1"),
            json!(1.5),
            json!("3m 4s"),
            json!("1e3"),
            json!("+5"),
            json!("184.0"),
            json!(864_001),
            json!(u64::MAX),
            json!(1e300),
            json!("9".repeat(10_000)),
            json!(true),
        ];
        reads(seconds, junk.map(|value| (value, Field::Absent)).to_vec());
        reads(
            seconds,
            vec![(json!(""), Field::Empty), (json!(null), Field::Empty)],
        );
    }

    #[test]
    fn times_are_utc_whatever_the_offset() {
        let expected = "2026-11-20T19:03:20.236Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2026-11-20T14:03:20.236-05:00",
            "2026-11-20T19:03:20.236Z",
            "2026-11-21T00:33:20.236+05:30",
        ] {
            assert_eq!(of(time, &json!(text)), Field::Value(expected), "{text}");
        }
        let without_zone = "2026-11-20T19:03:20Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(
            of(time, &json!("2026-11-20 19:03:20")),
            Field::Value(without_zone)
        );
    }

    #[test]
    fn times_that_no_call_can_have_are_not_believed() {
        for text in [
            "1999-12-31T23:59:59Z",
            "2101-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "+262142-01-01T00:00:00Z",
            "0000-00-00 00:00:00",
            "2026-02-30T00:00:00Z",
            "2026-11-20",
            "2026-11-20T19:03:20",
            "yesterday",
        ] {
            assert_eq!(of(time, &json!(text)), Field::Absent, "{text}");
        }
        assert_eq!(of(time, &json!(1_700_000_000)), Field::Absent);
        assert!(of(time, &json!("2000-01-01T00:00:00Z")).value().is_some());
        assert!(of(time, &json!("2100-12-31T23:59:59Z")).value().is_some());
    }

    #[test]
    fn a_leap_second_and_nanoseconds_become_what_databases_keep() {
        let next = "2017-01-01T00:00:00.5Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(of(time, &json!("2016-12-31T23:59:60.5Z")), Field::Value(next));
        let micros = "2026-11-20T19:03:20.123456Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(
            of(time, &json!("2026-11-20T19:03:20.123456789Z")),
            Field::Value(micros)
        );
    }

    #[test]
    fn both_spellings_of_abandoned_are_read() {
        for spelling in ["abandoned", "abandonded", "Abandoned"] {
            assert_eq!(of(call_type, &json!(spelling)), Field::Value(CallType::Abandoned));
            let lower = spelling.to_ascii_lowercase();
            assert_eq!(
                serde_json::from_value::<CallType>(json!(lower)).unwrap(),
                CallType::Abandoned
            );
        }
    }

    #[test]
    fn call_types_and_directions_are_known_words() {
        for known in [
            CallType::Abandoned,
            CallType::Answered,
            CallType::InProgress,
            CallType::Missed,
            CallType::Outbound,
            CallType::Voicemail,
            CallType::VoicemailTranscription,
        ] {
            assert_eq!(
                of(call_type, &json!(known.as_str().to_uppercase())),
                Field::Value(known)
            );
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
        }
        for known in [Direction::Inbound, Direction::Outbound] {
            assert_eq!(of(direction, &json!(known.as_str())), Field::Value(known));
            assert_eq!(serde_json::to_value(known).unwrap(), known.as_str());
        }
        assert_eq!(of(call_type, &json!("busy")), Field::Absent);
        assert_eq!(of(direction, &json!("sideways")), Field::Absent);
        assert_eq!(of(direction, &json!("")), Field::Empty);
    }

    #[test]
    fn tags_become_a_sorted_set() {
        let cases = vec![
            (json!(["b", " a ", "b", "", null]), strings(&["a", "b"])),
            (
                json!([{"id": 2, "name": "b"}, {"id": 1, "name": "a"}]),
                strings(&["a", "b"]),
            ),
            (json!("Booked, today"), strings(&["Booked, today"])),
            (json!([]), strings(&[])),
            (json!(""), strings(&[])),
            (json!(null), strings(&[])),
            (json!(["a", {"id": 1}]), Field::Absent),
            (json!(["a", ["b"]]), Field::Absent),
            (json!({"id": 1, "name": "a"}), Field::Absent),
            (json!(7), Field::Absent),
        ];
        reads(tags, cases);
    }

    #[test]
    fn a_summary_is_text_or_lines() {
        let cases = vec![
            (json!("One."), owned("One.")),
            (json!(["One.", "", " Two. "]), owned("One.\nTwo.")),
            (json!([]), Field::Empty),
            (json!([""]), Field::Empty),
            (json!(null), Field::Empty),
            (json!([{}]), Field::Absent),
        ];
        reads(lines, cases);
    }

    #[test]
    fn a_conversation_is_read_phrase_by_phrase() {
        let said = |speaker: &str, text: &str, start_seconds| Phrase {
            speaker: speaker.to_owned(),
            text: text.to_owned(),
            start_seconds,
        };
        let cases = vec![
            (
                json!([
                    {"speaker": "Agent", "phrase": "Hi.", "start": 1.2},
                    {"speaker": "Caller", "text": "Hello.", "start": "4"},
                ]),
                Field::Value(vec![
                    said("Agent", "Hi.", Some(1.2)),
                    said("Caller", "Hello.", Some(4.0)),
                ]),
            ),
            (
                json!([{"phrase": "Hi.", "start": -1}, {"speaker": "Agent"}, "Hello."]),
                Field::Value(vec![said("", "Hi.", None), said("", "Hello.", None)]),
            ),
            (
                json!("Hi. Hello."),
                Field::Value(vec![said("", "Hi. Hello.", None)]),
            ),
            (json!([]), Field::Empty),
            (json!(""), Field::Empty),
            (json!(null), Field::Empty),
            (json!([{}]), Field::Absent),
            (json!({}), Field::Absent),
        ];
        reads(phrases, cases);
    }
}
