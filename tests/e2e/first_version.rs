//! What Spillway 0.1 has stored, under this version: its objects are judged as they were, its ledger opens, and a request that was
//! tried at an edge of each version is one.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, ensure};
use local_stack::http;
use rusqlite::Connection;
use serde_json::Value;
use spillway_proto::ObjectKey;
use spillway_proto::notification::{CONTENT_TYPE, Notification};
use spillway_proto::otlp::Compression;
use spillway_proto::record::records_of;
use spillway_proto::signature::{HEADER, sign};
use spillway_tests::bucket::Bucket;
use spillway_tests::first_version::{LEDGER, ROWS, StoredObject, objects};
use spillway_tests::notification::now;
use spillway_tests::old_table;
use spillway_tests::replay::replay;
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};
use ulid::Ulid;

/// All that the corpus holds was received after this.
const SINCE: &str = "--from 2026-11-30T00:00:00Z";
/// The spans of `two-projects-2`, which 0.1 took for a resend of `two-projects-1`.
const SWALLOWED: u64 = 3;

async fn put(stack: &TestStack, objects: &[StoredObject]) -> Result<()> {
    let bucket = Bucket::of(stack);
    for object in objects {
        bucket.put_with(&object.key.to_string(), object.bytes.clone(), object.metadata.clone()).await?;
    }
    Ok(())
}

async fn insert_rows(stack: &TestStack) -> Result<()> {
    let first: Value = serde_json::from_str(ROWS.lines().next().context("no rows")?)?;
    let columns: Vec<_> =
        first.as_object().into_iter().flatten().map(|(name, _)| format!("`{name}`")).collect();
    let insert = format!("INSERT INTO otel_traces ({}) FORMAT JSONEachRow\n{ROWS}", columns.join(", "));
    Ok(stack.clickhouse().query_raw(&insert).execute().await?)
}

async fn count(stack: &TestStack, query: &str) -> Result<u64> {
    Ok(stack.clickhouse().query_raw(query).fetch_one().await?)
}

/// The rows by object and number, without the columns that 0.1 did not know.
async fn rows(stack: &TestStack, table: &str, condition: &str) -> Result<BTreeMap<(String, u64), Value>> {
    let known: Value = serde_json::from_str(ROWS.lines().next().context("no rows")?)?;
    let known: HashSet<_> = known.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let mut rows = BTreeMap::new();
    for mut row in stack.rows_of(table, condition).await? {
        let key = row["ObjectKey"].as_str().context("no key")?.to_owned();
        let number = row["RowNo"].as_u64().context("no number")?;
        if let Some(columns) = row.as_object_mut() {
            columns.retain(|name, _| known.contains(name));
        }
        ensure!(rows.insert((key, number), row).is_none(), "a row is there twice");
    }
    Ok(rows)
}

fn named<'o>(objects: &'o [StoredObject], name: &str) -> Result<&'o StoredObject> {
    objects.iter().find(|object| object.name == name).with_context(|| format!("no object {name}"))
}

/// On the day after they were made, the sweep would store the objects, whose rows are put beside the ledger here.
fn sweeping_nothing_old() -> Setup<'static> {
    Setup { origin_vars: vec![("SPILLWAY_SWEEP__LOOKBACK_SECONDS", "60")], ..Setup::default() }
}

#[tokio::test]
async fn its_objects_are_replayed_over_their_own_rows_and_nothing_is_added() -> Result<()> {
    let mut stack = TestStack::start_with(sweeping_nothing_old()).await?;
    old_table::give(&mut stack).await?;
    let objects = objects()?;
    insert_rows(&stack).await?;
    put(&stack, &objects).await?;
    let swallowed = named(&objects, "two-projects-2")?;
    let of_others = format!("ObjectKey != '{}'", swallowed.key);
    let before = rows(&stack, "otel_traces", "1").await?;
    for arguments in [SINCE.to_owned(), SINCE.to_owned(), format!("--object {}", objects[0].key)] {
        let said = replay(&stack, &arguments).await?.ended(0)?;
        assert!(said.contains("all is stored"), "{said}");
        assert_eq!(rows(&stack, "otel_traces", &of_others).await?, before);
    }
    let added = format!("SELECT count() FROM otel_traces WHERE ObjectKey = '{}'", swallowed.key);
    assert_eq!(count(&stack, &added).await?, SWALLOWED);
    let ledger = Connection::open(stack.folder().join("queue.sqlite"))?;
    let dead = "SELECT count(*) FROM objects WHERE state NOT IN ('stored', 'audited', 'duplicate')";
    assert_eq!(ledger.query_row(dead, [], |row| row.get::<_, u64>(0))?, 0);
    stack.stop_now().await
}

