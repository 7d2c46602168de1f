//! Rows as the databases have them, and the way to our types and back. JSON is text on this side.

mod alert;
mod dead_letter;
mod import;
mod reconcile;
mod recording;
mod requests;
mod webhook_health;

use calls::{
    CallEvent, CallId, CompanyId, Contact, ContactKind, ContactRef, Digest, Direction, EventKind, Group,
    Interaction, Link, MatchMethod, Origin, Outcome, RecordedSnapshot, Seal, SealReason, Written,
};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::columns::{Id, Time};
use crate::schema;
use crate::{StoreError, StoredInteraction};

pub(crate) use alert::AlertRow;
pub(crate) use dead_letter::{DeadLetterRow, WaitingDeadLettersRow};
pub(crate) use import::{CountsRow, ImportRow};
pub(crate) use reconcile::KnownRow;
pub(crate) use recording::{ArchivedRow, OutcomeRow, TakenRow, WantedRow};
pub(crate) use requests::{RequestRow, UsageRow};
pub(crate) use webhook_health::WebhookHealthRow;

pub(crate) fn json_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.into()))
}

pub(crate) fn json<T: DeserializeOwned>(text: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt(column))
}

/// An enumeration by the name that serde gives it.
fn named<T: DeserializeOwned>(name: &str, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(|_| StoreError::Corrupt(column))
}

pub(crate) fn call_id(text: &str) -> Result<CallId, StoreError> {
    CallId::parse(text).map_err(|_| StoreError::Corrupt("call_sid"))
}

pub(crate) fn contact_ref(kind: &str, id: String) -> Result<ContactRef, StoreError> {
    let kind = ContactKind::from_name(kind).ok_or(StoreError::Corrupt("kind"))?;
    Ok(ContactRef { kind, id })
}

/// The word for a direction.
pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn company_id(text: Option<&str>) -> Result<Option<CompanyId>, StoreError> {
    text.map(CompanyId::parse)
        .transpose()
        .map_err(|_| StoreError::Corrupt("company_id"))
}

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = schema::calls)]
pub(crate) struct CallRow {
    pub(crate) call_sid: String,
    pub(crate) first_seen_at: Time,
    pub(crate) reread: bool,
    pub(crate) written_notes: Option<String>,
    pub(crate) written_lead_id: Option<String>,
    pub(crate) written_customer_id: Option<String>,
}

impl CallRow {
    pub(crate) fn new(call_sid: &CallId, now: DateTime<Utc>) -> Self {
        Self {
            call_sid: call_sid.to_string(),
            first_seen_at: Time(now),
            reread: false,
            written_notes: None,
            written_lead_id: None,
            written_customer_id: None,
        }
    }

    pub(crate) fn into_written(self) -> Option<Written> {
        Some(Written {
            notes: Digest::from_stored(self.written_notes?),
            lead_id: self.written_lead_id,
            customer_id: self.written_customer_id,
        })
    }
}

/// A member of a record, as the projection needs it.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = schema::call_events)]
pub(crate) struct SnapshotRow {
    pub(crate) call_sid: String,
    digest: String,
    kind: String,
    origin: String,
    company_id: Option<String>,
    first_observed_at: Time,
    last_observed_at: Time,
    changes: String,
    snapshot: String,
}

impl SnapshotRow {
    pub(crate) fn into_recorded(self) -> Result<RecordedSnapshot, StoreError> {
        Ok(RecordedSnapshot {
            digest: Digest::from_stored(self.digest),
            kind: named::<EventKind>(&self.kind, "kind")?,
            origin: named::<Origin>(&self.origin, "origin")?,
            company: company_id(self.company_id.as_deref())?,
            first_observed_at: self.first_observed_at.0,
            last_observed_at: self.last_observed_at.0,
            changes: json(&self.changes, "changes")?,
            snapshot: json(&self.snapshot, "snapshot")?,
        })
    }
}

/// A member of a record with the event that first brought it.
#[derive(Insertable)]
#[diesel(table_name = schema::call_events)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct EventRow {
    pub(crate) call_sid: String,
    pub(crate) digest: String,
    pub(crate) kind: String,
    pub(crate) origin: String,
    pub(crate) company_id: Option<String>,
    pub(crate) first_observed_at: Time,
    pub(crate) last_observed_at: Time,
    pub(crate) event_id: Id,
    pub(crate) changes: String,
    pub(crate) snapshot: String,
    pub(crate) raw: String,
}

impl EventRow {
    pub(crate) fn new(recorded: &RecordedSnapshot, event: &CallEvent) -> Result<Self, StoreError> {
        Ok(Self {
            event_id: Id(event.event_id),
            raw: event.raw.as_str().to_owned(),
            ..Self::without_original(recorded)?
        })
    }

    /// A member of which nothing else is kept: not as it came, nor in which message.
    pub(crate) fn without_original(recorded: &RecordedSnapshot) -> Result<Self, StoreError> {
        Ok(Self {
            call_sid: recorded.snapshot.call_sid.to_string(),
            digest: recorded.digest.to_string(),
            kind: recorded.kind.as_str().to_owned(),
            origin: recorded.origin.as_str().to_owned(),
            company_id: recorded.company.as_ref().map(ToString::to_string),
            first_observed_at: Time(recorded.first_observed_at),
            last_observed_at: Time(recorded.last_observed_at),
            event_id: Id(Uuid::nil()),
            changes: json_text(&recorded.changes)?,
            snapshot: json_text(&recorded.snapshot)?,
            raw: "{}".to_owned(),
        })
    }
}

