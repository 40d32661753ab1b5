//! `otel_traces` in ClickHouse, over HTTP.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use clickhouse::error::Error;
use spillway_decode::columns::SpanColumns;
use spillway_decode::rows::SpanRow;
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio::time::Instant;
use ulid::Ulid;

use super::native::{frames, statement};
use super::rows::{BatchRows, Rows};
use super::schema::{self, SchemaError};
use super::{Insert, SpanSink};
use crate::clickhouse::ClickHouseConfig;
use crate::queue::Lease;
use crate::time::{MINUTE_MS, now};

/// How long the server may be silent while it takes rows, and after the last one.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to answer a question.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks whether other inserts have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Objects that one statement names: the server reads 256 KiB of it by default, and a key has about a hundred bytes.
/// <https://clickhouse.com/docs/operations/settings/settings#max_query_size>
const KEYS: usize = 1_000;
/// Deletions of ours, as the server shows them.
const OUR_DELETIONS: &str = "command LIKE '%DELETE WHERE ObjectKey IN %'";
/// The ids of our inserts: of a batch, of a try, of a day.
pub(crate) const OUR_INSERTS: &str = "match(query_id, '^[0-9A-Z]{26}[.]a[0-9]+[.]')";

/// ClickHouse refused, or is away.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// What the server or the way to it said.
    #[error("clickhouse: {0}")]
    Server(#[from] Error),
    /// It took too long.
    #[error("clickhouse: {what} took longer than {} s", at_most.as_secs())]
    Timeout {
        /// What did.
        what: &'static str,
        /// Than this.
        at_most: Duration,
    },
    /// The table is not what is written; without types beside the rows, they would be read as something else.
    #[error("{0}")]
    Schema(String),
    /// The thread that writes a block ended without it.
    #[error("the writer of a block ended before it")]
    Writer,
    /// Whoever holds the batch by now may have stored it under other tokens.
    #[error("the lease on batch {0} was over before its rows were sent")]
    LeaseOver(Ulid),
}

/// Codes of errors that are about the rows: the same rows will always meet them.
/// <https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp>
const OF_THE_ROWS: [(u32, &str); 5] = [
    (117, "INCORRECT_DATA"),
    (128, "TOO_LARGE_ARRAY_SIZE"),
    (131, "TOO_LARGE_STRING_SIZE"),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"),
    (469, "VIOLATED_CONSTRAINT"),
];
const MEMORY_LIMIT_EXCEEDED: u32 = 241;
const UNKNOWN_DATABASE: u32 = 81;

impl TableError {
    /// Whether the rows themselves are what the server refuses.
    pub fn is_of_the_rows(&self) -> bool {
        self.code().is_some_and(|code| OF_THE_ROWS.iter().any(|(known, _)| *known == code))
    }

    /// Whether fewer rows at once may be taken.
    pub fn is_of_their_number(&self) -> bool {
        self.code() == Some(MEMORY_LIMIT_EXCEEDED)
    }

    /// Whether there is no such database.
    pub fn is_of_the_database(&self) -> bool {
        self.code() == Some(UNKNOWN_DATABASE)
    }

    fn code(&self) -> Option<u32> {
        let Self::Server(Error::BadResponse(text)) = self else { return None };
        let (_, rest) = text.split_once("Code: ")?;
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    }
}

/// `otel_traces`, or a table of the same columns.
#[derive(Clone)]
pub struct SpanTable {
    pub(super) client: Client,
    pub(super) table: String,
    end_timeout: Duration,
    lease: Option<Lease>,
}

impl SpanTable {
    /// The table on the configured server. An insert that is not confirmed after `timeout` counts as failed.
    pub fn new(config: &ClickHouseConfig, timeout: Duration) -> Self {
        // Asynchronous inserts answer before the rows are there, and lose rows under tokens.
        let client = config.client().with_setting("async_insert", "0");
        Self { client, table: config.table.clone(), end_timeout: timeout, lease: None }
    }

