//! Runs services: all in one process, or one alone. No service knows which.

use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use anyhow::Context;
use call_writer::{CallWriter, CrmContacts};
use callrail::SigningKeys;
use importer::Importer;
use integration_api::{CallRail, IntegrationApi, Recordings, TokenRules, TokenSettings};
use queue::{Pauses, Queue};
use recordings::Archive;
use runtime::settings::Span;
use runtime::{CancellationToken, Condition, Health, Settings, SettingsError, Supervisor};
use store::{RequestClass, RequestLimits, Store, StoreError};
use trace::Export;
use webhook_ingest::WebhookIngest;

use crate::budget::BudgetMetrics;
use crate::{parts, traces};

/// How long to wait before the database is asked again whether it is there.
const DATABASE_PAUSES: Pauses = Pauses {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
};

/// Of an importer that has nothing to do.
const NO_ACCOUNT: &str = "CALLRAIL_API_KEY and CALLRAIL_ACCOUNT_ID are not set: no past calls are imported, and what \
                          webhooks miss is not found. Set both and start it again";

/// The services there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    WebhookIngest,
    IntegrationApi,
    CallWriter,
    Notifier,
    Importer,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [
        Self::WebhookIngest,
        Self::IntegrationApi,
        Self::CallWriter,
        Self::Notifier,
        Self::Importer,
    ];

    /// Where its health and metrics are served unless `METRICS_ADDRESS` says otherwise. A process that runs several
    /// takes the first one's.
    pub(crate) fn metrics_address(self) -> &'static str {
        match self {
            Self::WebhookIngest => "127.0.0.1:9001",
            Self::IntegrationApi => "127.0.0.1:9002",
            Self::CallWriter => "127.0.0.1:9003",
            Self::Notifier => "127.0.0.1:9004",
            Self::Importer => "127.0.0.1:9005",
        }
    }

    /// Where its endpoints are served unless `HTTP_ADDRESS` says otherwise, if it has any. A process that runs several
    /// takes the first one's for all.
    fn http_address(self) -> Option<&'static str> {
        match self {
            Self::WebhookIngest => Some("127.0.0.1:8001"),
            Self::IntegrationApi => Some("127.0.0.1:8002"),
            Self::CallWriter | Self::Notifier | Self::Importer => None,
        }
    }
}

