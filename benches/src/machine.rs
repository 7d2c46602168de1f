//! What was measured, and on what.

use std::fs;
use std::process::Command;
use std::time::Duration;

use diesel::prelude::*;
use test_servers::{Database, Vhost};

/// The commit that is checked out, and whether anything differs from it.
pub(crate) fn commit() -> String {
    let asked = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = asked(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    // The document itself changes with every run.
    match asked(&["status", "--porcelain", "--", ".", ":!docs"]) {
        Some(changes) if !changes.is_empty() => format!("{commit} with changes"),
        _ => commit,
    }
}

/// The machine and the servers, in one line.
pub(crate) fn describe() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = value(&cpus, "model name").unwrap_or("an unknown processor");
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = value(&memory, "MemTotal").and_then(|value| value.split(' ').next()?.parse::<u64>().ok());
    let gigabytes = kilobytes.unwrap_or_default() / 1024 / 1024;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim();
    let servers = servers();
    format!("{cores} × {model}, {gigabytes} GiB, Linux {kernel}, {servers}")
}

fn servers() -> String {
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = diesel::sql_types::Text)]
        version: String,
    }
    let asked = diesel::sql_query("select pg_catalog.current_setting('server_version') as version");
    let postgres: Version = asked.get_result(&mut Database::empty().connection()).unwrap();
    let rabbitmq = Vhost::new().get("overview").unwrap();
    let rabbitmq = rabbitmq["rabbitmq_version"].as_str().unwrap_or_default();
    format!("PostgreSQL {}, RabbitMQ {rabbitmq}", postgres.version)
}

/// How long all processors of the machine have worked, for whomever.
pub(crate) fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap()).collect();
    // User, nice, system, then idle and waiting for a disk, then interrupts.
    let worked: u64 = [0, 1, 2, 5, 6].iter().map(|place| ticks[*place]).sum();
    ticks_of(worked)
}

/// How long processors have worked for this process.
pub(crate) fn own_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    ticks_of(ticks)
}

/// `USER_HZ` is 100 on all machines that people have.
fn ticks_of(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 10)
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}
