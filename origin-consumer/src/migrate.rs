//! Brings the database to the schema that this version writes.

use std::collections::BTreeSet;

use clickhouse::Client;

use crate::clickhouse::ClickHouseConfig;

/// Applied in this order, each once. What has been released is never changed.
const MIGRATIONS: [(&str, &str); 1] =
    [("0001_otel_traces", include_str!("../migrations/0001_otel_traces.sql"))];

/// A migration failed; those before it stand, and `migrate` can be run again.
#[derive(Debug, thiserror::Error)]
#[error("migration {migration}: {source}")]
pub struct MigrateError {
    migration: &'static str,
    source: clickhouse::error::Error,
}

/// Applies what is missing, and returns the names of what it applied.
pub async fn migrate(config: &ClickHouseConfig) -> Result<Vec<&'static str>, MigrateError> {
    let failed = |migration| move |source| MigrateError { migration, source };
    let client = config.client();
    let done = prepare(config, &client).await.map_err(failed("(ledger)"))?;
    let mut applied = Vec::new();
    for (name, sql) in MIGRATIONS.into_iter().filter(|(name, _)| !done.contains(*name)) {
        for statement in statements(sql) {
            // A run that ended half way left some of it in place.
            let statement = statement.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1).replacen(
                "CREATE MATERIALIZED VIEW ",
                "CREATE MATERIALIZED VIEW IF NOT EXISTS ",
                1,
            );
            client.query_raw(&statement).execute().await.map_err(failed(name))?;
        }
        let record = client.query("INSERT INTO spillway_migrations (name) VALUES (?)").bind(name);
        record.execute().await.map_err(failed(name))?;
        applied.push(name);
    }
    Ok(applied)
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
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_a_row_of_statements_that_can_be_repeated() {
        for (name, sql) in MIGRATIONS {
            assert!(sql.ends_with(";\n"), "{name} ends with a semicolon");
            for statement in statements(sql) {
                let code = statement.lines().find(|line| !line.starts_with("--")).unwrap();
                let repeatable = ["CREATE TABLE ", "CREATE MATERIALIZED VIEW "];
                assert!(repeatable.iter().any(|start| code.starts_with(start)), "{name}: {code}");
            }
        }
    }
}
