//! Every recorded webhook becomes the row a person expects, and what is no call becomes none.
//!
//! The rows were written by hand from the recordings and `docs/database.md`, not by asking the program.

use calls::{
    AlertKind, CallId, CompanyId, ContactKind, ContactRef, Direction, Interaction, Link, MatchMethod,
    Outcome, QuarantinedDelivery,
};
use chrono::{DateTime, Utc};
use trunkline_tests::{Installation, Process, sample, sample_names};

const ANSWERED: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";
const MISSED: &str = "CAL01a1fa948d917c0abe51c6e6655d81de";
const VOICEMAIL: &str = "CAL01a1fb5983e87012a3fa000c5dc26ee6";
const FROM_THE_WEBSITE: &str = "CAL01a1f9c268dc7db5bc9d5a2ca72a85dd";
const OUTBOUND: &str = "CAL01a1fa79226c728d9b0d6f8be0da8446";
/// CallRail's published example is older than the ids that start with CAL.
const PUBLISHED: &str = "766970532";

/// An installation whose CRM knows these people, and `trunkline run` in it.
async fn running_with_contacts(csv: &str) -> (Installation, Process) {
    let trunkline = Installation::new();
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    std::fs::write(trunkline.folder().join("people.csv"), csv).unwrap();
    let imported = trunkline.run(&["contacts", "import", "people.csv"]).await;
    assert_eq!(
        (imported.code, imported.err.as_str()),
        (0, ""),
        "{}",
        imported.out
    );
    let process = trunkline.start("run").await;
    (trunkline, process)
}

/// Posts a recording with its recorded signature, and waits until it has been worked on.
async fn post_sample(trunkline: &Installation, kind: &str, name: &str) {
    let sample = sample(name);
    let answer = trunkline.post_signed(kind, sample.body, &sample.signature).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    assert_eq!(answer.json()["message"], "Webhook accepted", "{name}");
    trunkline.settle().await;
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "most columns are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn only_lead(id: &str) -> Link {
    Link {
        lead_id: some(id),
        customer_id: None,
        method: MatchMethod::OnlyOne,
        candidates: Vec::new(),
    }
}

fn only_customer(id: &str) -> Link {
    Link {
        lead_id: None,
        customer_id: some(id),
        method: MatchMethod::OnlyOne,
        candidates: Vec::new(),
    }
}

/// What `post_call_answered.json` says.
fn answered() -> Interaction {
    Interaction {
        id: "6f36b1bb-2db7-54c6-864a-e2904b808f65".parse().unwrap(),
        call_sid: CallId::parse(ANSWERED).unwrap(),
        direction: Direction::Inbound,
        outcome: Outcome::Completed,
        call_duration_seconds: 184,
        scheduled_at: time("2026-11-20T19:03:20.236Z"),
        completed_at: time("2026-11-20T19:06:24.236Z"),
        notes: "Inbound call, answered, 3 min 4 s, from +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads."
            .to_owned(),
        call_recording_url: some(
            "https://app.callrail.com/calls/CAL01a1fa577dac70f6b1ca1ddba8db3bcf/recording/redirect\
             ?access_key=2cd11f462a8f2a16",
        ),
        call_from_number: some("+14045550123"),
        call_to_number: some("+14045550150"),
        tracking_number: some("+14045550199"),
        source: some("Google Ads"),
        medium: some("cpc"),
        campaign: None,
        keywords: None,
        landing_page_url: None,
        gclid: None,
        utm_source: some("google"),
        utm_medium: some("cpc"),
        utm_campaign: None,
        utm_term: None,
        utm_content: None,
        transcription: None,
        call_summary: None,
        tags: Vec::new(),
        lead_status: None,
        value: None,
        first_call: Some(true),
        agent_email: some("agent@example.com"),
        company_id: Some(CompanyId::parse("COMf168ccdd91544c5a8c871bd4b9b757c5").unwrap()),
        customer_name: some("DOE JANE"),
        spam: false,
        link: Link::none(MatchMethod::NoContact),
    }
}

