//! Looking for the CRM's people.

use std::collections::{BTreeSet, HashMap};

use calls::{Contact, ContactRef, PhoneNumber};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::Postgres;
use super::statement::Statement;
use crate::rows::ContactRow;
use crate::search::{NumberFilter, containing};
use crate::{ContactWithPhones, PeopleSearch, StoreError};

#[derive(QueryableByName)]
struct Found {
    #[diesel(embed)]
    contact: ContactRow,
    #[diesel(sql_type = Array<Text>)]
    phones: Vec<String>,
}

impl Postgres {
    pub(crate) async fn contacts(
        &self,
        people: BTreeSet<ContactRef>,
    ) -> Result<HashMap<ContactRef, Contact>, StoreError> {
        self.read(move |connection| {
            let rows: Vec<ContactRow> = Statement::new(
                "select kind, id, name, owner_id, updated_at from trunkline.contacts
                 where (kind, id) in (select kind, id from unnest({}, {}) as wanted (kind, id))",
            )
            .texts(people.iter().map(|person| person.kind.as_str()))
            .texts(people.iter().map(|person| person.id.as_str()))
            .load(connection)?;
            let contacts = rows.into_iter().map(ContactRow::into_contact);
            contacts
                .map(|contact| contact.map(|contact| (contact.contact.clone(), contact)))
                .collect()
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
            let found: Vec<Found> = Statement::new(
                "select kind, id, name, owner_id, updated_at, array(
                     select phone.e164 from trunkline.contact_phones phone
                     where phone.kind = contact.kind and phone.id = contact.id order by phone.e164
                 ) as phones
                 from trunkline.contacts contact
                 where name ilike {} or id = {} or (kind, id) in (
                     select phone.kind, phone.id from trunkline.contact_phones phone
                     where phone.e164 = {} or phone.e164 like {}
                 )
                 order by name nulls last, kind, id
                 limit {}",
            )
            .bind::<Text, _>(containing(&search.text))
            .bind::<Text, _>(search.text.replace('\0', "\u{fffd}"))
            .bind::<Nullable<Text>, _>(number.and_then(NumberFilter::whole))
            .bind::<Nullable<Text>, _>(number.and_then(NumberFilter::pattern))
            .bind::<BigInt, _>(i64::from(limit))
            .load(connection)?;
            found.into_iter().map(Found::into_contact).collect()
        })
        .await
    }
}

impl Found {
    fn into_contact(self) -> Result<ContactWithPhones, StoreError> {
        let phones = self.phones.into_iter().map(PhoneNumber::try_from);
        Ok(ContactWithPhones {
            contact: self.contact.into_contact()?,
            phones: phones
                .collect::<Result<_, _>>()
                .map_err(|_| StoreError::Corrupt("e164"))?,
        })
    }
}
