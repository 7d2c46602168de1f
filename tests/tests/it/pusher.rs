//! Alerts on their way to the screens: over a real Pusher peer, which may be away, broken or of another mind.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use calls::AlertKind;
use chrono::{DateTime, Utc};
use queue::QueueName;
use serde_json::{Value, json};
use store::RaisedAlert;
use test_servers::Database;
use trunkline_tests::{Installation, eventually, sample};

use trunkline_tests::pusher_peer::{Mood, Peer, Received, median_and_max, url, url_with_secret};

const ANSWERED_CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

/// The caller of the samples, as somebody typed him into the CRM.
const CONTACTS: &str = "kind,id,name,owner_id,phone\ncustomer,42,Jane Dough,7,(404) 555-0123\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_reaches_everybody_and_the_owner_with_the_name_that_the_crm_knows() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    post(&trunkline, "pre-call", "pre_call.json").await;

    let mut events = peer.events("incoming-call", 2).await;
    events.sort_by(|one, other| one.channel.cmp(&other.channel));
    let channels: Vec<&str> = events.iter().map(|event| event.channel.as_str()).collect();
    assert_eq!(channels, ["private-calls", "private-user-7"]);
    let data = &events[0].data;
    assert_eq!(data, &events[1].data);
    assert_eq!(data["kind"], "incoming-call");
    assert_eq!(data["call_sid"], ANSWERED_CALL);
    assert_eq!(data["from"], "+14045550123");
    assert_eq!(data["direction"], "inbound");
    assert_eq!(data["source"], "Google Ads Call Tracking");
    assert_eq!(
        data["contact"],
        json!({"kind": "customer", "id": "42", "name": "Jane Dough"})
    );

    let raised = raised(&trunkline, AlertKind::IncomingCall).await;
    assert_eq!(raised.outgoing.alert.id.to_string(), data["id"]);
    assert_eq!(raised.outgoing.owner_id.as_deref(), Some("7"));
    let published = eventually(|| async {
        let raised = self::raised(&trunkline, AlertKind::IncomingCall).await;
        raised.published_at
    });
    assert!(
        published.await.is_some(),
        "the alert is pushed, but not noted as published"
    );
    assert_eq!(peer.refused(), []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alert_of_a_call_holds_a_link_to_the_recording_or_a_word_that_was_spoken() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    for (kind, name) in [
        ("pre-call", "pre_call.json"),
        ("routing-complete", "call_routing_complete.json"),
        ("post-call", "post_call_answered.json"),
        ("call-modified", "call_modified_transcription.json"),
        ("call-modified", "call_modified_tags.json"),
        ("post-call", "post_call_voicemail.json"),
    ] {
        post(&trunkline, kind, name).await;
        trunkline.settle().await;
    }

    let events = peer.received();
    let names: BTreeSet<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let expected = [
        "call-completed",
        "call-routed",
        "call-updated",
        "incoming-call",
        "voicemail-received",
    ];
    assert_eq!(Vec::from_iter(names), expected);
    for Received { name, data, .. } in &events {
        let text = data.to_string();
        for secret in [
            "http",
            "access_key",
            "recording",
            "transcri",
            "furnace",
            "Thank you",
        ] {
            assert!(!text.contains(secret), "{name} tells {secret}: {text}");
        }
    }
    running.kill().await;
}

