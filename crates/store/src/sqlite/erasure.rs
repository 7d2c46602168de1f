//! Erasing a telephone number, and knowing it again.

use std::collections::{BTreeSet, HashSet};

use calls::{CallId, ContactRef, ErasedNumbers, ErasureKey, PhoneNumber};
use chrono::{DateTime, SubsecRound, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::apply::{load, save_work};
use super::{IN_ONE_STATEMENT, Sqlite};
use crate::batch::CallWork;
use crate::blocking::blocking;
use crate::columns::{Id, SqlId, Time};
use crate::erasure::{AT_A_TIME, Hashed, Traces, is_about};
use crate::rows::{call_id, contact_ref};
use crate::schema::{
    alerts, contact_phones, contacts, dead_letters, erased_numbers, erasure_key, recordings, seals,
};
use crate::{Erased, StoreError};

#[derive(QueryableByName)]
struct OfCall {
    #[diesel(sql_type = Text)]
    call_sid: String,
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

impl Sqlite {
    pub(crate) async fn traces(&self, number: PhoneNumber) -> Result<Erased, StoreError> {
        self.read(move |connection| Ok(find_traces(connection, &number)?.counts()))
            .await
    }

    pub(crate) async fn erase(&self, number: PhoneNumber, now: DateTime<Utc>) -> Result<Erased, StoreError> {
        let now = now.trunc_subsecs(6);
        let erased = self
            .write(move |connection| {
                note(connection, &number, now)?;
                let traces = find_traces(connection, &number)?;
                remove(connection, &number, &traces, now)?;
                Ok(traces.counts())
            })
            .await?;
        // What was deleted still stands in pages that nobody uses, and in the log.
        let mut writer = self.writer.clone().lock_owned().await;
        blocking(move || Ok(writer.batch_execute("vacuum; pragma wal_checkpoint(truncate)")?)).await?;
        Ok(erased)
    }

    pub(crate) async fn recordings_to_delete(&self) -> Result<Vec<(CallId, String)>, StoreError> {
        self.read(|connection| {
            let sealed = seals::table
                .filter(seals::sealed_group.eq("recording"))
                .filter(seals::reason.eq_any(["erasure", "retention"]))
                .select(seals::call_sid);
            let found: Vec<(String, Option<String>)> = recordings::table
                .filter(recordings::object_key.is_not_null())
                .filter(recordings::call_sid.eq_any(sealed))
                .select((recordings::call_sid, recordings::object_key))
                .load(connection)?;
            let found = found
                .into_iter()
                .filter_map(|(call_sid, key)| Some((call_sid, key?)));
            found
                .map(|(call_sid, key)| Ok((call_id(&call_sid)?, key)))
                .collect()
        })
        .await
    }
}

/// Which of these numbers were erased.
pub(super) fn find(
    connection: &mut SqliteConnection,
    numbers: BTreeSet<PhoneNumber>,
) -> Result<ErasedNumbers, StoreError> {
    let key: Option<String> = erasure_key::table
        .select(erasure_key::key)
        .first(connection)
        .optional()?;
    let Some(key) = key.filter(|_| !numbers.is_empty()) else {
        return Ok(ErasedNumbers::default());
    };
    let hashed = Hashed::new(&ErasureKey::from_stored(key), numbers);
    let all: Vec<&str> = hashed.hashes().collect();
    let mut found: Vec<(String, Time)> = Vec::new();
    for some in all.chunks(IN_ONE_STATEMENT) {
        let query = erased_numbers::table.filter(erased_numbers::number_hash.eq_any(some.iter().copied()));
        found.extend(query.load::<(String, Time)>(connection)?);
    }
    Ok(hashed.erased(found))
}

/// Keeps the hash of the number.
fn note(
    connection: &mut SqliteConnection,
    number: &PhoneNumber,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    diesel::insert_or_ignore_into(erasure_key::table)
        .values((
            erasure_key::id.eq(1),
            erasure_key::key.eq(ErasureKey::random().as_str()),
        ))
        .execute(connection)?;
    let key: String = erasure_key::table.select(erasure_key::key).first(connection)?;
    let hash = ErasureKey::from_stored(key).hash(number);
    diesel::insert_into(erased_numbers::table)
        .values((
            erased_numbers::number_hash.eq(hash),
            erased_numbers::erased_at.eq(Time(now)),
        ))
        .on_conflict(erased_numbers::number_hash)
        .do_update()
        .set(erased_numbers::erased_at.eq(Time(now)))
        .execute(connection)?;
    Ok(())
}

fn find_traces(connection: &mut SqliteConnection, number: &PhoneNumber) -> Result<Traces, StoreError> {
    let of_number: Vec<OfCall> = diesel::sql_query(
        "select distinct call_sid from call_events
         where json_extract(snapshot, '$.facts.customer.e164') = ?
         order by call_sid",
    )
    .bind::<Text, _>(number.as_str())
    .load(connection)?;
    let sids: HashSet<&str> = of_number.iter().map(|call| call.call_sid.as_str()).collect();
    let mut traces = Traces {
        calls: of_number
            .iter()
            .map(|call| call_id(&call.call_sid))
            .collect::<Result<_, _>>()?,
        ..Traces::default()
    };

    let raised: Vec<Id> = alerts::table
        .select(alerts::id)
        .filter(alerts::payload.like(format!("%{}%", number.as_str())))
        .load(connection)?;
    let mut found: BTreeSet<_> = raised.into_iter().map(|id| id.0).collect();
    let of_number: Vec<&str> = sids.iter().copied().collect();
    for sids in of_number.chunks(IN_ONE_STATEMENT) {
        let of_calls: Vec<Id> = alerts::table
            .filter(alerts::call_sid.eq_any(sids))
            .select(alerts::id)
            .load(connection)?;
        found.extend(of_calls.into_iter().map(|id| id.0));
        let archived: i64 = recordings::table
            .filter(recordings::call_sid.eq_any(sids))
            .filter(recordings::object_key.is_not_null())
            .count()
            .get_result(connection)?;
        traces.recordings += usize::try_from(archived).unwrap_or(0);
    }
    traces.alerts = found.into_iter().collect();

    let mut seen = String::new();
    loop {
        let letters: Vec<OfLetter> =
            diesel::sql_query("select id, call_sid, body from dead_letters where id > ? order by id limit ?")
                .bind::<Text, _>(&seen)
                .bind::<BigInt, _>(i64::try_from(AT_A_TIME).unwrap_or(i64::MAX))
                .load(connection)?;
        let Some(last) = letters.last() else { break };
        seen = last.id.0.to_string();
        let about = letters
            .iter()
            .filter(|letter| is_about(number, &sids, letter.call_sid.as_deref(), &letter.body));
        traces.dead_letters.extend(about.map(|letter| letter.id.0));
    }

    let people: Vec<(String, String)> = contact_phones::table
        .filter(contact_phones::e164.eq(number.as_str()))
        .select((contact_phones::kind, contact_phones::id))
        .load(connection)?;
    let people = people.into_iter().map(|(kind, id)| contact_ref(&kind, id));
    traces.contacts = people.collect::<Result<Vec<ContactRef>, _>>()?;
    Ok(traces)
}

fn remove(
    connection: &mut SqliteConnection,
    number: &PhoneNumber,
    traces: &Traces,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    for call_sids in traces.calls.chunks(AT_A_TIME) {
        for state in load(connection, call_sids.iter())?.into_values() {
            if let Some(work) = CallWork::erasing(state, &[], now)? {
                save_work(connection, &work, now)?;
            }
        }
        let sids = call_sids.iter().map(CallId::as_str);
        let not_archived = recordings::table
            .filter(recordings::call_sid.eq_any(sids))
            .filter(recordings::object_key.is_null());
        diesel::delete(not_archived).execute(connection)?;
    }
    for id in &traces.alerts {
        diesel::delete(alerts::table.find(Id(*id))).execute(connection)?;
    }
    for id in &traces.dead_letters {
        diesel::delete(dead_letters::table.find(Id(*id))).execute(connection)?;
    }
    diesel::delete(contact_phones::table.filter(contact_phones::e164.eq(number.as_str())))
        .execute(connection)?;
    for person in &traces.contacts {
        let (kind, id) = (person.kind.as_str(), person.id.as_str());
        let phones = contact_phones::table
            .filter(contact_phones::kind.eq(kind))
            .filter(contact_phones::id.eq(id));
        if phones.count().get_result::<i64>(connection)? == 0 {
            diesel::delete(contacts::table.find((kind, id))).execute(connection)?;
        }
    }
    Ok(())
}
