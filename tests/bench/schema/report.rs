//! The tables, and what goes into the file.

use std::fmt;

use anyhow::Result;
use serde::Serialize;
use spillway_bench::cpu;
use spillway_bench::figures::{median, spread};

use crate::Plan;
use crate::costs::Cost;
use crate::questions::{Answer, Answers};

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    short: bool,
    plan: Plan,
    processor: String,
    cores: usize,
    clickhouse: String,
    costs: Vec<Cost>,
    questions: Vec<Answers>,
}

impl Report {
    /// Adds to the results what they depend on.
    pub fn new(
        plan: Plan,
        short: bool,
        clickhouse: String,
        costs: Vec<Cost>,
        questions: Vec<Answers>,
    ) -> Result<Self> {
        let processor = cpu::name().unwrap_or_else(|| "unknown".to_owned());
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self { short, plan, processor, cores, clickhouse, costs, questions })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rows, rounds, question_rows, times, batch } = &self.plan;
        writeln!(f, "ClickHouse {}, {} cores of {}", self.clickhouse, self.cores, self.processor)?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        writeln!(
            f,
            "\nmedians of {rounds} rounds of {rows} rows in batches of {batch} (lowest to highest)\n"
        )?;
        writeln!(f, "| table | CPU s/M rows, merges included | to the shipped one | bytes a row |")?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        let shipped = self.costs.first().map_or(f64::NAN, |cost| median(&cost.cpu));
        for Cost { name, cpu, bytes } in &self.costs {
            let ratio = median(cpu) / shipped;
            writeln!(f, "| {name} | {} | {ratio:.2} | {:.0} |", spread(cpu, 2), median(bytes))?;
        }
        if self.questions.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nquestions to {question_rows} rows, medians of {times} (lowest to highest)\n")?;
        writeln!(f, "| question | shipped, ms | rows read | stock, ms | rows read |")?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        for Answers { question, shipped, stock } in &self.questions {
            write!(f, "| {question} |")?;
            for Answer { ms, read_rows, .. } in [shipped, stock] {
                write!(f, " {} | {read_rows} |", spread(ms, 0))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
