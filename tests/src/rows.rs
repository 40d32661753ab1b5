//! Rows of ClickHouse as JSON.

use anyhow::{Result, ensure};
use serde_json::Value;

/// An error if a column of `row` is not as in `expected`, which need not name all columns.
pub fn check_columns(row: &Value, expected: &Value) -> Result<()> {
    for (column, value) in expected.as_object().into_iter().flatten() {
        ensure!(&row[column] == value, "{column} is {} instead of {value} in {row}", row[column]);
    }
    Ok(())
}
