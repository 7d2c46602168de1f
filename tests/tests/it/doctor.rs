//! `trunkline doctor`: all is well, or one line for each thing that is not, with what to do about it.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use callrail::WebhookKind;
use callrail_simulator::{ApiOptions, Fault, SimulatedAccount, SimulatedApi};
use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};
use test_servers::Vhost;
use trunkline_tests::{Installation, Process, Server, Told, eventually};

use trunkline_tests::pusher_peer::{self, Mood, Peer};

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:9";

/// An installation with a simulated account in CallRail.
struct Office {
    trunkline: Installation,
    account: Arc<SimulatedAccount>,
    callrail: SimulatedApi,
}

impl Office {
    /// All is set up, but nothing runs.
    async fn new() -> Self {
        Self::with_webhooks(Some).await
    }

    /// With another content of the boxes in CallRail than is right.
    async fn with_webhooks(change: impl FnOnce(Map<String, Value>) -> Option<Map<String, Value>>) -> Self {
        let trunkline = Installation::new();
        let account = Arc::new(SimulatedAccount::generate(
            7,
            10,
            Utc::now() - TimeDelta::hours(2),
        ));
        let boxes = WebhookKind::ALL.map(|kind| {
            let url = trunkline.url(&format!("/api/webhooks/callrail/{kind}"));
            (kind.config_key().to_owned(), json!([url]))
        });
        let options = ApiOptions {
            webhook_config: change(boxes.into_iter().collect()),
            ..ApiOptions::default()
        };
        let callrail = SimulatedApi::start(Arc::clone(&account), options).unwrap();
        let trunkline = trunkline
            .with("CALLRAIL_API_KEY", &account.api_key)
            .with("CALLRAIL_ACCOUNT_ID", &account.account_id)
            .with("CALLRAIL_COMPANY_ID", &account.company_id)
            .with("CALLRAIL_API_URL", callrail.base_url())
            .with("CALLRAIL_SIGNING_KEYS", &account.signing_key)
            .with("METRICS_ADDRESS", NOBODY)
            .with("RECONCILE", "off");
        assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
        Self {
            trunkline,
            account,
            callrail,
        }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.trunkline = self.trunkline.with(name, value);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.trunkline = self.trunkline.without(name);
        self
    }

    async fn wrong(&self) -> Vec<String> {
        let told = self.trunkline.run(&["doctor"]).await;
        for secret in [&self.account.api_key, &self.account.signing_key] {
            assert!(!told.out.contains(secret), "{told:?}");
        }
        wrong(&told)
    }
}

/// What is wrong, apart from the program that does not run.
fn wrong(told: &Told) -> Vec<String> {
    assert_eq!((told.code, told.err.as_str()), (1, ""), "{told:?}");
    assert!(!told.out.contains("hush"), "{told:?}");
    let lines = told.out.lines().filter(|line| line.starts_with("wrong "));
    let expected = |line: &&str| {
        !line.contains("nothing of Trunkline runs") && !line.contains("nothing answers at the address")
    };
    lines.filter(expected).map(str::to_owned).collect()
}

