//! How the table is laid out, and what else of it decides whether the protocol of the inserts holds.

use super::clickhouse::{QUERY_TIMEOUT, SpanTable, TableError, in_time};

/// The type of `Timestamp` in the first layout.
pub const FIRST_TIMESTAMP: &str = "DateTime64(9)";
/// Its partition key: which day a row is of depends on the server's zone.
const FIRST_PARTITION: &str = "toDate(Timestamp)";

/// How a table of spans is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The first one: times without a zone, and partitions by the day in the server's zone.
    First,
    /// The present one: times and partitions in UTC.
    Utc,
    /// Another partition key, of an operator's own.
    Own,
}

impl Layout {
    fn of(timestamp: &str, partition_key: &str) -> Self {
        match (timestamp, partition_key) {
            (FIRST_TIMESTAMP, FIRST_PARTITION) => Self::First,
            // A column with a zone gives its zone to the day.
            ("DateTime64(9, 'UTC')", "toDate(Timestamp, 'UTC')" | FIRST_PARTITION) => Self::Utc,
            _ => Self::Own,
        }
    }
}

/// What is so of a table, beside its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its layout.
    pub layout: Layout,
    /// The zone of the server.
    pub server_zone: String,
    /// Parts of lightweight updates that are not merged into others yet.
    pub patch_parts: u64,
    /// The deduplication tokens that the table remembers.
    pub deduplication_window: u64,
    /// Whether `rebuild-table` has begun, and not come to its end.
    pub is_being_rebuilt: bool,
}

impl SpanTable {
    /// How the table is laid out. It must be there.
    pub async fn layout(&self) -> Result<Layout, TableError> {
        let sql = "SELECT type, partition_key FROM system.columns AS columns
                   JOIN (SELECT partition_key FROM system.tables WHERE database = currentDatabase() AND name = ?) AS tables ON 1
                   WHERE database = currentDatabase() AND table = ? AND name = 'Timestamp'";
        let query =
            self.client.query(sql).bind(&self.table).bind(&self.table).fetch_one::<(String, String)>();
        let (timestamp, partition_key) = in_time("the layout of the table", QUERY_TIMEOUT, query).await?;
        Ok(Layout::of(&timestamp, &partition_key))
    }

    /// What is so of the table, which must be there.
    pub async fn condition(&self) -> Result<Condition, TableError> {
        let layout = self.layout().await?;
        let sql = "SELECT serverTimezone(),
                       assumeNotNull((SELECT count() FROM system.parts
                           WHERE database = currentDatabase() AND table = ? AND active AND startsWith(name, 'patch-'))),
                       assumeNotNull((SELECT toUInt64OrZero(extract(engine_full, 'non_replicated_deduplication_window = ([0-9]+)'))
                           FROM system.tables WHERE database = currentDatabase() AND name = ?)),
                       assumeNotNull((SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = ?
                           AND name = 'Timestamp' AND (type != ?) = ?))";
        let query = self
            .client
            .query(sql)
            .bind(&self.table)
            .bind(&self.table)
            .bind(format!("{}_rebuild", self.table))
            .bind(FIRST_TIMESTAMP)
            .bind(layout == Layout::First)
            .fetch_one::<(String, u64, u64, u64)>();
        let (server_zone, patch_parts, deduplication_window, others) =
            in_time("the condition of the table", QUERY_TIMEOUT, query).await?;
        let is_being_rebuilt = layout == Layout::First && others > 0;
        Ok(Condition { layout, server_zone, patch_parts, deduplication_window, is_being_rebuilt })
    }

    /// Says in the log that the table has its first layout, and what to do about it.
    pub async fn warn_of_layout(&self) -> Result<(), TableError> {
        if self.layout().await? == Layout::First {
            tracing::warn!(
                table = self.table,
                "the table has its first layout, whose days and texts depend on the zones of server and session; everything works, \
                 and `origin-consumer rebuild-table` moves it to the present one"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_known_by_type_and_partition() {
        for (timestamp, partition_key, layout) in [
            ("DateTime64(9)", "toDate(Timestamp)", Layout::First),
            ("DateTime64(9, 'UTC')", "toDate(Timestamp, 'UTC')", Layout::Utc),
            ("DateTime64(9, 'UTC')", "toDate(Timestamp)", Layout::Utc),
            ("DateTime64(9)", "toDate(Timestamp, 'UTC')", Layout::Own),
            ("DateTime64(9)", "toYYYYMM(Timestamp)", Layout::Own),
        ] {
            assert_eq!(Layout::of(timestamp, partition_key), layout, "{timestamp} {partition_key}");
        }
    }
}
