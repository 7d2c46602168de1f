//! Looking for the CRM's people.

use std::collections::{BTreeSet, HashMap};

use calls::{Contact, ContactKind, ContactRef, PhoneNumber};
use diesel::dsl::exists;
use diesel::prelude::*;

use super::Sqlite;
use crate::rows::ContactRow;
use crate::schema::{contact_phones, contacts};
use crate::search::{NumberFilter, containing};
use crate::{ContactWithPhones, PeopleSearch, StoreError};

/// SQLite takes 32,766 values in a statement; this stays far below.
const IN_ONE_STATEMENT: usize = 1_000;

impl Sqlite {
    pub(crate) async fn contacts(
        &self,
        people: BTreeSet<ContactRef>,
    ) -> Result<HashMap<ContactRef, Contact>, StoreError> {
        self.read(move |connection| {
            let mut found = HashMap::with_capacity(people.len());
            for kind in [ContactKind::Customer, ContactKind::Lead] {
                let ids = people.iter().filter(|person| person.kind == kind);
                let ids: Vec<&str> = ids.map(|person| person.id.as_str()).collect();
                for ids in ids.chunks(IN_ONE_STATEMENT) {
                    let rows: Vec<ContactRow> = contacts::table
                        .filter(contacts::kind.eq(kind.as_str()))
                        .filter(contacts::id.eq_any(ids))
                        .select(ContactRow::as_select())
                        .load(connection)?;
                    for row in rows {
                        let contact = row.into_contact()?;
                        found.insert(contact.contact.clone(), contact);
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    pub(crate) async fn search_contacts(
        &self,
        search: PeopleSearch,
        limit: u32,
    ) -> Result<Vec<ContactWithPhones>, StoreError> {
        self.read(move |connection| {
            let number = search.number.as_ref();
            // What is null is equal to nothing and like nothing.
            let is_number = contact_phones::e164
                .nullable()
                .eq(number.and_then(NumberFilter::whole).map(str::to_owned))
                .or(contact_phones::e164
                    .nullable()
                    .like(number.and_then(NumberFilter::pattern)));
            let reached_by = contact_phones::table
                .filter(contact_phones::kind.eq(contacts::kind))
                .filter(contact_phones::id.eq(contacts::id))
                .filter(is_number.assume_not_null());
            let is_named = contacts::name.like(containing(&search.text)).escape('\\');
            let rows: Vec<ContactRow> = contacts::table
                .filter(
                    is_named
                        .assume_not_null()
                        .or(contacts::id.eq(&search.text))
                        .or(exists(reached_by)),
                )
                .order((
                    contacts::name.is_null(),
                    contacts::name,
                    contacts::kind,
                    contacts::id,
                ))
                .limit(limit.into())
                .select(ContactRow::as_select())
                .load(connection)?;
            rows.into_iter()
                .map(|row| {
                    let phones: Vec<String> = contact_phones::table
                        .filter(contact_phones::kind.eq(&row.kind))
                        .filter(contact_phones::id.eq(&row.id))
                        .order(contact_phones::e164)
                        .select(contact_phones::e164)
                        .load(connection)?;
                    let phones = phones.into_iter().map(PhoneNumber::try_from);
                    Ok(ContactWithPhones {
                        contact: row.into_contact()?,
                        phones: phones
                            .collect::<Result<_, _>>()
                            .map_err(|_| StoreError::Corrupt("e164"))?,
                    })
                })
                .collect()
        })
        .await
    }
}
