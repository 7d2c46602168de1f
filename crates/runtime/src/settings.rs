//! Settings: defaults < `trunkline.toml` < `.env` < environment < mounted files (`NAME_FILE`).

#[cfg(test)]
mod page;
mod span;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use config::{Config, File, FileFormat};

pub use span::{InvalidSpan, Span, Spans};

/// One setting: the name in the environment (in lower case in `trunkline.toml`), and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In upper case.
    pub name: &'static str,
    /// What a process takes when it is not set; empty when there is nothing to take.
    pub default: &'static str,
    /// One sentence, or a few; in Markdown, of which `` ` `` alone reads well in a terminal.
    pub meaning: &'static str,
    /// The services for which it makes a difference.
    pub read_by: &'static [&'static str],
    /// Whether it holds what nobody else may know.
    pub is_secret: bool,
}

impl Key {
    const fn read_by(self, read_by: &'static [&'static str]) -> Self {
        Self { read_by, ..self }
    }

    const fn secret(self) -> Self {
        Self {
            is_secret: true,
            ..self
        }
    }
}

const fn key(name: &'static str, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        default,
        meaning,
        read_by: &[],
        is_secret: false,
    }
}

const INGEST: &str = "webhook-ingest";
const API: &str = "integration-api";
const WRITER: &str = "call-writer";
const NOTIFIER: &str = "notifier";
const IMPORTER: &str = "importer";
/// No service, but a command.
const DOCTOR: &[&str] = &["`trunkline doctor`"];
const EVERY_SERVICE: &[&str] = &[INGEST, API, WRITER, NOTIFIER, IMPORTER];

