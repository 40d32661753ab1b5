//! The table itself, in its first layout and in the present one.

mod facts;
mod migration;
mod readers;
mod trace_times;

use std::collections::BTreeMap;

use anyhow::Result;
use clickhouse::Client;
use local_stack::engine::{Engine, Source};
use origin_consumer::clickhouse::ClickHouseConfig;
use origin_consumer::migrate::migrate;
use spillway_tests::old_table;
use tempfile::TempDir;

/// An engine in a zone, and its folder.
pub struct Server {
    pub engine: Engine,
    folder: TempDir,
}

impl Server {
    /// A server whose zone is `zone`.
    pub async fn start(zone: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        Ok(Self { engine: start(&folder, zone).await?, folder })
    }

    /// The same data, served in another zone.
    pub async fn moved_to(self, zone: &str) -> Result<Self> {
        let Self { engine, folder } = self;
        drop(engine);
        Ok(Self { engine: start(&folder, zone).await?, folder })
    }

    /// A new database with the tables of the first version, or with those of this one.
    pub async fn database(&self, name: &str, is_first: bool) -> Result<(Client, ClickHouseConfig)> {
        let config = ClickHouseConfig {
            url: self.engine.url.clone(),
            database: name.to_owned(),
            ..ClickHouseConfig::default()
        };
        let client = self.engine.server().with_database(name);
        if is_first {
            let create = format!("CREATE DATABASE {name} ENGINE = Atomic");
            self.engine.server().query_raw(&create).execute().await?;
            old_table::make(&client).await?;
        }
        migrate(&config).await?;
        Ok((client, config))
    }
}

async fn start(folder: &TempDir, zone: &str) -> Result<Engine> {
    let vars = BTreeMap::from([("TZ".to_owned(), zone.to_owned())]);
    Engine::start_with(&Source::Embedded, folder.path(), "traces", vars).await
}

pub async fn execute(client: &Client, statement: &str) -> Result<()> {
    Ok(client.query_raw(statement).with_setting("mutations_sync", "2").execute().await?)
}

pub async fn text(client: &Client, query: &str) -> Result<String> {
    Ok(client.query_raw(query).fetch_one().await?)
}

pub async fn count(client: &Client, query: &str) -> Result<u64> {
    Ok(client.query_raw(query).fetch_one().await?)
}
