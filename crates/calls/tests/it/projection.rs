//! What the row says: every sample by a row written by hand, and the rules of the projection one by one.

use std::slice::from_ref;

use calls::{
    CallId, CompanyId, Direction, EventKind, Group, Interaction, Link, MatchMethod, Outcome, Record,
    SealReason, Seals, explain, interaction_id, project,
};
use serde_json::json;

use crate::call::{API_RECORDING, CALL, CALLER, answered, at, missed, original, row, sample};

#[allow(clippy::unnecessary_wraps, reason = "a column as it stands in the row")]
fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The row of `post_call_answered.json`, from which the other rows differ a little.
fn answered_row() -> Interaction {
    Interaction {
        id: "6f36b1bb-2db7-54c6-864a-e2904b808f65".parse().unwrap(),
        call_sid: CallId::parse(CALL).unwrap(),
        direction: Direction::Inbound,
        outcome: Outcome::Completed,
        call_duration_seconds: 184,
        scheduled_at: "2026-11-20T19:03:20.236Z".parse().unwrap(),
        completed_at: "2026-11-20T19:06:24.236Z".parse().unwrap(),
        notes: "Inbound call, answered, 3 min 4 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads."
            .to_owned(),
        call_recording_url: text(
            "https://app.callrail.com/calls/CAL01a1fa577dac70f6b1ca1ddba8db3bcf/recording/redirect?access_key=2cd11f462a8f2a16",
        ),
        call_from_number: text("+14045550123"),
        call_to_number: text("+14045550150"),
        tracking_number: text("+14045550199"),
        source: text("Google Ads"),
        medium: text("cpc"),
        campaign: None,
        keywords: None,
        landing_page_url: None,
        gclid: None,
        utm_source: text("google"),
        utm_medium: text("cpc"),
        utm_campaign: None,
        utm_term: None,
        utm_content: None,
        transcription: None,
        call_summary: None,
        tags: vec![],
        lead_status: None,
        value: None,
        first_call: Some(true),
        agent_email: text("agent@example.com"),
        company_id: Some(CompanyId::parse("COMf168ccdd91544c5a8c871bd4b9b757c5").unwrap()),
        customer_name: text("DOE JANE"),
        spam: false,
        link: Link { lead_id: None, customer_id: None, method: MatchMethod::NoContact, candidates: vec![] },
    }
}

/// The row of another call of the same caller.
fn other_row(call_sid: &str) -> Interaction {
    let call_sid = CallId::parse(call_sid).unwrap();
    Interaction {
        id: interaction_id(&call_sid),
        call_sid,
        ..answered_row()
    }
}

fn row_of(name: &str, kind: EventKind) -> Interaction {
    row(&[sample(name).event(kind, 0)]).unwrap()
}

#[test]
fn an_answered_call_becomes_this_row() {
    assert_eq!(row_of("post_call_answered", EventKind::PostCall), answered_row());
}

#[test]
fn a_missed_call_becomes_this_row() {
    let expected = Interaction {
        outcome: Outcome::NoAnswer,
        call_duration_seconds: 22,
        scheduled_at: "2026-11-20T20:10:02.001Z".parse().unwrap(),
        completed_at: "2026-11-20T20:10:24.001Z".parse().unwrap(),
        notes:
            "Inbound call, not answered, 22 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads."
                .to_owned(),
        call_recording_url: None,
        call_to_number: None,
        first_call: Some(false),
        agent_email: None,
        ..other_row("CAL01a1fa948d917c0abe51c6e6655d81de")
    };
    assert_eq!(row_of("post_call_missed", EventKind::PostCall), expected);
}