/// Runs these services until the process is asked to end.
pub(crate) async fn run(settings: &Settings, services: &[Service]) -> anyhow::Result<()> {
    // All settings are read and both addresses taken before anything begins: a slip of the pen must not stop a process
    // that has accepted a webhook already.
    let runs = |service| services.contains(&service);
    let Span(grace) = settings.get_or_default("SHUTDOWN_GRACE")?;
    let ingest_settings = runs(Service::WebhookIngest)
        .then(|| ingest_settings(settings))
        .transpose()?;
    let keeps_recordings = runs(Service::Importer) || runs(Service::IntegrationApi);
    let archive = keeps_recordings.then(|| parts::archive(settings)).transpose()?;
    let archive = archive.flatten();
    let api_settings = runs(Service::IntegrationApi)
        .then(|| api_settings(settings, runs(Service::WebhookIngest), archive.clone()))
        .transpose()?;
    let spool = parts::spool(settings)?;
    let export = traces::export(settings, services)?;
    parts::callrail_access(settings)?;
    let writer_settings = runs(Service::CallWriter)
        .then(|| writer_settings(settings))
        .transpose()?;
    let notifier = runs(Service::Notifier)
        .then(|| parts::notifier(settings))
        .transpose()?;
    let mut sockets = parts::Sockets::new();
    let http_address = services.iter().find_map(|service| service.http_address());
    let http_listener = http_address
        .map(|address| sockets.listen("HTTP_ADDRESS", settings.text("HTTP_ADDRESS").unwrap_or(address)))
        .transpose()?;
    let metrics_address = services
        .first()
        .map_or("127.0.0.1:9001", |service| service.metrics_address());
    let metrics_address = settings.text("METRICS_ADDRESS").unwrap_or(metrics_address);
    let health_listener = sockets.listen("METRICS_ADDRESS", metrics_address)?;

    let store = store(settings, services, &health_listener).await?;
    // Dropped when all else is done: then the last spans are sent.
    let (tracer, _exporting) = export.map(Export::start).transpose()?.unzip();
    let tracer = tracer.unwrap_or_default();
    let queue = parts::service_queue(settings).await?.with_tracer(tracer.clone());
    let mut health = Health::new();
    queue.register_metrics(health.registry());
    let mut supervisor = Supervisor::new(grace);

    if let (Some(writer_settings), Some(store)) = (writer_settings, store.clone()) {
        let writer = CallWriter::new(writer_settings, queue.clone(), store, &mut health);
        supervisor.spawn("call-writer", |shutdown| async {
            Ok(writer.run(shutdown).await?)
        });
    }
    if let Some(notifier) = notifier {
        if notifier.pusher.is_none() {
            tracing::info!("PUSHER_URL is not set: alerts stand in the table `alerts` only");
        }
        notifier.metrics.register(health.registry());
        let queue = queue.clone();
        supervisor.spawn("notifier", |shutdown| async {
            notifier.run(queue, shutdown).await;
            Ok(())
        });
    }
    if let Some(store) = store.clone().filter(|_| runs(Service::Importer)) {
        if let Some(archive) = archive.clone() {
            let store = store.clone();
            supervisor.spawn("archive", |shutdown| async {
                importer::delete_recordings(store, archive, shutdown).await;
                Ok(())
            });
        }
        let importer = importer(settings, store.clone(), queue.clone(), archive)?;
        let limits = parts::request_limits(settings)?;
        let is_alone = services.len() == 1;
        import_past_calls(importer, store, limits, is_alone, &mut health, &mut supervisor);
    }
    let ingest = match ingest_settings {
        Some(ingest_settings) => {
            // For the webhooks alone: only they exist nowhere else.
            let queue = queue.clone().with_spool(spool).await;
            let queue = queue
                .context("cannot keep webhooks while RabbitMQ is away: set DATA_DIR to a folder for that")?;
            Some(WebhookIngest::new(ingest_settings, queue, tracer, &mut health))
        }
        None => None,
    };
    let api = match (api_settings, store) {
        (Some(api_settings), Some(store)) => {
            let callrail = callrail(settings, &store)?;
            let shutdown = supervisor.shutdown();
            let api = IntegrationApi::new(api_settings, store, queue, callrail, &mut health, shutdown)?;
            Some(api)
        }
        _ => None,
    };
    if let Some(listener) = http_listener {
        serve_http(&mut supervisor, listener, ingest, api);
    }
    tracing::info!(?services, %metrics_address, "running");
    supervisor.spawn("health", |shutdown| health.serve(health_listener, shutdown));
    supervisor.run().await.context("stopped with a failure")?;
    tracing::info!("stopped");
    Ok(())
}

/// Lets the importer work, if there is an account.
fn import_past_calls(
    importer: Option<Importer>,
    store: Store,
    limits: RequestLimits,
    is_alone: bool,
    health: &mut Health,
    supervisor: &mut Supervisor,
) {
    let Some(importer) = importer else {
        if is_alone {
            // Whoever starts all services at once may have no key yet: one that ends would be started again and again.
            tracing::warn!("{NO_ACCOUNT}");
            health.check("importer", || async {
                Ok(Condition::Degraded(NO_ACCOUNT.to_owned()))
            });
        } else {
            tracing::info!("{NO_ACCOUNT}");
        }
        return;
    };
    importer.metrics.register(health.registry());
    let budget = BudgetMetrics::register(health.registry());
    supervisor.spawn("budget", |shutdown| async move {
        budget.keep_counting(store, limits, shutdown).await;
        Ok(())
    });
    supervisor.spawn("importer", |shutdown| async {
        importer.run(shutdown).await;
        Ok(())
    });
}

/// The database, if one of the services needs it: one for all of them, since on SQLite who writes waits for who came
/// before.
async fn store(
    settings: &Settings,
    services: &[Service],
    health_listener: &TcpListener,
) -> anyhow::Result<Option<Store>> {
    let url = parts::database_url(settings)?;
    // The one process of the standalone shape minds its own database; services that run alone are many, and leave
    // that to `trunkline migrate`.
    if services.len() > 1 {
        let migrations = once_it_answers(health_listener, || Store::migrate(&url)).await?;
        for migration in migrations {
            tracing::info!(migration, "brought the database's schema up to date");
        }
    }
    let need_it = [Service::CallWriter, Service::IntegrationApi, Service::Importer];
    if services.iter().any(|service| need_it.contains(service)) {
        let store = once_it_answers(health_listener, || Store::connect(&url)).await?;
        Ok(Some(store))
    } else {
        Ok(None)
    }
}

