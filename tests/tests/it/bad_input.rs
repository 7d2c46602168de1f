//! Signed bodies that are no good: each is answered 2xx, cleaned or kept with a reason, and harms no other call.

use std::sync::Arc;

use calls::{CallId, Interaction, MatchMethod, Outcome, QuarantinedDelivery};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use trunkline_tests::{Installation, sample};

const NOT_JSON: &str = "the body is not a call: the body is not readable JSON";
const NOT_AN_OBJECT: &str = "the body is not a call: the body is JSON but not an object";
const NO_ID: &str = "the body is not a call: the body names no call: resource_id and id are missing or empty";
const INVALID_ID: &str = "the body is not a call: the identifier in the body is not that of a call";
const NO_START: &str = "the call is over, but `start_time` is missing or unreadable";
const NO_DURATION: &str = "the call is over, but `duration` is missing or unreadable";
const NO_ANSWER: &str = "the call is over, but `answered` is missing or unreadable";

/// A body as post-call, and what is to become of it.
struct Case {
    what: &'static str,
    body: Vec<u8>,
    fate: Fate,
}

enum Fate {
    /// It is kept as a dead letter whose reason starts with this.
    Kept(&'static str),
    /// It becomes a row, of which this must be true.
    Row(fn(&Interaction) -> bool),
}

/// Collects cases; each is about a call of its own.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn bytes(&mut self, what: &'static str, body: impl Into<Vec<u8>>, fate: Fate) {
        let body = body.into();
        self.0.push(Case { what, body, fate });
    }

    fn kept(&mut self, what: &'static str, body: impl Into<Vec<u8>>, reason: &'static str) {
        self.bytes(what, body, Fate::Kept(reason));
    }

    /// A good call of which some fields are something else.
    fn with(&mut self, what: &'static str, fields: Value, fate: Fate) {
        let mut call = call(&self.next_id());
        let Value::Object(fields) = fields else {
            unreachable!()
        };
        call.extend(fields);
        self.bytes(what, Value::Object(call).to_string(), fate);
    }

    fn row(&mut self, what: &'static str, fields: Value, is_right: fn(&Interaction) -> bool) {
        self.with(what, fields, Fate::Row(is_right));
    }

    fn next_id(&self) -> String {
        id(self.0.len())
    }
}

/// The id of the call of the case with this number; without digits, which might look like a card number.
fn id(number: usize) -> String {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap());
    format!("CALbad{}{}", letter(number / 26), letter(number))
}

/// A good call, as recorded but for its id.
fn call(id: &str) -> Map<String, Value> {
    let mut call: Map<String, Value> =
        serde_json::from_slice(&sample("post_call_answered.json").body).unwrap();
    call.insert("resource_id".to_owned(), json!(id));
    call
}

fn text_of(id: &str) -> String {
    Value::Object(call(id)).to_string()
}

/// A good call with a field whose JSON is written out, for what `serde_json` would not write.
fn with_raw(id: &str, field: &str, json: &[u8]) -> Vec<u8> {
    let text = text_of(id);
    let rest = text.strip_prefix('{').unwrap();
    [b"{\"", field.as_bytes(), b"\":", json, b",", rest.as_bytes()].concat()
}

fn cases() -> Vec<Case> {
    let mut cases = Cases::default();
    no_json(&mut cases);
    no_call(&mut cases);
    unlikely_numbers_and_times(&mut cases);
    other_types(&mut cases);
    odd_texts(&mut cases);
    cases.0
}

