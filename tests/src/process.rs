//! One running process of the program.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::PATIENCE;

/// A running process, killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    pub(crate) name: String,
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    pub(crate) metrics_address: String,
}

impl Process {
    /// Starts a program, which logs into this file. `metrics_address`: where it tells of itself.
    pub fn spawn(
        name: impl Into<String>,
        command: &mut Command,
        log: PathBuf,
        metrics_address: String,
    ) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("cannot write a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("cannot start the program");
        Self {
            name: name.into(),
            child,
            log,
            metrics_address,
        }
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("cannot read a log")).into_owned()
    }

    /// The file with all that it logs.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// The address of `/readyz` and `/metrics`.
    pub fn metrics_address(&self) -> &str {
        &self.metrics_address
    }

    /// How much memory it has, in bytes; `None` where the system does not tell as Linux does.
    pub fn resident_bytes(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    /// The most memory that it ever had; else as [`Self::resident_bytes`].
    pub fn peak_resident_bytes(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// How long processors have worked for it; `None` where the system does not tell as Linux does.
    pub fn cpu_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The name of the program stands in brackets, and may hold anything.
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut ticks = after_name.split_whitespace().skip(11);
        let (user, system): (u64, u64) = (ticks.next()?.parse().ok()?, ticks.next()?.parse().ok()?);
        // USER_HZ is 100 on all machines that people have.
        Some(Duration::from_millis((user + system) * 10))
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("cannot watch a process").is_none()
    }

    /// Ends it as a power cut would (SIGKILL), and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("cannot kill a process");
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().expect("it has ended by itself").to_string();
        let status = Command::new("kill").arg(&pid).status().await;
        assert!(status.expect("cannot run kill").success(), "cannot end {pid}");
        self.wait().await
    }

    /// Waits until it ends.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("{} does not end; its log:\n{}", self.name, self.log()))
            .expect("cannot watch a process")
    }
}

/// Waits until a number is 0, for as long as it falls within [`PATIENCE`]; whether it got there.
pub async fn falls_to_zero<F>(mut measure: impl FnMut() -> F) -> bool
where
    F: Future<Output = u64>,
{
    let mut least = u64::MAX;
    loop {
        let before = least;
        let fell = eventually(|| {
            let measured = measure();
            async move { Some(measured.await).filter(|number| *number < before) }
        });
        match fell.await {
            Some(0) => return true,
            Some(number) => least = number,
            None => return false,
        }
    }
}

/// Asks for a condition until it holds, and gives what it gave; `None` when it did not hold within
/// [`PATIENCE`].
pub async fn eventually<T, F>(mut condition: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
}
