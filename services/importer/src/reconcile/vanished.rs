//! Calls that CallRail does not list any more: marked as spam, or deleted.

use calls::CallId;
use store::{Import, StoreError};

use crate::Importer;
use crate::run::Stopped;

/// So many calls may go from the range of a pass, or so many in a hundred of its calls; when both is exceeded, the key
/// has lost sight of calls rather than somebody has deleted them.
const MOST: usize = 20;
const MOST_IN_A_HUNDRED: u64 = 5;

/// How many calls are asked for one by one in a pass: the next one goes on.
const ASKED_IN_A_PASS: usize = 200;

impl Importer {
    /// Hides the calls that a pass, which is at its end, did not meet, and that CallRail does not know when asked.
    pub(super) async fn hide_vanished(&self, run: &Import) -> Result<(), Stopped> {
        let unlisted = self.store.unlisted_calls(run).await?;
        if unlisted.is_empty() {
            return Ok(());
        }
        let listed = self.store.import_counts(run.id).await?.total;
        if is_too_many(unlisted.len(), listed) {
            self.metrics.stopped_hiding();
            tracing::error!(
                import.id = %run.id,
                listed,
                gone = unlisted.len(),
                "CallRail lists far fewer calls than before, so none is hidden: does the key's user still see all companies?"
            );
            return Ok(());
        }
        // With a key for another account every call would seem gone.
        self.ask(|| self.repair.account()).await?;
        let unlisted = self.in_sight(unlisted).await?;
        let mut gone = Vec::new();
        for call_sid in unlisted.into_iter().take(ASKED_IN_A_PASS) {
            if self.ask(|| self.repair.call(&call_sid)).await?.is_none() {
                gone.push(call_sid);
            }
        }
        Ok(self.hide(gone).await?)
    }

    /// Of these calls those of companies that the key sees: of any other company CallRail would say that it does not
    /// know the call, and its webhooks come all the same.
    pub(super) async fn in_sight(&self, mut calls: Vec<CallId>) -> Result<Vec<CallId>, Stopped> {
        if calls.is_empty() {
            return Ok(calls);
        }
        let companies = self.ask(|| self.repair.companies()).await?;
        let rows = self.store.interactions(&calls).await?;
        let before = calls.len();
        calls.retain(|call_sid| {
            let company = rows.get(call_sid).and_then(|row| row.company_id.as_ref());
            company.is_none_or(|company| companies.iter().any(|seen| seen.id == *company))
        });
        if calls.len() < before {
            tracing::warn!(
                calls = before - calls.len(),
                "calls of companies that the key does not see cannot be looked for: let its user see all companies"
            );
        }
        Ok(calls)
    }

    /// Hides calls that are gone.
    pub(super) async fn hide(&self, gone: Vec<CallId>) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let hidden = self.store.set_vanished(gone, true, (self.clock)()).await?;
        if hidden > 0 {
            self.metrics.hid(hidden);
            tracing::info!(
                calls = hidden,
                "calls are gone from CallRail, as spam or deleted: they are hidden"
            );
        }
        Ok(())
    }
}

fn is_too_many(gone: usize, listed: u64) -> bool {
    let gone_of_all = gone as u64;
    gone > MOST && gone_of_all * 100 > (listed + gone_of_all) * MOST_IN_A_HUNDRED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_calls_that_are_also_a_large_part_are_too_many() {
        for (gone, listed, expected) in [
            (1, 0, false),
            (20, 0, false),
            (21, 0, true),
            (21, 398, true),
            (21, 399, false),
            (500, 10_000, false),
            (600, 10_000, true),
        ] {
            assert_eq!(is_too_many(gone, listed), expected, "{gone} of {listed}");
        }
    }
}
