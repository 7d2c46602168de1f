//! What somebody writes into an address, a field or a header is that and nothing else: it reaches no other path, no
//! header of ours, no line of the log and no statement.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::api::Api;

const ODD_IDS: [&str; 8] = [
    "CAL1%2F..%2F..%2Faccounts",
    "..%2F..%2Faccounts.json",
    "CAL1%3Ffields%3Dnote",
    "CAL1%23",
    "CAL1%0D%0AX-Injected:%201",
    "CAL1%00",
    "CAL1%20HTTP%2F1.1",
    "%27%20or%20%271%27%3D%271",
];

#[tokio::test]
async fn an_id_in_an_address_leads_nowhere_else() {
    let api = Api::start().await;
    let asked_before = api.callrail.all_requests();
    for id in ODD_IDS {
        for (method, path) in [
            (
                Method::GET,
                format!("/api/integrations/callrail/call/{id}?fresh=true"),
            ),
            (
                Method::POST,
                format!("/api/integrations/callrail/call/{id}/recording/ticket"),
            ),
            (
                Method::GET,
                format!("/api/integrations/callrail/call/{id}/recording?ticket=x"),
            ),
            (Method::GET, format!("/api/integrations/callrail/imports/{id}")),
            (Method::GET, format!("/api/interactions/{id}")),
            (Method::GET, format!("/api/dead-letters/{id}")),
        ] {
            let request = api.trunkline.client().request(method, api.trunkline.url(&path));
            let answer = request.bearer_auth(&api.token).send().await.unwrap();
            let status = answer.status();
            assert!(
                [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&status),
                "{path}: {status}"
            );
            assert!(!answer.headers().contains_key("x-injected"), "{path}");
        }
    }
    assert_eq!(api.callrail.all_requests(), asked_before, "CallRail was asked");
    let log = api.trunkline.logs();
    assert!(!log.contains("X-Injected"), "{log}");
}

#[tokio::test]
async fn what_is_searched_for_is_text_and_no_part_of_a_statement() {
    let api = Api::start().await;
    for (number, name) in [
        "Jane'; drop table contacts; --",
        "100% Roofs",
        "under_score",
        r"back\slash",
    ]
    .into_iter()
    .enumerate()
    {
        let person = json!({"name": name, "phones": ["404-555-0177"]});
        let path = format!("/api/contacts/lead/{number}");
        assert_eq!(
            api.send(Method::PUT, &path, Some(person)).await.status,
            200,
            "{name}"
        );
    }
    for (query, found) in [
        ("%27%3B%20drop", 1),
        ("100%25", 1),
        ("%25", 1),
        ("_", 1),
        ("%5C", 1),
        ("%27%20or%20%27a%27%3D%27a", 0),
    ] {
        let answer = api.get(&format!("/api/contacts?q={query}")).await;
        let people = answer.json()["contacts"].as_array().map(Vec::len);
        assert_eq!(people, Some(found), "{query}: {}", answer.text);
    }
}
