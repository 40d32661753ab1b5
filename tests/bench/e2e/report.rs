//! The tables, and what goes into the file.

use std::fmt;

use serde::Serialize;
use spillway_bench::machine::Machine;
use spillway_bench::workload::Shape;

use crate::Plan;
use crate::fresh::Fresh;
use crate::load::Loaded;
use crate::parts::Used;
use crate::soak::{Slice, Soaked};

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    pub plan: Plan,
    pub machine: Machine,
    pub figures: Vec<Figures>,
}

/// What was measured with spans of one shape.
#[derive(Serialize)]
pub struct Figures {
    pub shape: Shape,
    pub loaded: Loaded,
    pub fresh: Fresh,
    pub soaked: Soaked,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, machine, figures } = self;
        writeln!(f, "{machine}")?;
        let compressed = if plan.gzip { "compressed" } else { "not compressed" };
        writeln!(f, "{} exporters, {} spans a request, {compressed}", plan.exporters, plan.request_spans)?;
        if plan.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        writeln!(f, "\n| | spans | accepted/s | stored/s | put off | exactly stored |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | --- |")?;
        for Figures { shape, loaded, .. } in figures {
            let Loaded { spans, accepted_per_second, stored_per_second, put_off, .. } = loaded;
            writeln!(
                f,
                "| {shape} | {spans} | {accepted_per_second:.0} | {stored_per_second:.0} | {put_off} | yes |"
            )?;
        }
        writeln!(
            f,
            "\n| CPU s a million spans | workerd | Miniflare's node | origin and consumer | ClickHouse, merges included | all |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
        for Figures { shape, loaded, .. } in figures {
            let Used { workerd, miniflare, origin, clickhouse } = loaded.used;
            let all = workerd + miniflare + origin + clickhouse;
            write!(f, "| {shape} |")?;
            for part in [workerd, miniflare, origin, clickhouse, all] {
                write!(f, " {:.2} |", a_million(part, loaded.spans))?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\n| from 200 to the row, s, at {} requests/s | p50 | p99 | max | of that up to a look of |",
            plan.steady_rate
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        for Figures { shape, fresh, .. } in figures {
            let Fresh { p50, p99, max, look_seconds } = fresh;
            writeln!(f, "| {shape} | {p50:.2} | {p99:.2} | {max:.2} | {look_seconds:.2} |")?;
        }
        if !plan.soak.is_zero() {
            writeln!(
                f,
                "\n| memory of the origin and the consumer, MiB, at {} requests/s | until minute | lowest | highest |",
                plan.steady_rate
            )?;
            writeln!(f, "| --- | ---: | ---: | ---: |")?;
        }
        for Figures { shape, soaked: Soaked { requests, memory }, .. } in figures {
            for Slice { until_minute, lowest, highest } in memory {
                writeln!(
                    f,
                    "| {shape}, {requests} requests | {until_minute:.1} | {lowest:.0} | {highest:.0} |"
                )?;
            }
        }
        Ok(())
    }
}

fn a_million(seconds: f64, spans: u64) -> f64 {
    seconds * 1e6 / spans as f64
}
