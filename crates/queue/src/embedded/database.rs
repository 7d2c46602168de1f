//! The statements that touch the tables of the queue file.

use std::path::Path;

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error::{DeserializationError, SerializationError};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel::sqlite::SqliteConnection;
use uuid::Uuid;

use super::command::{Kept, Size};
use super::file;
use crate::error::QueueError;
use crate::message::{Failures, Message, QueueName};

diesel::table! {
    messages (id) {
        id -> BigInt,
        queue -> Text,
        message_id -> Text,
        body -> Binary,
        failures -> Nullable<Text>,
        trace -> Nullable<Text>,
    }
}

/// The one connection to the queue file.
pub(super) struct Database {
    connection: SqliteConnection,
}

/// A write transaction under way.
pub(super) struct Transaction<'a> {
    connection: &'a mut SqliteConnection,
}

type Row = (i64, String, Vec<u8>, Option<String>, Option<String>);

/// What a [`Row`] is read from.
const ROW: (
    messages::id,
    messages::message_id,
    messages::body,
    messages::failures,
    messages::trace,
) = (
    messages::id,
    messages::message_id,
    messages::body,
    messages::failures,
    messages::trace,
);

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct MaybeNumber {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

#[derive(QueryableByName)]
struct Depth {
    #[diesel(sql_type = Text)]
    queue: String,
    #[diesel(sql_type = BigInt)]
    depth: i64,
}

impl Database {
    /// See [`file::open`].
    pub(super) fn open(path: &Path) -> Result<Self, QueueError> {
        Ok(Self {
            connection: file::open(path)?,
        })
    }

    /// One transaction, durable when this returns `Ok`, undone when it does not.
    pub(super) fn write(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> QueryResult<()>,
    ) -> QueryResult<()> {
        let connection = &mut self.connection;
        let done = (|| {
            connection.batch_execute("begin immediate")?;
            work(&mut Transaction { connection })?;
            connection.batch_execute("commit")
        })();
        if done.is_err() {
            // Whatever failed: no transaction is open afterwards. SQLite may have ended it already, then this fails.
            let _ = connection.batch_execute("rollback");
        }
        done
    }

    /// Changes when another connection, so another process, has written to the file.
    pub(super) fn data_version(&mut self) -> QueryResult<i64> {
        number(
            &mut self.connection,
            "select data_version as value from pragma_data_version",
        )
    }

    /// Messages of a queue with ids greater than `cursor`, ascending, at most `max`. Stops when `room`, which it
    /// lessens by the bytes of each body, is used up.
    pub(super) fn read_after(
        &mut self,
        queue: QueueName,
        cursor: i64,
        max: usize,
        room: &mut i64,
    ) -> QueryResult<Vec<(i64, Message)>> {
        let query = messages::table
            .filter(messages::queue.eq(queue.as_str()))
            .filter(messages::id.gt(cursor))
            .order(messages::id)
            .limit(i64::try_from(max).unwrap_or(i64::MAX))
            .select(ROW);
        read_rows(
            query.load_iter::<Row, DefaultLoadingMode>(&mut self.connection)?,
            room,
        )
    }

    /// The messages with these ids, ascending, as far as they exist. Stops as [`read_after`](Self::read_after) does.
    pub(super) fn read_these(&mut self, ids: &[i64], room: &mut i64) -> QueryResult<Vec<(i64, Message)>> {
        let query = messages::table
            .filter(
                sql::<Bool>("id in (select value from json_each(")
                    .bind::<Text, _>(to_json(&ids)?)
                    .sql("))"),
            )
            .order(messages::id)
            .select(ROW);
        read_rows(
            query.load_iter::<Row, DefaultLoadingMode>(&mut self.connection)?,
            room,
        )
    }

    /// The first messages of all queues with ids greater than `after`, at most `max`. Stops when their bodies have `room`
    /// bytes.
    pub(super) fn oldest(&mut self, after: i64, max: usize, mut room: i64) -> QueryResult<Vec<Kept>> {
        let query = messages::table
            .filter(messages::id.gt(after))
            .order(messages::id)
            .limit(i64::try_from(max).unwrap_or(i64::MAX))
            .select((messages::queue, ROW));
        let mut kept = Vec::new();
        for row in query.load_iter::<(String, Row), DefaultLoadingMode>(&mut self.connection)? {
            let (queue, row) = row?;
            let queue = queue.parse().map_err(|error| damaged(row.0, &error))?;
            let (id, message) = read_row(row)?;
            room -= bytes_of(&message);
            kept.push(Kept { id, queue, message });
            if room <= 0 {
                break;
            }
        }
        Ok(kept)
    }

    /// How much there is in all queues, without what rests before a retry.
    pub(super) fn size(&mut self) -> QueryResult<Size> {
        let mut number = |what: &str| -> QueryResult<u64> {
            let number = number(
                &mut self.connection,
                &format!("select {what} as value from messages"),
            )?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        Ok(Size {
            messages: number("count(*)")?,
            bytes: number("coalesce(sum(length(body)), 0)")?,
        })
    }

    /// When the first of the delayed messages is due, in milliseconds since 1970.
    pub(super) fn next_due_at(&mut self) -> QueryResult<Option<i64>> {
        let least: MaybeNumber =
            diesel::sql_query("select min(due_at) as value from delayed").get_result(&mut self.connection)?;
        Ok(least.value)
    }

    pub(super) fn depths(&mut self) -> QueryResult<Vec<(QueueName, u64)>> {
        let counted: Vec<Depth> = diesel::sql_query(
            "select queue, sum(depth) as depth from (
                 select queue, count(*) as depth from messages group by queue
                 union all
                 select queue, count(*) as depth from delayed group by queue
             ) group by queue",
        )
        .load(&mut self.connection)?;
        let depth_of = |name: QueueName| {
            let depth = counted
                .iter()
                .find(|counted| counted.queue == name.as_str())
                .map_or(0, |c| c.depth);
            u64::try_from(depth).unwrap_or(0)
        };
        Ok(QueueName::ALL
            .into_iter()
            .map(|name| (name, depth_of(name)))
            .collect())
    }
}

impl Transaction<'_> {
    pub(super) fn insert(&mut self, queue: QueueName, message: &Message) -> QueryResult<()> {
        let row = (
            messages::queue.eq(queue.as_str()),
            messages::message_id.eq(message.id.to_string()),
            messages::body.eq(message.body.as_slice()),
            messages::failures.eq(message.failures.as_ref().map(to_json).transpose()?),
            messages::trace.eq(message.trace.map(|trace| trace.to_string())),
        );
        diesel::insert_into(messages::table)
            .values(row)
            .execute(self.connection)?;
        Ok(())
    }

    pub(super) fn delete(&mut self, ids: &[i64]) -> QueryResult<()> {
        diesel::sql_query("delete from messages where id in (select value from json_each(?))")
            .bind::<Text, _>(to_json(&ids)?)
            .execute(self.connection)?;
        Ok(())
    }

    /// Writes a page of the file without changing anything.
    pub(super) fn touch(&mut self) -> QueryResult<()> {
        let version = number(
            self.connection,
            "select user_version as value from pragma_user_version",
        )?;
        self.connection
            .batch_execute(&format!("pragma user_version = {version}"))
    }

    /// Moves a message to `queue`, with these failures.
    pub(super) fn transfer(&mut self, id: i64, queue: QueueName, failures: &Failures) -> QueryResult<()> {
        diesel::sql_query(
            "insert into messages (queue, message_id, body, failures, trace)
             select ?, message_id, body, ?, trace from messages where id = ?",
        )
        .bind::<Text, _>(queue.as_str())
        .bind::<Text, _>(to_json(failures)?)
        .bind::<BigInt, _>(id)
        .execute(self.connection)?;
        self.delete(&[id])
    }

    /// Takes a message, with these failures, out of its queue until `due_at`.
    pub(super) fn delay(&mut self, id: i64, due_at: i64, failures: &Failures) -> QueryResult<()> {
        diesel::sql_query(
            "insert into delayed (due_at, queue, message_id, body, failures, trace)
             select ?, queue, message_id, body, ?, trace from messages where id = ?",
        )
        .bind::<BigInt, _>(due_at)
        .bind::<Text, _>(to_json(failures)?)
        .bind::<BigInt, _>(id)
        .execute(self.connection)?;
        self.delete(&[id])
    }

    /// Puts delayed messages back into their queues, at most `max`: those due at `now`, and those due after
    /// `horizon`, where none can be unless the clock was set back.
    pub(super) fn return_due(&mut self, now: i64, horizon: i64, max: i32) -> QueryResult<()> {
        const DUE: &str = "from delayed where due_at <= ?1 or due_at > ?2 order by due_at, id limit ?3";
        for statement in [
            format!(
                "insert into messages (queue, message_id, body, failures, trace)
                 select queue, message_id, body, failures, trace {DUE}"
            ),
            format!("delete from delayed where id in (select id {DUE})"),
        ] {
            diesel::sql_query(statement)
                .bind::<BigInt, _>(now)
                .bind::<BigInt, _>(horizon)
                .bind::<Integer, _>(max)
                .execute(self.connection)?;
        }
        Ok(())
    }
}

