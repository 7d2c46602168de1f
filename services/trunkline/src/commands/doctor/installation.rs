//! What is here and near: settings, database, queue, folder, tokens, Pusher, running processes.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Chain, Context};
use callrail::SigningKeys;
use chrono::Utc;
use futures_util::future::join_all;
use pusher::PusherError;
use queue::Queue;
use recordings::ArchiveUrl;
use runtime::Settings;
use runtime::settings::{SettingsError, Span};
use runtime::telemetry::LogFormat;
use store::{Store, StoreError};
use tokio::time::timeout;

use super::broker::Admin;
use super::{LIMIT, Line};
use crate::services::{self, Service};
use crate::{parts, traces};

/// How long a process of our own may take to say how it is.
const READINESS: Duration = Duration::from_secs(3);

pub(super) fn settings(settings: &Settings, problems: &[SettingsError]) -> Vec<Line> {
    let unknown = settings
        .unknown()
        .iter()
        .map(|name| format!("{name} in the environment is no setting: is it a slip of the pen?"));
    let unfit = unfit(settings);
    let unfit = unfit.iter().map(|error| told(&**error));
    let unread = problems.iter().map(|problem| told(problem));
    // Some are read by several services.
    let wrong: BTreeSet<String> = unread.chain(unknown).chain(unfit).collect();
    if wrong.is_empty() {
        let count = settings.count();
        return vec![Line::ok(
            "settings",
            format!("{count} are set, and all can be read"),
        )];
    }
    wrong
        .into_iter()
        .map(|text| Line::wrong("settings", text))
        .collect()
}

/// Everything that is read from settings, as the services read it: what cannot be.
fn unfit(settings: &Settings) -> Vec<anyhow::Error> {
    fn read<T, E: Into<anyhow::Error>>(read: Result<T, E>) -> Option<anyhow::Error> {
        read.err().map(Into::into)
    }
    let all = [
        read(parts::database_url(settings)),
        read(parts::queue_settings(settings)),
        read(settings.get::<Admin>("QUEUE_ADMIN_URL")),
        read(parts::spool(settings)),
        read(parts::notifier(settings)),
        read(parts::callrail_access(settings)),
        read(parts::request_limits(settings)),
        read(parts::reconcile(settings)),
        read(parts::reading(settings)),
        read(parts::match_rules(settings)),
        read(parts::cors_origins(settings)),
        read(services::ingest_settings(settings)),
        read(settings.get::<ArchiveUrl>("RECORDINGS_ARCHIVE")),
        read(services::api_settings(settings, true, None)),
        read(services::writer_settings(settings)),
        read(settings.get_or_default::<Span>("SHUTDOWN_GRACE")),
        read(settings.get_or_default::<LogFormat>("LOG_FORMAT")),
        read(traces::export(settings, &Service::ALL)),
        read(address(settings, "HTTP_ADDRESS")),
        read(address(settings, "METRICS_ADDRESS")),
    ];
    all.into_iter().flatten().collect()
}

fn address(settings: &Settings, name: &'static str) -> anyhow::Result<Option<SocketAddr>> {
    let Some(text) = settings.text(name) else {
        return Ok(None);
    };
    let mut addresses = text
        .to_socket_addrs()
        .with_context(|| format!("{name} is no address like 127.0.0.1:8001"))?;
    Ok(addresses.next())
}

