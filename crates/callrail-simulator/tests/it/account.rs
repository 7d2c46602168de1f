//! The account and its webhooks.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::mem::discriminant;

use callrail::{Call, CallId, CompanyId, Direction, SigningKey, SigningKeys, WebhookKind};
use callrail_simulator::{Deliverer, SimulatedAccount, SimulatedCall, SimulatedDelivery};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use wiremock::matchers::{header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn account(seed: u64, calls: usize) -> SimulatedAccount {
    SimulatedAccount::generate(seed, calls, "2026-11-20T19:03:20.236789Z".parse().unwrap())
}

fn deliveries(account: &SimulatedAccount) -> impl Iterator<Item = (&SimulatedCall, &SimulatedDelivery)> {
    account
        .calls
        .iter()
        .flat_map(|call| call.deliveries.iter().map(move |delivery| (call, delivery)))
}

fn object(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap()
}

fn is_full(delivery: &SimulatedDelivery) -> bool {
    !matches!(delivery.kind, WebhookKind::PreCall | WebhookKind::RoutingComplete)
}

fn is_post(delivery: &SimulatedDelivery) -> bool {
    matches!(
        delivery.kind,
        WebhookKind::PostCall | WebhookKind::OutboundPostCall
    )
}

fn sample(name: &str) -> Map<String, Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/webhooks/");
    object(&fs::read(format!("{folder}{name}.json")).unwrap())
}

/// A sample of each kind, as `CallRail` sends it.
fn sample_of(kind: WebhookKind) -> Map<String, Value> {
    sample(match kind {
        WebhookKind::PreCall => "pre_call",
        WebhookKind::RoutingComplete => "call_routing_complete",
        WebhookKind::PostCall => "post_call_answered",
        WebhookKind::CallModified => "call_modified_tags",
        WebhookKind::OutboundPostCall => "outbound_post_call",
        WebhookKind::OutboundCallModified => "outbound_call_modified",
    })
}

#[test]
fn a_seed_gives_the_same_account_every_time_and_another_seed_another_one() {
    assert_eq!(account(7, 50), account(7, 50));
    assert_ne!(account(7, 50), account(8, 50));
    assert_ne!(account(7, 50).signing_key, account(8, 50).signing_key);
}