/// All settings there are, in the order of `docs/settings.md`, which is made from them.
pub const KEYS: &[Key] = &[
    key(
        "CALLRAIL_SIGNING_KEYS",
        "",
        "Keys that webhooks are signed with: `KEY[,KEY]`, or `COM…:KEY[,…]` for one company each. Without \
         any, every webhook is refused.",
    )
    .read_by(&[INGEST, API])
    .secret(),
    key(
        "CALLRAIL_API_KEY",
        "",
        "CallRail's API key. A mounted file is read again when it changes.",
    )
    .read_by(&[API, IMPORTER])
    .secret(),
    key(
        "CALLRAIL_ACCESS_TOKEN",
        "",
        "An OAuth token for CallRail's API, instead of the key. A mounted file is read again when it \
         changes.",
    )
    .read_by(&[API, IMPORTER])
    .secret(),
    key(
        "CALLRAIL_ACCOUNT_ID",
        "",
        "The account in CallRail: `ACC…` or the number in the address of its pages.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "CALLRAIL_COMPANY_ID",
        "",
        "The company in CallRail (`COM…`) whose calls are imported and whose webhooks are set up.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "CALLRAIL_API_URL",
        "https://api.callrail.com/v3",
        "Where CallRail's API is.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "CALLRAIL_REQUESTS_PER_MINUTE",
        "120",
        "How many requests to CallRail's API all processes together make in a minute at most; imports use \
         60 % of that, the archive of recordings 50 %.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "CALLRAIL_REQUESTS_PER_HOUR",
        "1000",
        "The same for an hour: CallRail's own limit for an account.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "CALLRAIL_REQUESTS_PER_DAY",
        "10000",
        "The same for a day: CallRail's own limit for an account.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "RECONCILE",
        "on",
        "Whether what webhooks missed is looked for and imported, `on` or `off`: the last 2 hours every \
         15 minutes, 48 hours every 6 hours, 30 days every day. Needs an account.",
    )
    .read_by(&[IMPORTER]),
    key(
        "DATABASE_URL",
        "sqlite://DATA_DIR/trunkline.db",
        "The database: `sqlite://PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE` with libpq's \
         parameters (`?sslmode=verify-full&sslrootcert=…`).",
    )
    .read_by(&[API, WRITER, IMPORTER])
    .secret(),
    key(
        "QUEUE_URL",
        "embedded://DATA_DIR/queue.db",
        "The queue: `embedded://PATH`, or `amqp(s)://USER:PASSWORD@HOST/VHOST`, several hosts of a \
         cluster comma-separated.",
    )
    .read_by(EVERY_SERVICE)
    .secret(),
    key(
        "QUEUE_CA_PATH",
        "",
        "A file of certificates (PEM) to trust for `amqps://` beside the public ones.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "QUEUE_ADMIN_URL",
        "",
        "RabbitMQ's management API: `http://USER:PASSWORD@HOST:15672`. Without it host, user and password are \
         those of `QUEUE_URL`.",
    )
    .read_by(DOCTOR)
    .secret(),
    key(
        "QUEUE_PATIENCE",
        "300ms",
        "How long RabbitMQ may take to confirm a webhook before it is kept in the spool.",
    )
    .read_by(&[INGEST]),
    key(
        "SPOOL_MEGABYTES",
        "1024",
        "How much the spool of one `webhook-ingest` may hold while RabbitMQ is away; then webhooks are \
         refused.",
    )
    .read_by(&[INGEST]),
    key(
        "DATA_DIR",
        "trunkline-data",
        "The folder for everything that is kept in files.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "PUSHER_URL",
        "",
        "Where alerts go: `http(s)://KEY:SECRET@HOST[:PORT]/apps/APP_ID`. Without it they stand in the \
         table only.",
    )
    .read_by(&[API, NOTIFIER])
    .secret(),
    key(
        "PUSHER_PAYLOAD",
        "full",
        "How much Pusher's servers learn of an alert: `full`, or `minimal` (what happened when, and ids).",
    )
    .read_by(&[NOTIFIER]),
    key(
        "JWT_SECRET",
        "",
        "The secret of the API's tokens, which `trunkline token` makes (HS256); 32 bytes at least. \
         Without it, or `JWT_PUBLIC_KEY`, the API lets nobody in.",
    )
    .read_by(&[API])
    .secret(),
    key(
        "JWT_PUBLIC_KEY",
        "",
        "Instead of the secret: the public key (PEM) of whoever signs the tokens, for RS256 or ES256.",
    )
    .read_by(&[API]),
    key(
        "JWT_AUDIENCE",
        "",
        "What a token must name as its audience (`aud`).",
    )
    .read_by(&[API]),
    key("JWT_ISSUER", "", "What a token must name as its issuer (`iss`).").read_by(&[API]),
    key(
        "JWT_USER_CLAIM",
        "sub",
        "The claim of a token that holds the CRM's id of the user.",
    )
    .read_by(&[API]),
    key(
        "CORS_ORIGINS",
        "",
        "Origins whose pages may call the API from a browser, comma-separated: `https://crm.example.com`.",
    )
    .read_by(&[API]),
    key(
        "RECORDING_HOSTS",
        "",
        "Hosts (`HOST` or `HOST:PORT`) that recordings may come from beside CallRail's own; \
         comma-separated.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "RECORDINGS_ARCHIVE",
        "",
        "Where recordings are kept beyond CallRail's 25 months: `file://PATH`, or `s3://BUCKET/PREFIX`. \
         Without it they are not.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "AWS_ACCESS_KEY_ID",
        "",
        "The key for `s3://`; other variables in Amazon's names, such as those of a role, are read from \
         the environment.",
    )
    .read_by(&[API, IMPORTER])
    .secret(),
    key("AWS_SECRET_ACCESS_KEY", "", "The secret of that key.")
        .read_by(&[API, IMPORTER])
        .secret(),
    key("AWS_SESSION_TOKEN", "", "What goes with a temporary key.")
        .read_by(&[API, IMPORTER])
        .secret(),
    key("AWS_REGION", "us-east-1", "Where the bucket is.").read_by(&[API, IMPORTER]),
    key(
        "AWS_ENDPOINT",
        "",
        "Another server than Amazon's that speaks S3, such as MinIO: `https://minio.example.com`.",
    )
    .read_by(&[API, IMPORTER]),
    key(
        "TICKET_SECRET",
        "",
        "What tickets for recordings are signed with, when several processes check tokens by \
         `JWT_PUBLIC_KEY`.",
    )
    .read_by(&[API])
    .secret(),
    key(
        "TRUSTED_PROXIES",
        "",
        "Addresses or networks of the proxies in front (`10.0.0.0/8,192.168.1.2`), whose \
         `X-Forwarded-For` tells who fails to sign: more than 100 times in a minute, and it is answered \
         429 and not logged. What is signed is never held up.",
    )
    .read_by(&[INGEST]),
    key(
        "HTTP_ADDRESS",
        "127.0.0.1:8001",
        "Where webhooks are received and the API is served; 127.0.0.1:8002 for `integration-api` alone.",
    )
    .read_by(&[INGEST, API]),
    key(
        "METRICS_ADDRESS",
        "127.0.0.1:9001",
        "Where `/healthz`, `/readyz` and `/metrics` are served; alone, `integration-api` takes port 9002, \
         `call-writer` 9003, `notifier` 9004, `importer` 9005.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "CRM_CONTACTS_EVERY",
        "30s",
        "How often the view `crm_contacts` is asked for people who changed (PostgreSQL).",
    )
    .read_by(&[WRITER]),
    key(
        "DEFAULT_REGION",
        "US",
        "The country of telephone numbers that name none.",
    )
    .read_by(&[INGEST, API, WRITER, IMPORTER]),
    key(
        "REDACT",
        "",
        "What is taken out of texts besides card data: `bank-accounts`, `social-security-numbers`; \
         comma-separated.",
    )
    .read_by(&[INGEST, API, IMPORTER]),
    key(
        "RETAIN_RECORDINGS_DAYS",
        "",
        "How many days after a call its recording is kept, here and in the archive; for ever unless set.",
    )
    .read_by(&[WRITER]),
    key(
        "RETAIN_TRANSCRIPTS_DAYS",
        "",
        "The same for what was said: transcription and summary.",
    )
    .read_by(&[WRITER]),
    key(
        "RETAIN_EVENTS_DAYS",
        "",
        "The same for messages: calls as CallRail sent them, alerts, dead letters that were replayed or \
         discarded.",
    )
    .read_by(&[WRITER]),
    key(
        "MATCH_PREFERENCE",
        "customer-first",
        "Whom a number that several people share means: `customer-first` or `most-recent`.",
    )
    .read_by(&[API, WRITER]),
    key(
        "NEVER_MATCH",
        "",
        "Numbers that belong to nobody, comma-separated: the account's own, and blocked ones.",
    )
    .read_by(&[API, WRITER]),
    key(
        "RETRY_LADDER",
        "1s,10s,1m,10m",
        "How long a failed message rests before each further try.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "SHUTDOWN_GRACE",
        "20s",
        "How long a process may take to finish what it holds.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "LOG_FORMAT",
        "text",
        "`text` or `json`. What is logged: `RUST_LOG`, `info` unless set.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "Where a collector takes traces by OTLP over HTTP: `http://127.0.0.1:4318`. Without it nothing is told \
         of them ([operations](operations.md#traces)).",
    )
    .read_by(EVERY_SERVICE),
    key(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "",
        "Headers for the collector, as a provider of one wants them: `NAME=VALUE`, comma-separated, \
         percent-encoded.",
    )
    .read_by(EVERY_SERVICE)
    .secret(),
    key(
        "OTEL_SERVICE_NAME",
        "",
        "What the process is called in traces; `trunkline` for `run`, else the name of the service.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "Which traces are told of: `always_on`, `always_off`, `traceidratio`, or one of these behind \
         `parentbased_`.",
    )
    .read_by(EVERY_SERVICE),
    key(
        "OTEL_TRACES_SAMPLER_ARG",
        "1",
        "For `traceidratio`: the share of the traces, from 0 to 1.",
    )
    .read_by(EVERY_SERVICE),
];

/// The file with settings, in the working folder.
pub const FILE: &str = "trunkline.toml";

/// Names with these beginnings are ours or meant to be: an unknown one is a slip of the pen.
const OUR_PREFIXES: [&str; 2] = ["CALLRAIL_", "PUSHER_"];

/// The settings of a process, merged. Values never show in `Debug`: some are secrets.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
    files: BTreeMap<&'static str, PathBuf>,
    from_environment: BTreeSet<&'static str>,
    unknown: Vec<String>,
}

/// A setting that is wrong: one line that says which and how to mend it, never its value.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `trunkline.toml` cannot be read or holds what is no setting.
    #[error("trunkline.toml: {0}")]
    File(String),
    /// A mounted file cannot be read.
    #[error("{name}_FILE: cannot read {path}")]
    Mounted {
        /// The setting.
        name: &'static str,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The value does not fit.
    #[error("{name}: {reason}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It must be set for what was asked.
    #[error("{name} is not set: {meaning}")]
    Missing {
        /// The setting.
        name: &'static str,
        /// What it is for.
        meaning: &'static str,
    },
}

impl SettingsError {
    /// A setting must be there and is not.
    pub fn missing(name: &'static str) -> Self {
        let meaning = find(name).map_or("", |key| key.meaning);
        Self::Missing { name, meaning }
    }
}

impl Settings {
    /// Reads the settings of this process: `trunkline.toml` and `.env` in the working folder, the environment.
    pub fn load() -> Result<Self, SettingsError> {
        without_problems(Self::examine())
    }

    /// Merges a file, if it is there, and an environment, in which a later value wins.
    pub fn merge(
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        without_problems(Self::read(file, environment))
    }

    /// What [`Self::load`] can read, and everything that it cannot.
    pub fn examine() -> (Self, Vec<SettingsError>) {
        let dotenv = dotenvy::dotenv_iter()
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        Self::read(Path::new(FILE), dotenv.chain(std::env::vars()))
    }

    fn read(
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> (Self, Vec<SettingsError>) {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        let in_file = Config::builder()
            .add_source(File::from(file).format(FileFormat::Toml).required(false))
            .build()
            .and_then(Config::try_deserialize::<BTreeMap<String, String>>)
            .unwrap_or_else(|error| {
                problems.push(SettingsError::File(unquoted(&error.to_string())));
                BTreeMap::new()
            });
        for (name, value) in in_file {
            match find(&name.to_ascii_uppercase()) {
                Some(key) => drop(settings.values.insert(key.name.to_owned(), value)),
                None => problems.push(SettingsError::File(format!("there is no setting `{name}`"))),
            }
        }

        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        for key in KEYS {
            let value = if let Some(path) = environment.get(&format!("{}_FILE", key.name)) {
                settings.files.insert(key.name, path.into());
                std::fs::read_to_string(path)
                    .map(|text| text.trim().to_owned())
                    .map_err(|source| SettingsError::Mounted {
                        name: key.name,
                        path: path.clone(),
                        source,
                    })
            } else if let Some(value) = environment.get(key.name) {
                Ok(value.clone())
            } else {
                continue;
            };
            settings.from_environment.insert(key.name);
            match value {
                Ok(value) => drop(settings.values.insert(key.name.to_owned(), value)),
                Err(problem) => problems.push(problem),
            }
        }
        settings.unknown = environment.into_keys().filter(|name| is_slip(name)).collect();
        (settings, problems)
    }

    /// Names in the environment that look like settings and are none.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Sets a value, as a command that brings its own parts does.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The text of a setting; an empty one counts as not set.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.values
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The mounted file that a setting came from (`NAME_FILE`), for what is read again when it changes.
    pub fn mounted(&self, name: &'static str) -> Option<&Path> {
        self.files.get(name).map(PathBuf::as_path)
    }

    /// Whether a setting comes from the environment, `.env` or a mounted file, which win over `trunkline.toml`.
    pub fn is_from_environment(&self, name: &'static str) -> bool {
        self.from_environment.contains(name)
    }

    /// How many settings are set.
    pub fn count(&self) -> usize {
        KEYS.iter().filter(|key| self.text(key.name).is_some()).count()
    }

    /// A setting in its type, if it is set.
    pub fn get<T>(&self, name: &'static str) -> Result<Option<T>, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.text(name).map(|text| parse(name, text)).transpose()
    }

    /// A setting in its type, or the default of [`KEYS`].
    pub fn get_or_default<T>(&self, name: &'static str) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let default = find(name).map_or("", |key| key.default);
        parse(name, self.text(name).unwrap_or(default))
    }

    /// A setting that must be there.
    pub fn require<T>(&self, name: &'static str) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.get(name)?.ok_or_else(|| SettingsError::missing(name))
    }
}

fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

fn parse<T>(name: &'static str, text: &str) -> Result<T, SettingsError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| SettingsError::Invalid {
        name,
        reason: error.to_string(),
    })
}

