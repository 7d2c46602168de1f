//! What changes while the API runs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::ApiOptions;
use super::fault::Fault;
use super::integrations::Integrations;
use crate::account::SimulatedAccount;

/// How many requests the API takes (docs/callrail.md, "Rate limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In an hour, which begins with the first request.
    pub hourly: u32,
    /// On a day, which begins with the first request.
    pub daily: u32,
}

impl Default for Limits {
    /// `CallRail`'s own.
    fn default() -> Self {
        Self {
            hourly: 1_000,
            daily: 10_000,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// `a.json`
    Accounts,
    /// `a/{account}.json`
    Account,
    /// `companies.json`
    Companies,
    /// `trackers.json`
    Trackers,
    /// `users.json`
    Users,
    /// `text-messages.json`
    TextMessages,
    /// A page of `calls.json`
    Calls,
    /// `calls/{id}.json`
    Call,
    /// `calls/{id}/recording.json`
    Recording,
    /// What `recording.json` links to, and what that redirects to.
    RecordingFile,
    /// `GET integrations.json`
    Integrations,
    /// `POST`, `PUT` or `DELETE` of an integration
    IntegrationWrite,
    /// `integration_triggers.json`
    Triggers,
    /// Anything else
    Other,
}

/// How far a call has come, for those who ask the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallState {
    /// It has not begun: nobody knows of it.
    NotBegun,
    /// It is listed, with type `in_progress` and without a duration.
    InProgress,
    /// It is over.
    #[default]
    Ended,
    /// It was marked as spam: in no list, and 404 when asked for.
    Spam,
}

/// One change of a call, by somebody who uses `CallRail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallChange {
    /// It goes on, ends, or is spam.
    State(CallState),
    /// These tags in the place of those it had.
    Tags(Vec<String>),
    /// This note; empty: none.
    Note(String),
    /// This text of the talk; empty: none.
    Transcription(String),
    /// This judgement; empty: not judged.
    LeadStatus(String),
}

/// What became different from the account as it was generated.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) state: CallState,
    pub(super) tags: Option<Vec<String>>,
    pub(super) note: Option<String>,
    pub(super) transcription: Option<String>,
    pub(super) lead_status: Option<String>,
}

/// What the API knows besides the account.
pub(super) struct State {
    pub(super) limits: Limits,
    /// With the number of requests that are still to fail; none: all.
    pub(super) fault: Option<(Fault, Option<u32>)>,
    pub(super) integrations: Integrations,
    /// All that came.
    pub(super) requests: Vec<(RequestKind, Instant)>,
    by_sid: HashMap<String, usize>,
    /// By the call's place in the account.
    changed: HashMap<usize, Changed>,
    hour: Window,
    day: Window,
}

/// Requests in a stretch of time.
struct Window {
    length: Duration,
    begun: Instant,
    used: u32,
}

impl State {
    pub(super) fn new(account: &SimulatedAccount, options: &ApiOptions) -> Self {
        let calls = account.calls.iter().enumerate();
        Self {
            limits: options.limits,
            fault: None,
            integrations: Integrations::new(account, options),
            requests: Vec::new(),
            by_sid: calls
                .map(|(index, call)| (call.call_sid.clone(), index))
                .collect(),
            changed: HashMap::new(),
            hour: Window::new(Duration::from_secs(3_600)),
            day: Window::new(Duration::from_secs(86_400)),
        }
    }

    /// The place of a call that the API shows.
    pub(super) fn find(&self, call_sid: &str) -> Option<usize> {
        let index = *self.by_sid.get(call_sid)?;
        self.is_visible(index).then_some(index)
    }

    pub(super) fn is_visible(&self, index: usize) -> bool {
        let state = self
            .changed(index)
            .map_or(CallState::Ended, |changed| changed.state);
        matches!(state, CallState::InProgress | CallState::Ended)
    }

    pub(super) fn changed(&self, index: usize) -> Option<&Changed> {
        self.changed.get(&index)
    }

    pub(super) fn change_call(&mut self, call_sid: &str, change: CallChange) -> bool {
        let Some(&index) = self.by_sid.get(call_sid) else {
            return false;
        };
        let changed = self.changed.entry(index).or_default();
        match change {
            CallChange::State(state) => changed.state = state,
            CallChange::Tags(tags) => changed.tags = Some(tags),
            CallChange::Note(note) => changed.note = Some(note),
            CallChange::Transcription(text) => changed.transcription = Some(text),
            CallChange::LeadStatus(status) => changed.lead_status = Some(status),
        }
        true
    }

    pub(super) fn count(&mut self, kind: RequestKind) {
        self.requests.push((kind, Instant::now()));
    }

    /// The fault that this request meets, if any.
    pub(super) fn take_fault(&mut self, kind: RequestKind) -> Option<Fault> {
        let (fault, left) = self.fault.as_mut()?;
        if !fault.is_met_by(kind) {
            return None;
        }
        let fault = fault.clone();
        if let Some(left) = left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.fault = None;
            }
        }
        Some(fault)
    }

    /// Takes a request off the limits; false: there were too many. What is refused is not counted.
    pub(super) fn use_one(&mut self) -> bool {
        let has_left = self.hour.used_now() < self.limits.hourly && self.day.used_now() < self.limits.daily;
        if has_left {
            self.hour.used += 1;
            self.day.used += 1;
        }
        has_left
    }

    pub(super) fn begin_day(&mut self) {
        self.hour.begin();
        self.day.begin();
    }

    /// The headers that say how much of the limits is used.
    pub(super) fn usage_headers(&self) -> [(&'static str, u32); 4] {
        [
            ("x-rate-limit-hourly-allowed", self.limits.hourly),
            ("x-rate-limit-hourly-used", self.hour.used),
            ("x-rate-limit-daily-allowed", self.limits.daily),
            ("x-rate-limit-daily-used", self.day.used),
        ]
    }
}

impl Window {
    fn new(length: Duration) -> Self {
        Self {
            length,
            begun: Instant::now(),
            used: 0,
        }
    }

    fn begin(&mut self) {
        self.begun = Instant::now();
        self.used = 0;
    }

    fn used_now(&mut self) -> u32 {
        if self.begun.elapsed() >= self.length {
            self.begin();
        }
        self.used
    }
}
