//! The interactions database: the record of every call, the row a CRM reads of it, the mirror of the CRM's people,
//! the alerts and the dead letters.
//!
//! [`Store`] is one small interface. Behind it every database is spoken to in its own language; one test suite
//! (`tests/it/suite`) holds them together. What the columns mean: `docs/database.md`.

mod error;
mod sqlite;
mod url;

use std::collections::HashMap;

use calls::{
    CallEvent, CallId, Contact, Interaction, MatchRules, OutgoingAlert, PhoneNumber, Record, Seal, Seals,
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use error::StoreError;
pub use url::DatabaseUrl;

/// The database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    Sqlite(sqlite::Sqlite),
}

/// What a batch of events left to do.
#[derive(Debug, Default)]
pub struct Applied {
    /// Alerts that this batch raised and that nobody has seen: to be published now. The sweep finds those that a
    /// crash leaves behind.
    pub alerts: Vec<OutgoingAlert>,
    /// How many interactions were written.
    pub rows_written: usize,
}

/// One of the CRM's people with the numbers under which he is known.
#[derive(Debug, Clone)]
pub struct ContactWithPhones {
    /// The person.
    pub contact: Contact,
    /// All his numbers; others that were known of him are forgotten.
    pub phones: Vec<PhoneNumber>,
}

/// What saving contacts did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContactsSaved {
    /// How many contacts there are new or changed.
    pub saved: usize,
    /// How many earlier calls could be linked thanks to them.
    pub calls_linked: usize,
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

/// A message that could not be worked on, with why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Of the message.
    pub id: Uuid,
    /// The queue it was meant for.
    pub queue: String,
    /// Why it could not be worked on.
    pub reason: String,
    /// Of the event in the body, if it is one.
    pub event_id: Option<Uuid>,
    /// Of the call in the body, if it is one.
    pub call_sid: Option<CallId>,
    /// Of the import run.
    pub import_id: Option<Uuid>,
    /// How often it was tried.
    pub attempts: u32,
    /// The first failure.
    pub first_failed_at: DateTime<Utc>,
    /// The last failure.
    pub last_failed_at: DateTime<Utc>,
    /// The message.
    pub body: Vec<u8>,
}

impl Store {
    /// Opens the database. Refuses one whose schema is older than this program, which [`Store::migrate`] mends.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let backend = match url {
            DatabaseUrl::Sqlite(path) => Backend::Sqlite(sqlite::Sqlite::open(path.clone()).await?),
        };
        Ok(Self { backend })
    }

    /// Brings the schema up to date, creating the database if there is none. Returns the names of the migrations
    /// that were run.
    pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => sqlite::Sqlite::migrate(path.clone()).await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.ping().await,
        }
    }

    /// Adds events to the records of their calls and writes the rows that differ, in one transaction: all of it or
    /// nothing. Adding an event again changes nothing.
    ///
    /// Several events of one call are taken in their order.
    pub async fn apply(
        &self,
        events: Vec<CallEvent>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.apply(events, rules.clone(), now).await,
        }
    }

    /// Everything known of one call; `None` if it was never heard of.
    pub async fn call(&self, call_sid: &CallId) -> Result<Option<CallHistory>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.call(call_sid.clone()).await,
        }
    }

    /// The rows of these calls, as far as they have one.
    pub async fn interactions(
        &self,
        call_sids: &[CallId],
    ) -> Result<HashMap<CallId, Interaction>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.interactions(call_sids.to_vec()).await,
        }
    }

    /// How many interactions there are.
    pub async fn count_interactions(&self) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.count_interactions().await,
        }
    }

    /// Closes a group of a call by a person's decision or a rule of retention. The row follows at the next event.
    pub async fn seal(&self, call_sid: &CallId, seal: Seal) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.seal(call_sid.clone(), seal).await,
        }
    }

    /// Mirrors contacts, and links the calls that could not be linked without them.
    pub async fn save_contacts(
        &self,
        contacts: Vec<ContactWithPhones>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<ContactsSaved, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.save_contacts(contacts, rules.clone(), now).await,
        }
    }

    /// Notes that alerts are on their way.
    pub async fn mark_alerts_published(&self, ids: Vec<Uuid>, now: DateTime<Utc>) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.mark_alerts_published(ids, now).await,
        }
    }

    /// Alerts that should be on their way, but were raised before `raised_before` and are not; oldest first.
    pub async fn unpublished_alerts(
        &self,
        raised_before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<OutgoingAlert>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.unpublished_alerts(raised_before, limit).await,
        }
    }

    /// Alerts raised at or after `since`, oldest first. Readers ask again from a little before the last one they
    /// saw, and drop repeats by id: what is written at the same time need not become visible in order.
    pub async fn alerts_since(
        &self,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<RaisedAlert>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.alerts_since(since, limit).await,
        }
    }

    /// Keeps dead letters. One that is there already stays as it is.
    pub async fn save_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.save_dead_letters(letters).await,
        }
    }

    /// The dead letters that wait for somebody to look at them, newest first.
    pub async fn waiting_dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, StoreError> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.waiting_dead_letters(limit).await,
        }
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
