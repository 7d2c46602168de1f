//! Looking for calls.

use calls::{CallId, ContactKind, Direction, MatchRules, Outcome, Region, interaction_id};
use serde_json::json;
use store::{InteractionFilter, InteractionPosition, MatchState, NumberFilter, Store};

use super::Database;
use crate::samples::{
    CALLER, apply, at, call_id, contact, lead, missed_call, number, outbound_call, post_call, row, tagged,
    voicemail,
};

/// The calls that are found, as the numbers in [`call_id`].
async fn found(store: &Store, filter: InteractionFilter) -> Vec<usize> {
    page(store, filter, 100, None).await
}

async fn page(
    store: &Store,
    filter: InteractionFilter,
    limit: u32,
    before: Option<InteractionPosition>,
) -> Vec<usize> {
    let rows = store.search_interactions(filter, limit, before).await.unwrap();
    let number_of = |call_sid: &CallId| (0..100).find(|n| call_id(*n) == *call_sid).unwrap();
    rows.iter()
        .map(|row| number_of(&row.interaction.call_sid))
        .collect()
}

fn by_number(text: &str) -> InteractionFilter {
    InteractionFilter {
        number: Some(NumberFilter::read(text, Region::US).unwrap()),
        ..InteractionFilter::default()
    }
}

fn by_name(text: &str) -> InteractionFilter {
    InteractionFilter {
        name: Some(text.to_owned()),
        ..InteractionFilter::default()
    }
}

pub(crate) async fn calls_are_listed_latest_first_page_by_page<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    // Three began at the same time.
    let began = [30, 10, 20, 20, 20];
    let calls = began
        .iter()
        .enumerate()
        .map(|(n, seconds)| post_call(n).starting(*seconds));
    apply(store, calls, at(201)).await;
    let mut same = [2, 3, 4];
    same.sort_unstable_by_key(|n| std::cmp::Reverse(interaction_id(&call_id(*n))));
    let expected = [&[0], &same[..], &[1]].concat();

    let all = InteractionFilter::default;
    assert_eq!(found(store, all()).await, expected);
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let rows = store.search_interactions(all(), 2, before).await.unwrap();
        let Some(last) = rows.last() else { break };
        before = Some(last.position());
        listed.extend(rows.into_iter().map(|row| row.interaction.call_sid));
        // What comes while somebody turns the pages does not shift them.
        apply(store, [post_call(90 + listed.len()).starting(1_000)], at(1_201)).await;
    }
    let expected: Vec<CallId> = expected.into_iter().map(call_id).collect();
    assert_eq!(listed, expected);
}

pub(crate) async fn a_call_is_found_by_a_number_in_any_spelling_or_a_part_of_it<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let calls = [
        post_call(1).of("+14045550123").starting(3),
        outbound_call(2).of("404-555-0123").starting(2),
        post_call(3).of("+14045550188").starting(1),
        post_call(4).of("anonymous").starting(0),
    ];
    apply(store, calls, at(201)).await;
    for spelling in ["(404) 555-0123", "+14045550123", "404.555.0123 x7"] {
        assert_eq!(found(store, by_number(spelling)).await, [1, 2], "{spelling}");
    }
    assert_eq!(found(store, by_number("404-555-0177")).await, [0; 0]);
    assert_eq!(found(store, by_number("555-0188")).await, [3]);
    assert_eq!(found(store, by_number("% 0123")).await, [1, 2]);
    assert_eq!(NumberFilter::read("%_", Region::US), None);
    // The account's own numbers are at the other end.
    assert_eq!(found(store, by_number("+14045550199")).await, [2]);
}

