//! A store for each test: a file, or a database of a PostgreSQL server that all tests of this process share.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use local_stack::postgres::Postgres;
use origin_consumer::queue::{Batch, Enqueued, Queue, QueueConfig, QueueError};
use spillway_proto::UnixMillis;
use spillway_proto::notification::Notification;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::objects::{LIMITS, NOW};

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// Makes two tests of each of these functions, which take a [`Kind`].
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::stores::Kind::Sqlite).await
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> anyhow::Result<()> {
                super::$test($crate::stores::Kind::Postgres).await
            })*
        }
    };
}
pub(crate) use on_both_stores;

/// A ledger of one test.
pub struct Ledger {
    queue: Queue,
    pub config: QueueConfig,
    _folder: Option<TempDir>,
}

impl Ledger {
    /// An empty one, whose resend window is 1,000 s.
    pub async fn open(kind: Kind) -> Result<Self> {
        Self::open_with(kind, |_| ()).await
    }

    /// An empty one that is configured otherwise.
    pub async fn open_with(kind: Kind, configure: impl FnOnce(&mut QueueConfig)) -> Result<Self> {
        let (url, folder) = match kind {
            Kind::Sqlite => {
                let folder = fast_folder()?;
                (format!("sqlite:{}", folder.path().join("queue.sqlite").display()), Some(folder))
            }
            Kind::Postgres => (new_database().await?, None),
        };
        let mut config = QueueConfig {
            url: url.into(),
            connections: 2,
            resend_window_seconds: 1_000,
            ..QueueConfig::default()
        };
        configure(&mut config);
        Ok(Self { queue: Queue::open(&config).await?, config, _folder: folder })
    }

    /// As another process would see the same store.
    pub async fn another(&self) -> Result<Queue, QueueError> {
        Queue::open(&self.config).await
    }

    /// As after `kill -9`: another process opens what is there.
    pub async fn restarted(self) -> Result<Self> {
        let Self { queue, config, _folder } = self;
        drop(queue);
        Ok(Self { queue: Queue::open(&config).await?, config, _folder })
    }

    /// Takes an object in that was notified just now.
    pub async fn take(&self, object: &Notification) -> Result<Enqueued> {
        Ok(self.queue.enqueue(object.clone(), NOW).await?)
    }

    /// Claims as the tests usually do; an error if there is nothing.
    pub async fn claim_at(&self, now: UnixMillis) -> Result<Batch> {
        self.queue.claim(LIMITS, now).await?.batch().context("nothing can be claimed")
    }

    /// Whether there is something to claim.
    pub async fn has_work_at(&self, now: UnixMillis) -> Result<bool> {
        Ok(self.queue.claim(LIMITS, now).await?.batch().is_some())
    }
}

impl Deref for Ledger {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queue
    }
}

/// In memory where there is such a folder: a sync of a disk takes its time, and proves nothing here.
pub fn fast_folder() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let builder = &mut tempfile::Builder::new();
    let builder = builder.prefix("spillway-test-");
    Ok(if memory.is_dir() { builder.tempdir_in(memory)? } else { builder.tempdir()? })
}

async fn new_database() -> Result<String> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let server = SERVER.get_or_try_init(Server::start).await?;
    server.postgres.create_database(&format!("ledger_{}", Ulid::generate())).await
}

struct Server {
    postgres: Postgres,
    // Whoever holds the lock has the folder.
    _lock: File,
}

impl Server {
    /// It ends with this process. Nothing can be removed after that, so the folder is one that the next process takes.
    async fn start() -> Result<Self> {
        let (folder, lock) = own_folder()?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(Self { postgres: Postgres::start(&folder).await?, _lock: lock })
    }
}

fn own_folder() -> Result<(PathBuf, File)> {
    for number in 0..100 {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ledger-postgres-{number}"));
        let lock = File::create(folder.with_extension("lock"))?;
        if lock.try_lock().is_ok() {
            return Ok((folder, lock));
        }
    }
    anyhow::bail!("a hundred test processes hold their folders")
}
