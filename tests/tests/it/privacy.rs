//! What must stand nowhere: people and secrets in nothing that strangers or operators read, card numbers in no file.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use queue::QueueName;
use serde_json::{Value, json};
use trunkline_tests::{Answer, Installation, SIGNING_KEY, eventually, sample, signature};

const JWT_SECRET: &str = "jwt-secret-jwt-secret-jwt-secret-1";
const PUSHER_SECRET: &str = "pusher-secret";
const EVERYTHING_OF_OURS: &str = "info,trunkline=trace,webhook_ingest=trace,call_writer=trace,notifier=trace,\
                                  queue=trace,store=trace,pusher=trace,runtime=trace,calls=trace,callrail=trace";

/// Numbers that pass the check of card numbers, as people say and write them.
const CARDS: [&str; 4] = [
    "4111111111111111",
    "5500 0000 0000 0004",
    "3782-822463-10005",
    "6011 1111-1111 1117",
];

/// The same as people say them, over phrases, and what belongs to a card: some of what stands in the fields below.
const SPOKEN: [&str; 6] = [
    "four one one one",
    "oh eight thirty",
    "code is seven",
    "4012 8888",
    "8888 1881",
    "7391846205",
];

/// What must not be logged: of the recordings and of the fields below, in every spelling they have.
const PEOPLE: [&str; 14] = [
    "4045550123",
    "404-555-0123",
    "4045550199",
    "4045550150",
    "2125550177",
    "DOE JANE",
    "Doe Jane",
    "DOE+JANE",
    "Jane",
    "agent@example.com",
    "furnace",
    "Rumpelstiltskin",
    "2cd11f462a8f2a16",
    "555-0177",
];

/// The recorded call with a transcript, in which people also name card numbers.
fn call(id: &str) -> Value {
    let mut call: Value = serde_json::from_slice(&sample("call_modified_transcription.json").body).unwrap();
    let cards = CARDS.join(" or ");
    call["resource_id"] = json!(id);
    call["note"] = json!(format!("Rumpelstiltskin pays by {cards}."));
    call["transcription"] = json!(format!(
        "My furnace. My card is {cards}, call me at 404-555-0123."
    ));
    call["call_summary"] = json!([format!("Pays by {cards}")]);
    let said = |speaker: &str, phrase: &str| json!({"speaker": speaker, "phrase": phrase, "start": 1});
    call["conversational_transcript"] = json!([
        said("Caller", &cards),
        said("Caller", "or 4012 8888"),
        said("Agent", "Okay."),
        said("Caller", "8888 1881."),
    ]);
    call["voice_assist_message"] = json!(
        "Four one one one, one one one one, um, one one one one, one one one one, expires oh eight thirty one, \
         the code is seven three nine."
    );
    call["unknown_text"] =
        json!("it's four one one one, double one double one, eleven eleven, triple one one");
    call["tags"] = json!(["Rumpelstiltskin", cards]);
    call["keypad_entries"] = json!("7391846205");
    call["unknown_field"] = json!({"deep": [{"note": cards, "transcription": cards}]});
    call
}

/// Posts all that can go right and wrong with such calls. Returns what was answered.
async fn post_everything(trunkline: &Installation) -> String {
    let mut answered = String::new();
    let mut expect = |answer: Answer, status: u16| {
        assert_eq!(answer.status, status, "{}", answer.text);
        answered += &answer.text;
    };
    let good = call("CALprivate").to_string();
    for kind in ["pre-call", "routing-complete", "post-call", "call-modified"] {
        let query = "callername=DOE+JANE&callernum=%2B14045550123";
        let path = format!("{kind}?{query}");
        expect(trunkline.post(&path, good.clone()).await, 200);
    }
    let unreadable = good.replace("\"duration\":\"184\"", "\"duration\":\"long\"");
    let unknown_caller = good.replace("+14045550123", "+12125550177");
    let broken = format!("{good}{{");
    let cut = &good[..good.len() - 1];
    let not_utf8 = [good.as_bytes(), b"\xff"].concat();
    for (path, body) in [
        ("post-call", unreadable.as_bytes()),
        (
            "post-call",
            unknown_caller.replace("CALprivate", "CALunknown").as_bytes(),
        ),
        (
            "pre-call",
            unknown_caller.replace("CALprivate", "CALrings").as_bytes(),
        ),
        ("post-call", broken.as_bytes()),
        ("post-call", cut.as_bytes()),
        ("post-call", not_utf8.as_slice()),
        (
            "text-message-received",
            sample("text_message_received.json").body.as_slice(),
        ),
        ("post-call", sample("form_submission.json").body.as_slice()),
        ("Jane-404-555-0123", good.as_bytes()),
    ] {
        expect(trunkline.post(path, body.to_vec()).await, 200);
    }
    let forged = signature("another key".replace(' ', "-").as_str(), good.as_bytes());
    for signature in [&forged, "Jane"] {
        let answer = trunkline.post_signed("post-call", good.clone(), signature).await;
        expect(answer, 401);
    }
    let to_nowhere = trunkline
        .client()
        .post(trunkline.url("/Jane?callernum=4045550123"));
    expect(trunkline.send(to_nowhere.body(good)).await, 404);
    answered
}