fn without_problems((settings, problems): (Settings, Vec<SettingsError>)) -> Result<Settings, SettingsError> {
    problems.into_iter().next().map_or(Ok(settings), Err)
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.values.keys().map(|name| (name, "[redacted]")))
            .finish()
    }
}

/// What is wrong with a file, without the lines of it that are quoted: they may hold a secret.
fn unquoted(text: &str) -> String {
    let is_quoted = |line: &&str| {
        let behind_number = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        behind_number.starts_with('|')
    };
    let kept: Vec<&str> = text.lines().filter(|line| !is_quoted(line)).collect();
    kept.join(": ")
}

fn is_slip(name: &str) -> bool {
    let known = find(name).or_else(|| find(name.strip_suffix("_FILE")?));
    known.is_none() && OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(toml: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trunkline.toml");
        std::fs::write(&file, toml).unwrap();
        Settings::merge(
            &file,
            environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let settings = merged(
            "http_address = \"1.2.3.4:1\"\ndata_dir = \"x\"",
            &[("DATA_DIR", "y")],
        )
        .unwrap();
        assert_eq!(settings.text("HTTP_ADDRESS"), Some("1.2.3.4:1"));
        assert_eq!(settings.text("DATA_DIR"), Some("y"));
        assert_eq!(settings.get_or_default::<String>("DEFAULT_REGION").unwrap(), "US");
    }

    #[test]
    fn a_mounted_file_wins_over_everything() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "from-file\n").unwrap();
        let path = secret.to_str().unwrap();
        let settings = merged("", &[("JWT_SECRET", "from-env"), ("JWT_SECRET_FILE", path)]).unwrap();
        assert_eq!(settings.text("JWT_SECRET"), Some("from-file"));
        assert_eq!(settings.mounted("JWT_SECRET"), Some(secret.as_path()));
        assert_eq!(settings.mounted("PUSHER_URL"), None);
    }

    #[test]
    fn a_mounted_file_that_is_not_there_is_named() {
        let error = merged("", &[("JWT_SECRET_FILE", "/nowhere")]).unwrap_err();
        assert_eq!(error.to_string(), "JWT_SECRET_FILE: cannot read /nowhere");
    }

    #[test]
    fn an_unknown_key_in_the_file_stops_with_its_name() {
        let error = merged("databse_url = \"sqlite://x\"", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "trunkline.toml: there is no setting `databse_url`"
        );
    }

    #[test]
    fn whoever_looks_for_mistakes_gets_all_of_them_and_what_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trunkline.toml");
        std::fs::write(
            &file,
            "databse_url = \"x\"\nhtp_address = \"y\"\ndata_dir = \"z\"",
        )
        .unwrap();
        let environment = [("JWT_SECRET_FILE", "/nowhere"), ("LOG_FORMAT", "json")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (settings, problems) = Settings::read(&file, environment);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(settings.text("DATA_DIR"), Some("z"));
        assert_eq!(settings.count(), 2);
        assert!(settings.is_from_environment("LOG_FORMAT"));
        assert!(!settings.is_from_environment("DATA_DIR"));
    }

    #[test]
    fn a_slip_of_the_pen_in_the_environment_is_found() {
        let settings = merged(
            "",
            &[
                ("CALLRAIL_SIGNING_KEY", "k"),
                ("PATH", "/bin"),
                ("PUSHER_URL_FILE", "/dev/null"),
            ],
        );
        assert_eq!(settings.unwrap().unknown(), ["CALLRAIL_SIGNING_KEY"]);
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_by_line_without_its_text() {
        let error = merged("data_dir = \"x\"\njwt_secret = \"hush\n", &[]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("line 2") && !error.contains("hush"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn no_value_shows_when_settings_are_printed() {
        let settings = merged("", &[("JWT_SECRET", "hush")]).unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
