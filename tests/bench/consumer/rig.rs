//! ClickHouse, and a bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use clickhouse::Client;
use local_stack::edge::{Edge, EdgeOptions, S3Credentials};
use local_stack::engine::{Engine, Source};
use local_stack::keys::random_secret;
use local_stack::ports::free_port;
use local_stack::stack::BUCKET;
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::insert::SpanTable;
use origin_consumer::migrate::migrate;
use origin_consumer::objects::{Bucket, S3Config};
use spillway_bench::cpu;
use tempfile::TempDir;

const INSERT_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks for merges; there are none left when two of them see none.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is measured against.
pub struct Rig {
    engine: Engine,
    /// Its bucket is not there where only stages are measured.
    _edge: Option<Edge>,
    pub s3: S3Config,
    pub bucket: Option<Bucket>,
    _folder: TempDir,
}

impl Rig {
    pub async fn start(with_bucket: bool) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-bench-")?;
        let engine = Engine::start(&Source::Embedded, folder.path(), "traces").await?;
        let credentials =
            S3Credentials { access_key_id: "bench".to_owned(), secret_access_key: random_secret()? };
        let edge = if with_bucket {
            let (vars, services) = (BTreeMap::new(), BTreeMap::new());
            let options = EdgeOptions {
                vars: &vars,
                keys: &[],
                bucket: BUCKET,
                s3: &credentials,
                notification_queue: None,
                metrics: false,
                services: &services,
                without: &[],
                outbound: None,
            };
            Some(Edge::start(folder.path(), free_port()?, options).await?)
        } else {
            None
        };
        let s3 = S3Config {
            endpoint: edge.as_ref().map_or_else(String::new, Edge::s3_endpoint),
            bucket: BUCKET.to_owned(),
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into(),
            ..S3Config::default()
        };
        let bucket = edge.is_some().then(|| Bucket::new(&s3));
        let rig = Self { engine, _edge: edge, s3, bucket, _folder: folder };
        migrate(&rig.config("otel_traces")).await?;
        rig.execute("CREATE TABLE nowhere AS otel_traces ENGINE = Null").await?;
        Ok(rig)
    }

    fn config(&self, table: &str) -> ClickHouseConfig {
        ClickHouseConfig {
            url: self.engine.url.clone(),
            database: self.engine.database.clone(),
            table: table.to_owned(),
            ..ClickHouseConfig::default()
        }
    }

    pub fn client(&self) -> Client {
        self.engine.client()
    }

    pub async fn execute(&self, sql: &str) -> Result<()> {
        Ok(self.client().query_raw(sql).execute().await?)
    }

    pub fn table(&self, table: &str) -> SpanTable {
        SpanTable::new(&self.config(table), INSERT_TIMEOUT)
    }

    /// What the engine has used of the processor.
    pub fn engine_cpu(&mut self) -> Result<Duration> {
        cpu::of_process(self.engine.process().context("the engine is not ours")?.id())
    }

    /// Returns once nothing is merged any more.
    pub async fn drain_merges(&self) -> Result<()> {
        let mut quiet = 0;
        while quiet < 2 {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let merges: u64 =
                self.client().query_raw("SELECT count() FROM system.merges").fetch_one().await?;
            quiet = if merges == 0 { quiet + 1 } else { 0 };
        }
        Ok(())
    }
}
