//! The tables, and what goes into the file.

use std::fmt;

use serde::Serialize;
use spillway_bench::figures::spread;
use spillway_bench::machine::Machine;
use spillway_bench::workload::Shape;
use spillway_generator::order::Order;

use crate::peer::Contender;
use crate::rows::Rows;
use crate::tables::Kind;
use crate::turn::Used;

/// How much is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Plan {
    pub short: bool,
    pub rounds: usize,
    pub spans: usize,
    pub connections: usize,
    pub gzip: bool,
    /// That of all requests but those that are sent in the other order as well.
    pub order: Order,
}

/// All that was measured, and where. [`fmt::Display`] makes tables of it, in Markdown.
#[derive(Serialize)]
pub struct Report {
    plan: Plan,
    machine: Machine,
    clickhouse: String,
    figures: Vec<Figure>,
}

/// What a contender took in each round.
#[derive(Serialize)]
struct Figure {
    shape: Shape,
    kind: Kind,
    contender: String,
    order: Order,
    rounds: Vec<Used>,
}

impl Figure {
    fn all(&self, of: impl Fn(&Used) -> f64) -> Vec<f64> {
        self.rounds.iter().map(of).collect()
    }
}

impl Report {
    /// With nothing measured yet.
    pub fn new(plan: Plan, machine: Machine, clickhouse: String) -> Self {
        Self { plan, machine, clickhouse, figures: Vec::new() }
    }

    /// Adds what a turn took.
    pub fn add(&mut self, shape: Shape, kind: Kind, contender: &Contender, order: Order, used: Used) {
        let contender = contender.to_string();
        let known = self.figures.iter_mut().find(|figure| {
            let figure = (figure.shape, figure.kind, figure.order, figure.contender.as_str());
            figure == (shape, kind, order, contender.as_str())
        });
        match known {
            Some(figure) => figure.rounds.push(used),
            None => self.figures.push(Figure { shape, kind, contender, order, rounds: vec![used] }),
        }
    }

    fn of(&self, shape: Shape, kind: Kind, order: Order) -> impl Iterator<Item = &Figure> {
        let figures = self.figures.iter();
        figures.filter(move |figure| (figure.shape, figure.kind, figure.order) == (shape, kind, order))
    }

    fn table(&self, f: &mut fmt::Formatter<'_>, shape: Shape, kind: Kind) -> fmt::Result {
        let mut figures = self.of(shape, kind, self.plan.order).peekable();
        let Some(&first) = figures.peek() else { return Ok(()) };
        writeln!(
            f,
            "\n| CPU s a million {shape} spans, {kind} | client | times | ClickHouse | times | both | times | rows |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")?;
        for figure in figures {
            write!(f, "| {} |", figure.contender)?;
            let parts: [fn(&Used) -> f64; 3] =
                [|used| used.client, |used| used.clickhouse, |used| used.client + used.clickhouse];
            for of in parts {
                let (theirs, ours) = (figure.all(of), first.all(of));
                let times: Vec<_> = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
                write!(f, " {} | {} |", spread(&theirs, 2), spread(&times, 2))?;
            }
            writeln!(f, " {} |", rows_of(figure))?;
        }
        Ok(())
    }

    /// Where there are turns in both orders.
    fn orders_table(&self, f: &mut fmt::Formatter<'_>, shape: Shape, kind: Kind) -> fmt::Result {
        let mut descending = self.of(shape, kind, Order::Descending).peekable();
        if self.plan.order == Order::Descending || descending.peek().is_none() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| client's CPU s a million {shape} spans, {kind} | fields in ascending order | in descending order | times |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for figure in descending {
            let mut ascending = self.of(shape, kind, Order::Ascending);
            let Some(ascending) = ascending.find(|other| other.contender == figure.contender) else {
                continue;
            };
            let [ascending, descending] = [ascending, figure].map(|figure| figure.all(|used| used.client));
            let times: Vec<_> = descending.iter().zip(&ascending).map(|(this, that)| this / that).collect();
            let [ascending, descending, times] = [&ascending, &descending, &times].map(|all| spread(all, 2));
            writeln!(f, "| {} | {ascending} | {descending} | {times} |", figure.contender)?;
        }
        Ok(())
    }
}

/// What is to be said of the rows of all rounds.
fn rows_of(figure: &Figure) -> String {
    let alike = if figure.kind == Kind::Null { "as many" } else { "the same" };
    let rows: Vec<&Rows> = figure.rounds.iter().filter_map(|used| used.rows.as_ref()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let Some(odd) = rows.iter().find(|rows| !rows.are_the_same()) else {
        return alike.to_owned();
    };
    let mut text = Vec::new();
    if odd.rows != odd.spillway_rows {
        text.push(format!("{} of {}", odd.rows, odd.spillway_rows));
    }
    if !odd.different.is_empty() {
        text.push(format!("different: {}", odd.different.join(", ")));
    }
    text.join("; ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { short, rounds, spans, connections, gzip, order } = self.plan;
        writeln!(f, "ClickHouse {}, {}", self.clickhouse, self.machine)?;
        let compressed = if gzip { "compressed" } else { "not compressed" };
        writeln!(
            f,
            "medians of {rounds} rounds of {spans} spans (lowest to highest); to peers over {connections} connections, {compressed}, \
             fields in {order} order"
        )?;
        if short {
            writeln!(f, "this was a short run: the figures say nothing")?;
        }
        for shape in Shape::ALL {
            for kind in Kind::ALL {
                self.table(f, shape, kind)?;
                self.orders_table(f, shape, kind)?;
            }
        }
        Ok(())
    }
}
