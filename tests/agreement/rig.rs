//! One engine, and both ways into it: Spillway's decoders and inserts, and the Collector's exporter.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clickhouse::Client;
use local_stack::engine::{Engine, Source};
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::insert::{self, Before, SpanTable};
use origin_consumer::migrate::migrate;
use prost::Message;
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::Span;
use spillway_proto::otlp::{Criteria, ExportTraceServiceRequest, RepairedRuns, SpanLimits, judge};
use spillway_tests::batch::{DECODERS, Object, decoded};
use spillway_tests::notification::{now, stored_under};
use tempfile::TempDir;

use crate::exporter::{Answer, DATABASE, Exporter};
use crate::rows::{self, Column, CommonRow};

const DECODER_TABLES: [&str; DECODERS.len()] = ["by_wire", "by_prost"];
const INSERT_TIMEOUT: Duration = Duration::from_secs(30);

/// An engine with the exporter's table and Spillway's.
pub struct Rig {
    exporter: Exporter,
    client: Client,
    config: ClickHouseConfig,
    _engine: Engine,
    _folder: TempDir,
}

/// Both tables after the same requests.
pub struct Stored {
    /// The rows that the exporter wrote, by the spans' ids.
    pub exporters: Vec<CommonRow>,
    /// Spillway's.
    pub spillways: Vec<CommonRow>,
    /// What the exporter said of each request.
    pub answers: Vec<Answer>,
}

impl Rig {
    pub async fn start() -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
        let (url, database) = (engine.url.clone(), engine.database.clone());
        let config = ClickHouseConfig { url, database, ..ClickHouseConfig::default() };
        migrate(&config).await?;
        let (exporter, client) = (Exporter::start(&engine)?, engine.client());
        for table in DECODER_TABLES {
            client.query_raw(&format!("CREATE TABLE {table} AS otel_traces")).execute().await?;
        }
        Ok(Self { exporter, client, config, _engine: engine, _folder: folder })
    }

    /// Stores the requests both ways; Spillway's decoders have to come to the same rows.
    pub async fn store(&mut self, requests: &[Vec<u8>], limits: SpanLimits) -> Result<Stored> {
        let objects: Vec<_> =
            requests.iter().map(|request| object(request, limits)).collect::<Result<_>>()?;
        for (decoder, table) in DECODERS.into_iter().zip(DECODER_TABLES) {
            let config = ClickHouseConfig { table: table.to_owned(), ..self.config.clone() };
            let table = SpanTable::new(&config, INSERT_TIMEOUT);
            let first_try = Before { inserts: 0, look_first: false };
            insert::store(&table, &decoded(decoder, objects.clone())?, first_try).await?;
        }
        let mut answers = Vec::new();
        for request in requests {
            answers.push(self.exporter.export(request).await?);
        }
        let [wire, prost] = DECODER_TABLES;
        for (one, other) in [(wire, prost), (prost, wire)] {
            let query = format!("SELECT count() FROM (SELECT * FROM {one} EXCEPT SELECT * FROM {other})");
            let rows: u64 = self.client.query_raw(&query).fetch_one().await?;
            ensure!(rows == 0, "{rows} rows are in {one} and not in {other}");
        }
        let exporters = rows::rows(&self.client, &format!("{DATABASE}.otel_traces")).await?;
        let spillways = rows::rows(&self.client, wire).await?;
        Ok(Stored { exporters, spillways, answers })
    }

    /// The columns of both tables: the exporter's, and Spillway's.
    pub async fn columns(&mut self) -> Result<[Vec<Column>; 2]> {
        // The exporter makes its table before it answers.
        self.exporter.export(&[]).await?;
        Ok([
            rows::columns(&self.client, DATABASE, "otel_traces").await?,
            rows::columns(&self.client, &self.config.database, "otel_traces").await?,
        ])
    }

    pub async fn stop(self) -> Result<()> {
        self.exporter.stop().await
    }
}

fn object(request: &[u8], limits: SpanLimits) -> Result<Object> {
    let received_at = now();
    let verdict = judge(request, &Criteria::new(limits, received_at), &RepairedRuns::default())?;
    let (notification, object) = stored_under(limits, request, verdict.accepted, received_at)?;
    Ok((notification, object.into()))
}

/// Limits under which every span has its row whose ids are valid and whose times the tables can hold.
pub fn wide_limits() -> SpanLimits {
    SpanLimits {
        max_age_seconds: 0,
        max_future_seconds: u64::from(u32::MAX),
        max_days: NonZeroU32::MAX,
        ..SpanLimits::default()
    }
}

/// A span as it was sent, and its resource.
pub struct Sent {
    pub resource: Resource,
    pub span: Span,
}

/// The spans of the requests, by their ids.
pub fn sent(requests: &[Vec<u8>]) -> Result<Vec<Sent>> {
    let mut spans = Vec::new();
    for request in requests {
        let request = ExportTraceServiceRequest::decode(&**request).context("a request")?;
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let of_resource = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
            spans.extend(of_resource.map(|span| Sent { resource: resource.clone(), span }));
        }
    }
    spans.sort_by(|one, other| one.span.span_id.cmp(&other.span.span_id));
    Ok(spans)
}
