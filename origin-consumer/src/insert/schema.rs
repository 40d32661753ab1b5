//! Whether the table is what is written.

use std::collections::BTreeMap;

use spillway_decode::columns::{COLUMNS, Column};

use super::clickhouse::TableError;

/// The table cannot take spans as this version writes them.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is not there.
    #[error("there is no table {0}, or the user may not see it")]
    NoTable(String),
    /// A column is not there.
    #[error("the table {table} has no column {column}, which this version writes")]
    NoColumn {
        /// Which table.
        table: String,
        /// Which column.
        column: &'static str,
    },
    /// A column holds something else.
    #[error("the column {column} of the table {table} is {found}, and this version writes {written}")]
    Type {
        /// Which table.
        table: String,
        /// Which column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type that it is to have.
        written: &'static str,
    },
    /// The server cannot be asked.
    #[error(transparent)]
    Server(#[from] TableError),
}

/// An error unless `table`, whose columns have these types by their names, has every column that is written. It may have
/// others.
pub(super) fn check(table: &str, columns: &BTreeMap<String, String>) -> Result<(), SchemaError> {
    if columns.is_empty() {
        return Err(SchemaError::NoTable(table.to_owned()));
    }
    for Column { name: column, column_type: written, .. } in &COLUMNS {
        match columns.get(*column) {
            Some(found) if is_same(found, written) => {}
            Some(found) => {
                let (table, found) = (table.to_owned(), found.clone());
                return Err(SchemaError::Type { table, column, found, written });
            }
            None => return Err(SchemaError::NoColumn { table: table.to_owned(), column }),
        }
    }
    Ok(())
}

/// Whether a column of the type `found` holds what is written as `written`. Both layouts of the table have the same numbers in
/// their times; the present one says besides that they are shown, and compared with texts, in UTC.
fn is_same(found: &str, written: &str) -> bool {
    found.replace(", 'UTC')", ")") == written.replace(", 'UTC')", ")")
}

#[cfg(test)]
mod tests {
    use clickhouse::Row;

    use super::*;
    use spillway_decode::rows::SpanRow;

    #[test]
    fn a_changed_column_is_refused_by_its_name() {
        let mut columns: BTreeMap<_, _> =
            COLUMNS.iter().map(|column| (column.name.to_owned(), column.column_type.to_owned())).collect();
        columns.insert("Further".to_owned(), "UInt8".to_owned());
        check("t", &columns).unwrap();
        columns.insert("SpanName".to_owned(), "UInt8".to_owned());
        let error = check("t", &columns).unwrap_err().to_string();
        assert!(error.contains("the column SpanName of the table t is UInt8"), "{error}");
        columns.remove("SpanName");
        let error = check("t", &columns).unwrap_err().to_string();
        assert!(error.contains("the table t has no column SpanName"), "{error}");
        assert!(matches!(check("t", &BTreeMap::new()), Err(SchemaError::NoTable(_))));
    }

    #[test]
    fn times_of_both_layouts_are_taken_and_no_others() {
        for (found, written, is_taken) in [
            ("DateTime64(9, 'UTC')", "DateTime64(9)", true),
            ("Array(DateTime64(9, 'UTC'))", "Array(DateTime64(9))", true),
            ("DateTime64(9)", "DateTime64(9, 'UTC')", true),
            ("DateTime64(9, 'Asia/Kolkata')", "DateTime64(9)", false),
            ("DateTime64(3, 'UTC')", "DateTime64(9)", false),
            ("DateTime('UTC')", "DateTime64(9)", false),
        ] {
            assert_eq!(is_same(found, written), is_taken, "{found} {written}");
        }
    }

    #[test]
    fn both_ways_write_the_same_columns() {
        let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        assert_eq!(names, SpanRow::COLUMN_NAMES);
    }
}
