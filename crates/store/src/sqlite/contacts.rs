//! The mirror of the CRM's people.

use std::collections::BTreeSet;
use std::sync::Arc;

use calls::{CallId, ContactRef, MatchRules, People, PhoneNumber};
use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::apply::{load, save_call};
use super::{IN_ONE_STATEMENT, Sqlite};
use crate::batch::customer_numbers;
use crate::clock::Clock;
use crate::rows::{ContactRow, PhoneRow, call_id};
use crate::schema::{account_numbers, contact_phones, contacts, interactions};
use crate::{ContactWithPhones, ContactsSaved, StoreError};

/// How many contacts are saved in one transaction, and how many calls are linked.
const CONTACTS_AT_A_TIME: usize = 200;
const CALLS_AT_A_TIME: usize = 50;

impl Sqlite {
    /// The contacts first, then the calls they link, a few calls at a time: a ring waits for none of it for long. Whoever
    /// fails in between saves the same contacts again, and their calls are looked for again.
    pub(crate) async fn save_contacts(
        &self,
        contacts: Vec<ContactWithPhones>,
        rules: MatchRules,
        now: DateTime<Utc>,
    ) -> Result<ContactsSaved, StoreError> {
        let phones = contacts.iter().flat_map(|contact| &contact.phones);
        let numbers: BTreeSet<PhoneNumber> = phones.cloned().collect();
        let mut saved = ContactsSaved::default();
        for some in contacts.chunks(CONTACTS_AT_A_TIME) {
            let some = some.to_vec();
            saved.saved += self.write(move |connection| save(connection, &some)).await?;
        }
        let (rules, clock) = (Arc::new(rules), Clock::set(now));
        let unlinked = self
            .read(move |connection| find_unlinked(connection, &numbers))
            .await?;
        for call_sids in unlinked.chunks(CALLS_AT_A_TIME) {
            let (call_sids, rules) = (call_sids.to_vec(), Arc::clone(&rules));
            saved.calls_linked += self
                .write(move |connection| link(connection, &call_sids, &rules, clock.now()))
                .await?;
        }
        Ok(saved)
    }

    pub(crate) async fn replace_account_numbers(
        &self,
        numbers: BTreeSet<PhoneNumber>,
    ) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let known: Vec<String> = account_numbers::table
                .select(account_numbers::e164)
                .load(connection)?;
            let mut changed = 0;
            for e164 in &known {
                if !numbers.iter().any(|number| number.as_str() == e164) {
                    changed += diesel::delete(account_numbers::table.find(e164)).execute(connection)?;
                }
            }
            for number in &numbers {
                changed += diesel::insert_or_ignore_into(account_numbers::table)
                    .values(account_numbers::e164.eq(number.as_str()))
                    .execute(connection)?;
            }
            Ok(changed)
        })
        .await
    }

    pub(crate) async fn remove_contacts(&self, people: Vec<ContactRef>) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let mut removed = 0;
            for person in &people {
                let row = contacts::table.find((person.kind.as_str(), &person.id));
                removed += diesel::delete(row).execute(connection)?;
            }
            Ok(removed)
        })
        .await
    }
}

/// The people behind these numbers, and which of the numbers are the account's own.
pub(super) fn find(
    connection: &mut SqliteConnection,
    numbers: &BTreeSet<PhoneNumber>,
) -> Result<People, StoreError> {
    let mut people = People::default();
    let numbers: Vec<&str> = numbers.iter().map(PhoneNumber::as_str).collect();
    for numbers in numbers.chunks(IN_ONE_STATEMENT) {
        let found: Vec<(String, ContactRow)> = contact_phones::table
            .inner_join(
                contacts::table.on(contacts::kind
                    .eq(contact_phones::kind)
                    .and(contacts::id.eq(contact_phones::id))),
            )
            .filter(contact_phones::e164.eq_any(numbers))
            .select((contact_phones::e164, ContactRow::as_select()))
            .load(connection)?;
        for (number, contact) in found {
            let number = PhoneNumber::try_from(number).map_err(|_| StoreError::Corrupt("e164"))?;
            people.add(number, contact.into_contact()?);
        }
        let own: Vec<String> = account_numbers::table
            .filter(account_numbers::e164.eq_any(numbers))
            .select(account_numbers::e164)
            .load(connection)?;
        for e164 in own {
            people.add_account_number(PhoneNumber::try_from(e164).map_err(|_| StoreError::Corrupt("e164"))?);
        }
    }
    Ok(people)
}

