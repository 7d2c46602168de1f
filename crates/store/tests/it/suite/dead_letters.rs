//! Messages that could not be worked on.

use store::{DeadLetter, DeadLetterState, Store, WaitingDeadLetters};
use uuid::Uuid;

use super::Database;
use crate::samples::{at, call_id};

fn letter(n: u128, last_failed: i64) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(n),
        queue: "calls.live".to_owned(),
        reason: "the database refuses what was to be written".to_owned(),
        event_id: Some(Uuid::from_u128(1_000 + n)),
        call_sid: Some(call_id(1)),
        import_id: None,
        attempts: 5,
        first_failed_at: at(0),
        last_failed_at: at(last_failed),
        body: b"{\"bytes\": \"as they came\xff\x00\"".to_vec(),
    }
}

pub(crate) async fn a_dead_letter_is_kept_once_and_listed<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    store.save_dead_letters(vec![letter(1, 5)]).await.unwrap();
    let again = DeadLetter {
        reason: "another".to_owned(),
        ..letter(1, 6)
    };
    let unreadable = DeadLetter {
        event_id: None,
        call_sid: None,
        body: Vec::new(),
        ..letter(2, 4)
    };
    store
        .save_dead_letters(vec![again, unreadable.clone()])
        .await
        .unwrap();

    let waiting = store.waiting_dead_letters(10).await.unwrap();
    assert_eq!(waiting, [letter(1, 5), unreadable]);
}

pub(crate) async fn a_dead_letter_that_was_dealt_with_is_not_listed<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let letters = vec![letter(1, 1), letter(2, 2), letter(3, 3)];
    store.save_dead_letters(letters).await.unwrap();
    for (n, state) in [(1, "replayed"), (3, "discarded")] {
        let id = Uuid::from_u128(n);
        let sql = format!("update dead_letters set state = '{state}' where id = '{id}'");
        assert_eq!(database.execute(&sql).await, 1);
    }
    assert_eq!(store.waiting_dead_letters(10).await.unwrap(), [letter(2, 2)]);
}

pub(crate) async fn waiting_dead_letters_are_counted_by_their_tries<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let tried = |n, attempts| DeadLetter {
        attempts,
        ..letter(n, 1)
    };
    let letters = vec![
        tried(1, 0),
        tried(2, 0),
        tried(3, 1),
        tried(4, 2),
        tried(5, 5),
        tried(6, 5),
    ];
    store.save_dead_letters(letters).await.unwrap();
    let (waiting, discarded) = (DeadLetterState::Waiting, DeadLetterState::Discarded);
    let id = Uuid::from_u128(6);
    assert!(store.set_dead_letter_state(id, waiting, discarded).await.unwrap());
    let expected = WaitingDeadLetters {
        never_tried: 2,
        tried_once: 1,
        tried_often: 2,
    };
    assert_eq!(store.count_waiting_dead_letters().await.unwrap(), expected);
}

pub(crate) async fn dead_letters_are_listed_newest_first<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let letters = vec![letter(1, 2), letter(2, 3), letter(3, 1)];
    store.save_dead_letters(letters).await.unwrap();
    let waiting = store.waiting_dead_letters(2).await.unwrap();
    assert_eq!(waiting, [letter(2, 3), letter(1, 2)]);
}

async fn ids(store: &Store, state: Option<DeadLetterState>, limit: u32, before: Option<Uuid>) -> Vec<u128> {
    let found = store.dead_letters(state, limit, before).await.unwrap();
    found.iter().map(|kept| kept.letter.id.as_u128()).collect()
}

pub(crate) async fn dead_letters_are_listed_by_state_page_by_page<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    // Two of them failed at the same time.
    let letters = vec![
        letter(1, 1),
        letter(2, 2),
        letter(3, 2),
        letter(4, 3),
        letter(5, 0),
    ];
    store.save_dead_letters(letters).await.unwrap();
    let (waiting, discarded) = (DeadLetterState::Waiting, DeadLetterState::Discarded);
    assert!(
        store
            .set_dead_letter_state(Uuid::from_u128(1), waiting, discarded)
            .await
            .unwrap()
    );

    assert_eq!(ids(store, None, 10, None).await, [4, 3, 2, 1, 5]);
    assert_eq!(ids(store, Some(waiting), 10, None).await, [4, 3, 2, 5]);
    assert_eq!(ids(store, Some(discarded), 10, None).await, [1]);
    assert_eq!(ids(store, Some(waiting), 2, None).await, [4, 3]);
    assert_eq!(
        ids(store, Some(waiting), 2, Some(Uuid::from_u128(3))).await,
        [2, 5]
    );
    assert_eq!(ids(store, None, 2, Some(Uuid::from_u128(5))).await, [0; 0]);
    assert_eq!(ids(store, None, 2, Some(Uuid::from_u128(9))).await, [0; 0]);
}

pub(crate) async fn a_dead_letter_is_found_by_its_id<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    store
        .save_dead_letters(vec![letter(1, 1), letter(2, 2)])
        .await
        .unwrap();
    let found = store.dead_letter(Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.letter, found.state),
        (letter(1, 1), DeadLetterState::Waiting)
    );
    assert_eq!(store.dead_letter(Uuid::from_u128(9)).await.unwrap(), None);
}

pub(crate) async fn of_two_who_replay_a_dead_letter_one_is_told_so<D: Database>() {
    let database = D::fresh().await;
    let (one, other) = (database.store(), database.reopen().await);
    one.save_dead_letters(vec![letter(1, 1)]).await.unwrap();
    let id = Uuid::from_u128(1);
    let (from, to) = (DeadLetterState::Waiting, DeadLetterState::Replayed);

    let (first, second) = tokio::join!(
        one.set_dead_letter_state(id, from, to),
        other.set_dead_letter_state(id, from, to)
    );

    assert!(first.unwrap() ^ second.unwrap());
    assert_eq!(one.dead_letter(id).await.unwrap().unwrap().state, to);
    // Publishing failed: it waits again.
    assert!(one.set_dead_letter_state(id, to, from).await.unwrap());
    let unknown = one.set_dead_letter_state(Uuid::from_u128(9), from, to).await;
    assert!(!unknown.unwrap());
}
