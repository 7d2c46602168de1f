//! The JSON of what is told, and of the document that describes it. Fields are only ever added.

use calls::{CallId, CompanyId, ContactRef, Direction, Interaction, Link, RecordedSnapshot, Seal, explain};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    CallHistory, DeadLetterState, FailedCall, Import, ImportCounts, KeptDeadLetter, RaisedAlert,
    StoredInteraction,
};
use utoipa::ToSchema;
use uuid::Uuid;

/// The `status` of what went well.
pub(crate) const SUCCESS: &str = "success";

/// How every refusal looks; some tell more.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// Always `error`.
    pub(crate) status: &'static str,
    /// For programs: what went wrong.
    pub(crate) code: &'static str,
    /// For people: what went wrong, and what to do.
    pub(crate) message: &'a str,
    /// What the caller needs besides.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub(crate) details: &'a Map<String, Value>,
}

/// That something is done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    #[schema(example = "success")]
    status: &'static str,
    message: String,
}

impl Done {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            status: SUCCESS,
            message: message.into(),
        }
    }
}

/// What an import has come to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    #[schema(example = "Imported 45 calls")]
    pub(crate) message: String,
    /// Calls that are in the database.
    #[schema(example = 43)]
    pub(crate) processed: u64,
    /// Calls that could not be read or stored.
    #[schema(example = 2)]
    pub(crate) failed: u64,
    /// All that were found.
    #[schema(example = 45)]
    pub(crate) total_calls: u64,
}

/// An import run.
#[derive(Serialize, ToSchema, PartialEq, Clone)]
pub(crate) struct ImportRun {
    id: Uuid,
    /// `api`, `cli` or `reconcile`.
    source: &'static str,
    /// `waiting`, `running`, `finished`, `failed` or `cancelled`.
    state: &'static str,
    /// All was read and nothing is on its way any more.
    pub(crate) complete: bool,
    /// Calls that began at this time or later.
    start: DateTime<Utc>,
    /// Calls that began before this time.
    end: DateTime<Utc>,
    #[schema(value_type = Option<String>)]
    company_id: Option<CompanyId>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Why it was given up; while it is open, why it does not go on.
    error: Option<String>,
    /// Pages read from CallRail, and the requests they took.
    pages: u64,
    requests: u64,
    calls: ImportedCalls,
}

/// What became of the calls of a run.
#[derive(Serialize, ToSchema, PartialEq, Clone)]
pub(crate) struct ImportedCalls {
    total: u64,
    /// On their way into the database.
    queued: u64,
    stored: u64,
    failed: u64,
    /// Of those stored: linked with one of the CRM's people, with nobody, or with one of several.
    matched: u64,
    unmatched: u64,
    ambiguous: u64,
}

impl ImportRun {
    pub(crate) fn new(run: &Import, counts: &ImportCounts) -> Self {
        Self {
            id: run.id,
            source: run.source.as_str(),
            state: run.state.as_str(),
            complete: run.is_complete(counts),
            start: run.start,
            end: run.end,
            company_id: run.company.clone(),
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            error: run.error.clone(),
            pages: run.pages,
            requests: run.requests,
            calls: ImportedCalls {
                total: counts.total,
                queued: counts.queued,
                stored: counts.stored,
                failed: counts.failed,
                matched: counts.matched,
                unmatched: counts.unmatched,
                ambiguous: counts.ambiguous,
            },
        }
    }
}

/// A call that an import could not read or store.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportFailure {
    call_sid: String,
    reason: String,
}

impl From<FailedCall> for ImportFailure {
    fn from(failed: FailedCall) -> Self {
        Self {
            call_sid: failed.call_sid,
            reason: failed.reason,
        }
    }
}

/// A run with the calls that failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneImport {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) import: ImportRun,
    /// The first thousand.
    pub(crate) failed_calls: Vec<ImportFailure>,
}

/// Runs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportPage {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) imports: Vec<ImportRun>,
    /// What to send as `before` for the next ones; null: there are none.
    pub(crate) next: Option<Uuid>,
}

