//! Makes the parts of a process from its settings.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use callrail::AccountId;
use callrail::client::{
    ApiUrl, Budget, Client, ClientOptions, Credential, InvalidCredential, RecordingFiles, Retries, Unlimited,
};
use calls::{MatchPreference, MatchRules, PhoneNumber, Reading, Region, Retention};
use chrono::{TimeDelta, Utc};
use importer::{Importer, Reconcile, Recordings};
use listenfd::ListenFd;
use notifier::{Notifier, Payload};
use pusher::{Pusher, PusherUrl};
use queue::{Pauses, Queue, QueueOptions, QueueUrl, SpoolOptions};
use recordings::{Archive, ArchiveUrl};
use runtime::Settings;
use runtime::settings::{SettingsError, Span, Spans};
use store::{DatabaseUrl, RequestClass, RequestLimits, Store};

use crate::budget::StoreBudget;

/// How long Pusher may take to answer.
const PUSHER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a service waits for `RabbitMQ` before it begins without it.
const FIRST_ATTEMPT: Duration = Duration::from_secs(2);

/// How long a server of recordings may take to connect, and between two pieces.
const RECORDING_TIMEOUT: Duration = Duration::from_secs(15);

/// What of Amazon's names is a setting of ours, too, and so may stand in our files.
const AWS_SETTINGS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT",
];

pub(crate) fn data_dir(settings: &Settings) -> Result<PathBuf, SettingsError> {
    settings.get_or_default("DATA_DIR")
}

pub(crate) fn database_url(settings: &Settings) -> Result<DatabaseUrl, SettingsError> {
    match settings.get("DATABASE_URL")? {
        Some(url) => Ok(url),
        None => Ok(DatabaseUrl::Sqlite(data_dir(settings)?.join("trunkline.db"))),
    }
}

/// Whether there is no file yet. Opening it would make it.
pub(crate) fn is_missing(url: &DatabaseUrl) -> bool {
    matches!(url, DatabaseUrl::Sqlite(path) if !path.exists())
}

pub(crate) async fn store(settings: &Settings) -> anyhow::Result<Store> {
    Ok(Store::connect(&database_url(settings)?).await?)
}

/// How long parts of calls are kept.
pub(crate) fn retention(settings: &Settings) -> Result<Retention, SettingsError> {
    let days = |name| {
        let days: Option<u16> = settings.get(name)?;
        match days {
            Some(0) => Err(SettingsError::Invalid {
                name,
                reason: "a day is the least; leave it out to keep all".to_owned(),
            }),
            days => Ok(days.map(|days| TimeDelta::days(days.into()))),
        }
    };
    Ok(Retention {
        recordings: days("RETAIN_RECORDINGS_DAYS")?,
        transcripts: days("RETAIN_TRANSCRIPTS_DAYS")?,
        events: days("RETAIN_EVENTS_DAYS")?,
    })
}

/// The queue for a command, which can do nothing without it.
pub(crate) async fn queue(settings: &Settings) -> anyhow::Result<Queue> {
    let (url, options) = queue_settings(settings)?;
    Ok(Queue::connect(&url, options).await?)
}

/// The queue for services, which begin although the broker does not answer: webhooks do not wait.
pub(crate) async fn service_queue(settings: &Settings) -> anyhow::Result<Queue> {
    let (url, options) = queue_settings(settings)?;
    let options = QueueOptions {
        first_attempt: FIRST_ATTEMPT,
        ..options
    };
    Ok(Queue::connect(&url, options).await?)
}

pub(crate) fn queue_settings(settings: &Settings) -> anyhow::Result<(QueueUrl, QueueOptions)> {
    let default = || {
        Ok(format!(
            "embedded://{}",
            data_dir(settings)?.join("queue.db").display()
        ))
    };
    let url = settings
        .text("QUEUE_URL")
        .map_or_else(default, |text| Ok::<_, SettingsError>(text.to_owned()))?;
    let url: QueueUrl = url.parse().context("QUEUE_URL")?;
    let Spans(retry_ladder) = settings.get_or_default("RETRY_LADDER")?;
    let ca_file = settings.get("QUEUE_CA_PATH")?;
    let options = QueueOptions {
        retry_ladder,
        ca_file,
        ..QueueOptions::default()
    };
    Ok((url, options))
}

