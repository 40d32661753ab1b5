//! Which objects, from where, and to where.

use std::fs;

use anyhow::Result;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::replay::replay;
use spillway_tests::stack::{ARRIVAL, TestStack};

use super::{assert_once, count, execute, stored};

#[tokio::test]
async fn objects_go_by_key_tenant_prefix_time_and_folder_into_another_table() -> Result<()> {
    let stack = TestStack::start().await?;
    for (tenant, spans) in [("acme", 3), ("neighbour", 20), ("acme", 400)] {
        assert_eq!(Export::new(spans).send(&stack, tenant).await?.status(), 200);
    }
    stack.await_count("SELECT count() FROM otel_traces", 423, ARRIVAL).await?;
    let keys = Bucket::of(&stack).keys().await?;
    let small = keys.iter().find(|key| key.ends_with("-3.otlp")).unwrap();
    execute(&stack, "CREATE TABLE other AS otel_traces").await?;

    replay(&stack, &format!("--object {small} --table other")).await?.ended(0)?;
    assert_once(&stack, "other", 3).await?;
    replay(&stack, "--from 1h --tenant neighbour --table other").await?.ended(0)?;
    assert_once(&stack, "other", 23).await?;
    replay(&stack, "--from 2h --to 1h --table other").await?.ended(0)?;
    assert_once(&stack, "other", 23).await?;
    replay(&stack, "--prefix v1/2 --table other --concurrency 3").await?.ended(0)?;
    assert_once(&stack, "other", 423).await?;
    let said = replay(&stack, "--from 1h --table other").await?.ended(0)?;
    assert!(said.contains("replay: 3 objects") && said.contains("all is stored"), "{said}");
    assert_once(&stack, "other", 423).await?;

    // Loose files, out of a bucket that is then away.
    let folder = stack.folder().join("copied");
    fs::create_dir(&folder)?;
    for key in &keys {
        let name = key.rsplit('/').next().unwrap();
        fs::write(folder.join(name), Bucket::of(&stack).get(key).await?.0)?;
    }
    execute(&stack, "CREATE DATABASE spillway_copied").await?;
    execute(&stack, "CREATE TABLE spillway_copied.spans AS otel_traces").await?;
    let arguments = "--folder copied --database spillway_copied --table spans";
    let nowhere = [("SPILLWAY_S3__ENDPOINT", "http://127.0.0.1:9")];
    spillway_tests::replay::replay_with(&stack, arguments, &nowhere).await?.ended(0)?;
    assert_once(&stack, "spillway_copied.spans", 423).await?;
    execute(&stack, "DROP DATABASE spillway_copied").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_dry_run_shows_totals_and_changes_nothing() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 3, 5).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    let shown = replay(&stack, "--from 1h --dry-run").await?;
    assert_eq!(shown.code, 0, "{}", shown.said);
    let rows: Vec<Vec<&str>> = shown.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["TENANT", "DAY", "OBJECTS", "SPANS", "BYTES"]);
    assert_eq!((rows[1][0], rows[1][2], rows[1][3]), ("acme", "3", "15"));
    assert_eq!((rows[2][0], rows[2][1], rows[2][2]), ("total", "3", "15"));
    assert_eq!(count(&stack, "SELECT count() FROM otel_traces").await?, 0);
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_table_that_cannot_take_spans_and_the_checkpoint_of_another_replay_are_refused() -> Result<()> {
    let stack = TestStack::start().await?;
    stored(&stack, 1, 1).await?;
    let said = replay(&stack, "--from 1h --table nowhere").await?.ended(2)?;
    assert!(said.contains("no table") && said.contains("nowhere"), "{said}");
    execute(&stack, "CREATE TABLE old AS otel_traces").await?;
    execute(&stack, "ALTER TABLE old DROP COLUMN ProjectId").await?;
    let said = replay(&stack, "--from 1h --table old").await?.ended(2)?;
    assert!(said.contains("no column ProjectId"), "{said}");
    execute(&stack, "ALTER TABLE old ADD COLUMN ProjectId UInt8").await?;
    let said = replay(&stack, "--from 1h --table old").await?.ended(2)?;
    assert!(said.contains("the column ProjectId of the table old is UInt8"), "{said}");
    let said = replay(&stack, "--from 1h --table a.b").await?.ended(2)?;
    assert!(said.contains("clickhouse.table"), "{said}");

    execute(&stack, "CREATE TABLE other AS otel_traces").await?;
    // Ended by an object that is away, so that its checkpoint stays.
    let arguments = "--from 1h --table other --checkpoint replay.json";
    let broken = "consume::fetched=1*return(abort)";
    spillway_tests::replay::replay_until_abort(&stack, arguments, broken).await?;
    for another in ["--from 2h --table other", "--from 1h", "--from 1h --table other --force"] {
        let said = replay(&stack, &format!("{another} --checkpoint replay.json")).await?.ended(2)?;
        assert!(said.contains("of another replay"), "{said}");
    }
    std::fs::write(stack.folder().join("made-up.json"), "{}")?;
    replay(&stack, "--from 1h --checkpoint made-up.json").await?.ended(2)?;
    replay(&stack, arguments).await?.ended(0)?;
    assert_once(&stack, "other", 1).await?;
    assert!(!stack.folder().join("replay.json").exists(), "it is removed at the end");
    stack.stop_now().await
}

#[tokio::test]
async fn a_resend_is_stored_in_another_table_once_whichever_replay_comes_to_it() -> Result<()> {
    let stack = TestStack::start().await?;
    let (export, other) = (Export::new(7), Export::new(1));
    for export in [&export, &other, &export] {
        export.accepted(&stack).await?;
    }
    stack.await_count("SELECT count() FROM otel_traces", 8, ARRIVAL).await?;
    let keys = Bucket::of(&stack).keys().await?;
    let resends: Vec<_> = keys.iter().filter(|key| key.ends_with("-7.otlp")).collect();
    assert_eq!(resends.len(), 2);
    execute(&stack, "CREATE TABLE other AS otel_traces").await?;
    replay(&stack, &format!("--object {} --table other", resends[1])).await?.ended(0)?;
    replay(&stack, &format!("--object {} --table other", resends[0])).await?.ended(0)?;
    assert_once(&stack, "other", 7).await?;
    let said = replay(&stack, "--from 1h --table other").await?.ended(0)?;
    // One by what the ledger of the replay says, and one by what the table has.
    assert!(said.contains("2 resends"), "{said}");
    assert_once(&stack, "other", 8).await?;
    stack.stop_now().await
}
