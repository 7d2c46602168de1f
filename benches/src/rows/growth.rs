//! Matching and writing on PostgreSQL as the tables grow.

use std::process::Command;

use calls::{CallEvent, PhoneNumber};
use chrono::Utc;
use store::{DatabaseUrl, Store};
use test_servers::Database;
use tokio::time::Instant;

use super::Extent;
use crate::comparison::Rounds;
use crate::office::{self, Mix};
use crate::report::{Measured, Reach};

/// As many as call-writer takes in one transaction.
const BATCH: usize = 64;
/// What a call takes on the disk with its filler rows, a contact, and what must stay free; in bytes.
const BYTES_A_CALL: u64 = 1_600;
const BYTES_A_CONTACT: u64 = 500;
const LEFT_FREE: u64 = 10_000_000_000;

struct Size {
    contacts: usize,
    interactions: usize,
}

struct Grown {
    size: Size,
    store: Store,
    took: Rounds,
    /// What was written ahead for each event, in kB.
    logged: Rounds,
    database: Database,
}

pub(super) async fn measure(extent: Extent) -> Measured {
    let steps = extent.of(
        vec![(10_000, 0), (1_000_000, 1_000_000), (10_000_000, 10_000_000)],
        vec![(1_000, 0), (50_000, 50_000)],
    );
    let mut measured = Measured::default();
    let mut databases = Vec::new();
    for (contacts, interactions) in steps {
        let needed = contacts as u64 * BYTES_A_CONTACT + interactions as u64 * BYTES_A_CALL;
        let free = free_bytes();
        if free < needed + LEFT_FREE {
            measured.note(format!(
                "NOT measured: {contacts} contacts and {interactions} interactions, for which the disk has no room \
                 ({} GB are free).",
                free / 1_000_000_000
            ));
            continue;
        }
        let database = office::postgres(contacts).await;
        fill(&database, interactions);
        let url: DatabaseUrl = database.url().parse().unwrap();
        databases.push(Grown {
            size: Size {
                contacts,
                interactions,
            },
            store: Store::connect(&url).await.unwrap(),
            took: Rounds::default(),
            logged: Rounds::default(),
            database,
        });
    }
    // What has been filled must be on the disk, or its being written is measured too.
    for grown in &databases {
        office::run(&grown.database, "checkpoint");
    }
    assert!(Command::new("sync").status().unwrap().success());
    let batches = extent.of(40, 5);
    let rounds = extent.rounds();
    let mix = Mix::of((rounds + 1) * batches * BATCH);
    let mut chunks = mix.events.chunks(batches * BATCH);
    for round in 0..=rounds {
        let events = chunks.next().unwrap();
        for grown in &mut databases {
            let events = of_strangers(events, grown.size.contacts);
            let (began, log_began) = (Instant::now(), log_end(&grown.database));
            for batch in events.chunks(BATCH) {
                grown
                    .store
                    .apply(batch.to_vec(), &office::rules(), Utc::now())
                    .await
                    .unwrap();
            }
            // The first is to get warm.
            if round > 0 {
                let count = f64::from(u32::try_from(events.len()).unwrap());
                grown.took.push(began.elapsed().as_secs_f64() * 1e6 / count);
                let logged = log_end(&grown.database) - log_began;
                grown.logged.push(logged / 1e3 / count);
            }
        }
    }
    let smallest = databases[0].took.clone();
    let least_logged = databases[0].logged.clone();
    for Grown {
        size, took, logged, ..
    } in &databases
    {
        let what = format!(
            "{} contacts, {} interactions",
            grouped(size.contacts),
            grouped(size.interactions)
        );
        measured.compare(&*what, "µs an event", (took, &smallest), Some(Reach::AtMost(1.3)));
        let what = format!("write-ahead log with {what}");
        measured.compare(what, "kB an event", (logged, &least_logged), None);
    }
    measured.note(format!(
        "All databases are on the same server and take turns; {} events a round, in transactions of {BATCH}, each of a \
         caller who is one of the contacts. The rows that fill the tables are small; they stand in `calls`, \
         `call_events` and `interactions`.",
        batches * BATCH
    ));
    measured
}

