//! What a database holds before anything is measured, and what comes in.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use callrail::WebhookKind;
use callrail_simulator::{SimulatedAccount, SimulatedCall, SimulatedDelivery};
use calls::{CallEvent, MatchRules, Origin, Receipt, Region, from_callrail};
use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use store::{DatabaseUrl, Store};
use test_servers::Database;
use trunkline_tests::Installation;
use uuid::Uuid;

use crate::broker::Broker;
use crate::deliveries::{POST_CALL, account};

/// Who turns events into rows, as it is set when nothing is set.
pub(crate) fn rules() -> MatchRules {
    MatchRules::default()
}

/// A migrated database of `PostgreSQL` with so many contacts, those of the account among them.
pub(crate) async fn postgres(contacts: usize) -> Database {
    let database = Database::empty();
    let url: DatabaseUrl = database.url().parse().unwrap();
    Store::migrate(&url).await.unwrap();
    add_contacts(&database, contacts);
    run(&database, "vacuum analyze");
    database
}

/// Fills the mirror of the CRM's people: so many strangers, and those whom the account's calls are with.
fn add_contacts(database: &Database, contacts: usize) {
    // References are not checked one by one: they are right, and there are many.
    run(
        database,
        &format!(
            "set session_replication_role = replica;
             insert into trunkline.contacts (kind, id, name, owner_id, updated_at)
             select 'lead', 'stranger-' || n, 'Lead ' || n, 'owner-' || n % 50, now()
             from generate_series(1, {contacts}) n;
             insert into trunkline.contact_phones (e164, kind, id)
             select '+1' || (2012000000 + n), 'lead', 'stranger-' || n from generate_series(1, {contacts}) n;
             {}",
            people("trunkline.")
        ),
    );
}

/// A migrated file of SQLite with so many contacts.
pub(crate) async fn sqlite(path: &Path, contacts: usize) {
    Store::migrate(&DatabaseUrl::Sqlite(path.to_owned()))
        .await
        .unwrap();
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    let numbers = format!(
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {contacts})"
    );
    let sql = format!(
        "begin;
         insert into contacts (kind, id, name, owner_id, updated_at)
         {numbers} select 'lead', 'stranger-' || n, 'Lead ' || n, 'owner-' || n % 50, '2026-01-01T00:00:00.000000Z'
         from numbers;
         insert into contact_phones (e164, kind, id)
         {numbers} select '+1' || (2012000000 + n), 'lead', 'stranger-' || n from numbers;
         {}
         commit; analyze; pragma wal_checkpoint(truncate);",
        people("").replace("now()", "'2026-01-01T00:00:00.000000Z'")
    );
    connection.batch_execute(&sql).unwrap();
}

/// SQL that adds the people whom the account's calls are with.
fn people(schema: &str) -> String {
    let account = account(0);
    let quoted = |text: &str| text.replace('\'', "''");
    let people = account.people.iter().map(|person| {
        let (kind, id, name) = (person.kind, quoted(&person.id), quoted(&person.name));
        format!(
            "insert into {schema}contacts (kind, id, name, owner_id, updated_at)
             values ('{kind}', '{id}', '{name}', 'owner-1', now());
             insert into {schema}contact_phones (e164, kind, id) values ('{}', '{kind}', '{id}');",
            person.e164
        )
    });
    people.collect()
}

/// Runs SQL on a database as its superuser.
pub(crate) fn run(database: &Database, sql: &str) {
    database.connection().batch_execute(sql).unwrap();
}

/// Asks a database for a number.
#[allow(clippy::cast_precision_loss, reason = "bytes")]
pub(crate) fn number(database: &Database, sql: &str) -> f64 {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    let asked = diesel::sql_query(format!("select ({sql}) as number"));
    let answer: Answer = asked.get_result(&mut database.connection()).unwrap();
    answer.number as f64
}

/// The same database, but not by TLS.
pub(crate) fn without_tls(database: &str) -> String {
    let separator = if database.contains('?') { '&' } else { '?' };
    format!("{database}{separator}sslmode=disable")
}

/// call-writer, scaled, on this broker and this database. Without TLS, which the statements alone do not have either.
pub(crate) fn writer(broker: &Broker, database: &str) -> Installation {
    Installation::new()
        .with("QUEUE_URL", broker.url())
        .with("DATABASE_URL", without_tls(database))
}

/// Events of ended calls: of ten, seven are of calls that are new, and three of calls that came before: changes as far
/// as the account has them, else repetitions.
pub(crate) struct Mix {
    pub(crate) events: Vec<CallEvent>,
    new: usize,
    changes: usize,
}

impl Mix {
    pub(crate) fn of(events: usize) -> Self {
        Self::of_account(&account(events * 7 / 10 + 10), events)
    }

    /// The first so many events of this account.
    pub(crate) fn of_account(account: &SimulatedAccount, events: usize) -> Self {
        let mut mix = Self {
            events: Vec::with_capacity(events),
            new: 0,
            changes: 0,
        };
        let mut changes: VecDeque<&SimulatedDelivery> = VecDeque::new();
        let mut earlier: Vec<&SimulatedDelivery> = Vec::new();
        let mut calls = account.calls.iter();
        for number in 0..events {
            let delivery = if number % 10 < 7 || earlier.is_empty() {
                let call = calls.next().unwrap();
                mix.new += 1;
                changes.extend(changed(call));
                earlier.push(ended(call));
                ended(call)
            } else if number % 2 == 0
                && let Some(change) = changes.pop_front()
            {
                mix.changes += 1;
                change
            } else {
                earlier[(number * 7_919) % earlier.len()]
            };
            mix.events.push(event(delivery, number));
        }
        mix
    }

    /// How many there are, as a number to calculate with.
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    pub(crate) fn count(&self) -> f64 {
        self.events.len() as f64
    }

    /// Of how many calls.
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    pub(crate) fn calls(&self) -> f64 {
        self.new as f64
    }

    /// Events a second.
    pub(crate) fn a_second(&self, took: Duration) -> f64 {
        self.count() / took.as_secs_f64()
    }

    pub(crate) fn describe(&self) -> String {
        let all = self.events.len();
        format!(
            "{all} events: {} of calls that are new, {} changes of earlier calls, {} that say again what was said.",
            self.new,
            self.changes,
            all - self.new - self.changes
        )
    }
}

/// What tells that the call is over.
pub(crate) fn ended(call: &SimulatedCall) -> &SimulatedDelivery {
    let mut deliveries = call.deliveries.iter();
    deliveries
        .find(|delivery| POST_CALL.contains(&delivery.kind))
        .unwrap()
}

fn changed(call: &SimulatedCall) -> impl Iterator<Item = &SimulatedDelivery> {
    let kinds = [WebhookKind::CallModified, WebhookKind::OutboundCallModified];
    call.deliveries
        .iter()
        .filter(move |delivery| kinds.contains(&delivery.kind))
}

/// The event that webhook-ingest makes of a delivery.
pub(crate) fn event(delivery: &SimulatedDelivery, number: usize) -> CallEvent {
    let receipt = Receipt {
        event_id: Uuid::now_v7(),
        kind: delivery.kind.into(),
        origin: Origin::Webhook,
        // Apart by more than what leaves their order in doubt.
        observed_at: Utc::now() + TimeDelta::seconds(10 * i64::try_from(number).unwrap()),
        import_id: None,
        company: None,
    };
    from_callrail(
        callrail::parse_object(&delivery.body).unwrap(),
        receipt,
        Region::US.into(),
    )
    .unwrap()
}