/// Asks the database again and again until it answers: whoever starts everything at once does not know what is there
/// first. Meanwhile the process is alive and not ready.
async fn once_it_answers<T, F>(health_listener: &TcpListener, ask: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = DATABASE_PAUSES.first;
    let mut waiting = None;
    loop {
        match ask().await {
            Err(error @ StoreError::Unavailable(_)) => tracing::error!(
                error = &error as &dyn Error,
                pause_ms = pause.as_millis(),
                "waiting for the database"
            ),
            answer => return Ok(answer?),
        }
        if waiting.is_none() {
            let listener = health_listener.try_clone().context("cannot share the listener")?;
            let mut health = Health::new();
            health.check("database", || async { Err("does not answer yet".to_owned()) });
            let stop = CancellationToken::new();
            tokio::spawn(health.serve(listener, stop.clone()));
            waiting = Some(stop.drop_guard());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(DATABASE_PAUSES.longest);
    }
}

/// One port for the endpoints of all services that have any.
fn serve_http(
    supervisor: &mut Supervisor,
    listener: TcpListener,
    ingest: Option<WebhookIngest>,
    api: Option<IntegrationApi>,
) {
    let routes = move |app: &mut ServiceConfig| {
        if let Some(ingest) = &ingest {
            ingest.routes(app);
        }
        if let Some(api) = &api {
            api.routes(app);
        }
    };
    supervisor.spawn("http", |shutdown| runtime::serve_http(listener, routes, shutdown));
}

/// The importer with all that it does beside what people want; `None` when no account is set.
fn importer(
    settings: &Settings,
    store: Store,
    queue: Queue,
    archive: Option<Archive>,
) -> anyhow::Result<Option<Importer>> {
    let recordings = parts::recordings(settings, &store, archive)?;
    let reconcile = parts::reconcile(settings)?;
    let importer = parts::importer(settings, store, queue)?;
    Ok(importer.map(|importer| Importer {
        reconcile,
        recordings,
        ..importer
    }))
}

pub(crate) fn ingest_settings(settings: &Settings) -> Result<webhook_ingest::Settings, SettingsError> {
    let signing_keys: SigningKeys = settings.get("CALLRAIL_SIGNING_KEYS")?.unwrap_or_default();
    Ok(webhook_ingest::Settings {
        signing_keys,
        reading: parts::reading(settings)?,
        trusted_proxies: settings.get_or_default("TRUSTED_PROXIES")?,
    })
}

pub(crate) fn api_settings(
    settings: &Settings,
    receives_webhooks: bool,
    archive: Option<Archive>,
) -> anyhow::Result<integration_api::Settings> {
    let tokens = TokenRules::new(TokenSettings {
        secret: settings.get("JWT_SECRET")?,
        public_key: settings.get("JWT_PUBLIC_KEY")?,
        audience: settings.get("JWT_AUDIENCE")?,
        issuer: settings.get("JWT_ISSUER")?,
        user_claim: settings.get_or_default("JWT_USER_CLAIM")?,
    })?;
    Ok(integration_api::Settings {
        tokens,
        cors_origins: parts::cors_origins(settings)?,
        company: settings.get("CALLRAIL_COMPANY_ID")?,
        signing_keys: settings.get("CALLRAIL_SIGNING_KEYS")?.unwrap_or_default(),
        receives_webhooks,
        reading: parts::reading(settings)?,
        rules: parts::match_rules(settings)?,
        pusher: settings.get("PUSHER_URL")?,
        recordings: Recordings {
            files: parts::recording_files(settings)?,
            archive,
        },
        request_limits: parts::request_limits(settings)?,
        ticket_secret: settings.get("TICKET_SECRET")?,
    })
}

fn callrail(settings: &Settings, store: &Store) -> anyhow::Result<Option<CallRail>> {
    let interactive = parts::callrail_client(settings, store, RequestClass::Interactive)?;
    let recording = parts::callrail_client(settings, store, RequestClass::Recording)?;
    Ok(interactive
        .zip(recording)
        .map(|(interactive, recording)| CallRail {
            interactive,
            recording,
        }))
}

pub(crate) fn writer_settings(settings: &Settings) -> Result<call_writer::Settings, SettingsError> {
    let Span(every) = settings.get_or_default("CRM_CONTACTS_EVERY")?;
    Ok(call_writer::Settings {
        rules: parts::match_rules(settings)?,
        crm_contacts: CrmContacts {
            every,
            region: parts::region(settings)?,
        },
        retention: parts::retention(settings)?,
        pauses: Pauses::default(),
    })
}
