//! How events become rows, and how rows are read.

use std::collections::BTreeMap;

use calls::{CallId, EventKind, Interaction, MatchRules, interaction_id};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::Database;
use crate::samples::{
    Delivery, apply, at, call_id, missed_call, outbound_call, post_call, pre_call, routing_complete, row,
    tagged, transcribed,
};

pub(crate) async fn a_post_call_becomes_a_row_with_every_column<D: Database>() {
    let database = D::fresh().await;
    let call = post_call(1)
        .with("medium", json!("cpc"))
        .with("campaign", json!("Heating"))
        .with("keywords", json!("furnace repair"))
        .with("landing_page_url", json!("https://www.example.com/heating"))
        .with("gclid", json!("EXAMPLE"))
        .with("utm_source", json!("google"))
        .with("utm_medium", json!("paid"))
        .with("utm_campaign", json!("winter"))
        .with("utm_term", json!("furnace"))
        .with("utm_content", json!("ad 1"))
        .with("transcription", json!("My furnace is cold."))
        .with("call_summary", json!("A cold furnace."))
        .with("tags", json!(["urgent", "Booked"]))
        .with("note", json!("Wants a call on Monday, it's \"urgent\"."))
        .with("value", json!("250.00"))
        .with("lead_status", json!("good_lead"));

    let applied = apply(database.store(), [call], at(201)).await;

    assert_eq!(applied.rows_written, 1);
    let expected = [
        ("id", interaction_id(&call_id(1)).to_string()),
        ("type", "call".to_owned()),
        ("direction", "inbound".to_owned()),
        (
            "notes",
            "Inbound call, answered, 3 min 4 s, from +14045550123 (DOE JANE, Atlanta, GA). Source: Google Ads.\n\n\
             Note: Wants a call on Monday, it's \"urgent\".\n\nTranscription:\nMy furnace is cold."
                .to_owned(),
        ),
        ("outcome", "completed".to_owned()),
        ("call_duration_seconds", "184".to_owned()),
        (
            "call_recording_url",
            "https://app.callrail.com/calls/CAL01a1fa577dac70f6b1ca1ddba8db3bcf/recording/redirect\
             ?access_key=2cd11f462a8f2a16"
                .to_owned(),
        ),
        ("call_from_number", "+14045550123".to_owned()),
        ("call_sid", call_id(1).to_string()),
        ("call_to_number", "+14045550150".to_owned()),
        ("tracking_number", "+14045550199".to_owned()),
        ("source", "Google Ads".to_owned()),
        ("medium", "cpc".to_owned()),
        ("campaign", "Heating".to_owned()),
        ("keywords", "furnace repair".to_owned()),
        ("landing_page_url", "https://www.example.com/heating".to_owned()),
        ("gclid", "EXAMPLE".to_owned()),
        ("utm_source", "google".to_owned()),
        ("utm_medium", "paid".to_owned()),
        ("utm_campaign", "winter".to_owned()),
        ("utm_term", "furnace".to_owned()),
        ("utm_content", "ad 1".to_owned()),
        ("transcription", "My furnace is cold.".to_owned()),
        ("call_summary", "A cold furnace.".to_owned()),
        ("lead_status", "good_lead".to_owned()),
        ("value", "250.00".to_owned()),
        ("agent_email", "agent@example.com".to_owned()),
        ("company_id", "COMf168ccdd91544c5a8c871bd4b9b757c5".to_owned()),
        ("customer_name", "DOE JANE".to_owned()),
        ("match_method", "no_contact".to_owned()),
    ];
    for (column, value) in expected {
        assert_eq!(column_of(&database, column).await, Some(value), "{column}");
    }
    for empty in ["lead_id", "customer_id"] {
        assert_eq!(column_of(&database, empty).await, None, "{empty}");
    }
    let times = [
        ("scheduled_at", "2026-11-20T19:03:20.236Z"),
        ("completed_at", "2026-11-20T19:06:24.236Z"),
        ("created_at", "2026-11-20T19:06:41Z"),
        ("updated_at", "2026-11-20T19:06:41Z"),
    ];
    for (column, value) in times {
        let time: DateTime<Utc> = value.parse().unwrap();
        assert_eq!(time_of(&database, column).await, Some(time), "{column}");
    }
    for (column, holds) in [("first_call", true), ("spam", false), ("vanished", false)] {
        let sql = format!("select case when {column} then 'yes' else 'no' end from interactions");
        let answer = if holds { "yes" } else { "no" };
        assert_eq!(database.text(&sql).await.as_deref(), Some(answer), "{column}");
    }
    for (column, value) in [
        ("tags", json!(["Booked", "urgent"])),
        ("match_candidates", json!([])),
    ] {
        let text = column_of(&database, column).await.unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found, value, "{column}");
    }
}

