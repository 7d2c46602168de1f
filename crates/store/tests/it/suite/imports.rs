//! Import runs, who works on them, and what became of their calls.

use std::collections::HashSet;

use calls::{CompanyId, ContactKind, ContactRef, MatchRules};
use chrono::TimeDelta;
use store::{
    DeadLetter, DeadLetterState, FailedCall, Import, ImportCounts, ImportCursor, ImportLease, ImportRetry,
    ImportSource, ImportState, ImportedCall, ImportedPage, NewImport, RetriedCalls, Store, StoreError,
};
use uuid::Uuid;

use super::Database;
use crate::samples::{CALLER, Delivery, apply, at, call_id, contact, lead, number, post_call, row};

const LEASE: TimeDelta = TimeDelta::seconds(60);
const HOLDER: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn week() -> NewImport {
    NewImport {
        source: ImportSource::Api,
        start: at(-7 * 86_400),
        end: at(0),
        company: None,
    }
}

async fn create(store: &Store, seconds: i64) -> Uuid {
    store.create_import(week(), at(seconds)).await.unwrap().id
}

async fn find(store: &Store, id: Uuid) -> Import {
    store.import(id).await.unwrap().unwrap()
}

async fn lease(store: &Store, holder: Uuid, seconds: i64) -> Option<Import> {
    let sources = [ImportSource::Api, ImportSource::Cli];
    store
        .lease_import(&sources, holder, at(seconds), LEASE)
        .await
        .unwrap()
}

/// A run on which the first holder is at work.
async fn running(store: &Store) -> Uuid {
    create(store, 0).await;
    lease(store, HOLDER, 0).await.unwrap().id
}

fn cursor(days: i64, next_page: Option<&str>) -> ImportCursor {
    ImportCursor {
        window_start: at(days * 86_400),
        next_page: next_page.map(str::to_owned),
    }
}

fn queued(calls: impl IntoIterator<Item = usize>) -> ImportedPage {
    ImportedPage {
        calls: calls
            .into_iter()
            .map(|n| ImportedCall::Queued(call_id(n)))
            .collect(),
        cursor: cursor(-7, Some("2")),
        requests: 1,
    }
}

fn failed(call_sid: &str, reason: &str) -> FailedCall {
    FailedCall {
        call_sid: call_sid.to_owned(),
        reason: reason.to_owned(),
    }
}

async fn save(store: &Store, id: Uuid, page: ImportedPage) {
    let lease = store.save_import_page(id, HOLDER, page).await.unwrap();
    assert_eq!(lease, ImportLease::Held);
}

async fn counts(store: &Store, id: Uuid) -> ImportCounts {
    store.import_counts(id).await.unwrap()
}

/// Total, queued, stored, failed.
async fn progress(store: &Store, id: Uuid) -> [u64; 4] {
    let counts = counts(store, id).await;
    [counts.total, counts.queued, counts.stored, counts.failed]
}

fn letter(n: usize, import_id: Uuid, reason: &str) -> DeadLetter {
    DeadLetter {
        id: Uuid::from_u128(n as u128),
        queue: "calls.backfill".to_owned(),
        reason: reason.to_owned(),
        event_id: Some(Uuid::from_u128(100)),
        call_sid: Some(call_id(n)),
        import_id: Some(import_id),
        attempts: 5,
        first_failed_at: at(0),
        last_failed_at: at(1),
        body: Vec::new(),
    }
}

pub(crate) async fn a_run_is_found_and_listed_as_it_was_made<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let new = NewImport {
        source: ImportSource::Cli,
        company: Some(CompanyId::parse("COM1").unwrap()),
        ..week()
    };
    let made = store.create_import(new.clone(), at(5)).await.unwrap();
    let expected = Import {
        id: made.id,
        source: ImportSource::Cli,
        start: new.start,
        end: new.end,
        company: new.company,
        state: ImportState::Waiting,
        created_at: at(5),
        started_at: None,
        finished_at: None,
        error: None,
        cursor: None,
        pages: 0,
        requests: 0,
        retrying: false,
    };
    assert_eq!(made, expected);
    assert_eq!(made.id.get_version_num(), 7);
    assert_eq!(find(&database.reopen().await, made.id).await, expected);
    assert_eq!(store.import(OTHER).await.unwrap(), None);

    // Two of them at the same time.
    let mut ids = vec![
        create(store, 7).await,
        create(store, 6).await,
        create(store, 6).await,
        made.id,
    ];
    ids[1..3].sort_unstable_by(|a, b| b.cmp(a));
    let listed = async |limit, before| -> Vec<Uuid> {
        let runs = store.imports(limit, before).await.unwrap();
        runs.iter().map(|run| run.id).collect()
    };
    assert_eq!(listed(10, None).await, ids);
    assert_eq!(listed(2, None).await, ids[..2]);
    assert_eq!(listed(2, Some(ids[1])).await, ids[2..]);
    assert!(listed(2, Some(ids[3])).await.is_empty());
    assert!(listed(2, Some(OTHER)).await.is_empty());
}

