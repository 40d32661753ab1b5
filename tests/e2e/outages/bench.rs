//! A stack whose ClickHouse and R2 can be made to fail, and what watches over it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rusqlite::Connection;
use spillway_tests::export::Export;
use spillway_tests::faults::{S3Faults, TcpFaults};
use spillway_tests::metrics;
use spillway_tests::stack::{Setup, TestStack};

pub const PATIENCE: Duration = Duration::from_secs(90);
/// One for each worker, and those that were begun in the moment in which an outage was noticed.
const OPEN_BATCHES: u64 = 6;
/// The origin and the consumer, of a debug build.
const MEMORY_BYTES: u64 = 512 << 20;
const SPANS: u64 = 3;
/// Of ten exports each, however slow the machine is.
const ROUNDS: usize = 4;

/// The stack, and what stands before ClickHouse and R2.
pub struct Bench {
    pub stack: TestStack,
    pub clickhouse: TcpFaults,
    pub s3: S3Faults,
    accepted: u64,
}

impl Bench {
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// With further variables of the origin.
    pub async fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        let setup = Setup {
            origin_vars: vec![
                ("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1"),
                ("SPILLWAY_CONSUMER__LEASE_SECONDS", "3"),
            ],
            ..Setup::default()
        };
        let mut stack = TestStack::start_with(setup).await?;
        let clickhouse = TcpFaults::start(&stack.engine.url).await?;
        let s3 = S3Faults::start(&stack.edge.s3_endpoint()).await?;
        stack.set_origin_var("SPILLWAY_CLICKHOUSE__URL", &clickhouse.url());
        stack.set_origin_var("SPILLWAY_S3__ENDPOINT", &s3.endpoint);
        for (name, value) in variables {
            stack.set_origin_var(name, value);
        }
        let mut bench = Self { stack, clickhouse, s3, accepted: 0 };
        bench.restart(&[]).await?;
        Ok(bench)
    }

    /// Kills the origin and the consumer, and starts them again.
    pub async fn restart(&mut self, arguments: &[&str]) -> Result<()> {
        if self.stack.origin.process.ended()?.is_none() {
            self.stack.origin.process.kill().await?;
        }
        self.stack.restart_origin(arguments).await
    }

    /// Exports for a while, and watches: every export is accepted, few batches are open, and the memory is bounded.
    pub async fn load(&mut self, time: Duration) -> Result<()> {
        let (until, mut rounds) = (Instant::now() + time, 0);
        while Instant::now() < until || rounds < ROUNDS {
            rounds += 1;
            let exports = (0..10).map(|_| Export::new(SPANS as usize)).collect::<Vec<_>>();
            try_join_all(exports.iter().map(|export| export.accepted(&self.stack)))
                .await
                .context("an exporter was refused")?;
            self.accepted += SPANS * exports.len() as u64;
            self.check_bounds()?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Exports one trace, and expects that it is accepted.
    pub async fn export(&mut self) -> Result<Export> {
        let export = Export::new(SPANS as usize);
        self.accept(&export, SPANS).await?;
        Ok(export)
    }

    pub async fn accept(&mut self, export: &Export, spans: u64) -> Result<()> {
        export.accepted(&self.stack).await.context("an exporter was refused")?;
        self.accepted += spans;
        Ok(())
    }

    /// Does not expect these any more.
    pub fn give_up(&mut self, spans: u64) {
        self.accepted -= spans;
    }

    fn check_bounds(&self) -> Result<()> {
        let open = self.count("SELECT count(*) FROM batches WHERE state = 'open'")?;
        ensure!(open <= OPEN_BATCHES, "{open} batches are open");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.stack.origin.process.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no such line")?;
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
        ensure!(kilobytes << 10 < MEMORY_BYTES, "{kilobytes} kB are resident");
        Ok(())
    }

    /// Waits until every span that was accepted is there once, and the ledger knows it.
    pub async fn await_each_span_once(&self) -> Result<()> {
        self.stack.await_count("SELECT count() FROM otel_traces", self.accepted, PATIENCE).await?;
        let distinct = "SELECT uniqExact(TraceId, SpanId) FROM otel_traces";
        let distinct: u64 = self.stack.clickhouse().query_raw(distinct).fetch_one().await?;
        ensure!(distinct == self.accepted, "{distinct} of {} spans are there", self.accepted);
        self.await_ledger("SELECT count(*) FROM objects WHERE state IN ('pending', 'batched')", 0).await
    }

    /// Waits until a query of the ledger counts so many.
    pub async fn await_ledger(&self, query: &str, expected: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let count = self.count(query)?;
            if count == expected {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "`{query}` counts {count} instead of {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a query of the ledger counts.
    pub fn count(&self, query: &str) -> Result<u64> {
        let ledger = Connection::open(self.stack.folder().join("queue.sqlite"))?;
        ledger.busy_timeout(Duration::from_secs(10))?;
        Ok(ledger.query_row(query, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Waits until the origin has counted that a try of a batch failed.
    pub async fn await_failed_try(&self) -> Result<()> {
        self.await_metric("spillway_batches_total{outcome=\"Failed\"} ").await
    }

    pub async fn await_metric(&self, line: &str) -> Result<()> {
        metrics::await_metric(&self.stack.origin.url, line).await
    }

    /// Runs a statement on the table's server.
    pub async fn execute(&self, statement: &str) -> Result<()> {
        Ok(self.stack.clickhouse().query_raw(statement).execute().await?)
    }

    /// What the ledger says of why an open batch was not stored.
    pub fn last_error(&self) -> Result<String> {
        let ledger = Connection::open(self.stack.folder().join("queue.sqlite"))?;
        let sql = "SELECT coalesce(max(last_error), '') FROM batches";
        Ok(ledger.query_row(sql, [], |row| row.get(0))?)
    }
}
