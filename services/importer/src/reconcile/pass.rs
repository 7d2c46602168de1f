//! One pass: what it leaves out of the pages, and what it makes of them at the end.

use calls::{CallId, Stage};
use chrono::{DateTime, TimeDelta, Utc};
use store::{Import, ImportSource, StoreError};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::DAILY;
use crate::Importer;
use crate::page::Page;
use crate::run::{CATCHING_UP, Stopped};

/// A webhook that tells of the end of a call comes within 20 minutes (`docs/callrail.md`, "Delivery"); after this time
/// none is on its way.
pub(super) const MISSED_AFTER: TimeDelta = TimeDelta::minutes(30);

/// How long a pass is remembered.
const KEPT: TimeDelta = TimeDelta::days(7);

/// What the pages of a pass had beside what was known, as far as this process has read them.
#[derive(Default)]
pub(crate) struct Compared {
    /// Calls that are over for long and had no row.
    missed: u64,
}

impl Importer {
    /// Works on a pass, from where it stands to its end.
    pub(crate) async fn work_on_pass(&self, run: &Import, holder: Uuid) -> Result<(), Stopped> {
        let is_daily = run.end - run.start >= DAILY;
        if is_daily && run.cursor.is_none() {
            // Before the calls are read: a link that is set is not moved.
            self.mirror_account_numbers().await?;
        }
        let mut compared = Compared::default();
        self.read(run, holder, Some(&mut compared)).await?;
        if self.is_stored(run).await? {
            self.tell_gap(run, &compared).await?;
        } else {
            tracing::warn!(import.id = %run.id, "the writers are far behind: the calls that webhooks missed are not counted yet");
        }
        self.reread(run).await?;
        self.hide_vanished(run).await?;
        if is_daily {
            let kept_from = (self.clock)() - KEPT;
            self.store
                .forget_imports(ImportSource::Reconcile, kept_from)
                .await?;
        }
        Ok(())
    }

    /// Leaves out of a page what is known, and shows calls again that were thought gone.
    pub(crate) async fn compare(&self, page: &mut Page, compared: &mut Compared) -> Result<(), Stopped> {
        let listed: Vec<CallId> = page
            .events
            .iter()
            .map(|event| event.call.call_sid.clone())
            .collect();
        let known = self.store.known_calls(listed).await?;
        let over_before = (self.clock)() - MISSED_AFTER;
        let is_missed = |call: &calls::Snapshot| {
            let is_over = call.stage == Stage::Ended && ended_at(call).is_some_and(|end| end < over_before);
            is_over && known.get(&call.call_sid).is_none_or(|known| !known.has_row)
        };
        let missed = page.events.iter().filter(|event| is_missed(&event.call));
        compared.missed += missed.count() as u64;
        let back = known.iter().filter(|(_, call)| call.vanished);
        self.show_again(back.map(|(call_sid, _)| call_sid.clone()).collect())
            .await?;
        page.keep_news(&known);
        Ok(())
    }

    /// Waits until what the pass has published is in the database; whether it is.
    async fn is_stored(&self, run: &Import) -> Result<bool, Stopped> {
        let began = Instant::now();
        loop {
            let queued = self.store.queued_import_calls(run.id, 1, None).await?;
            if queued.is_empty() {
                return Ok(true);
            }
            if began.elapsed() >= self.settings.patience {
                return Ok(false);
            }
            sleep(CATCHING_UP).await;
        }
    }

    /// Says what webhooks missed, once for every call: in the pass that brings it.
    async fn tell_gap(&self, run: &Import, compared: &Compared) -> Result<(), Stopped> {
        let imported = compared.missed;
        let over_before = (self.clock)() - MISSED_AFTER;
        let gap = self.store.gap(run.start, run.end, over_before).await?;
        match gap {
            Some(gap) if gap > 0 && imported > 0 => tracing::warn!(
                import.id = %run.id,
                imported,
                gap,
                "webhooks have missed calls: they are imported now; `gap` are all of the time that the pass covers"
            ),
            None if imported > 0 => tracing::warn!(
                import.id = %run.id,
                imported,
                "calls were imported, and no webhook has told of a call for a month: are webhooks set up?"
            ),
            _ => {}
        }
        Ok(self.look_at_webhooks().await?)
    }

    /// Shows calls that were hidden and that CallRail has after all.
    pub(super) async fn show_again(&self, calls: Vec<CallId>) -> Result<(), StoreError> {
        if calls.is_empty() {
            return Ok(());
        }
        let shown = self.store.set_vanished(calls, false, (self.clock)()).await?;
        if shown > 0 {
            tracing::info!(
                calls = shown,
                "calls that were gone from CallRail are there again: they are shown"
            );
        }
        Ok(())
    }
}

fn ended_at(call: &calls::Snapshot) -> Option<DateTime<Utc>> {
    let began = call.facts.started_at?;
    Some(began + TimeDelta::seconds(call.facts.duration_seconds.into()))
}
