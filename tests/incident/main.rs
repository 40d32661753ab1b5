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

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use futures_util::future::try_join_all;
use spillway_zone::rules::Rules;
use spillway_zone::subrequests::Mode;

use cell::{Cell, Outcome, Times};
use company::Fix;

const MODES: [Mode; 3] = [Mode::Straight, Mode::Through, Mode::Mixed];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fix_half_of_the_notifications_are_dropped_and_with_both_none() -> Result<()> {
    let cells = [(Mode::Through, Fix::None), (Mode::Through, Fix::Both)];
    let cells = cells.map(|(mode, fix)| Cell { mode, fix, times: Times::SHORT, rules: None });
    let outcomes = try_join_all(cells.iter().map(Cell::play)).await?;
    outcomes.iter().try_for_each(Outcome::hold)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`make incident`"]
async fn the_whole_table() -> Result<()> {
    let mut outcomes = Vec::new();
    for fix in Fix::ALL {
        // The three modes side by side: each cell mostly waits.
        let cells = MODES.map(|mode| Cell { mode, fix, times: Times::USUAL, rules: None });
        for outcome in try_join_all(cells.iter().map(Cell::play)).await? {
            eprintln!("incident: {outcome:?}");
            outcomes.push(outcome);
        }
    }
    outcomes.sort_by_key(|outcome| outcome.cell.mode);
    table::write(&outcomes)?;
    outcomes.iter().try_for_each(Outcome::hold)
}

/// `RULES=FILE,FILE make incident`: rulesets as Cloudflare's API has them, instead of the company's. `MODE=straight|through|mixed`,
/// through by default. `NOTIFY_PATH=/internal/notify` instead of the Worker's path.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "`RULES=... make incident`"]
async fn with_other_rules_all_is_stored_and_the_alert_comes_in_time() -> Result<()> {
    let files = std::env::var("RULES").context("RULES is not set")?;
    let mut rules = Rules { rulesets: Vec::new(), routes: company::routes(), ..Rules::default() };
    // Relative to the checkout, where `make` is called.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in files.split(',') {
        let text = fs::read_to_string(checkout.join(file)).with_context(|| file.to_owned())?;
        rules = rules.with_json(file, &text)?;
    }
    let mode = std::env::var("MODE").unwrap_or_else(|_| "through".to_owned());
    let mode = Mode::from_str(&mode, true).map_err(anyhow::Error::msg)?;
    let fix = if std::env::var("NOTIFY_PATH").is_ok_and(|path| path == company::OWN_PATH) {
        Fix::None
    } else {
        Fix::Both
    };
    let outcome = Cell { mode, fix, times: Times::USUAL, rules: Some(rules) }.play().await?;
    eprintln!("incident: {outcome:#?}");
    outcome.hold()
}

#[test]
fn the_table_has_a_row_for_each_cell() -> Result<()> {
    let rows = table::DOCUMENT.rows()?;
    let cells = MODES
        .iter()
        .flat_map(|mode| Fix::ALL.map(|fix| (table::name_of(*mode).to_owned(), fix.name().to_owned())));
    ensure!(rows == cells.collect::<Vec<_>>(), "`make incident` writes {}: {rows:?}", table::DOCUMENT.path);
    Ok(())
}
