//! The projection: what the record of a call and the seals on it say the row is. Pure, and the only place where
//! two events of a call are reconciled.
//!
//! The rules, each of them for a reason that `docs/callrail.md` gives:
//!
//! * A later stage wins; within a stage, what was seen later. Fields move in groups, so that a row is never half of
//!   one state and half of another.
//! * A call that is not over has no row: while it rings CallRail says `answered: false, call_type: missed`.
//! * An empty recording, transcript or summary says nothing, since they arrive late; only `changes` can empty them.
//! * A link to a recording that is better than the newest stays: the API's never replaces the webhook's.
//! * A sealed group takes no value, in any order.

use chrono::TimeDelta;

use callrail::{CompanyId, Direction};

use crate::interaction::{Interaction, Outcome, interaction_id, number};
use crate::matching::{Link, MatchMethod};
use crate::notes::notes;
use crate::record::{Record, RecordedSnapshot};
use crate::seal::{Group, Seals};
use crate::snapshot::{Attribution, Facts, Judgement, Recording, Stage};

/// Folds the record into the row, linked with nobody yet. `None`: no snapshot says that the call is over.
pub fn project(record: &Record, seals: &Seals) -> Option<Interaction> {
    let folded = Folded::of(&record.in_order());
    if folded.stage? < Stage::Ended {
        return None;
    }
    folded.into_interaction(seals)
}

/// One step of the way a row came about.
#[derive(Debug)]
pub struct Step<'a> {
    /// The snapshot.
    pub snapshot: &'a RecordedSnapshot,
    /// The columns it changed, each with the value before and after.
    pub changed: Vec<(&'static str, Option<String>, Option<String>)>,
}

/// Tells how the row came about: every snapshot in the order of the projection, with what it changed.
pub fn explain<'a>(record: &'a Record, seals: &Seals) -> Vec<Step<'a>> {
    let mut seen = Record::default();
    let mut before: Vec<(&'static str, Option<String>)> = Vec::new();
    let mut steps = Vec::new();
    for snapshot in record.in_order() {
        seen.add(snapshot.clone());
        let after = project(&seen, seals).map_or_else(Vec::new, |row| row.columns());
        let old = |name| {
            before
                .iter()
                .find(|(column, _)| *column == name)
                .and_then(|(_, value)| value.clone())
        };
        let changed = after
            .iter()
            .map(|(name, value)| (*name, old(*name), value.clone()))
            .filter(|(_, old, new)| old != new)
            .collect();
        steps.push(Step { snapshot, changed });
        before = after;
    }
    steps
}

/// The newest value of every group.
#[derive(Default)]
struct Folded<'a> {
    stage: Option<Stage>,
    snapshot: Option<&'a RecordedSnapshot>,
    company: Option<&'a CompanyId>,
    attribution: Option<&'a Attribution>,
    judgement: Option<&'a Judgement>,
    recording: Recording,
    transcript: Option<&'a str>,
    summary: Option<&'a str>,
    spam: Option<bool>,
}

