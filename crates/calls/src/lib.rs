//! The domain of Trunkline, without any input or output.
//!
//! The way of one call through this crate:
//!
//! 1. [`from_callrail`](from_callrail()) turns a call object of CallRail into a [`CallEvent`], redacted before
//!    anybody can store it.
//! 2. The snapshots seen of a call are its [`Record`]: a set, so order and repetition cannot matter.
//! 3. [`project`](project()) folds the record and the seals that people put on it into the one [`Interaction`].
//! 4. [`matching`] finds whom the number belongs to, [`alert`] decides who should hear of it.
//! 5. [`apply`](apply()) does 2 to 4 for one call: what the database knows goes in, what to write comes out.

pub mod alert;
mod apply;
mod digest;
mod erasure;
mod event;
mod from_callrail;
mod import_range;
mod interaction;
pub mod matching;
mod notes;
mod original;
mod phone;
mod project;
mod quarantine;
mod record;
mod redaction;
mod replay;
mod retention;
mod seal;
mod snapshot;

pub use alert::{Alert, AlertContact, AlertKind, OutgoingAlert, Way};
pub use apply::{CallChanges, CallState, Written, amend, apply, link_again, link_by_hand};
pub use callrail::{CallId, CallType, CompanyId, Direction};
pub use digest::Digest;
pub use erasure::{ErasedNumbers, ErasureKey, erase, numbers_in};
pub use event::{CallEvent, DecodeError, EventKind, Origin, SCHEMA};
pub use from_callrail::{Reading, Receipt, Unreadable, from_callrail};
pub use import_range::{ImportRange, InvalidRange, MAX_DAYS_BACK, window_end};
pub use interaction::{Interaction, Outcome, interaction_id};
pub use matching::{
    Contact, ContactKind, ContactRef, Link, MatchMethod, MatchPreference, MatchRules, People,
};
pub use original::Original;
pub use phone::{Party, PhoneNumber, Region, UnreadableNumber, is_withheld};
pub use project::{Step, explain, project};
pub use quarantine::QuarantinedDelivery;
pub use record::{Record, RecordedSnapshot};
pub use redaction::{InvalidRedaction, Redaction};
pub use replay::{NotReplayable, Replay};
pub use retention::Retention;
pub use seal::{Group, Seal, SealReason, Seals};
pub use snapshot::{Attribution, Facts, Judgement, Recording, Snapshot, Stage};