async fn column_of<D: Database>(database: &D, column: &str) -> Option<String> {
    database
        .text(&format!("select cast({column} as text) from interactions"))
        .await
}

async fn time_of<D: Database>(database: &D, column: &str) -> Option<DateTime<Utc>> {
    database.time(&format!("select {column} from interactions")).await
}

pub(crate) async fn a_row_is_there_after_reopening<D: Database>() {
    let database = D::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    let again = database.reopen().await;
    assert!(row(&again, 1).await.is_some());
    assert_eq!(row(&again, 1).await, row(database.store(), 1).await);
}

pub(crate) async fn an_outbound_call_becomes_a_row<D: Database>() {
    let database = D::fresh().await;
    apply(database.store(), [outbound_call(1)], at(201)).await;
    for (column, value) in [
        ("direction", "outbound"),
        ("call_from_number", "+14045550199"),
        ("call_to_number", "+14045550123"),
    ] {
        assert_eq!(
            column_of(&database, column).await.as_deref(),
            Some(value),
            "{column}"
        );
    }
}

pub(crate) async fn an_empty_batch_changes_nothing<D: Database>() {
    let database = D::fresh().await;
    let applied = apply(database.store(), [], at(0)).await;
    assert_eq!((applied.rows_written, applied.alerts.len()), (0, 0));
    assert_eq!(database.store().count_interactions().await.unwrap(), 0);
}

pub(crate) async fn the_same_batch_again_changes_nothing<D: Database>() {
    let database = D::fresh().await;
    let batch = [
        pre_call(1),
        routing_complete(1),
        post_call(1),
        tagged(1),
        missed_call(2),
    ];
    apply(database.store(), batch.clone(), at(301)).await;
    let before = row(database.store(), 1).await;

    let applied = apply(database.store(), batch, at(900)).await;

    assert_eq!((applied.rows_written, applied.alerts.len()), (0, 0));
    assert_eq!(row(database.store(), 1).await, before);
    let latest = database.time("select max(updated_at) from interactions").await;
    assert_eq!(latest, Some(at(301)));
    assert_eq!(database.count("select count(*) from call_events").await, 5);
    let raised = database.store().alerts_since(at(302), 10).await.unwrap();
    assert_eq!(raised, []);
}

pub(crate) async fn a_batch_may_hold_several_calls<D: Database>() {
    let database = D::fresh().await;
    let batch = [
        post_call(3),
        pre_call(1),
        tagged(2),
        post_call(1),
        post_call(2),
        pre_call(4),
    ];
    let applied = apply(database.store(), batch, at(301)).await;
    assert_eq!(applied.rows_written, 3);
    assert_eq!(database.store().count_interactions().await.unwrap(), 3);
    assert_eq!(row(database.store(), 2).await.unwrap().tags, ["Booked"]);
    assert!(row(database.store(), 1).await.unwrap().tags.is_empty());
}

pub(crate) async fn a_pre_call_alone_makes_an_alert_and_no_row<D: Database>() {
    let database = D::fresh().await;
    let applied = apply(database.store(), [pre_call(1)], at(2)).await;

    assert_eq!(applied.rows_written, 0);
    assert_eq!(row(database.store(), 1).await, None);
    assert_eq!(database.count("select count(*) from interactions").await, 0);
    let kind = database.text("select kind from alerts").await;
    assert_eq!(kind.as_deref(), Some("incoming-call"));
    let will_be = database
        .text("select cast(interaction_id as text) from alerts")
        .await;
    assert_eq!(will_be, Some(interaction_id(&call_id(1)).to_string()));
    let history = database.store().call(&call_id(1)).await.unwrap().unwrap();
    assert_eq!((history.row, history.record.in_order().len()), (None, 1));
}

