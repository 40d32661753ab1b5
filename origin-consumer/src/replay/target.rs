//! Where a replay's spans go.

use super::arguments::ReplayArgs;
use crate::clickhouse::ClickHouseConfig;
use crate::config::ConfigError;
use crate::insert::{SchemaError, SpanTable, TableError};

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
    #[error("{table} cannot take spans: {reason}")]
    Schema {
        /// Which.
        table: String,
        /// Why not.
        reason: SchemaError,
    },
    /// The server cannot be asked.
    #[error(transparent)]
    Server(TableError),
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

    /// An error unless the table has every column that is written, of its type.
    pub(super) async fn check(&self, table: &SpanTable) -> Result<(), TargetError> {
        table.check().await.map_err(|error| match error {
            SchemaError::NoTable(_) => TargetError::NoTable(self.name()),
            SchemaError::Server(error) if error.is_of_the_database() => TargetError::NoTable(self.name()),
            SchemaError::Server(error) => TargetError::Server(error),
            reason => TargetError::Schema { table: self.name(), reason },
        })
    }
}
