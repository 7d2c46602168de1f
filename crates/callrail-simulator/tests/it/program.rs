//! The program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use callrail::AccountId;
use callrail::client::{Client, ClientOptions, Credential};

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
