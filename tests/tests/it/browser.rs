//! What people see, in a real browser: the console, and the CRM's own page with `pusher-js`.
//!
//! The processes are started here, the browser's part is a script in `tests/browser`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use callrail_simulator::{ApiOptions, Deliverer, SimulatedAccount, SimulatedApi};
use calls::{CallId, interaction_id};
use chrono::{TimeDelta, Utc};
use reqwest::Url;
use serde_json::{Value, json};
use test_servers::{Database, Vhost};
use tokio::process::Command;
use tokio::time::timeout;
use trunkline_tests::{Installation, PATIENCE, Process, SIGNING_KEY, sample};

use crate::api::token;
use crate::load::import_people;
use trunkline_tests::pusher_peer::{self, Mood, Peer};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The caller of the samples, as somebody typed him into the CRM.
const PEOPLE: &str = "kind,id,name,owner_id,phone\ncustomer,42,Jane Dough,7,(404) 555-0123\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_shows_its_callers_name_on_the_console_and_on_the_crms_page() {
    let (_pusher, address) = Peer::start(Mood::Fine);
    tell_the_story(&pusher_peer::url(&address)).await;
}

/// The same by a server that people run in Pusher's place.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a real server: ./test --full"]
async fn a_ring_shows_its_callers_name_by_way_of_a_real_server() {
    let url = std::env::var("TEST_PUSHER_URL");
    tell_the_story(&url.expect("./test --full starts a server, or set what tests/servers/sockudo prints"))
        .await;
}

async fn tell_the_story(pusher_url: &str) {
    let crm = Crm::new(pusher_url);
    let trunkline = crm.welcomed_by(Installation::new().with("JWT_SECRET", JWT_SECRET));
    import(&trunkline, PEOPLE).await;
    let running = trunkline.start("run").await;
    let mut settings = settings(&trunkline).await;
    crm.describe(&mut settings);
    browse("story", settings, &trunkline).await;
    running.kill().await;
}

