//! What the table holds of some traces.

use anyhow::Result;
use serde_json::Value;

use crate::stack::TestStack;

/// How many rows.
pub(super) async fn count(stack: &TestStack, traces: &[String]) -> Result<usize> {
    if traces.is_empty() {
        return Ok(0);
    }
    let query = format!("SELECT count() FROM otel_traces WHERE {}", condition(traces));
    let count: u64 = stack.clickhouse().query_raw(&query).fetch_one().await?;
    Ok(usize::try_from(count)?)
}

/// The rows, every column. Maps are lists of pairs: in an object, one of two values of a key would be lost.
pub(super) async fn rows(stack: &TestStack, traces: &[String]) -> Result<Vec<Value>> {
    if traces.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!("SELECT * FROM otel_traces WHERE {}", condition(traces));
    let client = stack.clickhouse();
    let query = client
        .query_raw(&query)
        .with_setting("output_format_json_quote_64bit_integers", "1")
        .with_setting("output_format_json_map_as_array_of_tuples", "1")
        .with_setting("output_format_json_named_tuples_as_objects", "0");
    let text = query.fetch_bytes("JSONEachRow")?.collect().await?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

/// The ids are hexadecimal digits.
fn condition(traces: &[String]) -> String {
    format!("TraceId IN ('{}')", traces.join("','"))
}
