//! The recorded calls of which both a webhook and the API tell: one row, whoever comes first.

use std::collections::BTreeSet;
use std::fs;
use std::slice;

use calls::{CallEvent, CallState, EventKind, Interaction, People};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use crate::call::{Body, Database, at, is_empty, sample};

/// The webhooks of calls that are over, with the kind that their address names.
const WEBHOOKS: [(&str, EventKind); 8] = [
    ("post_call_answered", EventKind::PostCall),
    ("post_call_missed", EventKind::PostCall),
    ("post_call_voicemail", EventKind::PostCall),
    ("post_call_tracker_session", EventKind::PostCall),
    ("call_modified_tags", EventKind::CallModified),
    ("call_modified_transcription", EventKind::CallModified),
    ("outbound_post_call", EventKind::OutboundPostCall),
    ("outbound_call_modified", EventKind::OutboundCallModified),
];

/// The webhooks whose calls stand in the recorded list of the API, with their places there.
const LISTED: [(&str, usize); 3] = [
    ("post_call_answered", 0),
    ("post_call_missed", 1),
    ("post_call_voicemail", 2),
];

/// A name, the webhook, and the same call as the API tells it with every field that is asked for.
fn pairs() -> impl Iterator<Item = (&'static str, Body, EventKind, Body)> {
    WEBHOOKS.into_iter().map(|(name, kind)| {
        let body = sample(name);
        let api = body.as_api();
        (name, body, kind, api)
    })
}

/// The same with the recorded list, which has the default fields; the others are as above.
fn listed() -> impl Iterator<Item = (&'static str, Body, EventKind, Body)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/api/calls_list_offset.json"
    );
    let list: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    LISTED.into_iter().map(move |(name, place)| {
        let body = sample(name);
        let mut api = body.as_api();
        api.0.extend(list["calls"][place].as_object().unwrap().clone());
        (name, body, EventKind::PostCall, api)
    })
}

/// A database that has never heard of the call.
fn database(event: &CallEvent) -> Database {
    let mut database = Database::new();
    database.state = CallState::new(event.call.call_sid.clone());
    database
}

fn row_after(events: &[&CallEvent]) -> Interaction {
    let mut database = database(events[0]);
    for event in events {
        database.take_at(&[(*event).clone()], &People::default(), at(10_000));
    }
    database.state.row.unwrap()
}

#[test]
fn an_import_after_the_webhook_changes_nothing_and_tells_nobody() {
    for (name, webhook, kind, api) in pairs().chain(listed()) {
        let (webhook, import) = (webhook.event(kind, 0), api.event(EventKind::Import, 600));
        assert_eq!(webhook.call.call_sid, import.call.call_sid, "{name}");
        let mut database = database(&webhook);
        let nobody = People::default();
        database.take_at(slice::from_ref(&webhook), &nobody, at(1));
        let changes = database.take_at(slice::from_ref(&import), &nobody, at(601));
        assert_eq!(changes.row, None, "{name}");
        assert!(changes.alerts.is_empty() && changes.seals.is_empty(), "{name}");
        assert!(!database.state.reread, "{name}");
        assert!(
            is_empty(&database.take_at(&[webhook, import], &nobody, at(700))),
            "{name}"
        );
    }
}

#[test]
fn a_webhook_after_the_import_comes_to_the_same_row() {
    for (name, webhook, kind, api) in pairs().chain(listed()) {
        let first = webhook.clone().event(kind, 0);
        let row = row_after(&[&first, &api.clone().event(EventKind::Import, 600)]);
        let late = webhook.event(kind, 600);
        assert_eq!(
            row_after(&[&api.event(EventKind::Import, 0), &late]),
            row,
            "{name}"
        );
        assert_eq!(row_after(&[&late]), row, "{name}: the webhook alone");
    }
}

/// An import that comes first leaves the end of an answered call for its webhook to tell; else it has told, and the
/// webhook's alert has the same id, of which the database keeps one.
#[test]
fn people_hear_the_same_of_a_call_once_whoever_comes_first() {
    for (name, webhook, kind, api) in pairs().chain(listed()) {
        let (webhook, import) = (webhook.event(kind, 0), api.event(EventKind::Import, 0));
        let now = row_after(&[&webhook]).completed_at + TimeDelta::minutes(1);
        let told = |events: [&CallEvent; 2]| -> BTreeSet<Uuid> {
            let mut database = database(events[0]);
            let nobody = People::default();
            let alerts = events.map(|event| database.take_at(slice::from_ref(event), &nobody, now).alerts);
            alerts.into_iter().flatten().map(|one| one.alert.id).collect()
        };
        let webhook_first = told([&webhook, &import]);
        assert!(!webhook_first.is_empty(), "{name}");
        assert_eq!(told([&import, &webhook]), webhook_first, "{name}");
    }
}

/// What only webhooks tell is the key in the link to the recording; all else an import has written already.
#[test]
fn a_webhook_after_the_import_adds_the_link_to_the_recording_alone() {
    for (name, webhook, kind, api) in pairs() {
        let import = api.event(EventKind::Import, 0);
        let imported = row_after(&[&import]);
        let both = row_after(&[&import, &webhook.event(kind, 600)]);
        let but_for_the_link = Interaction {
            call_recording_url: both.call_recording_url.clone(),
            ..imported
        };
        assert_eq!(but_for_the_link, both, "{name}");
    }
}