#[test]
fn a_voicemail_becomes_this_row() {
    let expected = Interaction {
        outcome: Outcome::Voicemail,
        call_duration_seconds: 41,
        scheduled_at: "2026-11-20T23:45:10.120Z".parse().unwrap(),
        completed_at: "2026-11-20T23:45:51.120Z".parse().unwrap(),
        notes: "Inbound call, voicemail, 41 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
                Transcription:\nHi, this is Jane, my furnace stopped working, please call me back at 404-555-0123."
            .to_owned(),
        call_recording_url: text(
            "https://app.callrail.com/calls/CAL01a1fb5983e87012a3fa000c5dc26ee6/recording/redirect?access_key=c4f4038281ece8bc",
        ),
        call_to_number: None,
        transcription: text(
            "Hi, this is Jane, my furnace stopped working, please call me back at 404-555-0123.",
        ),
        first_call: Some(false),
        agent_email: None,
        ..other_row("CAL01a1fb5983e87012a3fa000c5dc26ee6")
    };
    assert_eq!(row_of("post_call_voicemail", EventKind::PostCall), expected);
}

#[test]
fn a_call_of_a_visitor_of_the_website_becomes_this_row() {
    let expected = Interaction {
        call_duration_seconds: 95,
        scheduled_at: "2026-11-20T16:20:30.044Z".parse().unwrap(),
        completed_at: "2026-11-20T16:22:05.044Z".parse().unwrap(),
        notes: "Inbound call, answered, 1 min 35 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads."
            .to_owned(),
        call_recording_url: text(
            "https://app.callrail.com/calls/CAL01a1f9c268dc7db5bc9d5a2ca72a85dd/recording/redirect?access_key=fabb06ab6934d7fe",
        ),
        campaign: text("Heating Repair"),
        keywords: text("furnace repair"),
        landing_page_url: text("https://www.example.com/heating?gclid=EXAMPLE&x=1"),
        gclid: text("EXAMPLE"),
        utm_campaign: text("Heating Repair"),
        agent_email: None,
        ..other_row("CAL01a1f9c268dc7db5bc9d5a2ca72a85dd")
    };
    assert_eq!(row_of("post_call_tracker_session", EventKind::PostCall), expected);
}

#[test]
fn a_tagged_call_becomes_this_row() {
    let expected = Interaction {
        tags: vec!["Booked".to_owned()],
        lead_status: text("good_lead"),
        ..answered_row()
    };
    assert_eq!(row_of("call_modified_tags", EventKind::CallModified), expected);
}

#[test]
fn a_transcribed_call_becomes_this_row() {
    let expected = Interaction {
        transcription: text("Thank you for calling Example Heating and Air. Hi, my furnace stopped working."),
        call_summary: text("Caller reports a broken furnace and asks for an appointment."),
        notes: "Inbound call, answered, 3 min 4 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
                Transcription:\nThank you for calling Example Heating and Air. Hi, my furnace stopped working."
            .to_owned(),
        ..answered_row()
    };
    assert_eq!(
        row_of("call_modified_transcription", EventKind::CallModified),
        expected
    );
}

/// The row of `outbound_post_call.json`: from our number to the customer's.
fn outbound_row() -> Interaction {
    Interaction {
        direction: Direction::Outbound,
        call_duration_seconds: 63,
        scheduled_at: "2026-11-20T19:40:05.100Z".parse().unwrap(),
        completed_at: "2026-11-20T19:41:08.100Z".parse().unwrap(),
        notes:
            "Outbound call, answered, 1 min 3 s, to +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads."
                .to_owned(),
        call_recording_url: text(
            "https://app.callrail.com/calls/CAL01a1fa79226c728d9b0d6f8be0da8446/recording/redirect?access_key=70e99f1a2b25e1c8",
        ),
        call_from_number: text("+14045550199"),
        call_to_number: text("+14045550123"),
        first_call: Some(false),
        ..other_row("CAL01a1fa79226c728d9b0d6f8be0da8446")
    }
}

#[test]
fn an_outbound_call_becomes_this_row() {
    assert_eq!(
        row_of("outbound_post_call", EventKind::OutboundPostCall),
        outbound_row()
    );
}

