//! Brings the database to the schema that this version writes.
//!
//! A new database gets the present schema at once (`migrations/schema.sql`). One that is there gets the numbered steps that it
//! lacks; they change metadata only. What cannot be altered, the partition key and the zones of the times, stays as it was
//! until `origin-consumer rebuild-table` moves the table (`rebuild`): the consumer works with both.

use std::collections::BTreeSet;

use clickhouse::Client;

use crate::clickhouse::ClickHouseConfig;
use crate::insert::FIRST_TIMESTAMP;

/// The table that is made.
const TABLE: &str = "otel_traces";
/// The present schema.
pub(crate) const SCHEMA: &str = include_str!("../migrations/schema.sql");
/// The steps of databases that are older, applied in this order, each once. What has been released is never changed.
const STEPS: [(&str, &str); 2] = [
    ("0001_otel_traces", include_str!("../migrations/0001_otel_traces.sql")),
    ("0002_what_otlp_has", include_str!("../migrations/0002_what_otlp_has.sql")),
];
/// What a statement that makes something is to begin with, so that it can be repeated.
const REPEATABLE: [(&str, &str); 2] = [
    ("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "),
    ("CREATE MATERIALIZED VIEW ", "CREATE MATERIALIZED VIEW IF NOT EXISTS "),
];

/// A migration failed; those before it stand, and `migrate` can be run again.
#[derive(Debug, thiserror::Error)]
#[error("migration {migration}: {source}")]
pub struct MigrateError {
    migration: &'static str,
    source: clickhouse::error::Error,
}

/// Applies what is missing, and returns the names of what it applied. All steps are recorded of a database that got the present
/// schema at once.
pub async fn migrate(config: &ClickHouseConfig) -> Result<Vec<&'static str>, MigrateError> {
    let failed = |migration| move |source| MigrateError { migration, source };
    let client = config.client();
    let done = prepare(config, &client).await.map_err(failed("(ledger)"))?;
    let is_new = done.is_empty() && !has_first_layout(&client).await.map_err(failed("(ledger)"))?;
    if is_new {
        apply(&client, SCHEMA).await.map_err(failed("schema"))?;
    }
    let mut applied = Vec::new();
    for (name, sql) in STEPS.into_iter().filter(|(name, _)| !done.contains(*name)) {
        if !is_new {
            apply(&client, sql).await.map_err(failed(name))?;
        }
        let record = client.query("INSERT INTO spillway_migrations (name) VALUES (?)").bind(name);
        record.execute().await.map_err(failed(name))?;
        applied.push(name);
    }
    Ok(applied)
}

/// A run that ended half way left some of it in place.
async fn apply(client: &Client, sql: &str) -> clickhouse::error::Result<()> {
    for statement in statements(sql) {
        let repeatable =
            |statement: String, (start, instead): (&str, &str)| statement.replacen(start, instead, 1);
        let statement = REPEATABLE.into_iter().fold(statement.to_owned(), repeatable);
        client.query_raw(&statement).execute().await?;
    }
    Ok(())
}

/// Whether there is a table of the first layout: of a database that was made before steps were recorded, or only in part.
async fn has_first_layout(client: &Client) -> clickhouse::error::Result<bool> {
    let sql = "SELECT count() FROM system.columns
               WHERE database = currentDatabase() AND table = ? AND name = 'Timestamp' AND type = ?";
    Ok(client.query(sql).bind(TABLE).bind(FIRST_TIMESTAMP).fetch_one::<u64>().await? > 0)
}

async fn prepare(config: &ClickHouseConfig, client: &Client) -> clickhouse::error::Result<BTreeSet<String>> {
    let database = &config.database;
    let server = config.server();
    let exists: u64 = server
        .query("SELECT count() FROM system.databases WHERE name = ?")
        .bind(database)
        .fetch_one()
        .await?;
    // Asked first, so that a user without the right to create databases can migrate one that is there.
    if exists == 0 {
        server
            .query_raw(&format!("CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic"))
            .execute()
            .await?;
    }
    let ledger = "CREATE TABLE IF NOT EXISTS spillway_migrations (name String, at DateTime DEFAULT now())
                  ENGINE = MergeTree ORDER BY name";
    client.query_raw(ledger).execute().await?;
    Ok(client.query("SELECT name FROM spillway_migrations").fetch_all().await?.into_iter().collect())
}

/// The statements of a migration: each ends with a semicolon at the end of a line.
pub(crate) fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_a_row_of_statements_that_can_be_repeated() {
        for (name, sql) in STEPS.into_iter().chain([("schema", SCHEMA)]) {
            assert!(sql.ends_with(";\n"), "{name} ends with a semicolon");
            for statement in statements(sql) {
                let code: Vec<_> = statement.lines().filter(|line| !line.starts_with("--")).collect();
                let makes = REPEATABLE.iter().any(|(start, _)| code[0].starts_with(start));
                let alters = code[0].starts_with("ALTER TABLE ")
                    && code.iter().all(|line| {
                        !line.contains("ADD COLUMN") || line.contains("ADD COLUMN IF NOT EXISTS")
                    });
                assert!(makes || alters, "{name}: {}", code[0]);
            }
        }
    }
}
