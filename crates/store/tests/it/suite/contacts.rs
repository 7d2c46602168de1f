//! The mirror of the CRM's people, and whom calls are linked with.

use calls::{ContactKind, ContactRef, Link, MatchMethod, MatchRules, PhoneNumber, Region};
use serde_json::json;
use store::{Applied, ContactWithPhones, ContactsSaved, Matches, Store};

use super::Database;
use crate::samples::{
    CALLER, apply, at, contact, customer, lead, missed_call, number, outbound_call, post_call, pre_call, row,
    tagged,
};

async fn save(
    store: &Store,
    contacts: impl IntoIterator<Item = ContactWithPhones>,
    seconds: i64,
) -> ContactsSaved {
    let contacts = contacts.into_iter().collect();
    store
        .save_contacts(contacts, &MatchRules::default(), at(seconds))
        .await
        .unwrap()
}

async fn link(store: &Store, n: usize) -> Link {
    row(store, n).await.unwrap().link
}

fn linked_with_lead(id: &str) -> Link {
    Link {
        lead_id: Some(id.to_owned()),
        ..Link::none(MatchMethod::OnlyOne)
    }
}

pub(crate) async fn a_caller_is_matched_however_his_number_is_spelt<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let saved = save(
        store,
        [
            lead("1", &["(404) 555-0123", "404.555.0177 x12"]),
            customer("2", &["+1 404 555 0188"]),
        ],
        0,
    )
    .await;
    assert_eq!(
        saved,
        ContactsSaved {
            saved: 2,
            calls_linked: 0
        }
    );
    assert_eq!(database.count("select count(*) from contact_phones").await, 3);

    let calls = [
        post_call(1).of("+14045550123"),
        post_call(2).of("4045550177"),
        outbound_call(3).of("404-555-0188"),
        post_call(4).of("+14045550100"),
    ];
    apply(store, calls, at(201)).await;

    assert_eq!(link(store, 1).await, linked_with_lead("1"));
    assert_eq!(link(store, 2).await, linked_with_lead("1"));
    assert_eq!(link(store, 3).await.customer_id.as_deref(), Some("2"));
    assert_eq!(link(store, 4).await, Link::none(MatchMethod::NoContact));
}

pub(crate) async fn contacts_that_are_saved_again_are_not_counted<D: Database>() {
    let database = D::fresh().await;
    let contacts = [lead("1", &[CALLER]), customer("1", &["+14045550188"])];
    assert_eq!(save(database.store(), contacts.clone(), 0).await.saved, 2);

    assert_eq!(
        save(database.store(), contacts, 1).await,
        ContactsSaved::default()
    );
    let one_more_number = lead("1", &[CALLER, "+14045550188"]);
    assert_eq!(save(database.store(), [one_more_number], 2).await.saved, 1);
    let one_number_less = lead("1", &[CALLER]);
    assert_eq!(save(database.store(), [one_number_less], 3).await.saved, 1);
}

pub(crate) async fn a_contact_that_is_renamed_stays_one<D: Database>() {
    let database = D::fresh().await;
    let mut renamed = lead("1", &[CALLER]);
    save(database.store(), [renamed.clone()], 0).await;
    renamed.contact.name = None;
    renamed.contact.updated_at = at(5);
    assert_eq!(save(database.store(), [renamed], 6).await.saved, 1);

    assert_eq!(database.count("select count(*) from contacts").await, 1);
    assert_eq!(database.text("select name from contacts").await, None);
    assert_eq!(
        database.time("select updated_at from contacts").await,
        Some(at(5))
    );
    apply(database.store(), [post_call(1)], at(201)).await;
    assert_eq!(link(database.store(), 1).await, linked_with_lead("1"));
}

pub(crate) async fn a_number_that_moves_belongs_to_its_new_owner<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save(store, [lead("1", &[CALLER]), lead("2", &[])], 0).await;
    apply(store, [post_call(1)], at(201)).await;

    save(store, [lead("1", &[]), lead("2", &[CALLER])], 210).await;
    apply(store, [post_call(2), tagged(1)], at(301)).await;

    assert_eq!(link(store, 2).await, linked_with_lead("2"));
    // A link that is set is never moved.
    assert_eq!(link(store, 1).await, linked_with_lead("1"));
}

pub(crate) async fn a_number_that_is_taken_away_matches_no_more<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save(store, [lead("1", &[CALLER, "+14045550188"])], 0).await;
    save(store, [lead("1", &["+14045550188"])], 1).await;
    apply(store, [post_call(1), post_call(2).of("+14045550188")], at(201)).await;
    assert_eq!(link(store, 1).await, Link::none(MatchMethod::NoContact));
    assert_eq!(link(store, 2).await, linked_with_lead("1"));

    save(store, [lead("1", &[])], 210).await;
    apply(store, [post_call(3).of("+14045550188")], at(220)).await;
    assert_eq!(link(store, 3).await, Link::none(MatchMethod::NoContact));
    assert_eq!(database.count("select count(*) from contacts").await, 1);
}

