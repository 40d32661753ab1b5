//! The fault matrix: each fault at each step, and the table of what came of it in docs/FAULTS.md.
//!
//! `make faults` plays all cells and writes the table; a dozen of them run with the other tests.

mod cells;
mod play;
mod rig;
mod table;

use anyhow::{Result, bail};

use cells::{Cell, Ledger, cells};
use play::Row;
use rig::Rig;

#[tokio::test]
async fn some_faults_at_some_steps_cost_time_and_nothing_else() -> Result<()> {
    let some = cells().into_iter().filter(|cell| cell.often);
    complete(&play_all(some.collect()).await?)
}

#[tokio::test]
#[ignore = "`make faults`"]
async fn the_whole_matrix() -> Result<()> {
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let chosen = cells().into_iter().filter(|cell| cell.name().contains(&wanted));
    let rows = play_all(chosen.collect()).await?;
    if wanted.is_empty() {
        table::write(&rows)?;
    }
    complete(&rows)
}

#[test]
fn the_table_has_a_row_for_each_cell() -> Result<()> {
    let rows: Vec<_> = cells().iter().map(|cell| (cell.step.to_owned(), cell.fault.to_owned())).collect();
    assert_eq!(table::DOCUMENT.rows()?, rows, "`make faults` writes {}", table::DOCUMENT.path);
    Ok(())
}

/// In an order in which no cell harms the next one: what silences the edge for a while comes last.
async fn play_all(cells: Vec<Cell>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for ledger in [Ledger::Sqlite, Ledger::Postgres] {
        let mut cells: Vec<_> =
            cells.iter().enumerate().filter(|(_, cell)| cell.ledger() == ledger).collect();
        if cells.is_empty() {
            continue;
        }
        cells.sort_by_key(|(_, cell)| cell.silences_the_edge());
        let mut rig = Rig::start(ledger).await?;
        for (place, cell) in cells {
            let row = play::play(&mut rig, cell).await;
            eprintln!("faults: {}: {} in {:.1} s; {}", cell.name(), row.outcome, row.seconds, row.seen);
            rows.push((place, row));
        }
        // A request that was late may still have come after its cell.
        rig.await_each_span_once().await?;
        rig.stop().await?;
    }
    rows.sort_by_key(|(place, _)| *place);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn complete(rows: &[Row]) -> Result<()> {
    let failed: Vec<_> = rows.iter().filter(|row| !row.is_ok()).map(|row| format!("{row:?}")).collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {} cells failed:\n{}", failed.len(), rows.len(), failed.join("\n"))
}