#[test]
fn an_outbound_call_with_a_note_becomes_this_row() {
    let expected = Interaction {
        notes: "Outbound call, answered, 1 min 3 s, to +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
                Note: Left a message with the office."
            .to_owned(),
        ..outbound_row()
    };
    assert_eq!(
        row_of("outbound_call_modified", EventKind::OutboundCallModified),
        expected
    );
}

#[test]
fn the_example_of_callrails_documentation_becomes_this_row() {
    let expected = Interaction {
        outcome: Outcome::Voicemail,
        call_duration_seconds: 13,
        scheduled_at: "2018-02-19T18:41:00.236Z".parse().unwrap(),
        completed_at: "2018-02-19T18:41:13.236Z".parse().unwrap(),
        notes: "Inbound call, voicemail, 13 s, from +12148654559 (Kaylah Mills, Rochester, PA). Source: Google Paid."
            .to_owned(),
        call_recording_url: text("https://app.callrail.com/calls/766970532/recording/redirect?access_key=aaaaccccddddeeee"),
        call_from_number: text("+12148654559"),
        call_to_number: None,
        tracking_number: text("+14045558514"),
        source: text("Google Paid"),
        medium: None,
        utm_campaign: text("Google AdWords"),
        lead_status: text("previously_marked_good_lead"),
        first_call: Some(false),
        agent_email: None,
        company_id: None,
        customer_name: text("Kaylah Mills"),
        ..other_row("766970532")
    };
    assert_eq!(row_of("signature-test-vector", EventKind::PostCall), expected);
}

#[test]
fn notes_are_details_then_note_then_transcription() {
    let body = answered()
        .with("note", "Wants a quote")
        .with("transcription", "Hello.")
        .with("duration", "120");
    assert_eq!(
        row(&[body.post_call(0)]).unwrap().notes,
        "Inbound call, answered, 2 min, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
         Note: Wants a quote\n\nTranscription:\nHello."
    );
}

#[test]
fn notes_of_a_withheld_caller_name_nobody() {
    let mut body = answered()
        .with("source", "")
        .with("source_name", "")
        .with("formatted_tracking_source", "");
    for key in [
        "customer_phone_number",
        "customer_name",
        "customer_city",
        "customer_state",
    ] {
        body = body.with(key, "");
    }
    assert_eq!(
        row(&[body.post_call(0)]).unwrap().notes,
        "Inbound call, answered, 3 min 4 s."
    );
}

#[test]
fn a_call_that_is_not_over_has_no_row() {
    let ringing = sample("pre_call").event(EventKind::PreCall, -180);
    let routed = sample("call_routing_complete").event(EventKind::RoutingComplete, -170);
    assert_eq!(row(from_ref(&ringing)), None);
    assert_eq!(row(from_ref(&routed)), None);
    assert_eq!(row(&[ringing, routed]), None);
}

#[test]
fn a_pre_call_is_never_a_missed_call_even_with_the_body_of_one() {
    assert_eq!(row(&[missed().event(EventKind::PreCall, 0)]), None);
    assert_eq!(row(&[missed().event(EventKind::RoutingComplete, 0)]), None);
}

#[test]
fn a_call_imported_while_it_goes_on_has_no_row() {
    let body = answered().with("call_type", "in_progress").with("duration", "0");
    assert_eq!(row(&[body.import(-100)]), None);
    assert_eq!(row(&[body.post_call(-100)]), None);
}

#[test]
fn a_call_imported_without_a_duration_has_no_row() {
    assert_eq!(row(&[answered().with("duration", "").import(0)]), None);
    assert_eq!(
        row(&[answered()
            .as_api()
            .without("duration")
            .event(EventKind::Import, 0)]),
        None
    );
}

#[test]
fn a_post_call_without_recording_note_and_value_has_no_row() {
    let body = answered().without("recording").without("note").without("value");
    assert_eq!(row(&[body.clone().post_call(0)]), None);
    for key in ["recording", "note", "value"] {
        assert!(row(&[body.clone().with(key, "").post_call(0)]).is_some(), "{key}");
    }
}

