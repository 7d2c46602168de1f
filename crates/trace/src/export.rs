//! Where spans go: to a collector, by OTLP over HTTP, from a thread of its own. Nobody waits for it: what does not fit
//! into its queue, or cannot be sent, is dropped.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use uuid::Uuid;

use crate::sampling::Sampling;
use crate::span::Tracer;

/// How long sending a batch of spans may take, with all its tries.
const SENDING: Duration = Duration::from_secs(10);

/// How long the last spans may take at the end of the process.
const LAST_SENDING: Duration = Duration::from_secs(2);

/// Where spans go, and what is said of the process with each.
#[derive(Clone)]
pub struct Export {
    /// The URL that takes traces: `http://127.0.0.1:4318/v1/traces`.
    pub url: String,
    /// Sent with each request; secrets, mostly.
    pub headers: HashMap<String, String>,
    /// `service.name`.
    pub service_name: String,
    /// `service.version`.
    pub service_version: &'static str,
    /// Which traces are told of.
    pub sampling: Sampling,
}

/// The thread that sends spans. When this is dropped it sends what is left, which is waited for, but not for long.
#[derive(Debug)]
pub struct Exporting(SdkTracerProvider);

/// The settings do not make an exporter.
#[derive(Debug, thiserror::Error)]
#[error("cannot send spans")]
pub struct CannotExport(#[from] ExporterBuildError);

impl Export {
    /// Starts to send. The variables `OTEL_BSP_*` of the environment say how much is kept and how often it is sent,
    /// `OTEL_RESOURCE_ATTRIBUTES` what else is to be said of the process.
    pub fn start(self) -> Result<(Tracer, Exporting), CannotExport> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.url)
            .with_headers(self.headers)
            .with_timeout(SENDING)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(self.service_name)
            .with_attributes([
                KeyValue::new("service.namespace", "trunkline"),
                KeyValue::new("service.version", self.service_version),
                KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(self.sampling.clone())
            .with_batch_exporter(Told::new(exporter))
            .build();
        let tracer = Tracer::new(provider.tracer("trunkline"), self.sampling);
        Ok((tracer, Exporting(provider)))
    }
}

impl fmt::Debug for Export {
    /// Leaves the headers out: they are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("service_name", &self.service_name)
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SENDING) {
            tracing::info!(%error, "the last spans of traces were not sent");
        }
    }
}

/// Says once that spans cannot be sent, and once that they can again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    fails: AtomicBool,
}

impl<E> Told<E> {
    fn new(exporter: E) -> Self {
        Self {
            exporter,
            fails: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let failed = self.fails.swap(exported.is_err(), Ordering::Relaxed);
        match (&exported, failed) {
            (Err(error), false) => tracing::warn!(
                %error,
                "cannot send the spans of traces: they are dropped until it can be done again"
            ),
            (Ok(()), true) => tracing::info!("the spans of traces are sent again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
