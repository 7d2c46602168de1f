//! The processes of the demo: this program itself, started as an operator would, and killed if asked to.

use std::convert::Infallible;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use integration_api::{READ, WRITE};
use runtime::settings::KEYS;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::commands::token;

/// How long a process may take to get ready, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the session at the console is good.
const TOKEN_HOLDS: TimeDelta = TimeDelta::hours(12);

/// How long the next worker lives before it is killed.
const BETWEEN_KILLS: Duration = Duration::from_millis(700);

/// The processes; killed when this is dropped.
pub(super) struct Processes {
    folder: PathBuf,
    signing_key: String,
    /// Makes and checks the tokens of the demo's own people.
    jwt_secret: String,
    http_address: String,
    running: Vec<Process>,
    kill: bool,
    kills: u32,
}

struct Process {
    command: &'static str,
    child: Child,
}

impl Processes {
    /// Starts `trunkline run`, or with `kill` each service alone, so that workers can be killed while webhooks are
    /// still received: CallRail sends them once only.
    pub(super) async fn start(folder: &Path, signing_key: &str, kill: bool) -> anyhow::Result<Self> {
        let mut processes = Self {
            folder: folder.to_owned(),
            signing_key: signing_key.to_owned(),
            jwt_secret: [Uuid::new_v4(), Uuid::new_v4()]
                .map(|id| id.simple().to_string())
                .concat(),
            http_address: free_address()?,
            running: Vec::new(),
            kill,
            kills: 0,
        };
        let commands: &[&'static str] = if kill {
            &["webhook-ingest", "call-writer", "notifier"]
        } else {
            &["run"]
        };
        let health_address = free_address()?;
        for (index, command) in commands.iter().enumerate() {
            let address = if index == 0 {
                &health_address
            } else {
                "127.0.0.1:0"
            };
            let child = processes.spawn(command, address)?;
            processes.running.push(Process { command, child });
        }
        processes.wait_until_ready(&health_address).await?;
        Ok(processes)
    }

    pub(super) fn webhook_url(&self) -> String {
        format!("http://{}/api/webhooks/callrail", self.http_address)
    }

    /// Where the console is, with a token that signs whoever opens it in; `None` if nothing serves it.
    ///
    /// The token stands behind the `#`, which no browser sends anywhere, and the page takes it away.
    pub(super) fn console_url(&self) -> anyhow::Result<Option<String>> {
        if self.kill {
            return Ok(None);
        }
        let scopes = [READ, WRITE].join(" ");
        let claims = json!({
            "sub": "demo",
            "scope": scopes,
            "exp": (Utc::now() + TOKEN_HOLDS).timestamp(),
        });
        let token = token::sign(&self.jwt_secret, &claims)?;
        Ok(Some(format!(
            "http://{}/console#token={token}",
            self.http_address
        )))
    }

    pub(super) fn kills(&self) -> u32 {
        self.kills
    }

    /// Keeps the processes running; with `kill`, kills one worker after the other and starts it again. Ends only
    /// with an error: a process that ended by itself.
    pub(super) async fn keep_running(&mut self) -> anyhow::Result<Infallible> {
        loop {
            sleep(BETWEEN_KILLS).await;
            for process in &mut self.running {
                if let Some(status) = process.child.try_wait().context("cannot watch a process")? {
                    let (command, log) = (process.command, self.folder.join("demo.log"));
                    anyhow::bail!(
                        "trunkline {command} ended by itself ({status}): see {}",
                        log.display()
                    );
                }
            }
            if self.kill {
                self.kill_next().await?;
            }
        }
    }

    /// Ends the processes in order, with SIGTERM's own grace.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        for process in &self.running {
            let id = process.child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(pid) = id.and_then(Pid::from_raw) {
                kill_process(pid, Signal::TERM).context("cannot end a process")?;
            }
        }
        for process in &mut self.running {
            let ended: ExitStatus = timeout(PATIENCE, process.child.wait())
                .await
                .with_context(|| format!("trunkline {} did not end", process.command))??;
            anyhow::ensure!(
                ended.success(),
                "trunkline {} ended with {ended}",
                process.command
            );
        }
        Ok(())
    }

    /// Every second one the writer, every other one the notifier; never the one that receives.
    async fn kill_next(&mut self) -> anyhow::Result<()> {
        let workers = self.running.len() - 1;
        let victim = 1 + self.kills as usize % workers;
        let process = &mut self.running[victim];
        let pid = process.child.id().unwrap_or_default();
        process.child.kill().await.context("cannot kill a worker")?;
        let command = process.command;
        let child = self.spawn(command, "127.0.0.1:0")?;
        println!(
            "          KILLED    {command} (kill -9 {pid}), started again as {}",
            child.id().unwrap_or_default()
        );
        self.running[victim].child = child;
        self.kills += 1;
        Ok(())
    }

    fn spawn(&self, command: &str, health_address: &str) -> anyhow::Result<Child> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let log = self.folder.join("demo.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("cannot write the log")?;
        let mut process = Command::new(program);
        // No setting of the caller's matters: neither his account, nor, in another folder, his trunkline.toml or .env.
        for key in KEYS {
            process
                .env_remove(key.name)
                .env_remove([key.name, "_FILE"].concat());
        }
        process
            .arg(command)
            .current_dir(&self.folder)
            .env("DATA_DIR", ".")
            .env("CALLRAIL_SIGNING_KEYS", &self.signing_key)
            .env("JWT_SECRET", &self.jwt_secret)
            .env("HTTP_ADDRESS", &self.http_address)
            .env("METRICS_ADDRESS", health_address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for the demo, which then ends its processes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start trunkline {command}"))
    }

    async fn wait_until_ready(&mut self, health_address: &str) -> anyhow::Result<()> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("cannot make an HTTP client")?;
        let url = format!("http://{health_address}/readyz");
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            for process in &mut self.running {
                if let Some(status) = process.child.try_wait().context("cannot watch a process")? {
                    let log = std::fs::read_to_string(self.folder.join("demo.log")).unwrap_or_default();
                    anyhow::bail!("trunkline {} ended at once ({status}):\n{log}", process.command);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("the processes did not get ready within {PATIENCE:?}")
    }
}

/// An address that nobody listens on now.
fn free_address() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener
        .local_addr()
        .context("cannot find a free port")?
        .to_string())
}
