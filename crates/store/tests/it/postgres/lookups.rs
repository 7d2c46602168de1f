//! A ring does not wait for the name of its caller.

use std::time::{Duration, Instant};

use calls::{AlertKind, MatchRules, OutgoingAlert};
use store::Store;
use test_servers::LockedTable;

use super::Postgres;
use crate::samples::{CALLER, apply, at, customer, post_call, pre_call, routing_complete};
use crate::suite::Database;

/// A database whose mirror knows the caller, and somebody who lets nobody look into it.
async fn locked() -> (Postgres, LockedTable) {
    let database = Postgres::fresh().await;
    let rules = MatchRules::default();
    let known = vec![customer("7", &[CALLER])];
    database
        .store()
        .save_contacts(known, &rules, at(0))
        .await
        .unwrap();
    let locked = database.empty.lock("trunkline.contact_phones");
    (database, locked)
}

async fn amend(store: &Store, seconds: i64) -> Vec<OutgoingAlert> {
    store
        .amend_alerts(&MatchRules::default(), at(seconds))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_whose_caller_cannot_be_looked_up_is_told_and_amended_once() {
    let (database, locked) = locked().await;
    let store = database.store();
    let began = Instant::now();
    let ring = apply(store, [pre_call(1), pre_call(2)], at(2)).await.alerts;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(ring.len(), 2);
    for outgoing in &ring {
        assert_eq!(outgoing.alert.kind, AlertKind::IncomingCall);
        assert_eq!(outgoing.alert.from.as_deref(), Some(CALLER));
        assert_eq!((&outgoing.alert.contact, &outgoing.owner_id), (&None, &None));
    }
    assert_eq!(amend(store, 3).await, [], "the lookup still hangs");

    drop(locked);
    // Any process goes on with it, and of two only one does.
    let other = database.reopen().await;
    let (one, other) = tokio::join!(amend(store, 4), amend(&other, 4));
    let amended = [one, other].concat();
    assert_eq!(amended.len(), 2);
    for (outgoing, alone) in amended.iter().zip(&ring) {
        assert_eq!(outgoing.owner_id.as_deref(), Some("owner-7"));
        assert_eq!(outgoing.alert.call_sid, alone.alert.call_sid);
        assert_ne!(outgoing.alert.id, alone.alert.id);
        let named = outgoing.alert.contact.as_ref().unwrap();
        assert_eq!(named.name.as_deref(), Some("Name of 7"));
    }
    assert_eq!(amend(store, 5).await, []);
    assert_eq!(database.count("select count(*) from alerts").await, 4);
    assert_eq!(store.unpublished_alerts(at(10), 10).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_have_ended_or_gone_on_with_the_name_are_not_amended() {
    let (database, locked) = locked().await;
    let store = database.store();
    apply(store, [pre_call(1), pre_call(2), pre_call(3)], at(2)).await;
    drop(locked);
    apply(store, [post_call(1)], at(3)).await;
    apply(store, [routing_complete(2)], at(7)).await;

    let amended = amend(store, 8).await;

    let calls: Vec<_> = amended.iter().map(|outgoing| &outgoing.alert.call_sid).collect();
    assert_eq!(calls, [&crate::samples::call_id(3)]);
    assert_eq!(database.count("select count(*) from unanswered_lookups").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_that_nobody_hinders_has_its_name_and_leaves_nothing_to_amend() {
    let (database, locked) = locked().await;
    drop(locked);
    let ring = apply(database.store(), [pre_call(1)], at(2)).await.alerts;
    assert!(ring[0].alert.contact.is_some());
    assert_eq!(database.count("select count(*) from unanswered_lookups").await, 0);
}

/// A quick measurement, run by hand:
/// `cargo test -p store --release --test it -- --ignored --nocapture measure_rings`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, tests nothing"]
async fn measure_rings() {
    const RINGS: usize = 2_000;
    let (database, locked) = locked().await;
    drop(locked);
    let mut took = Vec::with_capacity(RINGS);
    for n in 0..RINGS {
        let began = Instant::now();
        apply(database.store(), [pre_call(n)], at(2)).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    println!(
        "a ring is stored and told in: median {:?}, p99 {:?} of {RINGS}",
        took[RINGS / 2],
        took[RINGS * 99 / 100]
    );
}
