//! Vector, by its configuration of the OpenTelemetry source and the ClickHouse sink, with what makes rows of spans between them.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{BATCH_TIMEOUT, INSERT_TIMEOUT, Setup, command_with};

/// A row of a span, in Vector's own language. It has no functions to be defined, so what recurs is put in: `TEXTS(map)`
/// makes texts of the values of a map, and `TIME(time)` one of a time.
const ROW: &str = r#"
span = .
kinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
codes = ["Unset", "Ok", "Error"]
epoch = t'1970-01-01T00:00:00Z'
start = timestamp(span.start_time_unix_nano) ?? epoch
end = timestamp(span.end_time_unix_nano) ?? start
duration = to_unix_timestamp(end, unit: "nanoseconds") - to_unix_timestamp(start, unit: "nanoseconds")
if duration < 0 { duration = 0 }
resource = TEXTS(span.resources)
events = array(span.events) ?? []
links = array(span.links) ?? []
. = {
    "Timestamp": TIME(start),
    "TraceId": span.trace_id,
    "SpanId": span.span_id,
    "ParentSpanId": span.parent_span_id,
    "TraceState": span.trace_state,
    "SpanName": span.name,
    "SpanKind": get(kinds, [to_int(span.kind) ?? 0]) ?? "Unspecified",
    "ServiceName": get(resource, ["service.name"]) ?? "",
    "ResourceAttributes": resource,
    "ScopeName": string(span.scope.name) ?? "",
    "ScopeVersion": string(span.scope.version) ?? "",
    "SpanAttributes": TEXTS(span.attributes),
    "Duration": duration,
    "StatusCode": get(codes, [to_int(span.status.code) ?? 0]) ?? "Unset",
    "StatusMessage": string(span.status.message) ?? "",
    "Events.Timestamp": map_values(events) -> |event| { TIME((timestamp(event.time_unix_nano) ?? epoch)) },
    "Events.Name": map_values(events) -> |event| { event.name },
    "Events.Attributes": map_values(events) -> |event| { TEXTS(event.attributes) },
    "Links.TraceId": map_values(links) -> |link| { link.trace_id },
    "Links.SpanId": map_values(links) -> |link| { link.span_id },
    "Links.TraceState": map_values(links) -> |link| { link.trace_state },
    "Links.Attributes": map_values(links) -> |link| { TEXTS(link.attributes) },
}
"#;
const TEXTS: [&str; 2] =
    ["map_values(object(", ") ?? {}) -> |value| { string(value) ?? to_string(value) ?? encode_json(value) }"];
const TIME: [&str; 2] = ["format_timestamp!(", r#", format: "%Y-%m-%dT%H:%M:%S%.9fZ")"#];

pub fn command(program: &Path, setup: &Setup<'_>) -> Result<Command> {
    let Setup { clickhouse, database, batch, http, grpc, folder, .. } = setup;
    // YAML, of which JSON is a part.
    let config = json!({
        "data_dir": folder,
        "sources": {
            "otlp": {
                "type": "opentelemetry",
                "http": { "address": http },
                "grpc": { "address": grpc },
            },
        },
        "transforms": {
            "logs": { "type": "trace_to_log", "inputs": ["otlp.traces"] },
            "rows": { "type": "remap", "inputs": ["logs"], "source": row() },
        },
        "sinks": {
            "clickhouse": {
                "type": "clickhouse",
                "inputs": ["rows"],
                "endpoint": clickhouse,
                "database": database,
                "table": "otel_traces",
                "date_time_best_effort": true,
                "batch": { "max_events": batch, "max_bytes": 1 << 30, "timeout_secs": BATCH_TIMEOUT.as_secs() },
                "request": { "timeout_secs": INSERT_TIMEOUT.as_secs() },
            },
        },
    });
    command_with(program, &folder.join("vector.yaml"), &config.to_string())
}

fn row() -> String {
    put_in(&put_in(ROW, "TEXTS(", TEXTS), "TIME(", TIME)
}

/// Replaces `name`, and the bracket that closes it.
fn put_in(text: &str, name: &str, [before, after]: [&str; 2]) -> String {
    let mut parts = text.split(name);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut depth = 1;
        let end = part.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let (inner, rest) = part.split_at(end.unwrap_or(part.len()));
        whole += before;
        whole += inner;
        whole += after;
        whole += rest.strip_prefix(')').unwrap_or(rest);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_recurs_is_put_in_up_to_its_own_bracket() {
        assert_eq!(put_in("a F(b(c)) d F(e)", "F(", ["<", ">"]), "a <b(c)> d <e>");
        let row = row();
        assert!(!row.contains("TEXTS(") && !row.contains("TIME("), "{row}");
        assert_eq!(row.matches('(').count(), row.matches(')').count(), "{row}");
    }
}
