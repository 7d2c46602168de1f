//! Runs that people want: what they publish, survive and end with.

use std::time::Duration;

use callrail_simulator::{CallChange, CallState, Fault, RequestKind};
use calls::CallEvent;
use store::ImportState;
use tokio::time::{sleep, timeout};

use crate::bench::{Bench, PATIENCE, ids, now};

/// CallRail gives so many calls with one request.
const PER_PAGE: usize = 250;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_published_once_with_as_few_requests_as_can_be() {
    let bench = Bench::new(1_203).await;
    let run = bench.wanted().await;
    let ended = bench.work(bench.importer(&bench.account.api_key), run.id).await;

    assert_eq!((ended.state, ended.error), (ImportState::Finished, None));
    let events = bench.published().await;
    assert_eq!(ids(&events), bench.calls());
    assert!(events.iter().all(|event| event.import_id == Some(run.id)));
    let counts = bench.store.import_counts(run.id).await.unwrap();
    assert_eq!((counts.total, counts.queued, counts.failed), (1_203, 1_203, 0));
    let windows = 2;
    let requests = bench.api.requests(RequestKind::Calls);
    assert!(
        requests <= (1_203_u64).div_ceil(PER_PAGE as u64) + windows,
        "{requests} requests"
    );
    assert_eq!(ended.pages, requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_marked_as_spam_and_calls_that_go_on_are_told_apart() {
    let bench = Bench::new(30).await;
    let spam = bench.account.calls[3].call_sid.clone();
    let on_the_line = bench.account.calls[29].call_sid.clone();
    assert!(bench.api.change_call(&spam, CallChange::State(CallState::Spam)));
    assert!(
        bench
            .api
            .change_call(&on_the_line, CallChange::State(CallState::InProgress))
    );
    let run = bench.wanted().await;
    bench.work(bench.importer(&bench.account.api_key), run.id).await;

    let events = bench.published().await;
    assert!(!ids(&events).contains(&spam));
    let ended = |event: &&CallEvent| event.call.stage == calls::Stage::Ended;
    let not_over: Vec<_> = events.iter().filter(|event| !ended(event)).collect();
    assert_eq!(not_over.len(), 1);
    assert_eq!(not_over[0].call.call_sid.as_str(), on_the_line);
}

/// What is wrong is in the run's record in words, and nothing is counted that was not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_go_on_is_given_up_and_says_why() {
    for (fault, why) in [
        (
            Fault::Status(500),
            "CallRail's API is not available: it answered 500",
        ),
        (
            Fault::Status(403),
            "CallRail does not allow this to the user whose key it is",
        ),
        (Fault::Status(422), "CallRail refused the request with 422"),
        (
            Fault::Html,
            "CallRail's API is not available: the answer is not JSON",
        ),
        (
            Fault::CutBody,
            "CallRail's API is not available: the answer broke off",
        ),
        (
            Fault::SelfPointingPage,
            "the pages of CallRail's answer do not end",
        ),
        (Fault::EndlessPages, "the pages of CallRail's answer do not end"),
        (
            Fault::ForeignPage("https://example.com/v3/calls".to_owned()),
            "the next page is not at the address of CallRail's API",
        ),
        (
            Fault::Redirect("https://example.com/".to_owned()),
            "CallRail answered with a redirect",
        ),
    ] {
        let bench = Bench::new(300).await;
        bench.api.fail(fault.clone());
        let run = bench.wanted().await;
        let ended = bench.work(bench.importer(&bench.account.api_key), run.id).await;

        assert_eq!(ended.state, ImportState::Failed, "{fault:?}");
        let error = ended.error.unwrap();
        assert!(error.starts_with(why), "{fault:?}: {error}");
        let counts = bench.store.import_counts(run.id).await.unwrap();
        let published = ids(&bench.published().await);
        assert_eq!(counts.total, published.len() as u64, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told() {
    let bench = Bench::new(10).await;
    let run = bench.wanted().await;
    let ended = bench.work(bench.importer("not-the-key"), run.id).await;
    assert_eq!(ended.state, ImportState::Failed);
    let error = ended.error.unwrap();
    assert!(error.starts_with("CallRail does not accept the key"), "{error}");
    assert!(!error.contains("not-the-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_others_and_a_network_that_is_away_are_told() {
    let bench = Bench::new(10).await;
    let (url, account, key) = (
        bench.api.base_url(),
        &bench.account.account_id,
        &bench.account.api_key,
    );
    for (importer, why) in [
        (
            bench.importer_at(&url, "ACC00000000000000000000000000000000", key),
            "CallRail does not allow this to the user whose key it is",
        ),
        (
            // Nobody listens there.
            bench.importer_at("http://127.0.0.1:9/v3", account, key),
            "CallRail's API is not available: ",
        ),
    ] {
        let run = bench.wanted().await;
        let ended = bench.work(importer, run.id).await;
        assert_eq!(ended.state, ImportState::Failed);
        let error = ended.error.unwrap();
        assert!(error.starts_with(why), "{error}");
        assert_eq!(bench.store.import_counts(run.id).await.unwrap().total, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_costs_nothing() {
    for fault in [
        Fault::Status(503),
        Fault::Html,
        Fault::CutBody,
        Fault::TooManyRequests(Some(0)),
    ] {
        let bench = Bench::new(600).await;
        bench.api.fail_next(2, fault.clone());
        let run = bench.wanted().await;
        let mut importer = bench.importer(&bench.account.api_key);
        importer.settings.patience = PATIENCE;
        let ended = bench.work(importer, run.id).await;
        assert_eq!(
            (ended.state, ended.error),
            (ImportState::Finished, None),
            "{fault:?}"
        );
        assert_eq!(ids(&bench.published().await), bench.calls(), "{fault:?}");
    }
}

/// It may last for minutes until a run is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_callrail_says_so() {
    let bench = Bench::new(10).await;
    bench.api.fail(Fault::Status(500));
    let run = bench.wanted().await;
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.patience = PATIENCE;
    let running = Bench::start(importer);
    let told = async {
        loop {
            let now = bench.run(run.id).await;
            if let Some(error) = now.error {
                return (now.state, error);
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let (state, error) = timeout(PATIENCE, told).await.unwrap();
    assert_eq!(state, ImportState::Running);
    assert_eq!(error, "CallRail's API is not available: it answered 500");
    bench.api.recover();
    let done = async {
        while bench.run(run.id).await.state != ImportState::Finished {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, done).await.unwrap();
    assert_eq!(bench.run(run.id).await.error, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_is_left_at_once_though_callrail_hangs() {
    let bench = Bench::new(10).await;
    bench.api.fail(Fault::Hang);
    let run = bench.wanted().await;
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.lease = Duration::from_millis(50);
    let running = Bench::start(importer);
    let leased = async {
        while bench.run(run.id).await.state != ImportState::Running {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, leased).await.unwrap();
    assert!(bench.store.cancel_import(run.id, now()).await.unwrap());

    // The importer is free for the next one.
    bench.api.recover();
    let next = bench.wanted().await;
    let done = async {
        while bench.run(next.id).await.state != ImportState::Finished {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(4), done).await.unwrap();
    assert_eq!(bench.run(run.id).await.state, ImportState::Cancelled);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_importers_one_works_on_a_run_and_another_goes_on_when_it_stops() {
    let bench = Bench::new(2_000).await;
    let run = bench.wanted().await;
    let one = Bench::start(bench.importer(&bench.account.api_key));
    let other = Bench::start(bench.importer(&bench.account.api_key));
    let begun = async {
        while bench.run(run.id).await.pages == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    one.stop().await;
    let ended = bench.work(bench.importer(&bench.account.api_key), run.id).await;
    other.stop().await;

    assert_eq!(ended.state, ImportState::Finished);
    assert_eq!(ids(&bench.published().await), bench.calls());
    // One page at most was read by two.
    let requests = bench.api.requests(RequestKind::Calls);
    assert!(
        requests <= ended.pages + 1,
        "{requests} requests for {} pages",
        ended.pages
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_importer_far_ahead_of_the_writers_waits() {
    let bench = Bench::new(1_000).await;
    let run = bench.wanted().await;
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.max_waiting = 400;
    let running = Bench::start(importer);
    let ahead = async {
        while bench.store.queued_backfill().await.unwrap() <= 400 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, ahead).await.unwrap();
    assert_eq!(bench.run(run.id).await.state, ImportState::Running);

    let events = bench.published().await;
    let rules = calls::MatchRules::default();
    bench.store.apply(events, &rules, now()).await.unwrap();
    let more = async {
        while bench.run(run.id).await.pages < 4 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, more).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_has_lost_is_waited_for_by_nobody() {
    let bench = Bench::new(1_000).await;
    let run = bench.wanted().await;
    let mut importer = bench.importer(&bench.account.api_key);
    importer.settings.max_waiting = 400;
    let running = Bench::start(importer);
    // Taken away as they come, and written by nobody.
    let lost = async {
        while bench.run(run.id).await.pages < 4 {
            bench.published().await;
        }
    };
    timeout(PATIENCE, lost).await.unwrap();
    assert!(bench.store.queued_backfill().await.unwrap() > 400);
    running.stop().await;
}