pub(crate) async fn a_range_that_ends_before_it_starts_is_refused<D: Database>() {
    let database = D::fresh().await;
    let backwards = NewImport {
        end: week().start,
        ..week()
    };
    let refused = database.store().create_import(backwards, at(0)).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    assert_eq!(database.store().imports(10, None).await.unwrap(), []);
}

pub(crate) async fn of_many_importers_each_gets_a_run_of_its_own<D: Database>() {
    let database = D::fresh().await;
    let stores = [database.store().clone(), database.reopen().await];
    let mut made = HashSet::new();
    for seconds in 0..4 {
        made.insert(create(&stores[0], seconds).await);
    }
    let mut leasing = tokio::task::JoinSet::new();
    for importer in 0..12_usize {
        let store = stores[importer % 2].clone();
        let holder = Uuid::from_u128(importer as u128 + 1);
        leasing.spawn(async move {
            // Who finds none because others have just locked them looks again.
            let mut run = lease(&store, holder, 10).await;
            for _ in 0..3 {
                run = match run {
                    None => lease(&store, holder, 10).await,
                    Some(_) => break,
                };
            }
            run
        });
    }
    let leased: Vec<Import> = leasing.join_all().await.into_iter().flatten().collect();
    assert_eq!(leased.len(), 4);
    let ids: HashSet<Uuid> = leased.iter().map(|run| run.id).collect();
    assert_eq!(ids, made);
    for run in leased {
        assert_eq!((run.state, run.started_at), (ImportState::Running, Some(at(10))));
    }
    assert_eq!(lease(&stores[0], OTHER, 69).await, None);
}

pub(crate) async fn a_run_whose_importer_is_gone_goes_on_where_it_was<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let (older, newer) = (create(store, 0).await, create(store, 1).await);
    assert_eq!(lease(store, HOLDER, 10).await.unwrap().id, older);
    let page = ImportedPage {
        cursor: cursor(-3, Some("https://api.callrail.com/v3/a/1/calls?page=…")),
        requests: 2,
        ..queued([1, 2])
    };
    save(store, older, page.clone()).await;
    assert_eq!(lease(store, OTHER, 11).await.unwrap().id, newer);
    assert_eq!(lease(store, OTHER, 69).await, None);

    let taken = lease(&database.reopen().await, OTHER, 70).await.unwrap();
    assert_eq!(taken.id, older);
    assert_eq!(taken.cursor, Some(page.cursor));
    assert_eq!((taken.pages, taken.requests), (1, 2));
    assert_eq!(taken.started_at, Some(at(10)));
}

pub(crate) async fn a_lease_is_kept_by_renewing_and_given_back_by_a_lease_of_zero<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let renew = async |seconds, lease| store.renew_import(id, HOLDER, at(seconds), lease).await.unwrap();
    assert_eq!(renew(50, LEASE).await, ImportLease::Held);
    assert_eq!(lease(store, OTHER, 109).await, None);
    // Late, but nobody has taken it.
    assert_eq!(renew(200, LEASE).await, ImportLease::Held);
    assert_eq!(lease(store, OTHER, 201).await, None);

    assert_eq!(renew(210, TimeDelta::zero()).await, ImportLease::Held);
    assert_eq!(lease(store, OTHER, 210).await.unwrap().id, id);
    assert_eq!(renew(211, LEASE).await, ImportLease::Lost);
}

