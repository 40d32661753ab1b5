//! Into the table that consumers write to: what is there stays, what is missing comes back.

use std::fs;

use anyhow::Result;
use spillway_proto::UnixMillis;
use spillway_proto::notification::{CONTENT_TYPE, Notification};
use spillway_proto::signature::{HEADER, sign};
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::metrics::await_metric;
use spillway_tests::notification::{now, stored_at};
use spillway_tests::replay::{replay, replay_until_abort, replay_with};
use spillway_tests::stack::{ARRIVAL, TestStack};

use super::{assert_once, count, execute, stored};

const BY_OBJECT: &str = "SELECT count() FROM (SELECT ObjectKey, count() FROM otel_traces GROUP BY ObjectKey
    SETTINGS force_optimize_projection_name = 'by_object')";

#[tokio::test]
async fn deleted_rows_come_back_and_nothing_is_doubled() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 10, 40).await?;
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;

    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE RowNo % 3 = 1").await?;
    let left = count(&stack, "SELECT count() FROM otel_traces").await?;
    assert!(left < all);
    // The projection is what is looked into.
    let sum = BY_OBJECT.replacen("count()", "sum(rows)", 1).replacen("count()", "count() AS rows", 1);
    assert_eq!(count(&stack, &sum).await?, left, "the projection follows ALTER TABLE DELETE");
    let said = replay(&stack, "--from 1h").await?.ended(0)?;
    assert!(said.contains("replay: 10 objects"), "{said}");
    assert_once(&stack, "otel_traces", all).await?;

    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn lightweight_deletes_are_refused_unless_the_projection_is_rebuilt() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 4, 40).await?;
    let delete = "DELETE FROM otel_traces WHERE RowNo % 2 = 1";
    let refused = execute(&stack, delete).await.unwrap_err().to_string();
    assert!(refused.contains("projection"), "{refused}");
    execute(
        &stack,
        "ALTER TABLE otel_traces MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild'",
    )
    .await?;
    execute(&stack, delete).await?;
    assert_eq!(count(&stack, "SELECT count() FROM otel_traces").await?, all / 2);
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn force_brings_back_what_was_changed() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 10, 20).await?;
    let changed = "SELECT count() FROM otel_traces WHERE StatusMessage = 'changed'";
    execute(&stack, "ALTER TABLE otel_traces UPDATE StatusMessage = 'changed' WHERE RowNo % 2 = 0").await?;
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_eq!(count(&stack, changed).await?, all / 2, "the rows are there, and are left as they are");
    let small = [("SPILLWAY_CONSUMER__BATCH_OBJECTS", "3")];
    // Killed between the deletion and the rows that take their place.
    replay_until_abort(&stack, "--from 1h --force", "consume::insert_begun=1*return(abort)").await?;
    replay_with(&stack, "--from 1h --force", &small).await?.ended(0)?;
    assert_eq!(count(&stack, changed).await?, 0);
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_new_table_takes_the_place_of_the_old_one() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 10, 20).await?;
    execute(&stack, "CREATE TABLE otel_traces_new AS otel_traces").await?;
    execute(&stack, "ALTER TABLE otel_traces_new ADD COLUMN Migrated UInt8 DEFAULT 1").await?;
    replay(&stack, "--from 1h --table otel_traces_new").await?.ended(0)?;
    execute(&stack, "EXCHANGE TABLES otel_traces AND otel_traces_new").await?;
    // What came in meanwhile went into the old one.
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    assert_eq!(count(&stack, "SELECT sum(Migrated) FROM otel_traces").await?, all);
    let export = Export::new(2);
    export.accepted(&stack).await?;
    stack.await_trace(&export.trace_id, 2).await?;
    let times = format!(
        "SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts WHERE TraceId = '{}'",
        export.trace_id
    );
    // The view follows the name; its row may come after those of the table.
    stack.await_count(&times, 1, ARRIVAL).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_folder_brings_back_rows_and_objects_that_the_bucket_has_lost() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let all = stored(&stack, 4, 30).await?;
    let bucket = Bucket::of(&stack);
    let keys = bucket.keys().await?;
    let folder = stack.folder().join("backup");
    for key in &keys {
        let path = folder.join(key);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, bucket.get(key).await?.0)?;
    }
    bucket.delete(&keys[0]).await?;
    bucket.delete(&keys[3]).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    // A consumer that takes over finds the objects in the bucket.
    replay_until_abort(&stack, "--folder backup", "consume::insert_begun=1*return(abort)").await?;
    stack.await_count("SELECT count() FROM otel_traces", all, ARRIVAL).await?;
    assert_eq!(bucket.keys().await?, keys);
    replay(&stack, "--folder backup").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;

    // A file that is not what was stored is none.
    let (good, _) = bucket.get(&keys[1]).await?;
    let copy = folder.join(&keys[1]);
    fs::write(&copy, fs::read(folder.join(&keys[2]))?)?;
    let said = replay(&stack, "--folder backup").await?.ended(3)?;
    assert!(
        said.contains(&format!("cannot be read: {}", keys[1])) && said.contains("digests differ"),
        "{said}"
    );
    fs::write(&copy, good)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.origin.process.stop().await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_corrupted_object_is_named_and_the_others_are_stored() -> Result<()> {
    let stack = TestStack::start().await?;
    let all = stored(&stack, 5, 10).await?;
    let (bucket, keys) = (Bucket::of(&stack), Bucket::of(&stack).keys().await?);
    let (good, _) = bucket.get(&keys[2]).await?;
    let described = |bytes: Vec<u8>| {
        let sha256 = spillway_proto::Sha256Digest::of(&good).to_string();
        let put = bucket.client().put_object().bucket(local_stack::stack::BUCKET).key(&keys[2]);
        let put = put.metadata("tenant", "acme").metadata("sha256", sha256).metadata("payload-bytes", "1000");
        put.metadata("traceparent", format!("00-{}-{}-01", "1".repeat(32), "2".repeat(16)))
            .body(bytes.into())
            .send()
    };
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    described(bad).await?;
    execute(&stack, "ALTER TABLE otel_traces DELETE WHERE 1").await?;
    let said = replay(&stack, "--from 1h").await?.ended(3)?;
    assert!(said.contains(&format!("cannot be read: {}", keys[2])) && said.contains("digest"), "{said}");
    assert_once(&stack, "otel_traces", all - 10).await?;
    described(good.clone()).await?;
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn a_ledger_that_was_lost_is_filled_again_and_nothing_is_doubled() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let all = stored(&stack, 20, 5).await?;
    stack.origin.process.kill().await?;
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(stack.folder().join(format!("queue.sqlite{suffix}")));
    }
    stack.set_origin_var("SPILLWAY_SWEEP__GRACE_SECONDS", "0");
    stack.set_origin_var("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1");
    stack.restart_origin(&[]).await?;
    await_metric(&stack.origin.url, "spillway_objects_swept_total 20\n").await?;
    await_metric(&stack.origin.url, &format!("spillway_spans_stored_total {all}\n")).await?;
    assert_once(&stack, "otel_traces", all).await?;
    replay(&stack, "--from 1h").await?.ended(0)?;
    assert_once(&stack, "otel_traces", all).await?;
    stack.stop_now().await
}

