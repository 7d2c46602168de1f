//! What is done every so often.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The turns of something that is done every so often until the process ends. The first comes at once; one that takes
/// longer than the time between two puts off those that follow.
#[derive(Debug)]
pub struct Turns {
    ticks: Interval,
    shutdown: CancellationToken,
}

impl Turns {
    /// One turn each `period`, which is longer than zero, until `shutdown`.
    pub fn every(period: Duration, shutdown: &CancellationToken) -> Self {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            shutdown: shutdown.clone(),
        }
    }

    /// Waits for the next turn; `None`: there is none any more.
    pub async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            _ = self.ticks.tick() => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_first_turn_comes_at_once_and_none_after_the_end() {
        let shutdown = CancellationToken::new();
        let mut turns = Turns::every(Duration::from_secs(3_600), &shutdown);
        assert_eq!(turns.next().await, Some(()));
        assert_eq!(turns.next().now_or_never(), None);
        shutdown.cancel();
        assert_eq!(turns.next().await, None);
    }
}
