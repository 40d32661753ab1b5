//! ClickHouse, and a bucket.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
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
use tempfile::TempDir;

use crate::{cpu, merges};

const INSERT_TIMEOUT: Duration = Duration::from_secs(120);

/// The database that a rig begins with.
pub const DATABASE: &str = "traces";

/// What is measured against. All of it ends with this.
pub struct Rig {
    engine: Engine,
    /// Its bucket is not there where only ClickHouse is needed.
    _edge: Option<Edge>,
    s3_secret: String,
    /// How the bucket is reached.
    pub s3: S3Config,
    /// The bucket, if there is one.
    pub bucket: Option<Bucket>,
    folder: TempDir,
}

impl Rig {
    /// Starts ClickHouse, with the tables of this version in [`DATABASE`] and beside them `nowhere`, which keeps nothing; and
    /// Miniflare's R2.
    pub async fn start(with_bucket: bool) -> Result<Self> {
        let source = Source::from_environment();
        ensure!(
            !matches!(source, Source::Url { .. }),
            "CLICKHOUSE_URL: a server of our own is measured, unset it"
        );
        let folder = TempDir::with_prefix("spillway-bench-")?;
        let engine = Engine::start(&source, folder.path(), DATABASE).await?;
        let s3_secret = random_secret()?;
        let credentials =
            S3Credentials { access_key_id: "bench".to_owned(), secret_access_key: s3_secret.clone() };
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
        let rig = Self { engine, _edge: edge, s3_secret, s3, bucket, folder };
        rig.make_database(DATABASE).await?;
        Ok(rig)
    }

    fn config(&self, database: &str, table: &str) -> ClickHouseConfig {
        ClickHouseConfig {
            url: self.engine.url.clone(),
            database: database.to_owned(),
            table: table.to_owned(),
            ..ClickHouseConfig::default()
        }
    }

    /// URLs of so many ledgers in files that end with the rig.
    pub fn ledger_urls(&self, count: usize) -> Vec<String> {
        let file = |number| self.folder().join(format!("ledger-{number}.sqlite"));
        (0..count).map(|number| format!("sqlite:{}", file(number).display())).collect()
    }

    /// A folder that ends with the rig.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// ClickHouse's HTTP interface. Its user `default` has no password.
    pub fn clickhouse_url(&self) -> &str {
        &self.engine.url
    }

    /// What `origin-consumer` is configured with, as variables of its environment, to write to `table` of `database`.
    pub fn variables(&self, database: &str, table: &str) -> BTreeMap<String, String> {
        let variables = [
            ("S3__ENDPOINT", self.s3.endpoint.clone()),
            ("S3__BUCKET", self.s3.bucket.clone()),
            ("S3__ACCESS_KEY_ID", self.s3.access_key_id.clone()),
            ("S3__SECRET_ACCESS_KEY", self.s3_secret.clone()),
            ("CLICKHOUSE__URL", self.engine.url.clone()),
            ("CLICKHOUSE__DATABASE", database.to_owned()),
            ("CLICKHOUSE__TABLE", table.to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (format!("SPILLWAY_{name}"), value)).collect()
    }

    /// A client for [`DATABASE`].
    pub fn client(&self) -> Client {
        self.engine.client()
    }

    /// Runs a statement in a database.
    pub async fn execute_in(&self, database: &str, sql: &str) -> Result<()> {
        let client = self.engine.server().with_database(database);
        client.query_raw(sql).execute().await.with_context(|| sql.to_owned())
    }

    /// Asks for a number, in a database.
    pub async fn number(&self, database: &str, sql: &str) -> Result<u64> {
        let client = self.engine.server().with_database(database);
        client.query_raw(sql).fetch_one().await.with_context(|| sql.to_owned())
    }

    /// Makes a database, empty, with the tables of this version, and beside them `nowhere`, which keeps nothing.
    pub async fn make_database(&self, name: &str) -> Result<()> {
        self.make_empty_database(name).await?;
        migrate(&self.config(name, "otel_traces")).await?;
        self.execute_in(name, "CREATE TABLE nowhere AS otel_traces ENGINE = Null").await
    }

    /// Makes a database without tables, whatever was there before.
    pub async fn make_empty_database(&self, name: &str) -> Result<()> {
        self.drop_database(name).await?;
        self.execute_in("system", &format!("CREATE DATABASE {name} ENGINE = Atomic")).await
    }

    /// Drops a database, if it is there.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.execute_in("system", &format!("DROP DATABASE IF EXISTS {name} SYNC")).await
    }

    /// A table, as the consumer writes to it.
    pub fn table(&self, database: &str, table: &str) -> SpanTable {
        SpanTable::new(&self.config(database, table), INSERT_TIMEOUT)
    }

    /// ClickHouse's version.
    pub async fn version(&self) -> Result<String> {
        Ok(self.client().query_raw("SELECT version()").fetch_one::<String>().await?)
    }

    /// Rows that were inserted since the server began, into whatever table.
    pub async fn rows_inserted(&self) -> Result<u64> {
        self.number("system", "SELECT sum(value) FROM events WHERE event = 'InsertedRows'").await
    }

    /// What ClickHouse has used of the processor.
    pub fn engine_cpu(&mut self) -> Result<Duration> {
        cpu::of_group(self.engine.process().context("the engine is not ours")?.id())
    }

    /// Returns once nothing is merged any more.
    pub async fn drain_merges(&self) -> Result<()> {
        merges::drain(async || self.number("system", "SELECT count() FROM merges").await).await
    }
}
