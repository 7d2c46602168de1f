//! The viewer: reads the alerts as a screen would, and shows each call with the row that the CRM would read.

use std::collections::HashSet;
use std::time::Duration;

use calls::{Alert, AlertKind, Interaction, Outcome, is_withheld};
use chrono::{DateTime, TimeDelta, Utc};
use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often the table is read.
const EVERY: Duration = Duration::from_millis(100);

/// Alerts that were raised at the same time need not show at the same time: the last seconds are read again.
const READ_AGAIN: TimeDelta = TimeDelta::seconds(5);

const MAX_AT_ONCE: u32 = 1_000;

/// Shows calls until it is stopped.
pub(super) struct Viewer {
    task: JoinHandle<()>,
    stopped: CancellationToken,
}

impl Viewer {
    pub(super) fn start(store: Store, since: DateTime<Utc>) -> Self {
        let stopped = CancellationToken::new();
        let task = tokio::spawn(show(store, since, stopped.clone()));
        Self { task, stopped }
    }

    /// Shows what there is still to show, and ends.
    pub(super) async fn stop(self) {
        self.stopped.cancel();
        if let Err(error) = self.task.await {
            println!("the viewer failed: {error}");
        }
    }
}

async fn show(store: Store, mut since: DateTime<Utc>, stopped: CancellationToken) {
    let mut shown = HashSet::new();
    loop {
        let is_last = stopped.is_cancelled();
        match store.alerts_since(since, MAX_AT_ONCE).await {
            Ok(raised) => {
                for one in &raised {
                    let alert = &one.outgoing.alert;
                    if shown.insert(alert.id) {
                        print_alert(alert, one.outgoing.push);
                        print_row(&store, alert).await;
                    }
                }
                if let Some(last) = raised.last() {
                    since = since.max(last.raised_at - READ_AGAIN);
                }
            }
            Err(error) => println!("cannot read the alerts: {error}"),
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stopped.cancelled() => {}
        }
    }
}

fn print_alert(alert: &Alert, push: bool) {
    let what = match alert.kind {
        AlertKind::IncomingCall => "RINGING",
        AlertKind::CallRouted => "ROUTED",
        AlertKind::CallAnswered => "PICKED UP",
        AlertKind::CallCompleted => "ENDED",
        AlertKind::CallMissed => "MISSED",
        AlertKind::VoicemailReceived => "VOICEMAIL",
        AlertKind::NewLead => "NEW LEAD",
        AlertKind::CallUpdated => "UPDATED",
    };
    let time = alert.at.format("%H:%M:%S");
    let number = alert
        .from
        .as_deref()
        .filter(|number| !is_withheld(number))
        .unwrap_or("number withheld");
    let who = match &alert.contact {
        Some(known) => {
            let name = known.name.as_deref().unwrap_or("no name");
            format!("{name} ({} {})", known.contact.kind.as_str(), known.contact.id)
        }
        None => "unknown caller".to_owned(),
    };
    let source = alert.source.as_deref().unwrap_or("no source");
    let late = if push {
        ""
    } else {
        "  (came late: nobody is interrupted)"
    };
    println!("{time}  {what:<9} {number:<16} {who:<32} {source}{late}");
}

async fn print_row(store: &Store, alert: &Alert) {
    let has_row = !matches!(
        alert.kind,
        AlertKind::IncomingCall | AlertKind::CallRouted | AlertKind::CallAnswered | AlertKind::NewLead
    );
    if !has_row {
        return;
    }
    match store.interactions(std::slice::from_ref(&alert.call_sid)).await {
        Ok(rows) => rows.values().for_each(print_interaction),
        Err(error) => println!("          cannot read the row: {error}"),
    }
}

fn print_interaction(row: &Interaction) {
    let outcome = match row.outcome {
        Outcome::Completed => "completed",
        Outcome::NoAnswer => "no_answer",
        Outcome::Voicemail => "voicemail",
    };
    let mut line = format!(
        "          row       outcome={outcome} seconds={}",
        row.call_duration_seconds
    );
    if let Some(lead) = &row.link.lead_id {
        line.push_str(&[" lead_id=", lead].concat());
    }
    if let Some(customer) = &row.link.customer_id {
        line.push_str(&[" customer_id=", customer].concat());
    }
    if row.call_recording_url.is_some() {
        line.push_str(" recording");
    }
    if row.transcription.is_some() {
        line.push_str(" transcription");
    }
    if !row.tags.is_empty() {
        line.push_str(&[" tags=", &row.tags.join(",")].concat());
    }
    println!("{line}");
}