pub(crate) async fn who_has_lost_a_run_changes_nothing<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let before = lease(store, OTHER, 60).await.unwrap();
    assert_eq!(before.id, id);

    let answers = [
        store.save_import_page(id, HOLDER, queued([1])).await.unwrap(),
        store.finish_import(id, HOLDER, at(61)).await.unwrap(),
        store.fail_import(id, HOLDER, "mine", at(61)).await.unwrap(),
    ];

    assert_eq!(answers, [ImportLease::Lost; 3]);
    assert_eq!(find(store, id).await, before);
    assert_eq!(counts(store, id).await, ImportCounts::default());
    let unknown = store.save_import_page(OTHER, HOLDER, queued([1])).await.unwrap();
    assert_eq!(unknown, ImportLease::Over);
    assert_eq!(database.count("select count(*) from import_calls").await, 0);
}

pub(crate) async fn a_cancelled_run_takes_no_page<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    save(store, id, queued([1])).await;
    assert!(store.cancel_import(id, at(20)).await.unwrap());
    assert!(!store.cancel_import(id, at(21)).await.unwrap());

    let page = store.save_import_page(id, HOLDER, queued([2])).await.unwrap();
    assert_eq!(page, ImportLease::Over);
    let renewed = store.renew_import(id, HOLDER, at(22), LEASE).await.unwrap();
    assert_eq!(renewed, ImportLease::Over);
    assert_eq!(lease(store, OTHER, 1_000).await, None);
    let run = find(store, id).await;
    assert_eq!(
        (run.state, run.finished_at),
        (ImportState::Cancelled, Some(at(20)))
    );
    // What is on its way arrives all the same.
    apply(store, [post_call(1).imported_by(id)], at(300)).await;
    assert_eq!(progress(store, id).await, [1, 0, 1, 0]);

    let waiting = create(store, 30).await;
    assert!(store.cancel_import(waiting, at(31)).await.unwrap());
    assert!(!store.cancel_import(OTHER, at(31)).await.unwrap());
}

pub(crate) async fn a_run_that_is_given_up_says_why<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let lease_after = store
        .fail_import(id, HOLDER, "CallRail refuses the key\0", at(9))
        .await
        .unwrap();
    assert_eq!(lease_after, ImportLease::Held);
    let run = find(store, id).await;
    assert_eq!((run.state, run.finished_at), (ImportState::Failed, Some(at(9))));
    assert_eq!(run.error.as_deref(), Some("CallRail refuses the key\u{fffd}"));
    assert_eq!(lease(store, OTHER, 1_000).await, None);
    assert!(!store.cancel_import(id, at(10)).await.unwrap());
}

pub(crate) async fn what_a_run_waits_for_is_told_until_its_next_page<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let note = async |holder| {
        let noted = store.note_import_trouble(id, holder, "CallRail is away\0").await;
        noted.unwrap()
    };
    assert_eq!(note(OTHER).await, ImportLease::Lost);
    assert_eq!(find(store, id).await.error, None);
    assert_eq!(note(HOLDER).await, ImportLease::Held);
    let run = find(store, id).await;
    assert_eq!(run.state, ImportState::Running);
    assert_eq!(run.error.as_deref(), Some("CallRail is away\u{fffd}"));
    save(store, id, queued([1])).await;
    assert_eq!(find(store, id).await.error, None);
}

pub(crate) async fn a_call_is_one_row_however_often_it_is_met<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let mut page = queued([3, 1, 2, 1]);
    page.calls.push(ImportedCall::Failed(failed("-1", "no id")));
    page.calls
        .push(ImportedCall::Failed(failed(&"x".repeat(500), "no\0id")));
    save(store, id, page.clone()).await;
    page.calls.reverse();
    save(store, id, page).await;
    save(store, id, queued([2, 4])).await;
    assert_eq!(progress(store, id).await, [6, 4, 0, 2]);
    assert_eq!(find(store, id).await.pages, 3);
}

pub(crate) async fn a_call_is_stored_whether_its_page_is_saved_before_or_after<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let import = |n: usize| post_call(n).imported_by(id);
    // Twice in one batch, and beside a webhook.
    apply(
        store,
        [import(1), import(1).received(900), post_call(9)],
        at(1_000),
    )
    .await;
    assert_eq!(progress(store, id).await, [1, 0, 1, 0]);
    save(store, id, queued([1, 2, 3])).await;
    assert_eq!(progress(store, id).await, [3, 2, 1, 0]);
    apply(store, [import(2)], at(1_001)).await;
    assert_eq!(progress(store, id).await, [3, 1, 2, 0]);
    // A webhook says nothing of the run.
    apply(store, [post_call(3)], at(1_002)).await;
    assert_eq!(progress(store, id).await, [3, 1, 2, 0]);
    // Redelivered.
    apply(store, [import(2), import(3)], at(1_003)).await;
    assert_eq!(progress(store, id).await, [3, 0, 3, 0]);
}