#[test]
fn a_pre_call_that_comes_last_changes_nothing() {
    let ended = answered().post_call(0);
    let late = [
        ended.clone(),
        sample("call_routing_complete").event(EventKind::RoutingComplete, 60),
        sample("pre_call").event(EventKind::PreCall, 90),
    ];
    assert_eq!(row(&late), row(&[ended]));
}

#[test]
fn tags_note_value_and_lead_status_are_taken_away_again() {
    let judged = answered()
        .with("tags", json!(["VIP", "Booked"]))
        .with("note", "Wants a quote")
        .with("value", "250")
        .with("lead_status", "good_lead");
    let before = row(&[judged.clone().call_modified(10)]).unwrap();
    assert_eq!(
        (before.tags, before.value),
        (vec!["Booked".to_owned(), "VIP".to_owned()], text("250"))
    );
    assert_eq!(
        row(&[judged.call_modified(10), answered().call_modified(20)]),
        Some(answered_row())
    );
}

#[test]
fn a_state_that_comes_back_is_the_newest() {
    let tagged = answered().with("tags", json!(["Booked"]));
    let (first, second, again) = (
        tagged.clone().call_modified(10),
        answered().call_modified(20),
        tagged.call_modified(30),
    );
    assert_eq!(first.digest(), again.digest());
    assert_eq!(row(&[again, second, first]).unwrap().tags, ["Booked"]);
}

#[test]
fn an_empty_transcript_summary_or_recording_erases_nothing() {
    let full = sample("call_modified_transcription")
        .without("changes")
        .call_modified(10);
    let empty = missed()
        .with("recording", "")
        .with("recording_player", "")
        .with("call_summary", "");
    let row = row(&[full, empty.post_call(20)]).unwrap();
    assert_eq!(row.outcome, Outcome::NoAnswer);
    assert!(row.transcription.is_some() && row.call_summary.is_some() && row.call_recording_url.is_some());
}

#[test]
fn a_transcript_that_changes_name_is_erased() {
    let full = sample("call_modified_transcription").call_modified(10);
    let erased = |words: &[&str]| {
        let body = answered()
            .with("call_summary", "")
            .with("changes", json!(words))
            .call_modified(20);
        let row = row(&[full.clone(), body]).unwrap();
        (row.transcription.is_none(), row.call_summary.is_none())
    };
    assert_eq!(erased(&["transcription_text"]), (true, false));
    assert_eq!(erased(&["call_summary"]), (false, true));
    assert_eq!(
        erased(&["something_new", "tags", "auto_score", "Transcription_Text"]),
        (false, false)
    );
}

#[test]
fn a_summary_that_is_not_there_is_not_erased_by_its_name_in_changes() {
    let full = sample("call_modified_transcription").call_modified(10);
    let absent = answered()
        .with("changes", json!(["call_summary"]))
        .without("call_summary")
        .call_modified(20);
    assert!(row(&[full, absent]).unwrap().call_summary.is_some());
}

#[test]
fn a_recording_that_changes_name_is_erased() {
    let without = answered().with("recording", "").with("recording_player", "");
    let erased = without.clone().with("changes", json!(["recording"]));
    assert!(
        row(&[answered().post_call(0), without.call_modified(10)])
            .unwrap()
            .call_recording_url
            .is_some()
    );
    assert_eq!(
        row(&[answered().post_call(0), erased.call_modified(10)])
            .unwrap()
            .call_recording_url,
        None
    );
}

#[test]
fn the_link_of_the_api_is_never_the_recording() {
    let import = answered().import(600);
    assert_eq!(original(&import)["recording"], API_RECORDING);
    let player = "https://app.callrail.com/calls/CAL01a1fa577dac70f6b1ca1ddba8db3bcf/recording?access_key=2cd11f462a8f2a16";
    assert_eq!(
        row(from_ref(&import)).unwrap().call_recording_url.as_deref(),
        Some(player)
    );
    assert_eq!(row(&[answered().post_call(0), import]), Some(answered_row()));

    let no_player = answered().with("recording_player", "").import(600);
    assert_eq!(row(&[no_player]).unwrap().call_recording_url, None);
}

