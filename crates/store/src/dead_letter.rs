//! A message that could not be worked on, and what became of it.

use calls::CallId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

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

/// How many dead letters wait for somebody to look at them, by how often they were tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitingDeadLetters {
    /// Never: signed webhooks that are no calls.
    pub never_tried: u64,
    /// Once: they can never work, or the broker gave them up.
    pub tried_once: u64,
    /// Again and again: they failed each time.
    pub tried_often: u64,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterState {
    /// Nobody has dealt with it.
    Waiting,
    /// It was put back into its queue.
    Replayed,
    /// Somebody decided that it is not needed.
    Discarded,
}

impl DeadLetterState {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Replayed, Self::Discarded]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// A dead letter as the table keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDeadLetter {
    /// The message, and why it is here.
    pub letter: DeadLetter,
    /// What became of it.
    pub state: DeadLetterState,
}
