//! The two sides of a comparison as processes: Trunkline's services, and floors.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use trunkline_tests::{Process, eventually, free_address};

/// A floor: a process of the program `floor` beside this one.
pub(crate) struct Floor {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Floor {
    /// Starts one that serves HTTP, and waits until it does.
    pub(crate) async fn start(kind: &str, target: Option<&str>) -> Self {
        let folder = TempDir::with_prefix("trunkline-floor-").unwrap();
        let address = free_address();
        let mut command = Command::new(floor_program());
        let in_folder = folder.path().join("queue.db");
        command
            .arg(kind)
            .arg(target.unwrap_or(in_folder.to_str().unwrap()))
            .arg(&address);
        let log = folder.path().join("log");
        let process = Process::spawn("a floor", &mut command, log, address.clone());
        let listens = eventually(|| async { TcpStream::connect(&address).await.ok() }).await;
        assert!(listens.is_some(), "a floor does not start: {}", process.log());
        Self {
            process,
            address: address.parse().unwrap(),
            folder,
        }
    }

    /// Where it keeps what it keeps in a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("queue.db")
    }
}

/// Messages that lapin alone publishes in a second, so many at a time.
pub(crate) async fn bare_publisher(url: &str, at_a_time: usize, lasting: Duration) -> f64 {
    let mut command = Command::new(floor_program());
    command
        .args(["publisher", url, &at_a_time.to_string()])
        .arg(lasting.as_millis().to_string());
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the publisher fails: {said}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn floor_program() -> PathBuf {
    let own = env::current_exe().unwrap();
    own.with_file_name(format!("floor{}", env::consts::EXE_SUFFIX))
}
