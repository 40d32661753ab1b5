//! Replays that end before their end, and go on.

use std::time::Duration;

use anyhow::{Context, Result};
use spillway_tests::export::Export;
use spillway_tests::metrics::await_metric;
use spillway_tests::replay::{replay, replay_until_abort, replay_with, start_replay};
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};

use super::{assert_once, count, execute, stored};

/// Batches so small that there are several.
const SMALL: [(&str, &str); 1] = [("SPILLWAY_CONSUMER__BATCH_OBJECTS", "4")];
/// Each further on than the one before.
const ABORTS: [&str; 3] = [
    "consume::insert_begun=1*off->1*return(abort)",
    "consume::inserted=1*off->1*return(abort)",
    "consume::acknowledged=1*off->1*return(abort)",
];

fn small(stack: &mut TestStack) {
    for (name, value) in SMALL {
        stack.set_origin_var(name, value);
    }
}

#[tokio::test]
async fn a_replay_into_another_table_that_died_three_times_goes_on() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let all = stored(&stack, 40, 25).await?;
    small(&mut stack);
    execute(&stack, "CREATE TABLE other AS otel_traces").await?;
    let arguments = "--from 1h --table other --checkpoint replay.json --concurrency 3";
    for abort in ABORTS {
        replay_until_abort(&stack, arguments, abort).await?;
    }
    let mut replaying = start_replay(&stack, arguments, &[])?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    replaying.kill().await?;
    replay(&stack, arguments).await?.ended(0)?;
    assert_once(&stack, "other", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_replay_into_the_live_table_that_died_three_times_goes_on_without_a_consumer() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let all = stored(&stack, 40, 25).await?;
    small(&mut stack);
    stack.set_origin_var("SPILLWAY_CONSUMER__LEASE_SECONDS", "3");
    stack.origin.process.stop().await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE RowNo < 20").await?;
    let arguments = "--from 1h --checkpoint replay.json";
    for abort in ABORTS {
        replay_until_abort(&stack, arguments, abort).await?;
    }
    replay(&stack, arguments).await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.restart_origin(&[]).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn what_a_killed_replay_had_in_hand_is_stored_by_a_consumer() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let all = stored(&stack, 12, 10).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    replay_until_abort(&stack, "--from 1h", "consume::insert_begun=1*return(abort)").await?;
    assert_eq!(count(&stack, "SELECT count() FROM otel_traces").await?, 0);
    stack.await_count("SELECT count() FROM otel_traces", all, ARRIVAL).await?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.origin.process.stop().await?;
    stack.stop_now().await
}

#[tokio::test]
async fn beside_a_consumer_objects_that_wait_are_stored_once() -> Result<()> {
    let setup = Setup { origin_arguments: vec!["--without-consumer"], ..Setup::default() };
    let mut stack = TestStack::start_with(setup).await?;
    small(&mut stack);
    for _ in 0..60 {
        Export::new(8).accepted(&stack).await?;
    }
    await_metric(&stack.origin.url, "spillway_queue_objects{state=\"pending\"} 60").await?;
    stack.origin.process.kill().await?;
    let replays = async {
        tokio::try_join!(
            replay(&stack, "--from 1h --concurrency 4"),
            replay_with(&stack, "--prefix v1/", &[("SPILLWAY_CONSUMER__BATCH_OBJECTS", "7")]),
        )
    };
    let consumer = async {
        let mut command = std::process::Command::new(local_stack::tools::binary("origin-consumer")?);
        command.args(["--exit-on-stdin-eof", "consume"]).envs(stack.origin_variables());
        local_stack::process::Process::start("consumer", command, stack.folder())
    };
    let (consumer, replays) = tokio::join!(consumer, replays);
    let (one, other) = replays?;
    one.ended(0)?;
    other.ended(0)?;
    assert_once(&stack, "otel_traces", 480).await?;
    assert!(consumer?.stop().await?.success());
    stack.restart_origin(&[]).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_replay_that_is_asked_to_end_says_how_to_go_on() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 12, 10).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    let arguments = "--from 1h --checkpoint replay.json --rate 2objects/s";
    let mut replaying = start_replay(&stack, arguments, &[])?;
    stack.await_count("SELECT toUInt64(count() > 0) FROM otel_traces", 1, ARRIVAL).await?;
    let status = replaying.stop().await?;
    let said = std::fs::read_to_string(stack.folder().join("replay.log"))?;
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(said.contains("call it again with the same arguments to go on from replay.json"), "{said}");
    let before = count(&stack, "SELECT count() FROM otel_traces").await?;
    assert!(before < all, "{said}");
    let said = replay(&stack, "--from 1h --checkpoint replay.json").await?.ended(0)?;
    assert!(said.contains(", after v1/"), "{said}");
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_database_that_goes_away_is_waited_for() -> Result<()> {
    let mut stack = TestStack::start().await?;
    if !stack.engine.is_ours() {
        return Ok(());
    }
    let all = stored(&stack, 20, 10).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    let mut replaying = start_replay(&stack, "--from 1h --rate 5objects/s", &SMALL)?;
    stack.await_count("SELECT toUInt64(count() > 0) FROM otel_traces", 1, ARRIVAL).await?;
    stack.engine.process().context("it is ours")?.kill().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(replaying.ended()?.is_none(), "{}", std::fs::read_to_string(stack.folder().join("replay.log"))?);
    stack.engine.restart().await?;
    let deadline = std::time::Instant::now() + 2 * ARRIVAL;
    let status = loop {
        if let Some(status) = replaying.ended()? {
            break status;
        }
        anyhow::ensure!(std::time::Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(status.success(), "{}", std::fs::read_to_string(stack.folder().join("replay.log"))?);
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}
