//! The tasks of a process, and its orderly end.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What asks a process to end: SIGTERM, or SIGINT (Ctrl-C). Once this is made, neither ends the process by itself.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs the tasks of a process until SIGTERM or SIGINT asks it to end, or until one of them ends on its own, which
/// is a failure. Then all are asked to stop, and given the grace period to finish what they hold. A second signal
/// ends the process at once.
pub struct Supervisor {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
    grace: Duration,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new(grace: Duration) -> Self {
        Self {
            tasks: JoinSet::new(),
            shutdown: CancellationToken::new(),
            grace,
        }
    }

    /// Cancelled when the process is to end, for parts that are made before they run.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task. It is to end soon after its token is cancelled, with what it holds finished.
    pub fn spawn<F>(&mut self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let running = task(self.shutdown.clone());
        self.tasks.spawn(async move { (name, running.await) });
    }

    /// Runs until the end.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;

        let failure = tokio::select! {
            () = signals.next() => None,
            ended = self.tasks.join_next() => Some(early(ended)),
        };
        tracing::info!("stopping: finishing what is under way");
        self.shutdown.cancel();

        let finished = tokio::select! {
            finished = tokio::time::timeout(self.grace, drain(&mut self.tasks)) => finished.unwrap_or_else(|_| {
                let waiting = self.tasks.len();
                Err(anyhow::anyhow!("{waiting} tasks did not finish within {:?}", self.grace))
            }),
            () = signals.next() => Err(anyhow::anyhow!("ended at once by a second signal")),
        };
        failure.map_or(finished, Err)
    }
}

type Ended = Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>;

/// Why the process must end although nobody asked it to.
fn early(ended: Option<Ended>) -> anyhow::Error {
    match ended {
        None => anyhow::anyhow!("there is nothing to run"),
        Some(Ok((name, Ok(())))) => anyhow::anyhow!("{name} ended unasked"),
        Some(Ok((name, Err(error)))) => error.context(format!("{name} failed")),
        Some(Err(error)) => anyhow::Error::new(error).context("a task panicked"),
    }
}

async fn drain(tasks: &mut JoinSet<(&'static str, anyhow::Result<()>)>) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((name, Err(error))) => result = Err(error.context(format!("{name} failed while stopping"))),
            Err(error) => result = Err(anyhow::Error::new(error).context("a task panicked while stopping")),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_unasked_ends_the_process_with_a_failure_and_the_others_in_order() {
        let (stopped, mut has_stopped) = tokio::sync::mpsc::channel(1);
        let mut supervisor = Supervisor::new(Duration::from_secs(10));
        supervisor.spawn("steady", |shutdown| async move {
            shutdown.cancelled().await;
            stopped.send(()).await?;
            Ok(())
        });
        supervisor.spawn("hasty", |_| async { Ok(()) });
        let error = supervisor.run().await.unwrap_err();
        assert_eq!(error.to_string(), "hasty ended unasked");
        assert!(has_stopped.recv().await.is_some());
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_left_after_the_grace_period() {
        let mut supervisor = Supervisor::new(Duration::from_millis(10));
        supervisor.spawn("stubborn", |_| std::future::pending());
        supervisor.spawn("broken", |_| async { Err(anyhow::anyhow!("no luck")) });
        assert_eq!(
            format!("{:#}", supervisor.run().await.unwrap_err()),
            "broken failed: no luck"
        );
    }
}