/// Adds contacts that calls are linked with, by whatever number.
pub(super) fn add_linked(
    connection: &mut SqliteConnection,
    people: &mut People,
    linked: &BTreeSet<ContactRef>,
) -> Result<(), StoreError> {
    for contact in linked {
        let found: Option<ContactRow> = contacts::table
            .find((contact.kind.as_str(), &contact.id))
            .select(ContactRow::as_select())
            .first(connection)
            .optional()?;
        if let Some(found) = found {
            people.add_linked(found.into_contact()?);
        }
    }
    Ok(())
}

/// Returns how many contacts changed.
fn save(connection: &mut SqliteConnection, with_phones: &[ContactWithPhones]) -> Result<usize, StoreError> {
    let mut saved = 0;
    for ContactWithPhones { contact, phones } in with_phones {
        let row = ContactRow::new(contact);
        let known: Option<ContactRow> = contacts::table
            .find((&row.kind, &row.id))
            .select(ContactRow::as_select())
            .first(connection)
            .optional()?;
        let mut is_changed = known.as_ref() != Some(&row);
        if is_changed {
            diesel::insert_into(contacts::table)
                .values(&row)
                .on_conflict((contacts::kind, contacts::id))
                .do_update()
                .set(&row)
                .execute(connection)?;
        }
        let wanted: BTreeSet<&str> = phones.iter().map(PhoneNumber::as_str).collect();
        let of_this_contact = contact_phones::kind
            .eq(&row.kind)
            .and(contact_phones::id.eq(&row.id));
        let forgotten = diesel::delete(
            contact_phones::table
                .filter(of_this_contact)
                .filter(contact_phones::e164.ne_all(&wanted)),
        )
        .execute(connection)?;
        is_changed |= forgotten > 0;
        for e164 in wanted {
            let phone = PhoneRow {
                e164,
                kind: &row.kind,
                id: &row.id,
            };
            let added = diesel::insert_or_ignore_into(contact_phones::table)
                .values(&phone)
                .execute(connection)?;
            is_changed |= added > 0;
        }
        saved += usize::from(is_changed);
    }
    Ok(saved)
}

/// The calls with these numbers that are linked with nobody yet.
fn find_unlinked(
    connection: &mut SqliteConnection,
    numbers: &BTreeSet<PhoneNumber>,
) -> Result<Vec<CallId>, StoreError> {
    let numbers: Vec<&str> = numbers.iter().map(PhoneNumber::as_str).collect();
    let mut found = BTreeSet::new();
    for numbers in numbers.chunks(IN_ONE_STATEMENT) {
        let inbound = interactions::direction
            .eq("inbound")
            .and(interactions::call_from_number.eq_any(numbers));
        let outbound = interactions::direction
            .eq("outbound")
            .and(interactions::call_to_number.eq_any(numbers));
        let unlinked: Vec<String> = interactions::table
            .filter(
                interactions::lead_id
                    .is_null()
                    .and(interactions::customer_id.is_null()),
            )
            .filter(inbound.or(outbound))
            .select(interactions::call_sid)
            .load(connection)?;
        for call_sid in unlinked {
            found.insert(call_id(&call_sid)?);
        }
    }
    Ok(found.into_iter().collect())
}

fn link(
    connection: &mut SqliteConnection,
    call_sids: &[CallId],
    rules: &MatchRules,
    now: DateTime<Utc>,
) -> Result<usize, StoreError> {
    let states = load(connection, call_sids.iter())?;
    let people = find(connection, &customer_numbers(states.values()).collect())?;
    let mut linked = 0;
    for (call_sid, state) in states {
        // A row that the CRM has deleted meanwhile comes back with the next event, not now.
        if state.row.is_none() {
            continue;
        }
        let changes = calls::link_again(state, &people, rules, now);
        // A row may also change because a decision that nobody had seen yet now shows in it.
        linked += usize::from(changes.row.as_ref().is_some_and(|row| row.link.is_set()));
        save_call(connection, &call_sid, &changes, true, now)?;
    }
    Ok(linked)
}
