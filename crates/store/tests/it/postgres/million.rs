//! A CRM with a million people.

use std::time::{Duration, Instant};

use calls::MatchRules;
use diesel::prelude::*;

use super::Postgres;
use crate::samples::{at, pre_call};
use crate::suite::Database;

const RINGS: usize = 200;

/// People from number `from` to number `to`, each with one number.
fn add_people(database: &Postgres, from: usize, to: usize) {
    // References are not checked one by one: they are right, and there are a million of them.
    database.run(&format!(
        "set session_replication_role = replica;
         insert into contacts (kind, id, name, updated_at)
         select 'lead', n::text, 'Lead ' || n, now() from generate_series({from}, {to}) n;
         insert into contact_phones (e164, kind, id)
         select '+1404' || (2000000 + n), 'lead', n::text from generate_series({from}, {to}) n;
         analyze contacts; analyze contact_phones;"
    ));
}

/// The median of many rings, each of a person who is known.
async fn time_of_a_ring(database: &Postgres, first_call: usize) -> Duration {
    let mut times = Vec::with_capacity(RINGS);
    for n in first_call..first_call + RINGS {
        let ring = pre_call(n).of(&format!("+1404{}", 2_000_000 + n % 1_000)).event();
        let began = Instant::now();
        let applied = database
            .store()
            .apply(vec![ring], &MatchRules::default(), at(2))
            .await;
        times.push(began.elapsed());
        assert!(applied.unwrap().alerts[0].alert.contact.is_some());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "the ratio is what somebody wants to see")]
async fn a_ring_is_matched_among_a_million_as_fast_as_among_a_thousand() {
    let database = Postgres::fresh().await;
    add_people(&database, 0, 999);
    time_of_a_ring(&database, 0).await;
    let among_a_thousand = time_of_a_ring(&database, RINGS).await;
    add_people(&database, 1_000, 999_999);
    let among_a_million = time_of_a_ring(&database, 2 * RINGS).await;

    let ratio = among_a_million.as_secs_f64() / among_a_thousand.as_secs_f64();
    println!(
        "a ring: {among_a_thousand:.1?} among 1,000 contacts, {among_a_million:.1?} among 1,000,000: {ratio:.2}"
    );
    // Looking through all of them would take hundreds of times as long.
    assert!(ratio < 5.0, "{among_a_thousand:?} {among_a_million:?}");
    let plan = explain(&database);
    assert!(
        plan.contains("contact_phones_pkey") && plan.contains("contacts_pkey"),
        "{plan}"
    );
    assert!(!plan.contains("Seq Scan"), "{plan}");
}

/// How the server finds the people behind a number.
fn explain(database: &Postgres) -> String {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let lines: Vec<Line> = diesel::sql_query(
        "explain select phone.e164, contact.kind, contact.id, contact.name, contact.owner_id, contact.updated_at
         from trunkline.contact_phones phone
         join trunkline.contacts contact on contact.kind = phone.kind and contact.id = phone.id
         where phone.e164 = any(array['+14042000500'])",
    )
    .load(&mut database.connection())
    .unwrap();
    let lines: Vec<String> = lines.into_iter().map(|line| line.line).collect();
    lines.join("\n")
}