#[derive(Queryable, QueryableByName, Selectable, Insertable)]
#[diesel(table_name = schema::seals)]
pub(crate) struct SealRow {
    pub(crate) call_sid: String,
    pub(crate) sealed_group: String,
    pub(crate) reason: String,
    pub(crate) sealed_at: Time,
    pub(crate) sealed_by: String,
}

impl SealRow {
    pub(crate) fn new(call_sid: &CallId, seal: &Seal) -> Self {
        Self {
            call_sid: call_sid.to_string(),
            sealed_group: seal.group.as_str().to_owned(),
            reason: seal.reason.as_str().to_owned(),
            sealed_at: Time(seal.at),
            sealed_by: seal.by.clone(),
        }
    }

    pub(crate) fn into_seal(self) -> Result<Seal, StoreError> {
        Ok(Seal {
            group: Group::from_stored(&self.sealed_group).ok_or(StoreError::Corrupt("sealed_group"))?,
            reason: SealReason::from_stored(&self.reason).ok_or(StoreError::Corrupt("reason"))?,
            at: self.sealed_at.0,
            by: self.sealed_by,
        })
    }
}

/// The columns of `interactions` that a projection fills.
#[derive(Queryable, QueryableByName, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schema::interactions)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub(crate) struct InteractionRow {
    pub(crate) id: Id,
    pub(crate) direction: String,
    pub(crate) lead_id: Option<String>,
    pub(crate) customer_id: Option<String>,
    pub(crate) notes: String,
    pub(crate) outcome: String,
    pub(crate) call_duration_seconds: i64,
    pub(crate) call_recording_url: Option<String>,
    pub(crate) call_from_number: Option<String>,
    pub(crate) call_sid: String,
    pub(crate) scheduled_at: Time,
    pub(crate) completed_at: Time,
    pub(crate) call_to_number: Option<String>,
    pub(crate) tracking_number: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) medium: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) keywords: Option<String>,
    pub(crate) landing_page_url: Option<String>,
    pub(crate) gclid: Option<String>,
    pub(crate) utm_source: Option<String>,
    pub(crate) utm_medium: Option<String>,
    pub(crate) utm_campaign: Option<String>,
    pub(crate) utm_term: Option<String>,
    pub(crate) utm_content: Option<String>,
    pub(crate) transcription: Option<String>,
    pub(crate) call_summary: Option<String>,
    pub(crate) tags: String,
    pub(crate) lead_status: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) first_call: Option<bool>,
    pub(crate) agent_email: Option<String>,
    pub(crate) company_id: Option<String>,
    pub(crate) customer_name: Option<String>,
    pub(crate) match_method: String,
    pub(crate) match_candidates: String,
    pub(crate) spam: bool,
}

impl InteractionRow {
    pub(crate) fn new(row: &Interaction) -> Result<Self, StoreError> {
        let row = row.clone();
        Ok(Self {
            id: Id(row.id),
            direction: direction_name(row.direction).to_owned(),
            lead_id: row.link.lead_id,
            customer_id: row.link.customer_id,
            notes: row.notes,
            outcome: row.outcome.as_str().to_owned(),
            call_duration_seconds: row.call_duration_seconds.into(),
            call_recording_url: row.call_recording_url,
            call_from_number: row.call_from_number,
            call_sid: row.call_sid.to_string(),
            scheduled_at: Time(row.scheduled_at),
            completed_at: Time(row.completed_at),
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

    pub(crate) fn into_interaction(self) -> Result<Interaction, StoreError> {
        Ok(Interaction {
            id: self.id.0,
            call_sid: call_id(&self.call_sid)?,
            direction: match self.direction.as_str() {
                "inbound" => Direction::Inbound,
                "outbound" => Direction::Outbound,
                _ => return Err(StoreError::Corrupt("direction")),
            },
            outcome: Outcome::from_stored(&self.outcome).ok_or(StoreError::Corrupt("outcome"))?,
            call_duration_seconds: u32::try_from(self.call_duration_seconds)
                .map_err(|_| StoreError::Corrupt("call_duration_seconds"))?,
            scheduled_at: self.scheduled_at.0,
            completed_at: self.completed_at.0,
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

/// The row with the columns that no projection fills.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = schema::interactions)]
pub(crate) struct StoredRow {
    #[diesel(embed)]
    projected: InteractionRow,
    created_at: Time,
    updated_at: Time,
    vanished: bool,
}

impl StoredRow {
    pub(crate) fn into_stored(self) -> Result<StoredInteraction, StoreError> {
        Ok(StoredInteraction {
            interaction: self.projected.into_interaction()?,
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
            vanished: self.vanished,
        })
    }
}

#[derive(PartialEq, Queryable, QueryableByName, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schema::contacts)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
pub(crate) struct ContactRow {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) owner_id: Option<String>,
    pub(crate) updated_at: Time,
}

impl ContactRow {
    pub(crate) fn new(contact: &Contact) -> Self {
        Self {
            kind: contact.contact.kind.as_str().to_owned(),
            id: contact.contact.id.clone(),
            name: contact.name.clone(),
            owner_id: contact.owner_id.clone(),
            updated_at: Time(contact.updated_at),
        }
    }

    pub(crate) fn into_contact(self) -> Result<Contact, StoreError> {
        let kind = ContactKind::from_name(&self.kind).ok_or(StoreError::Corrupt("kind"))?;
        Ok(Contact {
            contact: ContactRef { kind, id: self.id },
            name: self.name,
            owner_id: self.owner_id,
            updated_at: self.updated_at.0,
        })
    }
}

#[derive(Insertable)]
#[diesel(table_name = schema::contact_phones)]
pub(crate) struct PhoneRow<'a> {
    pub(crate) e164: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
}