pub(crate) async fn a_call_that_was_never_heard_of_is_none<D: Database>() {
    let database = D::fresh().await;
    apply(database.store(), [post_call(1)], at(201)).await;
    assert!(database.store().call(&call_id(2)).await.unwrap().is_none());
    assert_eq!(row(database.store(), 2).await, None);
    assert!(database.store().interactions(&[]).await.unwrap().is_empty());
}

pub(crate) async fn the_history_of_a_call_is_complete<D: Database>() {
    let database = D::fresh().await;
    let events = [transcribed(1), pre_call(1), tagged(1), post_call(1)].map(Delivery::event);
    database
        .store()
        .apply(events.to_vec(), &MatchRules::default(), at(401))
        .await
        .unwrap();

    let history = database.store().call(&call_id(1)).await.unwrap().unwrap();

    let in_order: Vec<EventKind> = history.record.in_order().iter().map(|one| one.kind).collect();
    let expected = [
        EventKind::PreCall,
        EventKind::PostCall,
        EventKind::CallModified,
        EventKind::CallModified,
    ];
    assert_eq!(in_order, expected);
    for event in &events {
        assert_eq!(history.record.get(&event.digest()), Some(&event.to_recorded()));
    }
    assert_eq!(history.row, row(database.store(), 1).await);
    assert!(history.decisions.is_empty());
    assert!(!history.reread);
}

pub(crate) async fn three_thousand_rows_are_read_at_once<D: Database>() {
    let database = D::fresh().await;
    for thousand in 0..3 {
        let calls = (0..1_000).map(|n| post_call(thousand * 1_000 + n));
        apply(database.store(), calls, at(201)).await;
    }
    let call_sids: Vec<CallId> = (0..4_000).map(call_id).collect();

    let found = database.store().interactions(&call_sids).await.unwrap();

    assert_eq!(found.len(), 3_000);
    let in_order: BTreeMap<&CallId, &Interaction> = found.iter().collect();
    assert!(in_order.iter().all(|(call_sid, row)| **call_sid == row.call_sid));
    assert_eq!(
        in_order
            .last_key_value()
            .map(|(call_sid, _)| **call_sid == call_id(2_999)),
        Some(true)
    );
    assert_eq!(database.store().count_interactions().await.unwrap(), 3_000);
}

pub(crate) async fn two_snapshots_close_together_ask_for_a_reread<D: Database>() {
    let database = D::fresh().await;
    let deliveries = [
        post_call(1),
        tagged(1).received(203),
        post_call(2),
        tagged(2).received(260),
    ];
    for delivery in deliveries {
        apply(database.store(), [delivery], at(301)).await;
    }
    let close = database.store().call(&call_id(1)).await.unwrap().unwrap();
    let apart = database.store().call(&call_id(2)).await.unwrap().unwrap();
    assert!(close.reread);
    assert!(!apart.reread);
}

pub(crate) async fn a_time_keeps_its_microseconds<D: Database>() {
    let database = D::fresh().await;
    let now: DateTime<Utc> = "2026-11-20T19:10:00.123456789Z".parse().unwrap();
    let call = post_call(1).with("start_time", json!("2026-11-20T14:03:20.654321-05:00"));
    apply(database.store(), [call], now).await;

    let kept: DateTime<Utc> = "2026-11-20T19:10:00.123456Z".parse().unwrap();
    assert_eq!(time_of(&database, "updated_at").await, Some(kept));
    let began: DateTime<Utc> = "2026-11-20T19:03:20.654321Z".parse().unwrap();
    assert_eq!(time_of(&database, "scheduled_at").await, Some(began));
    assert_eq!(row(database.store(), 1).await.unwrap().scheduled_at, began);
}
