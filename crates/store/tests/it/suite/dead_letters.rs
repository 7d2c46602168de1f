//! Messages that could not be worked on.

use store::DeadLetter;
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

pub(crate) async fn dead_letters_are_listed_newest_first<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let letters = vec![letter(1, 2), letter(2, 3), letter(3, 1)];
    store.save_dead_letters(letters).await.unwrap();
    let waiting = store.waiting_dead_letters(2).await.unwrap();
    assert_eq!(waiting, [letter(2, 3), letter(1, 2)]);
}
