//! A statement written out, with its values. Unlike `diesel::sql_query` it is prepared once a connection and then
//! costs one way to the server and back instead of two.

use calls::CallId;
use diesel::expression::{AsExpression, TypedExpressionType};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Bool, Nullable, SingleValue, SqlType, Text, Untyped};

use crate::StoreError;
use crate::columns::{Id, SqlId, SqlTime, Time};
use crate::rows::call_id;

/// SQL with `{}` where a value goes.
pub(super) struct Statement<'a> {
    sql: &'static str,
    /// The clause that locks what is read.
    lock: &'static str,
    values: Vec<Box<dyn QueryFragment<Pg> + 'a>>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self {
            sql,
            lock: "",
            values: Vec::new(),
        }
    }

    /// Adds how to lock what is read.
    pub(super) fn locked(self, lock: &'static str) -> Self {
        Self { lock, ..self }
    }

    /// The next value, of the SQL type `T`.
    pub(super) fn bind<T, V>(mut self, value: V) -> Self
    where
        T: SqlType + TypedExpressionType,
        V: AsExpression<T>,
        V::Expression: QueryFragment<Pg> + 'a,
    {
        self.values.push(Box::new(value.as_expression()));
        self
    }

    /// The next value: a column of texts, for `unnest`.
    pub(super) fn texts(self, column: impl Iterator<Item = &'a str>) -> Self {
        self.bind::<Array<Text>, _>(column.collect::<Vec<_>>())
    }

    /// The next value: a column of texts and nulls.
    pub(super) fn optional_texts(self, column: impl Iterator<Item = &'a Option<String>>) -> Self {
        self.bind::<Array<Nullable<Text>>, _>(column.map(Option::as_deref).collect::<Vec<_>>())
    }

    /// The next value: a column of times.
    pub(super) fn times(self, column: impl Iterator<Item = Time>) -> Self {
        self.column::<SqlTime, _>(column)
    }

    /// The next value: a column of UUIDs.
    pub(super) fn ids(self, column: impl Iterator<Item = Id>) -> Self {
        self.column::<SqlId, _>(column)
    }

    /// The next value: a column of yes and no.
    pub(super) fn bools(self, column: impl Iterator<Item = bool>) -> Self {
        self.column::<Bool, _>(column)
    }

    /// The next value: a column of the SQL type `T`.
    pub(super) fn column<T, V>(self, column: impl Iterator<Item = V>) -> Self
    where
        T: SqlType + SingleValue + 'static,
        Vec<V>: AsExpression<Array<T>>,
        <Vec<V> as AsExpression<Array<T>>>::Expression: QueryFragment<Pg> + 'a,
    {
        self.bind::<Array<T>, _>(column.collect::<Vec<V>>())
    }
}

/// A row of an answer that names a call.
#[derive(QueryableByName)]
pub(super) struct OfCall {
    #[diesel(sql_type = Text)]
    pub(super) call_sid: String,
}

impl OfCall {
    /// The calls that are named.
    pub(super) fn ids(rows: &[Self]) -> Result<Vec<CallId>, StoreError> {
        rows.iter().map(|row| call_id(&row.call_sid)).collect()
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for (n, part) in self.sql.split("{}").enumerate() {
            if n > 0 {
                let value = values.next().ok_or_else(|| {
                    diesel::result::Error::QueryBuilderError(
                        "a statement has fewer values than places".into(),
                    )
                })?;
                value.walk_ast(out.reborrow())?;
            }
            out.push_sql(part);
        }
        out.push_sql(self.lock);
        Ok(())
    }
}

/// The text itself tells prepared statements apart.
impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for Statement<'_> {}
