//! What Trunkline's own code says to SQLite, recorded with its values, and said again by somebody who does nothing else.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::connection::{Instrumentation, InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::row::NamedRow;
use diesel::sql_types::{BigInt, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;

const NULL: &Option<String> = &None;

/// How diesel tells the values of a statement.
const VALUES: &str = " -- binds: [";

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Everything that connections of this process say while it records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements(Arc<Vec<Said>>);

#[derive(Debug, Clone)]
struct Said {
    sql: String,
    /// `None`: it was said without preparing it, as a whole.
    values: Option<Vec<Value>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Text(String),
    Number(i64),
}

/// Begins to record what is said on connections that are opened from now on.
pub(crate) fn record() {
    diesel::connection::set_default_instrumentation(|| Some(Box::new(Listener))).unwrap();
}

/// Ends that.
pub(crate) fn recorded() -> Statements {
    diesel::connection::set_default_instrumentation(|| None).unwrap();
    let said = std::mem::take(&mut *SAID.lock().unwrap());
    Statements(Arc::new(said.iter().map(|said| Said::read(said)).collect()))
}

struct Listener;

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            SAID.lock().unwrap().push(query.to_string());
        }
    }
}

impl Statements {
    /// Only those that begin with one of these words, each batch still in a transaction.
    pub(crate) fn only(&self, beginnings: &[&str]) -> Self {
        let is_wanted = |sql: &str| beginnings.iter().any(|beginning| sql.starts_with(beginning));
        let is_kept = |said: &&Said| said.values.is_none() || is_wanted(&said.sql);
        Self(Arc::new(self.0.iter().filter(is_kept).cloned().collect()))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Says all of it to a file, and gives how long that took. `first`: what to set beforehand.
    pub(crate) fn say_to(&self, file: &str, first: &str) -> Duration {
        let mut connection = SqliteConnection::establish(file).unwrap();
        let began = Instant::now();
        for said in self.0.iter() {
            match &said.values {
                None => connection.batch_execute(&said.sql).unwrap(),
                Some(_)
                    if said
                        .sql
                        .trim_start()
                        .get(..6)
                        .is_some_and(|verb| verb.eq_ignore_ascii_case("select")) =>
                {
                    let _: Vec<Skipped> = said.load(&mut connection).unwrap();
                }
                Some(_) => {
                    said.execute(&mut connection).unwrap();
                }
            }
            // Behind the settings that each connection makes for itself.
            if said.sql.to_ascii_lowercase().contains("pragma") {
                connection.batch_execute(first).unwrap();
            }
        }
        began.elapsed()
    }
}

impl Said {
    fn read(said: &str) -> Self {
        match said.split_once(VALUES) {
            None => Self {
                sql: said.to_owned(),
                values: None,
            },
            Some((sql, values)) => Self {
                sql: sql.to_owned(),
                values: Some(Values(values).collect()),
            },
        }
    }
}

/// Reads values as `Debug` writes them, up to the closing bracket.
struct Values<'a>(&'a str);

impl Iterator for Values<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.0 = self.0.trim_start_matches([',', ' ', ')']);
        if self.0.starts_with(']') || self.0.is_empty() {
            return None;
        }
        if let Some(rest) = self.0.strip_prefix("Some(") {
            self.0 = rest;
            return self.next();
        }
        if let Some(text) = self.0.strip_prefix('"') {
            return Some(self.text(text));
        }
        let end = self.0.find([',', ')', ']']).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(match word.split_once('(') {
            Some(("Id", id)) => Value::Text(id.to_owned()),
            Some(("Time", time)) => {
                let time: DateTime<Utc> = time.parse().unwrap();
                Value::Text(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
            }
            Some(_) => panic!("a value of an unknown type: {word}"),
            None => match word {
                "None" => Value::Null,
                "true" => Value::Number(1),
                "false" => Value::Number(0),
                number => Value::Number(number.parse().expect("a value of an unknown type")),
            },
        })
    }
}

impl<'a> Values<'a> {
    /// A text behind its opening quotation mark.
    fn text(&mut self, quoted: &'a str) -> Value {
        let mut text = String::new();
        let mut letters = quoted.char_indices();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = &quoted[place + 1..];
                    break;
                }
                '\\' => match letters.next().unwrap().1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '0' => text.push('\0'),
                    'u' => {
                        let code: String = letters
                            .by_ref()
                            .map(|(_, letter)| letter)
                            .take_while(|letter| *letter != '}')
                            .collect();
                        let code = u32::from_str_radix(code.trim_start_matches('{'), 16).unwrap();
                        text.push(char::from_u32(code).unwrap());
                    }
                    itself => text.push(itself),
                },
                letter => text.push(letter),
            }
        }
        Value::Text(text)
    }
}

impl QueryFragment<Sqlite> for Said {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut values = self.values.iter().flatten();
        for (place, part) in self.sql.split('?').enumerate() {
            if place > 0 {
                match values.next().expect("a statement has fewer values than places") {
                    Value::Null => out.push_bind_param::<Nullable<Text>, _>(NULL)?,
                    Value::Text(text) => out.push_bind_param::<Text, _>(text)?,
                    Value::Number(number) => out.push_bind_param::<BigInt, _>(number)?,
                }
            }
            out.push_sql(part);
        }
        Ok(())
    }
}

/// The text itself tells prepared statements apart.
impl QueryId for Said {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Said {
    type SqlType = Untyped;
}

impl RunQueryDsl<SqliteConnection> for &Said {}

/// A row that nobody looks at.
struct Skipped;

impl QueryableByName<Sqlite> for Skipped {
    fn build<'a>(_row: &impl NamedRow<'a, Sqlite>) -> diesel::deserialize::Result<Self> {
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_bound() {
        let said = format!(
            "insert into t values (?, ?, ?){VALUES}{:?}, None, Some(true), Some({:?}), -3, \
             Time(2026-11-28T10:00:00.5Z), Id(0190a1b2-0000-7000-8000-000000000000)]",
            "a \"quoted\",\n[text] \u{1}é", "b"
        );
        let text = |text: &str| Value::Text(text.to_owned());
        let expected = [
            text("a \"quoted\",\n[text] \u{1}é"),
            Value::Null,
            Value::Number(1),
            text("b"),
            Value::Number(-3),
            text("2026-11-28T10:00:00.500000Z"),
            text("0190a1b2-0000-7000-8000-000000000000"),
        ];
        assert_eq!(Said::read(&said).values.unwrap(), expected);
    }
}
