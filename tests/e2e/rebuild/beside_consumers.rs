//! Beside consumers and exporters: the command is killed at each of its steps, and at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use local_stack::postgres::Postgres;
use spillway_proto::UnixMillis;
use spillway_tests::export::Export;
use spillway_tests::metrics::await_metric;
use spillway_tests::notification::now;
use spillway_tests::old_table;
use spillway_tests::rebuild::{rebuild, rebuild_until_abort, start_rebuild};
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};
use tempfile::TempDir;

use super::{assert_same_rows, assert_trace_times};

const SPANS: u64 = 3;
const DAY_MS: u64 = 86_400_000;
/// Each further on than the one before.
const STEPS: [&str; 14] = [
    "rebuild::made=1*return(abort)",
    "rebuild::day_begun=1*off->1*return(abort)",
    "rebuild::day_copied=1*return(abort)",
    "rebuild::day_copied=2*off->1*return(abort)",
    "rebuild::filled=1*return(abort)",
    "rebuild::caught_up=1*return(abort)",
    "rebuild::paused=1*return(abort)",
    "rebuild::quiet=1*return(abort)",
    "rebuild::same=1*return(abort)",
    "rebuild::view_changed=1*return(abort)",
    "rebuild::times_exchanged=1*return(abort)",
    "rebuild::exchanged=1*return(abort)",
    "rebuild::settled=1*return(abort)",
    "rebuild::verified=1*return(abort)",
];

/// Exports until it is told to stop; counts the spans that were accepted.
struct Load {
    stop: Arc<AtomicBool>,
    spans: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Load {
    fn start(stack: &TestStack) -> Result<Self> {
        let (stop, spans) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (url, key) = (stack.edge.url.clone(), stack.key("acme")?.to_owned());
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&spans));
        let task = tokio::spawn(async move {
            let http = local_stack::http::client();
            for round in 0u64.. {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                // Most of today, some of the days before.
                let age = if round.is_multiple_of(5) { (round / 5 % 4) * DAY_MS } else { 0 };
                let export = Export::new(SPANS as usize).begun_at(UnixMillis(now().0 - age));
                let request = http.post(format!("{url}/v1/traces")).header("x-api-key", &key);
                let request = request.header("content-type", "application/x-protobuf").body(export.body()?);
                ensure!(request.send().await?.status() == 200);
                counts.fetch_add(SPANS, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            Ok(())
        });
        Ok(Self { stop, spans, task })
    }

    async fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.spans.load(Ordering::Relaxed))
    }
}

/// A stack on a server of another zone, whose table is of the first layout and has spans of four days.
async fn stack(further: Vec<(&str, &str)>) -> Result<(TestStack, u64)> {
    let mut origin_vars =
        vec![("SPILLWAY_CONSUMER__LEASE_SECONDS", "5"), ("SPILLWAY_AUDIT__AFTER_SECONDS", "1")];
    origin_vars.extend(further);
    let engine_vars = [("TZ".to_owned(), "America/New_York".to_owned())].into();
    let mut stack = TestStack::start_with(Setup { engine_vars, origin_vars, ..Setup::default() }).await?;
    old_table::give(&mut stack).await?;
    let mut spans = 0;
    for age in 0..4 {
        for _ in 0..5 {
            Export::new(40).begun_at(UnixMillis(now().0 - age * DAY_MS)).accepted(&stack).await?;
            spans += 40;
        }
    }
    stack.await_count("SELECT count() FROM otel_traces", spans, ARRIVAL).await?;
    Ok((stack, spans))
}

