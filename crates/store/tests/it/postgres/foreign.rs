//! The CRM's own tables are not touched, whatever they are called.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use store::{CrmPeople, DatabaseUrl, Store, StoreError};

use super::{EmptyDatabase, lines};
use crate::samples::{CALLER, apply, at, lead, post_call, tagged};

/// A CRM with the names that Trunkline has too.
const CRM: &str = "
    create table leads (id serial primary key, name text, phone text, owner int, changed timestamptz default now());
    create table customers (id bigint primary key, company text not null, phone text, mobile text);
    create table interactions (
        id serial primary key, lead_id int references leads, kind text check (kind <> ''), words varchar(200)
    );
    create index on interactions (kind);
    create table contacts (id int primary key);
    create table calls (id int primary key, call_sid text unique);
    create view alerts as select id, kind from interactions where kind = 'alert';
    create materialized view seals as select count(*) from leads;
    create function note() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger note before update on interactions for each row execute function note();
    create type outcome as enum ('good', 'bad');
    insert into leads (name, phone, changed) values ('Jane', '(404) 555-0123', '2026-01-01'), ('Max', '12', null);
    insert into customers values (7, 'Example', '404 555 0188', null);
    insert into interactions (lead_id, kind, words) values (1, 'alert', 'as it was');
    create schema other;
    create table other.interactions (id int);
    comment on table leads is 'ours';";

/// A view has no rows of its own.
const ALERTS: &str = "select concat('alerts', t.*) as one from public.alerts t";

/// Everything that there is outside of our schema: what it is called, how it is made, who may use it, what is in it.
fn outside(connection: &mut PgConnection) -> BTreeSet<String> {
    // Names are shown with their schemas, whoever the user is.
    connection.batch_execute("set search_path = pg_catalog").unwrap();
    let mut all = lines(
        connection,
        "select concat_ws('|', 'relation', n.nspname, c.relname, c.relkind, c.oid, c.relfilenode, c.relowner,
                c.relacl::text, c.reloptions::text, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod),
                a.attnotnull, a.attisdropped, a.attacl::text, pg_get_expr(d.adbin, d.adrelid),
                obj_description(c.oid, 'pg_class'),
                case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
                case when c.relkind = 'i' then pg_get_indexdef(c.oid) end) as one
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
         left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
         where n.nspname not in ('trunkline', 'pg_toast', 'pg_catalog', 'information_schema')
         union all
         select concat_ws('|', 'schema', nspname, nspowner, nspacl::text) from pg_namespace
         where nspname <> 'trunkline'
         union all
         select concat_ws('|', 'constraint', n.nspname, conname, pg_get_constraintdef(k.oid))
         from pg_constraint k join pg_namespace n on n.oid = connamespace where nspname not in ('trunkline', 'pg_catalog')
         union all
         select concat_ws('|', 'trigger', tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(t.oid))
         from pg_trigger t join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = relnamespace
         where nspname <> 'trunkline'
         union all
         select concat_ws('|', 'function', p.oid, proname, prosrc, proacl::text) from pg_proc p
         join pg_namespace n on n.oid = pronamespace where nspname not in ('trunkline', 'pg_catalog')
         union all
         select concat_ws('|', 'type', t.oid, typname, typacl::text) from pg_type t
         join pg_namespace n on n.oid = typnamespace where nspname not in ('trunkline', 'pg_toast', 'pg_catalog')
         union all
         select concat_ws('|', 'extension', extname, extversion) from pg_extension
         union all
         select concat_ws('|', 'setting', setdatabase, setrole, setconfig::text) from pg_db_role_setting
         where setdatabase = (select oid from pg_database where datname = current_database())
         union all
         select concat_ws('|', 'database', datacl::text, datdba) from pg_database where datname = current_database()
         union all
         select concat_ws('|', 'default', defaclnamespace, defaclacl::text) from pg_default_acl
         order by 1",
    );
    for table in [
        "leads",
        "customers",
        "interactions",
        "contacts",
        "calls",
        "alerts",
        "seals",
    ] {
        let sql = format!("select concat('{table}', t.xmin, t.*) as one from public.{table} t");
        all.extend(lines(connection, if table == "alerts" { ALERTS } else { &sql }));
    }
    all.into_iter().collect()
}

/// As it was, and if not, what is not.
fn assert_same(now: &BTreeSet<String>, before: &BTreeSet<String>) {
    let differences: Vec<&String> = now.symmetric_difference(before).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_of_the_schema_is_changed() {
    let empty = EmptyDatabase::empty();
    let url: DatabaseUrl = empty.url().parse().unwrap();
    let mut crm = empty.connection();
    crm.batch_execute(CRM).unwrap();
    let before = outside(&mut crm);
    assert!(before.len() > 50);

    Store::migrate(&url).await.unwrap();
    assert_same(&outside(&mut crm), &before);

    let store = Store::connect(&url).await.unwrap();
    let rules = calls::MatchRules::default();
    apply(&store, [post_call(1), post_call(2).of("404 555 0188")], at(201)).await;
    store
        .save_contacts(vec![lead("1", &[CALLER])], &rules, at(202))
        .await
        .unwrap();
    apply(&store, [tagged(1), tagged(2)], at(301)).await;
    crm.batch_execute(
        "create view trunkline.crm_contacts as
         select 'customer' as kind, id, company as name, null as owner_id, phone, now() as updated_at
         from public.customers",
    )
    .unwrap();
    let region = calls::Region::US;
    store
        .mirror_crm_contacts(CrmPeople::All, region, &rules, at(302))
        .await
        .unwrap();
    assert_same(&outside(&mut crm), &before);

    drop(store);
    Store::uninstall(&url).await.unwrap();
    assert_same(&outside(&mut crm), &before);
    let schemas = lines(
        &mut crm,
        "select nspname::text as one from pg_namespace where nspname = 'trunkline'",
    );
    assert_eq!(schemas, Vec::<String>::new());
    // A second time there is nothing to do.
    Store::uninstall(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_crm_has_hung_on_the_schema_keeps_it_there() {
    let empty = EmptyDatabase::empty();
    let url: DatabaseUrl = empty.url().parse().unwrap();
    Store::migrate(&url).await.unwrap();
    let mut crm = empty.connection();
    crm.batch_execute("create view public.calls as select * from trunkline.crm_calls")
        .unwrap();

    let error = Store::uninstall(&url).await.err().unwrap();

    assert!(matches!(error, StoreError::Migration(_)), "{error:?}");
    assert!(
        super::told(&error).contains("crm_calls"),
        "{}",
        super::told(&error)
    );
    // All of it is still there, the view of the CRM's too.
    Store::connect(&url).await.unwrap();
    assert_eq!(
        lines(&mut crm, "select call_sid as one from public.calls"),
        Vec::<String>::new()
    );
}
