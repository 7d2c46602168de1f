//! The people of the CRM, as the operator's view `trunkline.crm_contacts` shows them.

use std::collections::BTreeSet;

use calls::{Contact, ContactKind, ContactRef, MatchRules, PhoneNumber, Region};
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use tokio::sync::mpsc;

use super::Postgres;
use super::contacts::Source;
use super::pool::search_all;
use super::statement::Statement;
use crate::blocking::blocking;
use crate::columns::{SqlTime, Time};
use crate::{ContactWithPhones, CrmMirror, CrmMirrored, CrmPeople, StoreError};

/// The columns the view must have.
const COLUMNS: [&str; 6] = ["kind", "id", "name", "owner_id", "phone", "updated_at"];

/// How far back changes are read once more: a transaction of the CRM that takes longer to commit than this may hide a
/// change until everybody is compared.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// How many people are saved at a time.
const PEOPLE_AT_A_TIME: usize = 1_000;

/// Of how many people with unreadable numbers the names are kept.
const UNREADABLE_KEPT: usize = 100;

/// A row of the view.
#[derive(QueryableByName)]
struct ViewRow {
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    owner_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    phone: Option<String>,
    #[diesel(sql_type = Nullable<SqlTime>)]
    updated_at: Option<Time>,
}

impl Postgres {
    pub(crate) async fn mirror_crm_contacts(
        &self,
        people: CrmPeople,
        region: Region,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<CrmMirror, StoreError> {
        if !self.has_view().await? {
            return Ok(CrmMirror::NoView);
        }
        let mut mirrored = CrmMirrored::default();
        let (sender, mut rows) = mpsc::channel(2);
        let turn = self.readers.turn().await?;
        let reading = blocking(move || read(&mut *turn.connection()?, people, &sender));
        let saving = async {
            let mut person = None;
            let mut batch = Vec::with_capacity(PEOPLE_AT_A_TIME);
            while let Some(rows) = rows.recv().await {
                for row in rows {
                    batch.extend(mirrored.next_row(&mut person, row, region));
                }
                if batch.len() >= PEOPLE_AT_A_TIME {
                    let batch = std::mem::take(&mut batch);
                    self.save_from_view(&mut mirrored, batch, rules, now).await?;
                }
            }
            batch.extend(person);
            self.save_from_view(&mut mirrored, batch, rules, now).await?;
            // Lets the reader go if it was we who stopped.
            rows.close();
            Ok(())
        };
        let (read, saved): (Result<(), StoreError>, Result<(), StoreError>) = tokio::join!(reading, saving);
        saved?;
        read?;
        // A clock of the CRM that is ahead must not make us miss what changes until then.
        mirrored.changed_until = mirrored.changed_until.map(|until| until.min(now));
        if people == CrmPeople::All && mirrored.read > 0 {
            mirrored.removed = self.remove_who_is_gone().await?;
        }
        Ok(CrmMirror::Mirrored(mirrored))
    }

    async fn has_view(&self) -> Result<bool, StoreError> {
        #[derive(QueryableByName)]
        struct Column {
            #[diesel(sql_type = Text)]
            name: String,
        }
        let columns: Vec<Column> = self
            .read(|connection| {
                let columns = Statement::new(
                    "select attname::text as name from pg_catalog.pg_attribute
                     where attrelid = to_regclass('trunkline.crm_contacts') and attnum > 0 and not attisdropped",
                );
                Ok(columns.load(connection)?)
            })
            .await?;
        let there: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let missing: Vec<&str> = COLUMNS.into_iter().filter(|name| !there.contains(name)).collect();
        if there.is_empty() || missing.is_empty() {
            return Ok(!there.is_empty());
        }
        Err(StoreError::CrmView(
            format!("it has no column {}", missing.join(", ")).into(),
        ))
    }

    async fn save_from_view(
        &self,
        mirrored: &mut CrmMirrored,
        people: Vec<ContactWithPhones>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        mirrored.read += people.len();
        let saved = self.save_contacts_of(Source::View, people, rules, now).await?;
        mirrored.saved.saved += saved.saved;
        mirrored.saved.calls_linked += saved.calls_linked;
        Ok(())
    }

    async fn remove_who_is_gone(&self) -> Result<usize, StoreError> {
        Self::write(&self.batches, |connection| {
            search_all(connection)?;
            let removed = Statement::new(
                "delete from trunkline.contacts known
                 where from_view and not exists (
                     select from trunkline.crm_contacts person
                     where lower(person.kind::text) = known.kind and person.id::text = known.id
                 )",
            )
            .execute(connection)?;
            Ok(removed)
        })
        .await
    }
}

/// Sends the rows, those of a person one after another. All are of one moment.
fn read(
    connection: &mut PgConnection,
    people: CrmPeople,
    rows: &mpsc::Sender<Vec<ViewRow>>,
) -> Result<(), StoreError> {
    let since = match people {
        CrmPeople::ChangedSince(time) => {
            // A cursor takes no values, and this one is ours.
            let time = (time.trunc_subsecs(6) - OVERLAP).to_rfc3339_opts(SecondsFormat::Micros, true);
            format!("where updated_at >= timestamptz '{time}'")
        }
        CrmPeople::All => String::new(),
    };
    let cursor = format!(
        "set local statement_timeout = '10min';
         set local idle_in_transaction_session_timeout = '10min';
         declare people no scroll cursor for
         select lower(kind::text) as kind, id::text as id, name::text as name, owner_id::text as owner_id,
                phone::text as phone, updated_at::timestamptz as updated_at
         from trunkline.crm_contacts {since}
         order by 1, 2"
    );
    connection
        .build_transaction()
        .read_only()
        .repeatable_read()
        .run(|connection| {
            connection.batch_execute(&cursor).map_err(of_the_view)?;
            loop {
                let some: Vec<ViewRow> = Statement::new("fetch 1000 from people")
                    .load(connection)
                    .map_err(of_the_view)?;
                if some.is_empty() || rows.blocking_send(some).is_err() {
                    return Ok(());
                }
            }
        })
}

/// What PostgreSQL says of the view while the connection holds.
fn of_the_view(error: diesel::result::Error) -> StoreError {
    use diesel::result::{DatabaseErrorKind, Error};

    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, _) | Error::DeserializationError(_) => {
            StoreError::CrmView(error.into())
        }
        other => other.into(),
    }
}

