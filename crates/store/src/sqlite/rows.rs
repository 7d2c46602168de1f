//! Rows as SQLite has them, and the way to our types and back.

use calls::{
    CallEvent, CallId, CompanyId, Contact, ContactKind, ContactRef, Digest, Direction, EventKind, Group,
    Interaction, Link, MatchMethod, Origin, Outcome, RecordedSnapshot, Seal, SealReason, Written,
};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema;
use crate::StoreError;

/// RFC 3339 in UTC with six decimals: the order of the texts is that of the times.
pub(super) fn time_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

pub(super) fn time(text: &str, column: &'static str) -> Result<DateTime<Utc>, StoreError> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| StoreError::Corrupt(column))?;
    Ok(time.with_timezone(&Utc))
}

pub(super) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.into()))
}

pub(super) fn json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(column))
}

/// An enumeration by the name that serde gives it.
fn named<T: DeserializeOwned>(name: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|_| StoreError::Corrupt(column))
}

pub(super) fn call_id(text: &str) -> Result<CallId, StoreError> {
    CallId::parse(text).map_err(|_| StoreError::Corrupt("call_sid"))
}

fn company_id(text: Option<&str>) -> Result<Option<CompanyId>, StoreError> {
    text.map(CompanyId::parse)
        .transpose()
        .map_err(|_| StoreError::Corrupt("company_id"))
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::calls)]
pub(super) struct CallRow {
    pub(super) call_sid: String,
    pub(super) first_seen_at: String,
    pub(super) reread: bool,
    pub(super) written_notes: Option<String>,
    pub(super) written_lead_id: Option<String>,
    pub(super) written_customer_id: Option<String>,
}

impl CallRow {
    pub(super) fn new(call_sid: &CallId, now: DateTime<Utc>) -> Self {
        Self {
            call_sid: call_sid.to_string(),
            first_seen_at: time_text(now),
            reread: false,
            written_notes: None,
            written_lead_id: None,
            written_customer_id: None,
        }
    }

    pub(super) fn into_written(self) -> Option<Written> {
        Some(Written {
            notes: Digest::from_stored(self.written_notes?),
            lead_id: self.written_lead_id,
            customer_id: self.written_customer_id,
        })
    }
}

/// A member of a record, as the projection needs it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = schema::call_events)]
pub(super) struct SnapshotRow {
    pub(super) call_sid: String,
    digest: String,
    kind: String,
    origin: String,
    company_id: Option<String>,
    first_observed_at: String,
    last_observed_at: String,
    changes: String,
    snapshot: String,
}

impl SnapshotRow {
    pub(super) fn into_recorded(self) -> Result<RecordedSnapshot, StoreError> {
        Ok(RecordedSnapshot {
            digest: Digest::from_stored(self.digest),
            kind: named::<EventKind>(&self.kind, "kind")?,
            origin: named::<Origin>(&self.origin, "origin")?,
            company: company_id(self.company_id.as_deref())?,
            first_observed_at: time(&self.first_observed_at, "first_observed_at")?,
            last_observed_at: time(&self.last_observed_at, "last_observed_at")?,
            changes: json(&self.changes, "changes")?,
            snapshot: json(&self.snapshot, "snapshot")?,
        })
    }
}

/// A member of a record with the event that first brought it.
#[derive(Insertable)]
#[diesel(table_name = schema::call_events)]
#[diesel(treat_none_as_default_value = false)]
pub(super) struct EventRow {
    pub(super) call_sid: String,
    pub(super) digest: String,
    kind: String,
    pub(super) origin: String,
    pub(super) company_id: Option<String>,
    pub(super) first_observed_at: String,
    pub(super) last_observed_at: String,
    event_id: String,
    changes: String,
    snapshot: String,
    raw: String,
}

