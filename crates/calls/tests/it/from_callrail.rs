//! What becomes of a body: which is a call, what is read of it, and that nothing in it can harm what comes after.

use calls::{
    CallEvent, CompanyId, Direction, EventKind, Origin, Receipt, Region, Stage, Unreadable, from_callrail,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Body, answered, at, original, row, sample};

#[test]
fn what_is_no_call_is_refused() {
    for name in [
        "text_message_received",
        "text_message_received_docs",
        "text_message_received_mms",
        "text_message_sent",
        "form_submission",
        "form_submission_docs",
        "convert_assist_complete",
    ] {
        let read = sample(name).read(EventKind::PostCall, 0);
        assert!(matches!(read, Err(Unreadable::NotACall(_))), "{name}: {read:?}");
    }
}

#[test]
fn a_call_without_an_id_is_refused() {
    for body in [
        answered().without("resource_id"),
        answered().with("resource_id", ""),
        answered().with("resource_id", 1.5),
    ] {
        assert!(matches!(
            body.read(EventKind::PostCall, 0),
            Err(Unreadable::NotACall(_))
        ));
    }
}

#[test]
fn the_reason_of_a_refusal_repeats_nothing_of_the_body() {
    let refused = answered()
        .with("resource_id", "jane@example.com")
        .read(EventKind::PostCall, 0)
        .unwrap_err();
    assert_eq!(refused.to_string(), "the body is not a call");
    let refused = answered()
        .with("duration", "jane@example.com")
        .read(EventKind::PostCall, 0)
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the call is over, but `duration` is missing or unreadable"
    );
}

#[test]
fn an_ended_call_without_what_a_row_needs_is_refused() {
    let missing = |body: Body| match body.read(EventKind::PostCall, 0) {
        Err(Unreadable::Incomplete(field)) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        missing(answered().without("start_time").without("created_at")),
        "start_time"
    );
    assert_eq!(missing(answered().without("duration")), "duration");
    assert_eq!(missing(answered().with("duration", "99999999")), "duration");
    assert_eq!(missing(answered().with("duration", -1)), "duration");
    assert_eq!(
        missing(answered().without("answered").with("call_type", "outbound")),
        "answered"
    );
}

#[test]
fn a_ringing_call_needs_no_more_than_its_id() {
    let event =
        Body([("resource_id".to_owned(), json!("CAL1"))].into_iter().collect()).event(EventKind::PreCall, 0);
    assert_eq!(
        (event.call.stage, event.call.facts.started_at),
        (Stage::Ringing, None)
    );
}

#[test]
fn a_start_that_nobody_can_believe_is_taken_from_the_creation() {
    let created: DateTime<Utc> = "2026-11-20T19:03:20.252Z".parse().unwrap();
    for start in [
        "9999-12-31T23:59:59Z",
        "1601-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "soon",
        "",
    ] {
        let event = answered().with("start_time", start).post_call(0);
        assert_eq!(event.call.facts.started_at, Some(created), "{start}");
    }
    let both = answered()
        .with("start_time", "9999-12-31T23:59:59Z")
        .with("created_at", "+262143-01-01T00:00:00Z");
    assert!(matches!(
        both.read(EventKind::PostCall, 0),
        Err(Unreadable::Incomplete("start_time"))
    ));
}

#[test]
fn the_url_says_the_kind_and_the_shape_only_lowers_the_stage() {
    let stage = |body: Body, kind| body.event(kind, 0).call.stage;
    let ended = [
        EventKind::PostCall,
        EventKind::CallModified,
        EventKind::OutboundPostCall,
        EventKind::OutboundCallModified,
        EventKind::Import,
    ];
    for kind in ended {
        assert_eq!(stage(answered(), kind), Stage::Ended);
        assert_eq!(
            stage(answered().with("call_type", "in_progress"), kind),
            Stage::Routed
        );
        assert_eq!(stage(sample("pre_call"), kind), Stage::Routed);
        let of_new_types = answered().with("recording", json!({})).with("note", json!([1]));
        assert_eq!(stage(of_new_types.with("value", json!({})), kind), Stage::Ended);
    }
    assert_eq!(stage(answered(), EventKind::PreCall), Stage::Ringing);
    assert_eq!(stage(answered(), EventKind::RoutingComplete), Stage::Routed);
}

#[test]
fn webhook_and_api_say_the_same_of_one_call() {
    let webhook = sample("call_modified_tags")
        .without("changes")
        .call_modified(0)
        .call;
    let api = sample("call_modified_tags").import(0).call;
    assert_eq!(webhook.facts, api.facts);
    assert_eq!(webhook.attribution, api.attribution);
    assert_eq!(webhook.judgement, api.judgement);
    assert_eq!(webhook.transcript, api.transcript);
    let objects = answered().with(
        "tags",
        json!([{"id": 7, "name": "VIP"}, {"id": 3, "name": "Booked"}]),
    );
    let strings = answered().with("tags", json!(["Booked", "VIP", "Booked"]));
    assert_eq!(objects.post_call(0).digest(), strings.post_call(0).digest());
}

#[test]
fn the_company_is_that_of_the_body_or_else_that_of_the_key() {
    let company = |body: Body| {
        let receipt = Receipt {
            event_id: Uuid::now_v7(),
            kind: EventKind::PostCall,
            origin: Origin::Webhook,
            observed_at: at(0),
            import_id: None,
            company: Some(CompanyId::parse("COMkey").unwrap()),
        };
        from_callrail((&body.0).into(), receipt, Region::US.into())
            .unwrap()
            .company
            .unwrap()
            .to_string()
    };
    assert_eq!(company(answered()), "COMf168ccdd91544c5a8c871bd4b9b757c5");
    assert_eq!(
        company(answered().without("company_resource_id")),
        "COMkey",
        "the number is no company id"
    );
}