/// A call, with the names and the meaning of the columns of `interactions`.
#[derive(Serialize, ToSchema)]
pub(crate) struct InteractionShape {
    id: Uuid,
    /// Always `call`.
    r#type: &'static str,
    /// `inbound` or `outbound`.
    direction: &'static str,
    lead_id: Option<String>,
    customer_id: Option<String>,
    notes: String,
    /// `completed`, `no_answer` or `voicemail`.
    outcome: &'static str,
    call_duration_seconds: u32,
    /// Where this API plays the recording, with a ticket; CallRail's own link stays inside.
    call_recording_url: Option<String>,
    call_from_number: Option<String>,
    #[schema(value_type = String)]
    call_sid: CallId,
    scheduled_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
    /// Null for a call that is not in the database.
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    call_to_number: Option<String>,
    tracking_number: Option<String>,
    source: Option<String>,
    medium: Option<String>,
    campaign: Option<String>,
    keywords: Option<String>,
    landing_page_url: Option<String>,
    gclid: Option<String>,
    utm_source: Option<String>,
    utm_medium: Option<String>,
    utm_campaign: Option<String>,
    utm_term: Option<String>,
    utm_content: Option<String>,
    transcription: Option<String>,
    call_summary: Option<String>,
    tags: Vec<String>,
    lead_status: Option<String>,
    value: Option<String>,
    first_call: Option<bool>,
    agent_email: Option<String>,
    #[schema(value_type = Option<String>)]
    company_id: Option<CompanyId>,
    customer_name: Option<String>,
    /// With whom it is linked, by the name that the CRM has.
    contact: Option<Person>,
    /// By which rule it was matched, or why not.
    match_method: &'static str,
    /// All who have the number, when they are several.
    match_candidates: Vec<Person>,
    spam: bool,
    vanished: bool,
}

/// One of the CRM's people.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Person {
    /// `lead` or `customer`.
    pub(crate) kind: String,
    /// The CRM's id.
    pub(crate) id: String,
    /// The CRM's name, as far as it is known; need not be sent.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

impl From<&ContactRef> for Person {
    fn from(contact: &ContactRef) -> Self {
        Self {
            kind: contact.kind.as_str().to_owned(),
            id: contact.id.clone(),
            name: None,
        }
    }
}

/// Where this API plays a call's recording.
pub(crate) fn recording_path(call_sid: &CallId) -> String {
    format!("/api/integrations/callrail/call/{call_sid}/recording")
}

impl From<&StoredInteraction> for InteractionShape {
    fn from(stored: &StoredInteraction) -> Self {
        Self {
            created_at: Some(stored.created_at),
            updated_at: Some(stored.updated_at),
            vanished: stored.vanished,
            ..Self::from(&stored.interaction)
        }
    }
}

impl From<&Interaction> for InteractionShape {
    fn from(row: &Interaction) -> Self {
        let row = row.clone();
        Self {
            id: row.id,
            r#type: "call",
            direction: match row.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            },
            outcome: row.outcome.as_str(),
            call_duration_seconds: row.call_duration_seconds,
            call_recording_url: row
                .call_recording_url
                .is_some()
                .then(|| recording_path(&row.call_sid)),
            call_from_number: row.call_from_number,
            call_sid: row.call_sid,
            scheduled_at: row.scheduled_at,
            completed_at: row.completed_at,
            created_at: None,
            updated_at: None,
            notes: row.notes,
            call_to_number: row.call_to_number,
            tracking_number: row.tracking_number,
            source: row.source,
            medium: row.medium,
            campaign: row.campaign,
            keywords: row.keywords,
            landing_page_url: row.landing_page_url,
            gclid: row.gclid,
            utm_source: row.utm_source,
            utm_medium: row.utm_medium,
            utm_campaign: row.utm_campaign,
            utm_term: row.utm_term,
            utm_content: row.utm_content,
            transcription: row.transcription,
            call_summary: row.call_summary,
            tags: row.tags,
            lead_status: row.lead_status,
            value: row.value,
            first_call: row.first_call,
            agent_email: row.agent_email,
            company_id: row.company_id,
            customer_name: row.customer_name,
            contact: row.link.contact().as_ref().map(Person::from),
            match_method: row.link.method.as_str(),
            match_candidates: row.link.candidates.iter().map(Person::from).collect(),
            lead_id: row.link.lead_id,
            customer_id: row.link.customer_id,
            spam: row.spam,
            vanished: false,
        }
    }
}