/// What is told beside a running program.
async fn beside(trunkline: &Installation, running: &Process) -> Told {
    let output = trunkline
        .command(&["doctor"])
        .env("METRICS_ADDRESS", running.metrics_address())
        .output()
        .await
        .unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_every_line_says_so() {
    let (_peer, address) = Peer::start(Mood::Fine);
    let office = Office::new()
        .await
        .with("PUSHER_URL", pusher_peer::url(&address))
        .with("JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let running = office.trunkline.start("run").await;
    let told = beside(&office.trunkline, &running).await;
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    assert!(told.out.lines().count() >= 12, "{}", told.out);
    for line in told.out.lines() {
        assert!(line.starts_with("ok "), "{}", told.out);
    }
    let account = &office.account;
    for part in [
        account.account_id.as_str(),
        &account.company_id,
        "agrees with CallRail's",
        "all six of http://127.0.0.1",
        "is among CALLRAIL_SIGNING_KEYS",
        "its signature holds",
        "key and secret hold",
        "1 running here, all ready",
    ] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
    for secret in [&account.api_key, &account.signing_key] {
        assert!(!told.out.contains(secret), "{}", told.out);
    }
    // They count, so that they are few, and noted as all others are; one is the program's own.
    let asked = office.callrail.all_requests();
    assert!((3..=4).contains(&asked), "{asked}");
    let noted = office.trunkline.store().await.requests_made(Utc::now()).await;
    assert!(u64::from(noted.unwrap().day) >= asked);
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_which_callrail_fails_has_a_line_of_its_own() {
    let office = Office::new().await;
    assert_eq!(office.wrong().await, Vec::<String>::new());
    for (fault, expected) in [
        (
            Fault::Status(401),
            "does not accept the key: set CALLRAIL_API_KEY",
        ),
        (Fault::Status(500), "it is out of order: wait"),
        (Fault::Html, "is not CallRail's API, but a page"),
        (Fault::CutBody, "answer broke off: try again"),
        (
            Fault::TooManyRequests(None),
            "takes no more requests for this account now",
        ),
        (
            Fault::Redirect("http://127.0.0.1:9/".to_owned()),
            "is not CallRail's API, but a page",
        ),
    ] {
        office.callrail.fail(fault.clone());
        let wrong = office.wrong().await;
        assert_eq!(wrong.len(), 1, "{fault:?}: {wrong:?}");
        assert!(wrong[0].contains(expected), "{fault:?}: {wrong:?}");
    }
    office.callrail.recover();
    let office = office.with("CALLRAIL_ACCOUNT_ID", "ACC1");
    let wrong = office.wrong().await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("accepts the key, but not for the account ACC1")
            && wrong[0].contains(&office.account.account_id),
        "{wrong:?}"
    );
    let office = office.with("CALLRAIL_API_URL", "http://127.0.0.1:9/v3");
    let wrong = office.wrong().await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("API does not answer: see whether this machine"),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callrail_that_hangs_is_waited_for_some_seconds_only() {
    let office = Office::new().await;
    office.callrail.fail(Fault::Hang);
    let wrong = office.wrong().await;
    assert!(wrong[0].contains("API does not answer"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_webhooks_is_named() {
    let none = Office::with_webhooks(|_| None).await;
    let wrong = none.wrong().await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("has no webhook integration"), "{wrong:?}");

    let swapped = Office::with_webhooks(|mut config| {
        let post_call = config["post_call_webhook"].take();
        config["post_call_webhook"] = std::mem::replace(&mut config["pre_call_webhook"], post_call);
        let others = json!(["https://other.example.com/hush"]);
        config.insert("sms_sent_webhook".to_owned(), others);
        Some(config)
    })
    .await;
    let wrong = swapped.wrong().await;
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    for (line, (kind, stands, belongs)) in wrong.iter().zip([
        ("pre-call", "Post-Call", "Pre-Call"),
        ("post-call", "Pre-Call", "Post-Call"),
    ]) {
        let named = format!("the {kind} address stands in the box {stands}");
        assert!(
            line.contains(&named) && line.ends_with(&format!("box {belongs}")),
            "{wrong:?}"
        );
    }

    let office = Office::new().await;
    office.callrail.set_webhook_state("disabled");
    let office = office.with("CALLRAIL_SIGNING_KEYS", "hush");
    let wrong = office.wrong().await;
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        wrong[0].contains("is `disabled`, so CallRail sends nothing"),
        "{wrong:?}"
    );
    assert!(
        wrong[1].contains("is not among CALLRAIL_SIGNING_KEYS"),
        "{wrong:?}"
    );

    let office = office.with("CALLRAIL_COMPANY_ID", "COM1");
    let wrong = office.wrong().await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("COM1 is none of the 1 that the key's user sees"),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_runs_with_another_key_is_found_by_a_signed_request() {
    let office = Office::new().await.with("CALLRAIL_SIGNING_KEYS", "another");
    let running = office.trunkline.start("run").await;
    let own_key = office.account.signing_key.clone();
    let office = office.with("CALLRAIL_SIGNING_KEYS", own_key);
    let wrong = wrong(&beside(&office.trunkline, &running).await);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].contains("the signature does not hold there"),
        "{wrong:?}"
    );
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_by_how_much() {
    let server = serve_an_old_date();
    let url = format!("http://{}/v3", server.address);
    let office = Office::new().await.with("CALLRAIL_API_URL", url);
    let wrong = office.wrong().await;
    assert!(
        wrong[0].contains("s ahead of CallRail's: have it set by NTP"),
        "{wrong:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_check_that_fails_hides_no_other() {
    let office = Office::new()
        .await
        .without("CALLRAIL_SIGNING_KEYS")
        .without("CALLRAIL_ACCOUNT_ID")
        .with("CALLRAIL_SIGNING_KYES", "hush")
        .with("DATABASE_URL", "postgres://me:hush@127.0.0.1:9/crm")
        .with("QUEUE_URL", "amqp://me:hush@127.0.0.1:9")
        .with("DATA_DIR", "/proc/nowhere")
        .with("JWT_SECRET", "hush")
        .with("SHUTDOWN_GRACE", "soon");
    std::fs::write(
        office.trunkline.folder().join("trunkline.toml"),
        "databse_url = \"sqlite://hush.db\"\n",
    )
    .unwrap();
    let (_peer, address) = Peer::start(Mood::Fine);
    let office = office.with("PUSHER_URL", pusher_peer::url_with_secret(&address, "hush"));
    let wrong = office.wrong().await;
    for expected in [
        "settings      trunkline.toml: there is no setting `databse_url`",
        "settings      CALLRAIL_SIGNING_KYES in the environment is no setting",
        "settings      CALLRAIL_ACCOUNT_ID is not set",
        "settings      JWT_SECRET is shorter than 32 bytes",
        "settings      SHUTDOWN_GRACE: not a span of time",
        "database      postgres://127.0.0.1:9/crm",
        "queue         amqp://127.0.0.1:9",
        "folder        /proc/nowhere cannot be written",
        "signing keys  CALLRAIL_SIGNING_KEYS is not set",
        "Pusher        the Pusher server answered 401: check key, secret",
    ] {
        let found = wrong.iter().filter(|line| line.contains(expected)).count();
        assert_eq!(found, 1, "{expected}: {wrong:#?}");
    }
    assert_eq!(wrong.len(), 10, "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_start_nothing_is_made_and_the_next_step_is_told() {
    let trunkline = Installation::new()
        .without("CALLRAIL_SIGNING_KEYS")
        .with("METRICS_ADDRESS", NOBODY);
    let lines = wrong(&trunkline.run(&["doctor"]).await);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("run `trunkline migrate`"), "{lines:?}");
    assert!(lines[1].contains("run `trunkline connect`"), "{lines:?}");
    assert!(!trunkline.data_dir().exists());

    std::fs::create_dir(trunkline.data_dir()).unwrap();
    std::fs::write(trunkline.data_dir().join("trunkline.db"), "").unwrap();
    let lines = wrong(&trunkline.run(&["doctor"]).await);
    assert!(
        lines[0].contains("an older schema than this program: run `trunkline migrate`"),
        "{lines:?}"
    );
}

/// Knows one account and no company, and lives two minutes in the past.
fn serve_an_old_date() -> Server {
    let answer = |request: HttpRequest| async move {
        let date = (Utc::now() - TimeDelta::minutes(2)).format("%a, %d %b %Y %H:%M:%S GMT");
        let body = if request.path().ends_with("companies.json") {
            json!({"companies": [], "total_pages": 1})
        } else {
            json!({"id": "ACC1", "name": "Example Agency"})
        };
        HttpResponse::Ok()
            .insert_header(("date", date.to_string()))
            .json(body)
    };
    Server::start(move |app| {
        app.default_service(web::to(answer));
    })
}

/// What the broker of the tests is told to do with our queues, and what is said of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_rabbitmq_that_would_cost_messages_is_named() {
    let broker = Vhost::new();
    let trunkline = Installation::new()
        .with("QUEUE_URL", broker.url())
        .with("QUEUE_ADMIN_URL", std::env::var("TEST_QUEUE_ADMIN_URL").unwrap());
    let policies = || async {
        let told = trunkline.run(&["doctor"]).await.out;
        let lines = told.lines().filter(|line| line[9..].starts_with("policies "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // The first look makes the queues.
    policies().await;

    let version = broker.get("overview").unwrap()["rabbitmq_version"].to_string();
    let has_a_limit = !version.starts_with("\"3.");
    let definitions = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rabbitmq/definitions.json");
    let definitions: Value = serde_json::from_str(&std::fs::read_to_string(definitions).unwrap()).unwrap();
    for policy in definitions["policies"].as_array().unwrap() {
        let name = policy["name"].as_str().unwrap();
        if has_a_limit || name != "trunkline-dead" {
            broker.put(&format!("policies/{}/{name}", broker.name()), policy);
        }
    }
    let good = eventually(|| async {
        let lines = policies().await;
        (lines.len() == 1 && lines[0].ends_with("our queues are full before its disk is")).then_some(())
    });
    assert!(good.await.is_some(), "{:?}", policies().await);

    let careless = json!({
        "pattern": "^(calls|retry)\\.",
        "apply-to": "queues",
        "priority": 20,
        "definition": {"message-ttl": 60_000, "delivery-limit": 3},
    });
    broker.put(&format!("policies/{}/careless", broker.name()), &careless);
    let harms = [
        "wrong    policies      the policy careless lets messages of calls.live expire after 60000 ms",
        "wrong    policies      the policy careless makes a dead letter of a message of calls.live that an outage gave \
         back 3 times",
        "wrong    policies      the policy careless lets messages of retry.1s expire",
    ];
    let named = eventually(|| async {
        let lines = policies().await;
        let is_named = |harm: &&str| lines.iter().any(|line| line.starts_with(*harm));
        harms.iter().all(is_named).then_some(lines)
    });
    let named = named.await.unwrap_or_default();
    assert!(!named.is_empty(), "{:?}", policies().await);
    assert!(!named.iter().any(|line| line.contains("alerts")), "{named:?}");

    let stranger = trunkline.with("QUEUE_ADMIN_URL", "http://guest:hush@127.0.0.1:9");
    let told = stranger.run(&["doctor"]).await.out;
    let skipped = told
        .lines()
        .find(|line| line[9..].starts_with("policies "))
        .unwrap();
    assert!(
        skipped.starts_with("skipped ") && skipped.contains("QUEUE_ADMIN_URL"),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
}
