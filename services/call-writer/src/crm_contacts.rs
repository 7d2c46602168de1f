//! Mirrors the CRM's people from the operator's view `crm_contacts`: what changed every little while, all of it at
//! the start and once a day.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use calls::{MatchRules, Region};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{CancellationToken, Turns};
use store::{CrmMirror, CrmMirrored, CrmPeople, Store};

/// How often everybody is compared, which finds those who are gone.
const COMPARE_EVERY: TimeDelta = TimeDelta::hours(24);

/// What the mirror is told.
#[derive(Debug, Clone, Copy)]
pub struct CrmContacts {
    /// How often the view is asked for what changed.
    pub every: Duration,
    /// The country of numbers that name none.
    pub region: Region,
}

/// How far the view was read.
#[derive(Debug, Clone, Copy, Default)]
struct LastRead {
    /// When all of it was.
    all: Option<DateTime<Utc>>,
    /// The last change that was read, by the CRM's clock. A view that gives no times is read whole every time.
    changed_until: Option<DateTime<Utc>>,
}

/// Mirrors until `shutdown`. What fails is tried again at the next turn; the mirror stays as it was.
pub(crate) async fn mirror(
    store: Store,
    settings: CrmContacts,
    rules: Arc<MatchRules>,
    shutdown: CancellationToken,
) {
    let mut turns = Turns::every(settings.every, &shutdown);
    let mut last = LastRead::default();
    while turns.next().await.is_some() {
        let now = Utc::now();
        let people = last.what_to_read(now);
        match store
            .mirror_crm_contacts(people, settings.region, &rules, now)
            .await
        {
            Ok(CrmMirror::NoView) => last = LastRead::default(),
            Ok(CrmMirror::Mirrored(mirrored)) => {
                last.note(people, now, mirrored.changed_until);
                tell(people, &mirrored);
            }
            Err(error) => tracing::error!(
                error = &error as &dyn Error,
                "could not read the view crm_contacts: people who changed are not matched yet"
            ),
        }
    }
}

impl LastRead {
    fn what_to_read(self, now: DateTime<Utc>) -> CrmPeople {
        match (self.all, self.changed_until) {
            (Some(all), Some(until)) if now - all < COMPARE_EVERY => CrmPeople::ChangedSince(until),
            _ => CrmPeople::All,
        }
    }

    fn note(&mut self, people: CrmPeople, at: DateTime<Utc>, changed_until: Option<DateTime<Utc>>) {
        self.changed_until = changed_until.or(self.changed_until);
        if matches!(people, CrmPeople::All) {
            self.all = Some(at);
        }
    }
}

fn tell(people: CrmPeople, mirrored: &CrmMirrored) {
    let CrmMirrored {
        read,
        saved,
        removed,
        unreadable_numbers,
        ..
    } = mirrored;
    if matches!(people, CrmPeople::All) || saved.saved > 0 || *removed > 0 {
        tracing::info!(
            read,
            changed = saved.saved,
            removed,
            calls_linked = saved.calls_linked,
            unreadable_numbers,
            "mirrored the CRM's people"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn everybody_is_read_first_and_once_a_day_and_in_between_what_changed() {
        let mut last = LastRead::default();
        assert!(matches!(last.what_to_read(at(0)), CrmPeople::All));
        last.note(CrmPeople::All, at(0), Some(at(-5)));
        assert!(matches!(last.what_to_read(at(1)), CrmPeople::ChangedSince(since) if since == at(-5)));
        last.note(CrmPeople::ChangedSince(at(-5)), at(1), None);
        assert!(matches!(last.what_to_read(at(2)), CrmPeople::ChangedSince(since) if since == at(-5)));
        assert!(matches!(last.what_to_read(at(24)), CrmPeople::All));
    }

    #[test]
    fn a_view_without_times_is_read_whole_every_time() {
        let mut last = LastRead::default();
        last.note(CrmPeople::All, at(0), None);
        assert!(matches!(last.what_to_read(at(1)), CrmPeople::All));
    }
}