impl InteractionShape {
    /// All whom it speaks of.
    pub(crate) fn people(&mut self) -> impl Iterator<Item = &mut Person> {
        self.contact.iter_mut().chain(&mut self.match_candidates)
    }
}

/// One interaction.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneInteraction {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) interaction: InteractionShape,
}

/// Interactions, latest call first.
#[derive(Serialize, ToSchema)]
pub(crate) struct InteractionPage {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) interactions: Vec<InteractionShape>,
    /// What to send as `cursor` for the next ones; null: there are none.
    pub(crate) next: Option<String>,
}

/// A call by CallRail's id.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneCall {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    /// Who says so: `trunkline`, from the database, or `callrail`, asked just now.
    pub(crate) source: &'static str,
    /// Null while the call is not over.
    pub(crate) call: Option<InteractionShape>,
    /// Null when it is not in the database.
    pub(crate) history: Option<HistorySummary>,
}

/// How much is known of a call.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistorySummary {
    /// How many states of the call were seen.
    snapshots: usize,
    first_observed_at: Option<DateTime<Utc>>,
    last_observed_at: Option<DateTime<Utc>>,
    /// Two states came too close together: CallRail is asked which is the newer.
    reread: bool,
    /// What people have closed: no event changes it.
    sealed: Vec<&'static str>,
}

impl From<&CallHistory> for HistorySummary {
    fn from(history: &CallHistory) -> Self {
        let seen = history.record.in_order();
        Self {
            snapshots: seen.len(),
            first_observed_at: seen.iter().map(|one| one.first_observed_at).min(),
            last_observed_at: seen.iter().map(|one| one.last_observed_at).max(),
            reread: history.reread,
            sealed: history.decisions.iter().map(|seal| seal.group.as_str()).collect(),
        }
    }
}

/// How a row came to be what it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneHistory {
    #[schema(example = "success")]
    status: &'static str,
    #[schema(value_type = String)]
    call_sid: CallId,
    /// The states seen, in the order in which they count.
    snapshots: Vec<SnapshotStep>,
    sealed: Vec<SealShape>,
    matched: Option<MatchShape>,
    reread: bool,
}

/// A state of a call, and what it changed in the row.
#[derive(Serialize, ToSchema)]
struct SnapshotStep {
    kind: &'static str,
    /// `webhook`, `import` or `replay`.
    origin: &'static str,
    first_observed_at: DateTime<Utc>,
    last_observed_at: DateTime<Utc>,
    /// What CallRail says has changed.
    changes: Vec<String>,
    changed: Vec<ColumnChange>,
}

/// A column before and after.
#[derive(Serialize, ToSchema)]
struct ColumnChange {
    column: &'static str,
    before: Option<String>,
    after: Option<String>,
}

/// A person's decision.
#[derive(Serialize, ToSchema)]
struct SealShape {
    group: &'static str,
    reason: &'static str,
    by: String,
    at: DateTime<Utc>,
}

/// Whom a call is linked with, and why.
#[derive(Serialize, ToSchema)]
struct MatchShape {
    method: &'static str,
    contact: Option<Person>,
    candidates: Vec<Person>,
}

impl OneHistory {
    pub(crate) fn new(call_sid: &CallId, history: &CallHistory) -> Self {
        let steps = explain(&history.record, &history.seals);
        let snapshots = steps
            .into_iter()
            .map(|step| SnapshotStep::new(step.snapshot, step.changed))
            .collect();
        Self {
            status: SUCCESS,
            call_sid: call_sid.clone(),
            snapshots,
            sealed: history.decisions.iter().map(SealShape::from).collect(),
            matched: history.row.as_ref().map(|row| MatchShape::from(&row.link)),
            reread: history.reread,
        }
    }
}

