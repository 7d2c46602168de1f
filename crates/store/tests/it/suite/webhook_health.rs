//! Whether webhooks come.

use store::{IntegrationSeen, Quiet, WebhookHealth, WebhooksCounted};

use super::Database;
use crate::samples::{apply, at, post_call, pre_call};

const HOUR: i64 = 3_600;
const WEEK: i64 = 7 * 24 * HOUR;

pub(crate) async fn what_the_reconciler_found_last_is_there_for_all<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    assert_eq!(store.webhook_health().await.unwrap(), WebhookHealth::default());

    let mut counted = WebhooksCounted {
        counted_at: at(10),
        gap: Some(3),
        silent_since: Some(at(0)),
    };
    store.note_webhooks_counted(counted.clone()).await.unwrap();
    let health = database.reopen().await.webhook_health().await.unwrap();
    assert_eq!(health.counted.as_ref(), Some(&counted));
    assert_eq!(health.integration, None);

    let seen = IntegrationSeen {
        checked_at: at(20),
        state: "disabled".to_owned(),
    };
    store.note_integration(seen.clone()).await.unwrap();
    counted = WebhooksCounted {
        counted_at: at(30),
        gap: None,
        silent_since: None,
    };
    store.note_webhooks_counted(counted.clone()).await.unwrap();
    let health = database.reopen().await.webhook_health().await.unwrap();
    assert_eq!(health.counted, Some(counted));
    assert_eq!(health.integration, Some(seen));
}

pub(crate) async fn the_quiet_is_measured_by_the_four_weeks_before<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let quiet = async |now, until| store.quiet(at(now), at(until)).await.unwrap();
    let imported = |n, began| post_call(n).starting(began).imported().received(began + 600);
    assert_eq!(quiet(HOUR, HOUR).await, None);

    // In the hour after: 3 calls a week before, 5 two weeks before, 1 four weeks before; and one at each edge.
    let mut calls = Vec::new();
    for (weeks, minutes) in [(1, [10, 20, 50].as_slice()), (2, &[1, 2, 3, 4, 59]), (4, &[30])] {
        let began = |minutes: &i64| minutes * 60 - weeks * WEEK;
        calls.extend(minutes.iter().map(began));
        calls.extend([began(&0), began(&60)]);
    }
    calls.extend([HOUR / 2, HOUR + 1]);
    let events: Vec<_> = calls
        .into_iter()
        .enumerate()
        .map(|(n, began)| imported(100 + n, began))
        .collect();
    apply(store, events, at(2 * HOUR)).await;
    assert_eq!(quiet(HOUR, HOUR).await, None, "no webhook has told of a call");

    let told = [
        post_call(1).starting(0),
        post_call(2).starting(-HOUR),
        // It rang, and then nothing came.
        pre_call(3).starting(HOUR / 2),
    ];
    apply(store, told, at(2 * HOUR)).await;
    let since = at(0);
    let (calls, usual) = (1, 2);
    assert_eq!(quiet(HOUR, HOUR).await, Some(Quiet { since, calls, usual }));
    let (calls, usual) = (0, 1);
    assert_eq!(quiet(HOUR, HOUR / 4).await, Some(Quiet { since, calls, usual }));
    // Who told of a call within the last minutes is not quiet.
    let (calls, usual) = (0, 0);
    assert_eq!(quiet(HOUR, -HOUR / 2).await, Some(Quiet { since, calls, usual }));
    assert_eq!(quiet(4 * WEEK + 1, 4 * WEEK).await, None, "it is too long ago");
}
