//! docs/INCIDENT.md.

use anyhow::Result;
use spillway_tests::document::Document;
use spillway_zone::subrequests::Mode;

use crate::cell::Outcome;

pub const DOCUMENT: Document = Document { path: "docs/INCIDENT.md", command: "make incident" };
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
    let rows: String = outcomes.iter().map(row).collect();
    DOCUMENT.write("", &format!("{HEAD}{rows}"))
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