pub(crate) async fn a_page_that_was_published_but_not_saved_is_read_again<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let import = |n: usize| post_call(n).imported_by(id);
    save(store, id, queued([1])).await;
    let before = find(store, id).await.cursor;
    // The second page is published; then the importer dies.
    apply(store, [import(1), import(2), import(3)], at(1_000)).await;

    let again = lease(store, OTHER, 60).await.unwrap();
    assert_eq!((again.id, again.cursor), (id, before));
    // Meanwhile CallRail has one more call on that page.
    apply(store, [import(2), import(3), import(4)], at(1_001)).await;
    let page = ImportedPage {
        cursor: cursor(0, None),
        ..queued([2, 3, 4])
    };
    assert_eq!(
        store.save_import_page(id, OTHER, page).await.unwrap(),
        ImportLease::Held
    );
    assert_eq!(progress(store, id).await, [4, 0, 4, 0]);
    assert_eq!(find(store, id).await.pages, 2);
}

pub(crate) async fn a_dead_letter_fails_its_call_until_it_is_replayed<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let webhook = DeadLetter {
        import_id: None,
        ..letter(7, id, "of a webhook")
    };
    // Before its page is saved.
    let letters = vec![letter(1, id, "the disk\0"), webhook];
    store.save_dead_letters(letters).await.unwrap();
    save(store, id, queued([1, 2])).await;
    assert_eq!(progress(store, id).await, [2, 1, 0, 1]);
    let letters = vec![letter(2, id, "a check")];
    store.save_dead_letters(letters.clone()).await.unwrap();
    let failed_now = store.failed_import_calls(id, 10, None).await.unwrap();
    let expected = [
        failed(call_id(1).as_str(), "the disk\u{fffd}"),
        failed(call_id(2).as_str(), "a check"),
    ];
    assert_eq!(failed_now, expected);

    apply(store, [post_call(2).imported_by(id)], at(1_000)).await;
    assert_eq!(progress(store, id).await, [2, 0, 1, 1]);
    // Delivered once more.
    store.save_dead_letters(letters).await.unwrap();
    assert_eq!(progress(store, id).await, [2, 0, 1, 1]);
    assert_eq!(
        store.failed_import_calls(id, 10, None).await.unwrap(),
        expected[..1]
    );
    let reason = format!(
        "select reason from import_calls where call_sid = '{}'",
        call_id(2)
    );
    assert_eq!(database.text(&reason).await, None);
}

pub(crate) async fn a_run_is_complete_once_nothing_is_on_its_way<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let is_complete = async || {
        let run = find(store, id).await;
        run.is_complete(&counts(store, id).await)
    };
    assert!(!is_complete().await, "nothing was read yet");
    save(store, id, queued([1, 2])).await;
    let finished = store.finish_import(id, HOLDER, at(90)).await.unwrap();
    assert_eq!(finished, ImportLease::Held);
    let run = find(store, id).await;
    assert_eq!(
        (run.state, run.finished_at),
        (ImportState::Finished, Some(at(90)))
    );
    assert_eq!(lease(store, OTHER, 1_000).await, None);
    assert!(!is_complete().await);
    apply(store, [post_call(1).imported_by(id)], at(300)).await;
    assert!(!is_complete().await);
    store
        .save_dead_letters(vec![letter(2, id, "a check")])
        .await
        .unwrap();
    assert!(is_complete().await);
}

pub(crate) async fn counts_tell_who_was_matched<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let people = vec![
        lead("1", &[&number(1)]),
        contact(ContactKind::Lead, "2", 0, &[CALLER]),
        contact(ContactKind::Customer, "3", 0, &[CALLER]),
    ];
    store
        .save_contacts(people, &MatchRules::default(), at(0))
        .await
        .unwrap();
    let id = running(store).await;
    save(store, id, queued(1..=7)).await;
    let import = |n: usize, number: &str| -> Delivery { post_call(n).of(number).imported_by(id) };
    let calls = [
        import(1, &number(1)),
        import(2, &number(2)),
        import(3, CALLER),
        import(4, CALLER),
        import(5, "anonymous"),
        // Of another run, and of none.
        post_call(8).imported_by(OTHER),
        post_call(9),
    ];
    apply(store, calls, at(300)).await;
    // A webhook was here before the import.
    apply(store, [post_call(6)], at(301)).await;
    database
        .execute(&format!(
            "update interactions set lead_id = '2', customer_id = null where call_sid = '{}'",
            call_id(4)
        ))
        .await;
    apply(store, [import(4, CALLER).received(500)], at(501)).await;

    let expected = ImportCounts {
        total: 7,
        queued: 2,
        stored: 5,
        failed: 0,
        matched: 2,
        unmatched: 2,
        ambiguous: 1,
    };
    assert_eq!(counts(store, id).await, expected);
    let candidates = row(store, 3).await.unwrap().link.candidates;
    let best = ContactRef {
        kind: ContactKind::Customer,
        id: "3".to_owned(),
    };
    assert_eq!(candidates.first(), Some(&best));
}