#[test]
fn the_identifiers_have_callrails_form() {
    let account = account(1, 50);
    assert_eq!(account.signing_key.len(), 32);
    assert_eq!(account.company_id.len(), 35);
    CompanyId::parse(&account.company_id).unwrap();
    for call in &account.calls {
        assert_eq!(call.call_sid.len(), 35);
        CallId::parse(&call.call_sid).unwrap();
    }
    let ids: HashSet<_> = account.calls.iter().map(|call| &call.call_sid).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn every_body_has_the_keys_of_the_sample_of_its_kind() {
    for (_, delivery) in deliveries(&account(2, 200)) {
        let mut body = object(&delivery.body);
        // Not there before there is one.
        body.remove("call_summary");
        let keys: BTreeSet<_> = body.keys().cloned().collect();
        let expected: BTreeSet<_> = sample_of(delivery.kind).keys().cloned().collect();
        assert_eq!(keys, expected, "{}", delivery.kind);
    }
}

#[test]
fn every_value_has_a_type_that_the_samples_have() {
    let names = [
        "pre_call",
        "call_routing_complete",
        "post_call_answered",
        "post_call_missed",
        "post_call_voicemail",
        "post_call_tracker_session",
        "call_modified_tags",
        "call_modified_transcription",
        "outbound_post_call",
        "outbound_call_modified",
    ];
    let mut types: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (key, value) in names.into_iter().flat_map(sample) {
        types.entry(key).or_default().push(discriminant(&value));
    }
    for (_, delivery) in deliveries(&account(3, 200)) {
        for (key, value) in object(&delivery.body) {
            assert!(
                types[&key].contains(&discriminant(&value)),
                "{}: {key} is {value}",
                delivery.kind
            );
        }
    }
}

#[test]
fn every_body_is_compact_escaped_like_rails_and_signed() {
    let account = account(4, 100);
    let bound = format!("{}:{}", account.company_id, account.signing_key);
    let keys: SigningKeys = [SigningKey::parse(&bound).unwrap()].into_iter().collect();
    for (_, delivery) in deliveries(&account) {
        let body = &delivery.body;
        assert!(body.starts_with(b"{\"answered\":") && body.ends_with(b"}"));
        assert!(!body.iter().any(|byte| b"&<>\n".contains(byte)));
        keys.verify([account.signature(body)], body).unwrap();
    }
}

#[test]
fn every_body_names_the_call_the_company_and_the_start_of_the_call() {
    let account = account(5, 100);
    for (call, delivery) in deliveries(&account) {
        let read = Call::from_slice(&delivery.body).unwrap();
        assert_eq!(read.id.as_str(), call.call_sid);
        assert_eq!(read.company.unwrap().as_str(), account.company_id);
        assert_eq!(read.start_time.value(), Some(&call.start));
        assert_eq!(read.unreadable, [""; 0]);
        let raw = object(&delivery.body);
        assert_eq!(raw["timestamp"], raw["start_time"]);
        assert!(raw["company_id"].is_u64());
    }
}

#[test]
fn the_last_full_body_says_what_is_expected() {
    for call in &account(6, 300).calls {
        let body = &call
            .deliveries
            .iter()
            .rfind(|delivery| is_full(delivery))
            .unwrap()
            .body;
        let read = Call::from_slice(body).unwrap();
        let expected = &call.expected;
        let text = |field: &callrail::Field<String>| field.value().cloned();

        assert_eq!(
            read.direction.value() == Some(&Direction::Outbound),
            expected.direction == "outbound"
        );
        let outcome = match (read.answered.value(), read.voicemail.value()) {
            (Some(true), _) => "completed",
            (_, Some(true)) => "voicemail",
            _ => "no_answer",
        };
        assert_eq!(outcome, expected.outcome);
        assert_eq!(read.duration.value(), Some(&expected.duration_seconds));
        assert_eq!(read.start_time.value(), Some(&expected.started_at));
        assert_eq!(read.first_call.value(), Some(&expected.first_call));
        assert_eq!(text(&read.source).as_deref(), Some(expected.source));
        assert_eq!(text(&read.recording), expected.recording_url);
        assert_eq!(text(&read.transcription), expected.transcription);
        assert_eq!(text(&read.call_summary), expected.call_summary);
        assert_eq!(text(&read.note), expected.note);
        assert_eq!(text(&read.lead_status), expected.lead_status);
        assert_eq!(read.tags.value(), Some(&expected.tags));

        let number = text(&read.customer_phone_number).unwrap();
        match &expected.customer {
            Some(customer) => assert_eq!(*customer, number),
            None => assert!(["anonymous", "+266696687"].contains(&number.as_str())),
        }
        let from = if expected.direction == "outbound" {
            text(&read.tracking_phone_number)
        } else {
            expected.customer.clone()
        };
        assert_eq!(from, expected.from);
    }
}

#[test]
fn what_a_full_body_told_stays_in_all_later_ones() {
    for call in &account(7, 300).calls {
        let mut told: BTreeMap<&str, Value> = BTreeMap::new();
        for delivery in call.deliveries.iter().filter(|delivery| is_full(delivery)) {
            let body = object(&delivery.body);
            for (name, value) in &told {
                assert_eq!(body[*name], *value, "{name}");
            }
            for name in [
                "recording",
                "transcription",
                "note",
                "lead_status",
                "tag",
                "duration",
            ] {
                if body[name] != "" {
                    told.insert(name, body[name].clone());
                }
            }
        }
    }
}

#[test]
fn missed_calls_are_short_and_have_no_recording() {
    let account = account(8, 200);
    let missed: Vec<_> = account
        .calls
        .iter()
        .map(|call| &call.expected)
        .filter(|expected| expected.direction == "inbound" && expected.outcome == "no_answer")
        .collect();
    assert!(!missed.is_empty());
    assert!(
        missed
            .iter()
            .all(|expected| expected.duration_seconds < 60 && expected.recording_url.is_none())
    );
}

#[test]
fn twenty_calls_hold_every_outcome_and_two_hundred_every_kind() {
    let few = account(9, 20);
    let outcomes: BTreeSet<_> = few
        .calls
        .iter()
        .map(|call| (call.expected.direction, call.expected.outcome))
        .collect();
    for outcome in [
        ("inbound", "completed"),
        ("inbound", "no_answer"),
        ("inbound", "voicemail"),
    ] {
        assert!(outcomes.contains(&outcome), "{outcome:?}");
    }
    assert!(outcomes.iter().any(|(direction, _)| *direction == "outbound"));

    let many = account(9, 200);
    let kinds: BTreeSet<_> = deliveries(&many).map(|(_, delivery)| delivery.kind).collect();
    assert_eq!(kinds, BTreeSet::from(WebhookKind::ALL));
}

#[test]
fn the_mix_is_about_what_it_should_be() {
    let account = account(10, 2_000);
    let percent = |part: usize, whole: usize| 100 * part / whole;
    let with = |test: &dyn Fn(&SimulatedCall) -> bool| account.calls.iter().filter(|call| test(call)).count();

    let talks = with(&|call| call.expected.outcome == "completed");
    let known = with(&|call| call.expected.contact.is_some());
    let withheld = with(&|call| call.expected.customer.is_none());
    let summarised = with(&|call| call.expected.call_summary.is_some());
    let tagged = with(&|call| !call.expected.tags.is_empty());
    assert!((35..50).contains(&percent(known, 2_000)), "{known} known");
    assert!((2..8).contains(&percent(withheld, 2_000)), "{withheld} withheld");
    assert!(
        (35..46).contains(&percent(summarised, talks)),
        "{summarised} of {talks} with a summary"
    );
    assert!(
        (20..31).contains(&percent(tagged, talks)),
        "{tagged} of {talks} with tags"
    );
    assert!(with(&|call| call.expected.note.is_some()) > 50);

    let sent = deliveries(&account).count();
    let different: usize = account
        .calls
        .iter()
        .map(|call| {
            call.deliveries
                .iter()
                .map(|delivery| (&delivery.body, delivery.kind))
                .collect::<HashSet<_>>()
                .len()
        })
        .sum();
    assert!(
        (7..13).contains(&percent(sent - different, different)),
        "{sent} sent, {different} different"
    );
}

#[test]
fn a_repetition_follows_at_once() {
    for call in &account(11, 300).calls {
        let mut seen = HashSet::new();
        let mut previous: Option<&SimulatedDelivery> = None;
        for delivery in &call.deliveries {
            let is_new = seen.insert((delivery.kind, &delivery.body));
            assert!(is_new || previous == Some(delivery));
            assert!(previous.is_none_or(|previous| previous.after <= delivery.after));
            previous = Some(delivery);
        }
    }
}

#[test]
fn some_calls_arrive_out_of_order() {
    let account = account(12, 300);
    let progress_after_the_end = |call: &&SimulatedCall| {
        call.deliveries
            .iter()
            .skip_while(|delivery| !is_post(delivery))
            .any(|delivery| !is_full(delivery))
    };
    let change_before_the_end = |call: &&SimulatedCall| {
        let first_full = call.deliveries.iter().find(|delivery| is_full(delivery));
        first_full.is_some_and(|delivery| !is_post(delivery))
    };
    assert!(account.calls.iter().filter(progress_after_the_end).count() > 5);
    assert!(account.calls.iter().filter(change_before_the_end).count() > 5);
    for call in &account.calls {
        assert!(
            call.deliveries.iter().any(is_post),
            "every call has its Post-Call"
        );
    }
}

#[test]
fn a_number_shared_by_a_customer_and_a_lead_is_expected_to_be_the_customers() {
    let account = account(13, 400);
    let sharing: BTreeSet<_> = account.people[..4]
        .iter()
        .map(|person| Some(person.e164.clone()))
        .collect();
    let calls: Vec<_> = account
        .calls
        .iter()
        .map(|call| &call.expected)
        .filter(|call| sharing.contains(&call.customer))
        .collect();
    assert!(!calls.is_empty());
    for call in calls {
        assert_eq!(call.contact.as_ref().unwrap().0, "customer");
    }
}

#[test]
fn contacts_are_exactly_those_whose_number_it_is() {
    let account = account(14, 1_000);
    for call in &account.calls {
        let owners: Vec<_> = account
            .people
            .iter()
            .filter(|person| Some(&person.e164) == call.expected.customer.as_ref())
            .collect();
        let found = owners
            .iter()
            .any(|person| call.expected.contact == Some((person.kind, person.id.clone())));
        assert_eq!(found, !owners.is_empty());
        assert_eq!(call.expected.contact.is_some(), found);
        assert!(
            call.expected
                .customer
                .as_ref()
                .is_none_or(|number| !account.own_numbers.contains(number))
        );
    }
}

#[test]
fn the_first_call_of_a_number_is_its_first_in_the_account() {
    let mut seen = HashSet::new();
    for call in account(15, 1_000).calls {
        if let Some(customer) = call.expected.customer {
            assert_eq!(call.expected.first_call, seen.insert(customer));
        }
    }
}

#[test]
fn an_account_without_calls_has_people_all_the_same() {
    let account = account(16, 0);
    assert_eq!(account.calls, []);
    assert!(account.people.len() >= 16);
}

fn client() -> reqwest::Client {
    // A second call finds a provider installed, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_delivery_is_posted_as_callrail_posts_it() {
    let start: DateTime<Utc> = "2026-11-20T19:03:20.236Z".parse().unwrap();
    let account = SimulatedAccount::generate(1, 1, start);
    let delivery = account.calls[0]
        .deliveries
        .iter()
        .find(|delivery| is_full(delivery))
        .unwrap();
    let number = object(&delivery.body)["customer_phone_number"]
        .as_str()
        .unwrap()
        .to_owned();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(format!("/api/webhooks/callrail/{}", delivery.kind)))
        .and(query_param("datetime", "2026-11-20 19:03:20"))
        .and(query_param("callernum", number))
        .and(header("user-agent", "CallRail Webhook/1.0"))
        .and(header("content-type", "application/json"))
        .and(header("signature", account.signature(&delivery.body)))
        .and(header_exists("content-length"))
        .respond_with(ResponseTemplate::new(202))
        .expect(1)
        .mount(&server)
        .await;

    let base_url = format!("{}/api/webhooks/callrail/", server.uri())
        .parse()
        .unwrap();
    let status = Deliverer::new(client(), base_url)
        .deliver(&account, delivery)
        .await
        .unwrap();
    assert_eq!(status, 202);
    assert_eq!(server.received_requests().await.unwrap()[0].body, delivery.body);
}

#[tokio::test]
async fn a_refused_delivery_is_never_sent_again() {
    let account = account(1, 1);
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(503))
        .expect(1)
        .mount(&server)
        .await;

    let deliverer = Deliverer::new(client(), server.uri().parse().unwrap());
    let status = deliverer
        .deliver(&account, &account.calls[0].deliveries[0])
        .await
        .unwrap();
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_delivery_without_an_answer_is_an_error_that_names_nobody() {
    let account = account(1, 1);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/", free.local_addr().unwrap()).parse().unwrap();
    drop(free);

    let error = Deliverer::new(client(), base_url)
        .deliver(&account, &account.calls[0].deliveries[0])
        .await
        .unwrap_err();
    assert!(error.is_connect());
    assert!(!format!("{error:?}").contains("callernum"));
}
