//! The incident that this project exists for: the platform sends the Worker's notifications through the zone's firewall, whose
//! own rate limits drop half of them. Played over a simulated zone, with all other parts real: without a fix, with each of
//! the fixes, and through a queue; while the platform sends same-zone requests straight to the origin, through everything, or now
//! so and now so.
//!
//! `make incident` plays all cells and writes docs/INCIDENT.md; two of them run with the other tests, in a shorter time.

mod cell;
mod company;
mod load;
mod table;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use spillway_zone::subrequests::Mode;

use cell::{Cell, Outcome, Times};
use company::Fix;

const MODES: [Mode; 3] = [Mode::Straight, Mode::Through, Mode::Mixed];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fix_half_of_the_notifications_are_dropped_and_with_both_none() -> Result<()> {
    let cells = [(Mode::Through, Fix::None), (Mode::Through, Fix::Both)];
    let cells = cells.map(|(mode, fix)| Cell { mode, fix, times: Times::SHORT });
    let outcomes = try_join_all(cells.iter().map(Cell::play)).await?;
    outcomes.iter().try_for_each(Outcome::hold)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make incident`"]
async fn the_whole_table() -> Result<()> {
    let mut outcomes = Vec::new();
    for fix in Fix::ALL {
        // The three modes side by side: each cell mostly waits.
        let cells = MODES.map(|mode| Cell { mode, fix, times: Times::USUAL });
        for outcome in try_join_all(cells.iter().map(Cell::play)).await? {
            eprintln!("incident: {outcome:?}");
            outcomes.push(outcome);
        }
    }
    outcomes.sort_by_key(|outcome| outcome.cell.mode);
    table::write(&outcomes)?;
    outcomes.iter().try_for_each(Outcome::hold)
}

#[test]
fn the_table_has_a_row_for_each_cell() -> Result<()> {
    let rows = table::rows()?;
    let cells = MODES
        .iter()
        .flat_map(|mode| Fix::ALL.map(|fix| (table::name_of(*mode).to_owned(), fix.name().to_owned())));
    ensure!(rows == cells.collect::<Vec<_>>(), "`make incident` writes {}: {rows:?}", table::PATH);
    Ok(())
}
