//! Step f: rows into ClickHouse, each of them once.
//!
//! An INSERT carries a deduplication token, so that the server ignores one that it has stored already. That is not
//! enough: it notes the token *before* it makes the part visible, so that a crash between the two turns the next try
//! into a silent nothing. Every try after the first therefore ends the earlier ones, looks at what is there, and
//! inserts what is missing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use clickhouse::error::Error;
use clickhouse::{Client, Row};
use serde::Serialize;
use spillway_proto::ObjectKey;
use ulid::Ulid;

use crate::clickhouse::ClickHouseConfig;
use crate::rows::SpanRow;

const TABLE: &str = "otel_traces";
const TRACE_TIMES: &str = "otel_traces_trace_id_ts";
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// How long the server may be silent while it takes rows, and after the last one.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The rows of a batch.
pub struct BatchRows {
    /// The batch's id; the deduplication tokens begin with it.
    pub batch_id: Ulid,
    /// Every object of the manifest, with its rows.
    pub objects: Vec<(ObjectKey, Vec<SpanRow>)>,
}

/// A row of `otel_traces_trace_id_ts`; the times are seconds since the Unix epoch.
#[derive(Row, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TraceTime<'a> {
    trace_id: &'a str,
    start: u32,
    end: u32,
}

/// `otel_traces`.
#[derive(Clone)]
pub struct SpanTable {
    client: Client,
    end_timeout: Duration,
}

impl SpanTable {
    /// The table on the configured server. An insert that is not confirmed after `timeout` counts as failed.
    pub fn new(config: &ClickHouseConfig, timeout: Duration) -> Self {
        // Asynchronous inserts answer before the rows are there, and lose rows under tokens.
        let client = config.client().with_setting("async_insert", "0");
        Self { client, end_timeout: timeout }
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.client.query("SELECT 1").fetch_one::<u8>().await.map(drop)
    }

    /// Stores the batch. `earlier_tries` may have left any part of it in the table, or may still be running.
    pub async fn store(&self, batch: &BatchRows, earlier_tries: u32) -> Result<(), Error> {
        let try_no = earlier_tries + 1;
        if earlier_tries == 0 {
            return self.insert(batch, all_rows(batch), try_no, "").await;
        }
        self.end_earlier_tries(batch.batch_id).await?;
        if !self.missing(batch).await?.is_empty() {
            // Under the same tokens: should an earlier try appear after all, the server drops one of the two.
            self.insert(batch, all_rows(batch), try_no, "").await?;
            let missing = self.missing(batch).await?;
            if !missing.is_empty() {
                let rows = missing.len();
                tracing::warn!(batch = %batch.batch_id, rows, "a deduplication token without rows; healing");
                self.insert(batch, missing, try_no, &format!(".{try_no}")).await?;
            }
        }
        self.insert_trace_times(batch).await
    }

    /// Writes what the view makes of the rows. An earlier try may have ended between the table and its view; to write the
    /// same once more changes nothing, since the table keeps the first and the last moment of a trace.
    async fn insert_trace_times(&self, batch: &BatchRows) -> Result<(), Error> {
        let mut times: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for row in all_rows(batch) {
            let second = u32::try_from(row.timestamp / NANOS_PER_SECOND).unwrap_or(u32::MAX);
            let (start, end) = times.entry(&row.trace_id).or_insert((second, second));
            (*start, *end) = ((*start).min(second), (*end).max(second));
        }
        // Any number of days at once: what is written twice here counts once.
        let client = self.client.clone().with_setting("max_partitions_per_insert_block", "0");
        let insert = client.insert::<TraceTime<'_>>(TRACE_TIMES).await?;
        let mut insert = insert.with_timeouts(Some(SEND_TIMEOUT), Some(self.end_timeout));
        for (trace_id, (start, end)) in times {
            insert.write(&TraceTime { trace_id, start, end }).await?;
        }
        insert.end().await
    }

    /// One INSERT for each day, which is one partition and so becomes visible at once or not at all.
    async fn insert(
        &self,
        batch: &BatchRows,
        rows: Vec<&SpanRow>,
        try_no: u32,
        token_suffix: &str,
    ) -> Result<(), Error> {
        let mut by_day: BTreeMap<i64, Vec<&SpanRow>> = BTreeMap::new();
        for row in rows {
            by_day.entry(row.timestamp.div_euclid(NANOS_PER_DAY)).or_default().push(row);
        }
        for (day, rows) in by_day {
            let id = batch.batch_id;
            let client = self
                .client
                .clone()
                .with_setting("insert_deduplication_token", format!("{id}.{day}{token_suffix}"))
                .with_setting("query_id", format!("{id}.a{try_no}.{day}{token_suffix}"));
            let insert = client.insert::<SpanRow>(TABLE).await?;
            let mut insert = insert.with_timeouts(Some(SEND_TIMEOUT), Some(self.end_timeout));
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await?;
        }
        Ok(())
    }

    /// A client that went away does not stop its insert.
    async fn end_earlier_tries(&self, batch: Ulid) -> Result<(), Error> {
        let kill = format!("KILL QUERY WHERE query_id LIKE '{batch}.a%' SYNC");
        self.client.query_raw(&kill).execute().await
    }

    /// The rows of the batch that are not in the table.
    async fn missing<'b>(&self, batch: &'b BatchRows) -> Result<Vec<&'b SpanRow>, Error> {
        let keys: Vec<String> = batch.objects.iter().map(|(key, _)| key.to_string()).collect();
        // Answered by the projection `by_object`, which commits together with the rows.
        let counts = self
            .client
            .query("SELECT ObjectKey, count() FROM otel_traces WHERE ObjectKey IN ? GROUP BY ObjectKey");
        let counts: HashMap<String, u64> =
            counts.bind(&keys).fetch_all::<(String, u64)>().await?.into_iter().collect();
        let mut missing = Vec::new();
        for ((_, rows), key) in batch.objects.iter().zip(&keys) {
            match counts.get(key).copied().unwrap_or(0) {
                0 => missing.extend(rows),
                stored if stored == rows.len() as u64 => {}
                _ => {
                    let stored = self.stored_rows(key).await?;
                    missing.extend(rows.iter().filter(|row| !stored.contains(&row.row_no)));
                }
            }
        }
        Ok(missing)
    }

    async fn stored_rows(&self, key: &str) -> Result<HashSet<u32>, Error> {
        let rows = self.client.query("SELECT RowNo FROM otel_traces WHERE ObjectKey = ?").bind(key);
        Ok(rows.fetch_all::<u32>().await?.into_iter().collect())
    }
}

fn all_rows(batch: &BatchRows) -> Vec<&SpanRow> {
    batch.objects.iter().flat_map(|(_, rows)| rows).collect()
}
