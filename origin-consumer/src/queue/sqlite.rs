//! SQLite: a file of one machine, which several processes may share.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, TransactionBehavior, params_from_iter};

use super::QueueError;
use super::executor::Connection;
use super::session::{Row, Session, Value};

/// How long another process may hold the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that are kept prepared.
const STATEMENTS: usize = 256;

pub(super) struct Sqlite {
    connection: rusqlite::Connection,
    behavior: TransactionBehavior,
}

impl Sqlite {
    /// One that writes. It is alone in its process; other processes wait for their turn.
    pub(super) fn writer(path: &Path) -> Result<Self, QueueError> {
        let connection = open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(Self { connection, behavior: TransactionBehavior::Immediate })
    }

    /// One that reads, and keeps nobody from writing.
    pub(super) fn reader(path: &Path) -> Result<Self, QueueError> {
        let connection = open(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self { connection, behavior: TransactionBehavior::Deferred })
    }
}

/// Copies a ledger whose schema has this version to `FILE.version-N` beside it. Leaves a copy alone that is there, and a
/// ledger of any other version.
pub(super) fn back_up(path: &Path, version: u64) -> Result<(), QueueError> {
    let copy = beside(path, &format!(".version-{version}"));
    if !path.exists() || copy.exists() {
        return Ok(());
    }
    let ledger = open(path)?;
    let has_marks = InSqlite(&ledger).has_table("marks")?;
    let sql = "SELECT 1 FROM marks WHERE mark = 'schema_version' AND value = ?1";
    if !has_marks || !ledger.prepare(sql)?.exists([Value::from(version)])? {
        return Ok(());
    }
    let draft = beside(path, &format!(".version-{version}.{}", std::process::id()));
    let failed =
        |error: std::io::Error| QueueError::Store(format!("cannot keep a copy of the ledger: {error}"));
    ledger.execute("VACUUM INTO ?1", [draft.to_string_lossy()])?;
    File::open(&draft).and_then(|draft| draft.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, &copy).map_err(failed)?;
    tracing::info!(copy = %copy.display(), "the ledger was copied before its schema is changed");
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open(path: &Path) -> Result<rusqlite::Connection, QueueError> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

impl Connection for Sqlite {
    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Session) -> Result<(), QueueError>,
    ) -> Result<(), QueueError> {
        let transaction = self.connection.transaction_with_behavior(self.behavior)?;
        // Dropped where `work` fails, and so undone.
        work(&mut InSqlite(&transaction))?;
        Ok(transaction.commit()?)
    }
}

struct InSqlite<'c>(&'c rusqlite::Connection);

impl Session for InSqlite<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, QueueError> {
        let changed = self.0.prepare_cached(&numbered(sql))?.execute(params_from_iter(values))?;
        Ok(changed as u64)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, QueueError> {
        let mut statement = self.0.prepare_cached(&numbered(sql))?;
        let columns = statement.column_count();
        let mut answer = statement.query(params_from_iter(values))?;
        let mut rows = Vec::new();
        while let Some(row) = answer.next()? {
            let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
            rows.push(Row(values.collect::<Result<_, QueueError>>()?));
        }
        Ok(rows)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, QueueError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        Ok(self.0.prepare_cached(sql)?.exists([table])?)
    }

    fn execute_all(&mut self, sql: &str) -> Result<(), QueueError> {
        Ok(self.0.execute_batch(sql)?)
    }

    /// There is one writer at a time.
    fn skip_locked(&self) -> &'static str {
        ""
    }
}

fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => Value::Number(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Number(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl From<rusqlite::Error> for QueueError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(format!("sqlite: {error}"))
    }
}
