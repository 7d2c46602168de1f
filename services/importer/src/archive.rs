//! Fetches recordings into the archive, before CallRail forgets them.
//!
//! What is to be fetched stands in the database: one task puts there what calls bring, two take one recording at a time
//! and fetch it, beside those of other importers. Requests for links count as [`store::RequestClass::Archive`], which
//! leaves room for all else; the client does not wait for that budget, so that whenever there is room the youngest call
//! comes first.

use std::error::Error;
use std::time::Duration;

use callrail::client::{ApiError, BudgetError, Client, RecordingError, RecordingFiles};
use calls::CallId;
use chrono::{DateTime, TimeDelta, Utc};
use recordings::{Archive, ArchiveError};
use runtime::{CancellationToken, Turns};
use store::{ArchivedRecording, RecordingOutcome, RecordingTaken, Store, StoreError};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::Importer;

/// How recordings are kept.
#[derive(Debug, Clone)]
pub struct Recordings {
    /// Asks CallRail for links, within the account's budget.
    pub links: Client,
    /// Fetches what they lead to.
    pub files: RecordingFiles,
    /// Keeps it.
    pub archive: Archive,
}

/// How long a recording may take. Nobody else takes it for longer than that, and then an importer that was killed is
/// certain to be done with it.
const LONGEST_FETCH: Duration = Duration::from_secs(10 * 60);
const TAKEN_FOR: TimeDelta = TimeDelta::minutes(15);

/// How many calls are put on the list at a time: a batch that nobody has to wait for.
const AT_A_TIME: u32 = 500;

/// How often those that wait are counted: there may be very many.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How often recordings are deleted that are kept no longer.
const DELETE_EVERY: Duration = Duration::from_secs(10 * 60);

/// Of two rows written at the same time the earlier may become visible later.
const OVERLAP: TimeDelta = TimeDelta::minutes(1);

/// How long a recording rests after it was tried in vain: four times as long each time, from the first to the longest.
const FIRST_REST: TimeDelta = TimeDelta::minutes(1);
const LONGEST_REST: TimeDelta = TimeDelta::days(7);

/// How long after CallRail did not have a recording it is asked once more. It may be late; and a key that has lost sight
/// of a company is noticed in that time.
const UNTIL_GONE: TimeDelta = TimeDelta::days(1);

/// How long to pause when nothing, or not the last recording, could be fetched: doubling, from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a recording was not fetched.
enum Trouble {
    /// CallRail, the archive or the database is away, or there is no room in the budget: none can be fetched now.
    Outside,
    /// The same, and it is known for how long.
    NotBefore(Duration),
    /// CallRail does not have it.
    Missing(&'static str),
    /// It is this one that cannot be fetched.
    OfThisOne(String),
}

impl Importer {
    /// Fetches recordings until `shutdown`.
    pub(crate) async fn keep_recordings(&self, recordings: &Recordings, shutdown: &CancellationToken) {
        tokio::join!(
            self.list_recordings(shutdown),
            self.count_waiting(shutdown),
            self.fetch_recordings(recordings, shutdown),
            self.fetch_recordings(recordings, shutdown),
        );
    }

    /// Puts on the list what calls bring. At the start all calls are looked at, since the archive may be new.
    async fn list_recordings(&self, shutdown: &CancellationToken) {
        let mut turns = self.turns(shutdown);
        let mut since = DateTime::UNIX_EPOCH;
        while turns.next().await.is_some() {
            let began = (self.clock)();
            match self.list_since(since, shutdown).await {
                Ok(()) => since = began - OVERLAP,
                Err(error) => tracing::error!(
                    error = &error as &dyn Error,
                    "cannot look for calls whose recording is to be kept"
                ),
            }
        }
    }

    async fn list_since(
        &self,
        mut since: DateTime<Utc>,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        while let Some(next) = self
            .store
            .want_recordings(since, AT_A_TIME, (self.clock)())
            .await?
            && !shutdown.is_cancelled()
        {
            since = next;
        }
        Ok(())
    }