    /// The same table, into which nothing is written once the lease is over. A consumer that stood still finds its batch in
    /// other hands, and perhaps split into others, whose tokens are not its own.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self { lease: Some(lease.clone()), ..self.clone() }
    }

    fn check_lease(&self) -> Result<(), TableError> {
        match &self.lease {
            Some(lease) if lease.is_over(now()) => Err(TableError::LeaseOver(lease.batch())),
            _ => Ok(()),
        }
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), TableError> {
        in_time("an answer", QUERY_TIMEOUT, self.client.query("SELECT 1").fetch_one::<u8>()).await.map(drop)
    }

    /// How many rows of each object are visible, and the sum of the hashes of their numbers.
    pub async fn audit(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, (u64, u64)>, TableError> {
        // Answered by the projection `by_object`.
        let sql = format!(
            "SELECT ObjectKey, count(), sum(cityHash64(RowNo)) FROM {} WHERE ObjectKey IN ? GROUP BY ObjectKey",
            self.table
        );
        let mut found = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(KEYS) {
            let query = self.client.query(&sql).bind(texts(keys)).fetch_all::<(String, u64, u64)>();
            let rows = in_time("the audit", QUERY_TIMEOUT, query).await?;
            found.extend(
                rows.into_iter()
                    .filter_map(|(key, rows, hash)| Some((key.parse::<ObjectKey>().ok()?, (rows, hash)))),
            );
        }
        Ok(found)
    }

    /// Deletes the rows of these objects; returns once they are gone.
    pub async fn delete(&self, keys: &[ObjectKey]) -> Result<(), TableError> {
        let sql = format!("ALTER TABLE {} DELETE WHERE ObjectKey IN ?", self.table);
        for keys in keys.chunks(KEYS) {
            let delete = self.client.query(&sql).bind(texts(keys)).with_setting("mutations_sync", "2");
            self.check_lease()?;
            in_time("the deletion", self.end_timeout, delete.execute()).await?;
        }
        Ok(())
    }

    /// An error unless the table has every column that is written, of its type.
    pub async fn check(&self) -> Result<(), SchemaError> {
        schema::check(&self.table, &self.columns().await?)
    }

    /// The types of the table's columns, by name.
    async fn columns(&self) -> Result<BTreeMap<String, String>, TableError> {
        let sql = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = ?";
        let query = self.client.query(sql).bind(&self.table).fetch_all::<(String, String)>();
        Ok(in_time("the list of columns", QUERY_TIMEOUT, query).await?.into_iter().collect())
    }

    /// How many rows there are of a trace.
    pub async fn spans_of(&self, trace_id: &str) -> Result<u64, TableError> {
        let sql = format!("SELECT count() FROM {} WHERE TraceId = ?", self.table);
        in_time(
            "a look for a trace",
            QUERY_TIMEOUT,
            self.client.query(&sql).bind(trace_id).fetch_one::<u64>(),
        )
        .await
    }

    /// Whether the table has the projection of this name. A user who may not see `system.projections` is told of none.
    pub async fn has_projection(&self, name: &str) -> Result<bool, TableError> {
        let sql = "SELECT count() FROM system.projections WHERE database = currentDatabase() AND table = ? AND name = ?";
        let query = self.client.query(sql).bind(&self.table).bind(name).fetch_one::<u64>();
        Ok(in_time("the list of projections", QUERY_TIMEOUT, query).await? > 0)
    }

    /// Objects of the table that hold the requests of `objects`, and were received less than `window_ms` before the first or
    /// after the last of them, or somewhat more.
    pub(super) async fn by_request(
        &self,
        objects: &[Notification],
        window_ms: u64,
    ) -> Result<Vec<ObjectKey>, TableError> {
        let times = || objects.iter().map(|object| object.object_key.received_at().0);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
        let first = ObjectKey::folder_of(UnixMillis(first.saturating_sub(window_ms)));
        let behind = ObjectKey::folder_of(UnixMillis(last.saturating_add(window_ms + MINUTE_MS)));
        // The projection `by_object` is in the order of the keys.
        let sql = format!(
            "SELECT ObjectKey FROM {} WHERE ObjectKey >= ? AND ObjectKey < ?
             AND splitByChar('-', ObjectKey)[2] IN ? GROUP BY ObjectKey",
            self.table
        );
        let mut found = Vec::new();
        for objects in objects.chunks(KEYS) {
            let ids =
                objects.iter().flat_map(|object| [Some(object.object_key.object_id()), object.previous_id]);
            let ids: Vec<String> = ids.flatten().map(|id| id.to_string()).collect();
            let query = self.client.query(&sql).bind(&first).bind(&behind).bind(ids).fetch_all::<String>();
            let keys = in_time("a look for requests", QUERY_TIMEOUT, query).await?;
            found.extend(keys.into_iter().filter_map(|key| key.parse::<ObjectKey>().ok()));
        }
        Ok(found)
    }

    async fn insert_columns(
        &self,
        client: Client,
        columns: &Arc<SpanColumns>,
        spans: Vec<u32>,
    ) -> Result<(), TableError> {
        let mut into =
            statement(client, &self.table, columns).with_timeouts(Some(SEND_TIMEOUT), Some(self.end_timeout));
        let mut frames = frames(Arc::clone(columns), spans);
        let mut next = frames.next().await?;
        self.check_lease()?;
        while let Some(frame) = next {
            next = frames.next().await?;
            if next.is_none() {
                // Before what makes the insert whole.
                self.check_lease()?;
            }
            into.send(frame).await?;
        }
        Ok(into.end().await?)
    }

    async fn insert_each(&self, client: &Client, rows: &[SpanRow], which: &[u32]) -> Result<(), TableError> {
        // The client's own check refuses columns that are not written, and remembers those of a table that was exchanged since.
        self.check().await.map_err(|error| match error {
            SchemaError::Server(error) => error,
            error => TableError::Schema(error.to_string()),
        })?;
        let into = client.clone().with_validation(false).insert::<SpanRow>(&self.table).await?;
        let mut into = into.with_timeouts(Some(SEND_TIMEOUT), Some(self.end_timeout));
        // Before the first row, with which a large insert begins, and before the last, with which a small one does.
        self.check_lease()?;
        for row in which {
            into.write(&rows[*row as usize]).await?;
        }
        self.check_lease()?;
        Ok(into.end().await?)
    }

    /// A client for another statement of ours, and how long that may take.
    pub(super) fn writing(&self) -> (Client, [Duration; 2]) {
        (self.client.clone(), [SEND_TIMEOUT, self.end_timeout])
    }
}

