//! The CRM's people as they are given to the mirror, and what mirroring them did.

use calls::{Contact, ContactRef, PhoneNumber};
use chrono::{DateTime, Utc};

use crate::NumberFilter;

/// One of the CRM's people with the numbers under which he is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactWithPhones {
    /// The person.
    pub contact: Contact,
    /// All his numbers; others that were known of him are forgotten.
    pub phones: Vec<PhoneNumber>,
}

/// Which of the CRM's people somebody looks for: all for whom one of these holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleSearch {
    /// A part of the name, or the whole id. Upper and lower case are the same (SQLite: of the letters A to Z).
    pub text: String,
    /// A telephone number, or a part of one.
    pub number: Option<NumberFilter>,
}

/// What saving contacts did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContactsSaved {
    /// How many contacts there are new or changed.
    pub saved: usize,
    /// How many earlier calls could be linked thanks to them.
    pub calls_linked: usize,
}

/// Which people of the view `crm_contacts` to read (`docs/database.md`, "The CRM's people").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmPeople {
    /// Those changed since a time, and a while before it: what was written at the same time need not become visible
    /// in order.
    ChangedSince(DateTime<Utc>),
    /// All, to compare: who came from the view and is not there any more is removed from the mirror.
    All,
}

/// What reading the view `crm_contacts` gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrmMirror {
    /// The operator has defined no such view.
    NoView,
    /// The mirror is up to date.
    Mirrored(CrmMirrored),
}

/// What mirroring the view `crm_contacts` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrmMirrored {
    /// How many people were read.
    pub read: usize,
    /// How many of them are new or changed, and how many earlier calls were linked thanks to them.
    pub saved: ContactsSaved,
    /// How many people were removed because they are gone. Nobody ever is when the view is empty: more likely it is
    /// just being filled.
    pub removed: usize,
    /// How many numbers could not be read.
    pub unreadable_numbers: usize,
    /// Whose numbers they are: the first hundred people.
    pub unreadable_of: Vec<ContactRef>,
    /// How many rows name no person: `kind` is neither lead nor customer, or `id` is empty.
    pub unusable_rows: usize,
    /// When the person changed last was changed: [`CrmPeople::ChangedSince`] goes on from here. `None` if nobody
    /// was read, or no time was given.
    pub changed_until: Option<DateTime<Utc>>,
}
