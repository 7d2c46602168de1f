//! Parts of a call are kept only so long, whatever comes in which order.

use calls::{CallEvent, Group, Interaction, MatchRules, People, Retention, SealReason, apply};
use chrono::TimeDelta;
use serde_json::json;

use crate::call::{Body, Database, answered, at, is_empty};

const DAY: i64 = 86_400;
const WORDS: &str = "the furnace broke";

fn after_days(recordings: Option<i64>, transcripts: Option<i64>, events: Option<i64>) -> Retention {
    Retention {
        recordings: recordings.map(TimeDelta::days),
        transcripts: transcripts.map(TimeDelta::days),
        events: events.map(TimeDelta::days),
    }
}

fn told() -> Body {
    answered()
        .with("transcription", WORDS)
        .with("call_summary", json!({"summary": "asks for a visit"}))
        .with("note", "wants a quote")
}

/// The call as it came, and everything that may come of it later.
fn events() -> [CallEvent; 4] {
    [
        answered().post_call(2),
        told().call_modified(60),
        told().with("tags", json!(["Booked"])).call_modified(120),
        told().with("tags", json!(["Booked"])).import(180),
    ]
}

/// A database that keeps that long, after events came to it some days after the call.
fn keeping(retention: Retention, events: &[CallEvent], days: i64) -> Database {
    let mut database = Database::new();
    database.retention = retention;
    for event in events {
        database.take_at(std::slice::from_ref(event), &People::default(), at(days * DAY));
    }
    database
}

fn tells(database: &Database, words: &str) -> bool {
    let record = database.state.record.in_order();
    let said = format!("{record:?} {:?}", database.state.row);
    said.contains(words)
}

fn row(database: &Database) -> &Interaction {
    database.state.row.as_ref().unwrap()
}

#[test]
fn what_is_not_due_stays_and_what_is_due_goes() {
    let whole = keeping(Retention::default(), &events(), 100);
    let retention = after_days(Some(30), Some(90), None);

    let mut database = keeping(retention, &events(), 1);
    assert_eq!(row(&database), row(&whole));
    let day_29 = database.take_at(&[], &People::default(), at(29 * DAY));
    assert!(is_empty(&day_29));

    let day_31 = database.take_at(&[], &People::default(), at(31 * DAY));
    assert!(day_31.replaces_record && day_31.alerts.is_empty());
    let expected = Interaction {
        call_recording_url: None,
        ..row(&whole).clone()
    };
    assert_eq!(row(&database), &expected);
    assert!(!tells(&database, "https://app.callrail.com/calls/"));
    assert!(tells(&database, WORDS));

    database.take_at(&[], &People::default(), at(91 * DAY));
    let left = row(&database);
    assert_eq!((&left.transcription, &left.call_summary), (&None, &None));
    assert!(
        left.notes.contains("wants a quote") && !left.notes.contains("Transcription"),
        "{}",
        left.notes
    );
    assert_eq!(left.tags, ["Booked"]);
    assert!(!tells(&database, WORDS) && !tells(&database, "asks for a visit"));
    assert_eq!(
        database.state.seals.reason(Group::Recording),
        Some(SealReason::Retention)
    );
    assert!(is_empty(&database.take_at(&[], &People::default(), at(92 * DAY))));
}

#[test]
fn what_comes_back_is_not_taken_in_any_order() {
    let retention = after_days(Some(30), Some(30), Some(30));
    let mut early = keeping(retention, &events(), 1);
    early.take_at(&[], &People::default(), at(31 * DAY));
    let mut backwards = events();
    backwards.reverse();
    for late in [
        keeping(retention, &events(), 40),
        keeping(retention, &backwards, 40),
    ] {
        assert_eq!(row(&late), row(&early));
        assert_eq!(late.state.record, early.state.record);
    }
    for event in events() {
        let again = early.take_at(&[event], &People::default(), at(41 * DAY));
        assert!(is_empty(&again), "{again:?}");
    }
    // Without the setting too: here it was deleted.
    early.retention = Retention::default();
    let late = told()
        .with("transcription", "and the boiler, too")
        .call_modified(240);
    early.take_at(&[late], &People::default(), at(42 * DAY));
    assert!(!tells(&early, "boiler"));
}

#[test]
fn an_event_that_is_kept_in_part_is_not_kept_as_it_came() {
    let database = keeping(after_days(None, None, Some(30)), &events(), 40);
    let event = &events()[1];
    let kept = event.as_sealed(&database.state.seals);
    assert_eq!((kept.raw.as_str(), &kept.call), ("{}", &event.call));
    assert_eq!(row(&database), row(&keeping(Retention::default(), &events(), 40)));
}

#[test]
fn of_notes_that_a_person_wrote_only_what_was_said_goes() {
    let mut database = keeping(after_days(None, Some(30), None), &events(), 1);
    database.crm_writes(|row| row.notes.insert_str(0, "CALL HER MUM. "));
    database.take_at(&[], &People::default(), at(31 * DAY));
    let notes = row(&database).notes.clone();
    assert!(
        notes.starts_with("CALL HER MUM. ") && notes.contains("wants a quote"),
        "{notes}"
    );
    assert!(!notes.contains(WORDS), "{notes}");
    database.take_at(&[told().call_modified(300)], &People::default(), at(32 * DAY));
    assert_eq!(row(&database).notes, notes);
}

#[test]
fn a_call_that_is_imported_too_late_raises_no_alert_for_what_is_not_kept() {
    let database = keeping(
        after_days(Some(1), Some(1), Some(1)),
        &[answered().post_call(2)],
        40,
    );
    let late = apply(
        database.state.clone(),
        &[told().without("note").call_modified(60)],
        Some(&People::default()),
        &MatchRules::default(),
        &database.retention,
        at(40 * DAY),
    );
    assert!(late.alerts.is_empty() && late.row.is_none(), "{late:?}");
}

#[test]
fn a_transcript_that_began_another_one_leaves_nothing_of_it_in_notes() {
    let longer = format!("{WORDS}\nAgent: we will see to it");
    let events = [
        answered().post_call(2),
        told().call_modified(60),
        told().with("transcription", longer).call_modified(120),
    ];
    let mut database = keeping(after_days(None, Some(30), None), &events, 1);
    database.crm_writes(|row| row.notes.insert_str(0, "CALL HER MUM. "));
    database.take_at(&[], &People::default(), at(31 * DAY));
    let notes = &row(&database).notes;
    assert!(notes.starts_with("CALL HER MUM. "), "{notes}");
    assert!(!notes.contains(WORDS) && !notes.contains("see to it"), "{notes}");
}