impl SpanSink for SpanTable {
    type Error = TableError;

    async fn insert(&self, insert: Insert<'_>) -> Result<(), TableError> {
        let client = self
            .client
            .clone()
            .with_setting("insert_deduplication_token", insert.token)
            .with_setting("query_id", insert.query_id);
        match &insert.batch.rows {
            Rows::Columns(columns) => self.insert_columns(client, columns, insert.rows).await,
            Rows::Each(rows) => self.insert_each(&client, rows, &insert.rows).await,
        }
    }

    async fn end_inserts(&self, query_ids: &str) -> Result<(), TableError> {
        let kill = format!("KILL QUERY WHERE query_id LIKE '{query_ids}%' SYNC");
        in_time("the end of an insert", self.end_timeout, self.client.query_raw(&kill).execute()).await
    }

    async fn await_inserts(&self) -> Result<(), TableError> {
        let deadline = Instant::now() + self.end_timeout;
        let running = format!("SELECT query_id FROM system.processes WHERE {OUR_INSERTS}");
        let query = self.client.query_raw(&running).fetch_all::<String>();
        let mut awaited: HashSet<String> =
            in_time("a look", QUERY_TIMEOUT, query).await?.into_iter().collect();
        while !awaited.is_empty() {
            if Instant::now() > deadline {
                return Err(TableError::Timeout {
                    what: "the end of other inserts",
                    at_most: self.end_timeout,
                });
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            let query = self.client.query_raw(&running).fetch_all::<String>();
            let running: HashSet<String> =
                in_time("a look", QUERY_TIMEOUT, query).await?.into_iter().collect();
            awaited.retain(|query_id| running.contains(query_id));
        }
        // What a replay that was killed is still deleting is seen until it is gone.
        let deletions = format!(
            "SELECT count() FROM system.mutations
             WHERE database = currentDatabase() AND table = ? AND NOT is_done AND NOT is_killed AND {OUR_DELETIONS}"
        );
        loop {
            let query = self.client.query(&deletions).bind(&self.table).fetch_one::<u64>();
            if in_time("a look", QUERY_TIMEOUT, query).await? == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(TableError::Timeout {
                    what: "a deletion of a replay",
                    at_most: self.end_timeout,
                });
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn counts(&self, keys: &[ObjectKey]) -> Result<HashMap<ObjectKey, u64>, TableError> {
        // Answered by the projection `by_object`, which commits together with the rows.
        let sql =
            format!("SELECT ObjectKey, count() FROM {} WHERE ObjectKey IN ? GROUP BY ObjectKey", self.table);
        let mut counts = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(KEYS) {
            let query = self.client.query(&sql).bind(texts(keys)).fetch_all::<(String, u64)>();
            let rows = in_time("a look", QUERY_TIMEOUT, query).await?;
            counts.extend(
                rows.into_iter().filter_map(|(key, rows)| Some((key.parse::<ObjectKey>().ok()?, rows))),
            );
        }
        Ok(counts)
    }

    async fn row_numbers(&self, key: &ObjectKey) -> Result<HashSet<u32>, TableError> {
        let sql = format!("SELECT RowNo FROM {} WHERE ObjectKey = ?", self.table);
        let query = self.client.query(&sql).bind(key.to_string()).fetch_all::<u32>();
        Ok(in_time("a look", QUERY_TIMEOUT, query).await?.into_iter().collect())
    }

    /// What the view makes of the rows. To write the same once more changes nothing, since the table keeps the first and the
    /// last moment of a trace.
    async fn derive(&self, batch: &BatchRows) -> Result<(), TableError> {
        self.write_trace_times(batch).await
    }
}

fn texts(keys: &[ObjectKey]) -> Vec<String> {
    keys.iter().map(ObjectKey::to_string).collect()
}

pub(super) async fn in_time<T>(
    what: &'static str,
    at_most: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, TableError> {
    match tokio::time::timeout(at_most, answer).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(TableError::Timeout { what, at_most }),
    }
}
