//! Spillway's rows beside those that the Collector's ClickHouse exporter writes for the same requests, into the same engine.
//!
//! `make agreement` runs it: it wants Go, for the exporter. `SEED` and `REQUESTS` choose other requests.

mod cases;
mod differences;
mod exporter;
mod generator;
mod rig;
mod rows;
mod values;

use anyhow::{Context, Result, ensure};
use prost::Message;

use differences::{Counts, Difference, comparable, exporters, is_in_order};
use generator::Generator;
use rig::{Rig, Sent, sent, wide_limits};
use rows::CommonRow;

const DEFAULT_SEED: u64 = 1;
const DEFAULT_REQUESTS: usize = 400;
/// How many rows that differ are shown.
const SHOWN_ROWS: usize = 5;

#[tokio::test]
#[ignore = "make agreement"]
async fn generated_requests_become_the_same_rows_but_for_the_listed_differences() -> Result<()> {
    let (seed, requests) = (chosen("SEED", DEFAULT_SEED)?, chosen("REQUESTS", DEFAULT_REQUESTS)?);
    eprintln!("agreement: {requests} requests of SEED={seed}");
    let mut generator = Generator::new(seed);
    let requests: Vec<_> = (0..requests).map(|_| generator.request().encode_to_vec()).collect();
    let mut rig = Rig::start().await?;
    let stored = rig.store(&requests, wide_limits()).await?;
    rig.stop().await?;
    let refused: Vec<_> = stored.answers.iter().filter_map(|answer| answer.error.as_ref()).collect();
    ensure!(refused.is_empty(), "the exporter refused {} requests: {:?}", refused.len(), refused[0]);
    let sent = sent(&requests)?;
    ensure!(!sent.is_empty());
    ensure!(
        stored.spillways.len() == sent.len(),
        "Spillway stored {} of {} spans",
        stored.spillways.len(),
        sent.len()
    );
    ensure!(
        stored.exporters.len() == sent.len(),
        "the exporter stored {} of {} spans",
        stored.exporters.len(),
        sent.len()
    );
    let mut counts = Counts::new();
    let rows = sent.iter().zip(&stored.spillways).zip(&stored.exporters);
    let faults: Vec<_> = rows
        .filter_map(|((sent, spillways), exporters)| agree(sent, spillways, exporters, &mut counts).err())
        .collect();
    for fault in faults.iter().take(SHOWN_ROWS) {
        eprintln!("agreement: {fault:#}");
    }
    ensure!(faults.is_empty(), "{} of {} rows differ otherwise than listed", faults.len(), sent.len());
    eprintln!("agreement: {} rows are equal but for {counts:?}", sent.len());
    for difference in Difference::FORETOLD {
        ensure!(counts.contains_key(&difference), "no generated span has {difference:?}");
    }
    Ok(())
}

/// The row that follows from Spillway's by the listed differences is the exporter's.
fn agree(sent: &Sent, spillways: &CommonRow, exporters_row: &CommonRow, counts: &mut Counts) -> Result<()> {
    let id = || format!("span {:?}", spillways.span_id);
    let foretold = exporters(sent, spillways, counts).with_context(id)?;
    ensure!(is_in_order(exporters_row.clone()), "{}: the exporter's attributes are in another order", id());
    let (foretold, written) = (comparable(foretold), comparable(exporters_row.clone()));
    for (column, foretold, written) in foretold.differing(&written) {
        eprintln!("agreement: {}: {column}\n  Spillway: {foretold}\n  exporter: {written}", id());
    }
    ensure!(foretold == written, "{} differs", id());
    Ok(())
}

fn chosen<T: std::str::FromStr>(variable: &str, default: T) -> Result<T> {
    match std::env::var(variable) {
        Ok(value) => value.parse().ok().with_context(|| format!("{variable} is {value}, which is no number")),
        Err(_) => Ok(default),
    }
}
