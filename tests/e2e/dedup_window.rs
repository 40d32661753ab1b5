//! The fact that the way of inserting rests on: ClickHouse notes the token of an insert before the rows are visible, so
//! a crash between the two makes the next try a silent nothing.

use anyhow::{Context, Result};
use clickhouse::Client;
use local_stack::engine::{Engine, Source};
use spillway_tests::faults::{DedupLog, SlowRename};
use tempfile::TempDir;

const TABLE: &str = "CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n
    SETTINGS non_replicated_deduplication_window = 100";

async fn insert(client: Client, n: u64) -> clickhouse::error::Result<()> {
    let insert = client.query_raw(&format!("INSERT INTO kept VALUES ({n})"));
    insert.with_setting("insert_deduplication_token", n.to_string()).execute().await
}

async fn rows(client: &Client) -> Result<Vec<u64>> {
    Ok(client.query("SELECT n FROM kept ORDER BY n").fetch_all().await?)
}

#[tokio::test]
async fn a_crash_between_token_and_rename_makes_the_next_try_a_silent_nothing() -> Result<()> {
    let (folder, slow_rename) = (TempDir::with_prefix("spillway-test-")?, SlowRename::build()?);
    let vars = slow_rename.vars();
    let mut engine = Engine::start_with(&Source::Embedded, folder.path(), "traces", vars).await?;
    let client = engine.client();
    client.query(TABLE).execute().await?;
    insert(client.clone(), 1).await?;
    let log = DedupLog::of(&client, folder.path(), "kept").await?;
    assert_eq!(log.records(), 1);

    slow_rename.hold()?;
    let first_try = tokio::spawn(insert(client.clone(), 2));
    log.await_records(2).await?;
    assert!(!first_try.is_finished(), "the token is noted, the row is not visible");
    engine.process().context("the engine is ours")?.kill().await?;
    assert!(first_try.await?.is_err());

    slow_rename.release()?;
    engine.restart().await?;
    insert(client.clone(), 2).await.context("it says that all is well")?;
    assert_eq!(rows(&client).await?, [1], "and the row is not there");
    Ok(())
}

#[tokio::test]
async fn a_rename_that_was_held_makes_the_row_visible_when_it_is_let_go() -> Result<()> {
    let (folder, slow_rename) = (TempDir::with_prefix("spillway-test-")?, SlowRename::build()?);
    let engine = Engine::start_with(&Source::Embedded, folder.path(), "traces", slow_rename.vars()).await?;
    let client = engine.client();
    client.query(TABLE).execute().await?;
    slow_rename.hold()?;
    let held = tokio::spawn(insert(client.clone(), 1));
    DedupLog::of(&client, folder.path(), "kept").await?.await_records(1).await?;
    assert!(!held.is_finished());
    slow_rename.release()?;
    held.await??;
    assert_eq!(rows(&client).await?, [1]);
    Ok(())
}