/// The line, and the database if it can be worked with.
pub(super) async fn database(settings: &Settings) -> (Line, Option<Store>) {
    let wrong = |text: String| (Line::wrong("database", text), None);
    let Ok(url) = parts::database_url(settings) else {
        return (unread("database", "DATABASE_URL"), None);
    };
    if parts::is_missing(&url) {
        return wrong(format!(
            "there is no {url} yet: run `trunkline migrate` (`trunkline run` does it by itself)"
        ));
    }
    let look = async {
        let store = Store::connect(&url).await?;
        let activity = store.activity().await?;
        Ok::<_, StoreError>((store, activity))
    };
    match timeout(LIMIT, look).await {
        Ok(Ok((store, activity))) => {
            let last = activity.last_webhook_at.map_or_else(
                || "no webhook has come yet".to_owned(),
                |at| format!("the last webhook came at {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
            );
            let waiting = match activity.dead_letters_waiting {
                0 => String::new(),
                waiting => format!("; {waiting} dead letters wait: `trunkline dead-letters list` shows them"),
            };
            let text = format!("{url}, its schema is up to date; {last}{waiting}");
            (Line::ok("database", text), Some(store))
        }
        Ok(Err(StoreError::SchemaTooOld)) => wrong(format!(
            "{url} has an older schema than this program: run `trunkline migrate`"
        )),
        Ok(Err(error)) => wrong(format!(
            "{url}: {}: see whether it runs, and compare DATABASE_URL",
            told(&error)
        )),
        Err(_) => wrong(format!(
            "{url} does not answer: see whether it runs, and compare DATABASE_URL"
        )),
    }
}

pub(super) async fn queue(settings: &Settings) -> Line {
    let Ok((url, options)) = parts::queue_settings(settings) else {
        return unread("queue", "QUEUE_URL");
    };
    // Opening it would make it.
    if url.file().is_some_and(|file| !file.exists()) {
        return Line::ok("queue", format!("{url} is made when Trunkline starts"));
    }
    let asked = async { Queue::connect(&url, options).await?.depths().await };
    match timeout(LIMIT, asked).await {
        Ok(Ok(depths)) => {
            let waiting: u64 = depths.iter().map(|(_, depth)| depth).sum();
            Line::ok("queue", format!("{url}, {waiting} messages wait in it"))
        }
        Ok(Err(error)) => Line::wrong(
            "queue",
            format!(
                "{url}: {}: see whether it runs, and compare QUEUE_URL",
                told(&error)
            ),
        ),
        Err(_) => Line::wrong(
            "queue",
            format!("{url} does not answer: see whether it runs, and compare QUEUE_URL"),
        ),
    }
}

/// What webhook-ingest has kept while RabbitMQ was away.
pub(super) async fn spool(settings: &Settings) -> Line {
    let Ok(folder) = parts::spool_folder(settings) else {
        return unread("spool", "DATA_DIR");
    };
    let spools = match queue::spools(&folder).await {
        Ok(spools) => spools,
        Err(error) => return Line::wrong("spool", told(&error)),
    };
    let waiting = |is_owned| {
        let spools = spools.iter().filter(|spool| spool.is_owned == is_owned);
        spools.map(|spool| spool.messages).sum::<u64>()
    };
    match (waiting(true), waiting(false)) {
        (0, 0) => Line::ok("spool", "nothing waits in it"),
        (kept, 0) => Line::ok(
            "spool",
            format!("{kept} webhooks wait until RabbitMQ confirms again"),
        ),
        (_, left) => Line::wrong(
            "spool",
            format!(
                "{left} webhooks wait that no running process sends on: start webhook-ingest, or run `trunkline spool \
                 drain`"
            ),
        ),
    }
}

pub(super) fn folder(settings: &Settings) -> Line {
    let Ok(folder) = parts::data_dir(settings) else {
        return unread("folder", "DATA_DIR");
    };
    // What is not there yet is made where something is.
    let here = Path::new(".");
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(here);
    match tempfile::tempfile_in(there) {
        Ok(_) if there == folder => Line::ok("folder", format!("{} can be written", folder.display())),
        Ok(_) => Line::ok(
            "folder",
            format!("{} is made when Trunkline starts", folder.display()),
        ),
        Err(error) => Line::wrong(
            "folder",
            format!(
                "{} cannot be written ({error}): give it to the user whom Trunkline runs as, or set DATA_DIR to \
                 another folder",
                folder.display()
            ),
        ),
    }
}

pub(super) fn tokens(settings: &Settings) -> Line {
    let set = ["JWT_SECRET", "JWT_PUBLIC_KEY"]
        .into_iter()
        .find(|name| settings.text(name).is_some());
    Line::ok(
        "tokens",
        match set {
            Some(name) => format!("{name} is set"),
            None => "neither JWT_SECRET nor JWT_PUBLIC_KEY is set, so the HTTP API lets nobody in".to_owned(),
        },
    )
}

pub(super) fn signing_keys(settings: &Settings) -> Line {
    match settings.get::<SigningKeys>("CALLRAIL_SIGNING_KEYS") {
        Ok(Some(keys)) => Line::ok("signing keys", format!("{} set", keys.iter().count())),
        Ok(None) => Line::wrong(
            "signing keys",
            "CALLRAIL_SIGNING_KEYS is not set, so every webhook is refused: run `trunkline connect`",
        ),
        Err(_) => unread("signing keys", "CALLRAIL_SIGNING_KEYS"),
    }
}

pub(super) async fn pusher(settings: &Settings) -> Line {
    let pusher = match parts::pusher(settings) {
        Ok(Some(pusher)) => pusher,
        Ok(None) => {
            return Line::ok(
                "Pusher",
                "PUSHER_URL is not set: alerts stand in the table `alerts` only",
            );
        }
        Err(_) => return unread("Pusher", "PUSHER_URL"),
    };
    match pusher.check(Utc::now()).await {
        Ok(()) => Line::ok("Pusher", "key and secret hold"),
        Err(error @ PusherError::Unreachable { .. }) => Line::wrong(
            "Pusher",
            format!(
                "{}: compare the host in PUSHER_URL, and see whether this machine can reach it",
                told(&error)
            ),
        ),
        Err(error @ PusherError::Unavailable { .. }) => {
            Line::wrong("Pusher", format!("{error}: wait, and look at its status page"))
        }
        // They say what to look at.
        Err(error) => Line::wrong("Pusher", error.to_string()),
    }
}

/// Asks the processes on this machine how they are.
pub(super) async fn processes(settings: &Settings) -> Line {
    let Ok(set) = address(settings, "METRICS_ADDRESS") else {
        return unread("processes", "METRICS_ADDRESS");
    };
    let addresses: Vec<String> = match set {
        Some(mut address) => {
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            vec![address.to_string()]
        }
        None => Service::ALL
            .iter()
            .map(|service| service.metrics_address().to_owned())
            .collect(),
    };
    let client = reqwest::Client::builder().no_proxy().timeout(READINESS).build();
    let Ok(client) = client else {
        return Line::skipped("processes", "no HTTP client can be made");
    };
    let asked = addresses.iter().map(|address| readiness(&client, address));
    let answers: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
    if answers.is_empty() {
        return Line::wrong(
            "processes",
            format!(
                "nothing of Trunkline runs at {}: start `trunkline run`",
                addresses.join(", ")
            ),
        );
    }
    let unready: Vec<&str> = answers
        .iter()
        .flat_map(|answer| answer.lines())
        .filter(|line| !line.ends_with(": ready"))
        .collect();
    if unready.is_empty() {
        Line::ok("processes", format!("{} running here, all ready", answers.len()))
    } else {
        Line::wrong(
            "processes",
            format!("{}: see the log of `trunkline run`", unready.join("; ")),
        )
    }
}

/// What `/readyz` answers; `None` when nobody is there, or somebody else.
async fn readiness(client: &reqwest::Client, address: &str) -> Option<String> {
    let answer = client.get(format!("http://{address}/readyz")).send().await.ok()?;
    let is_ours = matches!(answer.status().as_u16(), 200 | 503);
    let text = answer.text().await.ok().filter(|_| is_ours)?;
    let is_list = text.lines().all(|line| {
        line.ends_with(": ready") || line.contains(": degraded: ") || line.contains(": not ready: ")
    });
    is_list.then_some(text)
}

pub(super) fn unread(subject: &'static str, setting: &str) -> Line {
    Line::skipped(subject, format!("{setting} must be mended first"))
}

/// An error with its causes. Some of them repeat what theirs say, or say it twice.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    for cause in Chain::new(error).skip(1) {
        let cause = cause.to_string();
        for line in cause.lines().map(|line| line.trim().trim_end_matches(['.', ':'])) {
            if !told.contains(line) {
                told.push_str(": ");
                told.push_str(line);
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let because = |cause: &str| {
            let error = anyhow::Error::msg(cause.to_owned()).context("the broker says: no");
            told(&*error)
        };
        assert_eq!(because("no"), "the broker says: no");
        assert_eq!(
            because("wrong password.\nwrong password.\n"),
            "the broker says: no: wrong password"
        );
    }
}
