//! Where a replay's spans go.

use std::collections::BTreeMap;

use spillway_decode::rows::missing_columns;

use super::arguments::ReplayArgs;
use crate::clickhouse::ClickHouseConfig;
use crate::config::ConfigError;
use crate::insert::{SpanTable, TableError};

/// A table, which may be the one that the consumers write to.
pub(super) struct Target {
    pub(super) clickhouse: ClickHouseConfig,
    /// Whether the consumers write to it, so that the ledger is theirs as well.
    pub(super) is_live: bool,
}

/// The table cannot take spans.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is not there.
    #[error(
        "there is no table {0}, or the user may not see it; make it first: CREATE TABLE {0} AS otel_traces"
    )]
    NoTable(String),
    /// It is another kind of table.
    #[error("the table {table} has no column {column}, which this version writes; {}", advice(.missing))]
    NoColumn {
        /// Which.
        table: String,
        /// The first one that is missing.
        column: &'static str,
        /// How many are missing.
        missing: usize,
    },
    /// The server cannot be asked.
    #[error(transparent)]
    Server(#[from] TableError),
}

fn advice(missing: &usize) -> String {
    match missing {
        1 => "it lacks no other".to_owned(),
        missing => format!("it lacks {} more", missing - 1),
    }
}

impl Target {
    /// As the configuration and the command line have it.
    pub(super) fn of(configured: &ClickHouseConfig, arguments: &ReplayArgs) -> Result<Self, ConfigError> {
        let mut clickhouse = configured.clone();
        if let Some(database) = &arguments.database {
            clickhouse.database.clone_from(database);
        }
        if let Some(table) = &arguments.table {
            clickhouse.table.clone_from(table);
        }
        clickhouse.check()?;
        let is_live = clickhouse.database == configured.database && clickhouse.table == configured.table;
        Ok(Self { clickhouse, is_live })
    }

    /// Its name, with its database.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.clickhouse.database, self.clickhouse.table)
    }

    /// Its name, with its server.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.clickhouse.url.trim_end_matches('/'), self.name())
    }

    /// An error unless the table has every column of a span.
    pub(super) async fn check(&self, table: &SpanTable) -> Result<(), TargetError> {
        match table.columns().await {
            Err(error) if error.is_of_the_database() => Err(TargetError::NoTable(self.name())),
            columns => self.fits(&columns?),
        }
    }

    fn fits(&self, columns: &BTreeMap<String, String>) -> Result<(), TargetError> {
        if columns.is_empty() {
            return Err(TargetError::NoTable(self.name()));
        }
        let missing = missing_columns(columns);
        match missing.as_slice() {
            [] => Ok(()),
            [column, ..] => Err(TargetError::NoColumn { table: self.name(), column, missing: missing.len() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clickhouse::Row;

    use super::*;
    use spillway_decode::rows::SpanRow;

    #[test]
    fn a_table_without_a_column_is_refused_by_its_name() {
        let clickhouse = ClickHouseConfig { table: "other".to_owned(), ..ClickHouseConfig::default() };
        let target = Target { clickhouse, is_live: false };
        let mut columns: BTreeMap<_, _> =
            SpanRow::COLUMN_NAMES.iter().map(|name| ((*name).to_owned(), "String".to_owned())).collect();
        columns.insert("Further".to_owned(), "UInt8".to_owned());
        assert!(target.fits(&columns).is_ok());
        columns.remove("RowNo");
        let error = target.fits(&columns).unwrap_err().to_string();
        assert!(error.contains("spillway.other has no column RowNo"), "{error}");
        let error = target.fits(&BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("no table spillway.other"), "{error}");
    }
}
