//! ClickHouse makes a part of an insert visible by a rename, after it has noted the insert's token. This makes the time
//! between the two as long as a test wants.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Longer than any test.
const UNTIL_RELEASED: Duration = Duration::from_secs(3600);

/// A library that is preloaded into ClickHouse. The server renames under the lock of the table's parts, so reads of the
/// table wait as well: look for what has happened in its [`DedupLog`](super::DedupLog). It has to live as long as the engine that was started with it.
pub struct SlowRename {
    folder: TempDir,
}

impl SlowRename {
    /// Compiles it with `cc`. Nothing waits yet.
    pub fn build() -> Result<Self> {
        let slow_rename = Self { folder: TempDir::with_prefix("spillway-test-")? };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/faults/slow_rename.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(slow_rename.library()).args([source, "-ldl"]);
        let status = compiler.status().context("a C compiler is needed, as `cc`")?;
        ensure!(status.success(), "{compiler:?} ended with {status}");
        slow_rename.delay(Duration::ZERO)?;
        Ok(slow_rename)
    }

    /// What the engine's environment has to hold, now and at each restart.
    pub fn vars(&self) -> BTreeMap<String, String> {
        [("LD_PRELOAD", self.library()), ("SPILLWAY_RENAME_DELAY", self.delay_file())]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .into()
    }

    /// From now on, each rename waits so long; so do those that wait already.
    pub fn delay(&self, delay: Duration) -> Result<()> {
        // Renamed, so that nobody reads an empty file, which would mean no delay.
        let partial = self.folder.path().join("partial");
        fs::write(&partial, delay.as_micros().to_string())?;
        Ok(fs::rename(partial, self.delay_file())?)
    }

    /// From now on, each rename waits until `release`.
    pub fn hold(&self) -> Result<()> {
        self.delay(UNTIL_RELEASED)
    }

    /// Lets go of all that wait, and delays no more.
    pub fn release(&self) -> Result<()> {
        self.delay(Duration::ZERO)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("slow_rename.so")
    }

    fn delay_file(&self) -> PathBuf {
        self.folder.path().join("delay_us")
    }
}