#[tokio::test]
async fn its_objects_are_stored_in_an_empty_table_as_they_were() -> Result<()> {
    let stack = TestStack::start_with(sweeping_nothing_old()).await?;
    let objects = objects()?;
    insert_rows(&stack).await?;
    let expected = rows(&stack, "otel_traces", "1").await?;
    for decoder in ["wire", "prost"] {
        stack.clickhouse().query_raw("TRUNCATE TABLE otel_traces").execute().await?;
        put(&stack, &objects).await?;
        let table = format!("by_{decoder}");
        let create = format!("CREATE TABLE {table} AS otel_traces");
        stack.clickhouse().query_raw(&create).execute().await?;
        let variables = [("SPILLWAY_CONSUMER__DECODER", decoder)];
        let arguments = format!("{SINCE} --table {table}");
        spillway_tests::replay::replay_with(&stack, &arguments, &variables).await?.ended(0)?;
        let swallowed = named(&objects, "two-projects-2")?;
        let found = rows(&stack, &table, &format!("ObjectKey != '{}'", swallowed.key)).await?;
        assert_eq!(found.len(), expected.len());
        let every_field = named(&objects, "every-field")?.key.to_string();
        for (key, row) in &found {
            let expected = &expected[key];
            if key.0 == every_field {
                assert_values_as_they_are_written_now(row, expected)?;
            } else {
                assert_eq!(row, expected, "{key:?}");
            }
        }
    }
    stack.stop_now().await
}