/// A request of one span, received before the ledger was lost, and once more after that.
#[tokio::test]
async fn a_resend_of_what_a_lost_ledger_knew_is_not_stored_besides_it() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let payload = Export::new(3).body()?;
    let minute_ago = UnixMillis(now().0 - 60_000);
    let bucket = Bucket::of(&stack);
    let (first, object) = stored_at(&payload, 3, minute_ago)?;
    bucket.put(&first.object_key.to_string(), object).await?;
    notify(&stack, &first).await?;
    stack.await_count("SELECT count() FROM otel_traces", 3, ARRIVAL).await?;
    let (resend, object) = stored_at(&payload, 3, now())?;
    bucket.put(&resend.object_key.to_string(), object).await?;

    stack.origin.process.kill().await?;
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(stack.folder().join(format!("queue.sqlite{suffix}")));
    }
    // Nobody but the notification tells of anything.
    stack.set_origin_var("SPILLWAY_SWEEP__GRACE_SECONDS", "3600");
    stack.set_origin_var("SPILLWAY_SWEEP__LOOKBACK_SECONDS", "0");
    stack.restart_origin(&[]).await?;
    notify(&stack, &resend).await?;
    await_metric(&stack.origin.url, "spillway_batches_total{outcome=\"SetBack\"} 1\n").await?;
    stack.origin.process.kill().await?;
    stack.set_origin_var("SPILLWAY_SWEEP__GRACE_SECONDS", "0");
    stack.set_origin_var("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1");
    stack.restart_origin(&[]).await?;
    await_metric(&stack.origin.url, "spillway_spans_stored_total 3\n").await?;
    assert_once(&stack, "otel_traces", 3).await?;
    stack.stop_now().await
}

async fn notify(stack: &TestStack, notification: &Notification) -> Result<()> {
    let body = serde_json::to_string(notification)?;
    let signed = sign(stack.signing_key.as_bytes(), now(), body.as_bytes());
    let request = local_stack::http::client().post(format!("{}/v1/traces", stack.origin.url));
    let request = request.header("content-type", CONTENT_TYPE).header(HEADER, signed);
    assert_eq!(request.body(body).send().await?.status(), 202);
    Ok(())
}
