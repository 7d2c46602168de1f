//! Each of the operator's commands, as a person uses it: the exit code, and what is told.

use std::collections::HashSet;
use std::process::Command;

use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use trunkline_tests::{Installation, SIGNING_KEY, Told, eventually, free_address, sample};

const ANSWERED_CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn every_command_has_a_help_that_says_what_it_is_for() {
    let trunkline = Installation::new();
    let help = trunkline.run(&["--help"]).await;
    assert_eq!(help.code, 0, "{help:?}");
    let commands = [
        "run",
        "connect",
        "doctor",
        "health",
        "demo",
        "migrate",
        "contacts",
        "verify",
        "token",
        "explain",
        "webhook-ingest",
        "integration-api",
        "call-writer",
        "notifier",
    ];
    for command in commands {
        assert!(
            help.out.contains(&format!("  {command} ")),
            "{command}: {}",
            help.out
        );
        let told = trunkline.run(&[command, "--help"]).await;
        assert_eq!(told.code, 0, "{command}: {told:?}");
        assert!(told.out.contains("Usage: trunkline"), "{command}: {}", told.out);
        assert!(
            !told.out.starts_with("Usage"),
            "{command} says nothing of itself: {}",
            told.out
        );
    }
    let import = trunkline.run(&["contacts", "import", "--help"]).await;
    assert_eq!(import.code, 0, "{import:?}");
    for column in ["kind", "id", "phone", "name", "owner_id", "updated_at"] {
        assert!(import.out.contains(column), "{column}: {}", import.out);
    }
}

#[tokio::test]
async fn the_program_names_its_commit_and_teaches_shells_its_commands() {
    let trunkline = Installation::new();
    let version = trunkline.run(&["--version"]).await;
    let git = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output();
    let commit = match git {
        Ok(told) if told.status.success() => String::from_utf8(told.stdout).unwrap(),
        _ => "unknown commit".to_owned(),
    };
    let expected = format!("trunkline {} ({})", env!("CARGO_PKG_VERSION"), commit.trim());
    assert_eq!(version.out.trim(), expected);

    for shell in ["bash", "zsh", "fish"] {
        let told = trunkline.run(&["completions", shell]).await;
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{shell}");
        assert!(told.out.contains("dead-letters"), "{shell}: {}", told.out);
    }
    let script = trunkline.folder().join("completions");
    std::fs::write(&script, trunkline.run(&["completions", "bash"]).await.out).unwrap();
    let complete = "source ./completions; COMP_WORDS=(trunkline dead); COMP_CWORD=1; _trunkline trunkline dead trunkline; \
                    echo ${COMPREPLY[@]}";
    let completed = Command::new("bash")
        .args(["-c", complete])
        .current_dir(trunkline.folder())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&completed.stdout).trim(),
        "dead-letters",
        "{completed:?}"
    );
}

#[tokio::test]
async fn a_health_check_ends_with_one_unless_the_process_is_alive_or_ready_as_asked() {
    let nobody = Installation::new().with("METRICS_ADDRESS", free_address());
    let error = refused(&nobody.run(&["health"]).await);
    assert!(error.contains("nothing answers at 127.0.0.1:"), "{error}");

    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let port = running.metrics_address().rsplit(':').next().unwrap();
    let trunkline = trunkline.with("METRICS_ADDRESS", format!("0.0.0.0:{port}"));
    let alive = trunkline.run(&["health"]).await;
    assert_eq!((alive.code, alive.out.as_str()), (0, "alive\n"), "{alive:?}");
    let ready = trunkline.run(&["health", "webhook-ingest", "--ready"]).await;
    assert_eq!(ready.code, 0, "{ready:?}");
    assert!(ready.out.contains("queue: ready"), "{}", ready.out);
    assert_eq!(ready.out.lines().count(), 1, "{}", ready.out);
    running.kill().await;

    // Alive, for it waits for its database; and not ready.
    let trunkline = trunkline.with("METRICS_ADDRESS", free_address()).with(
        "DATABASE_URL",
        format!("postgres://nobody@{}/crm", free_address()),
    );
    let waiting = trunkline.spawn("call-writer");
    let trunkline = trunkline.with("METRICS_ADDRESS", waiting.metrics_address());
    let alive = eventually(|| async {
        let told = trunkline.run(&["health", "call-writer"]).await;
        (told.code == 0).then_some(told.out)
    });
    assert_eq!(alive.await.as_deref(), Some("alive\n"));
    let error = refused(&trunkline.run(&["health", "call-writer", "--ready"]).await);
    assert!(error.contains("answers 503: database: not ready"), "{error}");
    waiting.kill().await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let trunkline = Installation::new();
    let first = trunkline.run(&["migrate"]).await;
    assert_eq!(first.code, 0, "{first:?}");
    assert!(!first.out.contains(": 0 migrations run"), "{}", first.out);
    let second = trunkline.run(&["migrate"]).await;
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(
        second.out,
        "sqlite://data/trunkline.db: 0 migrations run, the schema is up to date\n"
    );
}

