//! The SQL for PostgreSQL in `docs/database.md` does what the page says.

use calls::{MatchRules, Region};
use serde_json::json;
use store::{CrmMirror, CrmPeople};

use super::{Postgres, lines};
use crate::samples::{apply, at, missed_call, post_call, row, tagged};
use crate::suite::Database;

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/database.md"));

/// The roles on the page: the CRM's and Trunkline's.
const ROLES: [&str; 2] = ["crm_app", "calls_app"];

/// Runs all SQL of the page for PostgreSQL. Returns the role that stands in for both.
fn run_the_page(database: &Postgres) -> String {
    let role = format!("{}_crm", database.empty.name());
    database.run(&format!("create role {role}"));
    let blocks: Vec<&str> = PAGE.split("```postgresql\n").skip(1).collect();
    assert!(blocks.len() > 5);
    for block in blocks {
        let sql = block.split("```").next().unwrap();
        let sql = ROLES
            .iter()
            .fold(sql.to_owned(), |sql, name| sql.replace(name, &role));
        database.run(&sql);
    }
    role
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sql_shows_and_carries_over_every_call() {
    let database = Postgres::fresh().await;
    let role = run_the_page(&database);
    let mut connection = database.connection();
    database.run("insert into public.interactions (kind, happened_at) values ('meeting', now())");
    let seen = "select kind as one from public.all_interactions order by kind";
    let activities = "select concat(call_id, words) as one from public.activities order by happened_at";
    let calls = "select concat(id, notes) as one from trunkline.crm_calls order by scheduled_at";

    apply(database.store(), [post_call(1), missed_call(2)], at(201)).await;
    assert_eq!(lines(&mut connection, seen), ["call", "call", "meeting"]);
    let with_a_note = tagged(1).with("note", json!("Later"));
    apply(database.store(), [with_a_note], at(301)).await;
    assert_eq!(lines(&mut connection, activities), lines(&mut connection, calls));
    let spam = tagged(1).with("spam", json!(true)).received(400);
    apply(database.store(), [spam], at(401)).await;
    assert_eq!(lines(&mut connection, seen), ["call", "meeting"]);
    assert_eq!(lines(&mut connection, activities), lines(&mut connection, calls));

    database.run(&format!(
        "set role {role};
         update trunkline.interactions set lead_id = '4711', customer_id = null;
         reset role;
         drop owned by {role}; drop role {role};"
    ));
    apply(database.store(), [tagged(2)], at(501)).await;
    assert_eq!(
        row(database.store(), 2).await.unwrap().link.lead_id.as_deref(),
        Some("4711")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_of_people_fills_the_mirror() {
    let database = Postgres::fresh().await;
    let role = run_the_page(&database);
    database.run(&format!(
        "insert into public.leads (name, phone, owner) values ('Jane', '(404) 555-0123', 5);
         insert into public.customers (company) values ('Example');
         insert into public.customer_phones values (1, '404 555 0188'), (1, '404 555 0189');
         drop owned by {role}; drop role {role};"
    ));
    let (rules, now) = (MatchRules::default(), chrono::Utc::now());
    let people = CrmPeople::ChangedSince(now);
    let mirrored = database
        .store()
        .mirror_crm_contacts(people, Region::US, &rules, now)
        .await;

    let CrmMirror::Mirrored(mirrored) = mirrored.unwrap() else {
        panic!("no view");
    };
    assert_eq!(
        (mirrored.read, mirrored.saved.saved, mirrored.unreadable_numbers),
        (2, 2, 0)
    );
    assert_eq!(database.count("select count(*) from contact_phones").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_value_is_as_the_page_says() {
    let database = Postgres::fresh().await;
    let columns = lines(
        &mut database.connection(),
        "select distinct data_type as one from information_schema.columns
         where table_schema = 'trunkline' and table_name = 'crm_calls'",
    );
    for column in columns {
        let name = if column == "timestamp with time zone" {
            "timestamptz"
        } else {
            &column
        };
        assert!(
            name == "text" || PAGE.contains(&format!("`{name}` |")),
            "{column}"
        );
    }
}
