//! The table, and what goes into the file.

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use spillway_bench::cpu;
use spillway_bench::figures::spread;

use crate::measure::{Figures, Plan, StoreResult};

/// All that was measured, and where. [`fmt::Display`] makes a table of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    short: bool,
    plan: Plan,
    processor: String,
    cores: usize,
    stores: Vec<StoreResult>,
}

impl Report {
    /// Adds to the results what they depend on.
    pub fn new(plan: Plan, short: bool, stores: Vec<StoreResult>) -> Result<Self> {
        let processor = cpu::name().unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { short, plan, processor, cores: std::thread::available_parallelism()?.get(), stores })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rounds, objects, callers, workers, batch, tenants } = &self.plan;
        writeln!(f, "{} cores of {}", self.cores, self.processor)?;
        writeln!(
            f,
            "medians of {rounds} rounds of {objects} objects of {tenants} tenants (lowest to highest)"
        )?;
        writeln!(
            f,
            "{callers} callers enqueue, {workers} workers claim batches of {batch} and acknowledge them"
        )?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        writeln!(f, "\n| store | durable enqueues/s | µs CPU each | claims and acks/s | µs CPU each |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        for StoreResult { store, enqueued, acknowledged } in &self.stores {
            write!(f, "| {store} |")?;
            for Figures { per_second, cpu_us } in [enqueued, acknowledged] {
                write!(f, " {} | {} |", spread(per_second, 0), spread(cpu_us, 0))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
