//! What ClickHouse has noted of the tokens of inserts, as it lies on disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clickhouse::Client;

use super::awaited;

/// The deduplication log of a table on this machine.
pub struct DedupLog(PathBuf);

impl DedupLog {
    /// The log of `table`, of an engine whose data is below `folder`.
    pub async fn of(client: &Client, folder: &Path, table: &str) -> Result<Self> {
        let path = "SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = ?";
        let path: String = client.query(path).bind(table).fetch_one().await.context("no such table")?;
        // The engine tells it relative to where it runs, or whole.
        Ok(Self(folder.join(path).join("deduplication_logs")))
    }

    /// The blocks that have been noted.
    pub fn records(&self) -> usize {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        files.map(|file| fs::read_to_string(file.path()).unwrap_or_default().lines().count()).sum()
    }

    /// Waits until there are so many.
    pub async fn await_records(&self, records: usize) -> Result<()> {
        awaited("a record of an insert's token", || self.records() >= records).await
    }
}
