//! How one call goes: what `CallRail` sends of it, when, and what should come of it.

use std::time::Duration;

use callrail::WebhookKind;
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use crate::account::AGENT_EMAIL;
use crate::body::{self, Additions, Company, Facts, Tracker};
use crate::caller::{Caller, Person, hex, pick};
use crate::words::{NOTES, TAG_SETS, TALKS, VOICEMAILS};

/// One call with everything that `CallRail` sends of it.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedCall {
    /// `CAL` and 32 hexadecimal digits.
    pub call_sid: String,
    /// When the phone began to ring.
    pub start: DateTime<Utc>,
    /// In the order of sending, which is not always the order of the events.
    pub deliveries: Vec<SimulatedDelivery>,
    /// What a receiver should know once it has got them all.
    pub expected: ExpectedInteraction,
    /// What the API tells of it, in the end.
    pub(crate) facts: Facts,
    pub(crate) added: Additions,
    /// Which of the account's trackers it came by.
    pub(crate) tracker: usize,
}

/// One webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedDelivery {
    /// Which webhook.
    pub kind: WebhookKind,
    /// The exact bytes, which are signed.
    pub body: Vec<u8>,
    /// When it is sent, from the start of the call, in a playback that puts a call into a few seconds.
    pub after: Duration,
}

/// The row that a CRM should have of the call in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedInteraction {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// `completed`, `no_answer` or `voicemail`.
    pub outcome: &'static str,
    /// Whole seconds.
    pub duration_seconds: u32,
    /// When the phone began to ring.
    pub started_at: DateTime<Utc>,
    /// The number that called, E.164: the caller's, or the tracking number of an outbound call. None:
    /// withheld.
    pub from: Option<String>,
    /// The outside number in both directions, E.164. None: withheld.
    pub customer: Option<String>,
    /// Kind and id of the person with that number; a customer before a lead.
    pub contact: Option<(&'static str, String)>,
    /// No call from or to that number before this one.
    pub first_call: bool,
    /// What the tracking number stands for.
    pub source: &'static str,
    /// The link that webhooks give as `recording`.
    pub recording_url: Option<String>,
    /// The words of the talk or of the voicemail.
    pub transcription: Option<String>,
    /// `CallRail`'s summary.
    pub call_summary: Option<String>,
    /// Sorted.
    pub tags: Vec<String>,
    /// What somebody wrote about the call.
    pub note: Option<String>,
    /// `good_lead`, once somebody said so.
    pub lead_status: Option<String>,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plot {
    Answered,
    Missed,
    Voicemail,
    Outbound,
}

/// How often out of a hundred. The first four hold for calls with somebody to listen to.
const TRANSCRIBED: u8 = 40;
const TAGGED: u8 = 25;
const NOTED_TOO: u8 = 70;
const MODIFIED_BEFORE_POST_CALL: u8 = 15;
const LATE_PROGRESS: u8 = 8;
const SENT_TWICE: u8 = 10;
const MISSED_WITH_NOTE: u8 = 15;
const OUTBOUND_UNANSWERED: u8 = 20;

/// Where calls come in.
pub(crate) struct Scene<'a> {
    pub(crate) company: &'a Company,
    pub(crate) trackers: &'a [Tracker],
    /// Whether the bodies of webhooks are written, or the deliveries left out.
    pub(crate) has_webhooks: bool,
}

/// Plays the call through, from the first ring to the last change.
pub(crate) fn play(
    rng: &mut Rng,
    scene: &Scene,
    plot: Plot,
    caller: Caller,
    start: DateTime<Utc>,
    people: &[Person],
) -> SimulatedCall {
    let index = rng.usize(0..scene.trackers.len());
    let tracker = &scene.trackers[index];
    let facts = happen(rng, plot, caller, start);
    let mut script = Script {
        rng,
        scene,
        tracker,
        facts,
        added: Additions::default(),
        sent: Vec::new(),
    };
    script.write(plot);

    let mut deliveries = script.sent;
    // Stable, so that two of the same moment stay in order.
    deliveries.sort_by_key(|delivery| delivery.after);
    let expected = expected(&script.facts, tracker, &script.added, people);
    SimulatedCall {
        call_sid: script.facts.call_sid.clone(),
        start,
        deliveries,
        expected,
        facts: script.facts,
        added: script.added,
        tracker: index,
    }
}

