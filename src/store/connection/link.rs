//! A connection that decides by itself whether statements are prepared under a name.

use super::memory::{outgrown, read_bounded};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};
#[expect(
    clippy::disallowed_types,
    reason = "statements of the store's modules, which quote their names"
)]
use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, PgConnection, Postgres, Row as _, SqlStr, ValueRef as _};
use std::task::Poll;

/// A connection inside a transaction of ours. Statements go through it as through a [`PgConnection`].
///
/// A prepared statement has a name for the length of the session. Behind a pooler the session belongs to other people,
/// too, and the next transaction may have another one: there each statement is prepared without a name, which lives no
/// longer than the transaction.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) connection: PgConnection,
    /// The session is ours alone.
    pub(super) named: bool,
    /// Rows that the next statement may bring.
    most: usize,
}

/// Rows that a statement may bring, unless it was said: more than any of ours asks for.
const MOST_ROWS: usize = 250_000;
/// Bytes of all rows of a statement: as many as the largest single value and as much again beside it.
const MOST_BYTES: usize = 1 << 30;

impl Link {
    /// A connection whose statements have no names yet.
    pub(super) fn new(connection: PgConnection) -> Self {
        Self { connection, named: false, most: MOST_ROWS }
    }

    /// With a limit for the next statement, its own: a server that sends more rows is not read any further.
    pub(crate) fn at_most(&mut self, rows: usize) -> &mut Self {
        self.most = rows;
        self
    }

    /// Runs statements of our own without parameters: names of ours, quoted, and numbers.
    ///
    /// # Errors
    /// Those of the server.
    pub(crate) async fn run(&mut self, statements: String) -> Result<PgQueryResult, Error> {
        read_bounded(sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connection)).await
    }

    /// The connection itself, for COPY and statements without parameters. Whoever sends others sees to it that they are
    /// not [persistent](sqlx::query::Query::persistent).
    pub(crate) fn bare(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl<'c> Executor<'c> for &'c mut Link {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let named = self.named;
        let mut left = Left { rows: std::mem::replace(&mut self.most, MOST_ROWS), bytes: MOST_BYTES };
        let mut sent = self.connection.fetch_many(Statement { query, named });
        // Here, where all statements pass, so that none is without: those of writers, too.
        let mut outgrown = Box::pin(outgrown().fuse());
        let read = stream::poll_fn(move |cx| match sent.poll_next_unpin(cx) {
            Poll::Pending => outgrown.poll_unpin(cx).map(|error| Some(Err(error))),
            part => part,
        });
        read.map(move |part| match part? {
            Either::Right(row) => left.take(row).map(Either::Right),
            end @ Either::Left(_) => Ok(end),
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let named = self.named;
        Box::pin(read_bounded(self.connection.fetch_optional(Statement { query, named })))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(read_bounded(self.connection.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(read_bounded(self.connection.describe(sql)))
    }
}

/// What a statement may still bring.
struct Left {
    rows: usize,
    bytes: usize,
}

impl Left {
    fn take(&mut self, row: PgRow) -> Result<PgRow, Error> {
        let bytes: Result<usize, Error> = (0..row.len())
            .map(|column| {
                let value = row.try_get_raw(column)?;
                if value.is_null() { Ok(0) } else { value.as_bytes().map(<[u8]>::len).map_err(Error::Decode) }
            })
            .sum();
        let too_many = || Error::Protocol("the server sent more rows than it was asked for".to_owned());
        self.rows = self.rows.checked_sub(1).ok_or_else(too_many)?;
        self.bytes = self.bytes.checked_sub(bytes?).ok_or_else(too_many)?;
        Ok(row)
    }
}

/// A statement that has a name only where that is allowed.
struct Statement<E> {
    query: E,
    named: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Statement<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.named && self.query.persistent()
    }
}
