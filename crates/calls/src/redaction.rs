//! Takes card data out of what callers say, before anything can become durable.
//!
//! Luhn's check accepts one in ten of all digit strings of that length, so it is only ever run over free text,
//! never over identifiers, numbers, links or times.

use serde_json::{Map, Value};

/// Fields whose text people spoke or typed, at any depth below them.
const FREE_TEXT: [&str; 11] = [
    "call_highlights",
    "call_summary",
    "conversational_transcript",
    "custom",
    "detail_tags",
    "lead_explanation",
    "note",
    "tag",
    "tags",
    "transcription",
    "voice_assist_message",
];

/// What a caller typed on the keypad: as likely a card as anything else, so never kept.
const KEYPAD: &str = "keypad_entries";

const CARD_REMOVED: &str = "[card number removed]";
const KEYPAD_REMOVED: &str = "[removed]";

/// The shortest and the longest card number (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Redacts a call object, and drops the NUL characters that PostgreSQL cannot store, everywhere in it.
/// Doing it again changes nothing.
pub(crate) fn redact_object(object: &mut Map<String, Value>) {
    redact_members(object, false);
}

/// Redacts an object of which everything is free text, or only the fields known for it.
fn redact_members(object: &mut Map<String, Value>, free_text: bool) {
    let nul_in_a_key = object.keys().any(|key| key.contains('\0'));
    if nul_in_a_key {
        *object = std::mem::take(object)
            .into_iter()
            .map(|(key, value)| (key.replace('\0', ""), value))
            .collect();
    }
    for (key, value) in object.iter_mut() {
        if key == KEYPAD {
            if !is_empty(value) {
                *value = Value::String(KEYPAD_REMOVED.to_owned());
            }
        } else {
            redact_value(value, free_text || FREE_TEXT.contains(&key.as_str()));
        }
    }
}

/// Redacts text of unknown shape: a body that could not be read.
pub(crate) fn redact_text(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        redacted.push_str(&rest[..start]);
        let run = digit_run(&rest[start..]);
        redacted.push_str(&redact_run(run));
        rest = &rest[start + run.len()..];
    }
    redacted.push_str(rest);
    redacted
}

fn redact_value(value: &mut Value, free_text: bool) {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                *text = text.replace('\0', "");
            }
            if free_text {
                *text = redact_text(text);
            }
        }
        Value::Number(number) if free_text => {
            let text = number.to_string();
            let redacted = redact_text(&text);
            if redacted != text {
                *value = Value::String(redacted);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact_value(value, free_text)),
        Value::Object(object) => redact_members(object, free_text),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// The digits at the start of `text`, with single spaces or dashes between them.
fn digit_run(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let separator =
            matches!(bytes[end], b' ' | b'-') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !bytes[end].is_ascii_digit() && !separator {
            break;
        }
        end += 1;
    }
    &text[..end]
}

/// Replaces every card number in a run of digits and separators; the longest one from the left.
fn redact_run(run: &str) -> String {
    let digits: Vec<(usize, u32)> = run
        .char_indices()
        .filter_map(|(at, c)| c.to_digit(10).map(|digit| (at, digit)))
        .collect();
    let mut redacted = String::with_capacity(run.len());
    let mut kept_to = 0;
    let mut from = 0;
    while from + CARD_DIGITS.start() <= digits.len() {
        let card = CARD_DIGITS.rev().find(|length| {
            digits
                .get(from..from + length)
                .is_some_and(|window| passes_luhn(window.iter().map(|&(_, digit)| digit)))
        });
        let Some(length) = card else {
            from += 1;
            continue;
        };
        redacted.push_str(&run[kept_to..digits[from].0]);
        redacted.push_str(CARD_REMOVED);
        from += length;
        kept_to = digits[from - 1].0 + 1;
    }
    redacted.push_str(&run[kept_to..]);
    redacted
}

/// Luhn's check (ISO/IEC 7812-1, annex B). A row of one and the same digit is no card.
fn passes_luhn(digits: impl DoubleEndedIterator<Item = u32> + Clone) -> bool {
    let mut distinct = digits.clone();
    let first = distinct.next();
    if distinct.all(|digit| Some(digit) == first) {
        return false;
    }
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_card_number_is_taken_out_of_what_was_said() {
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "378282246310005",
        ] {
            let said = format!("my card is {card}, thanks");
            assert_eq!(redact_text(&said), "my card is [card number removed], thanks");
        }
    }

    #[test]
    fn a_card_number_is_found_inside_a_longer_run() {
        assert_eq!(
            redact_text("19 4111 1111 1111 1111 123"),
            "19 [card number removed] 123"
        );
    }

    #[test]
    fn telephone_numbers_and_times_in_a_note_stay() {
        let note = "call back 404-555-0123 at 14:30 on 2026-11-20, order 123456789012";
        assert_eq!(redact_text(note), note);
    }

    #[test]
    fn only_free_text_is_searched() {
        let mut object = json!({
            "resource_id": "4111111111111111",
            "customer_phone_number": "+4111111111111111",
            "note": "4111111111111111",
            "conversational_transcript": [{"phrase": "it is 4111 1111 1111 1111", "start": 1.5}],
            "milestones": {"first_touch": {"landing": "https://x/?id=4111111111111111"}},
        })
        .as_object()
        .unwrap()
        .clone();
        redact_object(&mut object);
        assert_eq!(
            Value::Object(object),
            json!({
                "resource_id": "4111111111111111",
                "customer_phone_number": "+4111111111111111",
                "note": "[card number removed]",
                "conversational_transcript": [{"phrase": "it is [card number removed]", "start": 1.5}],
                "milestones": {"first_touch": {"landing": "https://x/?id=4111111111111111"}},
            })
        );
    }

    #[test]
    fn keypad_entries_are_never_kept() {
        let mut object = json!({"keypad_entries": "12", "x": {"keypad_entries": [1, 2]}})
            .as_object()
            .unwrap()
            .clone();
        redact_object(&mut object);
        assert_eq!(
            Value::Object(object),
            json!({"keypad_entries": "[removed]", "x": {"keypad_entries": "[removed]"}})
        );
    }

    #[test]
    fn nul_characters_are_dropped_from_keys_and_text() {
        let mut object = json!({"a\0b": "c\0d", "e": ["\0"]}).as_object().unwrap().clone();
        redact_object(&mut object);
        assert_eq!(Value::Object(object), json!({"ab": "cd", "e": [""]}));
    }

    proptest! {
        #[test]
        fn redacting_again_changes_nothing(text in "[0-9 a-z\\-]{0,60}") {
            let once = redact_text(&text);
            prop_assert_eq!(redact_text(&once), once);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = redact_text(&text);
        }
    }
}
