//! Runs services: all in one process, or one alone. No service knows which.

use anyhow::Context;
use call_writer::{CallWriter, CrmContacts};
use callrail::SigningKeys;
use queue::Pauses;
use runtime::settings::Span;
use runtime::{Health, Settings, SettingsError, Supervisor};
use store::Store;
use webhook_ingest::WebhookIngest;

use crate::parts;

/// The services there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    WebhookIngest,
    CallWriter,
    Notifier,
    Importer,
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [
        Self::WebhookIngest,
        Self::CallWriter,
        Self::Notifier,
        Self::Importer,
    ];

    /// Where its health and metrics are served unless `METRICS_ADDRESS` says otherwise. A process that runs several
    /// takes the first one's.
    fn metrics_address(self) -> &'static str {
        match self {
            Self::WebhookIngest => "127.0.0.1:9001",
            Self::CallWriter => "127.0.0.1:9003",
            Self::Notifier => "127.0.0.1:9004",
            Self::Importer => "127.0.0.1:9005",
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
    let writer_settings = runs(Service::CallWriter)
        .then(|| writer_settings(settings))
        .transpose()?;
    let notifier = runs(Service::Notifier)
        .then(|| parts::notifier(settings))
        .transpose()?;
    let metrics_address = services
        .first()
        .map_or("127.0.0.1:9001", |service| service.metrics_address());
    let metrics_address = settings.text("METRICS_ADDRESS").unwrap_or(metrics_address);
    let health_listener = parts::listen("METRICS_ADDRESS", metrics_address)?;
    let http_address: String = settings.get_or_default("HTTP_ADDRESS")?;
    let ingest = match ingest_settings {
        Some(ingest_settings) => Some((ingest_settings, parts::listen("HTTP_ADDRESS", &http_address)?)),
        None => None,
    };

    // The one process of the standalone shape minds its own database; services that run alone are many, and leave
    // that to `trunkline migrate`.
    if services.len() > 1 {
        for migration in Store::migrate(&parts::database_url(settings)?).await? {
            tracing::info!(migration, "brought the database's schema up to date");
        }
    }
    let queue = parts::queue(settings).await?;
    let mut health = Health::new();
    queue.register_metrics(health.registry());
    let mut supervisor = Supervisor::new(grace);

    let store = if runs(Service::CallWriter) || runs(Service::Importer) {
        Some(parts::store(settings).await?)
    } else {
        None
    };
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
    if let Some(store) = store.filter(|_| runs(Service::Importer)) {
        match parts::importer(settings, store, queue.clone())? {
            Some(importer) => {
                importer.metrics.register(health.registry());
                supervisor.spawn("importer", |shutdown| async {
                    importer.run(shutdown).await;
                    Ok(())
                });
            }
            None if services.len() == 1 => settings.require::<String>("CALLRAIL_API_KEY").map(drop)?,
            None => tracing::info!("CALLRAIL_API_KEY is not set: no past calls are imported"),
        }
    }
    if let Some((ingest_settings, listener)) = ingest {
        let ingest = WebhookIngest::new(ingest_settings, queue, &mut health);
        supervisor.spawn("webhook-ingest", |shutdown| ingest.serve(listener, shutdown));
    }
    tracing::info!(?services, %metrics_address, "running");
    supervisor.spawn("health", |shutdown| health.serve(health_listener, shutdown));
    supervisor.run().await.context("stopped with a failure")?;
    tracing::info!("stopped");
    Ok(())
}

fn ingest_settings(settings: &Settings) -> Result<webhook_ingest::Settings, SettingsError> {
    let signing_keys: SigningKeys = settings.get("CALLRAIL_SIGNING_KEYS")?.unwrap_or_default();
    Ok(webhook_ingest::Settings {
        signing_keys,
        region: parts::region(settings)?,
    })
}

fn writer_settings(settings: &Settings) -> Result<call_writer::Settings, SettingsError> {
    let Span(every) = settings.get_or_default("CRM_CONTACTS_EVERY")?;
    Ok(call_writer::Settings {
        rules: parts::match_rules(settings)?,
        crm_contacts: CrmContacts {
            every,
            region: parts::region(settings)?,
        },
        pauses: Pauses::default(),
    })
}
