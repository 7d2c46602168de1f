//! What the reconciler has in the database: its passes, and what it compares CallRail's calls with.

use calls::{CallEvent, CompanyId, Digest, Seals};
use chrono::{DateTime, TimeDelta, Utc};

use crate::{Import, ImportSource, ImportState, NewImport};

/// How long after a pass that came to nothing the next is made, if that is sooner than its turn.
const AFTER_A_FAILURE: TimeDelta = TimeDelta::minutes(15);

/// How soon to look again whether a pass that goes on has ended.
const WHILE_ONE_GOES_ON: TimeDelta = TimeDelta::minutes(1);

/// What the reconciler reads again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Calls that began so long ago at most.
    pub span: TimeDelta,
    /// How often.
    pub every: TimeDelta,
    /// Calls of one company only.
    pub company: Option<CompanyId>,
}

/// What became of the wish for a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassMade {
    /// A run waits for an importer.
    Made(Import),
    /// It is not its turn before this time.
    NotBefore(DateTime<Utc>),
}

impl Pass {
    /// The run that it would be now.
    pub(crate) fn run(&self, now: DateTime<Utc>) -> NewImport {
        NewImport {
            source: ImportSource::Reconcile,
            start: now - self.span,
            end: now,
            company: self.company.clone(),
        }
    }

    /// When its turn is, if that is later than `now`. `made` are the passes of the last [`Pass::every`], and those
    /// that go on: one over a longer time has read what this one would.
    pub(crate) fn not_before(&self, made: &[Import], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let covering = made.iter().filter(|run| run.end - run.start >= self.span);
        let turns = covering.map(|run| match run.state {
            ImportState::Waiting | ImportState::Running => now + WHILE_ONE_GOES_ON,
            ImportState::Finished => run.created_at + self.every,
            ImportState::Failed | ImportState::Cancelled => run.created_at + self.every.min(AFTER_A_FAILURE),
        });
        turns.filter(|turn| *turn > now).max()
    }
}

/// What is known of a call, as far as it decides whether CallRail's list has news of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// The state that was seen last, but for those of a ringing call. `None`: there is none.
    pub last_seen: Option<Digest>,
    /// Whether the call has a row.
    pub has_row: bool,
    /// Whether the row is hidden, since the call was gone from CallRail.
    pub vanished: bool,
    /// Whether CallRail must be asked which of two states is the newer.
    pub reread: bool,
    /// What was erased of the call, or is kept no longer.
    pub seals: Seals,
}

impl KnownCall {
    /// Whether to store this state anew, seen now. It need not be new: a state that comes back after another is news,
    /// and so is any state of a call that is in doubt.
    pub fn is_news(&self, state: &CallEvent) -> bool {
        self.reread || self.last_seen != Some(state.as_sealed(&self.seals).digest())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn pass(hours: i64, every_minutes: i64) -> Pass {
        Pass {
            span: TimeDelta::hours(hours),
            every: TimeDelta::minutes(every_minutes),
            company: None,
        }
    }

    fn made(pass: &Pass, minutes: i64, state: ImportState) -> Import {
        let new = pass.run(at(minutes));
        Import {
            id: Uuid::nil(),
            source: new.source,
            start: new.start,
            end: new.end,
            company: None,
            state,
            created_at: at(minutes),
            started_at: None,
            finished_at: None,
            error: None,
            cursor: None,
            pages: 0,
            requests: 0,
            retrying: false,
        }
    }

    #[test]
    fn a_longer_pass_takes_the_turn_of_a_shorter_one_and_not_the_other_way_round() {
        let (short, long) = (pass(2, 15), pass(48, 360));
        let done = [made(&long, 0, ImportState::Finished)];
        assert_eq!(short.not_before(&done, at(14)), Some(at(15)));
        assert_eq!(short.not_before(&done, at(15)), None);
        assert_eq!(long.not_before(&done, at(15)), Some(at(360)));
        let done = [made(&short, 0, ImportState::Finished)];
        assert_eq!(long.not_before(&done, at(1)), None);
    }

    #[test]
    fn a_pass_that_goes_on_is_waited_for_and_one_that_failed_is_soon_made_again() {
        let daily = pass(720, 1_440);
        let open = [made(&daily, 0, ImportState::Running)];
        assert_eq!(daily.not_before(&open, at(3_000)), Some(at(3_001)));
        let failed = [made(&daily, 0, ImportState::Failed)];
        assert_eq!(daily.not_before(&failed, at(14)), Some(at(15)));
        assert_eq!(daily.not_before(&failed, at(15)), None);
        assert_eq!(daily.not_before(&[], at(0)), None);
    }
}
