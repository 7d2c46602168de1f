//! What of one queue is with consumers, kept in memory only.

use std::collections::{BTreeSet, HashMap};

/// Rows up to `cursor` are held by a consumer, given back, or gone; rows beyond it nobody has seen.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    cursor: i64,
    held: HashMap<i64, u64>,
    given_back: BTreeSet<i64>,
    exhausted: bool,
}

impl Outstanding {
    /// The greatest id ever delivered.
    pub(super) fn cursor(&self) -> i64 {
        self.cursor
    }

    /// The first `max` rows that come before those beyond the cursor.
    pub(super) fn first_given_back(&self, max: usize) -> Vec<i64> {
        self.given_back.iter().take(max).copied().collect()
    }

    /// Whether it is known that there is nothing to deliver.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted && self.given_back.is_empty()
    }

    /// There may be rows beyond the cursor.
    pub(super) fn note_arrival(&mut self) {
        self.exhausted = false;
    }

    /// Nothing was found beyond the cursor.
    pub(super) fn note_end(&mut self) {
        self.exhausted = true;
    }

    pub(super) fn hold(&mut self, consumer: u64, id: i64) {
        self.given_back.remove(&id);
        self.held.insert(id, consumer);
        self.cursor = self.cursor.max(id);
    }

    pub(super) fn holds_all(&self, consumer: u64, ids: &[i64]) -> bool {
        ids.iter().all(|id| self.held.get(id) == Some(&consumer))
    }

    /// These rows are no more.
    pub(super) fn forget(&mut self, ids: &[i64]) {
        for id in ids {
            self.held.remove(id);
            self.given_back.remove(id);
        }
    }

    /// Takes back what this consumer holds of these rows.
    pub(super) fn give_back(&mut self, consumer: u64, ids: &[i64]) {
        for id in ids {
            if self.held.get(id) == Some(&consumer) {
                self.held.remove(id);
                self.given_back.insert(*id);
            }
        }
    }

    /// Takes back all that this consumer holds.
    pub(super) fn give_back_all(&mut self, consumer: u64) {
        let given_back = self
            .held
            .extract_if(|_, holder| *holder == consumer)
            .map(|(id, _)| id);
        self.given_back.extend(given_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_gives_back_only_what_it_holds() {
        let mut outstanding = Outstanding::default();
        for (consumer, id) in [(1, 10), (1, 11), (2, 12)] {
            outstanding.hold(consumer, id);
        }
        outstanding.forget(&[11]);
        outstanding.give_back(1, &[10, 11, 12]);
        assert_eq!(outstanding.first_given_back(9), [10]);
        assert!(outstanding.holds_all(2, &[12]) && !outstanding.holds_all(1, &[12]));
        outstanding.give_back_all(2);
        assert_eq!(outstanding.first_given_back(9), [10, 12]);
        assert_eq!(outstanding.first_given_back(1), [10]);
        assert_eq!(outstanding.cursor(), 12);
    }

    #[test]
    fn what_is_given_back_ends_exhaustion() {
        let mut outstanding = Outstanding::default();
        outstanding.hold(1, 10);
        outstanding.note_end();
        assert!(outstanding.is_exhausted());
        outstanding.give_back(1, &[10]);
        assert!(!outstanding.is_exhausted());
        outstanding.hold(2, 10);
        assert!(outstanding.is_exhausted());
        outstanding.note_arrival();
        assert!(!outstanding.is_exhausted());
    }
}
