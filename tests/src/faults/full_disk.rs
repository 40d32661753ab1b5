//! A disk that is full for some files, without a disk of its own, which only root could make.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A library that is preloaded into a process. It has to live as long as that.
pub struct FullDisk {
    folder: TempDir,
    holds: &'static str,
}

impl FullDisk {
    /// Compiles it with `cc`, for the files whose paths hold `holds`. There is room at first.
    pub fn build(holds: &'static str) -> Result<Self> {
        let disk = Self { folder: TempDir::with_prefix("spillway-test-")?, holds };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/faults/full_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(disk.path("library")).args([source, "-ldl"]);
        let status = compiler.status().context("a C compiler is needed, as `cc`")?;
        ensure!(status.success(), "{compiler:?} ended with {status}");
        Ok(disk)
    }

    /// What the environment of the process has to hold.
    pub fn vars(&self) -> [(&'static str, String); 3] {
        let shown = |name| self.path(name).display().to_string();
        [
            ("LD_PRELOAD", shown("library")),
            ("SPILLWAY_DISK_IS_FULL", shown("full")),
            ("SPILLWAY_DISK_HOLDS", self.holds.to_owned()),
        ]
    }

    /// From now on, nothing can be written.
    pub fn fill(&self) -> Result<()> {
        File::create(self.path("full"))?;
        Ok(())
    }

    /// There is room again.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.path("full"))?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
