//! A database as the first version has made it.

use anyhow::Result;
use clickhouse::Client;

use crate::stack::TestStack;

const STATEMENTS: &str = include_str!("../../origin-consumer/migrations/0001_otel_traces.sql");
/// As `migrate` records what it has done.
const RECORDED: [&str; 2] = [
    "CREATE TABLE spillway_migrations (name String, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY name",
    "INSERT INTO spillway_migrations (name) VALUES ('0001_otel_traces')",
];

/// Makes the tables of the first version in an empty database.
pub async fn make(client: &Client) -> Result<()> {
    let statements = STATEMENTS.split(";\n").map(str::trim).filter(|statement| !statement.is_empty());
    for statement in statements.chain(RECORDED) {
        client.query_raw(statement).execute().await?;
    }
    Ok(())
}

/// Gives a stack's database the tables of the first version instead of those that it has, and starts its origin again.
pub async fn give(stack: &mut TestStack) -> Result<()> {
    stack.origin.process.stop().await?;
    let client = stack.clickhouse();
    for drop in [
        "DROP VIEW otel_traces_trace_id_ts_mv SYNC",
        "DROP TABLE otel_traces_trace_id_ts SYNC",
        "DROP TABLE otel_traces SYNC",
        "DROP TABLE spillway_migrations SYNC",
    ] {
        client.query_raw(drop).execute().await?;
    }
    make(&client).await?;
    stack.restart_origin(&[]).await?;
    stack.origin.await_schema().await
}