#[tokio::test]
async fn a_call_becomes_a_row_when_it_is_over_and_takes_in_what_comes_later() {
    let (trunkline, _running) =
        running_with_contacts("kind,id,name,phone\nlead,4711,Jane Doe,(404) 555-0123\n").await;

    post_sample(&trunkline, "pre-call", "pre_call.json").await;
    assert_eq!(trunkline.row(ANSWERED).await, None, "it rings");
    post_sample(&trunkline, "routing-complete", "call_routing_complete.json").await;
    assert_eq!(trunkline.row(ANSWERED).await, None, "it is put through");

    post_sample(&trunkline, "post-call", "post_call_answered.json").await;
    let over = Interaction {
        link: only_lead("4711"),
        ..answered()
    };
    assert_eq!(trunkline.row(ANSWERED).await, Some(over.clone()));

    post_sample(&trunkline, "call-modified", "call_modified_transcription.json").await;
    let transcribed = Interaction {
        notes: "Inbound call, answered, 3 min 4 s, from +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads.\n\n\
                Transcription:\n\
                Thank you for calling Example Heating and Air. Hi, my furnace stopped working."
            .to_owned(),
        transcription: some("Thank you for calling Example Heating and Air. Hi, my furnace stopped working."),
        call_summary: some("Caller reports a broken furnace and asks for an appointment."),
        ..over
    };
    assert_eq!(trunkline.row(ANSWERED).await, Some(transcribed.clone()));

    // Its transcription is empty, and does not say that it was changed.
    post_sample(&trunkline, "call-modified", "call_modified_tags.json").await;
    let tagged = Interaction {
        tags: vec!["Booked".to_owned()],
        lead_status: some("good_lead"),
        ..transcribed
    };
    assert_eq!(trunkline.row(ANSWERED).await, Some(tagged.clone()));

    // Late and again.
    post_sample(&trunkline, "pre-call", "pre_call.json").await;
    post_sample(&trunkline, "routing-complete", "call_routing_complete.json").await;
    post_sample(&trunkline, "call-modified", "call_modified_tags.json").await;
    assert_eq!(trunkline.row(ANSWERED).await, Some(tagged));
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 1);
    assert_eq!(trunkline.dead_letters().await, []);
}

#[tokio::test]
async fn a_ring_names_the_row_that_the_call_will_have() {
    let (trunkline, _running) =
        running_with_contacts("kind,id,name,owner_id,phone\ncustomer,82,Jane Doe,anna,4045550123 x12\n")
            .await;
    post_sample(&trunkline, "pre-call", "pre_call.json").await;
    let alerts = trunkline
        .store()
        .await
        .alerts_since(DateTime::UNIX_EPOCH, 10)
        .await;
    let alerts = alerts.unwrap();
    assert_eq!(alerts.len(), 1);
    let outgoing = &alerts[0].outgoing;
    assert_eq!(outgoing.alert.kind, AlertKind::IncomingCall);
    assert_eq!(outgoing.alert.interaction_id, answered().id);
    assert_eq!(outgoing.alert.from.as_deref(), Some("+14045550123"));
    assert_eq!(outgoing.owner_id.as_deref(), Some("anna"));
    let contact = outgoing.alert.contact.as_ref().unwrap();
    assert_eq!(
        (contact.contact.id.as_str(), contact.name.as_deref()),
        ("82", Some("Jane Doe"))
    );
    assert_eq!(trunkline.store().await.count_interactions().await.unwrap(), 0);
}

#[tokio::test]
async fn a_missed_call_becomes_a_row_without_an_answer() {
    let (trunkline, _running) = running_with_contacts("kind,id,phone\ncustomer,82,+1 404 555 0123\n").await;
    post_sample(&trunkline, "post-call", "post_call_missed.json").await;
    let expected = Interaction {
        id: "f21d6644-f570-57cd-9339-e7c22cfabe0c".parse().unwrap(),
        call_sid: CallId::parse(MISSED).unwrap(),
        outcome: Outcome::NoAnswer,
        call_duration_seconds: 22,
        scheduled_at: time("2026-11-20T20:10:02.001Z"),
        completed_at: time("2026-11-20T20:10:24.001Z"),
        notes: "Inbound call, not answered, 22 s, from +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads."
            .to_owned(),
        call_recording_url: None,
        call_to_number: None,
        first_call: Some(false),
        agent_email: None,
        link: only_customer("82"),
        ..answered()
    };
    assert_eq!(trunkline.row(MISSED).await, Some(expected));
}

#[tokio::test]
async fn a_voicemail_becomes_a_row_with_its_words() {
    let (trunkline, _running) =
        running_with_contacts("kind,id,phone_home,phone_mobile\nlead,7,,404.555.0123\n").await;
    post_sample(&trunkline, "post-call", "post_call_voicemail.json").await;
    let words = "Hi, this is Jane, my furnace stopped working, please call me back at 404-555-0123.";
    let expected = Interaction {
        id: "1b5c16ca-0253-53b0-b3a2-60d112b86212".parse().unwrap(),
        call_sid: CallId::parse(VOICEMAIL).unwrap(),
        outcome: Outcome::Voicemail,
        call_duration_seconds: 41,
        scheduled_at: time("2026-11-20T23:45:10.120Z"),
        completed_at: time("2026-11-20T23:45:51.120Z"),
        notes: format!(
            "Inbound call, voicemail, 41 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
             Transcription:\n{words}"
        ),
        call_recording_url: some(
            "https://app.callrail.com/calls/CAL01a1fb5983e87012a3fa000c5dc26ee6/recording/redirect\
             ?access_key=c4f4038281ece8bc",
        ),
        call_to_number: None,
        transcription: some(words),
        first_call: Some(false),
        agent_email: None,
        link: only_lead("7"),
        ..answered()
    };
    assert_eq!(trunkline.row(VOICEMAIL).await, Some(expected));
}

