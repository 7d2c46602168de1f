//! Retention: which parts of a call are kept only for a time after it began, and then not any more.
//!
//! A part that is due is sealed. It is taken out of the record, and out of every event before that is added, so it does
//! not come back, however often and from where the call does. A seal stays when the setting goes: what was deleted here
//! would else come back from CallRail, for some calls and not for others.

use std::borrow::Cow;
use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};

use crate::apply::CallState;
use crate::event::CallEvent;
use crate::notes::transcription_paragraph;
use crate::original::Original;
use crate::record::{Record, RecordedSnapshot};
use crate::seal::{Group, Seal, SealReason, Seals};
use crate::snapshot::Snapshot;

/// Who seals what is kept no longer.
const BY: &str = "retention";

/// How long parts of a call are kept after it began. `None`: as long as the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Links to recordings, and the recordings in the archive.
    pub recordings: Option<TimeDelta>,
    /// The words spoken, and CallRail's summary of them.
    pub transcripts: Option<TimeDelta>,
    /// Messages: calls as CallRail sent them, alerts, and dead letters that nobody waits for.
    pub events: Option<TimeDelta>,
}

impl Retention {
    /// The groups that are not kept for ever, each with when a call began whose group is kept just no longer.
    pub fn ends(&self, now: DateTime<Utc>) -> impl Iterator<Item = (Group, DateTime<Utc>)> {
        let kept = [
            (Group::Recording, self.recordings),
            (Group::Transcript, self.transcripts),
            (Group::Summary, self.transcripts),
            (Group::Original, self.events),
        ];
        kept.into_iter()
            .filter_map(move |(group, time)| Some((group, now - time?)))
    }
}

impl CallEvent {
    /// What the record may hold of the event of a call with these seals: nothing of the person if he was erased, nothing
    /// of what is kept no longer.
    pub fn as_sealed(&self, seals: &Seals) -> Cow<'_, Self> {
        if seals.is_erased() {
            Cow::Owned(self.forgotten())
        } else {
            self.kept(seals)
        }
    }

    /// The event without what is kept no longer. The object as it came would tell it all the same.
    pub(crate) fn kept(&self, seals: &Seals) -> Cow<'_, Self> {
        if !seals.any(SealReason::Retention) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self {
            call: kept(&self.call, seals),
            raw: Original::default(),
            ..self.clone()
        })
    }
}

/// Seals what is due of a call, and takes it out of what is known. Returns the new seals.
pub(crate) fn seal_what_is_due(
    state: &mut CallState,
    events: &[CallEvent],
    retention: &Retention,
    now: DateTime<Utc>,
) -> Vec<Seal> {
    let due: Vec<Group> = retention
        .ends(now)
        .filter(|(group, _)| state.seals.is_open(*group))
        .filter(|(_, end)| began_before(*end, &state.record, events))
        .map(|(group, _)| group)
        .collect();
    if due.is_empty() {
        return Vec::new();
    }
    if due.contains(&Group::Transcript) {
        take_out_of_notes(state);
    }
    for group in &due {
        state.seals.close(*group, SealReason::Retention);
    }
    state.record = state.record.reduced(|recorded| RecordedSnapshot {
        snapshot: kept(&recorded.snapshot, &state.seals),
        ..recorded.clone()
    });
    due.into_iter()
        .map(|group| Seal {
            group,
            reason: SealReason::Retention,
            at: now,
            by: BY.to_owned(),
        })
        .collect()
}

fn began_before(end: DateTime<Utc>, record: &Record, events: &[CallEvent]) -> bool {
    let known = record.in_order().into_iter();
    let known = known.map(|one| one.snapshot.facts.started_at.unwrap_or(one.first_observed_at));
    let told = events
        .iter()
        .map(|event| event.call.facts.started_at.unwrap_or(event.observed_at));
    known.chain(told).any(|began| began < end)
}

/// Notes in which somebody has written stay his. Where the transcription still stands in them as we wrote it, it goes.
fn take_out_of_notes(state: &mut CallState) {
    let Some(row) = &mut state.row else { return };
    let known = state.record.in_order().into_iter();
    let mut transcripts: Vec<&str> = known
        .filter_map(|recorded| recorded.snapshot.transcript.as_deref())
        .filter(|words| !words.is_empty())
        .collect();
    // An earlier one may be how a later one begins.
    transcripts.sort_unstable_by_key(|words| Reverse(words.len()));
    for words in transcripts {
        row.notes = row.notes.replace(&transcription_paragraph(words), "");
    }
}

fn kept(snapshot: &Snapshot, seals: &Seals) -> Snapshot {
    let is_kept = |group| seals.reason(group) != Some(SealReason::Retention);
    Snapshot {
        recording: snapshot.recording.clone().filter(|_| is_kept(Group::Recording)),
        transcript: snapshot.transcript.clone().filter(|_| is_kept(Group::Transcript)),
        summary: snapshot.summary.clone().filter(|_| is_kept(Group::Summary)),
        ..snapshot.clone()
    }
}
