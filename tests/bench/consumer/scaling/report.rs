//! The tables, and what goes into the file.

use std::fmt;

use serde::Serialize;
use spillway_bench::figures::spread;
use spillway_bench::machine::Machine;

use super::{Aspect, Plan, Used};

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    plan: Plan,
    machine: Machine,
    clickhouse: String,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    aspect: Aspect,
    value: String,
    rounds: Vec<Used>,
}

impl Report {
    /// With nothing measured yet.
    pub fn new(plan: Plan, machine: Machine, clickhouse: String) -> Self {
        Self { plan, machine, clickhouse, figures: Vec::new() }
    }

    /// Adds what a turn took, with `value` of what is varied.
    pub fn add(&mut self, aspect: Aspect, value: String, used: Used) {
        let known = self.figures.iter_mut().find(|figure| figure.aspect == aspect && figure.value == value);
        match known {
            Some(figure) => figure.rounds.push(used),
            None => self.figures.push(Figure { aspect, value, rounds: vec![used] }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { short, rounds, spans, shape, order, .. } = &self.plan;
        writeln!(f, "ClickHouse {}, {}", self.clickhouse, self.machine)?;
        writeln!(f, "medians of {rounds} rounds of at most {spans} {shape} spans (lowest to highest)")?;
        writeln!(f, "fields in {order} order")?;
        if *short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        for aspect in Aspect::ALL {
            let figures: Vec<_> = self.figures.iter().filter(|figure| figure.aspect == aspect).collect();
            if figures.is_empty() {
                continue;
            }
            writeln!(
                f,
                "\n| {aspect} | spans/s | consumer, CPU s/M | ClickHouse, merges included, CPU s/M |"
            )?;
            writeln!(f, "| ---: | ---: | ---: | ---: |")?;
            for Figure { value, rounds, .. } in figures {
                let of = |figure: fn(&Used) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
                writeln!(
                    f,
                    "| {value} | {} | {} | {} |",
                    spread(&of(|used| used.spans_per_second), 0),
                    spread(&of(|used| used.client), 2),
                    spread(&of(|used| used.clickhouse), 2)
                )?;
            }
        }
        Ok(())
    }
}