#[tokio::test]
async fn a_service_alone_refuses_a_database_that_nobody_migrated() {
    let trunkline = Installation::new().with("METRICS_ADDRESS", "127.0.0.1:0");
    let error = refused(&trunkline.run(&["call-writer"]).await);
    assert!(error.contains("run `trunkline migrate`"), "{error}");
}

#[tokio::test]
async fn an_import_of_contacts_links_the_calls_that_came_before() {
    let trunkline = Installation::new();
    let running = trunkline.start("run").await;
    let missed = sample("post_call_missed.json");
    trunkline
        .post_signed("post-call", missed.body, &missed.signature)
        .await;
    trunkline.settle().await;

    let told = import(
        &trunkline,
        b"kind,id,name,phone\ncustomer,42,Jane Dough,(404) 555-0123\n",
    )
    .await;
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.out, "1 contacts saved, 1 earlier calls linked with them\n");
    let row = trunkline
        .row("CAL01a1fa948d917c0abe51c6e6655d81de")
        .await
        .unwrap();
    assert_eq!(row.link.customer_id.as_deref(), Some("42"));

    let again = import(
        &trunkline,
        b"kind,id,name,phone\ncustomer,42,Jane Dough,(404) 555-0123\n",
    )
    .await;
    assert_eq!(again.out, "0 contacts saved, 0 earlier calls linked with them\n");
    running.kill().await;
}

#[tokio::test]
async fn a_line_that_cannot_be_used_is_named_and_costs_no_other() {
    let trunkline = Installation::new();
    trunkline.run(&["migrate"]).await;
    let lines: [&[u8]; 8] = [
        b"kind,id,name,phone,phone_2,updated_at",
        b"lead,1,Good,404-555-0101;404.555.0102,,2026-11-20",
        b"pet,2,Bad kind,404-555-0103,,",
        b"lead,,No id,404-555-0104,,",
        b"customer,4,Bad time,404-555-0105,,yesterday",
        b"lead,5,Unreadable number,404-555-0106,call me,",
        b"lead,6,Not \xff UTF-8,404-555-0107,,",
        b"Customer,7,Good too,+1 404 555 0108 x12,,2026-11-20T10:00:00Z",
    ];
    let told = import(&trunkline, &lines.join(&b'\n')).await;
    assert_eq!(told.code, 1, "{told:?}");
    assert_eq!(
        told.out,
        "3 contacts saved, 0 earlier calls linked with them\n\
         1 numbers could not be read, so nobody is found by them:\n  \
         line 6: call me\n\
         4 lines could not be used:\n  \
         line 3: `kind` is neither lead nor customer\n  \
         line 4: `id` is empty\n  \
         line 5: `updated_at` is neither RFC 3339 nor YYYY-MM-DD\n  \
         line 7: not UTF-8, or not CSV\n"
    );
}

