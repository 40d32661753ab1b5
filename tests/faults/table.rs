//! docs/FAULTS.md.

use anyhow::Result;
use spillway_tests::document::Document;

use crate::play::Row;

pub const DOCUMENT: Document = Document { path: "docs/FAULTS.md", command: "make faults" };

/// Puts the rows in the place of those that are there.
pub fn write(rows: &[Row]) -> Result<()> {
    let ok = rows.iter().filter(|row| row.is_ok()).count();
    let mut table =
        "| step | fault | outcome | seconds | seen |\n| --- | --- | --- | ---: | --- |\n".to_owned();
    for row in rows {
        let outcome = row.outcome.replace(['\n', '|'], " ");
        table +=
            &format!("| {} | {} | {outcome} | {:.1} | {} |\n", row.step, row.fault, row.seconds, row.seen);
    }
    DOCUMENT.write(&format!(" {ok} of {} ok.", rows.len()), &table)
}
