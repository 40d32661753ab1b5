//! A batch into ClickHouse, after tries that left nothing, all, a part, or a token without its rows.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clickhouse::Client;
use local_stack::engine::{Engine, Source};
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::consume::Decoder;
use origin_consumer::insert::{
    self, BatchRows, Before, Rows, SchemaError, SpanTable, StoreError, TableError,
};
use origin_consumer::migrate::migrate;
use origin_consumer::queue::{ClaimLimits, Queue};
use prost::Message;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::rows::rows_of;
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::{Criteria, DecompressLimits, Encoding, RepairedRuns, SpanLimits, decode, judge};
use spillway_tests::export::Export;
use spillway_tests::notification::{now, stored};
use tempfile::TempDir;
use ulid::Ulid;

const SPANS: u64 = 160;
/// Both ways to the table.
const DECODERS: [Decoder; 2] = [Decoder::Wire, Decoder::Prost];

struct Bench {
    table: SpanTable,
    config: ClickHouseConfig,
    client: Client,
    batch: BatchRows,
    _engine: Engine,
    _folder: TempDir,
}

impl Bench {
    async fn start(decoder: Decoder) -> Result<Self> {
        Self::of(decoder, &[Export::new(40), Export::new(120)]).await
    }

    async fn of(decoder: Decoder, exports: &[Export]) -> Result<Self> {
        Self::of_objects(decoder, exports.iter().map(object).collect::<Result<_>>()?).await
    }

    async fn of_objects(decoder: Decoder, objects: Vec<Object>) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
        let config = ClickHouseConfig {
            url: engine.url.clone(),
            database: engine.database.clone(),
            ..ClickHouseConfig::default()
        };
        migrate(&config).await?;
        let batch = decoded(decoder, objects)?;
        let (table, client) = (SpanTable::new(&config, Duration::from_secs(30)), engine.client());
        Ok(Self { table, config, client, batch, _engine: engine, _folder: folder })
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

type Object = (Notification, Bytes);

fn object(export: &Export) -> Result<Object> {
    let spans = export.request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().map_or(0, Vec::len);
    let (notification, object) = stored(&export.body()?, u32::try_from(spans)?)?;
    Ok((notification, object.into()))
}

fn decoded(decoder: Decoder, objects: Vec<Object>) -> Result<BatchRows> {
    let batch_id = Ulid::generate();
    if decoder == Decoder::Prost {
        let rows = |(notification, object): Object| {
            let rows = rows_of(&notification, object, LIMITS, None)?;
            anyhow::Ok((notification.object_key, rows))
        };
        return Ok(BatchRows::of_each(batch_id, objects.into_iter().map(rows).collect::<Result<_>>()?));
    }
    let (mut columns, mut of_objects) = (SpanColumns::default(), Vec::new());
    for (notification, object) in objects {
        let first = u32::try_from(columns.len())?;
        columns.add_object(&notification, object, LIMITS, None, &mut Unzip::default())?;
        of_objects.push((notification.object_key, first..u32::try_from(columns.len())?));
    }
    Ok(BatchRows { batch_id, objects: of_objects, rows: Rows::Columns(columns.into()) })
}

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 8 << 20 };

