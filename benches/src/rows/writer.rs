//! call-writer from a full queue, beside its own statements on prepared data: no queue, no logic. And beside that, only
//! those of them that write the rows of calls.

use std::fs;
use std::time::Duration;

use calls::CallEvent;
use chrono::Utc;
use queue::{Message, Queue, QueueName};
use store::{DatabaseUrl, Store};
use test_servers::Database;
use tokio::time::{Instant, sleep};
use trunkline_tests::{Installation, Process};

use super::{Extent, metric};
use crate::broker::Broker;
use crate::comparison::Rounds;
use crate::machine;
use crate::office::{self, Mix};
use crate::report::{Measured, Reach};
use crate::statements;
use crate::wire::Recorder;

/// As many as call-writer takes in one transaction.
const BATCH: usize = 64;
/// How often it is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Events that call-writer does not apply in this time never will be.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn measure_postgres(extent: Extent) -> Measured {
    let mix = Mix::of(extent.of(20_000, 2_000));
    let template = office::postgres(extent.of(100_000, 20_000)).await;
    let broker = Broker::new().await;

    // Once with somebody who listens.
    let recorder = Recorder::start().await;
    let recorded_at = Database::copy_of(&template);
    write(&broker, &recorded_at.url_by(&recorder.address), &mix).await;
    let recording = recorder.finish();
    drop(recorded_at);
    let upserts = recording.only("insert into trunkline.interactions");

    let (mut ours, mut floor, mut bare) = (Rounds::default(), Rounds::default(), Rounds::default());
    let mut costs = Costs::default();
    let empty = office::number(&template, "select pg_database_size(current_database())");
    for _ in 0..extent.rounds() {
        let database = Database::copy_of(&template);
        let log = office::number(&database, "select (pg_current_wal_lsn() - '0/0')::bigint");
        let written = write(&broker, &database.url(), &mix).await;
        ours.push(written.rate);
        costs.own.push(written.own);
        costs.servers.push(written.servers);
        let log = office::number(&database, "select (pg_current_wal_lsn() - '0/0')::bigint") - log;
        costs.log.push(log / mix.count() / 1e3);
        let full = office::number(&database, "select pg_database_size(current_database())");
        costs.disk.push((full - empty) / mix.calls() / 1e3);
        drop(database);

        let database = Database::copy_of(&template);
        let (said, url) = (recording.clone(), database.url());
        let took = tokio::task::spawn_blocking(move || said.say_to(&url))
            .await
            .unwrap();
        floor.push(mix.a_second(took));
        drop(database);

        let database = Database::copy_of(&template);
        office::run(
            &database,
            "alter table trunkline.interactions drop constraint interactions_call_sid_fkey",
        );
        let (said, url) = (upserts.clone(), database.url());
        let took = tokio::task::spawn_blocking(move || said.say_in_order_to(&url))
            .await
            .unwrap();
        bare.push(mix.a_second(took));
    }
    let mut measured = compared(&ours, &floor, &bare, &mix);
    measured.alone(
        "processor time of call-writer for each event",
        "µs",
        &costs.own,
        None,
    );
    measured.alone(
        "processor time of PostgreSQL and RabbitMQ for each event",
        "µs",
        &costs.servers,
        None,
    );
    measured.alone("write-ahead log for each event", "kB", &costs.log, None);
    measured.alone("disk for each call, with its indexes", "kB", &costs.disk, None);
    measured.note(format!(
        "{} statements for {} events, as the server saw them. Their bytes are sent again as they were recorded, over as \
         many connections, and the answers are read and thrown away. Every round has a copy of the same database.",
        recording.statements(),
        mix.events.len(),
    ));
    measured
}