/// Where each webhook-ingest of this machine has its spool.
pub(crate) fn spool_folder(settings: &Settings) -> Result<PathBuf, SettingsError> {
    Ok(data_dir(settings)?.join("spool"))
}

pub(crate) fn spool(settings: &Settings) -> Result<SpoolOptions, SettingsError> {
    let Span(patience) = settings.get_or_default("QUEUE_PATIENCE")?;
    let megabytes: u32 = settings.get_or_default("SPOOL_MEGABYTES")?;
    Ok(SpoolOptions {
        folder: spool_folder(settings)?,
        max_bytes: u64::from(megabytes) * 1024 * 1024,
        patience,
    })
}

pub(crate) fn region(settings: &Settings) -> Result<Region, SettingsError> {
    settings.get_or_default("DEFAULT_REGION")
}

/// How CallRail's objects are read.
pub(crate) fn reading(settings: &Settings) -> Result<Reading, SettingsError> {
    Ok(Reading {
        region: region(settings)?,
        redaction: settings.get_or_default("REDACT")?,
    })
}

pub(crate) fn match_rules(settings: &Settings) -> Result<MatchRules, SettingsError> {
    let Preference(preference) = settings.get_or_default("MATCH_PREFERENCE")?;
    let region = region(settings)?;
    let never = list(settings, "NEVER_MATCH");
    let never = never.iter().enumerate().map(|(index, number)| {
        PhoneNumber::parse(number, region).map_err(|error| SettingsError::Invalid {
            name: "NEVER_MATCH",
            reason: format!("number {} of the list is {error}", index + 1),
        })
    });
    Ok(MatchRules {
        preference,
        never: never.collect::<Result<HashSet<_>, _>>()?,
    })
}

/// The items of a setting that is a list.
pub(crate) fn list(settings: &Settings, name: &'static str) -> Vec<String> {
    let text = settings.text(name).unwrap_or_default();
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

/// Origins, each as a browser writes it: a slip of the pen would be one that no browser ever sends.
pub(crate) fn cors_origins(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let origins = list(settings, "CORS_ORIGINS");
    let is_origin = |text: &String| {
        let url = reqwest::Url::parse(text);
        url.is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == *text)
    };
    if let Some(place) = origins.iter().position(|origin| !is_origin(origin)) {
        return Err(SettingsError::Invalid {
            name: "CORS_ORIGINS",
            reason: format!(
                "number {} of the list is no origin like https://crm.example.com",
                place + 1
            ),
        });
    }
    Ok(origins)
}

/// Where alerts go; `None` when it is not set.
pub(crate) fn pusher(settings: &Settings) -> anyhow::Result<Option<Pusher>> {
    let Some(url) = settings.get::<PusherUrl>("PUSHER_URL")? else {
        return Ok(None);
    };
    let client = pusher::http_client()
        .build()
        .context("cannot make an HTTP client")?;
    Ok(Some(Pusher::new(url, client, PUSHER_TIMEOUT)))
}

pub(crate) fn notifier(settings: &Settings) -> anyhow::Result<Notifier> {
    let HowMuch(payload) = settings.get_or_default("PUSHER_PAYLOAD")?;
    Ok(Notifier {
        pusher: pusher(settings)?,
        payload,
        pauses: Pauses::default(),
        clock: Utc::now,
        metrics: notifier::Metrics::default(),
    })
}

/// Which account in CallRail is asked, and as whom.
pub(crate) struct CallRailAccess {
    url: ApiUrl,
    account: AccountId,
    credential: Credential,
}

impl CallRailAccess {
    /// A client that asks so.
    pub(crate) fn client(self, options: ClientOptions) -> anyhow::Result<Client> {
        let client = Client::new(self.url, self.account, self.credential, options);
        client.context("cannot make a client of CallRail's API")
    }
}