/// Values within lists and maps, and doubles that are no numbers, are written otherwise since; all else is the same.
fn assert_values_as_they_are_written_now(row: &Value, expected: &Value) -> Result<()> {
    for (name, value) in expected.as_object().context("no row")? {
        if name != "SpanAttributes" {
            assert_eq!(&row[name], value, "{name}");
            continue;
        }
        for (key, value) in value.as_object().context("no attributes")? {
            let now = match key.as_str() {
                "inf" => "Infinity",
                "nested.html" => r#"{"t":"<&>\u2028\u2029"}"#,
                "doubles" => "[100000000000000000000,1e+21,0.000001,1e-7,-0,5e-324]",
                _ => value.as_str().context("no text")?,
            };
            assert_eq!(row[name][key], now, "{key}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn its_ledger_is_brought_to_this_schema_and_goes_on() -> Result<()> {
    let mut stack = TestStack::start().await?;
    stack.origin.process.stop().await?;
    let file = stack.folder().join("queue.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(stack.folder().join(format!("queue.sqlite{suffix}")));
    }
    let objects = objects()?;
    let (waiting, dead) = (named(&objects, "gzip")?, named(&objects, "partial-backwards")?);
    let ledger = Connection::open(&file)?;
    ledger.execute_batch(LEDGER)?;
    let wait = "UPDATE objects SET state = 'pending', batch_id = NULL, look_first = 1 WHERE object_key = ?1";
    ledger.execute(wait, [waiting.key.to_string()])?;
    let die = "UPDATE objects SET state = 'dead', batch_id = NULL, reason = 'a test' WHERE object_key = ?1";
    ledger.execute(die, [dead.key.to_string()])?;
    drop(ledger);
    put(&stack, &objects).await?;
    stack.restart_origin(&[]).await?;
    let of =
        |object: &StoredObject| format!("SELECT count() FROM otel_traces WHERE ObjectKey = '{}'", object.key);
    stack.await_count(&of(waiting), 5, ARRIVAL).await?;
    let listed = stack.origin_consumer("dlq list").await?.success()?;
    assert!(listed.contains(&dead.key.to_string()), "{listed}");
    stack.origin_consumer(&format!("dlq retry {}", dead.key)).await?.success()?;
    stack.await_count(&of(dead), 3, ARRIVAL).await?;
    let copy = Connection::open(stack.folder().join("queue.sqlite.version-3"))?;
    let version = "SELECT value FROM marks WHERE mark = 'schema_version'";
    assert_eq!(copy.query_row(version, [], |row| row.get::<_, u64>(0))?, 3);
    stack.stop_now().await
}

/// The origin is of this version first, then the edge: tries of one request come from edges of both.
#[tokio::test]
async fn requests_that_edges_of_both_versions_have_taken_are_stored_once() -> Result<()> {
    let stack = TestStack::start().await?;
    let objects = objects()?;
    // Of keys with the usual limits and without a project; of JSON the body is not kept.
    let is_of_web = |object: &&StoredObject| {
        let name = object.name.as_str();
        !["strict", "json", "project", "two-projects", "resources", "packed-anew-2", "resend-second"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let mut expected = 0;
    for (number, object) in objects.iter().filter(is_of_web).enumerate() {
        let record = records_of(object.bytes.clone().into())?.remove(0);
        let encoding = match record.compression {
            Compression::Identity => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            other => anyhow::bail!("0.1 did not know {other:?}"),
        };
        let at_the_old_edge = async || {
            let old = again(object);
            put(&stack, std::slice::from_ref(&old)).await?;
            notify(&stack, &old.notification).await
        };
        let at_the_new_edge = async || {
            let mut post = http::client().post(format!("{}/v1/traces", stack.edge.url));
            post =
                post.header("x-api-key", stack.key("acme")?).header("content-type", "application/x-protobuf");
            if let Some(encoding) = encoding {
                post = post.header("content-encoding", encoding);
            }
            let answer = post.body(record.payload.clone()).send().await?;
            ensure!(answer.status() == 200, "{}: {}", object.name, answer.status());
            anyhow::Ok(())
        };
        if number % 2 == 0 {
            at_the_old_edge().await?;
            at_the_new_edge().await?;
            at_the_old_edge().await?;
        } else {
            at_the_new_edge().await?;
            at_the_old_edge().await?;
            at_the_new_edge().await?;
        }
        expected += valid_now(&object.name, object.key.spans());
    }
    stack.await_count("SELECT count() FROM otel_traces", expected, ARRIVAL).await?;
    stack.await_settled().await?;
    assert_eq!(count(&stack, "SELECT count() FROM otel_traces").await?, expected);
    // The request `field-1000` holds its span in both fields.
    assert_eq!(count(&stack, "SELECT uniqExact(TraceId, SpanId) FROM otel_traces").await?, expected - 1);
    stack.stop_now().await
}

/// How many spans of a request of the corpus are stored, once this version has judged it too; 0.1 has stored `then`.
fn valid_now(name: &str, then: u32) -> u64 {
    u64::from(match name {
        // The links, names, values and counts that used to reject a span are repaired.
        "partial-link-ids" | "partial-backwards" | "partial-names" | "partial-event-names" => 6,
        "partial-many-attributes" | "partial-large-values" | "partial-many-events" | "partial-many-links" => {
            2
        }
        // Spans in the field that scopes had before 2022.
        "field-1000" => 2,
        _ => then,
    })
}

/// The same object once more, as if it had been received now.
fn again(object: &StoredObject) -> StoredObject {
    let key = ObjectKey::new(now(), Ulid::generate().random(), object.key.object_id(), object.key.spans());
    let notification = Notification {
        object_key: key.clone(),
        received_at_unix_ms: key.received_at(),
        stored_at_unix_ms: key.received_at(),
        ..object.notification.clone()
    };
    StoredObject { key, notification, ..object.clone() }
}

async fn notify(stack: &TestStack, notification: &Notification) -> Result<()> {
    let body = serde_json::to_vec(notification)?;
    let signature = sign(stack.signing_key.as_bytes(), now(), &body);
    let post = http::client().post(format!("{}/v1/traces", stack.origin.url));
    let post = post.header("content-type", CONTENT_TYPE).header(HEADER, signature);
    ensure!(post.body(body).send().await?.status() == 202);
    Ok(())
}
