//! The reconciler's passes, what it compares CallRail's calls with, and what it finds out.

use calls::{CallId, CompanyId};
use chrono::TimeDelta;
use serde_json::json;
use store::{
    Import, ImportCursor, ImportLease, ImportSource, ImportState, ImportedCall, ImportedPage,
    InteractionFilter, NewImport, Pass, PassMade, Store,
};
use uuid::Uuid;

use super::Database;
use crate::samples::{apply, at, call_id, outbound_call, post_call, pre_call, row, tagged};

const HOLDER: Uuid = Uuid::from_u128(1);

/// The sample's call began in it.
fn pass(hours: i64, every_minutes: i64) -> Pass {
    Pass {
        span: TimeDelta::hours(hours),
        every: TimeDelta::minutes(every_minutes),
        company: None,
    }
}

async fn make(store: &Store, pass: &Pass, seconds: i64) -> PassMade {
    store.make_pass(pass, at(seconds)).await.unwrap()
}

/// A pass of two hours that is being worked on.
async fn running(store: &Store, seconds: i64) -> Import {
    let made = make(store, &pass(2, 15), seconds).await;
    assert!(matches!(made, PassMade::Made(_)), "{made:?}");
    lease(store, ImportSource::Reconcile, seconds).await.unwrap()
}

async fn lease(store: &Store, source: ImportSource, seconds: i64) -> Option<Import> {
    let lease = TimeDelta::minutes(1);
    store
        .lease_import(&[source], HOLDER, at(seconds), lease)
        .await
        .unwrap()
}

async fn finish(store: &Store, run: &Import, seconds: i64) {
    let finished = store.finish_import(run.id, HOLDER, at(seconds)).await.unwrap();
    assert_eq!(finished, ImportLease::Held);
}

async fn save(store: &Store, run: &Import, calls: Vec<ImportedCall>) {
    let page = ImportedPage {
        calls,
        cursor: ImportCursor {
            window_start: run.end,
            next_page: None,
        },
        requests: 1,
    };
    let saved = store.save_import_page(run.id, HOLDER, page).await.unwrap();
    assert_eq!(saved, ImportLease::Held);
}

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

pub(crate) async fn of_several_who_want_a_pass_one_makes_it<D: Database>() {
    let database = D::fresh().await;
    let stores = [database.store().clone(), database.reopen().await];
    let mut making = tokio::task::JoinSet::new();
    for n in 0..12_usize {
        let store = stores[n % 2].clone();
        making.spawn(async move { make(&store, &pass(2, 15), 0).await });
    }
    let made = making.join_all().await;
    let runs: Vec<_> = made
        .iter()
        .filter(|made| matches!(made, PassMade::Made(_)))
        .collect();
    assert_eq!(runs.len(), 1, "{made:?}");
    assert_eq!(stores[0].passes(10).await.unwrap().len(), 1);
}

pub(crate) async fn a_pass_has_its_turn_after_its_time_or_soon_after_a_failure<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let (short, long) = (pass(2, 15), pass(48, 360));
    let company = CompanyId::parse("COM1").unwrap();
    let of_company = Pass {
        company: Some(company.clone()),
        ..long.clone()
    };
    let PassMade::Made(made) = make(store, &of_company, 0).await else {
        panic!("it is the first");
    };
    assert_eq!(
        (made.source, made.company),
        (ImportSource::Reconcile, Some(company))
    );
    assert_eq!((made.start, made.end), (at(-48 * 3_600), at(0)));
    assert_eq!(made.state, ImportState::Waiting);
    // It goes on.
    assert_eq!(make(store, &short, 3_600).await, PassMade::NotBefore(at(3_660)));
    let run = lease(store, ImportSource::Reconcile, 3_600).await.unwrap();
    finish(store, &run, 3_700).await;
    // It has read what the short one would; the next long one comes later.
    assert_eq!(make(store, &short, 100).await, PassMade::NotBefore(at(900)));
    assert_eq!(
        make(store, &long, 3_600).await,
        PassMade::NotBefore(at(6 * 3_600))
    );
    let run = running(store, 3_800).await;
    let failed = store
        .fail_import(run.id, HOLDER, "no key", at(3_801))
        .await
        .unwrap();
    assert_eq!(failed, ImportLease::Held);
    assert_eq!(
        make(store, &short, 3_802).await,
        PassMade::NotBefore(at(3_800 + 900))
    );
    let turn = make(store, &long, 6 * 3_600).await;
    assert!(matches!(turn, PassMade::Made(_)), "{turn:?}");
    let states: Vec<_> = store
        .passes(2)
        .await
        .unwrap()
        .iter()
        .map(|run| run.state)
        .collect();
    assert_eq!(states, [ImportState::Waiting, ImportState::Failed]);
}

