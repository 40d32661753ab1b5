//! What was done and cannot be seen from the tables, noted beside them.

use super::command::RebuildError;
use super::server::{Server, quoted};

/// Where it is noted.
pub(super) const RECORDS: &str = "spillway_rebuild";

/// What is noted of a new table, which is known by its UUID: one that is made again begins with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A run has begun; the last one is the only one. Noted of the table's name.
    Run,
    /// The old table's last block before the first day was copied.
    Begun,
    /// A day is there.
    Filled,
    /// The old table's last block before the last comparison; the tables are about to be exchanged.
    Exchanging,
    /// What came into the old table until it was exchanged is in the new one.
    Settled,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Begun => "begun",
            Self::Filled => "filled",
            Self::Exchanging => "exchanging",
            Self::Settled => "settled",
        }
    }
}

/// The notes of one table.
pub(super) struct Records {
    server: Server,
    of: String,
}

impl Records {
    /// Makes the table of notes where there is none.
    pub(super) async fn make(server: &Server) -> Result<(), RebuildError> {
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {}.{RECORDS}
             (of_table String, step LowCardinality(String), detail String, at DateTime64(3, 'UTC') DEFAULT now64(3))
             ENGINE = MergeTree ORDER BY (of_table, at)
             COMMENT 'what origin-consumer rebuild-table has done; to be dropped with the old table'",
            server.database
        );
        server.execute(&sql).await
    }

    /// Those of the new table, or of a name.
    pub(super) fn of(server: &Server, of: &str) -> Self {
        Self { server: server.clone(), of: of.to_owned() }
    }

    /// Notes a step; durable when it returns.
    pub(super) async fn note(&self, step: Step, detail: &str) -> Result<(), RebuildError> {
        let [of, step, detail] = [&self.of, step.name(), detail].map(quoted);
        let database = &self.server.database;
        let sql = format!(
            "INSERT INTO {database}.{RECORDS} (of_table, step, detail) SELECT {of}, {step}, {detail}"
        );
        self.server.execute(&sql).await
    }

    /// The details of a step, the last one first.
    pub(super) async fn details(&self, step: Step) -> Result<Vec<String>, RebuildError> {
        let sql = format!(
            "SELECT detail FROM {}.{RECORDS} WHERE of_table = ? AND step = ? ORDER BY at DESC, detail DESC",
            self.server.database
        );
        Ok(self.server.ask(&sql).bind(&self.of).bind(step.name()).fetch_all().await?)
    }

    /// The block that was noted with a step.
    pub(super) async fn block(&self, step: Step) -> Result<Option<u64>, RebuildError> {
        Ok(self.details(step).await?.first().and_then(|block| block.parse().ok()))
    }
}