pub(super) fn number(connection: &mut SqliteConnection, query: &str) -> QueryResult<i64> {
    diesel::sql_query(query)
        .get_result::<Number>(connection)
        .map(|number| number.value)
}

fn read_rows(
    rows: impl Iterator<Item = QueryResult<Row>>,
    room: &mut i64,
) -> QueryResult<Vec<(i64, Message)>> {
    let mut read = Vec::new();
    for row in rows {
        let (id, message) = read_row(row?)?;
        *room -= bytes_of(&message);
        read.push((id, message));
        if *room <= 0 {
            break;
        }
    }
    Ok(read)
}

fn read_row((id, message_id, body, failures, trace): Row) -> QueryResult<(i64, Message)> {
    let failures = failures
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| damaged(id, &error))?;
    let message = Message {
        id: Uuid::parse_str(&message_id).map_err(|error| damaged(id, &error))?,
        body,
        failures,
        // No reason to hold up a message.
        trace: trace.and_then(|text| text.parse().ok()),
    };
    Ok((id, message))
}

fn damaged(id: i64, error: &dyn std::error::Error) -> diesel::result::Error {
    DeserializationError(format!("row {id} of the queue file is damaged: {error}").into())
}

fn bytes_of(message: &Message) -> i64 {
    i64::try_from(message.body.len()).unwrap_or(i64::MAX)
}

fn to_json(value: &impl serde::Serialize) -> QueryResult<String> {
    serde_json::to_string(value).map_err(|error| SerializationError(error.into()))
}
