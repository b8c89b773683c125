//! The one way in which this crate speaks SQL: to SQLite or to PostgreSQL, in the words that both know.
//!
//! Statements are written in SQLite's dialect with numbered parameters (`?1`). What PostgreSQL says otherwise is
//! translated in [`dialect`], and nowhere else. A statement that is not in the common part of both languages is a
//! defect, which the tests find by running the same suite on both.

mod dialect;
mod postgres;
mod sqlite;
mod value;

pub(crate) use self::{
    postgres::Postgres,
    sqlite::Sqlite,
    value::{FromValue, ToValue, Value},
};
use crate::error::{Error, Result};

/// How the registry's database is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// It is a file.
    File,
    /// Without encryption, and without leaving this machine.
    Local,
    /// Without encryption, over a network.
    Plain,
    Encrypted(ServerCheck),
}

/// What a server must show before it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerCheck {
    /// Anybody may be at the other end.
    Nothing,
    /// A certificate by an authority that is trusted.
    Authority,
    /// Such a certificate, for the host's name.
    Name,
}

/// A database: its schema's version, and transactions.
pub(crate) trait Database: Send + Sync {
    /// The number of the last step of the schema that was applied; 0 of an empty database.
    fn version(&self) -> Result<i64>;
    /// Applies `steps` and remembers `version`, all or nothing. `from` is what [`Database::version`] said; another
    /// process may have been faster: then nothing happens.
    fn migrate(&self, from: i64, steps: &[&str], version: i64) -> Result<()>;
    /// One write transaction at a time, among all processes.
    fn write(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()>;
    /// One snapshot; waits for no writer.
    fn read(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()>;
    /// Sees to it that no copy of a deleted row stays in the database's files. A reader that is still at work may put it off.
    fn forget(&self) -> Result<()>;
    /// What is wrong with the stored structure, in sentences.
    fn damage(&self) -> Result<Vec<String>>;
    /// How it is reached now.
    fn transport(&self) -> Result<Transport>;
    /// Where it is, without a password.
    fn name(&self) -> String;
}

/// What a transaction can do.
pub(crate) trait Session {
    /// Rows that were changed.
    fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64>;
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>>;
    /// A query for the database's clock, Unix milliseconds.
    fn clock(&self) -> &'static str;
}

/// An open transaction.
pub(crate) struct Connection<'a>(pub(crate) &'a dyn Session);

/// One row of an answer.
#[derive(Debug)]
pub(crate) struct Row(Vec<Value>);

/// A statement of a connection.
pub(crate) struct Statement<'a> {
    connection: &'a Connection<'a>,
    sql: String,
}

/// Values for `?1`, `?2`, ... in turn.
macro_rules! params {
    () => { [$crate::sql::Value::Null; 0] };
    ($($value:expr),* $(,)?) => { [$($crate::sql::ToValue::to_value(&$value)),*] };
}
pub(crate) use params;

impl Connection<'_> {
    pub(crate) fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement { connection: self, sql: sql.to_owned() })
    }

    /// Rows that were changed.
    pub(crate) fn execute(&self, sql: &str, parameters: impl AsParameters) -> Result<u64> {
        self.0.execute(sql, &parameters.values())
    }

    /// The database's clock now, Unix milliseconds: the one clock of all who share it.
    pub(crate) fn clock(&self) -> Result<i64> {
        self.query_row(self.0.clock(), params![], |row| row.get(0))
    }

    /// The first row.
    ///
    /// # Errors
    /// [`Error::NoRow`] where there is none; see [`OptionalExtension`].
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        parameters: impl AsParameters,
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<T> {
        let rows = self.0.query(sql, &parameters.values())?;
        read(rows.first().ok_or(Error::NoRow)?)
    }
}

impl Statement<'_> {
    pub(crate) fn execute(&mut self, parameters: impl AsParameters) -> Result<u64> {
        self.connection.execute(&self.sql, parameters)
    }

    /// As [`Connection::query_row`].
    pub(crate) fn query_row<T>(
        &mut self,
        parameters: impl AsParameters,
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<T> {
        self.connection.query_row(&self.sql, parameters, read)
    }

    /// All rows.
    pub(crate) fn query(&mut self, parameters: impl AsParameters) -> Result<Rows> {
        Ok(Rows { rows: self.connection.0.query(&self.sql, &parameters.values())?, next: 0 })
    }

    /// All rows, read one by one.
    pub(crate) fn query_map<P: AsParameters, T, F: FnMut(&Row) -> Result<T>>(
        &mut self,
        parameters: P,
        mut read: F,
    ) -> Result<impl Iterator<Item = Result<T>> + use<P, T, F>> {
        Ok(self.query(parameters)?.rows.into_iter().map(move |row| read(&row)))
    }
}

/// An answer being read.
pub(crate) struct Rows {
    rows: Vec<Row>,
    next: usize,
}

impl Rows {
    pub(crate) fn next(&mut self) -> Result<Option<&Row>> {
        self.next += 1;
        Ok(self.rows.get(self.next - 1))
    }
}

impl Row {
    /// The value of a column, from 0.
    ///
    /// # Errors
    /// [`Error::Corrupt`]: there is no such column, or its value is of another kind.
    pub(crate) fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        let value = self.0.get(column).ok_or(Error::Corrupt { what: "too short a row" })?;
        T::from_value(value).ok_or(Error::Corrupt { what: "a value of another kind than its column" })
    }
}

/// What may be given for a statement's parameters.
pub(crate) trait AsParameters {
    fn values(self) -> Vec<Value>;
}

impl<T: ToValue, const N: usize> AsParameters for [T; N] {
    fn values(self) -> Vec<Value> {
        self.iter().map(ToValue::to_value).collect()
    }
}

/// No row is an answer, too.
pub(crate) trait OptionalExtension<T> {
    /// `None` where a query found no row.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
