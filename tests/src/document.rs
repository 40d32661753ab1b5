//! Documents that hold a table which a test writes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

const END: &str = "<!-- end -->";

/// A document, and the command that writes its table.
pub struct Document {
    /// From the root of the project.
    pub path: &'static str,
    /// Such as `make faults`.
    pub command: &'static str,
}

impl Document {
    /// Puts a table in the place of the one that is there. `summary` follows the command and the commit.
    pub fn write(&self, summary: &str, table: &str) -> Result<()> {
        let (text, begin) = (self.text()?, self.begin());
        let (before, _) = text.split_once(&begin).context("no beginning")?;
        let (_, after) = text.split_once(END).context("no end")?;
        let head = format!("`{}` at {}:{summary}", self.command, commit()?);
        Ok(fs::write(self.file(), format!("{before}{begin}\n{head}\n\n{table}{END}{after}"))?)
    }

    /// The first two columns of its rows.
    pub fn rows(&self) -> Result<Vec<(String, String)>> {
        let text = self.text()?;
        let (_, table) = text.split_once(&self.begin()).context("no beginning")?;
        let (table, _) = table.split_once(END).context("no end")?;
        let rows = table.lines().filter(|line| line.starts_with("| ")).skip(2);
        let row = |line: &str| {
            let mut columns = line.split('|').map(|column| column.trim().to_owned()).skip(1);
            Some((columns.next()?, columns.next()?))
        };
        Ok(rows.filter_map(row).collect())
    }

    fn begin(&self) -> String {
        format!("<!-- begin: written by `{}` -->", self.command)
    }

    fn text(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file())?)
    }

    fn file(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(self.path)
    }
}

fn commit() -> Result<String> {
    let told = Command::new("git").args(["describe", "--always", "--dirty"]).output()?;
    Ok(String::from_utf8(told.stdout)?.trim().to_owned())
}
