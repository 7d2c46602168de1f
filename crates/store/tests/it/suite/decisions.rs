//! What people decide stands: what the CRM writes into our table, and what is sealed by a rule.

use calls::{ContactKind, ContactRef, Group, Interaction, Link, MatchMethod, MatchRules, Seal, SealReason};
use serde_json::json;
use store::{Store, StoreError};

use super::Database;
use crate::samples::{
    CALLER, apply, at, call_id, customer, lead, post_call, pre_call, row, tagged, transcribed,
};

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

async fn decide(store: &Store, n: usize, lead_id: Option<&str>, seconds: i64) -> Option<Interaction> {
    let contact = lead_id.map(|id| ContactRef {
        kind: ContactKind::Lead,
        id: id.to_owned(),
    });
    store
        .link_interaction(&call_id(n), contact, "user-5", at(seconds))
        .await
        .unwrap()
}

async fn save_contacts(store: &Store, contacts: Vec<store::ContactWithPhones>) {
    store
        .save_contacts(contacts, &MatchRules::default(), at(0))
        .await
        .unwrap();
}

pub(crate) async fn a_link_that_somebody_decides_stands_until_the_next_decision<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save_contacts(store, vec![customer("7", &[CALLER]), lead("8", &[CALLER])]).await;
    apply(store, [post_call(1)], at(201)).await;
    let candidates = row(store, 1).await.unwrap().link.candidates;
    assert_eq!(candidates.len(), 2);
    // What the CRM has written meanwhile is not lost.
    database
        .execute("update interactions set notes = 'Call back!'")
        .await;

    let linked = decide(store, 1, Some("8"), 250).await.unwrap();
    let by_hand = Link {
        lead_id: Some("8".to_owned()),
        candidates,
        ..Link::none(MatchMethod::Human)
    };
    assert_eq!(linked.link, by_hand);
    assert_eq!(row(store, 1).await, Some(linked));
    assert_eq!(
        database.time("select updated_at from interactions").await,
        Some(at(250))
    );

    apply(store, [tagged(1), transcribed(1)], at(401)).await;
    let after = row(store, 1).await.unwrap();
    assert_eq!(
        (after.link, after.notes.as_str()),
        (by_hand.clone(), "Call back!")
    );
    let sealed = decisions(store, 1).await;
    let by: Vec<(Group, &str)> = sealed.iter().map(|seal| (seal.group, seal.by.as_str())).collect();
    assert_eq!(by.len(), 2, "{by:?}");
    assert!(by.contains(&(Group::Link, "user-5")) && by.contains(&(Group::Notes, "crm")));

    // The same once more changes nothing, another one does.
    assert_eq!(decide(store, 1, Some("8"), 450).await.unwrap().link, by_hand);
    assert_eq!(
        database.time("select updated_at from interactions").await,
        Some(at(401))
    );
    let moved = decide(store, 1, Some("9"), 460).await.unwrap();
    assert_eq!(moved.link.lead_id.as_deref(), Some("9"));
    assert_eq!(row(store, 1).await, Some(moved));
}

pub(crate) async fn whoever_is_linked_by_hand_hears_of_the_call_whatever_his_number<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save_contacts(store, vec![lead("8", &["+14045550188"])]).await;
    let told = apply(store, [post_call(1)], at(201)).await.alerts;
    assert!(told.iter().all(|outgoing| outgoing.owner_id.is_none()));
    decide(store, 1, Some("8"), 250).await.unwrap();
    let told = apply(store, [tagged(1)], at(301)).await.alerts;
    assert!(!told.is_empty());
    for outgoing in told {
        assert_eq!(outgoing.owner_id.as_deref(), Some("owner-8"));
    }
}

pub(crate) async fn a_decision_for_nobody_keeps_new_contacts_out<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1)], at(201)).await;
    let nobody = decide(store, 1, None, 250).await.unwrap();
    assert_eq!(nobody.link, Link::none(MatchMethod::Human));
    save_contacts(store, vec![customer("7", &[CALLER])]).await;
    apply(store, [tagged(1)], at(301)).await;
    assert_eq!(row(store, 1).await.unwrap().link, nobody.link);
}

pub(crate) async fn a_call_without_a_row_or_whose_link_was_erased_is_linked_with_nobody<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [pre_call(1), post_call(2)], at(201)).await;
    assert_eq!(decide(store, 1, Some("8"), 250).await, None);
    assert_eq!(decide(store, 3, Some("8"), 250).await, None);
    assert_eq!(decisions(store, 1).await, []);
    store
        .seal(&call_id(2), seal(Group::Link, SealReason::Erasure))
        .await
        .unwrap();
    let erased = decide(store, 2, Some("8"), 260).await.unwrap();
    assert!(!erased.link.is_set());
    assert_eq!(row(store, 2).await, Some(erased));
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
