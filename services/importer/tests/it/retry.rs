//! Calls of a run that failed, read alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use callrail::client::{Budget, Permission, Unlimited, Usage};
use callrail_simulator::{Fault, RequestKind};
use chrono::TimeDelta;
use store::{FailedCall, Import, ImportCursor, ImportRetry, ImportState, ImportedCall, ImportedPage};
use uuid::Uuid;

use crate::bench::{Bench, PATIENCE, ids, now};

fn failed(call_sid: &str) -> FailedCall {
    FailedCall {
        call_sid: call_sid.to_owned(),
        reason: "`start_time` is missing or unreadable".to_owned(),
    }
}

/// A run that was read to its end, of which these calls could not be read.
async fn finished(bench: &Bench, calls: &[&str]) -> Import {
    let run = bench.wanted().await;
    let holder = Uuid::now_v7();
    let lease = TimeDelta::minutes(1);
    let leased = bench
        .store
        .lease_import(&[run.source], holder, now(), lease)
        .await;
    assert_eq!(leased.unwrap().unwrap().id, run.id);
    let page = ImportedPage {
        calls: calls
            .iter()
            .map(|call| ImportedCall::Failed(failed(call)))
            .collect(),
        cursor: ImportCursor {
            window_start: run.end,
            next_page: None,
        },
        requests: 1,
    };
    let _ = bench.store.save_import_page(run.id, holder, page).await.unwrap();
    let _ = bench.store.finish_import(run.id, holder, now()).await.unwrap();
    assert_eq!(
        bench.store.retry_import(run.id).await.unwrap(),
        ImportRetry::Waiting
    );
    run
}

/// Counts what is asked for.
#[derive(Debug, Default)]
struct Counted(AtomicU32);

impl Budget for Counted {
    fn permit(&self) -> Permission<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Unlimited.permit()
    }

    fn report(&self, usage: Usage) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Unlimited.report(usage)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_calls_are_read_one_by_one_and_nothing_else_is() {
    let bench = Bench::new(60).await;
    let readable: Vec<&str> = bench.account.calls[..45]
        .iter()
        .map(|call| call.call_sid.as_str())
        .collect();
    // One that CallRail does not know, and one that has only a name of our making.
    let others = ["CALunknown", "0f0f0f"];
    let run = finished(&bench, &[&readable[..], &others].concat()).await;
    let budget = Arc::new(Counted::default());
    let mut importer = bench.importer("not-the-key");
    importer.backfill = bench.client(&bench.account.api_key, budget.clone());
    let ended = bench.work(importer, run.id).await;

    assert_eq!((ended.state, ended.error), (ImportState::Finished, None));
    assert_eq!((ended.pages, ended.requests), (1, 1 + 46));
    let events = bench.published().await;
    assert_eq!(ids(&events).len(), 45);
    assert!(events.iter().all(|event| event.import_id == Some(run.id)));
    assert_eq!(bench.api.requests(RequestKind::Calls), 0);
    // And the account.
    assert_eq!(budget.0.load(Ordering::SeqCst), 47);

    let counts = bench.store.import_counts(run.id).await.unwrap();
    assert_eq!((counts.total, counts.queued, counts.failed), (47, 45, 2));
    let left = bench.store.failed_import_calls(run.id, 10, None).await.unwrap();
    let unknown = FailedCall {
        reason: "CallRail does not know the call any more".to_owned(),
        ..failed("CALunknown")
    };
    assert_eq!(left, [failed("0f0f0f"), unknown]);

    bench
        .store
        .apply(events, &calls::MatchRules::default(), now())
        .await
        .unwrap();
    let counts = bench.store.import_counts(run.id).await.unwrap();
    assert_eq!((counts.total, counts.stored, counts.failed), (47, 45, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_survives_an_outage_and_one_that_is_given_up_can_be_repeated() {
    let bench = Bench::new(30).await;
    let calls = bench.account.calls.iter();
    let calls: Vec<&str> = calls.map(|call| call.call_sid.as_str()).collect();
    let run = finished(&bench, &calls).await;
    bench.api.fail(Fault::Status(500));
    let ended = bench.work(bench.importer(&bench.account.api_key), run.id).await;
    assert_eq!(ended.state, ImportState::Failed);
    assert_eq!(bench.published().await.len(), 0);

    assert_eq!(
        bench.store.retry_import(run.id).await.unwrap(),
        ImportRetry::Waiting
    );
    bench.api.recover();
    bench.api.fail_next(2, Fault::CutBody);
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.patience = PATIENCE;
    let ended = bench.work(importer, run.id).await;
    assert_eq!((ended.state, ended.error), (ImportState::Finished, None));
    assert_eq!(ids(&bench.published().await), bench.calls());
}
