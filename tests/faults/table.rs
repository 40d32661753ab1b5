//! docs/FAULTS.md.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::play::Row;

pub const PATH: &str = "docs/FAULTS.md";
const BEGIN: &str = "<!-- begin: written by `make faults` -->";
const END: &str = "<!-- end -->";

/// Puts the rows in the place of those that are there.
pub fn write(rows: &[Row]) -> Result<()> {
    let text = fs::read_to_string(path())?;
    let (before, _) = text.split_once(BEGIN).context("no beginning")?;
    let (_, after) = text.split_once(END).context("no end")?;
    let ok = rows.iter().filter(|row| row.is_ok()).count();
    let mut table = format!(
        "`make faults` at {}: {ok} of {} ok.\n\n| step | fault | outcome | seconds | seen |\n| --- | --- | --- | ---: | --- |\n",
        commit()?,
        rows.len()
    );
    for row in rows {
        let outcome = row.outcome.replace(['\n', '|'], " ");
        table +=
            &format!("| {} | {} | {outcome} | {:.1} | {} |\n", row.step, row.fault, row.seconds, row.seen);
    }
    Ok(fs::write(path(), format!("{before}{BEGIN}\n{table}{END}{after}"))?)
}

/// The steps and faults that are named there.
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
