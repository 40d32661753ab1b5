//! What figures depend on, besides what is measured.

use std::fmt;
use std::fs;

use anyhow::Result;
use serde::Serialize;

use crate::cpu;

/// This machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    processor: String,
    cores: usize,
    /// Over the last minute, when this was made: what else was going on.
    load_average: f64,
}

impl Machine {
    /// As it is now.
    pub fn now() -> Result<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            processor: cpu::name().unwrap_or_else(|| "an unknown processor".to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            load_average: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, cores, load_average } = self;
        write!(f, "{cores} cores of {processor}, load average {load_average:.1} before")
    }
}
