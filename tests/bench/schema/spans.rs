//! The rows that all tables get.

use anyhow::Result;
use spillway_bench::server_rows::{self, COLUMNS, OWN_COLUMNS};
use spillway_bench::variants::{Key, SHIPPED_TABLE, Variant};

use crate::engine::Server;

/// The database of the rows.
const SOURCE: &str = "source";
/// The day that the rows lie on.
pub const DAY: &str = "2026-11-20";
/// Rows of one statement that makes some.
const STEP: u64 = 1_000_000;

/// The columns that a variant has.
pub fn columns(variant: &Variant) -> String {
    if variant.own_columns { format!("{COLUMNS}, {OWN_COLUMNS}") } else { COLUMNS.to_owned() }
}

/// Makes `rows` rows of a day, in batches that are sorted by `key`. They are all that there is.
pub async fn make(server: &Server, variant: &Variant, rows: u64, batch: u64) -> Result<()> {
    let key = variant.key;
    server.ask("system", &format!("CREATE DATABASE IF NOT EXISTS {SOURCE} ENGINE = Atomic")).await?;
    server.ask(SOURCE, &format!("DROP TABLE IF EXISTS {}", key.source())).await?;
    let shipped = "shipped_columns";
    server.ask(SOURCE, &format!("DROP TABLE IF EXISTS {shipped}")).await?;
    let statement = SHIPPED_TABLE.statements().swap_remove(0);
    server.ask(SOURCE, &statement.replacen("otel_traces", shipped, 1)).await?;
    server
        .ask(
            SOURCE,
            &format!(
                "CREATE TABLE {} ENGINE = MergeTree ORDER BY (Batch, {}) AS SELECT toUInt32(0) AS Batch, * FROM {shipped}",
                key.source(),
                key.columns()
            ),
        )
        .await?;
    for from in (0..rows).step_by(usize::try_from(STEP)?) {
        let until = rows.min(from + STEP);
        let sql = server_rows::rows(from..until, rows, batch, DAY);
        let table = key.source();
        server.ask(SOURCE, &format!("INSERT INTO {table} (Batch, {COLUMNS}, {OWN_COLUMNS}) {sql}")).await?;
    }
    server.settle(SOURCE).await
}

/// Removes the rows of both orders.
pub async fn remove(server: &Server) -> Result<()> {
    server.ask("system", &format!("DROP DATABASE IF EXISTS {SOURCE} SYNC")).await.map(drop)
}

/// A batch, in the order of its key.
pub fn batch(variant: &Variant, number: u64) -> String {
    let Variant { key, .. } = variant;
    let columns = columns(variant);
    format!(
        "SELECT {columns} FROM {SOURCE}.{} WHERE Batch = {number} ORDER BY {}",
        key.source(),
        Key::columns(*key)
    )
}