#[tokio::test]
async fn a_first_try_stores_every_row() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.store(0).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_try_that_left_nothing_every_row_is_stored() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.store(1).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_a_try_that_stored_all_nothing_is_doubled() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        for earlier_tries in 0..4 {
            bench.store(earlier_tries).await?;
        }
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_without_its_rows_is_healed() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.store(0).await?;
        bench.execute("ALTER TABLE otel_traces DELETE WHERE 1").await?;
        bench.store(0).await?;
        // The failure that tokens alone would hide: the insert succeeded, and nothing is there.
        assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
        bench.store(1).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_over_more_days_than_an_insert_may_touch_is_stored_also_after_a_failed_try() -> Result<()> {
    for decoder in DECODERS {
        let begun = |day: u64| UnixMillis(now().0 - day * 3 * 86_400_000);
        let export = |first: u64| {
            let mut export = Export::new(20);
            let spans = &mut export.request["resourceSpans"][0]["scopeSpans"][0]["spans"];
            for (day, span) in (first..).zip(spans.as_array_mut().into_iter().flatten()) {
                span["startTimeUnixNano"] = begun(day).as_nanos().to_string().into();
                span["endTimeUnixNano"] = span["startTimeUnixNano"].clone();
            }
            export
        };
        let bench = Bench::of(decoder, &(0..SPANS).step_by(20).map(export).collect::<Vec<_>>()).await?;
        bench.store(1).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_missing_part_of_an_object_is_filled_in() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.store(0).await?;
        bench.execute("ALTER TABLE otel_traces DELETE WHERE RowNo % 3 = 1").await?;
        bench.store(1).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_times_of_traces_are_written_again_where_the_view_was_not_reached() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.store(0).await?;
        bench.execute("TRUNCATE TABLE otel_traces_trace_id_ts").await?;
        bench.store(1).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_of_more_objects_than_a_statement_can_name_is_looked_for_as_well() -> Result<()> {
    const OBJECTS: usize = 4_000;
    let objects: Vec<_> = (0..OBJECTS).map(|_| object(&Export::new(1))).collect::<Result<_>>()?;
    let notifications: Vec<_> = objects.iter().map(|(notification, _)| notification.clone()).collect();
    let bench = Bench::of_objects(Decoder::Wire, objects).await?;
    let keys: Vec<_> = bench.batch.objects.iter().map(|(key, _)| key.clone()).collect();
    let named: usize = keys.iter().map(|key| key.to_string().len()).sum();
    let most =
        bench.count("SELECT toUInt64(value) FROM system.settings WHERE name = 'max_query_size'").await?;
    anyhow::ensure!(named as u64 > most, "{named} bytes of keys are too few");
    bench.store(1).await?;
    assert_eq!(insert::complete(&bench.table, &keys).await?.len(), OBJECTS);
    assert_eq!(insert::same_requests(&bench.table, &notifications, 1_000).await?, []);
    assert_eq!(bench.table.audit(&keys).await?.len(), OBJECTS);
    bench.store(2).await?;
    assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, OBJECTS as u64);
    bench.table.delete(&keys).await?;
    assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
    Ok(())
}

#[tokio::test]
async fn whoever_has_lost_the_lease_inserts_nothing() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        let queue = Queue::in_memory(0).await?;
        let (notification, _) = stored(&Export::new(1).body()?, 1)?;
        queue.enqueue(notification, now()).await?;
        let (delay, lease) = (Duration::ZERO, Duration::ZERO);
        let at_once = ClaimLimits { objects: 1, spans: 1, bytes: 1 << 20, delay, lease };
        let batch = queue.claim(at_once, now()).await?.batch().context("a batch")?;
        let first_try = Before { inserts: 0, look_first: false };
        let late = insert::store(&bench.table.under(&batch.lease), &bench.batch, first_try).await;
        assert!(
            matches!(late, Err(StoreError::Sink(TableError::LeaseOver(id))) if id == batch.id),
            "{late:?}"
        );
        assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
        queue.renew(&batch, UnixMillis(now().0 + 60_000)).await?;
        insert::store(&bench.table.under(&batch.lease), &bench.batch, first_try).await?;
        bench.assert_every_row_once().await?;
    }
    Ok(())
}