/// Ends the load, and expects each span once, in the new table, and found whole by the audit.
async fn assert_each_span_once(stack: &TestStack, load: Load, before: u64) -> Result<()> {
    let all = before + load.end().await?;
    stack.await_count("SELECT count() FROM otel_traces", all, 2 * ARRIVAL).await?;
    let client = stack.clickhouse();
    let distinct: u64 =
        client.query_raw("SELECT uniqExact(ObjectKey, RowNo) FROM otel_traces").fetch_one().await?;
    let spans: u64 =
        client.query_raw("SELECT uniqExact(TraceId, SpanId) FROM otel_traces").fetch_one().await?;
    ensure!((distinct, spans) == (all, all), "{distinct} rows and {spans} spans are distinct, of {all}");
    assert_trace_times(&client).await?;
    let objects: u64 = client.query_raw("SELECT uniqExact(ObjectKey) FROM otel_traces").fetch_one().await?;
    await_metric(
        &stack.origin.url,
        &format!("spillway_objects_audited_total{{finding=\"whole\"}} {objects}"),
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_it_moves_every_row_once_while_spans_come_in() -> Result<()> {
    let (stack, before) = stack(Vec::new()).await?;
    let load = Load::start(&stack)?;
    for step in STEPS {
        rebuild_until_abort(&stack, step).await?;
        // Longer than a pause that it has left behind, in two of the cases: consumers go on.
        if step.contains("same") || step.contains("exchanged") {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let done = rebuild(&stack, "").await?;
    let said = done.said.clone();
    let statements = done.success().context(said.clone())?;
    ensure!(said.contains("the new table holds every row of the old one, once"), "{said}");
    ensure!(
        statements.contains("DROP TABLE IF EXISTS") && statements.contains("otel_traces_rebuild"),
        "{statements}"
    );
    assert_each_span_once(&stack, load, before).await?;
    // What the old one has is in the new one as it was.
    let client = stack.clickhouse();
    let moved = "CREATE TABLE moved ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM otel_traces
        WHERE (ObjectKey, RowNo) IN (SELECT ObjectKey, RowNo FROM otel_traces_rebuild)";
    client.query_raw(moved).execute().await?;
    assert_same_rows(&client, "otel_traces_rebuild", "moved").await?;
    for statement in statements.split(";\n").filter(|statement| !statement.is_empty()) {
        client.query_raw(statement).execute().await?;
    }
    rebuild(&stack, "").await?.ended(0)?;
    let said = stack.origin_consumer("doctor --only inside --all").await?;
    ensure!(said.out.contains("has its days and times in UTC"), "{said:?}");
    stack.stop_now().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_time_and_with_the_server_it_moves_every_row_once() -> Result<()> {
    let (mut stack, before) = stack(Vec::new()).await?;
    if !stack.engine.is_ours() {
        return stack.stop_now().await;
    }
    let load = Load::start(&stack)?;
    for round in 0..12u64 {
        let mut process = start_rebuild(&stack, &[])?;
        tokio::time::sleep(Duration::from_millis(60 + round * 90)).await;
        if round % 4 == 3 {
            stack.engine.process().context("it is ours")?.kill().await?;
            stack.engine.restart().await?;
        }
        if process.ended()?.is_none() {
            process.kill().await?;
        }
    }
    let deadline = Instant::now() + 4 * ARRIVAL;
    loop {
        let done = rebuild(&stack, "").await?;
        if done.code == 0 {
            break;
        }
        ensure!(done.code == 1 && Instant::now() < deadline, "{done:?}");
    }
    assert_each_span_once(&stack, load, before).await?;
    stack.stop_now().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_inserts_wait_for_the_exchange_and_go_on() -> Result<()> {
    let folder = TempDir::with_prefix("spillway-test-")?;
    let postgres = Postgres::start(folder.path()).await?;
    let url = postgres.create_database("ledger").await?;
    let (stack, before) = stack(vec![("SPILLWAY_QUEUE__URL", url.as_str())]).await?;
    let load = Load::start(&stack)?;
    // Killed within the pause, which ends by itself.
    rebuild_until_abort(&stack, "rebuild::quiet=1*return(abort)").await?;
    let export = Export::new(2);
    let paused = Instant::now();
    export.accepted(&stack).await?;
    await_metric(&stack.origin.url, "spillway_batches_total{outcome=\"PutOff\"} ").await?;
    ensure!(stack.count(&export.trace_id).await? == 0, "it is stored while inserts are paused");
    stack
        .await_count(
            &format!("SELECT count() FROM otel_traces WHERE TraceId = '{}'", export.trace_id),
            2,
            2 * ARRIVAL,
        )
        .await?;
    ensure!(paused.elapsed() > Duration::from_secs(15), "the pause was over after {:?}", paused.elapsed());
    let done = rebuild(&stack, "--drop-old").await?;
    ensure!(done.code == 0, "{done:?}");
    assert_each_span_once(&stack, load, before + 2).await?;
    stack.stop_now().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_and_replay_work_on_the_first_layout_and_say_so() -> Result<()> {
    let (stack, all) = stack(Vec::new()).await?;
    let log = std::fs::read_to_string(stack.folder().join("origin.log"))?;
    ensure!(log.contains("the table has its first layout") && log.contains("rebuild-table"), "{log}");
    stack
        .clickhouse()
        .query_raw("ALTER TABLE otel_traces DELETE WHERE RowNo < 20 SETTINGS mutations_sync = 2")
        .execute()
        .await?;
    let said = spillway_tests::replay::replay(&stack, "--from 1h").await?.ended(0)?;
    ensure!(said.contains("the table has its first layout"), "{said}");
    stack.await_count("SELECT count() FROM otel_traces", all, ARRIVAL).await?;
    let doctor = stack.origin_consumer("doctor --only inside").await?;
    ensure!(
        doctor.out.contains("FAULT table_layout") && doctor.out.contains("America/New_York"),
        "{doctor:?}"
    );
    let plan = rebuild(&stack, "--dry-run").await?.success()?;
    for row in ["rows", "parts", "partitions", "days in UTC", "bytes needed", "bytes free"] {
        ensure!(plan.contains(row), "{plan}");
    }
    let made =
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name LIKE '%rebuild%'";
    ensure!(stack.clickhouse().query_raw(made).fetch_one::<u64>().await? == 0);
    stack.stop_now().await
}
