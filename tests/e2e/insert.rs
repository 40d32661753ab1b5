//! A batch into ClickHouse, after tries that left nothing, all, a part, or a token without its rows.

use std::time::Duration;

use anyhow::{Context, Result};
use clickhouse::Client;
use local_stack::engine::{Engine, Source};
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::insert::{self, BatchRows, Before, SpanTable, StoreError, TableError};
use origin_consumer::migrate::migrate;
use origin_consumer::queue::{ClaimLimits, Queue};
use origin_consumer::rows::{SpanRow, rows_of};
use spillway_proto::otlp::DecompressLimits;
use spillway_proto::{ObjectKey, UnixMillis};
use spillway_tests::export::Export;
use spillway_tests::notification::{now, stored};
use tempfile::TempDir;
use ulid::Ulid;

const SPANS: u64 = 160;

struct Bench {
    table: SpanTable,
    client: Client,
    batch: BatchRows,
    _engine: Engine,
    _folder: TempDir,
}

impl Bench {
    async fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
        let config = ClickHouseConfig {
            url: engine.url.clone(),
            database: engine.database.clone(),
            ..ClickHouseConfig::default()
        };
        migrate(&config).await?;
        let objects = [object(40)?, object(120)?].into();
        let batch = BatchRows { batch_id: Ulid::generate(), objects };
        let table = SpanTable::new(&config, Duration::from_secs(30));
        Ok(Self { table, client: engine.client(), batch, _engine: engine, _folder: folder })
    }

    async fn store(&self, earlier_tries: u32) -> Result<()> {
        let before = Before { inserts: earlier_tries, look_first: false };
        Ok(insert::store(&self.table, &self.batch, before).await?)
    }

    async fn count(&self, query: &str) -> Result<u64> {
        Ok(self.client.query_raw(query).fetch_one().await?)
    }

    async fn assert_every_row_once(&self) -> Result<()> {
        assert_eq!(self.count("SELECT count() FROM otel_traces").await?, SPANS);
        assert_eq!(self.count("SELECT uniqExact(ObjectKey, RowNo) FROM otel_traces").await?, SPANS);
        let traces = self.count("SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts").await?;
        assert_eq!(traces, self.batch.objects.len() as u64);
        Ok(())
    }

    async fn execute(&self, statement: &str) -> Result<()> {
        let statement = self.client.query_raw(statement).with_setting("mutations_sync", "2");
        Ok(statement.execute().await?)
    }
}

fn object(spans: usize) -> Result<(ObjectKey, Vec<SpanRow>)> {
    let (notification, object) = stored(&Export::new(spans).body()?, u32::try_from(spans)?)?;
    let limits = DecompressLimits { max_bytes: 1 << 20, max_ratio: 100 };
    let rows = rows_of(&notification, object.into(), limits)?;
    Ok((notification.object_key, rows))
}

#[tokio::test]
async fn a_first_try_stores_every_row() -> Result<()> {
    let bench = Bench::start().await?;
    bench.store(0).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn after_a_try_that_left_nothing_every_row_is_stored() -> Result<()> {
    let bench = Bench::start().await?;
    bench.store(1).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn after_a_try_that_stored_all_nothing_is_doubled() -> Result<()> {
    let bench = Bench::start().await?;
    for earlier_tries in 0..4 {
        bench.store(earlier_tries).await?;
    }
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn a_token_without_its_rows_is_healed() -> Result<()> {
    let bench = Bench::start().await?;
    bench.store(0).await?;
    bench.execute("ALTER TABLE otel_traces DELETE WHERE 1").await?;
    bench.store(0).await?;
    // The failure that tokens alone would hide: the insert succeeded, and nothing is there.
    assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
    bench.store(1).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn a_batch_over_more_days_than_an_insert_may_touch_is_stored_also_after_a_failed_try() -> Result<()> {
    let mut bench = Bench::start().await?;
    let rows = bench.batch.objects.iter_mut().flat_map(|(_, rows)| rows);
    for (day, row) in rows.enumerate() {
        row.timestamp = 1_700_000_000_000_000_000 + day as i64 * 3 * 86_400_000_000_000;
        row.trace_id = format!("{:032x}", day % 2);
    }
    bench.store(1).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn the_missing_part_of_an_object_is_filled_in() -> Result<()> {
    let bench = Bench::start().await?;
    bench.store(0).await?;
    bench.execute("ALTER TABLE otel_traces DELETE WHERE RowNo % 3 = 1").await?;
    bench.store(1).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn the_times_of_traces_are_written_again_where_the_view_was_not_reached() -> Result<()> {
    let bench = Bench::start().await?;
    bench.store(0).await?;
    bench.execute("TRUNCATE TABLE otel_traces_trace_id_ts").await?;
    bench.store(1).await?;
    bench.assert_every_row_once().await
}

#[tokio::test]
async fn whoever_has_lost_the_lease_inserts_nothing() -> Result<()> {
    let bench = Bench::start().await?;
    let queue = Queue::in_memory(0).await?;
    let (notification, _) = stored(&Export::new(1).body()?, 1)?;
    queue.enqueue(notification, now()).await?;
    let at_once = ClaimLimits { objects: 1, spans: 1, bytes: 1 << 20, lease: Duration::ZERO };
    let batch = queue.claim(at_once, now()).await?.context("a batch")?;
    let first_try = Before { inserts: 0, look_first: false };
    let late = insert::store(&bench.table.under(&batch.lease), &bench.batch, first_try).await;
    assert!(matches!(late, Err(StoreError::Sink(TableError::LeaseOver(id))) if id == batch.id), "{late:?}");
    assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
    queue.renew(&batch, UnixMillis(now().0 + 60_000)).await?;
    insert::store(&bench.table.under(&batch.lease), &bench.batch, first_try).await?;
    bench.assert_every_row_once().await
}