impl OneHistory {
    /// All whom it speaks of.
    pub(crate) fn people(&mut self) -> impl Iterator<Item = &mut Person> {
        let matched = self.matched.iter_mut();
        matched.flat_map(|matched| matched.contact.iter_mut().chain(&mut matched.candidates))
    }
}

impl SnapshotStep {
    fn new(seen: &RecordedSnapshot, changed: Vec<(&'static str, Option<String>, Option<String>)>) -> Self {
        let changed = changed.into_iter().map(|(column, before, after)| {
            // Whoever has CallRail's link can listen.
            let shown = |value: Option<String>| match column {
                "call_recording_url" => value.map(|_| "[link]".to_owned()),
                _ => value,
            };
            ColumnChange {
                column,
                before: shown(before),
                after: shown(after),
            }
        });
        Self {
            kind: seen.kind.as_str(),
            origin: seen.origin.as_str(),
            first_observed_at: seen.first_observed_at,
            last_observed_at: seen.last_observed_at,
            changes: seen.changes.clone(),
            changed: changed.collect(),
        }
    }
}

impl From<&Seal> for SealShape {
    fn from(seal: &Seal) -> Self {
        Self {
            group: seal.group.as_str(),
            reason: seal.reason.as_str(),
            by: seal.by.clone(),
            at: seal.at,
        }
    }
}

impl From<&Link> for MatchShape {
    fn from(link: &Link) -> Self {
        Self {
            method: link.method.as_str(),
            contact: link.contact().as_ref().map(Person::from),
            candidates: link.candidates.iter().map(Person::from).collect(),
        }
    }
}

/// Alerts, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AlertPage {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) alerts: Vec<AlertShape>,
    /// What to send as `since` next time. The last 30 s are repeated then: drop what you know by its `id`.
    pub(crate) cursor: String,
}

/// What happened, as Pusher's events have it: `id`, `call_sid`, `interaction_id`, `at`, `kind`, `direction`, `from`,
/// `contact`, `outcome`, `duration`, `source`.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct AlertShape(calls::Alert);

impl From<&RaisedAlert> for AlertShape {
    fn from(raised: &RaisedAlert) -> Self {
        Self(raised.outgoing.alert.clone())
    }
}

/// A message that could not be worked on.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterShape {
    id: Uuid,
    /// `waiting`, `replayed` or `discarded`.
    state: &'static str,
    queue: String,
    reason: String,
    #[schema(value_type = Option<String>)]
    call_sid: Option<CallId>,
    event_id: Option<Uuid>,
    import_id: Option<Uuid>,
    attempts: u32,
    first_failed_at: DateTime<Utc>,
    last_failed_at: DateTime<Utc>,
}

impl From<&KeptDeadLetter> for DeadLetterShape {
    fn from(KeptDeadLetter { letter, state }: &KeptDeadLetter) -> Self {
        Self {
            id: letter.id,
            state: DeadLetterState::as_str(*state),
            queue: letter.queue.clone(),
            reason: letter.reason.clone(),
            call_sid: letter.call_sid.clone(),
            event_id: letter.event_id,
            import_id: letter.import_id,
            attempts: letter.attempts,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
        }
    }
}

/// Dead letters, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterPage {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) dead_letters: Vec<DeadLetterShape>,
    /// What to send as `before` for the next ones; null: there are none.
    pub(crate) next: Option<Uuid>,
}

/// A dead letter with the message in it, which holds personal data.
#[derive(Serialize, ToSchema)]
pub(crate) struct OneDeadLetter {
    #[schema(example = "success")]
    pub(crate) status: &'static str,
    pub(crate) dead_letter: DeadLetterShape,
    /// JSON, or a text that is none.
    #[schema(value_type = Object)]
    pub(crate) body: Value,
}
