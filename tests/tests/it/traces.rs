//! Traces: one for all that becomes of a webhook, told to a collector that may be away, and of nobody by name.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use test_servers::{Database, Proxy, Vhost};
use trunkline_tests::pusher_peer::{self, Mood, Peer};
use trunkline_tests::{Answer, Installation, Server, eventually, sample};

const CALL: &str = "CAL01a1fa577dac70f6b1ca1ddba8db3bcf";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Of CallRail's span.
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_webhook_through_every_service_to_the_push_and_names_nobody() {
    let collector = Collector::start();
    let (pusher, pusher_address) = Peer::start(Mood::Fine);
    let (broker, database) = (Vhost::new(), Database::empty());
    let trunkline = scaled(&collector, &pusher_address, &broker.url(), &database);
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let mut running = Vec::new();
    for service in ["webhook-ingest", "call-writer", "notifier"] {
        running.push(trunkline.start(service).await);
    }
    // CallRail does not want to be told of it: that is for us to decide.
    let answer = post(&trunkline, &format!("00-{TRACE}-{PARENT}-00")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    pusher.events("call-completed", 1).await;

    let way = [
        ("webhook-ingest", "webhook"),
        ("webhook-ingest", "publish calls.live"),
        ("call-writer", "process calls.live"),
        ("call-writer", "store"),
        ("call-writer", "publish alerts"),
        ("notifier", "process alerts"),
        ("notifier", "push"),
    ];
    let spans = collector.spans_of(TRACE, &way, &trunkline).await;
    let mut parent = PARENT.to_owned();
    for (service, name) in way {
        let (_, span) = spans
            .iter()
            .find(|(told_by, span)| told_by == service && span.name == name)
            .unwrap();
        assert_eq!(hex::encode(&span.parent_span_id), parent, "{service}: {name}");
        parent = hex::encode(&span.span_id);
    }
    let batches = collector.told();
    let batches: Vec<&Span> = batches
        .iter()
        .map(|(_, span)| span)
        .filter(|span| span.name.starts_with("batch "))
        .collect();
    for name in ["batch calls.live", "batch alerts"] {
        let batch = batches.iter().find(|batch| batch.name == name).unwrap();
        assert_eq!(hex::encode(&batch.links[0].trace_id), TRACE, "{name}");
        assert_ne!(hex::encode(&batch.trace_id), TRACE, "{name}");
    }

    let said = collector.said();
    assert!(
        said.contains(CALL),
        "the trace of a call is found by its id: {said}"
    );
    for personal in [
        "4045550123",
        "555-0123",
        "Jane",
        "Doe",
        "furnace",
        "http://",
        "https://",
    ] {
        assert!(!said.contains(personal), "{personal}: {said}");
    }
    for process in running {
        assert!(process.terminate().await.success(), "{}", trunkline.logs());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_after_a_time_in_the_spool() {
    let collector = Collector::start();
    let (_pusher, pusher_address) = Peer::start(Mood::Fine);
    let (broker, database) = (Vhost::new(), Database::empty());
    let away = Proxy::to(broker.address()).await;
    let address = away.address;
    drop(away);
    let trunkline = scaled(&collector, &pusher_address, &broker.url_by(address), &database);
    assert_eq!(trunkline.run(&["migrate"]).await.code, 0);
    let ingest = trunkline.start("webhook-ingest").await;
    let answer = post(&trunkline, &format!("00-{TRACE}-{PARENT}-01")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    ingest.kill().await;

    let _broker = Proxy::listen(address, broker.address(), None).await;
    let _ingest = trunkline.start("webhook-ingest").await;
    let _writer = trunkline.start("call-writer").await;
    let way = [("call-writer", "process calls.live"), ("call-writer", "store")];
    collector.spans_of(TRACE, &way, &trunkline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_signed_begins_a_trace_and_what_is_no_trace_is_left_out() {
    let collector = Collector::start();
    let trunkline = told_to(collector.server.address).with("OTEL_SERVICE_NAME", "office");
    let running = trunkline.start("run").await;
    let call = sample("post_call_answered.json");
    let unsigned = trunkline
        .webhook("post-call", call.body)
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    assert_eq!(trunkline.send(unsigned).await.status, 401);
    for nonsense in [
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{PARENT}-01-{}", "a".repeat(4_000)),
        "00-00000000000000000000000000000000-0000000000000000-01".to_owned(),
    ] {
        let answer = post(&trunkline, &nonsense).await;
        assert_eq!(answer.status, 200, "{nonsense}: {answer:?}");
    }
    let webhooks = eventually(|| async {
        let told = collector.told();
        let webhooks: Vec<String> = told
            .into_iter()
            .filter(|(service, span)| service == "office" && span.name == "webhook")
            .map(|(_, span)| hex::encode(span.trace_id))
            .collect();
        (webhooks.len() == 3).then_some(webhooks)
    });
    let traces: BTreeSet<String> = webhooks.await.unwrap_or_default().into_iter().collect();
    assert_eq!(traces.len(), 3, "each has a trace of its own");
    assert!(!traces.contains(TRACE));
    assert!(running.terminate().await.success(), "{}", trunkline.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_is_told_of_once_and_costs_no_call() {
    let collector = Collector::start();
    collector.answers(400);
    let trunkline = told_to(collector.server.address);
    let running = trunkline.start("run").await;
    let mut refused = 0;
    for _ in 0..3 {
        assert_eq!(post(&trunkline, "").await.status, 200);
        let again = eventually(|| async { (collector.refused() > refused).then_some(collector.refused()) });
        refused = again.await.expect("nothing was sent");
    }
    collector.answers(200);
    assert_eq!(post(&trunkline, "").await.status, 200);
    let recovered = eventually(|| async { running.log().contains("are sent again").then_some(()) });
    assert!(recovered.await.is_some(), "{}", running.log());
    assert_eq!(
        running.log().matches("cannot send the spans of traces").count(),
        1,
        "{}",
        running.log()
    );
    trunkline.settle().await;
    assert!(trunkline.row(CALL).await.is_some());
    assert!(running.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_up_neither_a_call_nor_the_end() {
    // Connections are taken by the system, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let trunkline = told_to(silent.local_addr().unwrap());
    let running = trunkline.start("run").await;
    for _ in 0..20 {
        assert_eq!(post(&trunkline, "").await.status, 200);
    }
    trunkline.settle().await;
    assert!(trunkline.row(CALL).await.is_some());
    let asked_at = Instant::now();
    assert!(running.terminate().await.success(), "{}", trunkline.logs());
    let took = asked_at.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn settings_of_traces_that_cannot_be_are_named() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hush"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ] {
        let trunkline = told_to("127.0.0.1:1").with(name, value);
        let told = trunkline.run(&["run"]).await;
        assert_eq!(told.code, 1, "{told:?}");
        assert!(told.err.contains(&format!("{name}: ")), "{told:?}");
        assert!(!told.err.contains("hush"), "{told:?}");
    }
}

/// A standalone installation that tells a collector at this address.
fn told_to(address: impl Display) -> Installation {
    Installation::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
        .with("OTEL_BSP_SCHEDULE_DELAY", "50")
}

fn scaled(collector: &Collector, pusher: &str, broker: &str, database: &Database) -> Installation {
    told_to(collector.server.address)
        .with("PUSHER_URL", pusher_peer::url(pusher))
        .with("QUEUE_URL", broker)
        .with("DATABASE_URL", database.url())
}

/// Posts the call of the samples, signed, with this `traceparent`; none if it is empty.
async fn post(trunkline: &Installation, traceparent: &str) -> Answer {
    let call = sample("post_call_answered.json");
    let mut webhook = trunkline
        .webhook("post-call", call.body)
        .header(callrail::SIGNATURE_HEADER, call.signature);
    if !traceparent.is_empty() {
        webhook = webhook.header("traceparent", traceparent);
    }
    trunkline.send(webhook).await
}

/// Takes traces as a collector does. Ends when it is dropped.
struct Collector {
    server: Server,
    state: Arc<State>,
}

struct State {
    status: Mutex<u16>,
    refused: Mutex<usize>,
    /// Each span with the name of the service that told of it.
    told: Mutex<Vec<(String, Span)>>,
}

impl Collector {
    fn start() -> Self {
        let state = Arc::new(State {
            status: Mutex::new(200),
            refused: Mutex::default(),
            told: Mutex::default(),
        });
        let shared = web::Data::from(Arc::clone(&state));
        let server = Server::start(move |app| {
            app.app_data(shared.clone())
                .app_data(web::PayloadConfig::new(16 * 1024 * 1024))
                .route("/v1/traces", web::post().to(take));
        });
        Self { server, state }
    }

    fn answers(&self, status: u16) {
        *self.state.status.lock().unwrap() = status;
    }

    fn refused(&self) -> usize {
        *self.state.refused.lock().unwrap()
    }

    fn told(&self) -> Vec<(String, Span)> {
        self.state.told.lock().unwrap().clone()
    }

    /// Waits until these spans of a trace are there, each a service and a name, and gives all of the trace.
    async fn spans_of(
        &self,
        trace: &str,
        expected: &[(&str, &str)],
        trunkline: &Installation,
    ) -> Vec<(String, Span)> {
        let there = eventually(|| async {
            let mut spans = self.told();
            spans.retain(|(_, span)| hex::encode(&span.trace_id) == trace);
            let is_there = |(service, name): &(&str, &str)| {
                let is_it = |(told_by, span): &(String, Span)| told_by == service && span.name == *name;
                spans.iter().any(is_it)
            };
            expected.iter().all(is_there).then_some(spans)
        });
        there.await.unwrap_or_else(|| {
            let told: Vec<(String, String)> = self
                .told()
                .into_iter()
                .map(|(service, span)| (service, span.name))
                .collect();
            panic!("spans are missing; there are {told:?}\n{}", trunkline.logs())
        })
    }

    /// Every text that was told.
    fn said(&self) -> String {
        let mut said = Vec::new();
        for (_, span) in self.told() {
            let status = span.status.map(|status| status.message).unwrap_or_default();
            said.push(format!("{} {status} {:?}", span.name, span.events));
            let of_links = span.links.iter().flat_map(|link| &link.attributes);
            for KeyValue { key, value, .. } in span.attributes.iter().chain(of_links) {
                let value = value.as_ref().and_then(|value| value.value.as_ref());
                match value.unwrap() {
                    any_value::Value::StringValue(text) => said.push(format!("{key}={text}")),
                    other => said.push(format!("{key}={other:?}")),
                }
            }
        }
        said.join("\n")
    }
}

async fn take(state: web::Data<State>, body: web::Bytes) -> HttpResponse {
    let status = *state.status.lock().unwrap();
    if status != 200 {
        *state.refused.lock().unwrap() += 1;
        return HttpResponse::build(status.try_into().unwrap()).finish();
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut told = state.told.lock().unwrap();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.unwrap().attributes;
        let service = attributes
            .iter()
            .find(|attribute| attribute.key == "service.name");
        let service = service.and_then(|name| name.value.as_ref()?.value.clone());
        let Some(any_value::Value::StringValue(service)) = service else {
            return HttpResponse::BadRequest().finish();
        };
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.extend(spans.map(|span| (service.clone(), span)));
    }
    HttpResponse::Ok().content_type("application/x-protobuf").finish()
}