#[tokio::test]
async fn a_file_that_is_no_list_of_contacts_is_refused_with_the_reason() {
    let trunkline = Installation::new();
    trunkline.run(&["migrate"]).await;
    let missing = refused(&trunkline.run(&["contacts", "import", "nowhere.csv"]).await);
    assert!(missing.contains("cannot read nowhere.csv"), "{missing}");
    let no_phone = refused(&import(&trunkline, b"kind,id,name\nlead,1,Jane\n").await);
    assert!(no_phone.contains("names no column `phone`"), "{no_phone}");
    let no_kind = refused(&import(&trunkline, b"id,phone\n1,4045550123\n").await);
    assert!(no_kind.contains("names no column `kind`"), "{no_kind}");
}

#[tokio::test]
async fn the_published_example_is_genuine_and_the_usual_mistakes_are_told_apart() {
    let trunkline = Installation::new();
    let genuine = sample("signature-test-vector.json");
    let with_newline = [genuine.body.as_slice(), b"\n"].concat();
    // As most libraries write JSON.
    let rewritten = String::from_utf8(genuine.body.clone())
        .unwrap()
        .replace("\":", "\": ")
        .into_bytes();
    let changed = String::from_utf8(genuine.body.clone())
        .unwrap()
        .replace("\"13\"", "\"31\"")
        .into_bytes();
    let other_key = "172e77e426f92738a72fe23c4d1953b4";
    let cases = [
        (SIGNING_KEY, &genuine.body, 0, "The signature is genuine"),
        (
            SIGNING_KEY,
            &with_newline,
            1,
            "has a line break at its end that was not signed",
        ),
        (
            other_key,
            &genuine.body,
            1,
            "Either another key made the signature or the body was changed",
        ),
        (
            SIGNING_KEY,
            &rewritten,
            1,
            "the JSON was parsed and written again",
        ),
        (
            SIGNING_KEY,
            &changed,
            1,
            "Either another key made the signature or the body was changed",
        ),
    ];
    for (key, body, code, expected) in cases {
        let told = verify(&trunkline, key, &genuine.signature, body).await;
        assert_eq!(told.code, code, "{expected}: {told:?}");
        assert!(told.out.contains(expected), "{expected}: {told:?}");
        assert!(!told.out.contains(key), "the key is a secret: {told:?}");
    }
    let no_signature = verify(&trunkline, SIGNING_KEY, "sha1=abc", &genuine.body).await;
    assert_eq!(no_signature.code, 1, "{no_signature:?}");
    assert!(
        no_signature.out.contains("This is not a CallRail signature"),
        "{no_signature:?}"
    );
}

#[tokio::test]
async fn a_token_holds_for_its_user_its_scopes_and_its_time() {
    let trunkline = Installation::new().with("JWT_SECRET", JWT_SECRET);
    let claims = claims(&trunkline.run(&["token"]).await);
    assert_eq!(claims["sub"], "developer");
    assert_eq!(claims["scope"], "callrail:read callrail:write");
    assert_eq!(lifetime(&claims), 8 * 3_600);

    let arguments = [
        "token",
        "--user",
        "7",
        "--scope",
        "callrail:read",
        "--valid-for",
        "30m",
    ];
    let claims = self::claims(&trunkline.run(&arguments).await);
    assert_eq!(claims["sub"], "7");
    assert_eq!(claims["scope"], "callrail:read");
    assert_eq!(lifetime(&claims), 30 * 60);
}

#[tokio::test]
async fn no_token_is_made_without_a_secret_or_with_a_short_one() {
    let trunkline = Installation::new();
    let error = refused(&trunkline.run(&["token"]).await);
    assert!(error.contains("JWT_SECRET is not set"), "{error}");

    let trunkline = trunkline.with("JWT_SECRET", "hushhush");
    let told = trunkline.run(&["token"]).await;
    let error = refused(&told);
    assert!(error.contains("JWT_SECRET is shorter than 32 bytes"), "{error}");
    assert!(!error.contains("hushhush"), "{error}");
}

