//! The program.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use callrail::AccountId;
use callrail::client::{CallQuery, Client, ClientOptions, Credential};
use chrono::{TimeDelta, Utc};
use serde_json::Value;

#[tokio::test]
async fn the_program_prints_what_one_needs_to_use_the_account() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut program = Command::new(env!("CARGO_BIN_EXE_callrail-simulator"))
        .args(["--calls", "10", "--seed", "7", "--address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut setting = |name: &str| {
        let line = lines.next().unwrap().unwrap();
        let (given, value) = line.split_once('=').unwrap();
        assert_eq!(given, name);
        value.to_owned()
    };
    let url = setting("CALLRAIL_API_URL");
    let key = setting("CALLRAIL_API_KEY");
    let account = AccountId::parse(&setting("CALLRAIL_ACCOUNT_ID")).unwrap();
    let company = setting("CALLRAIL_COMPANY_ID");

    let options = ClientOptions {
        http: reqwest::Client::builder().no_proxy(),
        ..ClientOptions::default()
    };
    let credential = Credential::api_key(&key).unwrap();
    let client = Client::new(url.parse().unwrap(), account, credential, options).unwrap();
    let companies = client.companies().await;
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(companies.unwrap()[0].id.as_str(), company);
}

/// A client that is told to trust the authority and to use the proxy, and nothing of an address.
#[tokio::test]
async fn clients_that_know_only_callrails_address_are_led_to_the_account() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("calls.jsonl");
    let mut program = Command::new(env!("CARGO_BIN_EXE_callrail-simulator"))
        .args([
            "--calls",
            "300",
            "--address",
            "127.0.0.1:0",
            "--proxy",
            "127.0.0.1:0",
            "--unlimited",
        ])
        .arg("--tls-dir")
        .arg(folder.path())
        .arg("--list-calls")
        .arg(&list)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let settings: HashMap<String, String> = lines
        .take(8)
        .map(|line| {
            let line = line.unwrap();
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    assert_eq!(settings["CALLRAIL_API_URL"], "https://api.callrail.com/v3");

    let authority = fs::read(&settings["REQUESTS_CA_BUNDLE"]).unwrap();
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let http = || {
        reqwest::Client::builder()
            .tls_certs_only([authority.clone()])
            .proxy(reqwest::Proxy::https(&settings["HTTPS_PROXY"]).unwrap())
    };
    let options = ClientOptions {
        http: http(),
        ..ClientOptions::default()
    };
    let account = AccountId::parse(&settings["CALLRAIL_ACCOUNT_ID"]).unwrap();
    let credential = Credential::api_key(&settings["CALLRAIL_API_KEY"]).unwrap();
    let address = "https://api.callrail.com/v3".parse().unwrap();
    let client = Client::new(address, account, credential, options).unwrap();
    let query = CallQuery {
        company: None,
        from: Utc::now() - TimeDelta::days(31),
        until: Utc::now(),
    };
    let page = client.calls(&query).await.unwrap();
    let next = client.calls_after(&page.next.unwrap()).await.unwrap();
    let read: Vec<_> = page.calls.iter().chain(&next.calls).collect();
    let elsewhere = http().build().unwrap().get("https://example.com/").send().await;
    program.kill().unwrap();
    program.wait().unwrap();

    let listed: Vec<Value> = fs::read_to_string(&list)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((read.len(), listed.len()), (300, 300));
    for (call, listed) in read.into_iter().zip(&listed) {
        for field in [
            "id",
            "duration",
            "direction",
            "answered",
            "voicemail",
            "source",
            "note",
        ] {
            assert_eq!(call[field], listed[field], "{field}");
        }
    }
    assert!(elsewhere.is_err(), "the proxy leads out");
}
