//! The time while something lasts.

use std::time::Instant;

use chrono::{DateTime, SubsecRound, Utc};

/// A clock that somebody has set. What is written late must say so: whoever follows the changes by `updated_at` has
/// seen later ones by then, and would never come back to an earlier one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    set_to: DateTime<Utc>,
    set_at: Instant,
}

impl Clock {
    /// A clock that says `now`, now.
    pub(crate) fn set(now: DateTime<Utc>) -> Self {
        Self {
            set_to: now,
            set_at: Instant::now(),
        }
    }

    /// What it was set to, in whole microseconds.
    pub(crate) fn set_to(self) -> DateTime<Utc> {
        self.set_to.trunc_subsecs(6)
    }

    /// What it says now, in whole microseconds.
    pub(crate) fn now(self) -> DateTime<Utc> {
        (self.set_to + self.set_at.elapsed()).trunc_subsecs(6)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn it_goes_on_from_where_it_was_set() {
        let then = Utc::now() - TimeDelta::days(400);
        let clock = Clock::set(then);
        let first = clock.now();
        assert!(first >= then.trunc_subsecs(6) && first < then + TimeDelta::days(1));
        // No longer than a microsecond or so.
        while clock.now() == first {}
        assert!(clock.now() > first);
    }
}
