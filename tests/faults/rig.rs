//! One stack for many cells: between its parts stand what makes them fail.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use local_stack::postgres::Postgres;
use rusqlite::Connection;
use spillway_tests::export::Export;
use spillway_tests::faults::{S3Faults, TcpFaults};
use spillway_tests::metrics;
use spillway_tests::stack::{Setup, TestStack};
use tempfile::TempDir;

use crate::cells::{Ledger, Link};

/// A cell that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(90);
const NOWHERE: &str = "127.0.0.1:9";

/// The stack, and what stands between its parts.
pub struct Rig {
    pub stack: TestStack,
    pub s3: S3Faults,
    notifications: TcpFaults,
    bucket: TcpFaults,
    clickhouse: TcpFaults,
    ledger: Option<TcpFaults>,
    /// How often ClickHouse has ended by itself.
    pub engine_ends: u64,
    /// All that were accepted.
    spans: u64,
    _postgres: Option<(Postgres, TempDir)>,
}

impl Rig {
    pub async fn start(ledger: Ledger) -> Result<Self> {
        let notifications = TcpFaults::start(NOWHERE).await?;
        let notify_url = format!("{}/v1/traces", notifications.url());
        let postgres = match ledger {
            Ledger::Sqlite => None,
            Ledger::Postgres => {
                let folder = TempDir::with_prefix("spillway-test-")?;
                Some((Postgres::start(folder.path()).await?, folder))
            }
        };
        let mut stack = TestStack::start_with(Setup {
            edge_vars: vec![("NOTIFY_URL", &notify_url)],
            origin_vars: vec![
                ("SPILLWAY_SWEEP__INTERVAL_SECONDS", "1"),
                ("SPILLWAY_CONSUMER__LEASE_SECONDS", "3"),
                ("SPILLWAY_CONSUMER__INSERT_TIMEOUT_SECONDS", "3"),
                ("SPILLWAY_CONSUMER__POISON_TRIES", "4"),
                ("SPILLWAY_S3__TIMEOUT_SECONDS", "3"),
                ("SPILLWAY_AUDIT__AFTER_SECONDS", "1"),
            ],
            ..Setup::default()
        })
        .await?;
        notifications.forward_to(&stack.origin.url);
        let s3 = S3Faults::start(&stack.edge.s3_endpoint()).await?;
        let (host, path) = s3.endpoint.trim_start_matches("http://").split_once('/').context("no path")?;
        let bucket = TcpFaults::start(host).await?;
        stack.set_origin_var("SPILLWAY_S3__ENDPOINT", &format!("{}/{path}", bucket.url()));
        let clickhouse = TcpFaults::start(&stack.engine.url).await?;
        stack.set_origin_var("SPILLWAY_CLICKHOUSE__URL", &clickhouse.url());
        let ledger = match &postgres {
            None => None,
            Some((postgres, _)) => {
                let url = postgres.url();
                let (rest, database) = url.rsplit_once('/').context("no database")?;
                let (user, host) = rest.rsplit_once('@').context("no user")?;
                let faults = TcpFaults::start(host).await?;
                let url = format!("{user}@{}/{database}", faults.address);
                stack.set_origin_var("SPILLWAY_QUEUE__URL", &url);
                Some(faults)
            }
        };
        let mut rig = Self {
            stack,
            s3,
            notifications,
            bucket,
            clickhouse,
            ledger,
            engine_ends: 0,
            spans: 0,
            _postgres: postgres,
        };
        rig.restart("").await?;
        Ok(rig)
    }

    pub fn wire(&self, link: Link) -> Result<&TcpFaults> {
        match link {
            Link::Notifications => Ok(&self.notifications),
            Link::Bucket => Ok(&self.bucket),
            Link::ClickHouse => Ok(&self.clickhouse),
            Link::Ledger => self.ledger.as_ref().context("this ledger is a file"),
        }
    }

    /// Ends all faults.
    pub fn pass(&self) {
        self.s3.pass();
        for wire in [&self.notifications, &self.bucket, &self.clickhouse].into_iter().chain(&self.ledger) {
            wire.pass();
        }
    }

    /// Starts the origin again, with these failpoints.
    pub async fn restart(&mut self, failpoints: &str) -> Result<()> {
        if self.stack.origin.process.ended()?.is_none() {
            self.stack.origin.process.kill().await?;
        }
        self.stack.set_origin_var("FAILPOINTS", failpoints);
        self.stack.restart_origin(&[]).await
    }

    /// Starts the engine again if it has ended by itself, as the embedded one does now and then when a client is reset.
    pub async fn revive_engine(&mut self) -> Result<()> {
        let Some(engine) = self.stack.engine.process() else { return Ok(()) };
        let Some(status) = engine.ended()? else { return Ok(()) };
        eprintln!("faults: {}", engine.obituary(status));
        self.stack.engine.restart().await?;
        self.engine_ends += 1;
        Ok(())
    }

    /// Waits until the origin has ended by itself.
    pub async fn await_end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.stack.origin.process.ended()?.is_none() {
            ensure!(Instant::now() < deadline, "the failpoint was not reached");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until so many panics are in the origin's log.
    pub async fn await_panics(&self, panics: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.panics()? < panics {
            ensure!(Instant::now() < deadline, "the failpoint was not reached");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub fn panics(&self) -> Result<usize> {
        let log = std::fs::read_to_string(self.stack.folder().join("origin.log"))?;
        Ok(log.matches("panicked at").count())
    }

    /// Exports some traces: every one of them is accepted, whatever fails behind the edge.
    pub async fn export(&mut self, traces: usize, spans: usize) -> Result<()> {
        let exports: Vec<_> = (0..traces).map(|_| Export::new(spans)).collect();
        try_join_all(exports.iter().map(|export| export.accepted(&self.stack))).await?;
        self.spans += (traces * spans) as u64;
        Ok(())
    }

    /// Waits until every span that was ever accepted is there once.
    pub async fn await_each_span_once(&mut self) -> Result<()> {
        let sql = "SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces";
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.revive_engine().await?;
            let counts = self.stack.clickhouse().query_raw(sql).fetch_one::<(u64, u64)>().await;
            if matches!(counts, Ok(counts) if counts == (self.spans, self.spans)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "rows and distinct spans: {counts:?}; accepted: {}",
                self.spans
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Does not wait for these any more.
    pub fn give_up(&mut self, spans: u64) {
        self.spans -= spans;
    }

    /// Waits until the ledger has no object for which `condition` holds.
    pub async fn await_none(&mut self, condition: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(count @ 1..) = self.count(condition)? {
            self.revive_engine().await?;
            ensure!(Instant::now() < deadline, "{count} objects of the ledger are {condition}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The objects of the ledger for which `condition` holds, where it is a file.
    pub fn count(&self, condition: &str) -> Result<Option<u64>> {
        if self.ledger.is_some() {
            return Ok(None);
        }
        let count = format!("SELECT count(*) FROM objects WHERE {condition}");
        Ok(Some(self.sqlite()?.query_row(&count, [], |row| row.get::<_, i64>(0))?.unsigned_abs()))
    }

    pub fn sqlite(&self) -> Result<Connection> {
        let connection = Connection::open(self.stack.folder().join("queue.sqlite"))?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Ok(connection)
    }

    pub async fn metrics(&self) -> Result<String> {
        metrics::text(&self.stack.origin.url).await
    }

    pub async fn stop(self) -> Result<()> {
        self.stack.stop_now().await
    }
}