#[tokio::test]
async fn the_way_of_a_call_is_told_snapshot_by_snapshot() {
    let trunkline = Installation::new();
    trunkline.run(&["migrate"]).await;
    import(
        &trunkline,
        b"kind,id,name,phone\ncustomer,42,Jane Dough,404.555.0123\n",
    )
    .await;
    let running = trunkline.start("run").await;
    for (kind, name) in [
        ("pre-call", "pre_call.json"),
        ("post-call", "post_call_answered.json"),
        ("call-modified", "call_modified_tags.json"),
        ("call-modified", "call_modified_tags.json"),
    ] {
        let sample = sample(name);
        let answer = trunkline.post_signed(kind, sample.body, &sample.signature).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    trunkline.settle().await;

    let told = trunkline.run(&["explain", ANSWERED_CALL]).await;
    assert_eq!(told.code, 0, "{told:?}");
    in_order(
        &told.out,
        &[
            ANSWERED_CALL,
            "1. pre-call by webhook, seen ",
            "changes nothing in the row",
            "2. post-call by webhook, seen ",
            "outcome: nothing -> \"completed\"",
            "call_duration_seconds: nothing -> \"184\"",
            "3. call-modified by webhook, seen ",
            "and again ",
            "CallRail says changed: tag, tags",
            "tags: nothing -> \"Booked\"",
            "Matched with customer 42: the only one with this number.",
        ],
    );
    running.kill().await;
}

#[tokio::test]
async fn of_an_unknown_call_it_is_told_what_to_do() {
    let trunkline = Installation::new();
    trunkline.run(&["migrate"]).await;
    let unknown = refused(&trunkline.run(&["explain", ANSWERED_CALL]).await);
    assert!(
        unknown.contains(&format!("nothing is known of {ANSWERED_CALL}")),
        "{unknown}"
    );
    assert!(
        unknown.contains("call_sid") && unknown.contains("Webhooks page"),
        "{unknown}"
    );
    let no_id = refused(&trunkline.run(&["explain", "Jane"]).await);
    assert!(
        no_id.contains("an id of a call starts with CAL or is a number"),
        "{no_id}"
    );
}

async fn import(trunkline: &Installation, file: &[u8]) -> Told {
    std::fs::write(trunkline.folder().join("contacts.csv"), file).unwrap();
    trunkline.run(&["contacts", "import", "contacts.csv"]).await
}

async fn verify(trunkline: &Installation, key: &str, signature: &str, body: &[u8]) -> Told {
    std::fs::write(trunkline.folder().join("body.json"), body).unwrap();
    let arguments = ["verify", "--key", key, "--signature", signature, "body.json"];
    trunkline.run(&arguments).await
}

/// The one line with which a command refuses.
pub(crate) fn refused(told: &Told) -> String {
    assert_eq!(told.code, 1, "{told:?}");
    assert_eq!(told.out, "", "{told:?}");
    let mut errors = told.err.lines().filter(|line| line.starts_with("error: "));
    let error = errors.next().unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(told.err.lines().last(), Some(error), "{told:?}");
    error.to_owned()
}

/// What a token says, if it holds.
fn claims(told: &Told) -> Value {
    assert_eq!(told.code, 0, "{told:?}");
    let mut rules = Validation::new(Algorithm::HS256);
    rules.required_spec_claims = HashSet::from(["exp", "sub"].map(str::to_owned));
    let key = DecodingKey::from_secret(JWT_SECRET.as_bytes());
    let token = jsonwebtoken::decode::<Value>(told.out.trim(), &key, &rules).unwrap();
    let other_key = DecodingKey::from_secret(b"another secret of 32 bytes or so");
    assert!(jsonwebtoken::decode::<Value>(told.out.trim(), &other_key, &rules).is_err());
    token.claims
}

/// Seconds from now to the end of a token, which was made just now.
fn lifetime(claims: &Value) -> i64 {
    let (issued_at, expires_at) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((Utc::now().timestamp() - issued_at).abs() <= 60);
    expires_at - issued_at
}

/// Asserts that a text holds all of these, one after the other.
fn in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest.find(part);
        let at = at.unwrap_or_else(|| panic!("no {part:?} in what is left:\n{rest}\nof\n{text}"));
        rest = &rest[at + part.len()..];
    }
}