pub(crate) async fn a_contact_links_the_calls_that_came_before_him<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let calls = [
        post_call(1),
        outbound_call(2),
        missed_call(3).of("404-555-0123"),
        post_call(4).of(&number(4)),
        // The account's own number is on the other side: nobody's call.
        outbound_call(5)
            .of(&number(5))
            .with("tracking_phone_number", json!(CALLER)),
        pre_call(6),
        post_call(7).of("anonymous"),
    ];
    apply(store, calls, at(201)).await;

    let saved = save(store, [lead("1", &["(404) 555-0123"])], 500).await;

    assert_eq!(
        saved,
        ContactsSaved {
            saved: 1,
            calls_linked: 3
        }
    );
    for linked in [1, 2, 3] {
        assert_eq!(link(store, linked).await, linked_with_lead("1"), "call {linked}");
    }
    for unlinked in [4, 5] {
        assert_eq!(
            link(store, unlinked).await,
            Link::none(MatchMethod::NoContact),
            "call {unlinked}"
        );
    }
    assert_eq!(link(store, 7).await, Link::none(MatchMethod::Withheld));
    let touched = database
        .count("select count(*) from interactions where updated_at > created_at")
        .await;
    assert_eq!(touched, 3);
    // The link is ours, not the CRM's: no seal, neither now nor at the next event.
    apply(store, [tagged(1)], at(501)).await;
    assert_eq!(link(store, 1).await, linked_with_lead("1"));
    assert_eq!(database.count("select count(*) from seals").await, 0);
}

pub(crate) async fn a_new_contact_moves_no_link<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save(store, [lead("1", &[CALLER])], 0).await;
    apply(store, [post_call(1), post_call(2).of(&number(2))], at(201)).await;
    database
        .execute("update interactions set lead_id = 'by hand' where lead_id is null")
        .await;

    let saved = save(
        store,
        [customer("2", &[CALLER]), customer("3", &[&number(2)])],
        210,
    )
    .await;

    assert_eq!(
        saved,
        ContactsSaved {
            saved: 2,
            calls_linked: 0
        }
    );
    assert_eq!(link(store, 1).await, linked_with_lead("1"));
    assert_eq!(link(store, 2).await.lead_id.as_deref(), Some("by hand"));
    assert_eq!(link(store, 2).await.customer_id, None);
}

pub(crate) async fn a_call_that_somebody_unlinked_is_not_linked_again<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save(store, [lead("1", &[CALLER])], 0).await;
    // The decision about the first call was seen with an event, that about the second one was not yet.
    apply(store, [post_call(1), post_call(2)], at(201)).await;
    database.execute("update interactions set lead_id = null").await;
    apply(store, [tagged(1)], at(301)).await;

    let saved = save(store, [customer("2", &[CALLER])], 310).await;

    assert_eq!(
        saved,
        ContactsSaved {
            saved: 1,
            calls_linked: 0
        }
    );
    for n in [1, 2] {
        assert_eq!(link(store, n).await, Link::none(MatchMethod::Human), "call {n}");
    }
    assert_eq!(
        database
            .count("select count(*) from seals where sealed_group = 'link'")
            .await,
        2
    );
}

pub(crate) async fn numbers_that_never_match_link_nothing<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1)], at(201)).await;
    let mut rules = MatchRules::default();
    rules
        .never
        .insert(PhoneNumber::parse(CALLER, Region::US).unwrap());

    let contacts = vec![lead("1", &[CALLER])];
    let saved = store.save_contacts(contacts, &rules, at(210)).await.unwrap();
    assert_eq!(
        saved,
        ContactsSaved {
            saved: 1,
            calls_linked: 0
        }
    );
    store
        .apply(vec![post_call(2).event()], &rules, at(211))
        .await
        .unwrap();

    for n in [1, 2] {
        assert_eq!(
            link(store, n).await,
            Link::none(MatchMethod::NeverMatched),
            "call {n}"
        );
    }
}