/// `None` without account and key: webhooks need neither. One without the other is a mistake.
pub(crate) fn callrail_access(settings: &Settings) -> Result<Option<CallRailAccess>, SettingsError> {
    let url = callrail_url(settings)?;
    let account = settings.get("CALLRAIL_ACCOUNT_ID")?;
    match (account, callrail_credential(settings)?) {
        (Some(account), Some(credential)) => Ok(Some(CallRailAccess {
            url,
            account,
            credential,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SettingsError::missing("CALLRAIL_API_KEY")),
        (None, Some(_)) => Err(SettingsError::missing("CALLRAIL_ACCOUNT_ID")),
    }
}

pub(crate) fn callrail_url(settings: &Settings) -> Result<ApiUrl, SettingsError> {
    settings.get_or_default("CALLRAIL_API_URL")
}

/// A mounted file is handed on as such: it is read again whenever it changes, since keys rotate. One that is empty at the
/// start counts as not set, as any setting does.
pub(crate) fn callrail_credential(settings: &Settings) -> Result<Option<Credential>, SettingsError> {
    let invalid = |name| {
        move |error: InvalidCredential| SettingsError::Invalid {
            name,
            reason: error.to_string(),
        }
    };
    let (token, key) = ("CALLRAIL_ACCESS_TOKEN", "CALLRAIL_API_KEY");
    let mounted = |name| settings.mounted(name).filter(|_| settings.text(name).is_some());
    if let Some(path) = mounted(token) {
        return Ok(Some(Credential::bearer_file(path)));
    }
    if let Some(text) = settings.text(token) {
        return Credential::bearer(text).map(Some).map_err(invalid(token));
    }
    if let Some(path) = mounted(key) {
        return Ok(Some(Credential::api_key_file(path)));
    }
    let text = settings.text(key);
    text.map(Credential::api_key).transpose().map_err(invalid(key))
}

/// A client of CallRail's API whose requests count as `class`; `None` when no account is set.
pub(crate) fn callrail_client(
    settings: &Settings,
    store: &Store,
    class: RequestClass,
) -> anyhow::Result<Option<Client>> {
    let Some(access) = callrail_access(settings)? else {
        return Ok(None);
    };
    let budget = budget(settings, Some(store), class)?;
    let options = match class {
        // Somebody looks on: better a clear word soon than a success a minute later.
        RequestClass::Interactive | RequestClass::Recording => ClientOptions {
            retries: Retries {
                tries: 2,
                longest_pause: Duration::from_secs(3),
                ..Retries::default()
            },
            timeout: Duration::from_secs(8),
            budget,
            ..ClientOptions::default()
        },
        // What fails is tried again later, and others meanwhile.
        RequestClass::Archive => ClientOptions {
            retries: Retries::none(),
            budget,
            ..ClientOptions::default()
        },
        RequestClass::Backfill | RequestClass::Repair => ClientOptions {
            budget,
            ..ClientOptions::default()
        },
    };
    access.client(options).map(Some)
}

/// What requests of this class are counted in; without a database nothing counts them but CallRail.
pub(crate) fn budget(
    settings: &Settings,
    store: Option<&Store>,
    class: RequestClass,
) -> Result<Arc<dyn Budget>, SettingsError> {
    let limits = request_limits(settings)?;
    Ok(match store {
        Some(store) => Arc::new(StoreBudget::new(store.clone(), class, limits)),
        None => Arc::new(Unlimited),
    })
}

/// How CallRail is asked by a command that somebody waits for, a few times: each request once, and not for long.
pub(crate) fn asking_once(budget: Arc<dyn Budget>, timeout: Duration) -> ClientOptions {
    ClientOptions {
        retries: Retries::none(),
        timeout,
        budget,
        ..ClientOptions::default()
    }
}

/// How many requests there may be.
pub(crate) fn request_limits(settings: &Settings) -> Result<RequestLimits, SettingsError> {
    Ok(RequestLimits {
        per_minute: settings.get_or_default("CALLRAIL_REQUESTS_PER_MINUTE")?,
        per_hour: settings.get_or_default("CALLRAIL_REQUESTS_PER_HOUR")?,
        per_day: settings.get_or_default("CALLRAIL_REQUESTS_PER_DAY")?,
    })
}

/// The importer of what people want; `None` when no account is set.
pub(crate) fn importer(settings: &Settings, store: Store, queue: Queue) -> anyhow::Result<Option<Importer>> {
    let client = |class| callrail_client(settings, &store, class);
    let (Some(backfill), Some(repair)) = (client(RequestClass::Backfill)?, client(RequestClass::Repair)?)
    else {
        return Ok(None);
    };
    Ok(Some(Importer {
        backfill,
        repair,
        store,
        queue,
        settings: importer::Settings::new(reading(settings)?),
        reconcile: None,
        recordings: None,
        clock: Utc::now,
        metrics: importer::Metrics::default(),
    }))
}

/// What the reconciler minds; `None` when it is switched off.
pub(crate) fn reconcile(settings: &Settings) -> Result<Option<Reconcile>, SettingsError> {
    let Switch(is_on) = settings.get_or_default("RECONCILE")?;
    let company = settings.get("CALLRAIL_COMPANY_ID")?;
    Ok(is_on.then_some(Reconcile { company }))
}

/// The archive of recordings; `None` when there is to be none. What is set in Amazon's names for all programs of the
/// machine counts, too.
pub(crate) fn archive(settings: &Settings) -> anyhow::Result<Option<Archive>> {
    let Some(url) = settings.get::<ArchiveUrl>("RECORDINGS_ARCHIVE")? else {
        return Ok(None);
    };
    let of_the_machine = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    let ours = AWS_SETTINGS.into_iter().filter_map(|name| {
        let value = settings.text(name)?;
        Some((name.to_owned(), value.to_owned()))
    });
    let archive = Archive::open(&url, of_the_machine.chain(ours));
    Ok(Some(archive.context("RECORDINGS_ARCHIVE")?))
}

/// Fetches recordings from where CallRail's links lead.
pub(crate) fn recording_files(settings: &Settings) -> anyhow::Result<RecordingFiles> {
    let http = reqwest::Client::builder()
        .connect_timeout(RECORDING_TIMEOUT)
        .read_timeout(RECORDING_TIMEOUT);
    RecordingFiles::new(list(settings, "RECORDING_HOSTS"), http).context("cannot make an HTTP client")
}

/// How the importer keeps recordings; `None` without an archive or an account.
pub(crate) fn recordings(
    settings: &Settings,
    store: &Store,
    archive: Option<Archive>,
) -> anyhow::Result<Option<Recordings>> {
    let links = callrail_client(settings, store, RequestClass::Archive)?;
    let (Some(links), Some(archive)) = (links, archive) else {
        return Ok(None);
    };
    Ok(Some(Recordings {
        links,
        files: recording_files(settings)?,
        archive,
    }))
}

/// The sockets of a process. Those that systemd holds for it (`LISTEN_FDS`) come first, in the order in which they are
/// asked for: connections wait in them while a process is restarted.
pub(crate) struct Sockets {
    held: ListenFd,
    next: usize,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            held: ListenFd::from_env(),
            next: 0,
        }
    }

    /// Listens at once, so that an address that is taken stops the process before it takes anything on.
    pub(crate) fn listen(&mut self, name: &'static str, address: &str) -> anyhow::Result<TcpListener> {
        let held = self.held.take_tcp_listener(self.next);
        let held =
            held.with_context(|| format!("socket {} of LISTEN_FDS takes no TCP connections", self.next))?;
        self.next += 1;
        let listener = match held {
            Some(listener) => listener,
            None => TcpListener::bind(address)
                .with_context(|| format!("cannot listen on {address}: set {name} to another address"))?,
        };
        listener
            .set_nonblocking(true)
            .context("cannot set up the listener")?;
        Ok(listener)
    }
}

struct Preference(MatchPreference);

impl FromStr for Preference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "customer-first" => Ok(Self(MatchPreference::CustomerFirst)),
            "most-recent" => Ok(Self(MatchPreference::MostRecent)),
            _ => Err("must be customer-first or most-recent"),
        }
    }
}

/// How much of an alert is told.
struct HowMuch(Payload);

impl FromStr for HowMuch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self(Payload::Full)),
            "minimal" => Ok(Self(Payload::Minimal)),
            _ => Err("must be full or minimal"),
        }
    }
}

/// A setting that is on or off.
struct Switch(bool);

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err("must be on or off"),
        }
    }
}
