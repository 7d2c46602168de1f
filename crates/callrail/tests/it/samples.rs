//! Reads every sample under `tests/data` and the two forms in which webhooks and API write one call.

use std::fs;

use callrail::{Call, CallType, Direction, Field, NotACall, Object};
use serde_json::{Map, Value, json};

use crate::data::{DATA, api_sample, sample};

fn call(value: Value) -> Call {
    let Value::Object(object) = value else {
        panic!("{value} is no object")
    };
    Call::from_object(&Object::from(&object)).unwrap()
}

fn text(text: &str) -> Field<String> {
    Field::Value(text.to_owned())
}

#[test]
fn every_sample_webhook_is_read_or_refused_for_its_kind() {
    let mut seen = 0;
    for entry in fs::read_dir(format!("{DATA}webhooks")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let other_kind = match name.split('_').next().unwrap() {
            "text" => Some("text message"),
            "form" => Some("form submission"),
            "convert" => Some("Convert Assist"),
            _ => None,
        };
        match (Call::from_slice(&fs::read(&path).unwrap()), other_kind) {
            (Ok(call), None) => assert_eq!(call.unreadable, Vec::<&str>::new(), "{name}"),
            (Err(NotACall::OtherKind(kind)), Some(expected)) => assert_eq!(kind, expected, "{name}"),
            (other, expected) => panic!("{name}: {other:?}, expected {expected:?}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 18);
}

#[test]
fn what_is_not_json_is_refused() {
    let body = sample("webhooks/legacy_query_string.txt");
    assert!(matches!(Call::from_slice(&body), Err(NotACall::NotJson { .. })));
}

#[test]
fn the_documentations_vector_has_a_legacy_id_and_no_company() {
    let call = Call::from_slice(&sample("webhooks/signature-test-vector.json")).unwrap();
    assert_eq!(call.id.as_str(), "766970532");
    assert_eq!(call.company, None);
    assert_eq!(call.call_type, Field::Value(CallType::Voicemail));
    assert_eq!(call.duration, Field::Value(13));
    assert_eq!(call.recording_duration, Field::Value(8));
    assert_eq!(call.conversational_transcript, Field::Empty);
    assert_eq!(call.lead_status, text("previously_marked_good_lead"));
}

#[test]
fn a_pre_call_lacks_what_only_an_ended_call_has() {
    let call = Call::from_slice(&sample("webhooks/pre_call.json")).unwrap();
    assert_eq!(call.answered, Field::Value(false));
    assert_eq!(call.call_type, Field::Value(CallType::Missed));
    assert_eq!(call.duration, Field::Value(0));
    for absent in [
        &call.recording,
        &call.note,
        &call.value,
        &call.business_phone_number,
        &call.transcription,
    ] {
        assert_eq!(*absent, Field::Absent);
    }
    assert_eq!(call.tags, Field::Absent);
}

#[test]
fn a_modified_call_says_what_changed() {
    let call = Call::from_slice(&sample("webhooks/call_modified_transcription.json")).unwrap();
    assert_eq!(
        call.changes,
        ["transcription_text", "call_summary", "recording_duration"]
    );
    assert_eq!(call.conversational_transcript.value().unwrap().len(), 2);
    assert_eq!(
        call.call_summary,
        text("Caller reports a broken furnace and asks for an appointment.")
    );
    assert_eq!(call.tags, Field::Value(vec![]));
    assert_eq!(call.company_name, text("Example Heating & Air"));
    assert_eq!(call.spam, Field::Value(false));
}

#[test]
fn one_call_of_the_api_is_read() {
    let call = call(api_sample("call_single_all_fields.json"));
    assert_eq!(call.unreadable, Vec::<&str>::new());
    assert_eq!(call.id.as_str(), "CAL01a1fa577dac70f6b1ca1ddba8db3bcf");
    assert_eq!(
        call.company.as_ref().unwrap().as_str(),
        "COMf168ccdd91544c5a8c871bd4b9b757c5"
    );
    assert_eq!(call.direction, Field::Value(Direction::Inbound));
    assert_eq!(call.duration, Field::Value(184));
    assert_eq!(call.recording_duration, Field::Value(171));
    assert_eq!(call.value, text("250"));
    assert_eq!(call.utm_content, Field::Empty);
    assert_eq!(call.tags, Field::Value(vec!["Booked".to_owned()]));
    let transcript = call.conversational_transcript.value().unwrap();
    assert_eq!(
        (transcript[1].speaker.as_str(), transcript[1].start_seconds),
        ("Caller", Some(4.8))
    );
}

#[test]
fn a_page_of_the_api_is_read_call_by_call() {
    let mut page = api_sample("calls_list_relative.json");
    let Value::Array(calls) = page["calls"].take() else {
        panic!("no calls")
    };
    let calls: Vec<Call> = calls.into_iter().map(call).collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].business_phone_number, Field::Empty);
    assert_eq!(calls[1].recording_duration, Field::Empty);
    // Asked for by name only, so nothing is said of it here.
    assert_eq!(calls[1].tags, Field::Absent);
    assert!(calls.iter().all(|call| call.unreadable.is_empty()));
}

/// The table of docs/callrail.md, "Payload fields": one key, its form in webhooks and its form in the API.
#[test]
fn both_forms_of_every_field_read_the_same() {
    let strings = |items: &[&str]| Field::Value(items.iter().map(ToString::to_string).collect::<Vec<_>>());
    let with = |key: &str, value: Value| {
        let mut object = Map::from_iter([("resource_id".to_owned(), json!("CAL1"))]);
        object.insert(key.to_owned(), value);
        call(Value::Object(object))
    };

    assert_eq!(
        call(json!({"resource_id": "CAL1"})).id,
        call(json!({"id": "CAL1"})).id
    );
    for form in [json!(true), json!("true")] {
        assert_eq!(with("answered", form.clone()).answered, Field::Value(true));
        assert_eq!(with("first_call", form.clone()).first_call, Field::Value(true));
        assert_eq!(with("voicemail", form.clone()).voicemail, Field::Value(true));
        assert_eq!(with("spam", form).spam, Field::Value(true));
    }
    for form in [json!("13"), json!(13)] {
        assert_eq!(with("duration", form.clone()).duration, Field::Value(13));
        assert_eq!(
            with("recording_duration", form).recording_duration,
            Field::Value(13)
        );
    }
    for empty in [json!(""), json!(null)] {
        assert_eq!(with("duration", empty.clone()).duration, Field::Empty);
        assert_eq!(
            with("recording_duration", empty.clone()).recording_duration,
            Field::Empty
        );
        assert_eq!(with("note", empty.clone()).note, Field::Empty);
        assert_eq!(
            with("business_phone_number", empty.clone()).business_phone_number,
            Field::Empty
        );
        assert_eq!(with("lead_status", empty.clone()).lead_status, Field::Empty);
        assert_eq!(with("value", empty.clone()).value, Field::Empty);
        assert_eq!(with("transcription", empty.clone()).transcription, Field::Empty);
        assert_eq!(
            with("conversational_transcript", empty.clone()).conversational_transcript,
            Field::Empty
        );
        assert_eq!(with("call_summary", empty).call_summary, Field::Empty);
    }
    let number = "+14045550123";
    assert_eq!(
        with("customer_phone_number", json!(number)).customer_phone_number,
        text(number)
    );
    assert_eq!(
        with("tracking_phone_number", json!(number)).tracking_phone_number,
        text(number)
    );
    for form in [json!(["Booked"]), json!([{"id": 7, "name": "Booked"}])] {
        assert_eq!(with("tags", form).tags, strings(&["Booked"]));
    }
    for form in [json!("250"), json!(250)] {
        assert_eq!(with("value", form).value, text("250"));
    }
    for form in [json!("Asked for a visit."), json!(["Asked for a visit."])] {
        assert_eq!(
            with("call_summary", form).call_summary,
            text("Asked for a visit.")
        );
    }
    for form in [
        json!({"company_id": 7, "company_resource_id": "COM1"}),
        json!({"company_id": "COM1"}),
    ] {
        let mut form = form;
        form["id"] = json!("CAL1");
        assert_eq!(call(form).company.unwrap().as_str(), "COM1");
    }
    // Nothing here interprets fields of many shapes.
    for key in [
        "detail_tags",
        "call_highlights",
        "good_lead_call_id",
        "score",
        "speaker_percent",
        "waveforms",
    ] {
        for form in [
            json!(""),
            json!(null),
            json!(1),
            json!([]),
            json!({"agent": "46"}),
        ] {
            assert!(with(key, form).unreadable.is_empty(), "{key}");
        }
    }
}