#[tokio::test]
async fn nobody_and_no_secret_is_named_in_logs_metrics_and_answers_to_strangers() {
    // Nobody listens there: whoever cannot reach Pusher says so, without its URL.
    let pusher = format!("http://pusher-key:{PUSHER_SECRET}@127.0.0.1:9/apps/1");
    let trunkline = Installation::new()
        .with("RUST_LOG", EVERYTHING_OF_OURS)
        .with("PUSHER_URL", pusher)
        .with("JWT_SECRET", JWT_SECRET)
        .with("NEVER_MATCH", "+1 212 555 0177");
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let people = "kind,id,name,owner_id,phone\nlead,4711,Jane Rumpelstiltskin,anna,404-555-0123\n";
    fs::write(trunkline.folder().join("people.csv"), people).unwrap();
    let imported = trunkline.run(&["contacts", "import", "people.csv"]).await;
    assert_eq!(imported.code, 0, "{}", imported.err);

    let running = trunkline.start("run").await;
    let mut told = post_everything(&trunkline).await;
    for path in [
        "/api/interactions?number=4045550123",
        "/api/alerts",
        "/api/interactions/Jane",
    ] {
        let request = trunkline.client().get(trunkline.url(path)).bearer_auth("Jane");
        let answer = trunkline.send(request).await;
        assert_eq!(answer.status, 401, "{path}");
        told += &answer.text;
    }
    trunkline.settle_but(&[QueueName::Alerts]).await;
    assert!(trunkline.row("CALprivate").await.unwrap().link.is_set());
    let complained = eventually(|| async { running.log().contains("Pusher").then_some(()) }).await;
    assert!(complained.is_some(), "{}", running.log());
    for path in ["metrics", "healthz", "readyz"] {
        let url = format!("http://{}/{path}", running.metrics_address());
        told += &trunkline.send(trunkline.client().get(url)).await.text;
    }
    assert!(told.contains("trunkline_webhook_deliveries_total"), "{told}");
    let log_file = running.log_file().to_owned();
    assert!(running.terminate().await.success());

    let log = fs::read_to_string(log_file).unwrap() + &imported.err;
    assert!(
        log.contains("accepted a webhook"),
        "the log is not as talkative as it can be:\n{log}"
    );
    let secrets = [SIGNING_KEY, JWT_SECRET, PUSHER_SECRET];
    for word in PEOPLE.into_iter().chain(secrets).chain(CARDS).chain(SPOKEN) {
        let line = log.lines().chain(told.lines()).find(|line| line.contains(word));
        assert_eq!(line, None, "{word} is told");
    }
}

#[tokio::test]
async fn no_card_number_stands_in_any_file() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    post_everything(&trunkline).await;
    assert_no_card_in(&trunkline.data_dir());
    trunkline.settle().await;
    assert!(
        stands_in(&trunkline.data_dir(), "Rumpelstiltskin"),
        "what is not redacted is found"
    );
    assert_no_card_in(&trunkline.data_dir());

    let row = trunkline.row("CALprivate").await.unwrap();
    assert!(
        row.notes
            .contains("Note: Rumpelstiltskin pays by [card number removed] or")
    );
    assert!(row.transcription.unwrap().ends_with("call me at 404-555-0123."));
    assert!(!trunkline.dead_letters().await.is_empty());
    assert!(running.terminate().await.success());
    assert_no_card_in(&trunkline.data_dir());
    assert_no_card_in(trunkline.folder());
}

#[tokio::test]
async fn no_card_number_stands_in_a_spool() {
    // Bound, but not listening: connections are refused, and nobody else takes the port.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let trunkline = Installation::new().with("QUEUE_URL", format!("amqp://{nobody}/"));
    let ingest = trunkline.start("webhook-ingest").await;
    post_everything(&trunkline).await;
    assert!(stands_in(&trunkline.data_dir(), "Rumpelstiltskin"));
    ingest.kill().await;
    assert_no_card_in(trunkline.folder());

    let trunkline = trunkline.without("QUEUE_URL");
    let drained = trunkline.run(&["spool", "drain"]).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    let running = trunkline.start("run").await;
    trunkline.settle().await;
    assert!(trunkline.row("CALprivate").await.is_some());
    assert!(running.terminate().await.success());
    assert_no_card_in(trunkline.folder());
}