/// Somebody has locked the CRM's people, and meanwhile the writer is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_whose_caller_cannot_be_looked_up_comes_with_its_number_and_later_with_the_name() {
    let (peer, address) = Peer::start(Mood::Fine);
    let database = Database::empty();
    let trunkline = Installation::new()
        .with("PUSHER_URL", url(&address))
        .with("DATABASE_URL", database.url());
    import_the_caller(&trunkline).await;
    let running = trunkline.start("run").await;
    let locked = database.lock("trunkline.contact_phones");

    let posted_at = Instant::now();
    post(&trunkline, "pre-call", "pre_call.json").await;
    let alone = peer.events("incoming-call", 1).await.remove(0);
    let took = alone.at - posted_at;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(alone.data["from"], "+14045550123");
    assert_eq!(alone.data["contact"], Value::Null);
    running.kill().await;
    let running = trunkline.start("run").await;
    drop(locked);

    let named = || async {
        let mut events = peer.received();
        events.retain(|event| event.data["contact"]["name"] == "Jane Dough");
        (events.len() >= 2).then_some(events)
    };
    let named = eventually(named)
        .await
        .unwrap_or_else(|| panic!("no name\n{}", trunkline.logs()));
    let channels: BTreeSet<&str> = named.iter().map(|event| event.channel.as_str()).collect();
    assert_eq!(Vec::from_iter(channels), ["private-calls", "private-user-7"]);
    assert_eq!(named[0].name, "incoming-call");
    assert_eq!(named[0].data["call_sid"], alone.data["call_sid"]);
    assert_ne!(named[0].data["id"], alone.data["id"]);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushers_servers_learn_no_name_and_no_number_if_so_it_is_set() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address))
        .await
        .with("PUSHER_PAYLOAD", "minimal");
    let running = trunkline.start("run").await;
    post(&trunkline, "pre-call", "pre_call.json").await;
    let events = peer.events("incoming-call", 2).await;
    let told: Vec<&String> = events[0].data.as_object().unwrap().keys().collect();
    assert_eq!(told, ["at", "call_sid", "id", "interaction_id", "kind"]);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_took_is_told_as_missed() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    post(&trunkline, "post-call", "post_call_missed.json").await;

    let events = peer.events("call-missed", 2).await;
    assert_eq!(events[0].data["outcome"], "no_answer");
    assert_eq!(events[0].data["duration"], 22);
    assert_eq!(events[0].data["contact"]["name"], "Jane Dough");
    trunkline.settle().await;
    assert_eq!(
        peer.received().len(),
        2,
        "nothing else is told: {:?}",
        peer.received()
    );
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_for_a_pusher_that_cannot_be_reached() {
    // Bound, but not listening: connections are refused, and nobody else takes the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    post(&trunkline, "post-call", "post_call_missed.json").await;
    let noticed =
        eventually(|| async { running.log().contains("cannot work at present").then_some(()) }).await;
    assert!(noticed.is_some(), "{}", running.log());

    let listener: TcpListener = socket.listen(128).unwrap().into_std().unwrap();
    let peer = Peer::serve(listener, Mood::Fine);
    peer.events("call-missed", 2).await;
    trunkline.settle().await;
    assert_eq!(trunkline.dead_letters().await, []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_for_a_pusher_that_answers_500() {
    let (peer, address) = Peer::start(Mood::Answers(500));
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    for number in 0..5 {
        post_renamed(&trunkline, "post-call", "post_call_missed.json", number).await;
    }
    peer.refuses(2).await;

    peer.becomes(Mood::Fine);
    let events = peer.events("call-missed", 10).await;
    trunkline.settle().await;
    let calls: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| event.data["call_sid"].as_str())
        .collect();
    assert_eq!(calls.len(), 5);
    assert_eq!(trunkline.dead_letters().await, []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_that_limits_hangs_or_refuses_costs_no_alert_and_holds_up_no_call() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    let moods = [Mood::Answers(429), Mood::Hangs, Mood::Answers(413)];
    for (number, mood) in (0..).zip(moods) {
        peer.becomes(mood);
        let asked = peer.refused().len();
        let call_sid = post_renamed(&trunkline, "post-call", "post_call_missed.json", number).await;
        peer.refuses(asked + 1).await;
        let written = eventually(|| trunkline.row(&call_sid)).await;
        assert!(written.is_some(), "{mood:?} keeps a call from its row");
    }

    peer.becomes(Mood::Fine);
    let events = peer.events("call-missed", 6).await;
    trunkline.settle().await;
    let ids: BTreeSet<String> = events.iter().map(|event| event.data["id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(trunkline.dead_letters().await, []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_for_a_pusher_that_cuts_every_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    post(&trunkline, "post-call", "post_call_missed.json").await;
    for _ in 0..2 {
        drop(listener.accept().await.unwrap());
    }

    let peer = Peer::serve(listener.into_std().unwrap(), Mood::Fine);
    peer.events("call-missed", 2).await;
    trunkline.settle().await;
    assert_eq!(trunkline.dead_letters().await, []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_costs_no_alert_and_the_right_one_sends_them_all() {
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url_with_secret(&address, "another-secret")).await;
    let running = trunkline.start("run").await;
    for number in 0..3 {
        post_renamed(&trunkline, "post-call", "post_call_missed.json", number).await;
    }
    peer.refuses(2).await;
    let waiting = trunkline.queue().await.depths().await.unwrap();
    assert!(waiting.contains(&(QueueName::Alerts, 3)), "{waiting:?}");
    assert_eq!(trunkline.dead_letters().await, []);
    assert!(
        running
            .log()
            .contains("check key, secret and app id in PUSHER_URL"),
        "{}",
        running.log()
    );
    assert!(!running.log().contains("another-secret"));
    assert!(running.terminate().await.success());

    let trunkline = trunkline.with("PUSHER_URL", url(&address));
    let running = trunkline.start("run").await;
    peer.events("call-missed", 6).await;
    trunkline.settle().await;
    assert_eq!(trunkline.dead_letters().await, []);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_at_the_peer_while_the_phone_still_rings() {
    const RINGS: u32 = 50;
    let (peer, address) = Peer::start(Mood::Fine);
    let trunkline = installation(&url(&address)).await;
    let running = trunkline.start("run").await;
    let mut times = Vec::new();
    for number in 0..RINGS {
        let posted_at = Instant::now();
        let call_sid = post_renamed(&trunkline, "pre-call", "pre_call.json", number).await;
        let of_call = |event: &Received| event.data["call_sid"] == call_sid.as_str();
        let arrived = eventually(|| async { peer.received().into_iter().find(of_call) }).await;
        let arrived = arrived.unwrap_or_else(|| panic!("no ring; log:\n{}", running.log()));
        times.push(arrived.at - posted_at);
    }
    let (median, max) = median_and_max(times);
    println!("from the POST of a pre-call to the peer: median {median:?}, max {max:?} of {RINGS} rings");
    running.kill().await;
}

/// An installation that knows the caller of the samples and sends alerts to this URL.
async fn installation(pusher_url: &str) -> Installation {
    let trunkline = Installation::new().with("PUSHER_URL", pusher_url);
    import_the_caller(&trunkline).await;
    trunkline
}

async fn import_the_caller(trunkline: &Installation) {
    std::fs::write(trunkline.folder().join("contacts.csv"), CONTACTS).unwrap();
    for command in [&["migrate"][..], &["contacts", "import", "contacts.csv"]] {
        let told = trunkline.run(command).await;
        assert_eq!(told.code, 0, "{told:?}");
    }
}

async fn post(trunkline: &Installation, kind: &str, name: &str) {
    let sample = sample(name);
    let answer = trunkline.post_signed(kind, sample.body, &sample.signature).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Posts a sample as another call, whose id it returns.
pub(crate) async fn post_renamed(trunkline: &Installation, kind: &str, name: &str, number: u32) -> String {
    let mut body: Value = serde_json::from_slice(&sample(name).body).unwrap();
    let call_sid = format!("CAL{number:032x}");
    body["resource_id"] = json!(call_sid);
    let answer = trunkline.post(kind, body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    call_sid
}

/// The one alert of this kind in the table.
async fn raised(trunkline: &Installation, kind: AlertKind) -> RaisedAlert {
    let since = DateTime::<Utc>::UNIX_EPOCH;
    let mut raised = trunkline.store().await.alerts_since(since, 100).await.unwrap();
    raised.retain(|raised| raised.outgoing.alert.kind == kind);
    assert_eq!(raised.len(), 1, "{raised:?}");
    raised.remove(0)
}
