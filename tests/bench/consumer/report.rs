//! The tables, and what goes into the file.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use origin_consumer::consume::Decoder;
use serde::Serialize;
use spillway_bench::figures::spread;
use spillway_bench::machine::Machine;
use spillway_bench::workload::Shape;
use spillway_generator::order::Order;

/// What was measured, in the order in which it first was.
#[derive(Default, Serialize)]
pub struct Figures(Vec<Figure>);

/// What a million spans cost, in seconds of CPU: of each round.
#[derive(Serialize)]
struct Figure {
    shape: Shape,
    order: Order,
    stage: &'static str,
    by_wire: Vec<f64>,
    by_prost: Vec<f64>,
}

/// One way's turn in a round.
pub struct Turn<'f> {
    figures: &'f mut Figures,
    shape: Shape,
    order: Order,
    decoder: Decoder,
    spans: f64,
    /// The stages that were added to in this turn.
    begun: BTreeSet<&'static str>,
}

impl Figures {
    pub fn turn(&mut self, shape: Shape, order: Order, decoder: Decoder, spans: usize) -> Turn<'_> {
        Turn { figures: self, shape, order, decoder, spans: spans as f64, begun: BTreeSet::new() }
    }

    /// Those of a shape, in the order in which they were measured.
    fn of(&self, shape: Shape, order: Order) -> Vec<&Figure> {
        self.0.iter().filter(|figure| figure.shape == shape && figure.order == order).collect()
    }
}

impl Turn<'_> {
    /// Adds what a stage has used: for one batch, or for all.
    pub fn add(&mut self, stage: &'static str, used: Duration) {
        let is_new = self.begun.insert(stage);
        let (shape, order, Figures(figures)) = (self.shape, self.order, &mut *self.figures);
        let is_same =
            |figure: &Figure| figure.shape == shape && figure.order == order && figure.stage == stage;
        let place = figures.iter().position(is_same).unwrap_or_else(|| {
            figures.push(Figure { shape, order, stage, by_wire: Vec::new(), by_prost: Vec::new() });
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
    /// That of all objects but those that are measured in the other order as well.
    pub order: Order,
    pub machine: Machine,
    pub figures: Figures,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, spans, batch_spans, order, machine, .. } = self;
        writeln!(f, "{machine}")?;
        writeln!(
            f,
            "medians of {rounds} rounds of {spans} spans (lowest to highest), {batch_spans} a batch, fields in {order} order"
        )?;
        if self.short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        for shape in Shape::ALL {
            self.ways_table(f, shape)?;
            self.orders_table(f, shape)?;
        }
        Ok(())
    }
}

impl Report {
    fn ways_table(&self, f: &mut fmt::Formatter<'_>, shape: Shape) -> fmt::Result {
        let rows = self.figures.of(shape, self.order);
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n| CPU seconds a million {shape} spans | by wire | by prost | times |")?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for Figure { stage, by_wire, by_prost, .. } in rows {
            let [wire, prost] = [by_wire, by_prost].map(|all| spread(all, 2));
            writeln!(f, "| {stage} | {wire} | {prost} | {} |", spread(&times(by_prost, by_wire), 2))?;
        }
        Ok(())
    }

    /// Where a shape was measured in both orders.
    fn orders_table(&self, f: &mut fmt::Formatter<'_>, shape: Shape) -> fmt::Result {
        let ascending = self.figures.of(shape, Order::Ascending);
        let mut rows = Vec::new();
        for Figure { stage, by_wire, .. } in self.figures.of(shape, Order::Descending) {
            if let Some(ascending) = ascending.iter().find(|figure| figure.stage == *stage) {
                rows.push((stage, &ascending.by_wire, by_wire));
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| CPU seconds a million {shape} spans, by wire | fields in ascending order | in descending order | times |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for (stage, ascending, descending) in rows {
            let times = times(descending, ascending);
            let [ascending, descending, times] = [ascending, descending, &times].map(|all| spread(all, 2));
            writeln!(f, "| {stage} | {ascending} | {descending} | {times} |")?;
        }
        Ok(())
    }
}

/// What each round of `these` is to the same round of `those`.
fn times(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| this / that).collect()
}