#[test]
fn a_conversation_stands_in_for_a_missing_transcript() {
    let said = crate::call::phrases(&[("Agent", "Good morning."), ("Caller", "Hi.")]);
    let body = answered().with("conversational_transcript", said);
    let row = row(&[body.post_call(0)]).unwrap();
    assert_eq!(
        row.transcription.as_deref(),
        Some("Agent: Good morning.\nCaller: Hi.")
    );
}

#[test]
fn words_of_nobody_in_particular_stand_alone() {
    let row = row(&[answered()
        .with("conversational_transcript", "Good morning.")
        .post_call(0)])
    .unwrap();
    assert_eq!(row.transcription.as_deref(), Some("Good morning."));
}

#[test]
fn a_call_marked_as_spam_and_unmarked_again_is_none() {
    let spam = answered().with("spam", true);
    assert!(
        row(&[answered().post_call(0), spam.clone().call_modified(10)])
            .unwrap()
            .spam
    );
    assert!(
        row(&[spam.clone().call_modified(10), answered().import(20)])
            .unwrap()
            .spam,
        "the API says nothing"
    );
    assert!(
        !row(&[spam.call_modified(10), answered().call_modified(20)])
            .unwrap()
            .spam
    );
}

#[test]
fn a_sealed_group_leaves_nothing_in_the_row_or_its_notes() {
    let body = sample("call_modified_transcription")
        .with("note", "Wants a quote")
        .with("spam", true);
    let record: Record = [body.call_modified(0).to_recorded()].into_iter().collect();
    let sealed = |group| project(&record, &[(group, SealReason::Erasure)].into_iter().collect()).unwrap();

    let row = sealed(Group::Facts);
    assert_eq!(
        (row.call_from_number, row.call_to_number, row.tracking_number),
        (None, None, None)
    );
    assert_eq!((row.customer_name, row.agent_email), (None, None));
    for personal in [CALLER, "DOE JANE", "Atlanta"] {
        assert!(!row.notes.contains(personal), "{personal}");
    }
    let row = sealed(Group::Attribution);
    assert_eq!((row.source, row.medium, row.utm_source), (None, None, None));
    assert!(!row.notes.contains("Google"));
    let row = sealed(Group::Judgement);
    assert_eq!((row.tags, row.lead_status), (vec![], None));
    assert!(!row.notes.contains("quote"));
    let row = sealed(Group::Transcript);
    assert_eq!(row.transcription, None);
    assert!(!row.notes.contains("furnace"));
    assert_eq!(sealed(Group::Recording).call_recording_url, None);
    assert_eq!(sealed(Group::Summary).call_summary, None);
    assert_eq!(sealed(Group::Notes).notes, "");
    assert!(!sealed(Group::Spam).spam);
}

#[test]
fn the_explanation_tells_what_each_snapshot_changed() {
    let record: Record = [
        sample("pre_call").event(EventKind::PreCall, -184),
        answered().post_call(0),
        answered().import(30),
        sample("call_modified_tags").call_modified(60),
    ]
    .iter()
    .map(calls::CallEvent::to_recorded)
    .collect();
    let steps = explain(&record, &Seals::default());
    let changed: Vec<_> = steps.iter().map(|step| step.changed.len()).collect();
    assert_eq!((changed[0], changed[2]), (0, 0));
    assert!(changed[1] > 10);
    assert_eq!(
        steps[3].changed,
        [
            ("tags", None, text("Booked")),
            ("lead_status", None, text("good_lead"))
        ]
    );
    assert_eq!(steps[3].snapshot.last_observed_at, at(60));
}
