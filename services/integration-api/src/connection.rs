//! Whether CallRail answers: asked in the background, so that whoever wants to know is told at once.

use std::sync::Arc;
use std::time::Duration;

use callrail::client::Client;
use runtime::CancellationToken;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::answer::Refusal;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(60);

/// When it is asked again ahead of time, as long as somebody wants to know.
const AGING: Duration = Duration::from_secs(40);

/// How long somebody waits for an answer when there is no fresh one.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the last question gave.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    answered_at: Instant,
    error: Option<String>,
}

/// Knows whether CallRail answers. Every question costs a request of the account's budget, so after the start it is
/// asked only while somebody wants to know.
pub(crate) struct Connection {
    wanted: Arc<Notify>,
    last: watch::Receiver<Option<Probe>>,
    can_ask: bool,
}

impl Connection {
    /// Starts to ask, until `shutdown`.
    pub(crate) fn start(client: Option<Client>, shutdown: CancellationToken) -> Self {
        let wanted = Arc::new(Notify::new());
        let (sender, last) = watch::channel(None);
        let can_ask = client.is_some();
        if let Some(client) = client {
            // The first who wants to know is told at once, too.
            wanted.notify_one();
            tokio::spawn(ask(client, Arc::clone(&wanted), sender, shutdown));
        }
        Self {
            wanted,
            last,
            can_ask,
        }
    }

    /// `Ok` when CallRail has accepted the key within the last minute; else one line that says why not.
    pub(crate) async fn state(&self) -> Result<(), String> {
        if !self.can_ask {
            return Err(Refusal::not_configured().message().to_owned());
        }
        let mut last = self.last.clone();
        let is_fresh = |probe: &Option<Probe>, within: Duration| {
            probe
                .as_ref()
                .is_some_and(|probe| probe.answered_at.elapsed() < within)
        };
        let is_aging = !is_fresh(&last.borrow(), AGING);
        if is_aging {
            self.wanted.notify_one();
        }
        let fresh = timeout(PATIENCE, last.wait_for(|probe| is_fresh(probe, FRESH))).await;
        match fresh {
            Ok(Ok(probe)) => match probe.as_ref().and_then(|probe| probe.error.clone()) {
                Some(error) => Err(error),
                None => Ok(()),
            },
            _ => Err("CallRail has not answered yet: ask again in a few seconds".to_owned()),
        }
    }
}

async fn ask(
    client: Client,
    wanted: Arc<Notify>,
    last: watch::Sender<Option<Probe>>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = wanted.notified() => {}
        }
        let answer = tokio::select! {
            () = shutdown.cancelled() => return,
            answer = client.account() => answer,
        };
        let error = answer.err().map(Refusal::from);
        if let Some(error) = &error {
            tracing::warn!(code = error.code(), "CallRail does not answer as it should");
        }
        last.send_replace(Some(Probe {
            answered_at: Instant::now(),
            error: error.map(|error| error.message().to_owned()),
        }));
    }
}
