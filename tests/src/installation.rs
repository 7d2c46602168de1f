//! An installation of Trunkline: a folder, settings, addresses; and what can be done with it from outside.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use callrail::{CallId, SIGNATURE_HEADER, SigningKey, sign};
use calls::Interaction;
use chrono::Utc;
use queue::{Queue, QueueName, QueueOptions, QueueUrl};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use store::{DatabaseUrl, DeadLetter, Store};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::{PATIENCE, Process, SIGNING_KEY, eventually, program};

/// A folder with settings, in which the program runs with nothing else around it: no environment, no other
/// installation. The folder goes when the value is dropped; processes must not outlive it.
pub struct Installation {
    folder: TempDir,
    settings: BTreeMap<String, String>,
    run_by: Vec<OsString>,
    http_address: String,
    client: Client,
    store: OnceCell<Store>,
}

/// An answer of the program over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of the answer.
    pub status: StatusCode,
    /// The body.
    pub text: String,
}

/// What a command of the operator told.
#[derive(Debug, Clone)]
pub struct Told {
    /// The exit code.
    pub code: i32,
    /// The standard output.
    pub out: String,
    /// The standard error.
    pub err: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Installation {
    /// An empty installation that knows [`SIGNING_KEY`].
    pub fn new() -> Self {
        // Fails only when it was done already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http_address = free_address();
        let settings = [
            ("CALLRAIL_SIGNING_KEYS", SIGNING_KEY),
            ("DATA_DIR", "data"),
            ("HTTP_ADDRESS", &http_address),
            ("RUST_BACKTRACE", "1"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            folder: TempDir::with_prefix("trunkline-").expect("cannot make a folder"),
            settings: settings.into(),
            run_by: Vec::new(),
            http_address,
            client: Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()
                .expect("cannot make an HTTP client"),
            store: OnceCell::new(),
        }
    }

    /// Sets an environment variable for all that is started from now on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Has the program run by another, which is given all behind its own arguments, from now on.
    #[must_use]
    pub fn run_by(self, run_by: Vec<OsString>) -> Self {
        Self { run_by, ..self }
    }

    /// The working folder of the processes, in which `trunkline.toml` would be. Logs stand in it too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of database and queue.
    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Starts a service (`run`, or one alone) and waits until it is ready.
    pub async fn start(&self, service: &str) -> Process {
        let mut process = self.spawn(service);
        let ready = format!("http://{}/readyz", process.metrics_address);
        let started = eventually(|| {
            let running = process.is_running();
            let answer = self.client.get(&ready).send();
            async move {
                if !running {
                    return Some(false);
                }
                answer
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
                    .then_some(true)
            }
        })
        .await;
        match started {
            Some(true) => process,
            Some(false) => panic!("trunkline {service} ended at once; its log:\n{}", process.log()),
            None => panic!(
                "trunkline {service} does not get ready; its log:\n{}",
                process.log()
            ),
        }
    }

    /// Starts a service without waiting for anything.
    pub fn spawn(&self, service: &str) -> Process {
        static STARTED: AtomicU16 = AtomicU16::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = self.folder().join(format!("{service}-{number}.log"));
        let metrics_address = free_address();
        let mut command = self.command(&[service]);
        command.env("METRICS_ADDRESS", &metrics_address);
        Process::spawn(format!("trunkline {service}"), &mut command, log, metrics_address)
    }

    /// Runs a command of the operator to its end.
    pub async fn run(&self, arguments: &[&str]) -> Told {
        let output = timeout(PATIENCE, self.command(arguments).output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("trunkline {arguments:?} does not end"))
            .expect("cannot start the program");
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Told {
            code: output.status.code().expect("it was killed by a signal"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The program with these settings, for what the other functions do not cover.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.run_by.iter().cloned().chain([program().into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .envs(&self.settings)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Where webhooks are received, as in `127.0.0.1:8001`.
    pub fn http_address(&self) -> &str {
        &self.http_address
    }

    /// The URL of a path, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http_address)
    }

    /// The client, for what the other functions do not cover.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Posts a body, signed with [`SIGNING_KEY`], to the URL of a kind of webhook, and expects an answer.
    pub async fn post(&self, kind: &str, body: impl Into<Vec<u8>>) -> Answer {
        let body = body.into();
        let signature = signature(SIGNING_KEY, &body);
        self.post_signed(kind, body, &signature).await
    }

    /// Posts a body with this signature.
    pub async fn post_signed(&self, kind: &str, body: impl Into<Vec<u8>>, signature: &str) -> Answer {
        self.send(self.webhook(kind, body).header(SIGNATURE_HEADER, signature))
            .await
    }

    /// A webhook without a signature, to be given headers and sent.
    pub fn webhook(&self, kind: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        self.client
            .post(self.url(&format!("/api/webhooks/callrail/{kind}")))
            .header("content-type", "application/json")
            .header("user-agent", "CallRail Webhook/1.0")
            .body(body.into())
    }

    /// Sends a request and expects an answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer: {error:?}\n{}", self.logs()),
        };
        let status = answer.status();
        let text = answer.text().await.expect("the answer breaks off");
        Answer { status, text }
    }

    /// The database, opened once as another process would. It must be there by then.
    pub async fn store(&self) -> Store {
        let connect = || async {
            let url = DatabaseUrl::Sqlite(self.data_dir().join("trunkline.db"));
            Store::connect(&url).await.expect("cannot open the database")
        };
        self.store.get_or_init(connect).await.clone()
    }

    /// The queue, opened as another process would.
    pub async fn queue(&self) -> Queue {
        let url = QueueUrl::embedded(self.data_dir().join("queue.db"));
        Queue::connect(&url, QueueOptions::default())
            .await
            .expect("cannot open the queue")
    }

    /// Waits until everything that was accepted has been worked on: no queue holds a message, and no alert waits to be
    /// put into one.
    pub async fn settle(&self) {
        self.settle_but(&[]).await;
    }

    /// Waits until no queue holds a message but these, which nobody may be able to work on.
    pub async fn settle_but(&self, left: &[QueueName]) {
        let queue = self.queue().await;
        let store = self.store().await;
        let depths = || async { queue.depths().await.expect("cannot ask for the depths") };
        let is_settled = |(name, depth): &(QueueName, u64)| *depth == 0 || left.contains(name);
        let queues_are = || async { depths().await.iter().all(is_settled) };
        let alerts_are = || async {
            let waiting = store.unpublished_alerts(Utc::now(), 1).await;
            waiting.expect("cannot look for alerts").is_empty()
        };
        let settled = eventually(|| async {
            // An event is worked on before its alerts are published, so the queues are asked before and after.
            let all_are = queues_are().await && alerts_are().await && queues_are().await;
            all_are.then_some(())
        });
        assert!(
            settled.await.is_some(),
            "the queues do not get empty: {:?}, or alerts wait: {}\n{}",
            depths().await,
            !alerts_are().await,
            self.logs()
        );
    }

    /// The row of a call, if it has one.
    pub async fn row(&self, call_sid: &str) -> Option<Interaction> {
        let call_sid = CallId::parse(call_sid).expect("an id of a call");
        let rows = self
            .store()
            .await
            .interactions(std::slice::from_ref(&call_sid))
            .await;
        rows.expect("cannot read the rows").remove(&call_sid)
    }

    /// The dead letters that wait for somebody to look at them, newest first.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let letters = self.store().await.waiting_dead_letters(1_000).await;
        letters.expect("cannot read the dead letters")
    }

    /// The logs of all processes that were started, for the report of a failure.
    pub fn logs(&self) -> String {
        let entries = fs::read_dir(self.folder()).expect("cannot read the folder");
        let mut logs: Vec<PathBuf> = entries
            .map(|entry| entry.expect("cannot read the folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        let show = |path: &PathBuf| {
            let text = fs::read(path).expect("cannot read a log");
            format!("== {}\n{}", path.display(), String::from_utf8_lossy(&text))
        };
        logs.iter().map(show).collect()
    }
}

/// Signs a body as CallRail does.
pub fn signature(key: &str, body: &[u8]) -> String {
    sign(&SigningKey::parse(key).expect("a signing key"), body)
}

/// An address that nobody listens on, and that no other test will take: every test is a process, and has 16 ports
/// of its own below those that the system hands out.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 16_384;
    const PORTS: u32 = 16_384;
    loop {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + (std::process::id() * 16 + number) % PORTS;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
        assert!(number < 1_000, "there is no free port");
    }
}
