//! What the commands say: keys, tables and JSON on standard output, everything else on standard error.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

/// A key that was made, which is shown this once.
pub fn key(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Something that can be asked for again: a reader that has seen enough is no error.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// For people.
pub fn note(text: &str) {
    // An error means that nobody reads along.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A value as `--json` shows it.
pub fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

/// A table, its columns as wide as what they hold.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |cells: [&str; N]| {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        insta::assert_snapshot!(table(["TENANT", "KEY"], &[row("a", "one"), row("a-long-name", "two")]), @r"
        TENANT       KEY
        a            one
        a-long-name  two
        ");
    }
}
