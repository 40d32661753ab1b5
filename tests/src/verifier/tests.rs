use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::json;

use super::*;

const OWNER: Owner<'_> = Owner { tenant: "shop", project: "" };

/// A request of two spans.
fn request() -> ExportTraceServiceRequest {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() * 1_000_000_000;
    let span = |id| Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        name: format!("span {id}"),
        start_time_unix_nano: now,
        end_time_unix_nano: now + 7,
        ..Span::default()
    };
    let scope = ScopeSpans { spans: vec![span(1), span(2)], ..ScopeSpans::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }],
    }
}

fn expected(number: usize) -> Vec<Row> {
    row::rows_of(&request(), number, &OWNER, SystemTime::now()).unwrap().0
}

/// The rows of the table where they are as expected.
fn stored(rows: &[Row]) -> Vec<Value> {
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).format("%F %T%.3f").to_string();
    let row = |row: &Row| {
        let mut columns = row.columns.clone();
        columns.insert("ObjectKey".to_owned(), json!(format!("v1/2026/object-{}-2.otlp", row.request)));
        columns.insert("ReceivedAt".to_owned(), json!(now));
        Value::Object(columns)
    };
    rows.iter().map(row).collect()
}

/// A change of the table's rows.
type Change = fn(&mut Vec<Value>);

/// What the verifier says of a table with the rows of one request that `change` has changed.
fn after(change: impl FnOnce(&mut Vec<Value>)) -> Result<usize> {
    let expected = expected(0);
    let mut rows = stored(&expected);
    change(&mut rows);
    compare(expected, rows)
}

#[test]
fn rows_as_sent_pass() {
    assert_eq!(after(|_| ()).unwrap(), 0);
}

#[test]
fn spans_of_two_requests_are_counted() {
    let both: Vec<_> = [0, 1].into_iter().flat_map(expected).collect();
    let rows = stored(&both);
    assert_eq!(compare(both, rows).unwrap(), 2);
}

#[test]
fn each_fault_of_a_table_is_an_error() {
    let changes: [(&str, Change); 7] = [
        ("is there 0 times instead of 1", |rows| drop(rows.pop())),
        ("is there 2 times instead of 1", |rows| rows.push(rows[0].clone())),
        ("Duration is \"8\" instead of \"7\"", |rows| rows[1]["Duration"] = json!("8")),
        ("Repairs is [\"text\"] instead of []", |rows| rows[1]["Repairs"] = json!(["text"])),
        ("the verifier does not know Further", |rows| rows[0]["Further"] = json!(1)),
        ("rows of spans that no accepted request holds", |rows| {
            rows.push(rows[0].clone());
            rows[2]["SpanId"] = json!("0303030303030303");
        }),
        ("a request's rows are of", |rows| rows[1]["ObjectKey"] = json!("v1/2026/other-2.otlp")),
    ];
    for (message, change) in changes {
        let error = format!("{:#}", after(change).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
}