#[test]
fn a_direction_that_is_missing_follows_the_url() {
    let direction = |kind| {
        answered()
            .without("direction")
            .event(kind, 0)
            .call
            .facts
            .direction
    };
    assert_eq!(direction(EventKind::PostCall), Direction::Inbound);
    assert_eq!(direction(EventKind::OutboundPostCall), Direction::Outbound);
}

#[test]
fn numbers_without_a_country_code_belong_to_the_customers_country() {
    let british = answered()
        .with("customer_phone_number", "020 7946 0123")
        .with("customer_country", "GB");
    assert_eq!(
        row(&[british.post_call(0)]).unwrap().call_from_number.as_deref(),
        Some("+442079460123")
    );
}

#[test]
fn an_endless_number_is_cut_and_matches_nobody() {
    let event = answered()
        .with("customer_phone_number", "4".repeat(10_000))
        .post_call(0);
    let customer = event.call.facts.customer.as_ref().unwrap();
    assert_eq!((customer.e164.is_none(), customer.text.len()), (true, 64));
    assert!(row(&[event]).unwrap().notes.len() < 300);
}

#[test]
fn no_nul_character_survives_anywhere() {
    let body = answered()
        .with("note", "a\0b")
        .with("transcription", "\0")
        .with("customer_name", "DOE\0JANE")
        .with("changes", json!(["no\0te"]))
        .with("un\0known", json!({"deep\0er": ["x\0", {"y\0": "\0"}]}))
        .with("custom", json!({"deep\0er": [{"y\0": "\0"}]}))
        .with(
            "conversational_transcript",
            json!([{"spea\0ker": "A", "phrase": "Hi\0."}]),
        );
    let event = body.call_modified(0);
    assert_eq!(event.changes, ["note"]);
    let encoded = String::from_utf8(event.encode()).unwrap();
    assert!(
        !encoded.contains('\0') && !encoded.contains("\\u0000"),
        "{encoded}"
    );
    let row = row(&[event]).unwrap();
    assert_eq!(
        (row.customer_name.as_deref(), row.transcription.as_deref()),
        (Some("DOEJANE"), Some("A: Hi."))
    );
}

#[test]
fn card_data_is_in_no_event() {
    const CARD: &str = "4111 1111 1111 1111";
    let body = answered()
        .with("note", CARD)
        .with("tags", json!([CARD]))
        .with("tag", CARD)
        .with("detail_tags", json!([CARD]))
        .with("transcription", format!("It is {CARD}, thanks."))
        .with(
            "conversational_transcript",
            crate::call::phrases(&[("Caller", CARD)]),
        )
        .with("call_summary", json!([CARD]))
        .with("keypad_entries", "4111111111111111")
        .with(
            "custom",
            json!({"keypad_entries": "4111111111111111", "said": [{"deeper": 4_111_111_111_111_111_u64}]}),
        );
    let encoded = String::from_utf8(body.call_modified(0).encode()).unwrap();
    assert!(
        !encoded.contains(CARD) && !encoded.contains("4111111111111111"),
        "{encoded}"
    );
}

#[test]
fn unknown_fields_are_kept_however_deep() {
    let deep = (0..100).fold(json!("bottom"), |inner, level| {
        if level % 2 == 0 {
            json!([inner])
        } else {
            json!({"a": inner})
        }
    });
    let event = answered().with("from_the_future", deep.clone()).post_call(0);
    assert_eq!(original(&event)["from_the_future"], deep);
    assert_eq!(CallEvent::decode(&event.encode()).unwrap(), event);
    assert_eq!(
        event.digest(),
        answered().post_call(0).digest(),
        "what is not understood is no other state"
    );
}

#[test]
fn the_raw_object_is_the_body_but_for_what_was_redacted() {
    for name in [
        "pre_call",
        "call_routing_complete",
        "post_call_voicemail",
        "call_modified_transcription",
    ] {
        let event = sample(name).event(EventKind::CallModified, 0);
        assert_eq!(original(&event), Value::Object(sample(name).0), "{name}");
    }
}

#[test]
fn times_are_whole_microseconds() {
    let receipt = Receipt {
        event_id: Uuid::now_v7(),
        kind: EventKind::PostCall,
        origin: Origin::Webhook,
        observed_at: "2026-11-20T19:06:24.123456789Z".parse().unwrap(),
        import_id: None,
        company: None,
    };
    let body = answered().with("start_time", "2026-11-20T14:03:20.123456789-05:00");
    let event = from_callrail((&body.0).into(), receipt, Region::US.into()).unwrap();
    assert_eq!(event.observed_at.to_rfc3339(), "2026-11-20T19:06:24.123456+00:00");
    assert_eq!(
        event.call.facts.started_at.unwrap().to_rfc3339(),
        "2026-11-20T19:03:20.123456+00:00"
    );
}

#[test]
fn changes_are_a_sorted_set() {
    let event = answered()
        .with("changes", json!(["tags", "note", "tags"]))
        .call_modified(0);
    assert_eq!(event.changes, ["note", "tags"]);
    let other = answered()
        .with("changes", json!(["note", "tags"]))
        .call_modified(0);
    assert_eq!(event.digest(), other.digest());
}
