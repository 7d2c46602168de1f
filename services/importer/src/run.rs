//! One import run: leased, read window by window and page by page, and ended.

use std::collections::HashSet;
use std::error::Error;
use std::time::{Duration, Instant};

use callrail::client::{ApiError, BudgetError, CallPage, CallQuery, Cursor};
use calls::{CallEvent, Digest, window_end};
use chrono::TimeDelta;
use queue::{Message, QueueError, QueueName};
use runtime::{CancellationToken, in_one_line};
use store::{Import, ImportCursor, ImportLease, ImportSource, ImportedPage, StoreError};
use tokio::time::sleep;
use uuid::Uuid;

use crate::Importer;
use crate::page::Page;
use crate::reconcile::Compared;

/// How long to wait before what failed is tried again: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The same where CallRail says that it was asked too often, and not for how long.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_secs(60);
/// How often to look whether the writers have caught up.
pub(crate) const CATCHING_UP: Duration = Duration::from_millis(100);

/// Why the work on a run ended before its end.
pub(crate) enum Stopped {
    /// The run is somebody else's by now, was cancelled, or stays for later: there is nothing to note.
    Left,
    /// It cannot be done; the text is for people.
    GivenUp(String),
}

impl From<StoreError> for Stopped {
    /// The database is away: whoever leases the run next goes on with it.
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn Error,
            "cannot go on with an import: the database is away"
        );
        Self::Left
    }
}

impl Importer {
    /// Works on the oldest run from `sources` that nobody works on, to its end; whether there was one.
    pub(crate) async fn work_on_one(
        &self,
        sources: &[ImportSource],
        holder: Uuid,
        shutdown: &CancellationToken,
    ) -> bool {
        let leased = self
            .store
            .lease_import(sources, holder, (self.clock)(), self.lease())
            .await;
        let run = match leased {
            Ok(Some(run)) => run,
            Ok(None) => return false,
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "cannot look for imports");
                return false;
            }
        };
        tracing::info!(import.id = %run.id, source = run.source.as_str(), "working on an import");
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Stopped::Left),
            lost = self.keep(run.id, holder) => Err(lost),
            done = self.work(&run, holder) => done,
        };
        let noted = match outcome {
            Ok(()) => self.store.finish_import(run.id, holder, (self.clock)()).await,
            Err(Stopped::GivenUp(reason)) => {
                tracing::error!(import.id = %run.id, reason, "gave an import up");
                self.store
                    .fail_import(run.id, holder, &reason, (self.clock)())
                    .await
            }
            // A lease of zero: the next importer need not wait for it to run out.
            Err(Stopped::Left) => {
                self.store
                    .renew_import(run.id, holder, (self.clock)(), TimeDelta::zero())
                    .await
            }
        };
        if let Err(error) = noted {
            tracing::error!(import.id = %run.id, error = &error as &dyn Error, "cannot note how an import ended");
            return false;
        }
        tracing::info!(import.id = %run.id, "left an import");
        !shutdown.is_cancelled()
    }

    /// Renews the lease for as long as the run is ours. Requests may have to wait for the budget for hours.
    async fn keep(&self, run: Uuid, holder: Uuid) -> Stopped {
        loop {
            sleep(self.settings.lease / 3).await;
            let renewed = self
                .store
                .renew_import(run, holder, (self.clock)(), self.lease())
                .await;
            match renewed {
                Ok(ImportLease::Held) => {}
                Ok(ImportLease::Lost | ImportLease::Over) => return Stopped::Left,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "cannot keep an import: trying again"
                    );
                }
            }
        }
    }

    async fn work(&self, run: &Import, holder: Uuid) -> Result<(), Stopped> {
        if run.retrying {
            return self.retry(run, holder).await;
        }
        match run.source {
            ImportSource::Api | ImportSource::Cli => self.read(run, holder, None).await,
            ImportSource::Reconcile => self.work_on_pass(run, holder).await,
        }
    }

    /// Reads on from where the run stands to its end. For a pass of the reconciler only news is published.
    pub(crate) async fn read(
        &self,
        run: &Import,
        holder: Uuid,
        mut compared: Option<&mut Compared>,
    ) -> Result<(), Stopped> {
        let mut cursor = run.cursor.clone().unwrap_or(ImportCursor {
            window_start: run.start,
            next_page: None,
        });
        let mut window = Window::default();
        let mut is_kept_cursor = cursor.next_page.is_some();
        while cursor.window_start < run.end {
            self.wait_for_writers().await?;
            let observed_at = (self.clock)();
            let (page, requests) = self.page(run, holder, &mut cursor, is_kept_cursor).await?;
            is_kept_cursor = false;
            if window.goes_in_a_circle(&page) {
                return Err(given_up(&ApiError::EndlessPages));
            }
            cursor.next_page = page.next.as_ref().map(|next| next.as_str().to_owned());
            if cursor.next_page.is_none() {
                cursor.window_start = window_end(cursor.window_start, run.end);
                window = Window::default();
            }
            let mut page = Page::read(&page.calls, run, observed_at, self.settings.reading);
            let unreadable = page.calls.len() - page.events.len();
            if let Some(compared) = &mut compared {
                self.compare(&mut page, compared).await?;
            }
            let Page { events, calls } = page;
            self.metrics.read_page(events.len(), unreadable);
            self.publish(&events).await?;
            let page = ImportedPage {
                calls,
                cursor: cursor.clone(),
                requests,
            };
            match self.store.save_import_page(run.id, holder, page).await? {
                ImportLease::Held => {}
                ImportLease::Lost | ImportLease::Over => return Err(Stopped::Left),
            }
        }
        Ok(())
    }

    /// The page at the cursor, and how many attempts it took. A cursor that was kept, perhaps for days, and that CallRail
    /// does not know any more goes back to the beginning of its window.
    async fn page(
        &self,
        run: &Import,
        holder: Uuid,
        cursor: &mut ImportCursor,
        is_kept_cursor: bool,
    ) -> Result<(CallPage, u32), Stopped> {
        let client = match run.source {
            ImportSource::Api | ImportSource::Cli => &self.backfill,
            ImportSource::Reconcile => &self.repair,
        };
        let mut trouble = Trouble::new(self.settings.patience);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let asked = if let Some(next) = &cursor.next_page {
                client.calls_after(&Cursor::from_text(next)).await
            } else {
                let query = CallQuery {
                    company: run.company.clone(),
                    from: cursor.window_start,
                    until: window_end(cursor.window_start, run.end),
                };
                client.calls(&query).await
            };
            match asked {
                Ok(page) => return Ok((page, attempts)),
                Err(ApiError::NotFound { .. } | ApiError::Invalid { .. })
                    if is_kept_cursor && cursor.next_page.is_some() =>
                {
                    tracing::warn!(import.id = %run.id, "CallRail does not know a page any more: reading its window again");
                    cursor.next_page = None;
                }
                Err(error) => {
                    let pause = trouble.after(&error)?;
                    // Whoever looks at the run should not have to wait until it is given up.
                    let _ = self
                        .store
                        .note_import_trouble(run.id, holder, &in_one_line(&error))
                        .await?;
                    sleep(pause).await;
                }
            }
        }
    }

    /// Asks CallRail something until there is an answer.
    pub(crate) async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<T, Stopped>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut trouble = Trouble::new(self.settings.patience);
        loop {
            match question().await {
                Ok(answer) => return Ok(answer),
                Err(error) => sleep(trouble.after(&error)?).await,
            }
        }
    }

    /// Durable when it returns.
    pub(crate) async fn publish(&self, events: &[CallEvent]) -> Result<(), Stopped> {
        let mut trouble = Trouble::new(self.settings.patience);
        loop {
            let messages = events
                .iter()
                .map(|event| Message::new(event.event_id, event.encode()))
                .collect();
            match self.queue.publish_all(QueueName::Backfill, messages).await {
                Ok(()) => return Ok(()),
                Err(error @ QueueError::Unavailable { .. }) => sleep(trouble.pause(&error)?).await,
                Err(error) => return Err(given_up(&error)),
            }
        }
    }

    pub(crate) async fn wait_for_writers(&self) -> Result<(), Stopped> {
        while self.writers_are_behind().await? {
            sleep(CATCHING_UP).await;
        }
        Ok(())
    }

    async fn writers_are_behind(&self) -> Result<bool, StoreError> {
        let most = self.settings.max_waiting;
        if self.store.queued_backfill().await? <= most {
            return Ok(false);
        }
        // What the queue has lost stays noted as waiting in it: nobody will ever write it.
        let depths = match self.queue.depths().await {
            Ok(depths) => depths,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn Error,
                    "writers are waited for while the queue is away"
                );
                return Ok(true);
            }
        };
        let waiting = depths
            .into_iter()
            .find(|(queue, _)| *queue == QueueName::Backfill);
        Ok(waiting.is_some_and(|(_, waiting)| waiting > most / 2))
    }

    fn lease(&self) -> TimeDelta {
        TimeDelta::from_std(self.settings.lease).unwrap_or(TimeDelta::MAX)
    }
}

