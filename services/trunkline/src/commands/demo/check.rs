//! Compares the database with what the simulated CallRail knows to be true.

use std::time::Duration;

use callrail_simulator::{ExpectedInteraction, SimulatedAccount};
use calls::{CallId, Direction, Interaction};
use store::Store;
use tokio::time::{Instant, sleep};

/// How long the workers may take to finish once the last webhook is accepted.
const PATIENCE: Duration = Duration::from_secs(60);

const PROBLEMS_SHOWN: usize = 10;

/// How the database compares.
pub(super) struct Checked {
    calls: usize,
    rows: u64,
    linked: usize,
    problems: Vec<String>,
}

/// Waits until the database is as it should be, or until nothing more can be expected, and says how it is.
pub(super) async fn wait_and_check(store: &Store, account: &SimulatedAccount) -> anyhow::Result<Checked> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let checked = check(store, account).await?;
        if checked.is_good() || Instant::now() > deadline {
            return Ok(checked);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

impl Checked {
    /// Whether every call is there exactly once and as expected, and nothing else.
    pub(super) fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn print(&self) {
        let right = self.calls - self.problems.len().min(self.calls);
        println!(
            "{right} of {} calls are in the database exactly once and as expected; {} rows, {} of them linked with \
             one of the CRM's people.",
            self.calls, self.rows, self.linked
        );
        for problem in self.problems.iter().take(PROBLEMS_SHOWN) {
            println!("  WRONG: {problem}");
        }
        if self.problems.len() > PROBLEMS_SHOWN {
            println!("  and {} more", self.problems.len() - PROBLEMS_SHOWN);
        }
    }
}

async fn check(store: &Store, account: &SimulatedAccount) -> anyhow::Result<Checked> {
    let call_sids: Vec<CallId> = account
        .calls
        .iter()
        .map(|call| CallId::parse(&call.call_sid))
        .collect::<Result<_, _>>()?;
    let found = store.interactions(&call_sids).await?;
    let rows = store.count_interactions().await?;
    let mut problems = Vec::new();
    for (call, call_sid) in account.calls.iter().zip(&call_sids) {
        match found.get(call_sid) {
            None => problems.push(format!("{call_sid} is missing")),
            Some(row) => {
                problems.extend(difference(row, &call.expected).map(|what| format!("{call_sid}: {what}")));
            }
        }
    }
    // One row a call is what the database itself enforces; what could be wrong is a row that is no call's.
    if rows > account.calls.len() as u64 {
        problems.push(format!("{rows} rows for {} calls", account.calls.len()));
    }
    let dead = store.waiting_dead_letters(1_000).await?;
    problems.extend(
        dead.iter()
            .map(|letter| format!("dead letter in {}: {}", letter.queue, letter.reason)),
    );
    let linked = found.values().filter(|row| row.link.is_set()).count();
    Ok(Checked {
        calls: account.calls.len(),
        rows,
        linked,
        problems,
    })
}

/// The first column that is not as expected.
fn difference(row: &Interaction, expected: &ExpectedInteraction) -> Option<String> {
    let direction = match row.direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    let contact = row
        .link
        .contact()
        .map(|contact| (contact.kind.as_str(), contact.id));
    let columns = [
        ("direction", direction == expected.direction),
        ("outcome", row.outcome.as_str() == expected.outcome),
        (
            "call_duration_seconds",
            row.call_duration_seconds == expected.duration_seconds,
        ),
        ("scheduled_at", row.scheduled_at == expected.started_at),
        ("linked contact", contact == expected.contact),
        (
            "customer's number",
            is_number(row.customer_number(), expected.customer.as_deref()),
        ),
        (
            "call_recording_url",
            row.call_recording_url == expected.recording_url,
        ),
        ("transcription", row.transcription == expected.transcription),
        ("call_summary", row.call_summary == expected.call_summary),
        ("tags", row.tags == expected.tags),
        ("lead_status", row.lead_status == expected.lead_status),
        ("first_call", row.first_call == Some(expected.first_call)),
        ("source", row.source.as_deref() == Some(expected.source)),
        (
            "notes",
            expected
                .note
                .as_ref()
                .is_none_or(|note| row.notes.contains(note.as_str())),
        ),
    ];
    columns
        .iter()
        .find(|(_, equal)| !equal)
        .map(|(column, _)| format!("`{column}` is not as expected"))
}

/// A withheld number has no expectation: the row keeps what CallRail sent in its place.
fn is_number(found: Option<&str>, expected: Option<&str>) -> bool {
    expected.is_none() || found == expected
}