#[tokio::test]
async fn a_call_from_the_website_tells_where_the_caller_came_from() {
    // Two leads share the number; the CRM changed the second last.
    let (trunkline, _running) = running_with_contacts(
        "kind,id,phone,updated_at\n\
         lead,first,404-555-0123,2026-01-01\n\
         lead,second,1 404 555 0123; +1 404 555 0177,2026-02-01T08:00:00Z\n\
         lead,somebody else,404-555-0124,2026-03-01\n",
    )
    .await;
    post_sample(&trunkline, "post-call", "post_call_tracker_session.json").await;
    let lead = |id: &str| ContactRef {
        kind: ContactKind::Lead,
        id: id.to_owned(),
    };
    let expected = Interaction {
        id: "dbd1bf15-9f39-5363-9f3d-6e728be27525".parse().unwrap(),
        call_sid: CallId::parse(FROM_THE_WEBSITE).unwrap(),
        call_duration_seconds: 95,
        scheduled_at: time("2026-11-20T16:20:30.044Z"),
        completed_at: time("2026-11-20T16:22:05.044Z"),
        notes: "Inbound call, answered, 1 min 35 s, from +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads."
            .to_owned(),
        call_recording_url: some(
            "https://app.callrail.com/calls/CAL01a1f9c268dc7db5bc9d5a2ca72a85dd/recording/redirect\
             ?access_key=fabb06ab6934d7fe",
        ),
        campaign: some("Heating Repair"),
        keywords: some("furnace repair"),
        // In the recording the ampersand is written \u0026.
        landing_page_url: some("https://www.example.com/heating?gclid=EXAMPLE&x=1"),
        gclid: some("EXAMPLE"),
        utm_campaign: some("Heating Repair"),
        agent_email: None,
        link: Link {
            lead_id: some("second"),
            customer_id: None,
            method: MatchMethod::MostRecent,
            candidates: vec![lead("second"), lead("first")],
        },
        ..answered()
    };
    assert_eq!(trunkline.row(FROM_THE_WEBSITE).await, Some(expected));
}

#[tokio::test]
async fn an_outbound_call_belongs_to_the_person_who_was_called() {
    // The tracking number is the business's own: that somebody has it as his must not matter.
    let (trunkline, _running) = running_with_contacts(
        "kind,id,phone\nlead,4711,4045550123\ncustomer,82,404 555 0123 ext. 7\nlead,own,404-555-0199\n",
    )
    .await;
    let linked = Link {
        lead_id: None,
        customer_id: some("82"),
        method: MatchMethod::CustomerFirst,
        candidates: vec![
            ContactRef {
                kind: ContactKind::Customer,
                id: "82".to_owned(),
            },
            ContactRef {
                kind: ContactKind::Lead,
                id: "4711".to_owned(),
            },
        ],
    };
    let over = Interaction {
        id: "e5fe1a63-c9f8-5f30-ac85-f0a8791d2b86".parse().unwrap(),
        call_sid: CallId::parse(OUTBOUND).unwrap(),
        direction: Direction::Outbound,
        call_duration_seconds: 63,
        scheduled_at: time("2026-11-20T19:40:05.100Z"),
        completed_at: time("2026-11-20T19:41:08.100Z"),
        notes: "Outbound call, answered, 1 min 3 s, to +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads."
            .to_owned(),
        call_recording_url: some(
            "https://app.callrail.com/calls/CAL01a1fa79226c728d9b0d6f8be0da8446/recording/redirect\
             ?access_key=70e99f1a2b25e1c8",
        ),
        call_from_number: some("+14045550199"),
        call_to_number: some("+14045550123"),
        first_call: Some(false),
        link: linked,
        ..answered()
    };
    post_sample(&trunkline, "outbound-post-call", "outbound_post_call.json").await;
    assert_eq!(trunkline.row(OUTBOUND).await, Some(over.clone()));

    post_sample(
        &trunkline,
        "outbound-call-modified",
        "outbound_call_modified.json",
    )
    .await;
    let noted = Interaction {
        notes: "Outbound call, answered, 1 min 3 s, to +14045550123 (DOE JANE, Atlanta, GA). \
                Source: Google Ads.\n\n\
                Note: Left a message with the office."
            .to_owned(),
        ..over
    };
    assert_eq!(trunkline.row(OUTBOUND).await, Some(noted));
}

