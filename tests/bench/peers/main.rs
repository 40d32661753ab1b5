//! `make bench-peers`: what a million spans cost Spillway's consumer and ClickHouse in CPU, beside what they cost others that
//! bring OTLP into ClickHouse: rotel, the otel-arrow engine, the OpenTelemetry Collector and Vector, where a built one is named.
//!
//! All take turns in each round, on the same requests, into the same server. What each has stored is compared with what
//! Spillway has, column by column, by a hash that knows no order.

mod peer;
mod programs;
mod report;
mod rows;
mod tables;
mod turn;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use local_stack::command::run_to_end;
use spillway_bench::ledgers::Ledgers;
use spillway_bench::machine::Machine;
use spillway_bench::rig::Rig;
use spillway_bench::workload::{self, Shape};
use spillway_generator::objects::Object;
use spillway_generator::order::Order;
use spillway_generator::payloads::gzipped;

use crate::peer::{Contender, Peer};
use crate::report::{Plan, Report};
use crate::tables::Kind;
use crate::turn::Load;

/// Measures what a million spans cost Spillway's consumer and ClickHouse in CPU, beside what they cost others.
///
/// A peer takes part where a built one is named, by its path or by an http(s) URL, which is downloaded for the time of the
/// run: ROTEL=… OTEL_ARROW=… OTELCOL=… VECTOR=… make bench-peers. Without any, Spillway is measured alone.
#[derive(Parser)]
struct Cli {
    /// Only see that everything works: one small round, whose figures say nothing
    #[arg(long)]
    short: bool,
    /// How often everyone has their turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Spans of a turn
    #[arg(long, default_value_t = 500_000)]
    spans: usize,
    /// Only one shape of spans
    #[arg(long, value_enum)]
    shape: Option<Shape>,
    /// The order of the fields in all requests; without it they are ascending, and realistic spans go into the table that keeps nothing
    /// in descending order as well
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// rotel, its path or URL
    #[arg(long, value_name = "PATH|URL", env = "ROTEL")]
    rotel: Option<String>,
    /// The otel-arrow engine (df_engine, built with the feature clickhouse-exporter), its path or URL
    #[arg(long, value_name = "PATH|URL", env = "OTEL_ARROW")]
    otel_arrow: Option<String>,
    /// An OpenTelemetry Collector with the ClickHouse exporter and the batch processor, its path or URL
    #[arg(long, value_name = "PATH|URL", env = "OTELCOL")]
    otelcol: Option<String>,
    /// Vector, its path or URL
    #[arg(long, value_name = "PATH|URL", env = "VECTOR")]
    vector: Option<String>,
    /// The most spans of a peer's batch; each peer has a turn for each (the otel-arrow engine bounds bytes, and takes 50000 at most)
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [8_192, 100_000])]
    peer_batches: Vec<usize>,
    /// Requests that are in flight to a peer
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Send to peers what is compressed, as it is in Spillway's objects in any case
    #[arg(long)]
    gzip: bool,
    /// Where the figures go, all of them
    #[arg(long, value_name = "FILE", default_value = "target/bench-peers.json")]
    json: PathBuf,
}

impl Cli {
    fn plan(&self) -> Plan {
        let (rounds, spans) = if self.short { (1, 2_000) } else { (self.rounds.max(1), self.spans.max(1)) };
        Plan {
            short: self.short,
            rounds,
            spans,
            connections: self.connections.max(1),
            gzip: self.gzip,
            order: self.order.unwrap_or_default(),
        }
    }

    fn named(&self, peer: Peer) -> Option<&str> {
        let named = match peer {
            Peer::Rotel => &self.rotel,
            Peer::OtelArrow => &self.otel_arrow,
            Peer::Collector => &self.otelcol,
            Peer::Vector => &self.vector,
        };
        named.as_deref().filter(|named| !named.is_empty())
    }
}

/// In a round: one into nothing in each order, one into its own table, one into the peers'.
const SPILLWAYS_TURNS: usize = 4;

fn main() -> ExitCode {
    run_to_end("bench-peers", run(&Cli::parse()))
}

async fn run(cli: &Cli) -> Result<()> {
    let (plan, machine) = (cli.plan(), Machine::now()?);
    let mut rig = Rig::start(true).await?;
    let mut contenders = vec![Contender::Spillway, Contender::SpillwayIntoStock];
    for peer in Peer::ALL {
        if let Some(named) = cli.named(peer) {
            let program = programs::find(peer, named, rig.folder()).await?;
            let batches: BTreeSet<_> =
                cli.peer_batches.iter().map(|&batch| batch.clamp(1, peer.largest_batch())).collect();
            contenders.extend(batches.into_iter().map(|batch| Contender::Peer {
                peer,
                program: program.clone(),
                batch,
            }));
        } else {
            eprintln!(
                "bench-peers: without {}, which {}=PATH or URL would name",
                peer.name(),
                peer.variable()
            );
        }
    }
    let (mut report, mut others) = (Report::new(plan, machine, rig.version().await?), Vec::new());
    let turns = Shape::wanted(cli.shape).count() * plan.rounds * SPILLWAYS_TURNS;
    let mut ledgers = Ledgers::make(rig.ledger_urls(turns)).await?;
    for shape in Shape::wanted(cli.shape) {
        let mut loads = vec![load(shape, plan.order, &plan, &rig).await?];
        if let Some(other) = workload::other_order(shape, cli.order) {
            loads.push(load(shape, other, &plan, &rig).await?);
        }
        for round in 1..=plan.rounds {
            for kind in Kind::ALL {
                for contender in contenders.iter().filter(|contender| contender.takes_part(kind)) {
                    // What is stored is compared, of one load.
                    let loads = loads.iter().take(if kind == Kind::Null { loads.len() } else { 1 });
                    for load in loads {
                        eprintln!(
                            "bench-peers: {shape}, {}, round {round} of {}, {kind}: {contender}",
                            load.order, plan.rounds
                        );
                        let turn = turn::take(contender, kind, load, &plan, &mut ledgers, &mut rig).await;
                        let turn = turn.with_context(|| contender.to_string())?;
                        if turn.rows.as_ref().is_some_and(|rows| !rows.are_the_same()) {
                            others.push(contender.to_string());
                        }
                        report.add(shape, kind, contender, load.order, turn);
                    }
                }
                turn::clear(&contenders, kind, &rig).await?;
            }
        }
    }
    fs::write(&cli.json, serde_json::to_vec_pretty(&report)?)
        .with_context(|| format!("cannot write {}", cli.json.display()))?;
    write!(stdout(), "{report}")?;
    eprintln!("bench-peers: the figures are also in {}", cli.json.display());
    ensure!(others.is_empty(), "other rows than Spillway's have been stored by {}", others.join(", "));
    Ok(())
}

/// Objects in this order of fields, which lie in the bucket.
async fn load(shape: Shape, order: Order, plan: &Plan, rig: &Rig) -> Result<Load> {
    let objects = workload::make(shape, order, plan.spans)?;
    eprintln!("bench-peers: {shape}, {order}: {} objects into the bucket", objects.len());
    workload::put(&objects, rig.bucket.as_ref().context("no bucket")?).await?;
    Ok(Load { order, bodies: bodies(&objects, plan.gzip)?, objects })
}

/// What exporters would have sent for the objects.
fn bodies(objects: &[Object], gzip: bool) -> Result<Vec<Bytes>> {
    let payloads = objects.iter().map(|object| &object.payload);
    payloads.map(|payload| Ok(if gzip { gzipped(payload)?.into() } else { payload.clone() })).collect()
}
