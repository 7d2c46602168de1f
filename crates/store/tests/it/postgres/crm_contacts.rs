//! The operator's view over the CRM's own tables.

use calls::{ContactKind, ContactRef, MatchRules, Region};
use chrono::{DateTime, Utc};
use store::{CrmMirror, CrmMirrored, CrmPeople, StoreError};

use super::{Postgres, lines};
use crate::samples::{CALLER, apply, at, lead, post_call, row};
use crate::suite::Database;

const VIEW: &str = "
    create table public.leads (id int primary key, name text, phone text, owner int, changed timestamptz);
    create table public.customers (id uuid primary key, name text not null, changed timestamptz not null);
    create table public.phones (customer uuid, number text);
    create view trunkline.crm_contacts as
    select 'lead' as kind, id::text, name, owner::text as owner_id, phone, changed as updated_at from public.leads
    union all
    select 'customer', customer.id::text, customer.name, null, phone.number, customer.changed
    from public.customers customer left join public.phones phone on phone.customer = customer.id;
    insert into public.leads values
        (1, 'Jane', '(404) 555-0123; 404.555.0177', 5, '2026-11-20 12:00Z'),
        (2, 'Max', 'none', null, '2026-11-20 12:00Z'),
        (3, '', null, null, null);
    insert into public.customers values
        ('00000000-0000-0000-0000-000000000001', 'Example', '2026-11-20 13:00Z');
    insert into public.phones values
        ('00000000-0000-0000-0000-000000000001', '+1 404 555 0188'),
        ('00000000-0000-0000-0000-000000000001', '+1 404 555 0189'),
        ('00000000-0000-0000-0000-000000000001', '5');";