#[tokio::test]
async fn an_erased_number_stands_nowhere_in_the_database_and_does_not_come_back() {
    let trunkline = Installation::new();
    let good = call("CALprivate").to_string();
    let post_all = async || {
        for kind in ["pre-call", "post-call", "call-modified"] {
            assert_eq!(trunkline.post(kind, good.clone()).await.status, 200);
        }
        trunkline.settle().await;
    };
    let running = trunkline.start("run").await;
    post_all().await;
    let message = sample("text_message_received.json").body;
    assert_eq!(trunkline.post("post-call", message).await.status, 200);
    let unreadable = good.replace("\"duration\":\"184\"", "\"duration\":\"long\"");
    assert_eq!(trunkline.post("post-call", unreadable).await.status, 200);
    trunkline.settle().await;
    let database = [".db", ".db-wal"].map(|end| trunkline.data_dir().join(format!("trunkline{end}")));
    let is_there = || {
        let contents = database.iter().filter_map(|file| fs::read(file).ok());
        let spellings = ["4045550123", "404-555-0123", "Rumpelstiltskin"];
        contents
            .into_iter()
            .any(|content| spellings.iter().any(|text| find(&content, text).is_some()))
    };
    assert!(is_there());

    let planned = trunkline
        .run(&["erase", "--phone", "(404) 555-0123", "--dry-run"])
        .await;
    let counts = planned.out.strip_prefix("There would be erased: ");
    let counts = counts.unwrap_or_else(|| panic!("{planned:?}")).to_owned();
    assert!(
        counts.starts_with("1 calls, 0 recordings, ") && counts.contains(" 2 dead letters, "),
        "{counts}"
    );
    assert!(is_there(), "only told");
    let erased = trunkline.run(&["erase", "--phone", "(404) 555-0123"]).await;
    assert!(erased.out.starts_with(&format!("Erased: {counts}")), "{erased:?}");
    assert!(!is_there());

    post_all().await;
    assert!(running.terminate().await.success());
    assert!(!is_there());
    let left = trunkline.row("CALprivate").await.unwrap();
    assert_eq!((left.call_from_number, left.notes.as_str()), (None, ""));
    assert_eq!(left.call_duration_seconds, 184);
    let refused = trunkline.run(&["erase", "--phone", "Jane"]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("write it with its country code"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_was_said_is_kept_only_so_long_and_does_not_come_back() {
    const SAID: &str = "the furnace stopped working";
    let trunkline = Installation::new();
    let mut object = call("CALprivate");
    object["transcription"] = json!(SAID);
    let body = object.to_string();
    let running = trunkline.start("run").await;
    assert_eq!(trunkline.post("call-modified", body.clone()).await.status, 200);
    trunkline.settle().await;
    let kept = trunkline.row("CALprivate").await.unwrap();
    assert!(kept.call_recording_url.is_some() && kept.notes.contains(SAID));
    assert!(running.terminate().await.success());

    let trunkline = trunkline
        .with("RETAIN_RECORDINGS_DAYS", "1")
        .with("RETAIN_TRANSCRIPTS_DAYS", "1")
        .with("RETAIN_EVENTS_DAYS", "1");
    let running = trunkline.start("run").await;
    let taken_away = eventually(|| async {
        let row = trunkline.row("CALprivate").await?;
        row.transcription.is_none().then_some(row)
    });
    let left = taken_away.await.expect("the transcription is still there");
    assert_eq!(
        (left.call_recording_url, left.customer_name),
        (None, kept.customer_name)
    );
    // As a webhook again, and of another call of that day.
    assert_eq!(trunkline.post("call-modified", body.clone()).await.status, 200);
    let another = body.replace("CALprivate", "CALanother");
    assert_eq!(trunkline.post("call-modified", another).await.status, 200);
    trunkline.settle().await;
    assert_eq!(trunkline.row("CALanother").await.unwrap().transcription, None);
    assert!(running.terminate().await.success());
    let explained = trunkline.run(&["explain", "CALprivate"]).await;
    assert!(
        explained
            .out
            .contains("Sealed: transcript (retention, by retention"),
        "{explained:?}"
    );
    let database = fs::read(trunkline.data_dir().join("trunkline.db")).unwrap();
    assert_eq!(find(&database, SAID), None);

    let wrong = trunkline.with("RETAIN_EVENTS_DAYS", "0").run(&["run"]).await;
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("RETAIN_EVENTS_DAYS: a day is the least"),
        "{wrong:?}"
    );
}

fn assert_no_card_in(folder: &Path) {
    for (path, mut content) in files(folder) {
        for words in SPOKEN.into_iter().chain(CARDS) {
            assert_eq!(
                find(&content, words),
                None,
                "{words} stands in {}",
                path.display()
            );
        }
        content.retain(|byte| !b" -".contains(byte));
        for card in CARDS {
            let card = card.replace([' ', '-'], "");
            assert_eq!(find(&content, &card), None, "{card} stands in {}", path.display());
        }
    }
}

fn stands_in(folder: &Path, text: &str) -> bool {
    files(folder)
        .iter()
        .any(|(_, content)| find(content, text).is_some())
}

fn find(content: &[u8], text: &str) -> Option<usize> {
    memchr::memmem::find(content, text.as_bytes())
}

/// All files below a folder, as they are at this moment.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return files(&path);
            }
            let content = fs::read(&path).unwrap();
            vec![(path, content)]
        })
        .collect()
}
