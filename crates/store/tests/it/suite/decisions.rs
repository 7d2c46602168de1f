//! What people decide stands: what the CRM writes into our table, and what is sealed by a rule.

use calls::{Group, Link, MatchMethod, MatchRules, Seal, SealReason};
use serde_json::json;
use store::{Store, StoreError};

use super::Database;
use crate::samples::{CALLER, apply, at, call_id, customer, post_call, row, tagged, transcribed};

fn seal(group: Group, reason: SealReason) -> Seal {
    Seal {
        group,
        reason,
        at: at(250),
        by: "tests".to_owned(),
    }
}

async fn decisions(store: &Store, n: usize) -> Vec<Seal> {
    store.call(&call_id(n)).await.unwrap().unwrap().decisions
}

pub(crate) async fn notes_that_the_crm_writes_stand<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1), post_call(2)], at(201)).await;
    let sql = format!(
        "update interactions set notes = 'Call back!' where call_sid = '{}'",
        call_id(1)
    );
    assert_eq!(database.execute(&sql).await, 1);

    apply(store, [tagged(1), tagged(2)], at(301)).await;
    apply(store, [transcribed(1)], at(401)).await;

    let stands = row(store, 1).await.unwrap();
    assert_eq!(stands.notes, "Call back!");
    assert!(stands.transcription.is_some());
    assert!(row(store, 2).await.unwrap().notes.starts_with("Inbound call"));
    let by_crm = Seal {
        group: Group::Notes,
        reason: SealReason::Human,
        at: at(301),
        by: "crm".to_owned(),
    };
    assert_eq!(decisions(store, 1).await, [by_crm]);
    assert_eq!(decisions(store, 2).await, []);
}

pub(crate) async fn a_lead_that_the_crm_writes_stands<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let known = vec![customer("7", &[CALLER])];
    store
        .save_contacts(known, &MatchRules::default(), at(0))
        .await
        .unwrap();
    apply(store, [post_call(1)], at(201)).await;
    database
        .execute("update interactions set lead_id = 'L-1', customer_id = null")
        .await;

    for delivery in [tagged(1), transcribed(1)] {
        apply(store, [delivery], at(401)).await;
        let by_hand = Link {
            lead_id: Some("L-1".to_owned()),
            ..Link::none(MatchMethod::Human)
        };
        assert_eq!(row(store, 1).await.unwrap().link, by_hand);
    }
    let sealed: Vec<_> = decisions(store, 1).await.iter().map(|seal| seal.group).collect();
    assert_eq!(sealed, [Group::Link]);
}

pub(crate) async fn a_customer_that_the_crm_takes_away_stays_away<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let known = vec![customer("7", &[CALLER])];
    store
        .save_contacts(known, &MatchRules::default(), at(0))
        .await
        .unwrap();
    apply(store, [post_call(1)], at(201)).await;
    database
        .execute("update interactions set customer_id = null")
        .await;

    apply(store, [tagged(1), transcribed(1)], at(401)).await;

    assert_eq!(row(store, 1).await.unwrap().link, Link::none(MatchMethod::Human));
}

pub(crate) async fn other_columns_that_the_crm_writes_are_ours<D: Database>() {
    let database = D::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    database
        .execute("update interactions set value = '1', source = 'mine', vanished = true")
        .await;
    apply(database.store(), [tagged(1)], at(301)).await;

    let ours = row(database.store(), 1).await.unwrap();
    assert_eq!((ours.value, ours.source.as_deref()), (None, Some("Google Ads")));
    assert_eq!(decisions(database.store(), 1).await, []);
    // No event tells of it, so none takes it back.
    assert_eq!(
        database
            .count("select count(*) from interactions where vanished")
            .await,
        1
    );
}

pub(crate) async fn a_row_that_the_crm_deletes_comes_back_with_the_next_event<D: Database>() {
    let database = D::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    assert_eq!(database.execute("delete from interactions").await, 1);
    assert_eq!(row(database.store(), 1).await, None);
    apply(database.store(), [tagged(1)], at(301)).await;
    assert_eq!(row(database.store(), 1).await.unwrap().tags, ["Booked"]);
}

pub(crate) async fn a_group_sealed_by_retention_is_blank_from_the_next_event_on<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1), transcribed(1).received(210)], at(211)).await;
    for group in [Group::Transcript, Group::Recording] {
        store
            .seal(&call_id(1), seal(group, SealReason::Retention))
            .await
            .unwrap();
    }
    assert!(row(store, 1).await.unwrap().transcription.is_some());

    for delivery in [tagged(1), transcribed(1)] {
        apply(store, [delivery], at(401)).await;
        let blank = row(store, 1).await.unwrap();
        assert_eq!((blank.transcription, blank.call_recording_url), (None, None));
        assert!(!blank.notes.contains("furnace"), "{}", blank.notes);
        assert!(blank.call_summary.is_some());
    }
    let history = store.call(&call_id(1)).await.unwrap().unwrap();
    let reason = history.seals.reason(Group::Transcript);
    assert_eq!(reason, Some(SealReason::Retention));
    assert_eq!(history.decisions.len(), 2);
}

pub(crate) async fn erasure_leaves_no_name_number_or_word<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let known = vec![customer("7", &[CALLER])];
    store
        .save_contacts(known, &MatchRules::default(), at(0))
        .await
        .unwrap();
    apply(
        store,
        [post_call(1).with("note", json!("Jane's dog bites."))],
        at(201),
    )
    .await;
    for group in Group::ALL {
        store
            .seal(&call_id(1), seal(group, SealReason::Erasure))
            .await
            .unwrap();
    }

    apply(store, [transcribed(1)], at(401)).await;

    let erased = row(store, 1).await.unwrap();
    let empty = [
        erased.call_from_number,
        erased.call_to_number,
        erased.tracking_number,
        erased.customer_name,
        erased.agent_email,
        erased.source,
        erased.call_recording_url,
        erased.transcription,
        erased.call_summary,
        erased.link.lead_id,
        erased.link.customer_id,
    ];
    assert_eq!(empty.into_iter().flatten().count(), 0);
    assert_eq!((erased.notes.as_str(), erased.tags.len()), ("", 0));
    // That there was a call, and how long, names nobody.
    assert_eq!(erased.call_duration_seconds, 184);
}

pub(crate) async fn the_first_seal_of_a_group_stays<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1)], at(201)).await;
    for reason in [SealReason::Retention, SealReason::Erasure] {
        store
            .seal(&call_id(1), seal(Group::Transcript, reason))
            .await
            .unwrap();
    }
    let expected = seal(Group::Transcript, SealReason::Retention);
    assert_eq!(decisions(store, 1).await, [expected]);
}

pub(crate) async fn a_call_that_was_never_heard_of_cannot_be_sealed<D: Database>() {
    let database = D::fresh().await;
    let refused = database
        .store()
        .seal(&call_id(1), seal(Group::Facts, SealReason::Erasure))
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
}
