//! Objects that cannot be stored: set aside with their reason, copied, and what operators do with them.

use anyhow::Result;
use serde_json::Value;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::metrics::await_metric;
use spillway_tests::stack::{Setup, TestStack};

/// A stack whose one object has become unreadable before it was stored. Returns its key and what it held.
async fn with_a_dead_object(export: &Export) -> Result<(TestStack, String, Vec<u8>)> {
    let vars = vec![("SPILLWAY_CONSUMER__POISON_TRIES", "2")];
    let setup = Setup { origin_arguments: vec!["--without-consumer"], origin_vars: vars, ..Setup::default() };
    let mut stack = TestStack::start_with(setup).await?;
    export.accepted(&stack).await?;
    await_metric(&stack.origin.url, "spillway_queue_objects{state=\"pending\"} 1").await?;
    let bucket = Bucket::of(&stack);
    let key = bucket.keys().await?.remove(0);
    let (bytes, _) = bucket.get(&key).await?;
    bucket.put(&key, bytes.iter().rev().copied().collect()).await?;
    stack.origin.process.stop().await?;
    stack.restart_origin(&[]).await?;
    await_metric(&stack.origin.url, "spillway_queue_objects{state=\"dead\"} 1").await?;
    Ok((stack, key, bytes))
}

#[tokio::test]
async fn a_dead_object_is_copied_listed_mended_and_stored() -> Result<()> {
    let export = Export::new(3);
    let (stack, key, good) = with_a_dead_object(&export).await?;
    let bucket = Bucket::of(&stack);
    let reason = bucket.await_object(&format!("dlq/{key}.json")).await?;
    let reason: Value = serde_json::from_slice(&reason)?;
    assert_eq!(
        (&reason["tenant"], &reason["spans"], &reason["tries"]),
        (&"acme".into(), &3.into(), &2.into())
    );
    assert!(reason["reason"].as_str().is_some_and(|text| text.contains("digest")), "{reason}");
    assert_eq!(bucket.get(&format!("dlq/{key}")).await?.0, bucket.get(&key).await?.0);

    let listed: Value = serde_json::from_str(&stack.origin_consumer("dlq list --json").await?.success()?)?;
    assert_eq!(listed[0]["object_key"], key.as_str());
    let listed = stack.origin_consumer("dlq list --tenant acme").await?.success()?;
    assert!(listed.contains(&key) && listed.contains("digest"), "{listed}");
    assert_eq!(stack.origin_consumer("dlq list --tenant other").await?.success()?, "");
    let shown: Value =
        serde_json::from_str(&stack.origin_consumer(&format!("dlq show {key}")).await?.success()?)?;
    assert_eq!(shown["spans"], 3);
    assert_eq!(stack.origin_consumer("meter").await?.code, 4);

    bucket.delete(&key).await?;
    let retried = stack.origin_consumer(&format!("dlq retry {key}")).await?;
    assert!(retried.code == 0 && retried.said.contains("from its copy"), "{retried:?}");
    await_metric(&stack.origin.url, "spillway_objects_dead_total 2\n").await?;

    bucket.put(&key, good).await?;
    stack.origin_consumer(&format!("dlq retry {key}")).await?.success()?;
    stack.await_trace(&export.trace_id, 3).await?;
    stack.origin_consumer("dlq retry --all").await?.failure(3)?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_discarded_object_is_accounted_for_and_stays_in_the_bucket() -> Result<()> {
    let (stack, key, _) = with_a_dead_object(&Export::new(3)).await?;
    stack.origin_consumer("dlq discard --all --reason broken").await?.success()?;
    assert_eq!(stack.origin_consumer("dlq list").await?.success()?, "");
    let listed = stack.origin_consumer("dlq list --discarded").await?.success()?;
    assert!(listed.contains(&key) && listed.contains("broken"), "{listed}");
    assert_eq!(stack.origin_consumer("meter").await?.code, 0);
    stack.origin_consumer(&format!("dlq discard {key} --reason again")).await?.failure(3)?;
    assert!(Bucket::of(&stack).keys().await?.contains(&key));
    stack.stop_now().await
}

#[tokio::test]
async fn the_command_line_says_what_it_wants() -> Result<()> {
    let stack = TestStack::start().await?;
    for arguments in
        ["dlq", "dlq retry", "dlq retry --all not-a-key", "dlq discard --all", "meter --minutes 0"]
    {
        stack.origin_consumer(arguments).await?.failure(2)?;
    }
    stack.stop_now().await
}