/// What was read of one window.
#[derive(Default)]
struct Window {
    cursors: HashSet<Cursor>,
    last_page: Option<Digest>,
}

impl Window {
    /// Whether a page names one as the next that was met before, or holds just the calls of the page before it.
    fn goes_in_a_circle(&mut self, page: &CallPage) -> bool {
        let content = Some(Digest::of(&page.calls));
        let repeats = self.last_page == content;
        self.last_page = content;
        repeats
            || page
                .next
                .as_ref()
                .is_some_and(|next| !self.cursors.insert(next.clone()))
    }
}

/// The outside is away: pauses that grow, until patience is at its end.
struct Trouble {
    began: Option<Instant>,
    pause: Duration,
    patience: Duration,
}

impl Trouble {
    fn new(patience: Duration) -> Self {
        Self {
            began: None,
            pause: FIRST_PAUSE,
            patience,
        }
    }

    /// How long to wait after CallRail gave no answer; the run is given up if asking again does not help.
    fn after(&mut self, error: &ApiError) -> Result<Duration, Stopped> {
        match error {
            // Nobody's fault, and not long by its nature: as long as it takes.
            ApiError::RateLimited { retry_after, .. }
            | ApiError::Budget(BudgetError::Exhausted { retry_after }) => {
                tracing::info!(error = error as &dyn Error, "an import waits for its turn");
                Ok(retry_after.unwrap_or(UNTIL_ASKED_AGAIN))
            }
            error if error.is_outside() => self.pause(error),
            error => Err(given_up(error)),
        }
    }

    /// How long to wait before the next attempt; the run is given up when patience is at its end.
    fn pause(&mut self, error: &(dyn Error + 'static)) -> Result<Duration, Stopped> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() >= self.patience {
            return Err(given_up(error));
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        let pause_ms = pause.as_millis();
        tracing::warn!(error, pause_ms, "an import cannot go on at present: trying again");
        Ok(pause)
    }
}

fn given_up(error: &(dyn Error + 'static)) -> Stopped {
    Stopped::GivenUp(in_one_line(error))
}
