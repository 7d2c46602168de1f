//! Erasure: what is left of a call whose person asked to be forgotten, and how what comes back of him is known again.
//!
//! Left is that there was a call: when, how long, in which direction, with what outcome. Every event of such a call is
//! stripped to that before it is added to the record, so it does not matter how often it comes back, and from where.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::apply::{CallChanges, CallState, next_row};
use crate::event::CallEvent;
use crate::matching::{MatchRules, People};
use crate::original::Original;
use crate::phone::PhoneNumber;
use crate::record::RecordedSnapshot;
use crate::redaction::telephone_numbers;
use crate::seal::{Group, Seal, SealReason, Seals};
use crate::snapshot::{Facts, Snapshot};

/// Who seals what is erased.
const BY: &str = "erasure";

/// What the hashes of erased numbers are made with, so that a list of all numbers does not tell whose they are unless
/// one also has the key.
#[derive(Clone)]
pub struct ErasureKey(String);

impl ErasureKey {
    /// A new one.
    pub fn random() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    /// Takes back what [`ErasureKey::as_str`] gave.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// For the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as it is kept: HMAC-SHA256, in hexadecimal.
    pub fn hash(&self, number: &PhoneNumber) -> String {
        // HMAC takes keys of every length, so there is no error.
        let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else {
            return String::new();
        };
        hmac.update(number.as_str().as_bytes());
        hex::encode(hmac.finalize().into_bytes())
    }
}

/// Of some numbers those that were erased, each with when.
#[derive(Debug, Clone, Default)]
pub struct ErasedNumbers(HashMap<PhoneNumber, DateTime<Utc>>);

impl FromIterator<(PhoneNumber, DateTime<Utc>)> for ErasedNumbers {
    fn from_iter<I: IntoIterator<Item = (PhoneNumber, DateTime<Utc>)>>(numbers: I) -> Self {
        Self(numbers.into_iter().collect())
    }
}

impl ErasedNumbers {
    /// Whether the event tells of a call that is to be forgotten: of that number, and begun before it was erased. Who
    /// calls again afterwards is a new caller.
    pub fn has_call_of(&self, event: &CallEvent) -> bool {
        let facts = &event.call.facts;
        let number = facts.customer.as_ref().and_then(|party| party.e164.as_ref());
        let began = facts.started_at.unwrap_or(event.observed_at);
        number.is_some_and(|number| self.has_any_before([number], began))
    }

    /// Whether one of these numbers was erased after that time.
    pub fn has_any_before<'a>(
        &self,
        numbers: impl IntoIterator<Item = &'a PhoneNumber>,
        at: DateTime<Utc>,
    ) -> bool {
        numbers
            .into_iter()
            .filter_map(|number| self.0.get(number))
            .any(|erased_at| at < *erased_at)
    }
}

/// The telephone numbers that the body of a message names, whatever it is: those of North America in any usual spelling,
/// and others with their country code.
pub fn numbers_in(body: &[u8]) -> BTreeSet<PhoneNumber> {
    telephone_numbers(&String::from_utf8_lossy(body))
}

impl CallEvent {
    /// The same event without anything that tells who it was.
    #[must_use]
    pub fn forgotten(&self) -> Self {
        Self {
            call: forgotten(&self.call),
            changes: Vec::new(),
            raw: Original::default(),
            ..self.clone()
        }
    }
}

/// Forgets who was on the call, now and of whatever `events` bring. What it gives takes the place of the record and of
/// the seals that are there; nothing is written if the call was forgotten before and nothing new came.
pub fn erase(mut state: CallState, events: &[CallEvent], now: DateTime<Utc>) -> Option<CallChanges> {
    let was_erased = state.seals.is_erased();
    let stored = state.row.clone();
    let before = state.record;
    state.record = before.reduced(|recorded| RecordedSnapshot {
        changes: Vec::new(),
        snapshot: forgotten(&recorded.snapshot),
        ..recorded.clone()
    });
    for event in events {
        state.record.add(event.forgotten().to_recorded());
    }
    state.seals = Group::ALL
        .map(|group| (group, SealReason::Erasure))
        .into_iter()
        .collect::<Seals>();
    let row = next_row(&state, Some(&People::default()), &MatchRules::default());
    if was_erased && state.record == before && row == stored {
        return None;
    }
    let seal = |group| Seal {
        group,
        reason: SealReason::Erasure,
        at: now,
        by: BY.to_owned(),
    };
    Some(CallChanges {
        replaces_record: true,
        snapshots: state.record.in_order().into_iter().cloned().collect(),
        row: row.filter(|row| stored.as_ref() != Some(row)),
        seals: Group::ALL.map(seal).to_vec(),
        alerts: Vec::new(),
        reread: state.reread.then_some(false),
    })
}

fn forgotten(snapshot: &Snapshot) -> Snapshot {
    let facts = &snapshot.facts;
    Snapshot {
        call_sid: snapshot.call_sid.clone(),
        stage: snapshot.stage,
        facts: Facts {
            customer: None,
            tracking: None,
            business: None,
            customer_name: None,
            customer_location: None,
            agent_email: None,
            source_name: None,
            ..facts.clone()
        },
        attribution: None,
        judgement: None,
        recording: None,
        transcript: None,
        summary: None,
        spam: None,
    }
}
