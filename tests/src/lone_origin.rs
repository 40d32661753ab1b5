//! The origin alone, with neither an edge, nor R2, nor ClickHouse: what it takes in stays in its queue.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use local_stack::origin::Origin;
use local_stack::ports::free_port;
use origin_consumer::queue::{ClaimLimits, Queue, QueueConfig};
use spillway_proto::notification::Notification;
use tempfile::TempDir;

use crate::notification::now;

/// What the edge would sign notifications with.
pub const SIGNING_KEY: &str = "0123456789abcdef0123456789abcdef";
const ARGUMENTS: [&str; 2] = ["--without-consumer", "--no-migrate"];
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A running origin.
pub struct LoneOrigin {
    /// It.
    pub origin: Origin,
    port: u16,
    variables: BTreeMap<String, String>,
    // Dropped last, after the process that writes there.
    folder: TempDir,
}

impl LoneOrigin {
    /// Starts it with further variables, without the prefix that they share.
    pub async fn start(variables: &[(&str, String)]) -> Result<Self> {
        let folder = TempDir::with_prefix("spillway-test-")?;
        let usual = [
            ("NOTIFY__SIGNING_KEYS", format!("[\"{SIGNING_KEY}\"]")),
            ("S3__ENDPOINT", NOWHERE.to_owned()),
            ("S3__ACCESS_KEY_ID", "id".to_owned()),
            ("S3__SECRET_ACCESS_KEY", "secret".to_owned()),
            ("CLICKHOUSE__URL", NOWHERE.to_owned()),
            ("QUEUE__URL", queue_url(&folder)),
        ];
        let variables: BTreeMap<_, _> = usual
            .iter()
            .chain(variables)
            .map(|(name, value)| (format!("SPILLWAY_{name}"), value.clone()))
            .collect();
        let port = free_port()?;
        let origin = Origin::start(folder.path(), port, &ARGUMENTS, &variables).await?;
        Ok(Self { origin, port, variables, folder })
    }

    /// Ends it, and starts it again on the same queue.
    pub async fn restart(&mut self) -> Result<()> {
        self.origin.process.stop().await?;
        self.origin = Origin::start(self.folder.path(), self.port, &ARGUMENTS, &self.variables).await?;
        Ok(())
    }

    /// Its queue's file.
    pub fn queue_path(&self) -> PathBuf {
        queue_path(&self.folder)
    }

    /// All that it has logged.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("origin.log"))?)
    }

    /// Ends it, and takes out of its queue what it has taken in, in the order of the keys.
    pub async fn stop(mut self) -> Result<Vec<Notification>> {
        let status = self.origin.process.stop().await?;
        anyhow::ensure!(status.success(), "the origin ended with {status}\n{}", self.log()?);
        let config = QueueConfig { url: queue_url(&self.folder).into(), ..QueueConfig::default() };
        let queue = Queue::open(&config).await?;
        let (delay, lease) = (Duration::ZERO, Duration::from_secs(9));
        let limits = ClaimLimits { objects: 10_000, spans: 10_000, bytes: 1 << 30, delay, lease };
        let batch = queue.claim(limits, now()).await?.batch();
        let objects = batch.into_iter().flat_map(|batch| batch.objects);
        Ok(objects.map(|object| object.notification).collect())
    }
}

fn queue_path(folder: &TempDir) -> PathBuf {
    folder.path().join("queue.sqlite")
}

fn queue_url(folder: &TempDir) -> String {
    format!("sqlite:{}", queue_path(folder).display())
}
