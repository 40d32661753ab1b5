//! The stack, with what its processes use of the processor.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use local_stack::engine::Source;
use local_stack::keys::Key;
use local_stack::stack::{Stack, StackOptions};
use serde::Serialize;
use serde_json::json;
use spillway_bench::send::Target;
use spillway_bench::{cpu, merges};

use crate::Plan;

/// The local stack sweeps sooner, so that people see something.
const AS_SHIPPED: [(&str, &str); 3] = [
    ("SPILLWAY_SWEEP__GRACE_SECONDS", "30"),
    ("SPILLWAY_SWEEP__INTERVAL_SECONDS", "10"),
    ("SPILLWAY_CONSUMER__LEASE_SECONDS", "30"),
];

/// All parts, with a tenant that may send as much as it likes.
pub struct Parts {
    stack: Stack,
    key: Key,
}

/// What the processes have used of the processor, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Used {
    /// The Worker, and what stands in for Cloudflare's R2, KV and Durable Objects.
    pub workerd: f64,
    /// What starts workerd, and serves the API of KV.
    pub miniflare: f64,
    /// The origin and the consumer.
    pub origin: f64,
    /// With its merges.
    pub clickhouse: f64,
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            workerd: self.workerd - before.workerd,
            miniflare: self.miniflare - before.miniflare,
            origin: self.origin - before.origin,
            clickhouse: self.clickhouse - before.clickhouse,
        }
    }
}

impl Parts {
    /// Starts them, with their data in `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let source = Source::from_environment();
        ensure!(
            !matches!(source, Source::Url { .. }),
            "CLICKHOUSE_URL: a server of our own is measured, unset it"
        );
        let generous = json!({ "limits": { "requests": { "per_second": 1_000_000 } } });
        let key = Key::new("bench", &generous)?;
        let origin_vars = AS_SHIPPED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let stack = Stack::start(StackOptions {
            folder: folder.to_owned(),
            source,
            database: "spillway".to_owned(),
            keys: vec![key.clone()],
            operator_key: None,
            edge_port: None,
            notification_queue: None,
            engine_vars: BTreeMap::new(),
            edge_vars: BTreeMap::new(),
            edge_services: BTreeMap::new(),
            edge_outbound: None,
            origin_vars: origin_vars.into(),
            origin_arguments: Vec::new(),
            verbose: false,
        })
        .await?;
        Ok(Self { stack, key })
    }

    /// Where exporters send.
    pub fn target(&self, plan: &Plan, per_second: Option<f64>) -> Target {
        Target {
            url: format!("{}/v1/traces", self.stack.edge.url),
            key: Some(self.key.secret.expose().to_owned()),
            gzip: plan.gzip,
            connections: plan.exporters,
            per_second,
        }
    }

    /// The process of the origin and the consumer.
    pub fn origin(&self) -> u32 {
        self.stack.origin.process.id()
    }

    /// What has been used until now.
    pub fn used(&mut self) -> Result<Used> {
        let (workerd, miniflare) = cpu::of_group_by_name(self.stack.edge.process.id(), "workerd")?;
        let origin = cpu::of_group(self.origin())?;
        let engine = self.stack.engine.process().context("the engine is not ours")?.id();
        let [workerd, miniflare, origin, clickhouse] =
            [workerd, miniflare, origin, cpu::of_group(engine)?].map(|used| used.as_secs_f64());
        Ok(Used { workerd, miniflare, origin, clickhouse })
    }

    /// The ids of those traces that have rows.
    pub async fn seen(&self, traces: &[&str]) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT TraceId FROM otel_traces WHERE TraceId IN ?";
        Ok(self.stack.clickhouse().query(sql).bind(traces).fetch_all().await?)
    }

    /// Waits until the table holds so many rows, and looks that it holds each but once.
    pub async fn await_rows(&self, spans: u64, at_most: Duration) -> Result<Duration> {
        let began = Instant::now();
        self.stack.await_count("SELECT count() FROM otel_traces", spans, at_most).await?;
        let took = began.elapsed();
        let different = "SELECT uniqExact(ObjectKey, RowNo) FROM otel_traces";
        self.stack.await_count(different, spans, Duration::ZERO).await?;
        Ok(took)
    }

    /// Returns once nothing is merged any more.
    pub async fn drain_merges(&self) -> Result<()> {
        let sql = "SELECT count() FROM system.merges";
        merges::drain(async || Ok(self.stack.clickhouse().query_raw(sql).fetch_one().await?)).await
    }

    /// Ends them in their order.
    pub async fn stop(mut self) -> Result<()> {
        self.stack.stop().await
    }
}
