//! What the reconciler finds out by asking CallRail.

use calls::CallId;
use store::{InteractionFilter, Store};

use super::Database;
use crate::samples::{apply, at, call_id, post_call, pre_call, row, tagged};

async fn in_doubt(store: &Store, limit: u32) -> Vec<CallId> {
    store.calls_to_reread(limit).await.unwrap()
}

pub(crate) async fn a_call_in_doubt_is_read_again_until_an_import_settles_it<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for n in [3, 1, 2] {
        let now = at(400 - i64::try_from(n).unwrap());
        apply(store, [post_call(n), tagged(n).received(203)], now).await;
    }
    apply(store, [post_call(4), tagged(4)], at(500)).await;
    assert_eq!(in_doubt(store, 10).await, [call_id(3), call_id(2), call_id(1)]);
    assert_eq!(in_doubt(store, 2).await, [call_id(3), call_id(2)]);

    // Read before the second state came; then after both. What was read says what the row says already.
    apply(store, [tagged(3).imported().received(202)], at(501)).await;
    assert_eq!(in_doubt(store, 1).await, [call_id(3)]);
    let settled = apply(store, [tagged(3).imported().received(600)], at(601)).await;
    assert_eq!(settled.rows_written, 0);
    assert_eq!(in_doubt(store, 10).await, [call_id(2), call_id(1)]);
    assert!(!store.call(&call_id(3)).await.unwrap().unwrap().reread);
}

pub(crate) async fn a_call_that_cannot_be_read_again_is_left_in_doubt<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    for n in [1, 2] {
        apply(store, [post_call(n), tagged(n).received(203)], at(300)).await;
    }
    store
        .mark_reread_done(vec![call_id(1), call_id(9)])
        .await
        .unwrap();
    store.mark_reread_done(Vec::new()).await.unwrap();
    assert_eq!(in_doubt(store, 10).await, [call_id(2)]);
    // News of it ask once more, if they leave it in doubt.
    apply(store, [tagged(1).received(900)], at(901)).await;
    assert_eq!(in_doubt(store, 10).await, [call_id(2)]);
    apply(store, [post_call(1).received(901)], at(902)).await;
    assert_eq!(in_doubt(store, 10).await.len(), 2);
}

pub(crate) async fn a_call_that_vanished_is_hidden_until_it_is_seen_again<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    apply(store, [post_call(1), post_call(2), pre_call(3)], at(201)).await;
    let before = row(store, 1).await;
    let listed = async || {
        let all = store
            .search_interactions(InteractionFilter::default(), 10, None)
            .await;
        all.unwrap().len()
    };
    let set = async |vanished, seconds| {
        let calls = [1, 3, 9].map(call_id).to_vec();
        store.set_vanished(calls, vanished, at(seconds)).await.unwrap()
    };

    assert_eq!(set(true, 300).await, 1);
    assert_eq!(set(true, 400).await, 0);
    assert_eq!(listed().await, 1);
    assert_eq!(database.count("select count(*) from crm_calls").await, 1);
    // Who follows the rows by their time sees it, once.
    let changed = "select max(updated_at) from interactions";
    assert_eq!(database.time(changed).await, Some(at(300)));
    // An event does not bring it back: it may have been on its way when the call was deleted.
    apply(store, [tagged(1)], at(410)).await;
    assert_eq!(listed().await, 1);

    assert_eq!(set(false, 500).await, 1);
    assert_eq!(listed().await, 2);
    assert_eq!(database.time(changed).await, Some(at(500)));
    assert_ne!(row(store, 1).await, before, "the tag arrived all the same");
}
