//! docs/INCIDENT.md.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use spillway_zone::subrequests::Mode;

use crate::cell::Outcome;

pub const PATH: &str = "docs/INCIDENT.md";
const BEGIN: &str = "<!-- begin: written by `make incident` -->";
const END: &str = "<!-- end -->";
const HEAD: &str = "| same-zone requests go | fix | traces accepted | notifications sent | dropped | stored in the first minute \
                    | stored in the end | seconds until the alert |\n\
                    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";

/// What a mode is called there.
pub fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Straight => "straight",
        Mode::Through => "through",
        Mode::Mixed => "mixed",
    }
}

/// Puts the rows in the place of those that are there.
pub fn write(outcomes: &[Outcome]) -> Result<()> {
    let text = fs::read_to_string(path())?;
    let (before, _) = text.split_once(BEGIN).context("no beginning")?;
    let (_, after) = text.split_once(END).context("no end")?;
    let rows: String = outcomes.iter().map(row).collect();
    let table = format!("`make incident` at {}:\n\n{HEAD}{rows}", commit()?);
    Ok(fs::write(path(), format!("{before}{BEGIN}\n{table}{END}{after}"))?)
}

fn row(outcome: &Outcome) -> String {
    let Outcome { cell, accepted, sent, dropped, stored_at_first, stored, alert, .. } = outcome;
    let share = if *dropped > 0 {
        format!(" ({:.0} %)", *dropped as f64 * 100.0 / *sent as f64)
    } else {
        String::new()
    };
    let alert = alert.as_ref().map_or_else(|| "-".to_owned(), |(seconds, _)| format!("{seconds:.0}"));
    format!(
        "| {} | {} | {accepted} | {sent} | {dropped}{share} | {stored_at_first} | {stored} | {alert} |\n",
        name_of(cell.mode),
        cell.fix.name(),
    )
}

/// The modes and fixes that are named there.
pub fn rows() -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(path())?;
    let (_, table) = text.split_once(BEGIN).context("no beginning")?;
    let (table, _) = table.split_once(END).context("no end")?;
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
    let row = |line: &str| {
        let mut columns = line.split('|').map(|column| column.trim().to_owned()).skip(1);
        Some((columns.next()?, columns.next()?))
    };
    Ok(rows.filter_map(row).collect())
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(PATH)
}

fn commit() -> Result<String> {
    let told = Command::new("git").args(["describe", "--always", "--dirty"]).output()?;
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}
