//! What could not be worked on can be seen, tried once more, and put aside.

use trunkline_tests::{Installation, Told, eventually, sample};

#[tokio::test]
async fn a_call_that_came_to_an_unknown_url_is_stored_by_a_replay() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let call = sample("post_call_answered.json");
    let answer = trunkline
        .post_signed("after-call", call.body, &call.signature)
        .await;
    assert_eq!(answer.status, 200);
    trunkline.settle().await;
    assert!(
        trunkline
            .row("CAL01a1fa577dac70f6b1ca1ddba8db3bcf")
            .await
            .is_none()
    );
    let id = only_id(&trunkline).await;

    let shown = succeeds(trunkline.run(&["dead-letters", "show", &id]).await);
    assert!(
        shown.contains("no kind of call webhook") && shown.contains("+14045550123"),
        "{shown}"
    );

    let replayed = succeeds(trunkline.run(&["dead-letters", "replay", &id]).await);
    assert_eq!(replayed, "1 replayed, 0 could not be.\n");
    let stored = eventually(|| async { trunkline.row("CAL01a1fa577dac70f6b1ca1ddba8db3bcf").await });
    assert!(stored.await.is_some());
    let list = succeeds(trunkline.run(&["dead-letters", "list"]).await);
    assert_eq!(list, "No dead letters wait.\n");
    let all = succeeds(trunkline.run(&["dead-letters", "list", "--all"]).await);
    assert!(all.contains(&id) && all.contains("[replayed]"), "{all}");
}

#[tokio::test]
async fn what_is_no_call_cannot_be_replayed_but_discarded() {
    let trunkline = Installation::new();
    let _running = trunkline.start("run").await;
    let text = sample("text_message_received.json");
    trunkline
        .post_signed("post-call", text.body, &text.signature)
        .await;
    trunkline.settle().await;
    let id = only_id(&trunkline).await;

    let replayed = trunkline.run(&["dead-letters", "replay", "--all"]).await;
    assert_eq!(replayed.code, 1, "{replayed:?}");
    assert!(replayed.out.contains("it still cannot be read"), "{replayed:?}");
    assert!(
        replayed.out.ends_with("0 replayed, 1 could not be.\n"),
        "{replayed:?}"
    );

    let discarded = succeeds(trunkline.run(&["dead-letters", "discard", &id]).await);
    assert_eq!(discarded, "1 discarded.\n");
    assert_eq!(trunkline.dead_letters().await, []);
}

#[tokio::test]
async fn an_id_that_is_none_is_told_with_what_to_do() {
    let trunkline = Installation::new();
    succeeds(trunkline.run(&["migrate"]).await);
    let unknown = "01a20523-2eb2-708a-8755-64dc45070f6b";
    let told = trunkline.run(&["dead-letters", "show", unknown]).await;
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("`trunkline dead-letters list`"), "{told:?}");
    let nothing = trunkline.run(&["dead-letters", "replay"]).await;
    assert_eq!(nothing.code, 2, "what to replay must be said: {nothing:?}");
}

fn succeeds(told: Told) -> String {
    assert_eq!(told.code, 0, "{told:?}");
    told.out
}

/// The id of the only dead letter, as the list shows it.
async fn only_id(trunkline: &Installation) -> String {
    let list = succeeds(trunkline.run(&["dead-letters", "list"]).await);
    assert_eq!(list.lines().count(), 1, "{list}");
    list.split_whitespace().next().unwrap().to_owned()
}