/// Every view, filled with what a simulated account has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: ./test --full"]
async fn every_view_works_by_keyboard_and_keeps_nobody_out() {
    let account = SimulatedAccount::generate(7, 60, Utc::now() - TimeDelta::hours(2));
    let account = Arc::new(account);
    let callrail = SimulatedApi::start(Arc::clone(&account), ApiOptions::default()).unwrap();
    let host = callrail.base_url();
    let host = host.trim_start_matches("http://").trim_end_matches("/v3");
    let trunkline = Installation::new()
        .with("JWT_SECRET", JWT_SECRET)
        .with("CALLRAIL_API_KEY", &account.api_key)
        .with("CALLRAIL_ACCOUNT_ID", &account.account_id)
        .with("CALLRAIL_API_URL", callrail.base_url())
        .with(
            "CALLRAIL_SIGNING_KEYS",
            format!("{SIGNING_KEY},{}", account.signing_key),
        )
        .with("RECORDING_HOSTS", host)
        .with("RECONCILE", "off");
    import_people(&trunkline, &account).await;
    // The caller of the samples has a name that would be a program, were it read as HTML.
    let evil = "kind,id,name,owner_id,phone\nlead,6,<img src=x onerror=alert(1)>,,(404) 555-0123\n\
                customer,42,Jane Dough,7,\n";
    import(&trunkline, evil).await;
    let running = trunkline.start("run").await;
    let base = trunkline.url("/api/webhooks/callrail").parse().unwrap();
    let deliverer = Deliverer::new(trunkline.client().clone(), base);
    for call in &account.calls {
        for delivery in &call.deliveries {
            let status = deliverer.deliver(&account, delivery).await.unwrap();
            assert!(status.is_success(), "{status}");
        }
    }
    let missed = sample("post_call_missed.json").body;
    trunkline.post("post-call", missed).await;
    trunkline.post("post-call", "[]").await;
    trunkline.settle().await;

    let recorded = account
        .calls
        .iter()
        .find(|call| call.expected.recording_url.is_some());
    let recorded = CallId::parse(&recorded.unwrap().call_sid).unwrap();
    let mut settings = settings(&trunkline).await;
    settings["recorded_call"] = json!(interaction_id(&recorded));
    browse("views", settings, &trunkline).await;
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: ./test --full"]
async fn two_replicas_show_every_call_once_also_to_who_was_offline() {
    let scaled = Scaled::start(|installation| installation).await;
    let mut settings = settings(&scaled.api).await;
    settings["ingest"] = scaled.ingest.url("").into();
    settings["offline_seconds"] = offline().as_secs().into();
    settings["replicas"] = json!([scaled.api.url(""), scaled.other_api.url("")]);
    browse("replicas", settings, &scaled.api).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: ./test --full"]
async fn a_name_stands_on_the_console_and_on_the_crms_page_within_half_a_second() {
    let (_pusher, address) = Peer::start(Mood::Fine);
    let crm = Crm::new(&pusher_peer::url(&address));
    let scaled = Scaled::start(|installation| crm.welcomed_by(installation)).await;
    let mut settings = settings(&scaled.api).await;
    crm.describe(&mut settings);
    settings["ingest"] = scaled.ingest.url("").into();
    browse("latency", settings, &scaled.api).await;
}

/// How long a page is offline: as short as it can be, unless `OFFLINE_SECONDS` says more.
fn offline() -> Duration {
    let seconds = std::env::var("OFFLINE_SECONDS");
    Duration::from_secs(seconds.map_or(0, |seconds| seconds.parse().unwrap()))
}

/// The CRM's own page, and the server by which it hears of calls.
struct Crm {
    page_port: u16,
    pusher: Url,
}

impl Crm {
    fn new(pusher_url: &str) -> Self {
        Self {
            page_port: free_port(),
            pusher: pusher_url.parse().unwrap(),
        }
    }

    /// An installation that tells this page of calls, and answers it.
    fn welcomed_by(&self, installation: Installation) -> Installation {
        installation
            .with("PUSHER_URL", self.pusher.as_str())
            .with("CORS_ORIGINS", format!("http://127.0.0.1:{}", self.page_port))
    }

    /// What the scripts want to know of it.
    fn describe(&self, settings: &mut Value) {
        settings["page_port"] = self.page_port.into();
        settings["pusher"] = json!({
            "host": self.pusher.host_str(),
            "port": self.pusher.port(),
            "key": self.pusher.username(),
        });
    }
}

/// RabbitMQ and PostgreSQL, and one process for each service, but two for the API.
struct Scaled {
    ingest: Installation,
    api: Installation,
    other_api: Installation,
    _processes: Vec<Process>,
    _broker: Vhost,
    _database: Database,
}

impl Scaled {
    async fn start(more: impl Fn(Installation) -> Installation) -> Self {
        let (broker, database) = (Vhost::new(), Database::empty());
        let [ingest, api, other_api] = [(); 3].map(|()| {
            let installation = Installation::new()
                .with("JWT_SECRET", JWT_SECRET)
                .with("DATABASE_URL", database.url())
                .with("QUEUE_URL", broker.url());
            more(installation)
        });
        import(&ingest, PEOPLE).await;
        let processes = vec![
            ingest.start("webhook-ingest").await,
            ingest.start("call-writer").await,
            ingest.start("notifier").await,
            api.start("integration-api").await,
            other_api.start("integration-api").await,
        ];
        Self {
            ingest,
            api,
            other_api,
            _processes: processes,
            _broker: broker,
            _database: database,
        }
    }
}

/// What the scripts want to know.
async fn settings(trunkline: &Installation) -> Value {
    let json = |name| serde_json::from_slice::<Value>(&sample(name).body).unwrap();
    json!({
        "trunkline": trunkline.url(""),
        "token": token(trunkline, &["--user", "7"]).await,
        "signing_key": SIGNING_KEY,
        "pre_call": json("pre_call.json"),
        "post_call": json("post_call_answered.json"),
    })
}

async fn import(trunkline: &Installation, people: &str) {
    std::fs::write(trunkline.folder().join("people.csv"), people).unwrap();
    for command in [&["migrate"][..], &["contacts", "import", "people.csv"]] {
        let told = trunkline.run(command).await;
        assert_eq!(told.code, 0, "{told:?}");
    }
}

/// Runs a script of `tests/browser` to its end, and shows what it tells.
async fn browse(script: &str, mut settings: Value, trunkline: &Installation) {
    assert!(
        std::env::var_os("TEST_BROWSER").is_some(),
        "there is no browser: ./test brings one, or set what tests/browser/install prints"
    );
    settings["name"] = script.into();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let run = Command::new("node")
        .arg(folder.join(format!("{script}.mjs")))
        .env("TEST_SETTINGS", settings.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let told = timeout(PATIENCE * 2 + offline(), run)
        .await
        .unwrap_or_else(|_| panic!("{script} does not end\n{}", trunkline.logs()));
    let told = told.expect("cannot start node");
    let (out, err) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    println!("{out}");
    assert!(told.status.success(), "{out}\n{err}\n{}", trunkline.logs());
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
