//! The mirror of the CRM's people.

use std::collections::{BTreeMap, BTreeSet};

use calls::{ContactRef, MatchRules, People, PhoneNumber};
use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::Postgres;
use super::statement::Statement;
use crate::rows::ContactRow;
use crate::{ContactWithPhones, ContactsSaved, StoreError};

/// Who told of a contact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The view `crm_contacts`: who is gone from there is removed.
    View,
    /// Somebody who will also tell when he is gone.
    Elsewhere,
}

impl Postgres {
    pub(crate) async fn save_contacts(
        &self,
        contacts: Vec<ContactWithPhones>,
        rules: MatchRules,
        now: DateTime<Utc>,
    ) -> Result<ContactsSaved, StoreError> {
        self.save_contacts_of(Source::Elsewhere, contacts, &rules, now)
            .await
    }

    /// The contacts first, then the calls they link, a few calls at a time: nobody waits long for these locks. Whoever
    /// fails in between saves the same contacts again, and their calls are looked for again.
    pub(super) async fn save_contacts_of(
        &self,
        source: Source,
        contacts: Vec<ContactWithPhones>,
        rules: &MatchRules,
        now: DateTime<Utc>,
    ) -> Result<ContactsSaved, StoreError> {
        let contacts = Sorted::new(contacts);
        let numbers = contacts.numbers();
        let saved = Self::write(&self.batches, move |connection| {
            save(connection, &contacts, source)
        })
        .await?;
        Ok(ContactsSaved {
            saved,
            calls_linked: self.link_earlier_calls(numbers, rules, now).await?,
        })
    }

    pub(crate) async fn replace_account_numbers(
        &self,
        numbers: BTreeSet<PhoneNumber>,
    ) -> Result<usize, StoreError> {
        Self::write(&self.batches, move |connection| {
            let numbers = || numbers.iter().map(PhoneNumber::as_str);
            let gone = Statement::new("delete from trunkline.account_numbers where not e164 = any({})")
                .texts(numbers())
                .execute(connection)?;
            let new = Statement::new(
                "insert into trunkline.account_numbers (e164)
                 select * from unnest({}) order by 1
                 on conflict do nothing",
            )
            .texts(numbers())
            .execute(connection)?;
            Ok(gone + new)
        })
        .await
    }

    pub(crate) async fn remove_contacts(&self, people: Vec<ContactRef>) -> Result<usize, StoreError> {
        Self::write(&self.batches, move |connection| {
            let removed = Statement::new(
                "delete from trunkline.contacts
                 where (kind, id) in (select kind, id from unnest({}, {}) as gone (kind, id))",
            )
            .texts(people.iter().map(|person| person.kind.as_str()))
            .texts(people.iter().map(|person| person.id.as_str()))
            .execute(connection)?;
            Ok(removed)
        })
        .await
    }
}

/// The people behind these numbers, and which of the numbers are the account's own.
pub(super) fn find(
    connection: &mut PgConnection,
    numbers: &BTreeSet<PhoneNumber>,
) -> Result<People, StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        e164: String,
        /// `None`: the account's own number.
        #[diesel(embed)]
        contact: Option<ContactRow>,
    }
    let mut people = People::default();
    if numbers.is_empty() {
        return Ok(people);
    }
    let found: Vec<Found> = Statement::new(
        "select phone.e164, contact.kind, contact.id, contact.name, contact.owner_id, contact.updated_at
         from trunkline.contact_phones phone
         join trunkline.contacts contact on contact.kind = phone.kind and contact.id = phone.id
         where phone.e164 = any({})
         union all
         select e164, null, null, null, null, null from trunkline.account_numbers where e164 = any({})",
    )
    .texts(numbers.iter().map(PhoneNumber::as_str))
    .texts(numbers.iter().map(PhoneNumber::as_str))
    .load(connection)?;
    for Found { e164, contact } in found {
        let number = PhoneNumber::try_from(e164).map_err(|_| StoreError::Corrupt("e164"))?;
        match contact {
            Some(contact) => people.add(number, contact.into_contact()?),
            None => people.add_account_number(number),
        }
    }
    Ok(people)
}