impl<'a> Folded<'a> {
    fn of(snapshots: &[&'a RecordedSnapshot]) -> Self {
        let mut folded = Self::default();
        for recorded in snapshots {
            folded.take(recorded);
        }
        folded
    }

    fn take(&mut self, recorded: &'a RecordedSnapshot) {
        let new = &recorded.snapshot;
        let emptied = |group| {
            recorded
                .changes
                .iter()
                .any(|word| Group::from_change(word) == Some(group))
        };
        self.stage = Some(new.stage);
        self.snapshot = Some(recorded);
        self.company = recorded.company.as_ref().or(self.company);
        self.attribution = new.attribution.as_ref().or(self.attribution);
        self.judgement = new.judgement.as_ref().or(self.judgement);
        self.spam = new.spam.or(self.spam);
        match &new.recording {
            Some(recording) if !recording.is_empty() => {
                self.recording.url = recording.url.clone().or(self.recording.url.take());
                self.recording.player = recording.player.clone().or(self.recording.player.take());
            }
            Some(_) if emptied(Group::Recording) => self.recording = Recording::default(),
            _ => {}
        }
        let take_text = |text: &'a Option<String>, old: Option<&'a str>, group| match text.as_deref() {
            Some("") if emptied(group) => None,
            Some("") | None => old,
            Some(text) => Some(text),
        };
        self.transcript = take_text(&new.transcript, self.transcript, Group::Transcript);
        self.summary = take_text(&new.summary, self.summary, Group::Summary);
    }

    fn into_interaction(self, seals: &Seals) -> Option<Interaction> {
        let call = &self.snapshot?.snapshot;
        let facts = &call.facts;
        let named = seals.is_open(Group::Facts).then_some(facts);
        let attribution = self
            .attribution
            .filter(|_| seals.is_open(Group::Attribution))
            .cloned()
            .unwrap_or_default();
        let judgement = self
            .judgement
            .filter(|_| seals.is_open(Group::Judgement))
            .cloned()
            .unwrap_or_default();
        let recording = if seals.is_open(Group::Recording) {
            self.recording
        } else {
            Recording::default()
        };
        let transcription = self.transcript.filter(|_| seals.is_open(Group::Transcript));
        let summary = self.summary.filter(|_| seals.is_open(Group::Summary));

        let source_name = named.and_then(|facts| facts.source_name.clone());
        let source = if seals.is_open(Group::Attribution) {
            attribution.source.or(source_name)
        } else {
            None
        };
        let outcome = outcome(facts);
        let course = (facts.direction, outcome, facts.duration_seconds);
        let notes = if seals.is_open(Group::Notes) {
            notes(
                course,
                named,
                source.as_deref(),
                judgement.note.as_deref(),
                transcription,
            )
        } else {
            String::new()
        };
        let scheduled_at = facts.started_at?;
        let customer = named.and_then(|facts| number(facts.customer.as_ref()));
        let tracking = named.and_then(|facts| number(facts.tracking.as_ref()));
        let business = named.and_then(|facts| number(facts.business.as_ref()));
        let (from, to) = match facts.direction {
            Direction::Inbound => (customer, business),
            Direction::Outbound => (tracking.clone(), customer),
        };
        Some(Interaction {
            id: interaction_id(&call.call_sid),
            call_sid: call.call_sid.clone(),
            direction: facts.direction,
            outcome,
            call_duration_seconds: facts.duration_seconds,
            scheduled_at,
            completed_at: scheduled_at + TimeDelta::seconds(facts.duration_seconds.into()),
            notes,
            call_recording_url: recording.url.or(recording.player),
            call_from_number: from,
            call_to_number: to,
            tracking_number: tracking,
            source,
            medium: attribution.medium,
            campaign: attribution.campaign,
            keywords: attribution.keywords,
            landing_page_url: attribution.landing_page_url,
            gclid: attribution.gclid,
            utm_source: attribution.utm_source,
            utm_medium: attribution.utm_medium,
            utm_campaign: attribution.utm_campaign,
            utm_term: attribution.utm_term,
            utm_content: attribution.utm_content,
            transcription: transcription.map(str::to_owned),
            call_summary: summary.map(str::to_owned),
            tags: judgement.tags,
            lead_status: judgement.lead_status,
            value: judgement.value,
            first_call: facts.first_call,
            agent_email: named.and_then(|facts| facts.agent_email.clone()),
            company_id: self.company.cloned(),
            customer_name: named.and_then(|facts| facts.customer_name.clone()),
            spam: self.spam.filter(|_| seals.is_open(Group::Spam)).unwrap_or(false),
            link: Link::none(MatchMethod::NoContact),
        })
    }
}

fn outcome(facts: &Facts) -> Outcome {
    match facts {
        Facts { answered: true, .. } => Outcome::Completed,
        Facts { voicemail: true, .. } => Outcome::Voicemail,
        _ => Outcome::NoAnswer,
    }
}
