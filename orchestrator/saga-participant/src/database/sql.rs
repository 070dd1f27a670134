//! Statements, their arguments and their rows, the same for both databases.

use sqlx::{
    Arguments as _, Encode, Postgres, Row as _, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, types::Oid},
    sqlite::{SqliteArguments, SqliteRow},
};
use uuid::Uuid;

/// A statement. Most read the same in both databases: `$1` names an argument in either.
#[derive(Clone, Copy, Debug)]
pub struct Sql {
    /// What PostgreSQL is asked.
    pub postgres: &'static str,
    /// What SQLite is asked.
    pub sqlite: &'static str,
}

impl Sql {
    /// What reads the same in both databases.
    #[must_use]
    pub const fn same(text: &'static str) -> Self {
        Self { postgres: text, sqlite: text }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::same(text)
    }
}

/// An argument of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// `bigint`.
    Int(i64),
    /// `text`.
    Text(&'a str),
    /// `bytea`, or `blob`.
    Bytes(&'a [u8]),
    /// `uuid`, or a blob of 16 bytes.
    Uuid(Uuid),
    /// Null of whatever type the place wants.
    Null,
    /// `bigint[]`; in SQLite the text of a JSON array, for `json_each`.
    Ints(&'a [i64]),
    /// `text[]`; in SQLite the text of a JSON array, for `json_each`.
    Texts(&'a [&'a str]),
    /// `uuid[]`; in SQLite the text of a JSON array of hexadecimal texts, for `json_each`
    /// and `unhex`.
    Uuids(&'a [Uuid]),
    /// `bytea[]`; in SQLite as [`Arg::Uuids`].
    Blobs(&'a [&'a [u8]]),
}

impl<'a> From<Option<&'a str>> for Arg<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Arg::Null, Arg::Text)
    }
}

impl From<Option<i64>> for Arg<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Arg::Null, Arg::Int)
    }
}

impl From<Option<Uuid>> for Arg<'_> {
    fn from(id: Option<Uuid>) -> Self {
        id.map_or(Arg::Null, Arg::Uuid)
    }
}

impl<'a> From<Option<&'a [u8]>> for Arg<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Arg::Null, Arg::Bytes)
    }
}

/// A null whose type the server finds out, as it does for an untyped literal.
struct UntypedNull;

impl Type<Postgres> for UntypedNull {
    fn type_info() -> PgTypeInfo {
        const UNKNOWN: Oid = Oid(705);
        PgTypeInfo::with_oid(UNKNOWN)
    }
}

impl Encode<'_, Postgres> for UntypedNull {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

pub(super) fn postgres_arguments(args: &[Arg<'_>]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for arg in args {
        match *arg {
            Arg::Int(number) => arguments.add(number),
            Arg::Text(text) => arguments.add(text),
            Arg::Bytes(bytes) => arguments.add(bytes),
            Arg::Uuid(id) => arguments.add(id),
            Arg::Null => arguments.add(UntypedNull),
            Arg::Ints(numbers) => arguments.add(numbers),
            Arg::Texts(texts) => arguments.add(texts),
            Arg::Uuids(ids) => arguments.add(ids),
            Arg::Blobs(blobs) => arguments.add(blobs),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

pub(super) fn sqlite_arguments(args: &[Arg<'_>]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for arg in args {
        match *arg {
            Arg::Int(number) => arguments.add(number),
            Arg::Text(text) => arguments.add(text),
            Arg::Bytes(bytes) => arguments.add(bytes),
            Arg::Uuid(id) => arguments.add(id),
            Arg::Null => arguments.add(None::<i64>),
            Arg::Ints(numbers) => arguments.add(json(&numbers)?),
            Arg::Texts(texts) => arguments.add(json(&texts)?),
            Arg::Uuids(ids) => arguments.add(json_of_hex(ids.iter().map(|id| &id.as_bytes()[..]))?),
            Arg::Blobs(blobs) => arguments.add(json_of_hex(blobs.iter().copied())?),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn json_of_hex<'a>(blobs: impl Iterator<Item = &'a [u8]>) -> Result<String, sqlx::Error> {
    let hex = |blob: &[u8]| blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json(&blobs.map(hex).collect::<Vec<_>>())
}

fn json(list: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(list).map_err(|source| sqlx::Error::Encode(source.into()))
}

/// A row of a result. Columns are asked for by position, from 0.
#[derive(Debug)]
pub struct Row(RowOf);

#[derive(Debug)]
enum RowOf {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

macro_rules! column {
    ($row:expr, $index:expr) => {
        match &$row.0 {
            RowOf::Postgres(row) => row.try_get($index),
            RowOf::Sqlite(row) => row.try_get($index),
        }
    };
}

impl Row {
    pub(super) fn postgres(row: PgRow) -> Self {
        Self(RowOf::Postgres(row))
    }

    pub(super) fn sqlite(row: SqliteRow) -> Self {
        Self(RowOf::Sqlite(row))
    }

    /// A whole number that is not null: `bigint` or `integer`.
    ///
    /// # Errors
    ///
    /// The column is null, of another type, or not there: a mistake in the statement.
    pub fn int(&self, index: usize) -> Result<i64, sqlx::Error> {
        self.optional_int(index)?.ok_or_else(|| unexpected_null(index))
    }

    /// A text that is not null.
    ///
    /// # Errors
    ///
    /// As of [`Row::int`].
    pub fn text(&self, index: usize) -> Result<String, sqlx::Error> {
        column!(self, index)
    }

    /// Bytes that are not null.
    ///
    /// # Errors
    ///
    /// As of [`Row::int`].
    pub fn bytes(&self, index: usize) -> Result<Vec<u8>, sqlx::Error> {
        column!(self, index)
    }

    /// An id that is not null.
    ///
    /// # Errors
    ///
    /// As of [`Row::int`].
    pub fn uuid(&self, index: usize) -> Result<Uuid, sqlx::Error> {
        column!(self, index)
    }

    /// A whole number, or null.
    ///
    /// # Errors
    ///
    /// The column is of another type, or not there.
    pub fn optional_int(&self, index: usize) -> Result<Option<i64>, sqlx::Error> {
        match &self.0 {
            RowOf::Postgres(row) => row.try_get::<Option<i64>, _>(index).or_else(|_| {
                row.try_get::<Option<i32>, _>(index).map(|number| number.map(i64::from))
            }),
            RowOf::Sqlite(row) => row.try_get(index),
        }
    }

    /// A text, or null.
    ///
    /// # Errors
    ///
    /// As of [`Row::optional_int`].
    pub fn optional_text(&self, index: usize) -> Result<Option<String>, sqlx::Error> {
        column!(self, index)
    }

    /// Bytes, or null.
    ///
    /// # Errors
    ///
    /// As of [`Row::optional_int`].
    pub fn optional_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
        column!(self, index)
    }

    /// An id, or null.
    ///
    /// # Errors
    ///
    /// As of [`Row::optional_int`].
    pub fn optional_uuid(&self, index: usize) -> Result<Option<Uuid>, sqlx::Error> {
        column!(self, index)
    }
}

fn unexpected_null(index: usize) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: index.to_string(),
        source: Box::new(sqlx::error::UnexpectedNullError),
    }
}
