//! The table, and what goes into the file.

use std::fmt;

use serde::Serialize;
use spillway_bench::figures::spread;
use spillway_bench::machine::Machine;

use crate::measure::{Figures, Plan, StoreResult};

/// All that was measured, and where. [`fmt::Display`] makes a table of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    pub short: bool,
    pub plan: Plan,
    pub machine: Machine,
    pub stores: Vec<StoreResult>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rounds, objects, callers, workers, batch, tenants } = &self.plan;
        writeln!(f, "{}", self.machine)?;
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
