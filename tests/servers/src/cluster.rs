//! Three brokers that are one, of which any can be lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use url::Url;
use uuid::Uuid;

use crate::Vhost;
use crate::vhost::request;

/// Of this machine, started by the script `rabbitmq` beside this crate; stopped when the value is dropped.
pub struct Cluster {
    folder: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    folder: PathBuf,
    queue: Url,
    admin: Url,
}

impl Cluster {
    /// How many brokers there are: one may be lost.
    pub const NODES: usize = 3;

    /// Takes about half a minute.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("trunkline-cluster-{}", Uuid::now_v7()));
        let mut cluster = Self {
            folder,
            nodes: Vec::new(),
        };
        for number in 0..Self::NODES {
            let folder = cluster.folder.join(number.to_string());
            let peer = cluster.nodes.first().map(|first| first.folder.clone());
            // Known before it is started, so that it is stopped whatever happens.
            let unknown: Url = "amqp://unknown".parse().unwrap();
            cluster.nodes.push(Node {
                folder: folder.clone(),
                queue: unknown.clone(),
                admin: unknown,
            });
            let printed = script("start", [&*folder].into_iter().chain(peer.as_deref()));
            let value = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name));
            cluster.nodes[number].queue = value("TEST_QUEUE_URL=").unwrap().parse().unwrap();
            cluster.nodes[number].admin = value("TEST_QUEUE_ADMIN_URL=").unwrap().parse().unwrap();
        }
        cluster
    }

    /// A virtual host of all, told of by this one.
    pub fn vhost(&self, node: usize) -> Vhost {
        let Node { queue, admin, .. } = &self.nodes[node];
        Vhost::on(queue.clone(), admin.clone())
    }

    /// Where one of them listens.
    pub fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.nodes[node].queue.port().unwrap())
    }

    /// Which of them has this name.
    pub fn named(&self, name: &str) -> usize {
        let port = |node: &Node| format!("trunkline-{}@localhost", node.queue.port().unwrap());
        self.nodes.iter().position(|node| port(node) == name).unwrap()
    }

    /// Ends one as a power cut would.
    pub fn kill(&self, node: usize) {
        script("kill", [&*self.nodes[node].folder]);
    }

    /// Starts one again, with its data.
    pub fn start_again(&self, node: usize) {
        script("again", [&*self.nodes[node].folder]);
    }

    /// Whether every queue could go on without this one.
    pub fn can_lose(&self, node: usize) -> bool {
        let asked = "health/checks/node-is-quorum-critical";
        request(&self.nodes[node].admin, "GET", asked, "").0 == 200
    }

    /// Runs `rabbitmqctl` on one of them.
    pub fn control(&self, node: usize, arguments: &[&str]) {
        let arguments = arguments.iter().map(Path::new);
        script("ctl", [&*self.nodes[node].folder].into_iter().chain(arguments));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The first has what the others need.
        for node in self.nodes.iter().rev() {
            let _ = command("stop", [&*node.folder]).status();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs the script, which must succeed; what it prints.
fn script<'a>(action: &str, arguments: impl IntoIterator<Item = &'a Path>) -> String {
    // What the broker itself says later must not keep this waiting.
    let output = command(action, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "rabbitmq {action}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn command<'a>(action: &str, arguments: impl IntoIterator<Item = &'a Path>) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rabbitmq"));
    command.arg(action).args(arguments);
    command
}
