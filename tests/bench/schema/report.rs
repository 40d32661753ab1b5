//! The tables, and what goes into the file.

use std::fmt;

use serde::Serialize;
use spillway_bench::figures::{median, spread};
use spillway_bench::machine::Machine;

use crate::Plan;
use crate::costs::Cost;
use crate::questions::{Answer, Answers};

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    pub short: bool,
    pub plan: Plan,
    pub machine: Machine,
    /// Its version.
    pub clickhouse: String,
    pub costs: Vec<Cost>,
    pub questions: Vec<Answers>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rows, rounds, question_rows, times, batch } = &self.plan;
        writeln!(f, "ClickHouse {}, {}", self.clickhouse, self.machine)?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        writeln!(
            f,
            "\nmedians of {rounds} rounds of {rows} rows in batches of {batch} (lowest to highest)\n"
        )?;
        writeln!(
            f,
            "| table | insert, CPU s/M rows | one merge of all | both, to the shipped one | bytes a row |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: |")?;
        let shipped = self.costs.first().map(Cost::both).unwrap_or_default();
        for cost in &self.costs {
            let ratios: Vec<_> = cost.both().iter().zip(&shipped).map(|(cost, of)| cost / of).collect();
            let [insert, merge] = [&cost.insert, &cost.merge].map(|cpu| spread(cpu, 2));
            let bytes = median(&cost.bytes);
            writeln!(f, "| {} | {insert} | {merge} | {} | {bytes:.0} |", cost.name, spread(&ratios, 2))?;
        }
        if self.questions.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nquestions to {question_rows} rows, medians of {times} (lowest to highest)\n")?;
        writeln!(
            f,
            "| question | shipped, ms | rows read | without its index, ms | rows read | the first layout, ms | rows read | stock, ms | rows read |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for Answers { question, shipped, without_index, first, stock } in &self.questions {
            write!(f, "| {question} |")?;
            let without = without_index.as_ref().map(|(_, answer)| answer);
            for answer in [Some(shipped), without, Some(first), Some(stock)] {
                match answer {
                    Some(Answer { ms, read_rows, .. }) => write!(f, " {} | {read_rows} |", spread(ms, 0))?,
                    None => write!(f, " | |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
