//! The views that a CRM shows.

use calls::CallId;
use serde_json::json;
use store::InteractionFilter;

use super::Database;
use crate::samples::{
    Delivery, apply, at, call_id, missed_call, outbound_call, post_call, tagged, voicemail,
};

/// Whom to call back, as the numbers of the calls in [`call_id`].
async fn callbacks<D: Database>(database: &D, calls: usize) -> Vec<usize> {
    let mut found = Vec::new();
    for n in 0..calls {
        let sql = format!(
            "select count(*) from crm_callbacks where call_sid = '{}'",
            call_id(n)
        );
        if database.count(&sql).await == 1 {
            found.push(n);
        }
    }
    // The search finds the same.
    let filter = InteractionFilter {
        to_call_back: true,
        ..InteractionFilter::default()
    };
    let searched = database
        .store()
        .search_interactions(filter, 100, None)
        .await
        .unwrap();
    let mut searched: Vec<CallId> = searched.into_iter().map(|one| one.interaction.call_sid).collect();
    searched.sort();
    let mut expected: Vec<CallId> = found.iter().copied().map(call_id).collect();
    expected.sort();
    assert_eq!(searched, expected);
    found
}

async fn with_calls<D: Database>(calls: impl IntoIterator<Item = Delivery>) -> D {
    let database = D::fresh().await;
    apply(database.store(), calls, at(5_000)).await;
    database
}

pub(crate) async fn the_view_of_calls_hides_spam_and_what_vanished<D: Database>() {
    let database = with_calls::<D>([
        post_call(0),
        post_call(1),
        missed_call(2).of("+14045550188"),
        missed_call(3).of("+14045550188"),
    ])
    .await;
    assert_eq!(database.count("select count(*) from crm_calls").await, 4);
    assert_eq!(callbacks(&database, 4).await, [2, 3]);

    apply(database.store(), [tagged(0).with("spam", json!(true))], at(5_001)).await;
    let vanish = format!(
        "update interactions set vanished = true where call_sid = '{}'",
        call_id(3)
    );
    database.execute(&vanish).await;

    let first = database.text("select min(call_sid) from crm_calls").await;
    assert_eq!(first, Some(call_id(1).to_string()));
    assert_eq!(database.count("select count(*) from crm_calls").await, 2);
    assert_eq!(callbacks(&database, 4).await, [2]);
    assert_eq!(database.store().count_interactions().await.unwrap(), 4);
}

pub(crate) async fn missed_calls_and_voicemails_are_to_be_called_back<D: Database>() {
    let database = with_calls::<D>([
        missed_call(0),
        voicemail(1).of("+14045550188"),
        post_call(2).of("+14045550177"),
        outbound_call(3).of("+14045550166").with("answered", json!(false)),
        // Tried again: two rows of one person, both unanswered.
        missed_call(4).starting(60),
    ])
    .await;
    assert_eq!(callbacks(&database, 5).await, [0, 1, 4]);
}

pub(crate) async fn a_caller_who_was_talked_with_since_is_not_called_back<D: Database>() {
    let called_again = "+14045550101";
    let was_called = "+14045550102";
    let was_called_in_vain = "+14045550103";
    let database = with_calls::<D>([
        missed_call(0).of(called_again),
        post_call(1).of(called_again).starting(60),
        voicemail(2).of(was_called),
        outbound_call(3).of(was_called).starting(60),
        missed_call(4).of(was_called_in_vain),
        outbound_call(5)
            .of(was_called_in_vain)
            .starting(60)
            .with("answered", json!(false)),
    ])
    .await;
    assert_eq!(callbacks(&database, 6).await, [4]);
}

pub(crate) async fn a_call_before_the_missed_one_does_not_settle_it<D: Database>() {
    let database = with_calls::<D>([post_call(0).starting(0), missed_call(1).starting(600)]).await;
    assert_eq!(callbacks(&database, 2).await, [1]);
}

pub(crate) async fn a_withheld_caller_cannot_be_called_back<D: Database>() {
    let database = with_calls::<D>([
        missed_call(0).of("anonymous"),
        missed_call(1).of("Restricted"),
        missed_call(2).of(""),
        missed_call(3).of("12"),
    ])
    .await;
    assert_eq!(callbacks(&database, 4).await, [0; 0]);
    assert_eq!(database.count("select count(*) from crm_calls").await, 4);
}

pub(crate) async fn a_withheld_number_that_looks_like_one_cannot_be_called_back<D: Database>() {
    let withheld = [
        "+266696687",
        "+7378742833",
        "+2562533",
        "+8656696",
        "+86282452253",
    ];
    let calls = withheld.iter().enumerate();
    let database = with_calls::<D>(calls.map(|(n, number)| missed_call(n).of(number))).await;
    assert_eq!(callbacks(&database, 5).await, [0; 0]);
}