pub(crate) async fn a_call_is_found_by_the_name_of_the_line_or_of_the_person<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let named = |mut person: store::ContactWithPhones, name: &str| {
        person.contact.name = Some(name.to_owned());
        person
    };
    let people = vec![
        named(lead("1", &[&number(1)]), "Jane Fox"),
        // The same id, but another person.
        named(
            contact(ContactKind::Customer, "1", 0, &[&number(2)]),
            "100% Heat_ing",
        ),
    ];
    store
        .save_contacts(people, &MatchRules::default(), at(0))
        .await
        .unwrap();
    let calls = (1..=3).map(|n| {
        let name = ["", "ROOF AND WALL", "ROOF", r"BACK\SLASH"][n];
        let seconds = i64::try_from(10 - n).unwrap();
        post_call(n)
            .of(&number(n))
            .with("customer_name", json!(name))
            .starting(seconds)
    });
    apply(store, calls, at(201)).await;

    assert_eq!(found(store, by_name("jane")).await, [1]);
    assert_eq!(found(store, by_name("fox")).await, [1]);
    assert_eq!(found(store, by_name("Roof")).await, [1, 2]);
    // What patterns are made of is looked for as it stands.
    assert_eq!(found(store, by_name("0%")).await, [2]);
    assert_eq!(found(store, by_name("%")).await, [2]);
    assert_eq!(found(store, by_name("t_i")).await, [2]);
    assert_eq!(found(store, by_name("r_of")).await, [0; 0]);
    assert_eq!(found(store, by_name(r"k\s")).await, [3]);
    assert_eq!(found(store, by_name("a\0b")).await, [0; 0]);
}

pub(crate) async fn calls_are_found_by_time_outcome_and_direction<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let calls = [
        post_call(1).starting(40),
        missed_call(2).starting(30),
        voicemail(3).starting(20),
        outbound_call(4).starting(10),
    ];
    apply(store, calls, at(201)).await;
    let filter = InteractionFilter {
        from: Some(at(20)),
        to: Some(at(40)),
        ..InteractionFilter::default()
    };
    assert_eq!(found(store, filter).await, [2, 3]);
    for (outcome, expected) in [
        (Outcome::Completed, &[1, 4][..]),
        (Outcome::NoAnswer, &[2]),
        (Outcome::Voicemail, &[3]),
    ] {
        let filter = InteractionFilter {
            outcome: Some(outcome),
            ..InteractionFilter::default()
        };
        assert_eq!(found(store, filter).await, expected, "{outcome:?}");
    }
    let filter = |direction| InteractionFilter {
        direction: Some(direction),
        outcome: Some(Outcome::Completed),
        ..by_number(CALLER)
    };
    assert_eq!(found(store, filter(Direction::Outbound)).await, [4]);
    assert_eq!(found(store, filter(Direction::Inbound)).await, [1]);
}

pub(crate) async fn calls_are_found_by_whether_they_are_matched<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let people = vec![
        lead("1", &[&number(1)]),
        lead("2", &[CALLER]),
        contact(ContactKind::Customer, "3", 0, &[CALLER]),
    ];
    store
        .save_contacts(people, &MatchRules::default(), at(0))
        .await
        .unwrap();
    let calls = (1..=4).map(|n| {
        let caller = if n > 2 { CALLER.to_owned() } else { number(n) };
        post_call(n).of(&caller).starting(i64::try_from(10 - n).unwrap())
    });
    apply(store, calls, at(201)).await;
    database
        .execute(&format!(
            "update interactions set match_method = 'human' where call_sid = '{}'",
            call_id(4)
        ))
        .await;
    for (state, expected) in [
        (MatchState::Matched, &[1, 4][..]),
        (MatchState::Unmatched, &[2]),
        (MatchState::Ambiguous, &[3]),
    ] {
        let filter = InteractionFilter {
            match_state: Some(state),
            ..InteractionFilter::default()
        };
        assert_eq!(found(store, filter).await, expected, "{state:?}");
        assert_eq!(MatchState::from_name(state.as_str()), Some(state));
    }
}

pub(crate) async fn hidden_calls_are_not_listed_but_found_by_their_id<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1), post_call(2), post_call(3)], at(201)).await;
    apply(store, [tagged(2).with("spam", json!(true))], at(301)).await;
    database
        .execute(&format!(
            "update interactions set vanished = true where call_sid = '{}'",
            call_id(3)
        ))
        .await;
    assert_eq!(found(store, InteractionFilter::default()).await, [1]);

    let by_id = async |n| store.interaction(interaction_id(&call_id(n))).await.unwrap();
    let spam = by_id(2).await.unwrap();
    assert_eq!(Some(&spam.interaction), row(store, 2).await.as_ref());
    assert!(spam.interaction.spam && !spam.vanished);
    assert_eq!((spam.created_at, spam.updated_at), (at(201), at(301)));
    assert!(by_id(3).await.unwrap().vanished);
    assert_eq!(by_id(4).await, None);
}
