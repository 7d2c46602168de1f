//! `trunkline doctor`. Every check is a function that gives a line, or a few: [`installation`] looks at what is here and
//! near, [`account`] at what CallRail says.

mod account;
mod boxes;
mod broker;
mod installation;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use runtime::Settings;

/// Nothing is waited for longer.
const LIMIT: Duration = Duration::from_secs(5);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    state: State,
    subject: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Good, or not wanted.
    Ok,
    /// Somebody has to do what the line says.
    Wrong,
    /// Cannot be looked at while something else is wrong, or is not set.
    Skipped,
}

/// Ends with 1 if anything is wrong.
pub(crate) async fn run() -> ExitCode {
    let (settings, problems) = Settings::examine();
    let mut lines = installation::settings(&settings, &problems);
    let (database, store) = installation::database(&settings).await;
    lines.push(database);
    // Looking at the queue makes it, and with it what policies are for.
    let queue = async {
        let queue = installation::queue(&settings).await;
        let policies = match queue.state {
            State::Ok => broker::policies(&settings).await,
            State::Wrong | State::Skipped => Vec::new(),
        };
        (queue, policies)
    };
    let ((queue, policies), spool, pusher, processes, account) = tokio::join!(
        queue,
        installation::spool(&settings),
        installation::pusher(&settings),
        installation::processes(&settings),
        account::check(&settings, store.as_ref()),
    );
    lines.push(queue);
    lines.extend(policies);
    lines.extend([
        spool,
        installation::folder(&settings),
        installation::tokens(&settings),
        pusher,
        installation::signing_keys(&settings),
    ]);
    lines.extend(account);
    lines.push(processes);

    let mut out = std::io::stdout().lock();
    for line in &lines {
        // Fails when whoever reads has read enough.
        let _ = writeln!(out, "{line}");
    }
    match lines.iter().filter(|line| line.state == State::Wrong).count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

impl Line {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(State::Ok, subject, text)
    }

    /// The text says what to do.
    fn wrong(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(State::Wrong, subject, text)
    }

    fn skipped(subject: &'static str, text: impl Into<String>) -> Self {
        Self::new(State::Skipped, subject, text)
    }

    fn new(state: State, subject: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { state, subject, text }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Wrong => "wrong",
            State::Skipped => "skipped",
        };
        // Some causes have several lines.
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(formatter, "{state:<8} {:<13} {text}", self.subject)
    }
}
