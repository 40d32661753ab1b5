//! The tables, and what goes into the file.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use origin_consumer::consume::Decoder;
use serde::Serialize;
use spillway_bench::figures::spread;
use spillway_bench::machine::Machine;
use spillway_bench::workload::Shape;

/// What was measured, in the order in which it first was.
#[derive(Default, Serialize)]
pub struct Figures(Vec<Figure>);

/// What a million spans cost, in seconds of CPU: of each round.
#[derive(Serialize)]
struct Figure {
    shape: Shape,
    stage: &'static str,
    by_wire: Vec<f64>,
    by_prost: Vec<f64>,
}

/// One way's turn in a round.
pub struct Turn<'f> {
    figures: &'f mut Figures,
    shape: Shape,
    decoder: Decoder,
    spans: f64,
    /// The stages that were added to in this turn.
    begun: BTreeSet<&'static str>,
}

impl Figures {
    pub fn turn(&mut self, shape: Shape, decoder: Decoder, spans: usize) -> Turn<'_> {
        Turn { figures: self, shape, decoder, spans: spans as f64, begun: BTreeSet::new() }
    }
}

impl Turn<'_> {
    /// Adds what a stage has used: for one batch, or for all.
    pub fn add(&mut self, stage: &'static str, used: Duration) {
        let is_new = self.begun.insert(stage);
        let Figures(figures) = &mut *self.figures;
        let known = figures.iter().position(|figure| figure.shape == self.shape && figure.stage == stage);
        let place = known.unwrap_or_else(|| {
            figures.push(Figure { shape: self.shape, stage, by_wire: Vec::new(), by_prost: Vec::new() });
            figures.len() - 1
        });
        let rounds = match self.decoder {
            Decoder::Wire => &mut figures[place].by_wire,
            Decoder::Prost => &mut figures[place].by_prost,
        };
        if is_new {
            rounds.push(0.0);
        }
        if let Some(round) = rounds.last_mut() {
            *round += used.as_secs_f64() * 1e6 / self.spans;
        }
    }
}

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    pub short: bool,
    pub rounds: usize,
    pub spans: usize,
    pub batch_spans: usize,
    pub machine: Machine,
    pub figures: Figures,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, spans, batch_spans, machine, .. } = self;
        writeln!(f, "{machine}")?;
        writeln!(
            f,
            "medians of {rounds} rounds of {spans} spans (lowest to highest), {batch_spans} a batch"
        )?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        for shape in Shape::ALL {
            let mut rows = self.figures.0.iter().filter(|figure| figure.shape == shape).peekable();
            if rows.peek().is_none() {
                continue;
            }
            writeln!(f, "\n| CPU seconds a million {shape} spans | by wire | by prost | times |")?;
            writeln!(f, "| --- | ---: | ---: | ---: |")?;
            for Figure { stage, by_wire, by_prost, .. } in rows {
                let times: Vec<_> = by_prost.iter().zip(by_wire).map(|(prost, wire)| prost / wire).collect();
                let [wire, prost, times] = [by_wire, by_prost, &times].map(|all| spread(all, 2));
                writeln!(f, "| {stage} | {wire} | {prost} | {times} |")?;
            }
        }
        Ok(())
    }
}
