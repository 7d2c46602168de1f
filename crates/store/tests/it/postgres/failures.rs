//! Two kinds of failure: this message, or the outside.

use calls::{CallEvent, MatchRules};
use diesel::connection::SimpleConnection;
use store::{Applied, DatabaseUrl, Store, StoreError};
use test_servers::{Disk, Proxy};
use uuid::Uuid;

use super::{EmptyDatabase, Postgres, told, with_setting};
use crate::samples::{apply, at, post_call, pre_call, row, tagged};
use crate::suite::Database;

async fn try_to_apply(store: &Store, events: Vec<CallEvent>) -> Result<Applied, StoreError> {
    store.apply(events, &MatchRules::default(), at(201)).await
}

/// An event with a text that PostgreSQL does not take.
fn poison(n: usize) -> CallEvent {
    let mut event = post_call(n).event();
    event.call.facts.agent_email = Some("a\0b".to_owned());
    event
}

/// Makes every insertion into a table fail with this SQLSTATE, on and on or the given number of times.
fn fail_inserts(database: &Postgres, table: &str, sqlstate: &str, times: u32) {
    database.run(&format!(
        "create sequence public.failed_{table};
         create function public.fail_{table}() returns trigger language plpgsql as $$ begin
             if nextval('public.failed_{table}') <= {times} then
                 raise exception 'made for a test' using errcode = '{sqlstate}';
             end if;
             return new;
         end $$;
         create trigger fail before insert on {table} for each row execute function public.fail_{table}();"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_event_is_refused_and_the_others_pass() {
    let database = Postgres::fresh().await;
    let store = database.store();
    let events = vec![post_call(1).event(), poison(2), post_call(3).event()];

    let refused = try_to_apply(store, events.clone()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    for (n, event) in events.into_iter().enumerate() {
        let applied = try_to_apply(store, vec![event]).await;
        match applied {
            Ok(applied) => assert_eq!(applied.rows_written, 1),
            Err(error) => assert!(n == 1 && matches!(error, StoreError::Refused(_)), "{error:?}"),
        }
    }

    assert_eq!(store.count_interactions().await.unwrap(), 2);
    assert_eq!(database.count("select count(*) from calls").await, 2);
    assert_eq!(database.count("select count(*) from dead_letters").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collision_is_tried_again() {
    for sqlstate in ["40001", "40P01"] {
        let database = Postgres::fresh().await;
        fail_inserts(&database, "calls", sqlstate, 2);
        let applied = try_to_apply(database.store(), vec![post_call(1).event()]).await;
        assert_eq!(applied.unwrap().alerts.len(), 2, "{sqlstate}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_the_crm_is_tried_again() {
    let database = Postgres::fresh().await;
    apply(database.store(), [post_call(1), post_call(2)], at(201)).await;
    let update = |n: usize| {
        format!(
            "update interactions set value = '1' where call_sid = '{}'",
            crate::samples::call_id(n)
        )
    };
    let mut crm = database.connection();
    crm.batch_execute(&format!(
        "begin; set local deadlock_timeout = '60s'; {}",
        update(2)
    ))
    .unwrap();
    let store = database.store().clone();
    let batch = tokio::spawn(async move { apply(&store, [tagged(1), tagged(2)], at(301)).await });
    database.wait_until_locked_out(1).await;

    let second = update(1);
    let crm = tokio::task::spawn_blocking(move || crm.batch_execute(&format!("{second}; commit")));

    crm.await.unwrap().unwrap();
    assert_eq!(batch.await.unwrap().rows_written, 2);
    assert_eq!(row(database.store(), 1).await.unwrap().tags, ["Booked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_isolation_by_default_changes_nothing() {
    let database = Postgres::fresh().await;
    let name = database.empty.name();
    database.run(&format!(
        "alter database {name} set default_transaction_isolation = 'serializable'"
    ));
    let store = database.reopen().await;
    for seconds in [201, 202] {
        let batch = (0..20).map(post_call);
        let (one, other) = tokio::join!(
            apply(&store, batch, at(seconds)),
            apply(database.store(), (0..20).map(tagged), at(seconds))
        );
        assert_eq!(one.rows_written + other.rows_written > 0, seconds == 201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_the_outside_and_may_come_back() {
    let database = Postgres::fresh().await;
    let proxy = Proxy::to(EmptyDatabase::address()).await;
    let address = proxy.address;
    let url: DatabaseUrl = database.empty.url_by(address).parse().unwrap();
    let store = Store::connect(&url).await.unwrap();
    apply(&store, [post_call(1)], at(201)).await;

    drop(proxy);

    let (batch, ring, ping, connecting) = tokio::join!(
        try_to_apply(&store, vec![tagged(1).event()]),
        try_to_apply(&store, vec![pre_call(2).event()]),
        store.ping(),
        Store::connect(&url),
    );
    for error in [
        batch.unwrap_err(),
        ring.unwrap_err(),
        ping.unwrap_err(),
        connecting.err().unwrap(),
    ] {
        assert!(error.is_outside(), "{error:?}");
    }

    let _proxy = Proxy::listen(address, EmptyDatabase::address(), None).await;
    apply(&store, [tagged(1), pre_call(2)], at(301)).await;
    store.ping().await.unwrap();
    assert_eq!(row(&store, 1).await.unwrap().tags, ["Booked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_server_ends_is_the_outside() {
    let database = Postgres::fresh().await;
    let store = database.store().clone();
    let mut crm = database.connection();
    crm.batch_execute("begin; lock table call_events in share mode")
        .unwrap();
    let batch = tokio::spawn(async move { try_to_apply(&store, vec![post_call(1).event()]).await });
    database.wait_until_locked_out(1).await;

    database.run(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'trunkline'",
    );

    let error = batch.await.unwrap().unwrap_err();
    assert!(error.is_outside(), "{error:?}");
    crm.batch_execute("commit").unwrap();
    // Every connection is gone, and nobody has to restart anything.
    apply(database.store(), [post_call(1), pre_call(2)], at(201)).await;
    apply(database.store(), [pre_call(3)], at(2)).await;
    assert!(row(database.store(), 1).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_the_outside() {
    let database = Postgres::fresh().await;
    database.empty.alter("set default_transaction_read_only = on");
    let store = database.reopen().await;

    let error = try_to_apply(&store, vec![post_call(1).event()])
        .await
        .unwrap_err();
    assert!(error.is_outside(), "{error:?}");
    assert_eq!(row(&store, 1).await, None);

    database.empty.alter("reset default_transaction_read_only");
    apply(&database.reopen().await, [post_call(1)], at(201)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_that_meets_every_write_is_the_outside() {
    const DISK_FULL: &str = "53100";
    let database = Postgres::fresh().await;
    fail_inserts(&database, "calls", DISK_FULL, 1_000_000);
    let event = || vec![post_call(1).event()];
    let refused = try_to_apply(database.store(), event()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Refused(_)),
        "only calls fail: {refused:?}"
    );

    fail_inserts(&database, "dead_letters", DISK_FULL, 1_000_000);
    let outside = try_to_apply(database.store(), event()).await.unwrap_err();
    assert!(outside.is_outside(), "{outside:?}");
}

/// The tables stand on a small disk of their own, which only root can make, and only for a server on this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_the_outside_and_may_get_room() {
    let Some(place) = Tablespace::on_small_disk() else {
        println!("NOT tried: there can be no small disk for PostgreSQL here");
        return;
    };
    let empty = EmptyDatabase::empty();
    empty.alter(&format!("set tablespace {}", place.name));
    let url: DatabaseUrl = empty.url().parse().unwrap();
    Store::migrate(&url).await.unwrap();
    let store = Store::connect(&url).await.unwrap();

    place.disk.fill();
    let error = try_to_apply(&store, vec![post_call(1).event()])
        .await
        .unwrap_err();
    assert!(error.is_outside(), "{error:?}");
    let told = told(&error);
    assert!(told.contains("No space left on device"), "{told}");

    place.disk.make_room();
    apply(&store, [post_call(1)], at(201)).await;
    assert!(row(&store, 1).await.is_some());
    drop((store, empty));
}

/// A place for the tables of a database; gone with the value, after the database.
struct Tablespace {
    disk: Disk,
    name: String,
}

impl Tablespace {
    fn on_small_disk() -> Option<Self> {
        let disk = Disk::mount(32)?;
        disk.give_to("postgres");
        let name = format!("small_{}", Uuid::now_v7().simple());
        let create = format!("create tablespace {name} location '{}'", disk.path().display());
        EmptyDatabase::run_on_server(&create).then_some(Self { disk, name })
    }
}

impl Drop for Tablespace {
    fn drop(&mut self) {
        EmptyDatabase::run_on_server(&format!("drop tablespace {}", self.name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_the_server_cancels_is_tried_again() {
    let database = Postgres::fresh().await;
    let (mut crm, batch) = database.keep_from_writing(post_call(1), at(201)).await;

    // The same SQLSTATE as of a statement that has timed out.
    database.run(
        "select pg_cancel_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'trunkline' and wait_event_type = 'Lock'",
    );
    crm.batch_execute("commit").unwrap();

    assert_eq!(batch.await.unwrap().rows_written, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_keeps_locked_is_the_outside() {
    let database = Postgres::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    let mut crm = database.connection();
    crm.batch_execute("begin; update interactions set value = '1'")
        .unwrap();

    let error = try_to_apply(database.store(), vec![tagged(1).event()])
        .await
        .unwrap_err();

    assert!(error.is_outside(), "{error:?}");
    crm.batch_execute("commit").unwrap();
    apply(database.store(), [tagged(1)], at(301)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_holds_the_password() {
    const PASSWORD: &str = "swordfish%2F42";
    let empty = EmptyDatabase::empty();
    let name = empty.name();
    let right = empty.url();
    let (scheme, rest) = right.split_once("://").unwrap();
    let (user, behind_user) = rest.split_once('@').unwrap();
    let user = user.split(':').next().unwrap();
    let wrong = format!("{scheme}://{user}:{PASSWORD}@{behind_user}");
    let nowhere = format!("{scheme}://{user}:{PASSWORD}@nowhere.invalid:1/{name}");
    let nobody = format!("{scheme}://{user}:{PASSWORD}@127.0.0.1:1/{name}");
    let unknown = with_setting(&wrong, "no_such_setting=1");
    let unreadable = with_setting(&wrong, "keepalives=maybe");
    for address in [wrong, nowhere, nobody, unknown, unreadable] {
        let url: DatabaseUrl = address.parse().unwrap();
        assert!(!format!("{url} {url:?}").contains("swordfish"));
        for error in [
            Store::connect(&url).await.err().unwrap(),
            Store::migrate(&url).await.err().unwrap(),
        ] {
            assert!(error.is_outside(), "{error:?}");
            let told = told(&error);
            assert!(!told.contains("swordfish"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_needs_no_right_to_make_tables() {
    let database = Postgres::fresh().await;
    let role = format!("{}_service", database.empty.name());
    database.run(&format!(
        "create role {role} login password 'service';
         grant usage on schema trunkline to {role};
         grant select, insert, update, delete on all tables in schema trunkline to {role};"
    ));
    let right = database.empty.url();
    let (scheme, rest) = right.split_once("://").unwrap();
    let place = rest.split_once('@').unwrap().1;
    let url: DatabaseUrl = format!("{scheme}://{role}:service@{place}").parse().unwrap();

    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        Store::migrate(&url).await.unwrap(),
        nothing,
        "all is made already"
    );
    let store = Store::connect(&url).await.unwrap();
    apply(&store, [post_call(1)], at(201)).await;
    assert!(row(&store, 1).await.is_some());

    drop(store);
    database.run(&format!("drop owned by {role}; drop role {role}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_asks_for_the_migration_and_is_left_alone() {
    let empty = EmptyDatabase::empty();
    let url: DatabaseUrl = empty.url().parse().unwrap();

    let error = Store::connect(&url).await.err().unwrap();

    assert!(matches!(error, StoreError::SchemaTooOld), "{error:?}");
    let mut connection = empty.connection();
    let made = "select count(*)::text from pg_class where relnamespace in ('public'::regnamespace)";
    assert_eq!(super::text(&mut connection, made).as_deref(), Some("0"));
    assert!(!Store::migrate(&url).await.unwrap().is_empty());
    assert_eq!(Store::migrate(&url).await.unwrap(), Vec::<String>::new());
    Store::connect(&url).await.unwrap();
    connection
        .batch_execute("delete from trunkline.__diesel_schema_migrations where version > '20261122000001'")
        .unwrap();
    let error = Store::connect(&url).await.err().unwrap();
    assert!(matches!(error, StoreError::SchemaTooOld), "{error:?}");
}