impl EventRow {
    pub(super) fn new(recorded: &RecordedSnapshot, event: &CallEvent) -> Result<Self, StoreError> {
        Ok(Self {
            call_sid: recorded.snapshot.call_sid.to_string(),
            digest: recorded.digest.to_string(),
            kind: recorded.kind.as_str().to_owned(),
            origin: recorded.origin.as_str().to_owned(),
            company_id: recorded.company.as_ref().map(ToString::to_string),
            first_observed_at: time_text(recorded.first_observed_at),
            last_observed_at: time_text(recorded.last_observed_at),
            event_id: event.event_id.to_string(),
            changes: json_text(&recorded.changes)?,
            snapshot: json_text(&recorded.snapshot)?,
            raw: json_text(&event.raw)?,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = schema::seals)]
pub(super) struct SealRow {
    pub(super) call_sid: String,
    sealed_group: String,
    reason: String,
    sealed_at: String,
    sealed_by: String,
}

impl SealRow {
    pub(super) fn new(call_sid: &CallId, seal: &Seal) -> Self {
        Self {
            call_sid: call_sid.to_string(),
            sealed_group: seal.group.as_str().to_owned(),
            reason: seal.reason.as_str().to_owned(),
            sealed_at: time_text(seal.at),
            sealed_by: seal.by.clone(),
        }
    }

    pub(super) fn into_seal(self) -> Result<Seal, StoreError> {
        Ok(Seal {
            group: Group::from_stored(&self.sealed_group).ok_or(StoreError::Corrupt("sealed_group"))?,
            reason: SealReason::from_stored(&self.reason).ok_or(StoreError::Corrupt("reason"))?,
            at: time(&self.sealed_at, "sealed_at")?,
            by: self.sealed_by,
        })
    }
}

/// The columns of `interactions` that a projection fills.
#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schema::interactions)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub(super) struct InteractionRow {
    id: String,
    direction: String,
    lead_id: Option<String>,
    customer_id: Option<String>,
    notes: String,
    outcome: String,
    call_duration_seconds: i64,
    call_recording_url: Option<String>,
    call_from_number: Option<String>,
    pub(super) call_sid: String,
    scheduled_at: String,
    completed_at: String,
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
    tags: String,
    lead_status: Option<String>,
    value: Option<String>,
    first_call: Option<bool>,
    agent_email: Option<String>,
    company_id: Option<String>,
    customer_name: Option<String>,
    match_method: String,
    match_candidates: String,
    spam: bool,
}

impl InteractionRow {
    pub(super) fn new(row: &Interaction) -> Result<Self, StoreError> {
        let row = row.clone();
        Ok(Self {
            id: row.id.to_string(),
            direction: match row.direction {
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            }
            .to_owned(),
            lead_id: row.link.lead_id,
            customer_id: row.link.customer_id,
            notes: row.notes,
            outcome: row.outcome.as_str().to_owned(),
            call_duration_seconds: row.call_duration_seconds.into(),
            call_recording_url: row.call_recording_url,
            call_from_number: row.call_from_number,
            call_sid: row.call_sid.to_string(),
            scheduled_at: time_text(row.scheduled_at),
            completed_at: time_text(row.completed_at),
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
            tags: json_text(&row.tags)?,
            lead_status: row.lead_status,
            value: row.value,
            first_call: row.first_call,
            agent_email: row.agent_email,
            company_id: row.company_id.map(|company| company.to_string()),
            customer_name: row.customer_name,
            match_method: row.link.method.as_str().to_owned(),
            match_candidates: json_text(&row.link.candidates)?,
            spam: row.spam,
        })
    }

    pub(super) fn into_interaction(self) -> Result<Interaction, StoreError> {
        Ok(Interaction {
            id: self.id.parse().map_err(|_| StoreError::Corrupt("id"))?,
            call_sid: call_id(&self.call_sid)?,
            direction: match self.direction.as_str() {
                "inbound" => Direction::Inbound,
                "outbound" => Direction::Outbound,
                _ => return Err(StoreError::Corrupt("direction")),
            },
            outcome: Outcome::from_stored(&self.outcome).ok_or(StoreError::Corrupt("outcome"))?,
            call_duration_seconds: u32::try_from(self.call_duration_seconds)
                .map_err(|_| StoreError::Corrupt("call_duration_seconds"))?,
            scheduled_at: time(&self.scheduled_at, "scheduled_at")?,
            completed_at: time(&self.completed_at, "completed_at")?,
            notes: self.notes,
            call_recording_url: self.call_recording_url,
            call_from_number: self.call_from_number,
            call_to_number: self.call_to_number,
            tracking_number: self.tracking_number,
            source: self.source,
            medium: self.medium,
            campaign: self.campaign,
            keywords: self.keywords,
            landing_page_url: self.landing_page_url,
            gclid: self.gclid,
            utm_source: self.utm_source,
            utm_medium: self.utm_medium,
            utm_campaign: self.utm_campaign,
            utm_term: self.utm_term,
            utm_content: self.utm_content,
            transcription: self.transcription,
            call_summary: self.call_summary,
            tags: json(&self.tags, "tags")?,
            lead_status: self.lead_status,
            value: self.value,
            first_call: self.first_call,
            agent_email: self.agent_email,
            company_id: company_id(self.company_id.as_deref())?,
            customer_name: self.customer_name,
            spam: self.spam,
            link: Link {
                lead_id: self.lead_id,
                customer_id: self.customer_id,
                method: MatchMethod::from_stored(&self.match_method)
                    .ok_or(StoreError::Corrupt("match_method"))?,
                candidates: json(&self.match_candidates, "match_candidates")?,
            },
        })
    }
}

#[derive(PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schema::contacts)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub(super) struct ContactRow {
    pub(super) kind: String,
    pub(super) id: String,
    name: Option<String>,
    owner_id: Option<String>,
    updated_at: String,
}

impl ContactRow {
    pub(super) fn new(contact: &Contact) -> Self {
        Self {
            kind: contact.contact.kind.as_str().to_owned(),
            id: contact.contact.id.clone(),
            name: contact.name.clone(),
            owner_id: contact.owner_id.clone(),
            updated_at: time_text(contact.updated_at),
        }
    }

    pub(super) fn into_contact(self) -> Result<Contact, StoreError> {
        let kind = ContactKind::from_name(&self.kind).ok_or(StoreError::Corrupt("kind"))?;
        Ok(Contact {
            contact: ContactRef { kind, id: self.id },
            name: self.name,
            owner_id: self.owner_id,
            updated_at: time(&self.updated_at, "updated_at")?,
        })
    }
}

#[derive(Insertable)]
#[diesel(table_name = schema::contact_phones)]
pub(super) struct PhoneRow<'a> {
    pub(super) e164: &'a str,
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
}