/// Decides what happens on the line.
fn happen(rng: &mut Rng, plot: Plot, caller: Caller, start: DateTime<Utc>) -> Facts {
    let answered = match plot {
        Plot::Answered => true,
        Plot::Missed | Plot::Voicemail => false,
        Plot::Outbound => !chance(rng, OUTBOUND_UNANSWERED),
    };
    let duration = match plot {
        Plot::Missed => rng.u32(4..60),
        Plot::Voicemail => rng.u32(25..90),
        Plot::Answered => rng.u32(25..900),
        Plot::Outbound if answered => rng.u32(25..600),
        Plot::Outbound => rng.u32(5..40),
    };
    let call_type = match plot {
        Plot::Answered => "answered",
        // A caller who hangs up within 15 seconds has not been missed (docs/callrail.md, "Call types").
        Plot::Missed if duration < 15 => "abandoned",
        Plot::Missed => "missed",
        Plot::Voicemail => "voicemail",
        Plot::Outbound => "outbound",
    };
    let is_recorded = answered || plot == Plot::Voicemail;
    let ringing = rng.u32(4..14);
    let recording = is_recorded.then(|| (duration.saturating_sub(ringing), hex(rng, 16)));
    Facts {
        call_sid: call_sid(rng, start),
        start,
        // Seen a little before and a little after the start.
        created: start + TimeDelta::milliseconds(rng.i64(-8..=40)),
        caller,
        direction: if plot == Plot::Outbound {
            "outbound"
        } else {
            "inbound"
        },
        answered,
        voicemail: plot == Plot::Voicemail,
        call_type,
        duration,
        recording,
        agent_email: if answered { AGENT_EMAIL } else { "" },
    }
}

/// The deliveries of one call, in the making.
struct Script<'a> {
    rng: &'a mut Rng,
    scene: &'a Scene<'a>,
    tracker: &'a Tracker,
    facts: Facts,
    /// What the next full body will hold.
    added: Additions,
    sent: Vec<SimulatedDelivery>,
}

impl Script<'_> {
    fn write(&mut self, plot: Plot) {
        let (post, modified) = match plot {
            Plot::Outbound => (WebhookKind::OutboundPostCall, WebhookKind::OutboundCallModified),
            _ => (WebhookKind::PostCall, WebhookKind::CallModified),
        };
        let mut clock = self.rng.u64(1_500..2_500);
        if plot != Plot::Outbound {
            self.write_progress(plot, clock);
        }

        let is_talk = self.facts.answered;
        let is_transcribed = is_talk && chance(self.rng, TRANSCRIBED);
        // Bodies are cumulative, so a change may go out before the Post-Call that then holds it as well.
        let is_early = is_transcribed && chance(self.rng, MODIFIED_BEFORE_POST_CALL);
        let is_voicemail_read_at_once = plot == Plot::Voicemail && self.rng.bool();

        if is_early {
            self.transcribe_talk();
            clock = self.send_full(modified, clock, Some(TRANSCRIPT_CHANGES));
        }
        if is_voicemail_read_at_once {
            self.transcribe_voicemail();
        }
        clock = self.send_full(post, clock, None);
        if is_transcribed && !is_early {
            self.transcribe_talk();
            clock = self.send_full(modified, clock, Some(TRANSCRIPT_CHANGES));
        }
        if plot == Plot::Voicemail && !is_voicemail_read_at_once {
            self.transcribe_voicemail();
            clock = self.send_full(modified, clock, Some(&["transcription_text"]));
        }

        let is_tagged = is_talk && chance(self.rng, TAGGED);
        if is_tagged {
            self.added.tags = pick(self.rng, &TAG_SETS);
            self.added.lead_status = self.rng.bool().then_some("good_lead");
            clock = self.send_full(modified, clock, Some(&["tag", "tags"]));
        }
        let is_noted = if is_tagged {
            chance(self.rng, NOTED_TOO)
        } else {
            !is_talk && chance(self.rng, MISSED_WITH_NOTE)
        };
        if is_noted {
            self.added.note = Some(pick(self.rng, &NOTES));
            self.send_full(modified, clock, Some(&["note"]));
        }
    }

    /// Pre-Call and Routing Complete; now and then one of them comes after the Post-Call of `post_call_at`.
    fn write_progress(&mut self, plot: Plot, post_call_at: u64) {
        let is_routed = plot == Plot::Answered || self.rng.bool();
        let mut pre_call_at = 0;
        let mut routed_at = self.rng.u64(300..900);
        if chance(self.rng, LATE_PROGRESS) {
            let late = post_call_at + self.rng.u64(50..250);
            if is_routed && self.rng.bool() {
                routed_at = late;
            } else {
                pre_call_at = late;
            }
        }

        let body = |script: &Self| body::pre_call(script.scene.company, script.tracker, &script.facts);
        self.send(WebhookKind::PreCall, body, pre_call_at);
        if is_routed {
            // CallRail's own name for this webhook is `answered_call`, so it may well say so already.
            let is_answered = self.facts.answered && self.rng.u8(0..3) == 0;
            let body = |script: &Self| {
                body::routing_complete(script.scene.company, script.tracker, &script.facts, is_answered)
            };
            self.send(WebhookKind::RoutingComplete, body, routed_at);
        }
    }

    fn transcribe_talk(&mut self) {
        let talk = &TALKS[self.rng.usize(0..TALKS.len())];
        self.added.transcription = Some(format!("{} {} {}", talk.agent, talk.caller, talk.end));
        self.added.phrases = vec![
            ("Agent", talk.agent, 1.2),
            ("Caller", talk.caller, 4.8),
            ("Agent", talk.end, 11.5),
        ];
        self.added.summary = Some(talk.summary);
    }

    fn transcribe_voicemail(&mut self) {
        self.added.transcription = Some(pick(self.rng, &VOICEMAILS).to_owned());
    }

    /// Sends the call as it stands by now, and says when the next one may follow.
    fn send_full(&mut self, kind: WebhookKind, at: u64, changes: Option<&[&str]>) -> u64 {
        let body = |script: &Self| {
            body::full(
                script.scene.company,
                script.tracker,
                &script.facts,
                &script.added,
                changes,
            )
        };
        self.send(kind, body, at);
        at + self.rng.u64(300..900)
    }

    fn send(&mut self, kind: WebhookKind, body: impl FnOnce(&Self) -> Vec<u8>, at: u64) {
        // Drawn in any case: with webhooks or without, the same calls follow.
        let is_sent_twice = chance(self.rng, SENT_TWICE);
        if !self.scene.has_webhooks {
            return;
        }
        let delivery = SimulatedDelivery {
            kind,
            body: body(self),
            after: Duration::from_millis(at),
        };
        if is_sent_twice {
            self.sent.push(delivery.clone());
        }
        self.sent.push(delivery);
    }
}

