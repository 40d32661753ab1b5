//! The tables that rows go to.

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use spillway_bench::rig::Rig;
use spillway_bench::server_rows::COLUMNS;
use spillway_bench::variants::STOCK_TABLE;

use crate::peer::Contender;

/// What becomes of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The server reads them, and keeps nothing.
    Null,
    /// They are kept and merged.
    MergeTree,
}

impl Kind {
    /// Both, in the order of their turns.
    pub const ALL: [Self; 2] = [Self::Null, Self::MergeTree];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "into a table that keeps nothing",
            Self::MergeTree => "into the real table",
        })
    }
}

/// What the Collector's exporter keeps beside its table, by which a trace is found in time.
const TRACE_ID_TABLE: &str = "CREATE TABLE otel_traces_trace_id_ts (
        TraceId String CODEC(ZSTD(1)),
        Start DateTime CODEC(Delta, ZSTD(1)),
        End DateTime CODEC(Delta, ZSTD(1)),
        INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
    ) ENGINE = MergeTree PARTITION BY toDate(Start) ORDER BY (TraceId, Start)
    SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1";
const TRACE_ID_VIEW: &str = "CREATE MATERIALIZED VIEW otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
    SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End FROM otel_traces WHERE TraceId != '' GROUP BY TraceId";
/// Only Spillway's way of inserting needs it, and it costs a hash of every block.
const DEDUPLICATION: &str = ", non_replicated_deduplication_window = 10000";

/// Makes what a contender writes to; the answer is the table's name.
pub async fn make(rig: &Rig, contender: &Contender, kind: Kind) -> Result<&'static str> {
    let database = contender.database();
    match contender {
        Contender::Spillway => {
            rig.make_database(&database).await?;
            Ok(if kind == Kind::Null { "nowhere" } else { "otel_traces" })
        }
        Contender::SpillwayIntoStock => {
            rig.make_database(&database).await?;
            let stock = stock_database(contender);
            make_stock(rig, &stock, kind).await?;
            let view = format!(
                "CREATE MATERIALIZED VIEW to_stock TO {stock}.otel_traces AS SELECT {COLUMNS} FROM nowhere"
            );
            rig.execute_in(&database, &view).await?;
            Ok("nowhere")
        }
        Contender::Peer { .. } => {
            make_stock(rig, &database, kind).await?;
            Ok("otel_traces")
        }
    }
}

/// The database of the table that holds a contender's rows in the end.
pub fn stock_database(contender: &Contender) -> String {
    match contender {
        Contender::SpillwayIntoStock => format!("{}_rows", contender.database()),
        Contender::Spillway | Contender::Peer { .. } => contender.database(),
    }
}

async fn make_stock(rig: &Rig, database: &str, kind: Kind) -> Result<()> {
    rig.make_empty_database(database).await?;
    let table = STOCK_TABLE.statements().swap_remove(0).replace(DEDUPLICATION, "");
    match kind {
        Kind::MergeTree => {
            for statement in [&table, TRACE_ID_TABLE, TRACE_ID_VIEW] {
                rig.execute_in(database, statement).await?;
            }
        }
        Kind::Null => {
            let as_kept = table.replacen("CREATE TABLE otel_traces", "CREATE TABLE kept", 1);
            rig.execute_in(database, &as_kept).await?;
            rig.execute_in(database, "CREATE TABLE otel_traces AS kept ENGINE = Null").await?;
        }
    }
    Ok(())
}

/// Leaves the parts that a contender's rows are in as they are from now on.
pub async fn merge_no_more(rig: &Rig, contender: &Contender) -> Result<()> {
    let database = stock_database(contender);
    for table in ["otel_traces", "otel_traces_trace_id_ts"] {
        rig.execute_in(&database, &format!("SYSTEM STOP MERGES {table}")).await?;
    }
    Ok(())
}

/// Drops all that [`make`] has made.
pub async fn drop_all(rig: &Rig, contender: &Contender) -> Result<()> {
    rig.drop_database(&contender.database()).await?;
    rig.drop_database(&stock_database(contender)).await
}
