//! What an operator looks at first.

use store::{Activity, ImportSource, NewImport};

use super::Database;
use crate::samples::{apply, at, post_call};

pub(crate) async fn what_waits_and_when_a_webhook_came_last_is_told<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    assert_eq!(store.activity().await.unwrap(), Activity::default());

    apply(store, [post_call(1)], at(201)).await;
    apply(store, [post_call(2).received(300).imported()], at(301)).await;
    let run = NewImport {
        source: ImportSource::Api,
        start: at(0),
        end: at(300),
        company: None,
    };
    store.create_import(run, at(300)).await.unwrap();

    let activity = store.activity().await.unwrap();
    assert_eq!(activity.last_webhook_at, Some(at(200)));
    assert_eq!((activity.dead_letters_waiting, activity.imports_open), (0, 1));
}
