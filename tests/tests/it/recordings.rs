//! Recordings: from CallRail, and from the archive when CallRail does not have them any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use callrail::CallId;
use callrail_simulator::{ApiOptions, CallChange, CallState, Fault};
use calls::Retention;
use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::json;
use trunkline_tests::eventually;

use crate::api::{Api, code};

/// What a player gets for a ticket: the status, the place of a part in the whole, and the sound.
async fn play(api: &Api, call: &str, range: Option<&str>) -> (StatusCode, Option<String>, Vec<u8>) {
    let path = format!("/api/integrations/callrail/call/{call}/recording/ticket");
    let ticket = api.post(&path, json!({})).await.json();
    let url = api.trunkline.url(ticket["url"].as_str().unwrap());
    let mut request = api.trunkline.client().get(url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    let place = answer.headers().get("content-range");
    let place = place.map(|place| place.to_str().unwrap().to_owned());
    let status = answer.status();
    if status.is_success() {
        assert_eq!(answer.headers()["content-type"], "audio/wav");
        assert_eq!(answer.headers()["accept-ranges"], "bytes");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    (status, place, answer.bytes().await.unwrap().to_vec())
}

/// An installation that has all recordings in its archive.
async fn archived() -> (Api, BTreeSet<CallId>) {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
        trunkline.with("RECORDINGS_ARCHIVE", "file://archive")
    })
    .await;
    let calls = api.account.calls.iter();
    let recorded = calls.filter(|call| call.expected.recording_url.is_some());
    let recorded: BTreeSet<CallId> = recorded
        .map(|call| CallId::parse(&call.call_sid).unwrap())
        .collect();
    let imported = api
        .post("/api/integrations/callrail/import-calls", json!({"days_back": 1}))
        .await;
    assert_eq!(imported.status, StatusCode::OK, "{imported:?}");
    let store = api.trunkline.store().await;
    let all = eventually(|| async {
        for call in &recorded {
            store.archived_recording(call).await.unwrap()?;
        }
        Some(())
    });
    all.await.expect("not all recordings are archived");
    (api, recorded)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_is_heard_in_parts_though_callrail_hangs_or_has_forgotten_it() {
    let (api, recorded) = archived().await;
    let call = recorded.first().unwrap().as_str();
    for is_forgotten in [false, true] {
        if is_forgotten {
            api.callrail.recover();
            for call in &recorded {
                let change = CallChange::State(CallState::Spam);
                assert!(api.callrail.change_call(call.as_str(), change));
            }
        } else {
            api.callrail.fail(Fault::Hang);
        }
        let (status, place, whole) = play(&api, call, None).await;
        assert_eq!((status, place), (StatusCode::OK, None));
        assert!(whole.starts_with(b"RIFF"));
        let length = whole.len();
        for (range, first, last) in [
            ("bytes=4-7", 4, 7),
            ("bytes=40-", 40, length - 1),
            ("bytes=-9", length - 9, length - 1),
        ] {
            let (status, place, part) = play(&api, call, Some(range)).await;
            assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(place, Some(format!("bytes {first}-{last}/{length}")), "{range}");
            assert!(part == whole[first..=last], "{range}");
        }
        let (status, place, _) = play(&api, call, Some(&format!("bytes={length}-"))).await;
        assert_eq!(
            (status, place),
            (
                StatusCode::RANGE_NOT_SATISFIABLE,
                Some(format!("bytes */{length}"))
            )
        );
    }
    assert!(!api.trunkline.logs().contains("access_key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_kept_no_longer_is_deleted_and_not_heard_from_callrail() {
    let (api, recorded) = archived().await;
    let call = recorded.first().unwrap();
    let (status, ..) = play(&api, call.as_str(), None).await;
    assert_eq!(status, StatusCode::OK);
    let archive = api.trunkline.folder().join("archive");
    assert!(files_in(&archive) > 0);

    // The calls began a few hours ago, and the settings count days: here by other hands.
    let store = api.trunkline.store().await.keeping(Retention {
        recordings: Some(TimeDelta::minutes(1)),
        ..Retention::default()
    });
    let retained = store.retain(Utc::now()).await.unwrap();
    assert!(retained.calls >= recorded.len(), "{retained:?}");
    let (status, ..) = play(&api, call.as_str(), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    assert!(api.running.terminate().await.success());
    let running = api.trunkline.start("run").await;
    let emptied = eventually(|| async { (files_in(&archive) == 0).then_some(()) });
    emptied.await.expect("the archive still holds recordings");
    assert!(running.terminate().await.success());
}

fn files_in(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |entry: PathBuf| if entry.is_dir() { files_in(&entry) } else { 1 };
    entries.map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_archive_has_lost_or_has_otherwise_comes_from_callrail() {
    let (api, recorded) = archived().await;
    let call = recorded.first().unwrap();
    let archived = api.trunkline.store().await.archived_recording(call).await;
    let file = api
        .trunkline
        .folder()
        .join("archive")
        .join(archived.unwrap().unwrap().key);
    let (_, _, whole) = play(&api, call.as_str(), None).await;
    std::fs::write(&file, &whole[..100]).unwrap();
    let again = play(&api, call.as_str(), None).await;
    assert!(again == (StatusCode::OK, None, whole.clone()));
    std::fs::remove_file(&file).unwrap();
    let again = play(&api, call.as_str(), None).await;
    assert!(again == (StatusCode::OK, None, whole));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_plays_with_a_ticket_and_in_parts() {
    let api = Api::start().await;
    let recorded = api.account.calls.iter().map(|call| call.call_sid.clone());
    let mut played = None;
    for call in recorded {
        let path = format!("/api/integrations/callrail/call/{call}/recording/ticket");
        let ticket = api.post(&path, json!({})).await.json();
        let url = api.trunkline.url(ticket["url"].as_str().unwrap());
        let answer = api.trunkline.client().get(&url).send().await.unwrap();
        if answer.status() == StatusCode::OK {
            played = Some((url, call, answer));
            break;
        }
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let (url, call, answer) = played.expect("no call has a recording");
    assert_eq!(answer.headers()["content-type"], "audio/wav");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let whole = answer.bytes().await.unwrap();
    assert_eq!(&whole[..4], b"RIFF");

    let part = api
        .trunkline
        .client()
        .get(&url)
        .header("range", "bytes=4-7")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        part.headers()["content-range"].to_str().unwrap(),
        format!("bytes 4-7/{}", whole.len())
    );
    assert_eq!(part.bytes().await.unwrap(), whole[4..8]);

    let other = api
        .account
        .calls
        .iter()
        .find(|other| other.call_sid != call)
        .unwrap();
    let stolen = url.replace(&call, &other.call_sid);
    for wrong in [
        stolen,
        url.replace("ticket=", "ticket=A"),
        url.split('?').next().unwrap().to_owned(),
    ] {
        let answer = api.trunkline.send(api.trunkline.client().get(&wrong)).await;
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (StatusCode::UNAUTHORIZED, "ticket_invalid")
        );
    }
    assert!(!api.trunkline.logs().contains("access_key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_fetched_from_no_host_but_the_allowed() {
    let api = Api::start_with(ApiOptions::default(), |trunkline, _| {
        trunkline.without("RECORDING_HOSTS")
    })
    .await;
    let mut codes = Vec::new();
    for call in &api.account.calls {
        let path = format!(
            "/api/integrations/callrail/call/{}/recording/ticket",
            call.call_sid
        );
        let ticket = api.post(&path, json!({})).await.json();
        let url = api.trunkline.url(ticket["url"].as_str().unwrap());
        codes.push(code(&api.trunkline.send(api.trunkline.client().get(&url)).await));
    }
    assert!(codes.contains(&"recording_unavailable".to_owned()), "{codes:?}");
    assert!(
        codes
            .iter()
            .all(|code| code == "recording_unavailable" || code == "not_found")
    );
}
