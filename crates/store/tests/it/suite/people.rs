//! Looking for the CRM's people.

use std::collections::BTreeSet;

use calls::{ContactKind, ContactRef, MatchRules, Region};
use store::{NumberFilter, PeopleSearch, Store};

use super::Database;
use crate::samples::{at, customer, lead};

async fn with_people<D: Database>() -> D {
    let database = D::fresh().await;
    let mut people = [
        lead("1", &["(404) 555-0123"]),
        lead("2", &[]),
        customer("1", &["404 555 0199", "+14045550188"]),
        customer("4", &[]),
    ];
    let names = [Some("Jane Doe"), Some("100 % Doe_"), Some("Ann Roe"), None];
    for (person, name) in people.iter_mut().zip(names) {
        person.contact.name = name.map(str::to_owned);
    }
    let rules = MatchRules::default();
    let saved = database.store().save_contacts(people.into(), &rules, at(0)).await;
    assert_eq!(saved.unwrap().saved, 4);
    database
}

/// Who is found, as kind and id.
async fn found(store: &Store, text: &str) -> Vec<String> {
    let search = PeopleSearch {
        text: text.to_owned(),
        number: NumberFilter::read(text, Region::US),
    };
    let found = store.search_contacts(search, 10).await.unwrap();
    let name = |person: &ContactRef| [person.kind.as_str(), &person.id].join(" ");
    found.iter().map(|found| name(&found.contact.contact)).collect()
}

pub(crate) async fn people_are_found_by_name_id_or_number<D: Database>() {
    let database = with_people::<D>().await;
    let store = database.store();
    let expected: [(&str, &[&str]); 8] = [
        ("doe", &["lead 2", "lead 1"]),
        ("% D", &["lead 2"]),
        ("e_", &["lead 2"]),
        ("404.555.0188", &["customer 1"]),
        ("5550", &["customer 1", "lead 1"]),
        ("4", &["customer 1", "lead 1", "customer 4"]),
        ("nobody", &[]),
        ("\0", &[]),
    ];
    for (text, people) in expected {
        assert_eq!(found(store, text).await, people, "{text}");
    }
    let search = PeopleSearch {
        text: "roe".to_owned(),
        number: None,
    };
    let roe = store.search_contacts(search, 10).await.unwrap();
    let phones: Vec<&str> = roe[0].phones.iter().map(calls::PhoneNumber::as_str).collect();
    assert_eq!(phones, ["+14045550188", "+14045550199"]);
    assert_eq!(roe[0].contact.owner_id.as_deref(), Some("owner-1"));

    let all = PeopleSearch::default();
    assert_eq!(store.search_contacts(all, 2).await.unwrap().len(), 2);
}

pub(crate) async fn who_is_known_is_told_by_name<D: Database>() {
    let database = with_people::<D>().await;
    let person = |kind, id: &str| ContactRef {
        kind,
        id: id.to_owned(),
    };
    let jane = person(ContactKind::Lead, "1");
    let ann = person(ContactKind::Customer, "1");
    let nobody = person(ContactKind::Customer, "2");
    let people = BTreeSet::from([jane.clone(), ann.clone(), nobody]);
    let known = database.store().contacts(people).await.unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(known[&jane].name.as_deref(), Some("Jane Doe"));
    assert_eq!(known[&ann].name.as_deref(), Some("Ann Roe"));
    let nobody = database.store().contacts(BTreeSet::new()).await.unwrap();
    assert!(nobody.is_empty());
}
