//! What is removed, what stays, and that no input does harm.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const CARDS_ONLY: Redaction = Redaction {
    bank_accounts: false,
    social_security_numbers: false,
};
const EVERYTHING: Redaction = Redaction {
    bank_accounts: true,
    social_security_numbers: true,
};

/// Asserts what becomes of texts, each with what is removed in its place: `card`, `details`, `bank`, `social`.
fn becomes(redaction: Redaction, cases: &[(&str, &str)]) {
    let with_labels = |text: &str| {
        text.replace("{card}", CARD_REMOVED)
            .replace("{details}", DETAILS_REMOVED)
            .replace("{bank}", BANK_REMOVED)
            .replace("{social}", SOCIAL_SECURITY_REMOVED)
    };
    for (text, expected) in cases {
        let (text, expected) = (with_labels(text), with_labels(expected));
        let redacted = redaction.redact_text(&text);
        assert_eq!(redacted, expected, "from: {text}");
        assert_eq!(redaction.redact_text(&redacted), redacted);
    }
}

fn stays(redaction: Redaction, texts: &[&str]) {
    let cases: Vec<(&str, &str)> = texts.iter().map(|text| (*text, *text)).collect();
    becomes(redaction, &cases);
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// What becomes of an object.
fn without(redaction: Redaction, object: &Map<String, Value>) -> Map<String, Value> {
    let mut redacted = Object::from(object);
    redaction.redact_object(&mut redacted);
    self::object(serde_json::to_value(&redacted).unwrap())
}

fn redacted(value: Value) -> Value {
    Value::Object(without(CARDS_ONLY, &object(value)))
}

#[test]
fn a_card_number_is_found_however_its_digits_are_written() {
    becomes(
        CARDS_ONLY,
        &[
            ("my card is 4111111111111111, thanks", "my card is {card}, thanks"),
            ("4111 1111 1111 1111", "{card}"),
            ("4111-1111-1111-1111", "{card}"),
            ("4111.1111.1111.1111.", "{card}."),
            ("4111, 1111, 1111, 1111", "{card}"),
            ("4111\u{a0}1111\n1111\t1111", "{card}"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "{card}"),
            ("41 11 11 11 11 11 11 11", "{card}"),
            ("411 111 111 111 111 1", "{card}"),
            ("Amex 3782 822463 10005", "Amex {card}"),
            ("Diners 3056 930902 5904", "Diners {card}"),
            ("two: 4111111111111111 5500000000000004", "two: {card}"),
            ("19 4111 1111 1111 1111", "19 {card}"),
            ("card4111111111111111", "card{card}"),
            ("Visa4111 1111 1111 1111", "Visa{card}"),
            ("4111 1111 1111 1111exp", "{card}exp"),
            ("4111-1111-1111-1111cvv 123", "{card}cvv {details}"),
            ("4111 1111 1111 1111cvv123", "{card}cvv{details}"),
            ("4111·1111·1111·1111", "{card}"),
            ("4111|1111|1111|1111", "{card}"),
            ("4111\u{200b}1111\u{200b}1111\u{200b}1111", "{card}"),
            ("4111\u{ad}1111\u{ad}1111\u{ad}1111", "{card}"),
            ("ref 999941111111111111119999", "ref {card}"),
            ("4111 1111 1111 1111123", "{card}"),
            ("%B4111111111111111^DOE/JANE^", "%B{card}^DOE/JANE^"),
            ("４１１１１１１１１１１１１１１１", "{card}"),
            ("4111 1111, um, okay, 1111 and 1111", "{card}"),
            (
                "Caller: 4111 1111. Agent: Okay. Caller: 1111 1111.",
                "Caller: {card}.",
            ),
        ],
    );
}

#[test]
fn a_spoken_card_number_is_found() {
    becomes(
        CARDS_ONLY,
        &[
            (
                "it's four one one one, one one one one, one one one one, one one one one. Okay?",
                "it's {card}. Okay?",
            ),
            (
                "Forty one eleven, eleven eleven, eleven eleven, eleven eleven",
                "{card}",
            ),
            (
                "forty-one eleven eleven eleven eleven eleven eleven eleven",
                "{card}",
            ),
            (
                "five five oh oh, triple zero zero, double oh double oh, zero zero zero four",
                "{card}",
            ),
            (
                "fifty-five hundred, quadruple zero, zero zero zero zero, zero zero zero four",
                "{card}",
            ),
            ("four triple one 1111 one one one one 1111", "{card}"),
            ("double five double oh 0000 0000 0004", "{card}"),
        ],
    );
}

#[test]
fn expiry_and_security_code_go_with_the_card() {
    becomes(
        CARDS_ONLY,
        &[
            ("19 4111 1111 1111 1111 123", "19 {card} {details}"),
            (
                "4111111111111111 exp 04/27 cvv 123 zip 30301",
                "{card} exp {details} cvv {details} zip 30301",
            ),
            (
                "4111111111111111, expires oh four twenty seven, and the code is one two three",
                "{card}, expires {details}, and the code is {details}",
            ),
            ("4111111111111111 12/2028", "{card} {details}"),
            ("4111111111111111 12/28, 123", "{card} {details}"),
            ("4111111111111111, April 27", "{card}, April {details}"),
            (
                "expiring 4/27, number 4111111111111111",
                "expiring {details}, number {card}",
            ),
            (
                "4111111111111111 for $250, call 404-555-0123 at 14:30 on 11/20/2026, 300 dollars",
                "{card} for $250, call 404-555-0123 at 14:30 on 11/20/2026, 300 dollars",
            ),
            ("the security code is 1234", "the security code is {details}"),
            ("CVV: one two three.", "CVV: {details}."),
            ("cvv2=123&x=1", "cvv2={details}&x=1"),
            ("{card} 123", "{card} {details}"),
        ],
    );
}

#[test]
fn what_is_no_card_stays() {
    stays(
        CARDS_ONLY,
        &[
            "call back 404-555-0123 at 14:30 on 2026-11-20, order 123456789012",
            "(404) 555-0123, 404.555.0199 or +1 212 555 0177",
            "4045550123 4045550199 2125550177",
            "404-555-0123 404-555-0199 212-555-0177 312-555-0144",
            "+14045550123, +442079460123, +44 20 7946 0958",
            "four oh four, five five five, oh one two three",
            "4111111111111112",
            "0000 0000 0000 0000",
            "It is 20 degrees, we are at 1200 Main Street, 30301 Atlanta, in 5 or 10 minutes",
            "one of the two called for two hours to say that it's double the price",
            "account 12345678, routing number 021000021, ssn 219-09-9999",
            "",
        ],
    );
}

#[test]
fn bank_accounts_go_when_it_is_set() {
    let only = "bank-accounts".parse().unwrap();
    becomes(
        only,
        &[
            (
                "routing number 021000021, account number 1234567890123",
                "routing number {bank}, account number {bank}",
            ),
            (
                "my bank's routing is oh two one, zero zero zero, oh two one",
                "my bank's routing is {bank}",
            ),
            (
                "checking account four five six seven eight nine",
                "checking account {bank}",
            ),
        ],
    );
    stays(
        only,
        &[
            "account 12345678 with the water works",
            "routing number 021000022",
            "order 021000021",
            "bank account? Call 404-555-0123",
            "ssn 219-09-9999",
        ],
    );
}

#[test]
fn social_security_numbers_go_when_it_is_set() {
    let only = "social-security-numbers".parse().unwrap();
    becomes(
        only,
        &[
            ("it is 219-09-9999.", "it is {social}."),
            (
                "social security number: 219099999",
                "social security number: {social}",
            ),
            (
                "my social is two one nine, oh nine, nine nine nine nine",
                "my social is {social}",
            ),
        ],
    );
    stays(
        only,
        &[
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "219-00-9999",
            "order 219099999",
        ],
    );
}

#[test]
fn what_to_redact_is_read_as_a_list() {
    assert_eq!("".parse(), Ok(CARDS_ONLY));
    assert_eq!(" bank-accounts , social-security-numbers".parse(), Ok(EVERYTHING));
    assert_eq!("cards".parse::<Redaction>(), Err(InvalidRedaction));
}

#[test]
fn only_what_people_say_is_searched() {
    let kept = json!({
        "resource_id": "4111111111111111",
        "customer_phone_number": "+4111111111111111",
        "milestones": {"first_touch": {"landing": "https://x/?id=4111111111111111"}},
        "good_lead_call_id": 4_111_111_111_111_111_u64,
    });
    assert_eq!(redacted(kept.clone()), kept);
    assert_eq!(
        redacted(json!({
            "note": "4111111111111111",
            "tags": ["VIP", "4111111111111111"],
            "from_the_future": {"resource_id": ["4111111111111111"], "number": 4_111_111_111_111_111_u64},
            "4111111111111111": "a name may be anything, too",
        })),
        json!({
            "note": CARD_REMOVED,
            "tags": ["VIP", CARD_REMOVED],
            "from_the_future": {"resource_id": [CARD_REMOVED], "number": CARD_REMOVED},
            CARD_REMOVED: "a name may be anything, too",
        })
    );
}

#[test]
fn a_card_number_is_found_over_phrases_and_among_speakers() {
    let said = |speaker: &str, phrase: &str| json!({"speaker": speaker, "phrase": phrase, "start": 1.5});
    assert_eq!(
        redacted(json!({"conversational_transcript": [
            said("Caller", "It's 4111 1111"),
            said("Agent", "Okay."),
            said("Caller", "1111, then 1111, thanks."),
        ]})),
        json!({"conversational_transcript": [
            said("Caller", "It's [card number removed]"),
            said("Agent", "Okay."),
            said("Caller", "[card number removed], thanks."),
        ]})
    );
    assert_eq!(
        redacted(json!({"conversational_transcript": [
            said("Caller", "four one one one"),
            said("Agent", "4111."),
            said("Caller", "one one one one"),
            said("Agent", "1111. Go on, please."),
            said("Caller", "one one one one"),
            said("Caller", "one one one one, expires"),
            said("Caller", "04/27"),
        ]})),
        json!({"conversational_transcript": [
            said("Caller", CARD_REMOVED),
            said("Agent", "[card details removed]."),
            said("Caller", CARD_REMOVED),
            said("Agent", "[card details removed]. Go on, please."),
            said("Caller", CARD_REMOVED),
            said("Caller", "[card number removed], expires"),
            said("Caller", DETAILS_REMOVED),
        ]})
    );
}

/// Every object in the recordings of webhooks and of the API, with the name of its file.
fn samples() -> Vec<(String, Map<String, Value>)> {
    fn objects(value: Value, name: &str, found: &mut Vec<(String, Map<String, Value>)>) {
        match value {
            Value::Array(values) => values.into_iter().for_each(|value| objects(value, name, found)),
            Value::Object(object) => {
                found.push((name.to_owned(), object.clone()));
                object.into_values().for_each(|value| objects(value, name, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for folder in ["webhooks", "api"] {
        let folder = format!("{}/../../tests/data/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                objects(value, &path.display().to_string(), &mut found);
            }
        }
    }
    assert!(found.len() > 100, "there are samples");
    found
}

#[test]
fn nothing_in_any_sample_changes() {
    for (name, object) in samples() {
        assert_eq!(without(EVERYTHING, &object), object, "{name}");
        let text = Value::Object(object).to_string();
        assert_eq!(EVERYTHING.redact_text(&text), text, "{name}");
    }
}

#[test]
fn in_every_field_of_every_sample_a_card_number_goes_or_stays_as_the_table_says() {
    const CARD: &str = "4111 1111 1111 1111";
    for (name, object) in samples() {
        for field in object.keys() {
            let mut changed = object.clone();
            changed.insert(field.clone(), CARD.into());
            changed = without(EVERYTHING, &changed);
            let expected = match Content::of_field(field) {
                Content::FreeText => CARD_REMOVED,
                Content::Keypad => KEYPAD_REMOVED,
                Content::Kept => CARD,
            };
            assert_eq!(changed[field], expected, "{field} in {name}");
            changed.insert(field.clone(), object[field].clone());
            assert_eq!(changed, object, "beside {field} in {name}");
        }
    }
}

#[test]
fn keypad_entries_are_never_kept() {
    assert_eq!(
        redacted(
            json!({"keypad_entries": "12", "x": {"keypad_entries": [1, 2]}, "source": {"keypad_entries": 3}})
        ),
        json!({"keypad_entries": "[removed]", "x": {"keypad_entries": "[removed]"},
               "source": {"keypad_entries": "[removed]"}})
    );
    let nothing = json!({"keypad_entries": ""});
    assert_eq!(redacted(nothing.clone()), nothing);
    for (body, expected) in [
        (
            r#"{"keypad_entries":"12#","a":1"#,
            r#"{"keypad_entries":"[removed]","a":1"#,
        ),
        (
            r#"{"keypad_entries" : ["1","2"], "a":1"#,
            r#"{"keypad_entries" : "[removed]", "a":1"#,
        ),
        (
            r#"{"keypad_entries":12,"a":1"#,
            r#"{"keypad_entries":"[removed]","a":1"#,
        ),
        (r#"{"keypad_entries":"","a":1"#, r#"{"keypad_entries":"","a":1"#),
        (r#"{"keypad_entries":null}x"#, r#"{"keypad_entries":null}x"#),
        (
            r#""{\"keypad_entries\":\"12\"}"#,
            r#""{\"keypad_entries\":\"[removed]\"}"#,
        ),
        ("keypad_entries=12&a=1", "keypad_entries=[removed]&a=1"),
        (r#"{"keypad_entries":"12"#, r#"{"keypad_entries":"[removed]"#),
        ("no keypad_entries", "no keypad_entries"),
    ] {
        assert_eq!(CARDS_ONLY.redact_text(body), expected);
        assert_eq!(CARDS_ONLY.redact_text(expected), expected);
    }
}

#[test]
fn a_body_that_cannot_be_read_is_searched_as_it_came() {
    becomes(
        CARDS_ONLY,
        &[
            (
                r#"{"note":"4111\n1111\u00201111\u002d1111""#,
                r#"{"note":"{card}""#,
            ),
            (r#"{"tags":["4111 1111","1111 1111"]"#, r#"{"tags":["{card}"]"#),
            (
                r#"[{"speaker":"Caller","phrase":"4111 \"1111\"","start":1},{"phrase" : "1111 1111.","start":9"#,
                r#"[{"speaker":"Caller","phrase":"{card}\"","start":1},{"phrase" : "{card}.","start":9"#,
            ),
            ("note=4111+1111%201111%2d1111&x=1", "note={card}&x=1"),
            (
                r#"{"callernum":"+14045550123","trackingnum":"+14045550199","duration":"95","prior_calls":0"#,
                r#"{"callernum":"+14045550123","trackingnum":"+14045550199","duration":"95","prior_calls":0"#,
            ),
        ],
    );
}

#[test]
fn nul_characters_are_dropped_from_names_and_text() {
    assert_eq!(
        redacted(json!({"a\0b": "c\0d", "e": ["\0"], "source": {"\0": "\0"}})),
        json!({"ab": "cd", "e": [""], "source": {"": ""}})
    );
}

#[test]
fn no_text_takes_longer_than_its_length() {
    let texts = [
        "4",
        "4 ",
        "one ",
        "double ",
        "4111 1111 1111 1111 ",
        "cvv 123 ",
        "keypad_entries\":\"1\"",
        "\"phrase\":\"4111",
        "+1-",
        "[",
    ];
    for text in texts {
        let text = text.repeat(400_000 / text.len());
        let started = std::time::Instant::now();
        let once = EVERYTHING.redact_text(&text);
        assert!(started.elapsed().as_secs() < 5, "{}", &text[..20]);
        assert!(once == EVERYTHING.redact_text(&once));
    }
}

/// Words and signs of which what matters here is made.
fn pieces() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("4111 1111 1111 1111".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("404-555-0123".to_owned()),
        Just("021000021".to_owned()),
        Just("219-09-9999".to_owned()),
        Just("keypad_entries\":\"12".to_owned()),
        Just(CARD_REMOVED.to_owned()),
        "(one|two|oh|forty|eleven|double|hundred|okay|Caller|cvv|security|code|social|account|bank|April)",
        "[0-9]{1,5}",
        "[-+ .,:/$\"\\\\\\[\\]=%x\u{e9}\n]",
    ];
    proptest::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn redacting_again_changes_nothing(text in pieces(), tight in "[0-9 a-z\\-.+,/]{0,80}") {
        for text in [text, tight] {
            for redaction in [CARDS_ONLY, EVERYTHING] {
                let once = redaction.redact_text(&text);
                prop_assert_eq!(redaction.redact_text(&once), once);
            }
        }
    }

    #[test]
    fn redacting_a_conversation_again_changes_nothing(
        said in proptest::collection::vec((pieces(), "[ab]"), 0..8)
    ) {
        let phrases: Vec<Value> = said
            .iter()
            .map(|(phrase, speaker)| json!({"speaker": speaker, "phrase": phrase}))
            .collect();
        let once = redacted(json!({"conversational_transcript": phrases}));
        prop_assert_eq!(redacted(once.clone()), once);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}", any in any::<Vec<u8>>()) {
        EVERYTHING.redact_text(&text);
        EVERYTHING.redact_text(&String::from_utf8_lossy(&any));
    }

    #[test]
    fn a_card_number_is_found_in_any_grouping(
        lengths in proptest::collection::vec(1_usize..=5, 16),
        gap in "( |-|, |\\. | um |\\n)",
    ) {
        let mut rest = "4012888888881881";
        let mut groups = Vec::new();
        for length in lengths {
            let (group, behind) = rest.split_at(length.min(rest.len()));
            groups.push(group);
            rest = behind;
        }
        groups.retain(|group| !group.is_empty());
        let said = format!("It is {}, thanks.", groups.join(&gap));
        prop_assert_eq!(CARDS_ONLY.redact_text(&said), "It is [card number removed], thanks.");
    }
}