const TRANSCRIPT_CHANGES: &[&str] = &["transcription_text", "call_summary", "recording_duration"];

fn expected(facts: &Facts, tracker: &Tracker, added: &Additions, people: &[Person]) -> ExpectedInteraction {
    let customer = (!facts.caller.is_withheld).then(|| facts.caller.number.clone());
    let outcome = match (facts.answered, facts.voicemail) {
        (true, _) => "completed",
        (false, true) => "voicemail",
        (false, false) => "no_answer",
    };
    let from = if facts.direction == "outbound" {
        Some(tracker.number.to_owned())
    } else {
        customer.clone()
    };
    let with_number = |kind: &'static str| {
        let is_meant = |person: &&Person| person.kind == kind && Some(&person.e164) == customer.as_ref();
        people
            .iter()
            .find(is_meant)
            .map(|person| (kind, person.id.clone()))
    };
    ExpectedInteraction {
        direction: facts.direction,
        outcome,
        duration_seconds: facts.duration,
        started_at: facts.start,
        from,
        contact: with_number("customer").or_else(|| with_number("lead")),
        customer,
        first_call: facts.caller.prior_calls == 0,
        source: tracker.source,
        recording_url: body::recording_url(facts),
        transcription: added.transcription.clone(),
        call_summary: added.summary.map(str::to_owned),
        tags: added.tags.iter().map(|&tag| tag.to_owned()).collect(),
        note: added.note.map(str::to_owned),
        lead_status: added.lead_status.map(str::to_owned),
    }
}

/// `CAL` and a `UUIDv7` of the call's start without hyphens, like the newer identifiers of `CallRail`.
fn call_sid(rng: &mut Rng, start: DateTime<Utc>) -> String {
    let variant = pick(rng, &['8', '9', 'a', 'b']);
    format!(
        "CAL{:012x}7{}{variant}{}",
        start.timestamp_millis(),
        hex(rng, 3),
        hex(rng, 15)
    )
}

fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(0..100) < percent
}