#[tokio::test]
async fn the_published_example_is_kept_under_its_decimal_id() {
    let (trunkline, _running) = running_with_contacts("kind,id,phone\nlead,kaylah,+1 (214) 865-4559\n").await;
    post_sample(&trunkline, "post-call", "signature-test-vector.json").await;
    let expected = Interaction {
        id: "4abf697a-0f94-59cf-914f-fc2da3e4b114".parse().unwrap(),
        call_sid: CallId::parse(PUBLISHED).unwrap(),
        outcome: Outcome::Voicemail,
        call_duration_seconds: 13,
        scheduled_at: time("2018-02-19T18:41:00.236Z"),
        completed_at: time("2018-02-19T18:41:13.236Z"),
        notes: "Inbound call, voicemail, 13 s, from +12148654559 (Kaylah Mills, Rochester, PA). \
                Source: Google Paid."
            .to_owned(),
        call_recording_url: some(
            "https://app.callrail.com/calls/766970532/recording/redirect?access_key=aaaaccccddddeeee",
        ),
        call_from_number: some("+12148654559"),
        call_to_number: None,
        tracking_number: some("+14045558514"),
        source: some("Google Paid"),
        medium: None,
        utm_campaign: some("Google AdWords"),
        lead_status: some("previously_marked_good_lead"),
        first_call: Some(false),
        agent_email: None,
        company_id: None,
        customer_name: some("Kaylah Mills"),
        link: only_lead("kaylah"),
        ..answered()
    };
    assert_eq!(trunkline.row(PUBLISHED).await, Some(expected));
}

#[tokio::test]
async fn events_of_other_kinds_are_kept_with_a_reason_and_make_no_call() {
    let others = [
        ("text_message_received.json", "text message"),
        ("text_message_received_docs.json", "text message"),
        ("text_message_received_mms.json", "text message"),
        ("text_message_sent.json", "text message"),
        ("form_submission.json", "form submission"),
        ("form_submission_docs.json", "form submission"),
        ("convert_assist_complete.json", "Convert Assist"),
    ];
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    for (name, what) in others {
        for kind in ["post-call", "pre-call", "call-modified"] {
            let sample = sample(name);
            let answer = trunkline
                .post_signed(kind, sample.body.clone(), &sample.signature)
                .await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            trunkline.settle().await;

            let id = answer.json()["event_id"].as_str().unwrap().to_owned();
            let letters = trunkline.dead_letters().await;
            let letter = letters.iter().find(|letter| letter.id.to_string() == id);
            let letter = letter.unwrap_or_else(|| panic!("{name} is not kept"));
            assert_eq!(
                letter.reason,
                format!(
                    "the body is not a call: the body is a CallRail event of another kind ({what}), not a call"
                )
            );
            assert_eq!((&letter.call_sid, &letter.event_id), (&None, &None), "{name}");
            let kept = QuarantinedDelivery::decode(&letter.body).unwrap();
            assert_eq!(kept.kind.unwrap().as_str(), kind, "{name}");
            assert_eq!(kept.text.as_bytes(), sample.body, "{name} is kept as it came");
        }
    }
    let store = trunkline.store().await;
    assert_eq!(trunkline.dead_letters().await.len(), others.len() * 3);
    assert_eq!(store.count_interactions().await.unwrap(), 0);
    assert_eq!(store.alerts_since(DateTime::UNIX_EPOCH, 10).await.unwrap(), []);
    // The ids that the bodies name.
    for phantom in [ANSWERED, "879204976", "879204977", "123456789"] {
        let phantom = CallId::parse(phantom).unwrap();
        assert!(store.call(&phantom).await.unwrap().is_none(), "{phantom}");
    }
}

#[test]
fn no_recording_is_left_out() {
    let calls = [
        "signature-test-vector.json",
        "pre_call.json",
        "call_routing_complete.json",
        "post_call_answered.json",
        "post_call_missed.json",
        "post_call_voicemail.json",
        "post_call_tracker_session.json",
        "call_modified_tags.json",
        "call_modified_transcription.json",
        "outbound_post_call.json",
        "outbound_call_modified.json",
    ];
    let others = 7;
    let names = sample_names();
    assert!(calls.iter().all(|name| names.iter().any(|known| known == name)));
    assert_eq!(names.len(), calls.len() + others);
}
