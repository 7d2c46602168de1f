//! The interactions database: the record of every call, the row a CRM reads of it, the mirror of the CRM's people,
//! the alerts and the dead letters, the import runs, the recordings in the archive, and the count of what CallRail's
//! API was asked.
//!
//! [`Store`] is one small interface. Behind it every database is spoken to in its own language; one test suite
//! (`tests/it/suite`) holds them together. What the columns mean: `docs/database.md`.

mod activity;
mod batch;
mod blocking;
mod clock;
mod columns;
mod contact;
mod dead_letter;
mod erasure;
mod error;
mod import;
mod postgres;
mod reconcile;
mod recording;
mod requests;
mod retention;
mod rows;
mod schema;
mod search;
mod sqlite;
mod url;
mod webhook_health;

use std::collections::{BTreeSet, HashMap};

use calls::{
    CallEvent, CallId, Contact, ContactRef, Interaction, MatchRules, OutgoingAlert, PhoneNumber, Record,
    Region, Retention, Seal, Seals,
};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use crate::clock::Clock;

pub use activity::Activity;
pub use contact::{ContactWithPhones, ContactsSaved, CrmMirror, CrmMirrored, CrmPeople, PeopleSearch};
pub use dead_letter::{DeadLetter, DeadLetterState, KeptDeadLetter, WaitingDeadLetters};
pub use erasure::Erased;
pub use error::StoreError;
pub use import::{
    FailedCall, Import, ImportCounts, ImportCursor, ImportLease, ImportRetry, ImportSource, ImportState,
    ImportedCall, ImportedPage, NewImport, RetriedCalls,
};
pub use reconcile::{KnownCall, Pass, PassMade};
pub use recording::{ArchivedRecording, RecordingOutcome, RecordingTaken};
pub use requests::{Permit, ReportedUsage, RequestClass, RequestLimits, RequestsMade};
pub use retention::Retained;
pub use search::{InteractionFilter, InteractionPosition, MatchState, NumberFilter, StoredInteraction};
pub use url::{DatabaseUrl, InvalidDatabaseUrl, PostgresUrl};
pub use webhook_health::{IntegrationSeen, Quiet, WebhookHealth, WebhooksCounted};

/// The database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    retention: Retention,
}

#[derive(Clone)]
enum Backend {
    Postgres(postgres::Postgres),
    Sqlite(sqlite::Sqlite),
}

/// Hands the same work to whichever database it is.
macro_rules! on {
    ($store:expr, $backend:ident => $work:expr) => {
        match &$store.backend {
            Backend::Postgres($backend) => $work.await,
            Backend::Sqlite($backend) => $work.await,
        }
    };
}

/// What a batch of events left to do.
#[derive(Debug, Default)]
pub struct Applied {
    /// Alerts that this batch raised and that nobody has seen: to be published now. The sweep finds those that a
    /// crash leaves behind.
    pub alerts: Vec<OutgoingAlert>,
    /// How many interactions were written.
    pub rows_written: usize,
    /// How the callers of those that were new were matched.
    pub matches: Matches,
}

/// How callers were matched with the CRM's people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matches {
    /// With the only one who has the number.
    pub matched: usize,
    /// Several have it: the call is on the review list.
    pub ambiguous: usize,
    /// With nobody.
    pub unmatched: usize,
}

/// Everything known of one call.
#[derive(Debug, Clone)]
pub struct CallHistory {
    /// The snapshots.
    pub record: Record,
    /// The seals by group, as [`calls::project()`] takes them.
    pub seals: Seals,
    /// The same seals with who and when.
    pub decisions: Vec<Seal>,
    /// The row, if the call has one.
    pub row: Option<Interaction>,
    /// CallRail must be asked which of two states is the newer.
    pub reread: bool,
}