    async fn count_waiting(&self, shutdown: &CancellationToken) {
        let mut turns = Turns::every(COUNT_EVERY, shutdown);
        while turns.next().await.is_some() {
            match self.store.recordings_waiting().await {
                Ok(waiting) => self.metrics.recordings_wait(waiting),
                Err(error) => tracing::warn!(
                    error = &error as &dyn Error,
                    "cannot count the recordings that wait"
                ),
            }
        }
    }

    async fn fetch_recordings(&self, recordings: &Recordings, shutdown: &CancellationToken) {
        let holder = Uuid::now_v7();
        let mut turns = self.turns(shutdown);
        let mut pauses = Pauses::default();
        while turns.next().await.is_some() {
            while !shutdown.is_cancelled() {
                let pause = match self.fetch_one(recordings, holder, shutdown).await {
                    Ok(true) => {
                        pauses = Pauses::default();
                        continue;
                    }
                    Ok(false) => break,
                    // An answer, too.
                    Err(Trouble::Missing(_)) => continue,
                    Err(Trouble::NotBefore(pause)) => pause.min(LONGEST_PAUSE),
                    Err(_) => pauses.next(),
                };
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// Fetches the next recording; whether there was one. What became of it is noted in any case.
    async fn fetch_one(
        &self,
        recordings: &Recordings,
        holder: Uuid,
        shutdown: &CancellationToken,
    ) -> Result<bool, Trouble> {
        let taken = self.store.take_recording(holder, (self.clock)(), TAKEN_FOR).await;
        let Some(taken) = taken.map_err(|error| cannot_note(&error))? else {
            return Ok(false);
        };
        let fetched = tokio::select! {
            biased;
            // Given back at once: nobody need wait until it counts as left.
            () = shutdown.cancelled() => Err(Trouble::NotBefore(Duration::ZERO)),
            fetched = timeout(LONGEST_FETCH, self.fetch(recordings, &taken, holder)) => fetched.unwrap_or_else(|_| {
                Err(Trouble::OfThisOne("the recording came too slowly".to_owned()))
            }),
        };
        let outcome = match &fetched {
            Ok(archived) => RecordingOutcome::Archived(archived.clone()),
            Err(trouble) => self.outcome(&taken, trouble),
        };
        self.tell(&taken.call_sid, &outcome);
        let call_sid = taken.call_sid.clone();
        let is_noted = self
            .store
            .settle_recording(taken, holder, outcome, (self.clock)())
            .await
            .map_err(|error| cannot_note(&error))?;
        let archived = fetched?;
        if is_noted {
            self.metrics.archived_recording();
        } else if !self.is_known(&call_sid).await? {
            // It was erased while it was fetched.
            let deleted = recordings.archive.delete(&archived.key).await;
            deleted.map_err(|error| archive_is_away(&error))?;
        }
        Ok(true)
    }

    async fn is_known(&self, call_sid: &CallId) -> Result<bool, Trouble> {
        let known = self.store.knows_recording(call_sid).await;
        known.map_err(|error| cannot_note(&error))
    }

    /// From the call to what is in the archive.
    async fn fetch(
        &self,
        recordings: &Recordings,
        taken: &RecordingTaken,
        holder: Uuid,
    ) -> Result<ArchivedRecording, Trouble> {
        let link = recordings.links.recording(&taken.call_sid).await?;
        let Some(link) = link else {
            if taken.missing_since.is_some() {
                // With a key for another account every recording would seem gone.
                recordings.links.account().await?;
            }
            return Err(Trouble::Missing("CallRail has no recording of this call (404)"));
        };
        let mut file = recordings.files.fetch(&link, None).await?;
        if !file.says_where_it_ends() {
            return Err(Trouble::OfThisOne(
                "the server of the recording does not say where it ends".to_owned(),
            ));
        }
        let content_type = file.content_type().unwrap_or_default().to_owned();
        let key = key(taken, &content_type);
        // Before the first byte is there: what nobody knows of is never deleted.
        let begun = self.store.begin_recording(&taken.call_sid, holder, &key).await;
        if !begun.map_err(|error| cannot_note(&error))? {
            return Err(Trouble::OfThisOne("the call was erased meanwhile".to_owned()));
        }
        let mut writer = recordings.archive.write(&key);
        let copied = loop {
            match file.chunk().await {
                Ok(Some(piece)) => {
                    if let Err(error) = writer.put(piece).await {
                        break Err(error.into());
                    }
                }
                Ok(None) if writer.length() == 0 => {
                    break Err(Trouble::OfThisOne("the recording is empty".to_owned()));
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        if let Err(trouble) = copied {
            if let Err(error) = writer.abort().await {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "a recording that broke off may have left something in the archive"
                );
            }
            return Err(trouble);
        }
        let written = writer.finish().await?;
        Ok(ArchivedRecording {
            key,
            content_type,
            length: written.length,
            sha256: written.sha256,
            stored_at: (self.clock)(),
        })
    }

    /// What is noted of a recording that was not fetched.
    fn outcome(&self, taken: &RecordingTaken, trouble: &Trouble) -> RecordingOutcome {
        let now = (self.clock)();
        match trouble {
            Trouble::Outside | Trouble::NotBefore(_) => RecordingOutcome::Left,
            Trouble::Missing(reason) if taken.missing_since.is_some() => RecordingOutcome::Gone {
                reason: (*reason).to_owned(),
            },
            Trouble::Missing(reason) => RecordingOutcome::Failed {
                reason: (*reason).to_owned(),
                due_at: now + UNTIL_GONE,
                is_missing: true,
            },
            Trouble::OfThisOne(reason) => RecordingOutcome::Failed {
                reason: reason.clone(),
                due_at: now + rest_after(taken.attempts),
                is_missing: false,
            },
        }
    }

    /// Counts and logs it.
    fn tell(&self, call_sid: &CallId, outcome: &RecordingOutcome) {
        match outcome {
            RecordingOutcome::Archived(archived) => {
                tracing::debug!(call.id = %call_sid, length = archived.length, "a recording is in the archive");
            }
            RecordingOutcome::Failed { reason, due_at, .. } => {
                self.metrics.failed_recording();
                tracing::warn!(call.id = %call_sid, reason, %due_at, "a recording could not be fetched: it is tried again");
            }
            RecordingOutcome::Gone { reason } => {
                self.metrics.lost_recording();
                tracing::warn!(call.id = %call_sid, reason, "a recording is gone");
            }
            RecordingOutcome::Left => {}
        }
    }
}

/// Deletes recordings from the archive that are kept no longer, or were erased while it was away, until `shutdown`. Needs
/// no account at CallRail: whoever has left it has recordings all the same.
pub async fn delete_recordings(store: Store, archive: Archive, shutdown: CancellationToken) {
    let mut turns = Turns::every(DELETE_EVERY, &shutdown);
    while turns.next().await.is_some() {
        match delete_due(&store, &archive, &shutdown).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "recordings that are kept no longer were deleted"),
            Err(error) => tracing::warn!(
                error = &error as &dyn Error,
                "cannot look for recordings that are kept no longer: trying again"
            ),
        }
    }
}

/// Deletes them one by one, of which one that cannot be deleted keeps no other from it; how many were.
async fn delete_due(
    store: &Store,
    archive: &Archive,
    shutdown: &CancellationToken,
) -> Result<usize, StoreError> {
    let mut deleted = 0;
    for (call_sid, key) in store.recordings_to_delete().await? {
        if shutdown.is_cancelled() {
            break;
        }
        match archive.delete(&key).await {
            Ok(()) => {
                store.forget_recording(&call_sid).await?;
                deleted += 1;
            }
            Err(error) => tracing::error!(
                call.id = %call_sid,
                error = &error as &dyn Error,
                "a recording that is kept no longer cannot be deleted from the archive: trying again in 10 minutes"
            ),
        }
    }
    Ok(deleted)
}

/// A name that tells people which recording it is, in folders that do not get too large.
fn key(taken: &RecordingTaken, content_type: &str) -> String {
    let ending = match content_type.split(';').next().unwrap_or_default().trim() {
        "audio/mpeg" | "audio/mp3" => "mp3",
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/ogg" => "ogg",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        _ => "bin",
    };
    let month = taken.call_began_at.format("%Y-%m");
    format!("{month}/{}.{ending}", taken.call_sid)
}

fn rest_after(attempts: u32) -> TimeDelta {
    let times = 4_i32.checked_pow(attempts).unwrap_or(i32::MAX);
    FIRST_REST
        .checked_mul(times)
        .map_or(LONGEST_REST, |rest| rest.min(LONGEST_REST))
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        match &error {
            ApiError::RateLimited {
                retry_after: Some(pause),
                ..
            }
            | ApiError::Budget(BudgetError::Exhausted {
                retry_after: Some(pause),
            }) => {
                tracing::debug!(error = &error as &dyn Error, "recordings wait for their turn");
                Self::NotBefore(*pause)
            }
            // What is wrong with the key or the account is so for all recordings.
            ApiError::Unauthorized { .. } | ApiError::Credential(_) | ApiError::Redirected => {
                outside("recordings cannot be asked for: is it the right key?", &error)
            }
            error if error.is_outside() => {
                outside("recordings cannot be asked for at present: trying again", error)
            }
            error => Self::OfThisOne(error.to_string()),
        }
    }
}

impl From<RecordingError> for Trouble {
    fn from(error: RecordingError) -> Self {
        match &error {
            RecordingError::Gone => Self::Missing("the server of the recording does not have it any more"),
            RecordingError::ForeignHost { host } => {
                tracing::error!(
                    host,
                    "a recording is said to be at a host that none may come from: if it is CallRail's, add it to \
                     RECORDING_HOSTS"
                );
                Self::OfThisOne(error.to_string())
            }
            _ => Self::OfThisOne(error.to_string()),
        }
    }
}

impl From<ArchiveError> for Trouble {
    fn from(error: ArchiveError) -> Self {
        archive_is_away(&error)
    }
}

fn archive_is_away(error: &ArchiveError) -> Trouble {
    tracing::error!(
        error = error as &dyn Error,
        "the archive of recordings does not work: trying again"
    );
    Trouble::Outside
}

fn cannot_note(error: &StoreError) -> Trouble {
    outside("cannot note what becomes of recordings: trying again", error)
}

fn outside(message: &'static str, error: &(dyn Error + 'static)) -> Trouble {
    tracing::warn!(error, "{message}");
    Trouble::Outside
}

/// Pauses that double.
#[derive(Default)]
struct Pauses {
    last: Option<Duration>,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self
            .last
            .map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_rests_longer_each_time_and_a_week_at_most() {
        let minutes: Vec<_> = (0..5)
            .map(|attempts| rest_after(attempts).num_minutes())
            .collect();
        assert_eq!(minutes, [1, 4, 16, 64, 256]);
        for attempts in [7, 15, 16, u32::MAX] {
            assert_eq!(rest_after(attempts), LONGEST_REST, "{attempts}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.next(), FIRST_PAUSE);
        assert_eq!(pauses.next(), FIRST_PAUSE * 2);
        assert_eq!((0..20).map(|_| pauses.next()).last(), Some(LONGEST_PAUSE));
    }

    #[test]
    fn a_recording_is_named_by_month_call_and_kind_of_sound() {
        let taken = RecordingTaken {
            call_sid: CallId::parse("CAL1").unwrap(),
            call_began_at: "2026-11-30T23:59:00Z".parse().unwrap(),
            attempts: 0,
            missing_since: None,
        };
        assert_eq!(key(&taken, "audio/mpeg"), "2026-11/CAL1.mp3");
        assert_eq!(key(&taken, "audio/wav; rate=8000"), "2026-11/CAL1.wav");
        assert_eq!(key(&taken, "application/octet-stream"), "2026-11/CAL1.bin");
    }
}
