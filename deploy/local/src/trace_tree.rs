//! A trace as people read it: a tree, with the time that each span took.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use clickhouse::{Client, Row};
use serde::Deserialize;

/// A span, as far as the tree shows it.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct TreeSpan {
    /// Its id.
    pub span_id: String,
    /// Its parent's; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// The service that it belongs to.
    pub service: String,
    /// Nanoseconds since the Unix epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: u64,
    /// `Unset`, `Ok` or `Error`.
    pub status: String,
}

/// The spans of a trace, in the order in which they began.
pub async fn spans_of(client: &Client, trace_id: &str) -> Result<Vec<TreeSpan>> {
    let query = client.query(
        "SELECT SpanId AS span_id, ParentSpanId AS parent, toString(SpanName) AS name, toString(ServiceName) AS service,
                toUnixTimestamp64Nano(Timestamp) AS start, Duration AS duration, toString(StatusCode) AS status
         FROM otel_traces WHERE TraceId = ? ORDER BY Timestamp, SpanId",
    );
    Ok(query.bind(trace_id).fetch_all().await?)
}

/// The tree. A span whose parent is not among them is a root.
pub fn render(spans: &[TreeSpan]) -> String {
    let mut below: BTreeMap<&str, Vec<&TreeSpan>> = BTreeMap::new();
    for span in spans {
        let known = spans.iter().any(|other| other.span_id == span.parent);
        below.entry(if known { &span.parent } else { "" }).or_default().push(span);
    }
    let began = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let mut lines = Vec::new();
    for root in below.get("").into_iter().flatten() {
        branch(root, &below, "", "", &mut lines);
    }
    let width = lines.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0);
    let mut tree = String::new();
    for (text, span) in lines {
        let error = if span.status == "Error" { "  error" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            tree,
            "{text:<width$}  {:<10} at {:>9}  took {:>9}{error}",
            span.service,
            millis((span.start - began).unsigned_abs()),
            millis(span.duration)
        );
    }
    tree
}

fn branch<'s>(
    span: &'s TreeSpan,
    below: &BTreeMap<&str, Vec<&'s TreeSpan>>,
    own_prefix: &str,
    prefix: &str,
    lines: &mut Vec<(String, &'s TreeSpan)>,
) {
    lines.push((format!("{own_prefix}{}", span.name), span));
    let children = below.get(span.span_id.as_str()).map(Vec::as_slice).unwrap_or_default();
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        let (own, further) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        branch(child, below, &format!("{prefix}{own}"), &format!("{prefix}{further}"), lines);
    }
}

fn millis(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: i64) -> TreeSpan {
        TreeSpan {
            span_id: id.to_owned(),
            parent: parent.to_owned(),
            name: format!("span {id}"),
            service: "shop".to_owned(),
            start: start * 1_000_000,
            duration: 1_500_000,
            status: if id == "c" { "Error" } else { "Unset" }.to_owned(),
        }
    }

    #[test]
    fn children_stand_below_their_parents_and_orphans_at_the_root() {
        let spans =
            [span("a", "", 0), span("b", "a", 1), span("c", "b", 2), span("d", "a", 3), span("e", "gone", 4)];
        let expected = "\
span a        shop       at    0.0 ms  took    1.5 ms
├─ span b     shop       at    1.0 ms  took    1.5 ms
│  └─ span c  shop       at    2.0 ms  took    1.5 ms  error
└─ span d     shop       at    3.0 ms  took    1.5 ms
span e        shop       at    4.0 ms  took    1.5 ms
";
        assert_eq!(render(&spans), expected);
    }
}