impl Store {
    /// Opens the database. Refuses one whose schema is older than this program, which [`Store::migrate`] mends.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let backend = match url {
            DatabaseUrl::Postgres(url) => Backend::Postgres(postgres::Postgres::open(url.clone()).await?),
            DatabaseUrl::Sqlite(path) => Backend::Sqlite(sqlite::Sqlite::open(path.clone()).await?),
        };
        Ok(Self {
            backend,
            retention: Retention::default(),
        })
    }

    /// The same database, in which parts of calls are kept only so long: what is older when it comes is not stored, and
    /// [`Store::retain`] takes away the rest.
    #[must_use]
    pub fn keeping(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Brings the schema up to date, creating it if there is none; on SQLite the file, too. Returns the names of the
    /// migrations that were run.
    pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
        match url {
            DatabaseUrl::Postgres(url) => postgres::Postgres::migrate(url.clone()).await,
            DatabaseUrl::Sqlite(path) => sqlite::Sqlite::migrate(path.clone()).await,
        }
    }

    /// Takes away all that [`Store::migrate`] made, with everything in it, and nothing else. On PostgreSQL it is
    /// refused while something outside the schema `trunkline`, such as a view of the CRM's, depends on it.
    pub async fn uninstall(url: &DatabaseUrl) -> Result<(), StoreError> {
        match url {
            DatabaseUrl::Postgres(url) => postgres::Postgres::uninstall(url.clone()).await,
            DatabaseUrl::Sqlite(path) => sqlite::Sqlite::uninstall(path.clone()).await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        on!(self, database => database.ping())
    }

    /// Adds events to the records of their calls and writes the rows that differ, in one transaction: all of it or
    /// nothing. Adding an event again changes nothing.
    ///
    /// Several events of one call are taken in their order. Those that an import run has published are noted there as
    /// stored, in the same transaction. A batch of nothing but rings and routed calls does not wait for the names of
    /// callers for longer than 300 ms: see [`Store::amend_alerts`].
    pub async fn apply(
        &self,
        events: Vec<CallEvent>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        on!(self, database => database.apply(events, rules.clone(), self.retention, now))
    }

    /// Everything known of one call; `None` if it was never heard of.
    pub async fn call(&self, call_sid: &CallId) -> Result<Option<CallHistory>, StoreError> {
        on!(self, database => database.call(call_sid.clone()))
    }

    /// The rows of these calls, as far as they have one.
    pub async fn interactions(
        &self,
        call_sids: &[CallId],
    ) -> Result<HashMap<CallId, Interaction>, StoreError> {
        on!(self, database => database.interactions(call_sids.to_vec()))
    }

    /// How many interactions there are.
    pub async fn count_interactions(&self) -> Result<u64, StoreError> {
        on!(self, database => database.count_interactions())
    }

    /// The row with this id, be it hidden or not; `None` if there is none.
    pub async fn interaction(&self, id: Uuid) -> Result<Option<StoredInteraction>, StoreError> {
        on!(self, database => database.interaction(id))
    }

    /// Looks for calls, latest first. `before` is the position of the last one seen: the list goes on behind it, and
    /// calls that came meanwhile do not shift it.
    pub async fn search_interactions(
        &self,
        filter: InteractionFilter,
        limit: u32,
        before: Option<InteractionPosition>,
    ) -> Result<Vec<StoredInteraction>, StoreError> {
        on!(self, database => database.search_interactions(filter, limit, before))
    }

    /// Closes a group of a call by a person's decision or a rule of retention. The row follows at the next event.
    pub async fn seal(&self, call_sid: &CallId, seal: Seal) -> Result<(), StoreError> {
        on!(self, database => database.seal(call_sid.clone(), seal))
    }

    /// Links a call with one of the CRM's people, or with nobody (`None`), by the decision of `by`, a user's id. It is
    /// sealed: no event and no new contact changes it, only another decision. Returns the row as it stands then;
    /// `None` if the call has none. A call whose link was erased stays without one.
    pub async fn link_interaction(
        &self,
        call_sid: &CallId,
        contact: Option<ContactRef>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Interaction>, StoreError> {
        on!(self, database => database.link_interaction(call_sid.clone(), contact, by.to_owned(), now))
    }

    /// Calls of which receipt does not prove which of two states is the newer, oldest first. Once an import that was
    /// read after both is applied, the call is not among them any more.
    pub async fn calls_to_reread(&self, limit: u32) -> Result<Vec<CallId>, StoreError> {
        on!(self, database => database.calls_to_reread(limit))
    }

    /// Notes that CallRail cannot tell which state of these calls is the newer: it does not know them any more. News
    /// of such a call ask again, if they leave it in doubt.
    pub async fn mark_reread_done(&self, call_sids: Vec<CallId>) -> Result<(), StoreError> {
        on!(self, database => database.mark_reread_done(call_sids))
    }

    /// Hides calls that are gone from CallRail, or shows them again. Returns how many rows were changed; a call that
    /// has none is not hidden by this when it gets one.
    pub async fn set_vanished(
        &self,
        call_sids: Vec<CallId>,
        vanished: bool,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        on!(self, database => database.set_vanished(call_sids, vanished, now))
    }

    /// Mirrors contacts, and links the calls that could not be linked without them.
    pub async fn save_contacts(
        &self,
        contacts: Vec<ContactWithPhones>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<ContactsSaved, StoreError> {
        on!(self, database => database.save_contacts(contacts, rules.clone(), now))
    }

    /// What the mirror knows of these people; who is not in it is missing.
    pub async fn contacts(
        &self,
        people: BTreeSet<ContactRef>,
    ) -> Result<HashMap<ContactRef, Contact>, StoreError> {
        on!(self, database => database.contacts(people))
    }

    /// Looks for people, by their names.
    pub async fn search_contacts(
        &self,
        search: PeopleSearch,
        limit: u32,
    ) -> Result<Vec<ContactWithPhones>, StoreError> {
        on!(self, database => database.search_contacts(search, limit))
    }

    /// Mirrors the account's own telephone numbers, which may be its employees' too: no call is linked with anybody by
    /// one of them, from the next event on; links that are set stay. Returns how many are new or gone.
    pub async fn replace_account_numbers(&self, numbers: Vec<PhoneNumber>) -> Result<usize, StoreError> {
        let numbers: BTreeSet<PhoneNumber> = numbers.into_iter().collect();
        on!(self, database => database.replace_account_numbers(numbers))
    }

    /// Removes people from the mirror. Links of calls with them stay. Returns how many were there.
    pub async fn remove_contacts(&self, people: Vec<ContactRef>) -> Result<usize, StoreError> {
        on!(self, database => database.remove_contacts(people))
    }

    /// Mirrors the people that the operator's view `crm_contacts` shows, reading `region` into numbers without a
    /// country code, and links the calls that could not be linked without them.
    ///
    /// Only PostgreSQL has the view; on SQLite there never is one.
    pub async fn mirror_crm_contacts(
        &self,
        people: CrmPeople,
        region: Region,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<CrmMirror, StoreError> {
        match &self.backend {
            Backend::Postgres(postgres) => postgres.mirror_crm_contacts(people, region, rules, now).await,
            Backend::Sqlite(_) => Ok(CrmMirror::NoView),
        }
    }

    /// Looks up who calls in calls that were told with their number alone, because the lookup had taken more than 300 ms.
    /// Returns the alerts that tell the newest state of each once more, now with the contact: to be published like those
    /// of [`Store::apply`]. Each is raised once, and none for a call that has ended or whose caller nobody knows.
    ///
    /// On SQLite there never are any: a lookup reads the file that the writer has already, and waits for nobody.
    pub async fn amend_alerts(
        &self,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<Vec<OutgoingAlert>, StoreError> {
        match &self.backend {
            Backend::Postgres(postgres) => postgres.amend_alerts(rules.clone(), now).await,
            Backend::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// Notes that alerts are on their way.
    pub async fn mark_alerts_published(&self, ids: Vec<Uuid>, now: DateTime<Utc>) -> Result<(), StoreError> {
        on!(self, database => database.mark_alerts_published(ids, now))
    }

    /// Alerts that should be on their way, but were raised before `raised_before` and are not; oldest first.
    pub async fn unpublished_alerts(
        &self,
        raised_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<OutgoingAlert>, StoreError> {
        on!(self, database => database.unpublished_alerts(raised_before, limit))
    }

    /// Alerts raised at or after `since`, oldest first. Readers ask again from a little before the last one they
    /// saw, and drop repeats by id: what is written at the same time need not become visible in order.
    pub async fn alerts_since(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RaisedAlert>, StoreError> {
        on!(self, database => database.alerts_since(since, limit))
    }

    /// Keeps dead letters. One that is there already stays as it is. A call that an import run has published is
    /// failed then, unless it is stored.
    pub async fn save_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        on!(self, database => database.save_dead_letters(letters))
    }

    /// The dead letters that wait for somebody to look at them, newest first.
    pub async fn waiting_dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let waiting = self
            .dead_letters(Some(DeadLetterState::Waiting), limit, None)
            .await?;
        Ok(waiting.into_iter().map(|kept| kept.letter).collect())
    }

    /// How many dead letters wait for somebody to look at them.
    pub async fn count_waiting_dead_letters(&self) -> Result<WaitingDeadLetters, StoreError> {
        on!(self, database => database.count_waiting_dead_letters())
    }

    /// Dead letters, those of `state` or all, newest first by their last failure. `before` is the id of the last one
    /// seen: the list goes on behind it.
    pub async fn dead_letters(
        &self,
        state: Option<DeadLetterState>,
        limit: u32,
        before: Option<Uuid>,
    ) -> Result<Vec<KeptDeadLetter>, StoreError> {
        on!(self, database => database.dead_letters(state, limit, before))
    }

    /// One dead letter; `None` if there is none with this id.
    pub async fn dead_letter(&self, id: Uuid) -> Result<Option<KeptDeadLetter>, StoreError> {
        on!(self, database => database.dead_letter(id))
    }

    /// How much there is of a telephone number that [`Store::erase`] would take away.
    pub async fn traces(&self, number: &PhoneNumber) -> Result<Erased, StoreError> {
        on!(self, database => database.traces(number.clone()))
    }

    /// Forgets a telephone number: what is left of its calls is that they were, everything else of them and their
    /// alerts and dead letters goes, and so does the number in the mirror of the CRM's people. A keyed hash of it is
    /// kept, so that whatever comes back of calls that began before `now` is forgotten, too. Recordings in the archive
    /// are to be deleted afterwards: [`Store::recordings_to_delete`].
    pub async fn erase(&self, number: &PhoneNumber, now: DateTime<Utc>) -> Result<Erased, StoreError> {
        on!(self, database => database.erase(number.clone(), now))
    }

    /// Takes away what is kept no longer, of all calls, a few at a time: what calls wait for is short. Recordings in the
    /// archive are to be deleted afterwards: [`Store::recordings_to_delete`].
    pub async fn retain(&self, now: DateTime<Utc>) -> Result<Retained, StoreError> {
        let mut retained = Retained::default();
        if self.retention == Retention::default() {
            return Ok(retained);
        }
        let (retention, now, clock) = (self.retention, now.trunc_subsecs(6), Clock::set(now));
        let mut after = None;
        loop {
            let due = on!(self, database => database.calls_due(retention, after.take(), now))?;
            after = due.last().cloned();
            if after.is_none() {
                break;
            }
            retained.calls += self.take_out(due, retention, clock).await?;
        }
        if let Some(time) = retention.events {
            loop {
                let (alerts, dead_letters) = on!(self, database => database.delete_messages(now - time))?;
                retained.alerts += alerts;
                retained.dead_letters += dead_letters;
                if alerts + dead_letters == 0 {
                    break;
                }
            }
        }
        Ok(retained)
    }

    /// Takes what is kept no longer out of these calls. One that cannot be written keeps no other from it.
    async fn take_out(
        &self,
        due: Vec<CallId>,
        retention: Retention,
        clock: Clock,
    ) -> Result<usize, StoreError> {
        let together = on!(self, database => database.take_out(due.clone(), retention, clock.now()));
        match together {
            Ok(()) => return Ok(due.len()),
            Err(error) if error.is_outside() => return Err(error),
            Err(_) => {}
        }
        let mut taken_out = 0;
        for call in due {
            let alone = on!(self, database => database.take_out(vec![call.clone()], retention, clock.now()));
            match alone {
                Ok(()) => taken_out += 1,
                Err(error) if error.is_outside() => return Err(error),
                Err(error) => tracing::error!(
                    call.id = %call,
                    error = &error as &dyn std::error::Error,
                    "what is kept no longer cannot be taken out of a call: it stays, and is tried again tomorrow"
                ),
            }
        }
        Ok(taken_out)
    }

    /// The recordings in the archive of calls that were erased, or whose recordings are kept no longer, with the names
    /// they have there. Whoever has deleted one says so by [`Store::forget_recording`].
    pub async fn recordings_to_delete(&self) -> Result<Vec<(CallId, String)>, StoreError> {
        on!(self, database => database.recordings_to_delete())
    }

    /// Notes what became of a dead letter. Returns whether it was in the state `from`: of two who replay the same
    /// one, only the first is told so.
    pub async fn set_dead_letter_state(
        &self,
        id: Uuid,
        from: DeadLetterState,
        to: DeadLetterState,
    ) -> Result<bool, StoreError> {
        on!(self, database => database.set_dead_letter_state(id, from, to))
    }

    /// Makes a run that waits for an importer.
    pub async fn create_import(&self, new: NewImport, now: DateTime<Utc>) -> Result<Import, StoreError> {
        on!(self, database => database.create_import(new, now))
    }

    /// One run; `None` if there is none with this id.
    pub async fn import(&self, id: Uuid) -> Result<Option<Import>, StoreError> {
        on!(self, database => database.import(id))
    }

    /// The runs that somebody wanted, newest first. `before` is the id of the last one seen: the list goes on behind
    /// it. The reconciler's are not among them: [`Store::passes`].
    pub async fn imports(&self, limit: u32, before: Option<Uuid>) -> Result<Vec<Import>, StoreError> {
        on!(self, database => database.imports(limit, before))
    }

    /// Stops a run. Calls that are on their way arrive nevertheless. Returns whether it was still open.
    pub async fn cancel_import(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        on!(self, database => database.cancel_import(id, now))
    }

    /// Takes the oldest open run that came from one of `sources` and that nobody works on, for as long as `lease` from
    /// `now`; `None` if there is none. `holder` is a name of the importer's own that no other has. Where to go on says
    /// the run's cursor.
    pub async fn lease_import(
        &self,
        sources: &[ImportSource],
        holder: Uuid,
        now: DateTime<Utc>,
        lease: TimeDelta,
    ) -> Result<Option<Import>, StoreError> {
        on!(self, database => database.lease_import(sources.to_vec(), holder, now, lease))
    }

    /// Keeps a run for as long as `lease` from `now`; a lease of zero gives it back. A lease that has run out is still
    /// its holder's until somebody else takes the run.
    pub async fn renew_import(
        &self,
        id: Uuid,
        holder: Uuid,
        now: DateTime<Utc>,
        lease: TimeDelta,
    ) -> Result<ImportLease, StoreError> {
        on!(self, database => database.renew_import(id, holder, now, lease))
    }

    /// Notes the calls of a page together with where to go on, in one transaction, if the run is still the holder's.
    ///
    /// To be called once the events of the page are published. Whatever happens in between, the next to work on the
    /// run reads the page again and publishes it again, which changes nothing; the other way round a crash would
    /// leave a hole. A call is one row of the run however often it is met, and one that is stored or failed already
    /// stays so.
    pub async fn save_import_page(
        &self,
        id: Uuid,
        holder: Uuid,
        page: ImportedPage,
    ) -> Result<ImportLease, StoreError> {
        on!(self, database => database.save_import_page(id, holder, page))
    }

    /// Notes what a run waits for, until its next page is saved or it ends. `error` is for people and holds no personal
    /// data.
    pub async fn note_import_trouble(
        &self,
        id: Uuid,
        holder: Uuid,
        error: &str,
    ) -> Result<ImportLease, StoreError> {
        let error = error.replace('\0', "\u{fffd}");
        on!(self, database => database.note_import_trouble(id, holder, error))
    }

    /// Notes that all was read.
    pub async fn finish_import(
        &self,
        id: Uuid,
        holder: Uuid,
        now: DateTime<Utc>,
    ) -> Result<ImportLease, StoreError> {
        on!(self, database => database.end_import(id, holder, ImportState::Finished, None, now))
    }

    /// Gives a run up. `error` is for people and holds no personal data.
    pub async fn fail_import(
        &self,
        id: Uuid,
        holder: Uuid,
        error: &str,
        now: DateTime<Utc>,
    ) -> Result<ImportLease, StoreError> {
        // PostgreSQL's texts hold no NUL, and a run must always end.
        let error = Some(error.replace('\0', "\u{fffd}"));
        on!(self, database => database.end_import(id, holder, ImportState::Failed, error, now))
    }

    /// Opens a run that was read to its end once more, for the calls of it that failed alone.
    pub async fn retry_import(&self, id: Uuid) -> Result<ImportRetry, StoreError> {
        on!(self, database => database.retry_import(id))
    }

    /// Notes what became of calls that had failed and were read alone, if the run is still the holder's. To be called
    /// once the events of those that could be read are published: they are on their way now, unless they are stored, or
    /// have failed for another reason, already. Their dead letters count as replayed.
    pub async fn save_retried_calls(
        &self,
        id: Uuid,
        holder: Uuid,
        calls: RetriedCalls,
    ) -> Result<ImportLease, StoreError> {
        on!(self, database => database.save_retried_calls(id, holder, calls))
    }

    /// What became of the calls of a run so far; all zero if there is no such run.
    pub async fn import_counts(&self, id: Uuid) -> Result<ImportCounts, StoreError> {
        on!(self, database => database.import_counts(id))
    }

    /// The calls of a run that could not be read or stored, by their ids. `after` is the id of the last one seen.
    pub async fn failed_import_calls(
        &self,
        id: Uuid,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Vec<FailedCall>, StoreError> {
        let after = after.map(str::to_owned);
        on!(self, database => database.failed_import_calls(id, limit, after))
    }

    /// The calls of a run whose events are on their way, by their ids. What still stands here long after its queue is
    /// empty was lost with it (somebody has purged it), and can be read again one by one.
    pub async fn queued_import_calls(
        &self,
        id: Uuid,
        limit: u32,
        after: Option<&CallId>,
    ) -> Result<Vec<CallId>, StoreError> {
        let after = after.cloned();
        on!(self, database => database.queued_import_calls(id, limit, after))
    }

    /// How many calls of all runs are on their way: an importer that is far ahead of the writers waits.
    pub async fn queued_backfill(&self) -> Result<u64, StoreError> {
        on!(self, database => database.queued_backfill())
    }

    /// Forgets the runs from `source` that ended before a time, and what became of their calls. The calls stay.
    /// Returns how many runs there were.
    pub async fn forget_imports(
        &self,
        source: ImportSource,
        ended_before: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        on!(self, database => database.forget_imports(source, ended_before))
    }

    /// Makes a run of the reconciler if it is its turn. Of several who ask at the same time one makes it.
    pub async fn make_pass(&self, pass: &Pass, now: DateTime<Utc>) -> Result<PassMade, StoreError> {
        on!(self, database => database.make_pass(pass.clone(), now))
    }

    /// The reconciler's runs, newest first.
    pub async fn passes(&self, limit: u32) -> Result<Vec<Import>, StoreError> {
        on!(self, database => database.passes(limit))
    }

    /// What is known of these calls; one that was never heard of is missing.
    pub async fn known_calls(
        &self,
        call_sids: Vec<CallId>,
    ) -> Result<HashMap<CallId, KnownCall>, StoreError> {
        on!(self, database => database.known_calls(call_sids))
    }

    /// Calls that are shown and that began in the range of a run which has not met them, in the order of their
    /// beginning. Once all of the range is read, CallRail lists them no more.
    pub async fn unlisted_calls(&self, run: &Import) -> Result<Vec<CallId>, StoreError> {
        on!(self, database => database.unlisted_calls(run.clone()))
    }

    /// The gap: how many calls that began from `start` up to `end` and ended before `ended_before` are there though
    /// no webhook has told of their end.
    ///
    /// Calls from before the first webhook that told of one do not count, since Trunkline was not there yet; it is
    /// looked for from 30 days before `start` on. `None`: there is none.
    pub async fn gap(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
        ended_before: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        on!(self, database => database.gap(start, end, ended_before))
    }

    /// What has happened since a webhook last told of the end of a call, up to `until`. That call is looked for from 28
    /// days before `now` on. `None`: there is none.
    pub async fn quiet(&self, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<Quiet>, StoreError> {
        on!(self, database => database.quiet(now, until))
    }

    /// Whether webhooks come, as the reconciler found it last.
    pub async fn webhook_health(&self) -> Result<WebhookHealth, StoreError> {
        on!(self, database => database.webhook_health())
    }

    /// Notes what the reconciler counted.
    pub async fn note_webhooks_counted(&self, counted: WebhooksCounted) -> Result<(), StoreError> {
        on!(self, database => database.note_webhooks_counted(counted))
    }

    /// Notes in which state the reconciler saw the integration that sends the webhooks.
    pub async fn note_integration(&self, seen: IntegrationSeen) -> Result<(), StoreError> {
        on!(self, database => database.note_integration(seen))
    }

    /// Puts calls with a recording whose rows were written at `since` or later among those whose recording is to be
    /// fetched, unless they were there before. At most `limit` of them: from when on to go on with the others is
    /// returned then. Calls that are hidden have no recording to be had.
    pub async fn want_recordings(
        &self,
        since: DateTime<Utc>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        on!(self, database => database.want_recordings(since, limit, now))
    }

    /// Takes the next recording that is to be fetched: those of the last day first, then the oldest, which CallRail
    /// forgets next. For as long as `time` from `now` nobody else gets it. `holder` is a name of one's own.
    pub async fn take_recording(
        &self,
        holder: Uuid,
        now: DateTime<Utc>,
        time: TimeDelta,
    ) -> Result<Option<RecordingTaken>, StoreError> {
        on!(self, database => database.take_recording(holder, now, time))
    }

    /// Notes the name under which a recording is about to be put into the archive: from then on it is deleted there should
    /// the call be erased, whatever becomes of the process. Returns whether it is still the holder's.
    pub async fn begin_recording(
        &self,
        call_sid: &CallId,
        holder: Uuid,
        key: &str,
    ) -> Result<bool, StoreError> {
        on!(self, database => database.begin_recording(call_sid.clone(), holder, key.to_owned()))
    }

    /// Notes how the work on a recording ended. Returns whether it was still the holder's: if not, nothing is noted.
    pub async fn settle_recording(
        &self,
        taken: RecordingTaken,
        holder: Uuid,
        outcome: RecordingOutcome,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        on!(self, database => database.settle_recording(taken, holder, outcome, now))
    }

    /// Where a call's recording is in the archive; `None` if it is not there.
    pub async fn archived_recording(
        &self,
        call_sid: &CallId,
    ) -> Result<Option<ArchivedRecording>, StoreError> {
        on!(self, database => database.archived_recording(call_sid.clone()))
    }

    /// Whether a call's recording waits, is in the archive, or is gone.
    pub async fn knows_recording(&self, call_sid: &CallId) -> Result<bool, StoreError> {
        on!(self, database => database.knows_recording(call_sid.clone()))
    }

    /// Forgets a call's recording, which is taken out of the archive before. Whoever is just fetching it learns that it
    /// is not his any more. It is fetched again if the call's row names a recording and is written once more. Returns
    /// whether it was known.
    pub async fn forget_recording(&self, call_sid: &CallId) -> Result<bool, StoreError> {
        on!(self, database => database.forget_recording(call_sid.clone()))
    }

    /// How many recordings are still to be fetched.
    pub async fn recordings_waiting(&self) -> Result<u64, StoreError> {
        on!(self, database => database.recordings_waiting())
    }

    /// Asks whether CallRail's API may be asked something, and counts that if it may. All processes on this database
    /// share the limits: together they never make more requests in any minute, hour or day, as far as their clocks
    /// agree.
    pub async fn take_request(
        &self,
        class: RequestClass,
        limits: &RequestLimits,
        now: DateTime<Utc>,
    ) -> Result<Permit, StoreError> {
        on!(self, database => database.take_request(class, *limits, now))
    }

    /// Notes what CallRail says of the account. Other tools ask in its name too: what they used lowers what is left
    /// for an hour, or until the next report. So does an allowance that is smaller than our limits. An older report
    /// than the last one changes nothing.
    pub async fn report_usage(&self, told: ReportedUsage, now: DateTime<Utc>) -> Result<(), StoreError> {
        on!(self, database => database.report_usage(told, now))
    }

    /// What happened last, and what waits. Fast however many calls there are.
    pub async fn activity(&self) -> Result<Activity, StoreError> {
        on!(self, database => database.activity())
    }

    /// How many requests there were lately.
    pub async fn requests_made(&self, now: DateTime<Utc>) -> Result<RequestsMade, StoreError> {
        on!(self, database => database.requests_made(now))
    }
}

/// An alert as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaisedAlert {
    /// What is told, and to whom.
    pub outgoing: OutgoingAlert,
    /// When it was written.
    pub raised_at: DateTime<Utc>,
    /// When it went on its way.
    pub published_at: Option<DateTime<Utc>>,
}
