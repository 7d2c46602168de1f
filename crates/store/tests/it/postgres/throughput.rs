//! A quick measurement, run by hand:
//! `cargo test -p store --release --test it -- --ignored --nocapture measure_throughput`

use std::sync::Arc;
use std::time::Instant;

use calls::{CallEvent, MatchRules};

use super::Postgres;
use crate::samples::{Delivery, at, number, post_call, tagged};
use crate::suite::Database;

const EVENTS: usize = 20_000;

/// Seven of ten events are of calls that are new, three of calls that came before.
fn events() -> Vec<CallEvent> {
    let mut calls = 0;
    let mut event = |n: usize| {
        let delivery: Delivery = if n % 10 < 7 || calls == 0 {
            calls += 1;
            post_call(calls).of(&number(calls % 10_000))
        } else {
            let earlier = (n * 7_919) % calls + 1;
            tagged(earlier).of(&number(earlier % 10_000))
        };
        delivery.event()
    };
    (0..EVENTS).map(&mut event).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, tests nothing"]
async fn measure_throughput() {
    let events = events();
    for writers in [1, 2, 4] {
        for size in [1, 64, 500] {
            let database = Postgres::fresh().await;
            let share = if size == 1 { EVENTS / 10 } else { EVENTS };
            let batches: Vec<Vec<CallEvent>> = events[..share].chunks(size).map(<[_]>::to_vec).collect();
            let batches = Arc::new(tokio::sync::Mutex::new(batches.into_iter()));
            let began = Instant::now();
            let mut at_work = tokio::task::JoinSet::new();
            for _ in 0..writers {
                let (store, batches) = (database.store().clone(), Arc::clone(&batches));
                at_work.spawn(async move {
                    loop {
                        let Some(batch) = batches.lock().await.next() else {
                            return;
                        };
                        let rules = MatchRules::default();
                        store.apply(batch, &rules, at(301)).await.unwrap();
                    }
                });
            }
            at_work.join_all().await;
            let seconds = began.elapsed().as_secs_f64();
            let share = u32::try_from(share).unwrap();
            println!(
                "{writers} writers, batches of {size:>3}: {:>6.0} events/s",
                f64::from(share) / seconds
            );
        }
    }
}