impl CrmMirrored {
    /// Takes in one row. Returns the person before, if the row is of another one.
    fn next_row(
        &mut self,
        person: &mut Option<ContactWithPhones>,
        row: ViewRow,
        region: Region,
    ) -> Option<ContactWithPhones> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let kind = row.kind.as_deref().and_then(ContactKind::from_name);
        let (Some(kind), Some(id)) = (kind, some(row.id)) else {
            self.unusable_rows += 1;
            return None;
        };
        let updated_at = row.updated_at.map(|time| time.0);
        self.changed_until = self.changed_until.max(updated_at);
        let updated_at = updated_at.unwrap_or(DateTime::UNIX_EPOCH);
        let contact = ContactRef { kind, id };
        let phones = self.read_phones(&contact, row.phone.as_deref().unwrap_or_default(), region);

        if let Some(same) = person
            && same.contact.contact == contact
        {
            same.contact.updated_at = same.contact.updated_at.max(updated_at);
            same.phones.extend(phones);
            return None;
        }
        let contact = Contact {
            contact,
            name: some(row.name),
            owner_id: some(row.owner_id),
            updated_at,
        };
        person.replace(ContactWithPhones { contact, phones })
    }

    /// The numbers in a text that holds one or, with semicolons between, several.
    fn read_phones(&mut self, of: &ContactRef, text: &str, region: Region) -> Vec<PhoneNumber> {
        let texts = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        let (readable, unreadable): (Vec<_>, Vec<_>) = texts
            .map(|text| PhoneNumber::parse(text, region))
            .partition(Result::is_ok);
        self.unreadable_numbers += unreadable.len();
        let is_listed = self.unreadable_of.last() == Some(of);
        if !unreadable.is_empty() && !is_listed && self.unreadable_of.len() < UNREADABLE_KEPT {
            self.unreadable_of.push(of.clone());
        }
        readable.into_iter().flatten().collect()
    }
}
