//! What contenders have stored, beside what Spillway has in its own table.

use anyhow::{Result, ensure};
use serde::Serialize;
use spillway_bench::rig::Rig;

use crate::peer::Contender;
use crate::tables::stock_database;

/// How the rows of a contender compare with Spillway's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many there are.
    pub rows: u64,
    /// How many Spillway has.
    pub spillway_rows: u64,
    /// The columns whose hashes differ.
    pub different: Vec<&'static str>,
}

impl Rows {
    /// Whether the contender has stored what Spillway has.
    pub fn are_the_same(&self) -> bool {
        self.different.is_empty() && self.rows == self.spillway_rows
    }
}

/// A column that all have, and the value of it that is compared: what writers may write differently without meaning
/// anything else is brought to one form, and nothing else.
struct Column {
    name: &'static str,
    form: Form,
}

/// What is done to a value before it is compared.
enum Form {
    /// Nothing.
    AsItIs,
    /// `SPAN_KIND_SERVER`, as older writers have it, is `Server`; `STATUS_CODE_OK` is `Ok`. No text is the value 0, as the
    /// otel-arrow engine writes it.
    Enum { prefix: &'static str, zero: &'static str },
    /// A map has no order, though its text has: its pairs are sorted. A number that is a double and a whole one is `87`,
    /// where rotel has `87.0`; a text that looks so is taken for one, and the data has none.
    Map,
    /// The same, of the maps of a list.
    Maps,
}

impl Form {
    fn value(&self, column: &str) -> String {
        match self {
            Self::AsItIs => format!("`{column}`"),
            Self::Enum { prefix, zero } => {
                let from = prefix.len() + 1;
                format!(
                    "multiIf(startsWith({column}, '{prefix}'), initcap(lower(substring({column}, {from}))), \
                     {column} = '', '{zero}', toString({column}))"
                )
            }
            Self::Map => sorted(&format!("CAST(`{column}`, 'Map(String, String)')")),
            Self::Maps => {
                format!("arrayMap(map -> {}, CAST(`{column}`, 'Array(Map(String, String))'))", sorted("map"))
            }
        }
    }
}

fn sorted(map: &str) -> String {
    let whole = r"arrayMap(value -> replaceRegexpOne(value, '^(-?[0-9]+)\\.0$', '\\1'), mapValues";
    format!("arraySort(arrayZip(mapKeys({map}), {whole}({map}))))")
}

const COLUMNS: [Column; 22] = [
    Column { name: "Timestamp", form: Form::AsItIs },
    Column { name: "TraceId", form: Form::AsItIs },
    Column { name: "SpanId", form: Form::AsItIs },
    Column { name: "ParentSpanId", form: Form::AsItIs },
    Column { name: "TraceState", form: Form::AsItIs },
    Column { name: "SpanName", form: Form::AsItIs },
    Column { name: "SpanKind", form: Form::Enum { prefix: "SPAN_KIND_", zero: "Unspecified" } },
    Column { name: "ServiceName", form: Form::AsItIs },
    Column { name: "ResourceAttributes", form: Form::Map },
    Column { name: "ScopeName", form: Form::AsItIs },
    Column { name: "ScopeVersion", form: Form::AsItIs },
    Column { name: "SpanAttributes", form: Form::Map },
    Column { name: "Duration", form: Form::AsItIs },
    Column { name: "StatusCode", form: Form::Enum { prefix: "STATUS_CODE_", zero: "Unset" } },
    Column { name: "StatusMessage", form: Form::AsItIs },
    Column { name: "Events.Timestamp", form: Form::AsItIs },
    Column { name: "Events.Name", form: Form::AsItIs },
    Column { name: "Events.Attributes", form: Form::Maps },
    Column { name: "Links.TraceId", form: Form::AsItIs },
    Column { name: "Links.SpanId", form: Form::AsItIs },
    Column { name: "Links.TraceState", form: Form::AsItIs },
    Column { name: "Links.Attributes", form: Form::Maps },
];

/// Compares the rows of a contender with those that Spillway has stored in the same round, which are to be as many as there were spans.
pub async fn compare(rig: &Rig, contender: &Contender, spans: u64) -> Result<Rows> {
    let (ours, theirs) = (Contender::Spillway.database(), stock_database(contender));
    let count = "SELECT count() FROM otel_traces";
    let (rows, spillway_rows) = (rig.number(&theirs, count).await?, rig.number(&ours, count).await?);
    ensure!(spillway_rows == spans, "Spillway has stored {spillway_rows} rows of {spans} spans");
    let mut different = Vec::new();
    if ours != theirs {
        for column in &COLUMNS {
            let hash = hash(column);
            if rig.number(&ours, &hash).await? != rig.number(&theirs, &hash).await? {
                different.push(column.name);
                tell_difference(rig, column, contender, (&ours, &theirs)).await?;
            }
        }
    }
    Ok(Rows { rows, spillway_rows, different })
}

/// A hash of the values of a column, each with the span that it is of: the order of the rows is nothing to it.
fn hash(column: &Column) -> String {
    let value = column.form.value(column.name);
    format!("SELECT sum(cityHash64(TraceId, SpanId, {value})) FROM otel_traces")
}

/// Shows one span that differs, on the standard error.
async fn tell_difference(
    rig: &Rig,
    column: &Column,
    contender: &Contender,
    (ours, theirs): (&str, &str),
) -> Result<()> {
    let value = column.form.value(column.name);
    let of = |database: &str| {
        format!("SELECT TraceId, SpanId, toString({value}) AS value FROM {database}.otel_traces")
    };
    let sql = format!(
        "SELECT ours.SpanId, ours.value, theirs.value FROM ({}) AS ours JOIN ({}) AS theirs USING (TraceId, SpanId)
         WHERE ours.value != theirs.value ORDER BY TraceId, SpanId LIMIT 1",
        of(ours),
        of(theirs)
    );
    let found = rig.client().query_raw(&sql).fetch_optional::<(String, String, String)>().await?;
    match found {
        Some((span, ours, theirs)) => {
            eprintln!(
                "bench-peers: {contender}: {} of span {span} is {theirs}, and {ours} by Spillway",
                column.name
            );
        }
        None => eprintln!(
            "bench-peers: {contender}: {} differs by spans that one of both lacks or has twice",
            column.name
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use spillway_bench::server_rows;

    use super::*;

    #[test]
    fn every_column_that_all_have_is_compared() {
        let compared: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        let all: Vec<_> = server_rows::COLUMNS.split(',').map(str::trim).collect();
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(compared), sorted(all));
    }
}
