//! What the statements see of a database: text in, rows out. SQLite and PostgreSQL understand the same ones.

use std::collections::HashMap;

use spillway_proto::notification::Notification;

use super::QueueError;

/// A value of a column or of a parameter. There are no others in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        // Times and counts beyond 2^63 cannot be; a wrong one must not turn negative.
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Number(truth.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement: `values![a, b]` are its `$1` and `$2`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::queue::session::Value::from($value)),*] };
}
pub(super) use values;

/// A row of an answer.
#[derive(Debug)]
pub(super) struct Row(pub(super) Vec<Value>);

impl Row {
    pub(super) fn number(&self, column: usize) -> Result<u64, QueueError> {
        self.optional_number(column)?.ok_or_else(|| unreadable(column, "null"))
    }

    pub(super) fn optional_number(&self, column: usize) -> Result<Option<u64>, QueueError> {
        match self.0.get(column) {
            Some(Value::Number(number)) => {
                u64::try_from(*number).map(Some).map_err(|_| unreadable(column, "a negative number"))
            }
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable(column, "no number")),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, QueueError> {
        self.optional_text(column)?.ok_or_else(|| unreadable(column, "null"))
    }

    pub(super) fn optional_text(&self, column: usize) -> Result<Option<&str>, QueueError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable(column, "no text")),
        }
    }

    /// A text in a form of ours.
    pub(super) fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, QueueError> {
        parsed(self.text(column)?)
    }
}

/// A text in a form of ours.
pub(super) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, QueueError> {
    text.parse().map_err(|_| QueueError::Unreadable(text.to_owned()))
}

/// A notification in JSON.
pub(super) fn notification(row: &Row, column: usize) -> Result<Notification, QueueError> {
    serde_json::from_str(row.text(column)?).map_err(|error| QueueError::Unreadable(error.to_string()))
}

fn unreadable(column: usize, found: &str) -> QueueError {
    QueueError::Unreadable(format!("column {column} of an answer holds {found}"))
}

/// A transaction. Placeholders are `$1`, `$2` and so on, in the order of their first appearance.
pub(super) trait Session {
    /// Returns how many rows were changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, QueueError>;

    /// Returns all rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, QueueError>;

    /// What follows a SELECT of rows that are to be changed, so that two transactions do not wait for each other, and do
    /// not take the same rows.
    fn skip_locked(&self) -> &'static str;

    /// Whether the database has this table, in the schema that statements without one mean.
    fn has_table(&mut self, table: &str) -> Result<bool, QueueError>;

    /// Runs the statements of a schema. Of several processes that begin at once, one at a time comes here.
    fn execute_all(&mut self, sql: &str) -> Result<(), QueueError>;

    /// The one row of an answer, if there is one.
    fn query_one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, QueueError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }
}

/// What `columns` hold of those of the objects that the ledger has. `suffix` ends the statement.
pub(super) fn rows_of<K: AsRef<str>>(
    session: &mut dyn Session,
    columns: &str,
    keys: impl IntoIterator<Item = K>,
    suffix: &str,
) -> Result<HashMap<String, Row>, QueueError> {
    let keys: Vec<K> = keys.into_iter().collect();
    let mut found = HashMap::with_capacity(keys.len());
    for keys in in_powers(&keys) {
        let list = placeholders(1, keys.len());
        let sql = format!("SELECT {columns}, object_key FROM objects WHERE object_key IN {list}{suffix}");
        let values: Vec<Value> = keys.iter().map(|key| key.as_ref().into()).collect();
        for Row(mut row) in session.query(&sql, &values)? {
            if let Some(Value::Text(key)) = row.pop() {
                found.insert(key, Row(row));
            }
        }
    }
    Ok(found)
}

/// `($1, $2), ($3, $4)`, for `rows` rows of `columns` columns.
pub(super) fn rows_of_placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| placeholders(row * columns + 1, columns);
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// `($3, $4)`, for two that begin with 3.
pub(super) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<_> = (first..first + count).map(|number| format!("${number}")).collect();
    format!("({})", names.join(", "))
}

/// Lists by lengths that are powers of two, so that few statements have to be prepared.
pub(super) fn in_powers<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        if items.is_empty() {
            return None;
        }
        let length = (1 << items.len().ilog2()).min(MOST_ROWS);
        let (first, rest) = items.split_at(length);
        items = rest;
        Some(first)
    })
}

/// Rows of one statement: SQLite takes 32,766 parameters.
const MOST_ROWS: usize = 512;