pub(crate) async fn the_numbers_of_the_account_link_nothing<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let numbers = |texts: &[&str]| -> Vec<PhoneNumber> {
        let parsed = texts
            .iter()
            .map(|text| PhoneNumber::parse(text, Region::US).unwrap());
        parsed.collect()
    };
    let own = numbers(&[CALLER, CALLER, "+14045550188"]);
    assert_eq!(store.replace_account_numbers(own.clone()).await.unwrap(), 2);
    assert_eq!(store.replace_account_numbers(own).await.unwrap(), 0);
    // Somebody has entered it as his own; a call is there before, and one comes after.
    apply(store, [post_call(1)], at(201)).await;
    let saved = save(store, [lead("1", &[CALLER, "+14045550177"])], 210).await;
    assert_eq!(saved.calls_linked, 0);
    apply(store, [post_call(2), post_call(3).of("+14045550177")], at(220)).await;
    for n in [1, 2] {
        assert_eq!(
            link(store, n).await,
            Link::none(MatchMethod::NeverMatched),
            "call {n}"
        );
    }
    assert_eq!(link(store, 3).await, linked_with_lead("1"));

    // The account has given it back.
    let own = numbers(&["+14045550188", "+14045550199"]);
    assert_eq!(store.replace_account_numbers(own).await.unwrap(), 2);
    apply(store, [post_call(4), tagged(1)], at(301)).await;
    for n in [1, 4] {
        assert_eq!(link(store, n).await, linked_with_lead("1"), "call {n}");
    }
    assert_eq!(store.replace_account_numbers(Vec::new()).await.unwrap(), 2);
    assert_eq!(database.count("select count(*) from account_numbers").await, 0);
}

pub(crate) async fn how_new_callers_were_matched_is_counted<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let counted = |applied: Applied| {
        let Matches {
            matched,
            ambiguous,
            unmatched,
        } = applied.matches;
        (matched, ambiguous, unmatched)
    };
    let ring = apply(store, [pre_call(1)], at(2)).await;
    assert_eq!(counted(ring), (0, 0, 0), "there is no row yet");
    let two = apply(store, [post_call(1), post_call(2)], at(201)).await;
    assert_eq!(counted(two), (0, 0, 2));
    save(store, [contact(ContactKind::Lead, "one", 10, &[CALLER])], 100).await;
    assert_eq!(counted(apply(store, [post_call(3)], at(201)).await), (1, 0, 0));
    save(store, [contact(ContactKind::Lead, "other", 10, &[CALLER])], 100).await;
    assert_eq!(counted(apply(store, [post_call(4)], at(201)).await), (0, 1, 0));
    let again = apply(store, [tagged(4)], at(301)).await;
    assert_eq!(counted(again), (0, 0, 0), "the row was there");
}

pub(crate) async fn all_who_have_a_number_are_candidates<D: Database>() {
    let database = D::fresh().await;
    let people = [
        contact(ContactKind::Lead, "newest", 90, &[CALLER]),
        contact(ContactKind::Customer, "old", 10, &[CALLER]),
        contact(ContactKind::Customer, "new", 20, &[CALLER]),
    ];
    save(database.store(), people, 100).await;

    apply(database.store(), [post_call(1)], at(201)).await;

    let named = |kind, id: &str| ContactRef {
        kind,
        id: id.to_owned(),
    };
    let expected = Link {
        customer_id: Some("new".to_owned()),
        candidates: vec![
            named(ContactKind::Customer, "new"),
            named(ContactKind::Customer, "old"),
            named(ContactKind::Lead, "newest"),
        ],
        ..Link::none(MatchMethod::CustomerFirst)
    };
    assert_eq!(link(database.store(), 1).await, expected);
    let stored = database
        .text("select cast(match_candidates as text) from interactions")
        .await
        .unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let candidates = json!([
        {"kind": "customer", "id": "new"},
        {"kind": "customer", "id": "old"},
        {"kind": "lead", "id": "newest"}
    ]);
    assert_eq!(stored, candidates);
    let method = database.text("select match_method from interactions").await;
    assert_eq!(method.as_deref(), Some("customer_first"));
}

pub(crate) async fn a_contact_that_is_removed_matches_no_more<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    save(store, [lead("1", &[CALLER]), customer("1", &[&number(1)])], 0).await;
    apply(store, [post_call(1)], at(201)).await;
    let named = |kind, id: &str| ContactRef {
        kind,
        id: id.to_owned(),
    };

    let gone = vec![named(ContactKind::Lead, "1"), named(ContactKind::Lead, "2")];
    assert_eq!(store.remove_contacts(gone.clone()).await.unwrap(), 1);
    assert_eq!(store.remove_contacts(gone).await.unwrap(), 0);
    assert_eq!(store.remove_contacts(Vec::new()).await.unwrap(), 0);

    assert_eq!(database.count("select count(*) from contacts").await, 1);
    assert_eq!(database.count("select count(*) from contact_phones").await, 1);
    apply(store, [post_call(2), tagged(1)], at(301)).await;
    assert_eq!(link(store, 2).await, Link::none(MatchMethod::NoContact));
    // What is linked stays so.
    assert_eq!(link(store, 1).await, linked_with_lead("1"));
}
