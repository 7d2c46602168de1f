//! Settings that are wrong or missing: one clear line, and no secret in it.

use std::net::TcpListener;

use callrail::SIGNATURE_HEADER;
use trunkline_tests::{Installation, SIGNING_KEY, sample};

use crate::commands::refused;

#[tokio::test]
async fn a_key_of_trunkline_toml_that_does_not_exist_stops_with_its_name() {
    let trunkline = Installation::new();
    std::fs::write(
        trunkline.folder().join("trunkline.toml"),
        "databse_url = \"sqlite://x.db\"\n",
    )
    .unwrap();
    for command in ["run", "migrate"] {
        let error = refused(&trunkline.run(&[command]).await);
        assert_eq!(error, "error: trunkline.toml: there is no setting `databse_url`");
    }
}

#[tokio::test]
async fn an_unknown_variable_of_ours_is_warned_of_and_stops_nothing() {
    let trunkline = Installation::new()
        .with("CALLRAIL_SIGNING_KEY", SIGNING_KEY)
        .with("PATH_OF_OTHERS", "x");
    let told = trunkline.run(&["migrate"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.err.contains("WARN"), "{}", told.err);
    assert!(told.err.contains("CALLRAIL_SIGNING_KEY"), "{}", told.err);
    assert!(!told.err.contains(SIGNING_KEY), "{}", told.err);
    assert!(!told.err.contains("PATH_OF_OTHERS"), "{}", told.err);
}

#[tokio::test]
async fn a_taken_port_stops_with_one_line_that_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (setting, other) in [
        ("HTTP_ADDRESS", "METRICS_ADDRESS"),
        ("METRICS_ADDRESS", "HTTP_ADDRESS"),
    ] {
        let trunkline = Installation::new()
            .with(other, "127.0.0.1:0")
            .with(setting, &address);
        let error = refused(&trunkline.run(&["run"]).await);
        let expected = format!("error: cannot listen on {address}: set {setting} to another address");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn settings_that_do_not_fit_stop_with_one_line_that_shows_no_secret() {
    for (setting, value) in [
        ("CALLRAIL_SIGNING_KEYS", "hush hush"),
        ("DATABASE_URL", "mysql://me:hush@host/db"),
        ("QUEUE_URL", "redis://me:hush@host"),
        ("PUSHER_URL", "https://key:hush@host"),
        ("RECORDINGS_ARCHIVE", "s3://me:hush@host/recordings"),
        ("SHUTDOWN_GRACE", "soon"),
        ("DEFAULT_REGION", "Atlantis"),
        ("NEVER_MATCH", "call me"),
        ("MATCH_PREFERENCE", "nearest"),
    ] {
        let trunkline = Installation::new()
            .with("METRICS_ADDRESS", "127.0.0.1:0")
            .with(setting, value);
        let error = refused(&trunkline.run(&["run"]).await);
        assert!(error.contains(setting), "{setting}: {error}");
        assert!(!error.contains("hush"), "{setting}: {error}");
    }
}

#[tokio::test]
async fn without_a_signing_key_the_program_runs_refuses_webhooks_and_says_what_to_set() {
    let trunkline = Installation::new().without("CALLRAIL_SIGNING_KEYS");
    let running = trunkline.start("run").await;
    let sample = sample("pre_call.json");
    let request = trunkline
        .webhook("pre-call", sample.body)
        .header(SIGNATURE_HEADER, &sample.signature);
    assert_eq!(trunkline.send(request).await.status, 401);
    assert!(
        running.log().contains("set CALLRAIL_SIGNING_KEYS"),
        "{}",
        running.log()
    );
    running.kill().await;
}

#[tokio::test]
async fn mounted_secrets_that_are_empty_count_as_not_set() {
    let trunkline = Installation::new();
    let empty = trunkline.folder().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let trunkline = [
        "CALLRAIL_ACCESS_TOKEN_FILE",
        "CALLRAIL_ACCOUNT_ID_FILE",
        "CALLRAIL_API_KEY_FILE",
        "JWT_SECRET_FILE",
        "PUSHER_URL_FILE",
    ]
    .into_iter()
    .fold(trunkline, |trunkline, name| {
        trunkline.with(name, empty.to_str().unwrap())
    });
    let running = trunkline.start("run").await;
    assert!(
        running.log().contains("no past calls are imported"),
        "{}",
        running.log()
    );
    running.kill().await;
}

/// In Compose and Kubernetes everything is started before there is a key.
#[tokio::test]
async fn an_importer_without_an_account_waits_and_says_what_it_wants() {
    let trunkline = Installation::new();
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let importer = trunkline.start("importer").await;
    let ready = format!("http://{}/readyz", importer.metrics_address());
    let answer = trunkline.send(trunkline.client().get(ready)).await;
    let wants = "importer: degraded: CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID are not set: ";
    assert!(answer.text.contains(wants), "{answer:?}");
    let log = importer.log();
    assert_eq!(log.matches("CALLRAIL_API_KEY").count(), 1, "{log}");
    assert!(importer.terminate().await.success());
}
