//! The server, as this command speaks to it: its statements can be told from all others, and are ended with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clickhouse::Client;
use clickhouse::error::Error;
use clickhouse::query::Query;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::command::RebuildError;
use super::progress::Progress;
use crate::time::ticks;

/// How often a statement that lasts is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A comparison of objects spills to the disk beyond this.
const SPILL_BYTES: &str = "1073741824";

/// The server and the database of the table.
#[derive(Clone)]
pub(super) struct Server {
    client: Client,
    pub(super) database: String,
    /// What the ids of this command's statements begin with, whichever run.
    ids: String,
    pub(super) run: Ulid,
    threads: usize,
    next: Arc<AtomicU32>,
    stop: CancellationToken,
}

impl Server {
    pub(super) fn new(
        client: &Client,
        database: &str,
        table: &str,
        threads: usize,
        stop: CancellationToken,
    ) -> Self {
        Self {
            client: client.clone(),
            database: database.to_owned(),
            ids: format!("spillway-rebuild.{database}.{table}."),
            run: Ulid::generate(),
            threads,
            next: Arc::default(),
            stop,
        }
    }

    /// A question.
    pub(super) fn ask(&self, sql: &str) -> Query {
        let id = self.id();
        self.client.query(sql).with_setting("query_id", id)
    }

    /// A statement that is quick.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), RebuildError> {
        self.go_on()?;
        tracing::debug!(sql, "rebuild");
        Ok(self.client.query_raw(sql).with_setting("query_id", self.id()).execute().await?)
    }

    /// A statement that lasts, and writes `rows`, or nothing worth showing. It is ended where this run is to end, or has lost the
    /// way to the server.
    pub(super) async fn long(&self, sql: &str, rows: u64, progress: &Progress) -> Result<(), RebuildError> {
        self.go_on()?;
        tracing::debug!(sql, "rebuild");
        let id = self.id();
        let threads = self.threads.to_string();
        let statement = self
            .client
            .query_raw(sql)
            .with_setting("query_id", &id)
            .with_setting("max_execution_time", "0")
            .with_setting("max_threads", &threads)
            .with_setting("max_insert_threads", &threads)
            .with_setting("max_partitions_per_insert_block", "0")
            .with_setting("max_bytes_before_external_group_by", SPILL_BYTES)
            .with_setting("mutations_sync", "2");
        let mut statement = std::pin::pin!(statement.execute());
        let mut ticks = ticks(LOOK);
        loop {
            tokio::select! {
                ended = &mut statement => {
                    if ended.is_err() {
                        self.end(&id).await?;
                    }
                    return Ok(ended?);
                }
                () = self.stop.cancelled() => {
                    self.end(&id).await?;
                    return Err(RebuildError::Interrupted);
                }
                _ = ticks.tick() => if rows > 0 {
                    // Views write as well, and are counted.
                    progress.beside(self.written(&id).await.unwrap_or_default().min(rows));
                },
            }
        }
    }

    /// Ends the statements of earlier runs: a client that went away does not stop them.
    pub(super) async fn end_earlier(&self) -> Result<(), RebuildError> {
        self.end(&self.ids).await
    }

    async fn end(&self, ids: &str) -> Result<(), RebuildError> {
        let kill = format!("KILL QUERY WHERE startsWith(query_id, '{ids}') AND query_id != queryID() SYNC");
        // Without an id of ours, or it would wait for itself.
        Ok(self.client.query_raw(&kill).execute().await?)
    }

    async fn written(&self, id: &str) -> Result<u64, Error> {
        let sql = "SELECT sum(written_rows) FROM system.processes WHERE query_id = ?";
        self.client.query(sql).bind(id).fetch_one().await
    }

    /// An error once this run is to end.
    pub(super) fn go_on(&self) -> Result<(), RebuildError> {
        if self.stop.is_cancelled() { Err(RebuildError::Interrupted) } else { Ok(()) }
    }

    fn id(&self) -> String {
        format!("{}{}.{}", self.ids, self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// A text as it stands in a statement.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_end_its_statement() {
        assert_eq!(quoted(r"a'b\"), r"'a\'b\\'");
    }
}
