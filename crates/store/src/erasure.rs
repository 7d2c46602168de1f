//! What is known of a telephone number, and what was erased of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use calls::{
    CallEvent, CallId, ContactRef, ErasedNumbers, ErasureKey, OutgoingAlert, PhoneNumber, numbers_in,
};
use uuid::Uuid;

use crate::DeadLetter;
use crate::columns::Time;

/// How many calls are erased, and how many dead letters are looked at, at a time.
pub(crate) const AT_A_TIME: usize = 200;

/// How much there is of a number, or was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Calls with that number outside.
    pub calls: usize,
    /// Recordings of those calls in the archive.
    pub recordings: usize,
    /// Alerts about them.
    pub alerts: usize,
    /// Dead letters that name the number, or one of the calls.
    pub dead_letters: usize,
    /// People with that number in the mirror of the CRM's people.
    pub contacts: usize,
}

/// Where a number stands.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pub(crate) calls: Vec<CallId>,
    pub(crate) recordings: usize,
    pub(crate) alerts: Vec<Uuid>,
    pub(crate) dead_letters: Vec<Uuid>,
    pub(crate) contacts: Vec<ContactRef>,
}

impl Traces {
    pub(crate) fn counts(&self) -> Erased {
        Erased {
            calls: self.calls.len(),
            recordings: self.recordings,
            alerts: self.alerts.len(),
            dead_letters: self.dead_letters.len(),
            contacts: self.contacts.len(),
        }
    }
}

/// Whether a dead letter names the number, or is of one of these calls.
pub(crate) fn is_about(
    number: &PhoneNumber,
    calls: &HashSet<&str>,
    call_sid: Option<&str>,
    body: &[u8],
) -> bool {
    call_sid.is_some_and(|call_sid| calls.contains(call_sid)) || numbers_in(body).contains(number)
}

/// Numbers by their hashes, to be looked for among those that were erased.
pub(crate) struct Hashed(BTreeMap<String, PhoneNumber>);

impl Hashed {
    pub(crate) fn new(key: &ErasureKey, numbers: BTreeSet<PhoneNumber>) -> Self {
        let hashed = numbers.into_iter().map(|number| (key.hash(&number), number));
        Self(hashed.collect())
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those whose hashes were found, each with when it was erased.
    pub(crate) fn erased(mut self, found: impl IntoIterator<Item = (String, Time)>) -> ErasedNumbers {
        let known = found
            .into_iter()
            .filter_map(|(hash, at)| Some((self.0.remove(&hash)?, at.0)));
        known.collect()
    }
}

/// The numbers that dead letters name.
pub(crate) fn numbers_of(letters: &[DeadLetter]) -> BTreeSet<PhoneNumber> {
    letters
        .iter()
        .flat_map(|letter| numbers_in(&letter.body))
        .collect()
}

/// Empties dead letters that tell of a number which was erased after they failed.
pub(crate) fn empty_erased(letters: &mut [DeadLetter], erased: &ErasedNumbers) {
    for letter in letters {
        let is_erased = if let Ok(event) = CallEvent::decode(&letter.body) {
            erased.has_call_of(&event)
        } else {
            let alert = OutgoingAlert::decode(&letter.body);
            let at = alert.map_or(letter.first_failed_at, |outgoing| outgoing.alert.at);
            erased.has_any_before(&numbers_in(&letter.body), at)
        };
        if is_erased {
            letter.body = Vec::new();
            "it is of a telephone number that was erased".clone_into(&mut letter.reason);
        }
    }
}