async fn with_view() -> Postgres {
    let database = Postgres::fresh().await;
    database.run(VIEW);
    database
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

async fn try_to_mirror(database: &Postgres, people: CrmPeople) -> Result<CrmMirror, StoreError> {
    let now = time("2026-11-21T00:00:00Z");
    database
        .store()
        .mirror_crm_contacts(people, Region::US, &MatchRules::default(), now)
        .await
}

async fn mirror(database: &Postgres, people: CrmPeople) -> CrmMirrored {
    match try_to_mirror(database, people).await.unwrap() {
        CrmMirror::Mirrored(mirrored) => mirrored,
        CrmMirror::NoView => panic!("no view"),
    }
}

fn people(database: &Postgres) -> Vec<String> {
    lines(
        &mut database.connection(),
        "select concat_ws('|', kind, id, coalesce(name, '-'), owner_id, string_agg(e164, ',' order by e164)) as one
         from contacts left join contact_phones using (kind, id) group by kind, id order by 1",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_view_there_is_nothing_to_mirror() {
    let database = Postgres::fresh().await;
    let mirrored = try_to_mirror(&database, CrmPeople::All).await.unwrap();
    assert_eq!(mirrored, CrmMirror::NoView);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_the_view_is_mirrored_and_earlier_calls_are_linked() {
    let database = with_view().await;
    apply(
        database.store(),
        [post_call(1), post_call(2).of("404 555 0189")],
        at(201),
    )
    .await;

    let mirrored = mirror(&database, CrmPeople::All).await;

    assert_eq!(
        people(&database),
        [
            "customer|00000000-0000-0000-0000-000000000001|Example|+14045550188,+14045550189",
            "lead|1|Jane|5|+14045550123,+14045550177",
            "lead|2|Max",
            "lead|3|-",
        ]
    );
    let named = |kind, id: &str| ContactRef {
        kind,
        id: id.to_owned(),
    };
    assert_eq!(
        (mirrored.read, mirrored.saved.saved, mirrored.saved.calls_linked),
        (4, 4, 2)
    );
    assert_eq!(
        (
            mirrored.unreadable_numbers,
            mirrored.unusable_rows,
            mirrored.removed
        ),
        (2, 0, 0)
    );
    assert_eq!(
        mirrored.unreadable_of,
        [
            named(ContactKind::Customer, "00000000-0000-0000-0000-000000000001"),
            named(ContactKind::Lead, "2")
        ]
    );
    assert_eq!(mirrored.changed_until, Some(time("2026-11-20T13:00:00Z")));
    assert_eq!(
        row(database.store(), 1).await.unwrap().link.lead_id.as_deref(),
        Some("1")
    );
    let again = mirror(&database, CrmPeople::All).await;
    assert_eq!(
        (again.read, again.saved.saved, again.saved.calls_linked),
        (4, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_read_from_a_time_on_with_what_became_visible_late() {
    let database = with_view().await;
    mirror(&database, CrmPeople::All).await;
    database.run(
        "update public.leads set name = 'June', phone = '404 555 0100', changed = '2026-11-20 14:00Z' where id = 1;
         update public.leads set name = 'too early to be seen' where id = 2;
         insert into public.leads values (4, 'late', '404 555 0123', null, '2026-11-20 12:55Z')",
    );

    let since = CrmPeople::ChangedSince(time("2026-11-20T13:00:00Z"));
    let mirrored = mirror(&database, since).await;

    assert_eq!((mirrored.read, mirrored.saved.saved), (3, 2));
    assert_eq!(mirrored.changed_until, Some(time("2026-11-20T14:00:00Z")));
    assert_eq!(
        people(&database)[1..],
        [
            "lead|1|June|5|+14045550100",
            "lead|2|Max",
            "lead|3|-",
            "lead|4|late|+14045550123"
        ]
    );
    let nothing = mirror(&database, CrmPeople::ChangedSince(time("2026-11-20T15:00:00Z"))).await;
    assert_eq!((nothing.read, nothing.changed_until), (0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_from_the_view_is_removed_and_nobody_else() {
    let database = with_view().await;
    let from_elsewhere = vec![lead("api", &[CALLER]), lead("2", &[])];
    let rules = MatchRules::default();
    database
        .store()
        .save_contacts(from_elsewhere, &rules, at(0))
        .await
        .unwrap();
    mirror(&database, CrmPeople::All).await;
    database.run("delete from public.leads where id in (1, 2)");

    let changed = mirror(&database, CrmPeople::ChangedSince(time("2026-11-20T00:00:00Z"))).await;
    assert_eq!(changed.removed, 0);
    assert_eq!(mirror(&database, CrmPeople::All).await.removed, 2);

    let left = ["lead|3|-", "lead|api|Name of api|owner-api|+14045550123"];
    assert_eq!(people(&database)[1..], left);
    // More likely somebody is just filling the tables than that everybody is gone.
    database.run("truncate public.leads, public.customers");
    assert_eq!(mirror(&database, CrmPeople::All).await.removed, 0);
    assert_eq!(people(&database).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_of_the_crm_that_is_ahead_hides_nothing() {
    let database = with_view().await;
    database.run("update public.leads set changed = '2099-01-01Z' where id = 1");
    let mirrored = mirror(&database, CrmPeople::All).await;
    assert_eq!(mirrored.changed_until, Some(time("2026-11-21T00:00:00Z")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_name_nobody_are_counted() {
    let database = Postgres::fresh().await;
    database.run(
        "create view trunkline.crm_contacts as
         select * from (values ('Lead', 1, 'x', 9, '404-555-0123', date '2026-11-20'),
                               ('partner', 2, 'x', 9, null, date '2026-11-20'),
                               ('lead', null, 'x', 9, null, date '2026-11-20'))
             as v (kind, id, name, owner_id, phone, updated_at)",
    );
    let mirrored = mirror(&database, CrmPeople::All).await;
    assert_eq!((mirrored.read, mirrored.unusable_rows), (1, 2));
    assert_eq!(people(&database), ["lead|1|x|9|+14045550123"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_people_are_mirrored_in_parts() {
    let database = with_view().await;
    database.run(
        "insert into public.leads select n, 'Lead ' || n, '+1404' || (2000000 + n), null, now()
         from generate_series(10, 3509) n",
    );
    let mirrored = mirror(&database, CrmPeople::All).await;
    assert_eq!((mirrored.read, mirrored.saved.saved), (3_504, 3_504));
    assert_eq!(database.count("select count(*) from contact_phones").await, 3_504);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_cannot_be_read_is_named() {
    for (sql, reason) in [
        (
            "select 'lead' as kind, 1 as id, 'x' as name, null as owner_id",
            "phone, updated_at",
        ),
        (
            "select 'lead' as kind, 1 / length('') as id, 'x' as name, null as owner_id, null as phone,
                    now() as updated_at",
            "division by zero",
        ),
        (
            "select 'lead' as kind, 1 as id, 'x' as name, null as owner_id, null as phone, 'soon' as updated_at",
            "soon",
        ),
    ] {
        let database = Postgres::fresh().await;
        database.run(&format!("create view trunkline.crm_contacts as {sql}"));
        let error = try_to_mirror(&database, CrmPeople::All).await.unwrap_err();
        assert!(
            matches!(error, StoreError::CrmView(_)) && !error.is_outside(),
            "{error:?}"
        );
        assert!(super::told(&error).contains(reason), "{}", super::told(&error));
    }
}