pub(crate) async fn calls_that_failed_and_calls_on_their_way_are_listed<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let id = running(store).await;
    let mut page = queued(1..=5);
    for name in ["CALB", "CALA", "CALC"] {
        page.calls.push(ImportedCall::Failed(failed(name, "no start")));
    }
    save(store, id, page).await;
    apply(store, [post_call(2).imported_by(id)], at(300)).await;
    create(store, 1).await;
    let other = lease(store, HOLDER, 1).await.unwrap().id;
    save(store, other, queued(1..=10)).await;

    let failed_calls = async |limit, after: Option<&str>| {
        let calls = store.failed_import_calls(id, limit, after).await.unwrap();
        calls.into_iter().map(|call| call.call_sid).collect::<Vec<_>>()
    };
    assert_eq!(failed_calls(2, None).await, ["CALA", "CALB"]);
    assert_eq!(failed_calls(2, Some("CALB")).await, ["CALC"]);
    assert_eq!(failed_calls(2, Some("CALC")).await, [""; 0]);
    let on_their_way = store.queued_import_calls(id, 3, None).await.unwrap();
    assert_eq!(on_their_way, [call_id(1), call_id(3), call_id(4)]);
    let more = store
        .queued_import_calls(id, 3, on_their_way.last())
        .await
        .unwrap();
    assert_eq!(more, [call_id(5)]);
    assert_eq!(store.queued_backfill().await.unwrap(), 14);
}

pub(crate) async fn an_event_of_a_run_that_nobody_knows_is_applied<D: Database>() {
    let database = D::fresh().await;
    let applied = apply(database.store(), [post_call(1).imported_by(OTHER)], at(300)).await;
    assert_eq!(applied.rows_written, 1);
    assert!(row(database.store(), 1).await.is_some());
}

pub(crate) async fn pages_and_events_of_the_same_calls_do_not_hinder_each_other<D: Database>() {
    const CALLS: usize = 60;
    let database = D::fresh().await;
    let id = running(database.store()).await;
    let mut work = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let store = database.store().clone();
        work.spawn(async move {
            let mut calls: Vec<usize> = (0..CALLS).collect();
            calls.rotate_left(writer * CALLS / 3);
            for part in calls.chunks(7) {
                let deliveries = part.iter().map(|n| post_call(*n).imported_by(id));
                apply(&store, deliveries, at(300)).await;
            }
        });
        let store = database.store().clone();
        work.spawn(async move {
            let mut calls: Vec<usize> = (0..CALLS).rev().collect();
            calls.rotate_left(writer * CALLS / 3);
            for part in calls.chunks(11) {
                save(&store, id, queued(part.iter().copied())).await;
                let letters = part.iter().take(3).map(|n| letter(*n, id, "a check"));
                store.save_dead_letters(letters.collect()).await.unwrap();
            }
        });
    }
    work.join_all().await;
    let all = CALLS as u64;
    assert_eq!(progress(database.store(), id).await, [all, 0, all, 0]);
}

pub(crate) async fn a_run_that_is_forgotten_leaves_its_calls<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let old = running(store).await;
    save(store, old, queued([1])).await;
    apply(store, [post_call(1).imported_by(old)], at(300)).await;
    assert_eq!(
        store.finish_import(old, HOLDER, at(10)).await.unwrap(),
        ImportLease::Held
    );
    let open = running(store).await;
    save(store, open, queued([1, 2])).await;

    assert_eq!(store.forget_imports(ImportSource::Api, at(10)).await.unwrap(), 0);
    assert_eq!(store.forget_imports(ImportSource::Api, at(11)).await.unwrap(), 1);

    assert_eq!(store.import(old).await.unwrap(), None);
    assert_eq!(progress(store, old).await, [0; 4]);
    assert_eq!(progress(store, open).await, [2, 2, 0, 0]);
    assert!(row(store, 1).await.is_some());
}