/// Adds contacts that calls are linked with, by whatever number.
pub(super) fn add_linked(
    connection: &mut PgConnection,
    people: &mut People,
    contacts: &BTreeSet<ContactRef>,
) -> Result<(), StoreError> {
    if contacts.is_empty() {
        return Ok(());
    }
    let found: Vec<ContactRow> = Statement::new(
        "select contact.kind, contact.id, contact.name, contact.owner_id, contact.updated_at
         from trunkline.contacts contact
         join unnest({}, {}) as linked (kind, id) on linked.kind = contact.kind and linked.id = contact.id",
    )
    .texts(contacts.iter().map(|contact| contact.kind.as_str()))
    .texts(contacts.iter().map(|contact| contact.id.as_str()))
    .load(connection)?;
    for contact in found {
        people.add_linked(contact.into_contact()?);
    }
    Ok(())
}

/// Contacts in the order in which everybody locks them, each once: of two the last.
struct Sorted(BTreeMap<(String, String), (ContactRow, BTreeSet<PhoneNumber>)>);

impl Sorted {
    fn new(contacts: Vec<ContactWithPhones>) -> Self {
        let rows = contacts.into_iter().map(|ContactWithPhones { contact, phones }| {
            let row = ContactRow::new(&contact);
            (
                (row.kind.clone(), row.id.clone()),
                (row, phones.into_iter().collect()),
            )
        });
        Self(rows.collect())
    }

    fn numbers(&self) -> BTreeSet<PhoneNumber> {
        self.0.values().flat_map(|(_, phones)| phones).cloned().collect()
    }
}

/// Returns how many are new or changed.
fn save(connection: &mut PgConnection, contacts: &Sorted, source: Source) -> Result<usize, StoreError> {
    #[derive(QueryableByName, PartialEq, Eq, PartialOrd, Ord)]
    struct Changed {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        id: String,
    }
    let rows: Vec<&ContactRow> = contacts.0.values().map(|(row, _)| row).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let kinds = || rows.iter().map(|row| row.kind.as_str());
    let ids = || rows.iter().map(|row| row.id.as_str());
    let mut changed: Vec<Changed> = Statement::new(
        "insert into trunkline.contacts as known (kind, id, name, owner_id, updated_at, from_view)
         select kind, id, name, owner_id, updated_at, {}
         from unnest({}, {}, {}, {}, {}) as new (kind, id, name, owner_id, updated_at)
         on conflict (kind, id) do update set
             name = excluded.name, owner_id = excluded.owner_id, updated_at = excluded.updated_at,
             from_view = known.from_view or excluded.from_view
         where (known.name, known.owner_id, known.updated_at)
                   is distinct from (excluded.name, excluded.owner_id, excluded.updated_at)
            or (excluded.from_view and not known.from_view)
         returning kind, id",
    )
    .bind::<Bool, _>(source == Source::View)
    .texts(kinds())
    .texts(ids())
    .optional_texts(rows.iter().map(|row| &row.name))
    .optional_texts(rows.iter().map(|row| &row.owner_id))
    .times(rows.iter().map(|row| row.updated_at))
    .load(connection)?;

    let phones: Vec<(&ContactRow, &PhoneNumber)> = contacts
        .0
        .values()
        .flat_map(|(row, phones)| phones.iter().map(move |phone| (row, phone)))
        .collect();
    let numbers = || phones.iter().map(|(_, phone)| phone.as_str());
    let kinds_of_phones = || phones.iter().map(|(row, _)| row.kind.as_str());
    let ids_of_phones = || phones.iter().map(|(row, _)| row.id.as_str());
    let forgotten: Vec<Changed> = Statement::new(
        "delete from trunkline.contact_phones phone
         where (kind, id) in (select kind, id from unnest({}, {}) as saved (kind, id))
           and (e164, kind, id) not in (select e164, kind, id from unnest({}, {}, {}) as new (e164, kind, id))
         returning kind, id",
    )
    .texts(kinds())
    .texts(ids())
    .texts(numbers())
    .texts(kinds_of_phones())
    .texts(ids_of_phones())
    .load(connection)?;
    let new: Vec<Changed> = Statement::new(
        "insert into trunkline.contact_phones (e164, kind, id)
         select e164, kind, id from unnest({}, {}, {}) as new (e164, kind, id)
         on conflict do nothing
         returning kind, id",
    )
    .texts(numbers())
    .texts(kinds_of_phones())
    .texts(ids_of_phones())
    .load(connection)?;
    changed.extend(forgotten);
    changed.extend(new);
    changed.sort_unstable();
    changed.dedup();
    Ok(changed.len())
}
