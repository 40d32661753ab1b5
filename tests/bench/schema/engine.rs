//! A ClickHouse of our own, what it is asked, and the CPU time that it uses.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use local_stack::engine::{Engine, Source};
use serde::Deserialize;
use spillway_bench::{cpu, merges};
use tempfile::TempDir;

const SETTINGS: &str = "max_threads=2&wait_end_of_query=1&async_insert=0&use_query_condition_cache=0";

/// The server, and the folder that it ends with.
pub struct Server {
    engine: Engine,
    http: reqwest::Client,
    _folder: TempDir,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Summary {
    #[serde(deserialize_with = "number")]
    pub read_rows: u64,
    #[serde(deserialize_with = "number")]
    pub read_bytes: u64,
}

/// ClickHouse writes numbers as text there.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Server {
    /// Starts one with its data under `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let source = Source::from_environment();
        ensure!(
            !matches!(source, Source::Url { .. }),
            "CLICKHOUSE_URL: a server of our own is measured, unset it"
        );
        let folder = TempDir::with_prefix_in("bench-schema-", folder)?;
        let engine = Engine::start(&source, folder.path(), "bench").await?;
        Ok(Self { engine, http: reqwest::Client::new(), _folder: folder })
    }

    /// Runs a statement in a database; returns the answer and what it took.
    pub async fn ask(&self, database: &str, sql: &str) -> Result<(String, Summary)> {
        let url = format!("{}/?database={database}&{SETTINGS}", self.engine.url);
        let answer = self.http.post(url).body(sql.to_owned()).send().await?;
        let summary = answer.headers().get("X-ClickHouse-Summary").cloned();
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{text}\n{sql}");
        let summary = serde_json::from_slice(summary.context("no X-ClickHouse-Summary")?.as_bytes())?;
        Ok((text, summary))
    }

    /// Runs a statement whose answer is a number.
    pub async fn number(&self, sql: &str) -> Result<u64> {
        let (text, _) = self.ask("system", sql).await?;
        text.trim().parse().with_context(|| format!("{text:?} is no number: {sql}"))
    }

    /// Its version.
    pub async fn version(&self) -> Result<String> {
        Ok(self.ask("system", "SELECT version()").await?.0.trim().to_owned())
    }

    /// Waits until the tables of the database are merged as far as the server wants to.
    pub async fn settle(&self, database: &str) -> Result<()> {
        let sql = format!("SELECT count() FROM merges WHERE database = '{database}'");
        merges::drain(async || self.number(&sql).await).await
    }

    /// CPU seconds that the server has used, merges included.
    pub fn cpu_seconds(&mut self) -> Result<f64> {
        let process = self.engine.process().context("the server is not ours")?.id();
        Ok(cpu::of_group(process)?.as_secs_f64())
    }
}