pub(crate) async fn passes_are_apart_from_what_people_want<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let pass = running(store, 0).await;
    let wanted = NewImport {
        source: ImportSource::Api,
        start: at(-100),
        end: at(0),
        company: None,
    };
    let wanted = store.create_import(wanted, at(1)).await.unwrap();
    assert_eq!(
        store.imports(10, None).await.unwrap(),
        std::slice::from_ref(&wanted)
    );
    assert_eq!(store.passes(10).await.unwrap(), std::slice::from_ref(&pass));
    // A lease that has run out is taken by those only who want such a run.
    assert_eq!(lease(store, ImportSource::Cli, 1_000).await, None);
    let leased = lease(store, ImportSource::Api, 1_000).await.unwrap();
    assert_eq!(leased.id, wanted.id);
    let leased = lease(store, ImportSource::Reconcile, 1_000).await.unwrap();
    assert_eq!(leased.id, pass.id);

    for run in [&pass, &wanted] {
        finish(store, run, 1_001).await;
    }
    let forgotten = store
        .forget_imports(ImportSource::Reconcile, at(2_000))
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(store.passes(10).await.unwrap(), []);
    assert_eq!(store.imports(10, None).await.unwrap().len(), 1);
}

pub(crate) async fn what_is_known_of_a_call_tells_whether_a_state_is_news<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let imported = post_call(1).imported().received(500);
    apply(store, [post_call(1), imported.clone()], at(501)).await;
    apply(store, [pre_call(2)], at(501)).await;
    apply(store, [post_call(3), tagged(3).received(201)], at(501)).await;
    // A ring that comes late says nothing new of the end.
    apply(store, [pre_call(1).received(600)], at(601)).await;
    let known = async |n: usize| {
        let calls = (1..=9).map(call_id).collect();
        store.known_calls(calls).await.unwrap().remove(&call_id(n))
    };
    let state = imported.clone().event();
    let call = known(1).await.unwrap();
    assert_eq!(call.last_seen.as_ref(), Some(&state.digest()));
    assert_eq!((call.has_row, call.vanished, call.reread), (true, false, false));
    assert!(!call.is_news(&state));
    assert!(call.is_news(&post_call(1).event()));
    let call = known(2).await.unwrap();
    assert_eq!((call.last_seen, call.has_row), (None, false));
    let call = known(3).await.unwrap();
    assert!(call.reread && call.is_news(&tagged(3).event()));
    assert_eq!(known(4).await, None);
    assert!(store.known_calls(Vec::new()).await.unwrap().is_empty());

    // Somebody has tagged the call, and taken the tag away again.
    apply(store, [tagged(1).received(700)], at(701)).await;
    assert!(known(1).await.unwrap().is_news(&state));
    apply(store, [imported.received(800)], at(801)).await;
    assert!(!known(1).await.unwrap().is_news(&state));
    store.set_vanished(vec![call_id(1)], true, at(900)).await.unwrap();
    assert!(known(1).await.unwrap().vanished);
}

pub(crate) async fn calls_that_are_shown_and_that_a_pass_did_not_meet_are_found<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let company = CompanyId::parse("COM1").unwrap();
    let of_company = |n| post_call(n).with("company_resource_id", json!("COM1"));
    let spam = post_call(5).with("spam", json!(true));
    let calls = [
        post_call(1),
        of_company(2).starting(-1),
        post_call(3),
        post_call(4),
        spam,
        // Before the pass, and after it.
        post_call(6).starting(-7_200),
        post_call(7).starting(3_600),
        pre_call(8),
    ];
    apply(store, calls, at(300)).await;
    store.set_vanished(vec![call_id(3)], true, at(301)).await.unwrap();
    let mut run = running(store, 3_600).await;
    let met = vec![ImportedCall::Known(call_id(4))];
    save(store, &run, met).await;
    let counts = store.import_counts(run.id).await.unwrap();
    assert_eq!((counts.total, counts.stored), (1, 1));
    assert_eq!(
        store.unlisted_calls(&run).await.unwrap(),
        [call_id(2), call_id(1)]
    );
    run.company = Some(company);
    assert_eq!(store.unlisted_calls(&run).await.unwrap(), [call_id(2)]);
}

pub(crate) async fn the_gap_is_what_no_webhook_has_told<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let gap = async |start, end, over| store.gap(at(start), at(end), at(over)).await.unwrap();
    let import = |n, began| post_call(n).starting(began).imported().received(50_000);
    apply(store, [import(1, -9_000), import(2, 1_000)], at(50_001)).await;
    assert_eq!(gap(-9_999, 9_999, 60_000).await, None);

    let by_webhook = [
        outbound_call(3).starting(0),
        // Of this one the first word was a change.
        tagged(4).starting(2_000).received(2_300),
        // It rang, and then nothing came.
        pre_call(5).starting(3_000).received(3_001),
    ];
    apply(store, by_webhook, at(4_000)).await;
    assert_eq!(gap(-9_999, 9_999, 60_000).await, Some(1), "the second call");
    let later = [import(3, 0), import(4, 2_000), import(5, 3_000), import(6, 8_000)];
    apply(store, later, at(50_002)).await;
    assert_eq!(gap(-9_999, 9_999, 60_000).await, Some(3));
    // 184 s long.
    assert_eq!(gap(-9_999, 9_999, 8_184).await, Some(2));
    assert_eq!(gap(-9_999, 9_999, 8_185).await, Some(3));
    assert_eq!(gap(1_001, 8_000, 60_000).await, Some(1));
    let month = 31 * 86_400;
    assert_eq!(gap(month, month + 1, month).await, None);
}