fn no_json(cases: &mut Cases) {
    cases.kept("an empty body", "", NOT_JSON);
    cases.kept("white space", " \r\n\t ", NOT_JSON);
    cases.kept("a byte order mark alone", "\u{feff}", NOT_JSON);
    cases.kept("a sentence", "hello, I am a webhook", NOT_JSON);
    cases.kept("a form", "callernum=%2B14045550123&answered=true", NOT_JSON);
    cases.kept("binary", (0..=255).collect::<Vec<u8>>(), NOT_JSON);
    let good = text_of(&cases.next_id());
    cases.kept("a body that breaks off", &good[..good.len() / 2], NOT_JSON);
    cases.kept("a body with more behind it", format!("{good}{good}"), NOT_JSON);
    let lists = ["[".repeat(10_000), "]".repeat(10_000)].concat();
    let objects = [r#"{"a":"#.repeat(10_000), "1".to_owned(), "}".repeat(10_000)].concat();
    cases.kept("10,000 levels of lists", lists.clone(), NOT_JSON);
    cases.kept(
        "10,000 levels in a call",
        with_raw(&cases.next_id(), "custom", objects.as_bytes()),
        NOT_JSON,
    );
    cases.kept(
        "10,000 levels that never end",
        &lists.as_bytes()[..10_000],
        NOT_JSON,
    );
    cases.kept(
        "a text that is not UTF-8",
        with_raw(&cases.next_id(), "x", b"\"\xff\xfe\xc0\xaf\""),
        NOT_JSON,
    );
    cases.kept(
        "half a surrogate pair",
        with_raw(&cases.next_id(), "x", br#""\ud800""#),
        NOT_JSON,
    );
    cases.kept(
        "a NUL byte",
        with_raw(&cases.next_id(), "x", b"\"a\0b\""),
        NOT_JSON,
    );
    cases.kept(
        "a number beyond all numbers",
        with_raw(&cases.next_id(), "x", b"1e400"),
        NOT_JSON,
    );
    let digits = "4".repeat(10_000);
    cases.kept(
        "a phone number of 10,000 digits without quotes",
        with_raw(&cases.next_id(), "x", digits.as_bytes()),
        NOT_JSON,
    );
}

fn no_call(cases: &mut Cases) {
    cases.kept(
        "a list",
        format!("[{}]", text_of(&cases.next_id())),
        NOT_AN_OBJECT,
    );
    for value in ["null", "true", "42", "\"CAL1\"", "[]"] {
        cases.kept("a single value", value, NOT_AN_OBJECT);
    }
    cases.kept("an empty object", "{}", NO_ID);
    for id in [json!(null), json!(""), json!("  ")] {
        cases.with("an empty id", json!({ "resource_id": id }), Fate::Kept(NO_ID));
    }
    for id in [
        json!("CAL"),
        json!("PER81f8f6dde88345f3928796ec7aa53f72"),
        json!(-1),
        json!(1.5),
        json!(["CAL1"]),
        json!("CAL1'; drop table interactions; --"),
        json!("CAL\u{0}1/../.."),
        json!(format!("CAL{}", "1".repeat(10_000))),
    ] {
        cases.with("another id", json!({ "resource_id": id }), Fate::Kept(INVALID_ID));
    }
    for time in [
        json!("9999-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
        json!("+292277-01-09T04:00:54Z"),
        json!("2026-02-30T10:00:00Z"),
        json!("2026-11-20T25:00:00-05:00"),
        json!("yesterday"),
        json!(9_999_999_999_999_999_u64),
        json!({}),
        json!(null),
    ] {
        let times = json!({ "start_time": time, "created_at": time });
        cases.with("no time that can be", times, Fate::Kept(NO_START));
    }
    for duration in [
        json!(null),
        json!(""),
        json!("-5"),
        json!(-5),
        json!("1.5"),
        json!(1.5),
        json!("184 s"),
        json!("99999999999999999999"),
        json!(4_294_967_296_u64),
        json!(["184"]),
    ] {
        cases.with(
            "no duration that can be",
            json!({ "duration": duration }),
            Fate::Kept(NO_DURATION),
        );
    }
    let unsaid = json!({ "answered": "perhaps", "call_type": "telepathy" });
    cases.with("no word of an answer", unsaid, Fate::Kept(NO_ANSWER));
}

fn unlikely_numbers_and_times(cases: &mut Cases) {
    let digits = "4".repeat(10_000);
    cases.row(
        "a phone number of 10,000 digits",
        json!({ "customer_phone_number": digits }),
        |row| row.call_from_number == Some("4".repeat(64)) && row.link.method == MatchMethod::Unreadable,
    );
    let long = json!({ "tracking_phone_number": digits, "business_phone_number": format!("+{digits}") });
    cases.row("our own numbers of 10,000 digits", long, |row| {
        row.tracking_number == Some("4".repeat(64))
            && row.call_to_number == Some(format!("+{}", "4".repeat(63)))
    });
    for withheld in [
        json!(""),
        json!(null),
        json!("Anonymous"),
        json!("+266696687"),
        json!({}),
    ] {
        cases.row(
            "a number that was withheld",
            json!({ "customer_phone_number": withheld }),
            |row| row.link.method == MatchMethod::Withheld,
        );
    }
    cases.row(
        "a number that is none",
        json!({ "customer_phone_number": "ring ring" }),
        |row| {
            row.call_from_number.as_deref() == Some("ring ring") && row.link.method == MatchMethod::Unreadable
        },
    );
    cases.row(
        "a start beyond all times",
        json!({ "start_time": "9999-12-31T23:59:59Z" }),
        |row| row.scheduled_at.to_rfc3339() == "2026-11-20T19:03:20.252+00:00",
    );
    cases.row(
        "a time without an offset",
        json!({ "start_time": "2026-11-20 19:03:20" }),
        |row| row.scheduled_at.to_rfc3339() == "2026-11-20T19:03:20+00:00",
    );
    let last = json!({ "start_time": "2100-12-31T23:59:59.999999999Z", "duration": 864_000 });
    cases.row("the last moment that is believed", last, |row| {
        row.completed_at.to_rfc3339() == "2101-01-10T23:59:59.999999+00:00"
    });
    cases.row(
        "a country that is none",
        json!({ "customer_country": "Atlantis" }),
        |row| row.call_from_number.as_deref() == Some("+14045550123"),
    );
}

fn other_types(cases: &mut Cases) {
    let swapped = json!({
        "duration": 184, "recording_duration": "171", "answered": "TRUE", "voicemail": 0, "first_call": "0",
        "spam": "false", "customer_phone_number": 14_045_550_123_u64, "tracking_phone_number": 4_045_550_199_u64,
        "value": 250.5, "note": 12345, "tags": "Booked", "customer_name": 99, "lead_status": true,
        "company_id": "123456789", "prior_calls": "0", "milestones": "none", "changes": "tags",
    });
    cases.row("numbers as texts and texts as numbers", swapped, |row| {
        row.outcome == Outcome::Completed
            && row.call_duration_seconds == 184
            && row.first_call == Some(false)
            && row.call_from_number.as_deref() == Some("+14045550123")
            && row.tracking_number.as_deref() == Some("+14045550199")
            && row.value.as_deref() == Some("250.5")
            && row.notes.ends_with("Note: 12345")
            && row.tags == ["Booked"]
            && row.customer_name.as_deref() == Some("99")
            && row.lead_status.as_deref() == Some("true")
    });
    let mut wrong = call("any");
    for keep in ["resource_id", "start_time", "duration", "answered"] {
        wrong.remove(keep);
    }
    for value in [json!([[]]), json!({"a": {"b": []}}), json!(null), json!(-0.0)] {
        let fields: Map<String, Value> = wrong.keys().map(|key| (key.clone(), value.clone())).collect();
        cases.row(
            "every other field of a wrong type",
            Value::Object(fields),
            |row| row.outcome == Outcome::Completed && row.call_duration_seconds == 184,
        );
    }
    let twice = with_raw(&cases.next_id(), "duration", b"\"5\"");
    let last_holds = |row: &Interaction| row.call_duration_seconds == 184;
    cases.bytes("a key given twice", twice, Fate::Row(last_holds));
    let everything_twice = {
        let text = text_of(&cases.next_id());
        format!("{},{}", &text[..text.len() - 1], &text[1..])
    };
    cases.bytes("every key given twice", everything_twice, Fate::Row(last_holds));
    let deep = ["[".repeat(120), "]".repeat(120)].concat();
    let deep = with_raw(&cases.next_id(), "custom", deep.as_bytes());
    cases.bytes("as deep as can be read", deep, Fate::Row(last_holds));
    let marked = format!("\u{feff}{}\n\n", text_of(&cases.next_id()));
    cases.bytes("a byte order mark before it", marked, Fate::Row(last_holds));
}

fn odd_texts(cases: &mut Cases) {
    let nul = json!({
        "note": "a\u{0}b", "customer_name": "\u{0}", "tags": ["x\u{0}y"], "source\u{0}": "\u{0}",
        "transcription": "\u{0}\u{0}",
    });
    cases.row("NUL in texts", nul, |row| {
        row.notes.ends_with("Note: ab")
            && row.customer_name.is_none()
            && row.tags == ["xy"]
            && row.transcription.is_none()
    });
    cases.row(
        "a megabyte of note",
        json!({ "note": "é".repeat(500_000) }),
        |row| row.notes.matches('é').count() == 500_000,
    );
    let tags: Vec<String> = (0..10_000).map(|number| format!("tag {number}")).collect();
    cases.row("10,000 tags", json!({ "tags": tags }), |row| {
        row.tags.len() == 10_000
    });
    let mut many = Map::new();
    for number in 0..10_000 {
        many.insert(format!("unknown {number}"), json!(number));
    }
    many.insert("k".repeat(1_000_000), json!("a long key"));
    cases.row("10,000 unknown keys and a long one", Value::Object(many), |_| {
        true
    });
    let sql = json!({ "note": "'); drop table interactions; --", "campaign": "\"; delete from calls; --" });
    cases.row("SQL in texts", sql, |row| {
        row.notes.ends_with("Note: '); drop table interactions; --")
            && row.campaign.as_deref() == Some("\"; delete from calls; --")
    });
    let letters =
        json!({ "note": "🔥 מזגן 暖房 a\u{301} \u{202e}x\u{7f}\u{85}\u{fffe}", "agent_email": "\u{1}" });
    cases.row("letters of all kinds", letters, |row| {
        row.notes
            .contains("🔥 מזגן 暖房 a\u{301} \u{202e}x\u{7f}\u{85}\u{fffe}")
    });
}

#[tokio::test]
async fn what_is_no_good_is_cleaned_or_kept_and_costs_no_other_call() {
    let trunkline = Installation::new();
    let mut running = trunkline.start("run").await;
    let cases = cases();
    let good = |number: usize| format!("CALgood{number}");
    let post = async |body: Vec<u8>| {
        let answer = trunkline.post("post-call", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["event_id"].as_str().unwrap().to_owned()
    };

    post(text_of(&good(cases.len())).into_bytes()).await;
    let mut event_ids = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        event_ids.push(post(case.body.clone()).await);
        post(text_of(&good(number)).into_bytes()).await;
    }
    trunkline.settle().await;
    assert!(running.is_running(), "{}", running.log());

    let letters = trunkline.dead_letters().await;
    for (number, (case, event_id)) in cases.iter().zip(&event_ids).enumerate() {
        let letter = letters.iter().find(|letter| letter.id.to_string() == *event_id);
        let row = trunkline.row(&id(number)).await;
        match &case.fate {
            Fate::Kept(reason) => {
                let letter = letter.unwrap_or_else(|| panic!("{number}: {} is not kept", case.what));
                assert!(
                    letter.reason.starts_with(reason),
                    "{}: {}",
                    case.what,
                    letter.reason
                );
                assert_eq!((row, &letter.call_sid), (None, &None), "{}", case.what);
                let kept = QuarantinedDelivery::decode(&letter.body).unwrap();
                assert_eq!(kept.text, String::from_utf8_lossy(&case.body), "{}", case.what);
            }
            Fate::Row(is_right) => {
                let reason = letter.map(|letter| &letter.reason);
                let row = row.unwrap_or_else(|| panic!("{}: has no row, but {reason:?}", case.what));
                assert!(is_right(&row), "{}: {row:?}", case.what);
            }
        }
    }
    let kept = cases
        .iter()
        .filter(|case| matches!(case.fate, Fate::Kept(_)))
        .count();
    assert_eq!(letters.len(), kept);
    for number in 0..=cases.len() {
        assert!(
            trunkline.row(&good(number)).await.is_some(),
            "the good call {number}"
        );
    }
    let rows = cases.len() - kept + cases.len() + 1;
    let stored = trunkline.store().await.count_interactions().await.unwrap();
    assert_eq!(stored, rows as u64, "no phantom");
    assert_no_panic(&running.log());
}

#[tokio::test]
async fn everything_at_once_to_every_url_stops_no_worker() {
    let trunkline = Arc::new(Installation::new().with("RETRY_LADDER", "50ms"));
    let mut running = trunkline.start("run").await;
    let kinds = [
        "pre-call",
        "routing-complete",
        "post-call",
        "call-modified",
        "outbound-post-call",
        "outbound-call-modified",
    ];
    let cases = cases();
    let mut posts = JoinSet::new();
    for (number, case) in cases.iter().enumerate() {
        let good = text_of(&format!("CALgood{number}")).into_bytes();
        for body in [case.body.clone(), good] {
            let trunkline = Arc::clone(&trunkline);
            posts.spawn(async move {
                for kind in kinds {
                    assert_eq!(trunkline.post(kind, body.clone()).await.status, 200);
                }
            });
        }
    }
    posts.join_all().await;
    trunkline.settle().await;
    assert!(running.is_running(), "{}", running.log());

    for (number, case) in cases.iter().enumerate() {
        assert!(trunkline.row(&format!("CALgood{number}")).await.is_some());
        if let Fate::Row(is_right) = &case.fate {
            let row = trunkline.row(&id(number)).await.unwrap();
            assert!(is_right(&row), "{}: {row:?}", case.what);
        }
    }
    // What could be read at receipt never failed later.
    for letter in trunkline.dead_letters().await {
        assert_eq!((letter.attempts, letter.event_id), (0, None), "{}", letter.reason);
    }
    assert_no_panic(&running.log());
    assert!(running.terminate().await.success());
}

#[tokio::test]
async fn a_signed_body_for_a_kind_that_is_none_of_ours_is_kept() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let text = sample("text_message_received.json");
    for kind in [
        "text-message-received",
        "POST-CALL",
        "COM123/form-submission",
        "%00",
    ] {
        let answer = trunkline
            .post_signed(kind, text.body.clone(), &text.signature)
            .await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text);
    }
    // A call too, for nobody can say which kind of event it was.
    let call = text_of("CALunknownkind");
    assert_eq!(trunkline.post("surprise", call).await.status, 200);
    trunkline.settle().await;
    let letters = trunkline.dead_letters().await;
    assert_eq!(letters.len(), 5);
    for letter in letters {
        assert_eq!(letter.reason, "the URL names no kind of call webhook");
        assert_eq!(QuarantinedDelivery::decode(&letter.body).unwrap().kind, None);
    }
    let phantom = CallId::parse("CALunknownkind").unwrap();
    assert!(trunkline.store().await.call(&phantom).await.unwrap().is_none());
}

fn assert_no_panic(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}
