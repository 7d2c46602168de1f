//! Erasing a telephone number, and knowing it again.
//!
//! The hash is committed first. Writers who began before are waited for, those who come later see it: so no call of
//! the number is written behind our back, and no ring waits.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use calls::{CallId, ContactRef, ErasedNumbers, ErasureKey, PhoneNumber};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use uuid::Uuid;

use super::Postgres;
use super::apply::{Locking, load, save};
use super::link::wait_for_writers;
use super::pool::search_all;
use super::statement::{OfCall, Statement};
use crate::batch::CallWork;
use crate::clock::Clock;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::erasure::{AT_A_TIME, Hashed, Traces, is_about};
use crate::rows::{call_id, contact_ref};
use crate::{Erased, StoreError};

#[derive(QueryableByName)]
struct OfKey {
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct OfNumber {
    #[diesel(sql_type = Text)]
    number_hash: String,
    #[diesel(sql_type = SqlTime)]
    erased_at: Time,
}

#[derive(QueryableByName)]
struct OfRow {
    #[diesel(sql_type = SqlId)]
    id: Id,
}

#[derive(QueryableByName)]
struct OfLetter {
    #[diesel(sql_type = SqlId)]
    id: Id,
    #[diesel(sql_type = Nullable<Text>)]
    call_sid: Option<String>,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

#[derive(QueryableByName)]
struct OfPerson {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(QueryableByName)]
struct OfRecording {
    #[diesel(sql_type = Text)]
    call_sid: String,
    #[diesel(sql_type = Text)]
    object_key: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Postgres {
    pub(crate) async fn traces(&self, number: PhoneNumber) -> Result<Erased, StoreError> {
        self.read(move |connection| Ok(find_traces(connection, &number)?.counts()))
            .await
    }

    pub(crate) async fn erase(&self, number: PhoneNumber, now: DateTime<Utc>) -> Result<Erased, StoreError> {
        let (now, clock) = (now.trunc_subsecs(6), Clock::set(now));
        let number = Arc::new(number);
        let noted = Arc::clone(&number);
        Self::write(&self.batches, move |connection| note(connection, &noted, now)).await?;
        let sought = Arc::clone(&number);
        let traces = Self::write(&self.batches, move |connection| {
            wait_for_writers(connection)?;
            find_traces(connection, &sought)
        })
        .await?;
        for call_sids in traces.calls.chunks(AT_A_TIME) {
            let call_sids = call_sids.to_vec();
            Self::write(&self.batches, move |connection| {
                forget_calls(connection, &call_sids, clock.now())
            })
            .await?;
        }
        let erased = traces.counts();
        Self::write(&self.batches, move |connection| {
            remove(connection, &number, &traces)
        })
        .await?;
        Ok(erased)
    }

    pub(crate) async fn recordings_to_delete(&self) -> Result<Vec<(CallId, String)>, StoreError> {
        self.read(|connection| {
            let found: Vec<OfRecording> = Statement::new(
                "select recordings.call_sid, recordings.object_key
                 from trunkline.recordings
                 join trunkline.seals on seals.call_sid = recordings.call_sid
                     and seals.sealed_group = 'recording' and seals.reason in ('erasure', 'retention')
                 where recordings.object_key is not null",
            )
            .load(connection)?;
            let found = found.into_iter();
            found
                .map(|one| Ok((call_id(&one.call_sid)?, one.object_key)))
                .collect()
        })
        .await
    }
}

/// Which of these numbers were erased.
pub(super) fn find(
    connection: &mut PgConnection,
    numbers: BTreeSet<PhoneNumber>,
) -> Result<ErasedNumbers, StoreError> {
    if numbers.is_empty() {
        return Ok(ErasedNumbers::default());
    }
    let key: Option<OfKey> = Statement::new("select key from trunkline.erasure_key")
        .get_result(connection)
        .optional()?;
    let Some(OfKey { key }) = key else {
        return Ok(ErasedNumbers::default());
    };
    let hashed = Hashed::new(&ErasureKey::from_stored(key), numbers);
    let found: Vec<OfNumber> = Statement::new(
        "select number_hash, erased_at from trunkline.erased_numbers where number_hash = any({})",
    )
    .texts(hashed.hashes())
    .load(connection)?;
    Ok(hashed.erased(found.into_iter().map(|one| (one.number_hash, one.erased_at))))
}

/// Keeps the hash of the number.
fn note(connection: &mut PgConnection, number: &PhoneNumber, now: DateTime<Utc>) -> Result<(), StoreError> {
    Statement::new("insert into trunkline.erasure_key (id, key) values (1, {}) on conflict do nothing")
        .bind::<Text, _>(ErasureKey::random().as_str())
        .execute(connection)?;
    let OfKey { key } = Statement::new("select key from trunkline.erasure_key").get_result(connection)?;
    Statement::new(
        "insert into trunkline.erased_numbers (number_hash, erased_at) values ({}, {})
         on conflict (number_hash) do update set erased_at = excluded.erased_at",
    )
    .bind::<Text, _>(ErasureKey::from_stored(key).hash(number))
    .bind::<SqlTime, _>(Time(now))
    .execute(connection)?;
    Ok(())
}

fn find_traces(connection: &mut PgConnection, number: &PhoneNumber) -> Result<Traces, StoreError> {
    // All of the record is looked at: there is no index for what is hardly ever asked.
    search_all(connection)?;
    let of_number: Vec<OfCall> = Statement::new(
        "select distinct call_sid from trunkline.call_events
         where snapshot #>> '{facts,customer,e164}' = {}
         order by call_sid",
    )
    .bind::<Text, _>(number.as_str())
    .load(connection)?;
    let sids: HashSet<&str> = of_number.iter().map(|call| call.call_sid.as_str()).collect();

    let raised: Vec<OfRow> =
        Statement::new("select id from trunkline.alerts where call_sid = any({}) or payload ->> 'from' = {}")
            .texts(sids.iter().copied())
            .bind::<Text, _>(number.as_str())
            .load(connection)?;
    let archived: Count = Statement::new(
        "select count(*) as count from trunkline.recordings where call_sid = any({}) and object_key is not null",
    )
    .texts(sids.iter().copied())
    .get_result(connection)?;

    let mut dead_letters = Vec::new();
    let mut seen = Uuid::nil();
    loop {
        let letters: Vec<OfLetter> = Statement::new(
            "select id, call_sid, body from trunkline.dead_letters where id > {} order by id limit {}",
        )
        .bind::<SqlId, _>(Id(seen))
        .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
        .load(connection)?;
        let Some(last) = letters.last() else { break };
        seen = last.id.0;
        let about = letters
            .iter()
            .filter(|letter| is_about(number, &sids, letter.call_sid.as_deref(), &letter.body));
        dead_letters.extend(about.map(|letter| letter.id.0));
    }

    let people: Vec<OfPerson> =
        Statement::new("select kind, id from trunkline.contact_phones where e164 = {}")
            .bind::<Text, _>(number.as_str())
            .load(connection)?;
    let people = people
        .into_iter()
        .map(|person| contact_ref(&person.kind, person.id));
    Ok(Traces {
        calls: OfCall::ids(&of_number)?,
        recordings: usize::try_from(archived.count).unwrap_or(0),
        alerts: raised.into_iter().map(|row| row.id.0).collect(),
        dead_letters,
        contacts: people.collect::<Result<Vec<ContactRef>, _>>()?,
    })
}

fn forget_calls(
    connection: &mut PgConnection,
    call_sids: &[CallId],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let states = load(connection, call_sids.iter(), Locking::Write)?;
    let work = states
        .into_values()
        .map(|state| CallWork::erasing(state, &[], now))
        .collect::<Result<Vec<_>, _>>()?;
    let work: Vec<CallWork> = work.into_iter().flatten().collect();
    save(connection, &work, now)?;
    // Those that are in the archive are known until they are out of it.
    Statement::new("delete from trunkline.recordings where call_sid = any({}) and object_key is null")
        .texts(call_sids.iter().map(CallId::as_str))
        .execute(connection)?;
    Ok(())
}

fn remove(connection: &mut PgConnection, number: &PhoneNumber, traces: &Traces) -> Result<(), StoreError> {
    Statement::new("delete from trunkline.alerts where id = any({})")
        .ids(traces.alerts.iter().copied().map(Id))
        .execute(connection)?;
    Statement::new("delete from trunkline.dead_letters where id = any({})")
        .ids(traces.dead_letters.iter().copied().map(Id))
        .execute(connection)?;
    Statement::new("delete from trunkline.contact_phones where e164 = {}")
        .bind::<Text, _>(number.as_str())
        .execute(connection)?;
    Statement::new(
        "delete from trunkline.contacts
         using unnest({}, {}) as had (kind, id)
         where contacts.kind = had.kind and contacts.id = had.id
           and not exists (
               select 1 from trunkline.contact_phones phone
               where phone.kind = contacts.kind and phone.id = contacts.id
           )",
    )
    .texts(traces.contacts.iter().map(|person| person.kind.as_str()))
    .texts(traces.contacts.iter().map(|person| person.id.as_str()))
    .execute(connection)?;
    Ok(())
}