#[tokio::test]
async fn both_ways_store_the_same_rows() -> Result<()> {
    let bench = Bench::start(Decoder::Wire).await?;
    let fixtures = [
        include_str!("../fixtures/opentelemetry-proto-trace.json"),
        include_str!("../fixtures/flare-client-php-trace.json"),
    ];
    // One has more names than two bytes can number.
    let mut objects = vec![object(&Export::new(300))?, object(&Export::new(65_537))?];
    for fixture in fixtures {
        let request = decode(fixture.as_bytes(), Encoding::Json)?.encode_to_vec();
        let verdict =
            judge(&request, &Criteria::new(SpanLimits::default(), now()), &RepairedRuns::default())?;
        anyhow::ensure!(verdict.accepted > 0);
        let (notification, object) = stored(&request, verdict.accepted)?;
        objects.push((notification, object.into()));
    }
    for (decoder, table) in DECODERS.into_iter().zip(["by_wire", "by_prost"]) {
        bench.execute(&format!("CREATE TABLE {table} AS otel_traces")).await?;
        let config = ClickHouseConfig { table: table.to_owned(), ..bench.config.clone() };
        let table = SpanTable::new(&config, Duration::from_secs(30));
        let first_try = Before { inserts: 0, look_first: false };
        insert::store(&table, &decoded(decoder, objects.clone())?, first_try).await?;
    }
    let count = |table: &str, other: &str| {
        format!("SELECT count() FROM (SELECT * FROM {table} EXCEPT SELECT * FROM {other})")
    };
    let rows = bench.count("SELECT count() FROM by_prost").await?;
    assert!(rows > 300 + 65_537);
    assert_eq!(bench.count("SELECT count() FROM by_wire").await?, rows);
    assert_eq!(bench.count(&count("by_wire", "by_prost")).await?, 0);
    assert_eq!(bench.count(&count("by_prost", "by_wire")).await?, 0);
    Ok(())
}

/// `rebuild-table` does that, beside consumers that have written to the one and go on with the other.
#[tokio::test]
async fn a_table_that_was_exchanged_for_one_of_another_layout_is_written_as_it_is_then() -> Result<()> {
    let steps = [
        include_str!("../../origin-consumer/migrations/0001_otel_traces.sql"),
        include_str!("../../origin-consumer/migrations/0002_what_otlp_has.sql"),
    ];
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        let statements = steps.iter().flat_map(|step| step.split(";\n"));
        for statement in statements.map(str::trim).filter(|statement| !statement.is_empty()) {
            bench.execute(&statement.replace("otel_traces", "live")).await?;
        }
        let config = ClickHouseConfig { table: "live".to_owned(), ..bench.config.clone() };
        let table = SpanTable::new(&config, Duration::from_secs(30));
        let count = async || bench.count("SELECT count() FROM live").await;
        for inserts in 0..3 {
            insert::store(&table, &bench.batch, Before { inserts, look_first: false }).await?;
            assert_eq!(count().await?, SPANS);
        }
        for suffix in ["", "_trace_id_ts"] {
            bench.execute(&format!("EXCHANGE TABLES live{suffix} AND otel_traces{suffix}")).await?;
        }
        table.check().await?;
        for inserts in 3..5 {
            insert::store(&table, &bench.batch, Before { inserts, look_first: false }).await?;
            assert_eq!(count().await?, SPANS);
        }
        let tenants = "SELECT uniqExactIf(TraceId, TenantId = 'acme') FROM live_trace_id_ts";
        assert_eq!(bench.count(tenants).await?, bench.batch.objects.len() as u64);
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_table_is_an_error_with_the_columns_name() -> Result<()> {
    for decoder in DECODERS {
        let bench = Bench::start(decoder).await?;
        bench.table.check().await?;
        bench.execute("ALTER TABLE otel_traces MODIFY COLUMN TraceFlags UInt32 FIRST").await?;
        bench.execute("ALTER TABLE otel_traces ADD COLUMN Further String AFTER TraceId").await?;
        // Neither another order nor a column more is any harm: no column is shifted.
        bench.table.check().await?;
        bench.store(0).await?;
        bench.assert_every_row_once().await?;
        assert_eq!(bench.count("SELECT count() FROM otel_traces WHERE ServiceName = 'shop'").await?, SPANS);
        bench.execute("ALTER TABLE otel_traces MODIFY COLUMN TraceFlags String").await?;
        let error = bench.table.check().await;
        assert!(matches!(error, Err(SchemaError::Type { column: "TraceFlags", .. })), "{error:?}");
        bench.execute("ALTER TABLE otel_traces DROP COLUMN TraceFlags").await?;
        let error = bench.table.check().await;
        assert!(matches!(error, Err(SchemaError::NoColumn { column: "TraceFlags", .. })), "{error:?}");
        bench.execute("TRUNCATE TABLE otel_traces").await?;
        let error = bench.store(1).await.map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains("TraceFlags")), "{error:?}");
        assert_eq!(bench.count("SELECT count() FROM otel_traces").await?, 0);
    }
    Ok(())
}