/// A run of which all was read: one call is on its way, these could not be read.
async fn finished_with(store: &Store, failed: Vec<FailedCall>) -> Uuid {
    let id = running(store).await;
    let mut page = queued([1]);
    page.calls.extend(failed.into_iter().map(ImportedCall::Failed));
    page.cursor = cursor(0, None);
    save(store, id, page).await;
    let finished = store.finish_import(id, HOLDER, at(1)).await.unwrap();
    assert_eq!(finished, ImportLease::Held);
    id
}

pub(crate) async fn calls_that_failed_are_read_alone_in_the_run_they_belong_to<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    let name = |n: usize| call_id(n).to_string();
    let unreadable = [2, 3, 4, 5].map(|n| failed(&name(n), "no start"));
    let id = finished_with(store, unreadable.to_vec()).await;
    // The writer refused one, too, and does so with another once it comes again.
    let letters = vec![letter(6, id, "a check")];
    store.save_dead_letters(letters).await.unwrap();
    assert_eq!(progress(store, id).await, [6, 1, 0, 5]);

    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Waiting);
    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Open);
    let run = lease(store, OTHER, 10).await.unwrap();
    assert_eq!(
        (run.id, run.state, run.retrying, run.finished_at),
        (id, ImportState::Running, true, None)
    );

    // Before it is noted that they were published, one is stored and one refused by the writer.
    apply(store, [post_call(2).imported_by(id)], at(20)).await;
    let refused = DeadLetter {
        id: Uuid::from_u128(33),
        last_failed_at: at(21),
        ..letter(3, id, "a check")
    };
    store.save_dead_letters(vec![refused]).await.unwrap();
    let calls = || RetriedCalls {
        published: vec![
            failed(&name(2), "no start"),
            failed(&name(3), "no start"),
            failed(&name(4), "no start"),
            failed(&name(6), "a check"),
        ],
        failed: vec![failed(&name(5), "no end")],
        read_at: at(20),
        requests: 5,
    };
    let saved = store.save_retried_calls(id, HOLDER, calls()).await.unwrap();
    assert_eq!(saved, ImportLease::Lost);
    assert_eq!(progress(store, id).await, [6, 1, 1, 4]);
    let saved = store.save_retried_calls(id, OTHER, calls()).await.unwrap();
    assert_eq!(saved, ImportLease::Held);
    assert_eq!(progress(store, id).await, [6, 3, 1, 2]);
    assert_eq!(
        store.failed_import_calls(id, 10, None).await.unwrap(),
        [failed(&name(3), "a check"), failed(&name(5), "no end")]
    );
    for (letter, state) in [(6, DeadLetterState::Replayed), (33, DeadLetterState::Waiting)] {
        let kept = store.dead_letter(Uuid::from_u128(letter)).await.unwrap();
        assert_eq!(kept.unwrap().state, state, "{letter}");
    }

    let finished = store.finish_import(id, OTHER, at(30)).await.unwrap();
    assert_eq!(finished, ImportLease::Held);
    let run = find(store, id).await;
    assert_eq!(
        (run.state, run.retrying, run.requests),
        (ImportState::Finished, false, 6)
    );
}

pub(crate) async fn only_a_run_that_was_read_to_its_end_is_retried<D: Database>() {
    let database = D::fresh().await;
    let store = database.store();
    assert_eq!(store.retry_import(OTHER).await.unwrap(), ImportRetry::Unknown);
    let id = running(store).await;
    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Open);
    save(store, id, queued([1])).await;
    assert!(store.cancel_import(id, at(1)).await.unwrap());
    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Incomplete);

    // A retry that came to nothing can be repeated.
    let id = finished_with(store, vec![failed("CAL1", "no start")]).await;
    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Waiting);
    lease(store, HOLDER, 10).await.unwrap();
    let given_up = store.fail_import(id, HOLDER, "no network", at(11)).await;
    assert_eq!(given_up.unwrap(), ImportLease::Held);
    assert_eq!(store.retry_import(id).await.unwrap(), ImportRetry::Waiting);
    assert_eq!(find(store, id).await.error, None);
}
