//! The alerts: a table that is also the outbox.

use calls::{AlertKind, OutgoingAlert};
use chrono::SubsecRound;
use store::Store;

use super::Database;
use crate::samples::{CALLER, TRACE, apply, at, customer, missed_call, post_call, pre_call, tagged};

fn kinds(alerts: &[OutgoingAlert]) -> Vec<AlertKind> {
    alerts.iter().map(|outgoing| outgoing.alert.kind).collect()
}

async fn unpublished(store: &Store, raised_before: i64) -> Vec<OutgoingAlert> {
    store.unpublished_alerts(at(raised_before), 100).await.unwrap()
}

pub(crate) async fn an_alert_is_returned_once<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let ring = apply(store, [pre_call(1)], at(2)).await;
    assert_eq!(kinds(&ring.alerts), [AlertKind::IncomingCall]);
    let end = apply(store, [post_call(1)], at(201)).await;
    assert_eq!(kinds(&end.alerts), [AlertKind::CallCompleted, AlertKind::NewLead]);

    // The same ring, received once more: another state of the record, but nothing new for anybody.
    let again = apply(
        store,
        [pre_call(1).received(3), post_call(1).received(204)],
        at(205),
    )
    .await;

    assert_eq!(kinds(&again.alerts), []);
    assert_eq!(database.count("select count(*) from alerts").await, 3);
}

pub(crate) async fn an_unpublished_alert_is_found_once_it_is_old_enough<D: Database>() {
    let database = D::fresh().await;
    let raised = apply(database.store(), [pre_call(1)], at(2)).await.alerts;
    assert_eq!(raised[0].trace, Some(TRACE.parse().unwrap()));
    assert_eq!(unpublished(database.store(), 2).await, []);
    let found = unpublished(database.store(), 3).await;
    assert_eq!((found.len(), &found[0].alert), (1, &raised[0].alert));
    assert_eq!(
        (&found[0].owner_id, found[0].trace),
        (&raised[0].owner_id, raised[0].trace)
    );
    assert_eq!(unpublished(&database.reopen().await, 3).await, found);
}

pub(crate) async fn a_published_alert_is_not_found_again<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [pre_call(1)], at(2)).await;
    apply(store, [pre_call(2)], at(3)).await;
    let both = unpublished(store, 10).await;
    assert_eq!(both.len(), 2);
    assert_eq!(store.unpublished_alerts(at(10), 1).await.unwrap(), both[..1]);

    let first = both[0].alert.id;
    store.mark_alerts_published(vec![first], at(4)).await.unwrap();
    // Once more, by a sweep that was slower: the first time stands.
    store.mark_alerts_published(vec![first], at(5)).await.unwrap();
    store.mark_alerts_published(Vec::new(), at(5)).await.unwrap();

    assert_eq!(unpublished(store, 10).await, both[1..]);
    let raised = store.alerts_since(at(0), 10).await.unwrap();
    let published: Vec<_> = raised.iter().map(|alert| alert.published_at).collect();
    assert_eq!(published, [Some(at(4)), None]);
}

pub(crate) async fn an_alert_that_interrupts_nobody_is_only_kept<D: Database>() {
    let database = D::fresh().await;
    let late = apply(database.store(), [pre_call(1)], at(120)).await;
    assert_eq!(kinds(&late.alerts), []);
    assert_eq!(unpublished(database.store(), 1_000).await, []);
    let kept = database.store().alerts_since(at(0), 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].outgoing.push);
}

pub(crate) async fn alerts_are_read_from_a_time_on_oldest_first<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for (n, now) in [(3, 30), (1, 10), (2, 20)] {
        apply(store, [pre_call(n)], at(now)).await;
    }
    // In whole seconds, since it took a moment until they were there.
    let raised_at = |alerts: Vec<store::RaisedAlert>| -> Vec<_> {
        let raised_at = alerts.iter().map(|alert| alert.raised_at);
        raised_at.map(|at| at.trunc_subsecs(0)).collect()
    };
    let all = store.alerts_since(at(10), 10).await.unwrap();
    assert_eq!(raised_at(all), [at(10), at(20), at(30)]);
    let later = store.alerts_since(at(11), 10).await.unwrap();
    assert_eq!(raised_at(later), [at(20), at(30)]);
    let some = store.alerts_since(at(0), 2).await.unwrap();
    assert_eq!(raised_at(some), [at(10), at(20)]);
}

pub(crate) async fn an_alert_names_the_contact_as_the_crm_spells_him_now<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let rules = calls::MatchRules::default();
    let mut known = customer("7", &[CALLER]);
    store
        .save_contacts(vec![known.clone()], &rules, at(0))
        .await
        .unwrap();
    let ring = apply(store, [pre_call(1)], at(2)).await.alerts.remove(0);
    assert_eq!(ring.owner_id.as_deref(), Some("owner-7"));
    let named = ring.alert.contact.unwrap();
    assert_eq!(
        (named.contact.id.as_str(), named.name.as_deref()),
        ("7", Some("Name of 7"))
    );

    known.contact.name = Some("Jane Doe".to_owned());
    known.contact.owner_id = None;
    store.save_contacts(vec![known], &rules, at(3)).await.unwrap();

    let missed = apply(store, [missed_call(1)], at(201)).await.alerts.remove(0);
    assert_eq!(
        (missed.alert.kind, missed.owner_id),
        (AlertKind::CallMissed, None)
    );
    assert_eq!(missed.alert.contact.unwrap().name.as_deref(), Some("Jane Doe"));
    let updated = apply(store, [tagged(1)], at(301)).await.alerts;
    assert!(updated.iter().all(|outgoing| outgoing.alert.contact.is_some()));
}