pub(super) async fn measure_sqlite(extent: Extent) -> Measured {
    let mix = Mix::of(extent.of(20_000, 2_000));
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.db");
    office::sqlite(&template, extent.of(100_000, 20_000)).await;
    let copy = |name: &str| {
        let path = folder.path().join(name);
        for rest in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.path().join(format!("{name}{rest}")));
        }
        fs::copy(&template, &path).unwrap();
        path
    };

    // Once in this process, which hears its own statements: as call-writer does, batch by batch.
    statements::record();
    let store = Store::connect(&DatabaseUrl::Sqlite(copy("recorded.db")))
        .await
        .unwrap();
    for batch in mix.events.chunks(BATCH) {
        let applied = store
            .apply(batch.to_vec(), &office::rules(), Utc::now())
            .await
            .unwrap();
        let published = applied.alerts.iter().map(|outgoing| outgoing.alert.id).collect();
        store.mark_alerts_published(published, Utc::now()).await.unwrap();
    }
    drop(store);
    let recording = statements::recorded();
    let upserts = recording.only(&["INSERT INTO `interactions`", "UPDATE `interactions`"]);

    let (mut ours, mut floor, mut bare) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..extent.rounds() {
        let trunkline = Installation::new();
        fs::create_dir_all(trunkline.data_dir()).unwrap();
        fs::copy(&template, trunkline.data_dir().join("trunkline.db")).unwrap();
        let queue = trunkline.queue().await;
        fill(&queue, QueueName::Live, &mix.events).await;
        drop(queue);
        let writer = trunkline.spawn("call-writer");
        ours.push(applied_a_second(&[&writer], mix.events.len()).await);
        writer.kill().await;

        let (said, file) = (recording.clone(), copy("floor.db"));
        let took = tokio::task::spawn_blocking(move || said.say_to(file.to_str().unwrap(), ""))
            .await
            .unwrap();
        floor.push(mix.a_second(took));

        let (said, file) = (upserts.clone(), copy("bare.db"));
        let alone = "pragma foreign_keys = off";
        let took = tokio::task::spawn_blocking(move || said.say_to(file.to_str().unwrap(), alone))
            .await
            .unwrap();
        bare.push(mix.a_second(took));
    }
    let mut measured = compared(&ours, &floor, &bare, &mix);
    measured.note(format!(
        "{} statements for {} events, with their values, prepared once each. Every round has a copy of the same file.",
        recording.count(),
        mix.events.len(),
    ));
    measured
}

fn compared(ours: &Rounds, floor: &Rounds, bare: &Rounds, mix: &Mix) -> Measured {
    let mut measured = Measured::default();
    measured.compare("events applied", "/s", (ours, floor), Some(Reach::AtLeast(0.7)));
    measured.beside("only the statements that write the rows of calls", "/s", bare);
    measured.note(mix.describe());
    measured
}

/// What events and calls cost on PostgreSQL.
#[derive(Default)]
struct Costs {
    own: Rounds,
    servers: Rounds,
    log: Rounds,
    disk: Rounds,
}

/// How call-writer has worked on a full queue.
struct Written {
    /// Events a second.
    rate: f64,
    /// Its processor time for each event, and that of the servers; microseconds.
    own: f64,
    servers: f64,
}

/// Has call-writer work on a full queue.
async fn write(broker: &Broker, database: &str, mix: &Mix) -> Written {
    broker.purge(QueueName::Alerts);
    fill(&broker.queue, QueueName::Live, &mix.events).await;
    let trunkline = office::writer(broker, database);
    let before = [machine::own_time(), machine::busy()];
    let writer = trunkline.spawn("call-writer");
    let rate = applied_a_second(&[&writer], mix.events.len()).await;
    let own = writer.cpu_time().unwrap();
    let asking = machine::own_time().saturating_sub(before[0]);
    let all = machine::busy().saturating_sub(before[1]);
    writer.kill().await;
    let for_each = |time: Duration| time.as_secs_f64() * 1e6 / mix.count();
    Written {
        rate,
        own: for_each(own),
        servers: for_each(all.saturating_sub(own + asking)),
    }
}

/// Publishes events, in their order.
pub(super) async fn fill(queue: &Queue, name: QueueName, events: &[CallEvent]) {
    for events in events.chunks(256) {
        let messages = events
            .iter()
            .map(|event| Message::new(event.event_id, event.encode()));
        queue.publish_all(name, messages.collect()).await.unwrap();
    }
}

/// How many events these processes apply in a second, together, from the first that one of them has applied to the last.
#[allow(clippy::cast_precision_loss, reason = "a rate")]
pub(super) async fn applied_a_second(writers: &[&Process], events: usize) -> f64 {
    let deadline = Instant::now() + PATIENCE;
    let mut first: Option<(Instant, f64)> = None;
    loop {
        let mut applied = 0.0;
        for writer in writers {
            applied += metric(writer, "call_events_applied_total")
                .await
                .unwrap_or_default();
        }
        match first {
            None if applied > 0.0 => first = Some((Instant::now(), applied)),
            Some((began, before)) if applied >= events as f64 => {
                return (applied - before) / began.elapsed().as_secs_f64();
            }
            _ => {}
        }
        let log = || writers.iter().map(|writer| writer.log()).collect::<String>();
        assert!(
            Instant::now() < deadline,
            "{applied} of {events} events are applied: {}",
            log()
        );
        sleep(LOOK_EVERY).await;
    }
}