/// Where the server's write-ahead log ends, in bytes. Only one database is at work at a time.
fn log_end(database: &Database) -> f64 {
    office::number(
        database,
        "pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
    )
}

/// The same events, each of a call with one of the contacts, whoever.
fn of_strangers(events: &[CallEvent], contacts: usize) -> Vec<CallEvent> {
    let mut events = events.to_vec();
    for event in &mut events {
        if let Some(customer) = &mut event.call.facts.customer {
            // Always the same one for a call, wherever among the contacts.
            let hash = event.call.call_sid.as_str().bytes().fold(0_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            let number = 2_012_000_001 + hash % contacts as u64;
            customer.e164 = Some(PhoneNumber::try_from(format!("+1{number}")).unwrap());
        }
    }
    events
}

/// Fills the tables of calls. Indexes and references are made afterwards, which takes a tenth of the time.
fn fill(database: &Database, interactions: usize) {
    if interactions == 0 {
        return;
    }
    let sql = format!(
        "set synchronous_commit = off;
         set maintenance_work_mem = '512MB';
         set session_replication_role = replica;
         create temporary table remade as
             select 1 as turn, format('alter table %s add constraint %I %s', conrelid::regclass, conname,
                        pg_get_constraintdef(oid)) as again,
                    format('alter table %s drop constraint %I', conrelid::regclass, conname) as gone,
                    contype = 'f' as refers
             from pg_constraint
             where conrelid in (select format('trunkline.%s', name)::regclass from unnest(array['calls', 'call_events',
                                'seals', 'interactions', 'unanswered_lookups']) name)
               and contype in ('p', 'u', 'f')
             union all
             select 2, indexdef, format('drop index trunkline.%I', indexname), false
             from pg_indexes
             where schemaname = 'trunkline' and tablename in ('calls', 'call_events', 'interactions')
               and indexname not in (select conname from pg_constraint);
         do $$ declare statement text; begin
             for statement in select gone from remade order by refers desc loop execute statement; end loop;
         end $$;
         insert into trunkline.calls (call_sid, first_seen_at, written_notes)
         select 'CAL' || lpad(to_hex(n), 32, '0'), '2026-01-01'::timestamptz + n * interval '1 second', ''
         from generate_series(1, {interactions}) n;
         insert into trunkline.call_events (call_sid, digest, kind, origin, first_observed_at, last_observed_at,
                                            event_id, changes, snapshot, raw)
         select 'CAL' || lpad(to_hex(n), 32, '0'), lpad(to_hex(n), 64, '0'), 'post-call', 'webhook',
                '2026-01-01', '2026-01-01', gen_random_uuid(), '[]', '{{}}', '{{}}'
         from generate_series(1, {interactions}) n;
         insert into trunkline.interactions (id, direction, notes, outcome, call_duration_seconds, call_from_number,
             call_sid, scheduled_at, completed_at, created_at, updated_at, call_to_number, tags, match_method,
             match_candidates)
         select gen_random_uuid(), 'inbound', '', 'completed', 60, '+1' || (2012000000 + n),
                'CAL' || lpad(to_hex(n), 32, '0'), at, at, at, at, '+14045550150', '[]', 'none', '[]'
         from generate_series(1, {interactions}) n,
              lateral (select '2026-01-01'::timestamptz + n * interval '1 second' as at) times;
         do $$ declare statement text; begin
             for statement in select again || case when refers then ' not valid' else '' end
                              from remade order by refers, turn loop execute statement; end loop;
         end $$;
         analyze;"
    );
    office::run(database, &sql);
}

/// What is free where PostgreSQL most likely keeps its data.
fn free_bytes() -> u64 {
    let output = Command::new("df")
        .args(["--output=avail", "--block-size=1", "/tmp"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// 1000000 as 1,000,000.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        assert_eq!(
            [0, 999, 1_000, 10_000_000].map(grouped),
            ["0", "999", "1,000", "10,000,000"]
        );
    }
}
