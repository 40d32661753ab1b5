//! Requests with odd values: what the exporter is told, and which rows there are. One odd value costs none of its neighbours.

use std::collections::HashSet;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use local_stack::http;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::{Value, json};
use spillway_proto::otlp::{Encoding, ExportTraceServiceRequest, decode};
use spillway_tests::bucket::Bucket;
use spillway_tests::stack::TestStack;

/// When the spans of the requests began: in November 2026, as those of the fixtures.
const BEGUN: u64 = 1_796_002_952_000_000_000;

/// A request, and how it is sent.
struct Case {
    name: String,
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    body: Vec<u8>,
}

fn json_text(name: &str, body: impl Into<Vec<u8>>) -> Case {
    Case {
        name: name.to_owned(),
        content_type: "application/json",
        content_encoding: None,
        body: body.into(),
    }
}

fn protobuf(name: &str, body: Vec<u8>) -> Case {
    Case { name: name.to_owned(), content_type: "application/x-protobuf", content_encoding: None, body }
}

fn gzip(case: Case, name: &'static str) -> Case {
    Case { content_encoding: Some(name), ..case }
}

/// The requests of `tests/fixtures/odd-values`.
fn fixtures() -> Vec<Case> {
    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../fixtures/odd-values/", $name)).to_vec()
        };
    }
    vec![
        json_text("an integer that fits no int64", fixture!("int-out-of-range.json")),
        json_text("spans in instrumentationLibrarySpans", fixture!("instrumentation-library-spans.json")),
        protobuf("spans in field 1000", fixture!("instrumentation-library-spans.pb")),
        gzip(json_text("x-gzip", fixture!("x-gzip.json.gz")), "x-gzip"),
        gzip(protobuf("a body that grows 88-fold", fixture!("one-span-128-exceptions.pb.gz")), "gzip"),
        protobuf("text in Latin-1", fixture!("latin1-attribute.pb")),
        json_text("half a surrogate pair in a key", fixture!("lone-surrogate-in-key.json")),
        json_text("spans that end before they start", fixture!("end-before-start.json")),
        json_text("attribute keys twice", fixture!("duplicate-keys.json")),
        json_text("doubles that are no numbers", fixture!("non-finite.json")),
        json_text("an event name of 5 KB", fixture!("long-event-name.json")),
    ]
}

/// A request of three spans, the second of which has these fields, in place of the usual ones. Its neighbours are usual.
fn around(number: u32, fields: &str) -> String {
    let span = |place: u32, fields: &str| {
        let (trace, begun) = (format!("{:032x}", number + 1), BEGUN + u64::from(place));
        let usual = [
            ("name", format!(r#""span {place}""#)),
            ("kind", "1".to_owned()),
            ("startTimeUnixNano", format!(r#""{begun}""#)),
            ("endTimeUnixNano", format!(r#""{}""#, begun + 1_000)),
        ];
        let usual = usual.iter().map(|(name, value)| format!(r#""{name}":{value}"#));
        let is_left = |field: &String| !fields.starts_with(&field[..=field.find(':').unwrap_or(0)]);
        let mut usual: Vec<_> = usual.filter(is_left).collect();
        usual.extend((!fields.is_empty()).then(|| fields.to_owned()));
        let usual = usual.join(",");
        format!(r#"{{"traceId":"{trace}","spanId":"{place:016x}",{usual}}}"#)
    };
    let spans = [span(1, ""), span(2, fields), span(3, "")].join(",");
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"odd"}}}}]}},"scopeSpans":[{{"scope":{{"name":"s"}},"spans":[{spans}]}}]}}]}}"#
    )
}

/// Values of an attribute, as JSON.
const VALUES: &[&str] = &[
    r#"{"intValue":9223372036854775808}"#,
    r#"{"intValue":-9223372036854775809}"#,
    r#"{"intValue":1e3}"#,
    r#"{"intValue":12.5}"#,
    r#"{"intValue":"42.0"}"#,
    r#"{"intValue":"4.2e1"}"#,
    r#"{"intValue":"12.5"}"#,
    r#"{"intValue":"18446744073709551615"}"#,
    r#"{"intValue":"0x1f"}"#,
    r#"{"intValue":""}"#,
    r#"{"intValue":true}"#,
    r#"{"intValue":null}"#,
    r#"{"doubleValue":"1.5"}"#,
    r#"{"doubleValue":"Infinity"}"#,
    r#"{"doubleValue":"-Infinity"}"#,
    r#"{"doubleValue":"inf"}"#,
    r#"{"doubleValue":"many"}"#,
    r#"{"doubleValue":1e400}"#,
    r#"{"boolValue":"true"}"#,
    r#"{"boolValue":1}"#,
    r#"{"stringValue":17}"#,
    r#"{"stringValue":true}"#,
    r#"{"stringValue":["a"]}"#,
    r#"{"stringValue":"half \ud800 a pair"}"#,
    r#"{"bytesValue":"AP-_"}"#,
    r#"{"bytesValue":"not base64!"}"#,
    r#"{"arrayValue":{"values":[{"intValue":1e20},{"doubleValue":"NaN"},{"stringValue":"<&>"},{}]}}"#,
    r#"{"arrayValue":[{"intValue":1}]}"#,
    r#"{"arrayValue":"x"}"#,
    r#"{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":"maybe"}},{"key":"b\udfff","value":{"intValue":2}}]}}"#,
    r#"{"kvlistValue":{"a":1}}"#,
    r#"{"stringValue":"a","intValue":1}"#,
    r#""bare""#,
    r"17",
    r"[]",
    r"null",
];

/// Further fields of a span, as JSON.
const FIELDS: &[&str] = &[
    r#""kind":"SPAN_KIND_SERVER""#,
    r#""kind":"SPAN_KIND_OF_TOMORROW""#,
    r#""kind":"2""#,
    r#""kind":99"#,
    r#""status":{"code":"STATUS_CODE_ERROR","message":"no"}"#,
    r#""status":{"code":7}"#,
    r#""status":"bad""#,
    r#""flags":"257""#,
    r#""flags":-1"#,
    r#""droppedAttributesCount":1.5"#,
    r#""name":12"#,
    r#""name":"a \udead name""#,
    r#""attributes":{"a":1}"#,
    r#""attributes":[17,{"key":"kept","value":{"intValue":1}}]"#,
    r#""attributes":[{"key":12,"value":{"intValue":1}}]"#,
    r#""attributes":[{"value":{"intValue":1}}]"#,
    r#""events":[{"name":"e","timeUnixNano":"soon"},{"name":"f","timeUnixNano":1796002952000000001}]"#,
    r#""events":[{"name":null,"attributes":[{"key":"k","value":{"intValue":"1.0"}}]}]"#,
    r#""links":[{"traceId":"00","spanId":"0123456789abcdef"},{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef"}]"#,
    r#""links":[{"traceId":"0123456789abcdef0123456789abcdef","spanId":"xyz"}]"#,
    r#""parentSpanId":"0123""#,
    r#""parentSpanId":"0000000000000000""#,
    r#""traceState":5"#,
    r#""startTimeUnixNano":1796002952000000.5"#,
    r#""endTimeUnixNano":"1.796002952000001e18""#,
    r#""endTimeUnixNano":"1796002951999999999""#,
    r#""endTimeUnixNano":null"#,
    r#""unheardOf":{"deep":[1,2,{"x":null}]}"#,
];

fn of_values() -> Vec<Case> {
    let value = |value: &&str| {
        format!(r#""attributes":[{{"key":"v","value":{value}}},{{"key":"next","value":{{"intValue":7}}}}]"#)
    };
    let bodies = VALUES.iter().map(|text| (format!("an attribute of {text}"), value(text)));
    let bodies = bodies.chain(FIELDS.iter().map(|text| (format!("a span with {text}"), (*text).to_owned())));
    bodies.zip(0..).map(|((name, fields), number)| json_text(&name, around(number, &fields))).collect()
}

fn nested(depth: usize, innermost: &str) -> String {
    let open = r#"{"arrayValue":{"values":["#.repeat(depth);
    format!("{open}{innermost}{}", "]}}".repeat(depth))
}

fn made() -> Result<Vec<Case>> {
    let message = |body: &str| decode(body.as_bytes(), Encoding::Json);
    let with = |number: u32, change: &dyn Fn(&mut ExportTraceServiceRequest)| -> Result<Vec<u8>> {
        let mut request = message(&around(number, ""))?;
        change(&mut request);
        Ok(request.encode_to_vec())
    };
    let resource = |request: &mut ExportTraceServiceRequest, attribute: Value| -> Result<()> {
        let attributes = &mut request.resource_spans[0].resource.get_or_insert_default().attributes;
        let of = json!({ "resourceSpans": [{ "resource": { "attributes": [attribute] } }] });
        attributes.extend(
            decode(of.to_string().as_bytes(), Encoding::Json)?
                .resource_spans
                .remove(0)
                .resource
                .unwrap_or_default()
                .attributes,
        );
        Ok(())
    };
    let arguments: Vec<_> =
        (0..600).map(|n| json!({ "stringValue": format!("--option-{n}={}", "x".repeat(440)) })).collect();
    let command_line =
        json!({ "key": "process.command_args", "value": { "arrayValue": { "values": arguments } } });
    let deep = around(
        200,
        &format!(
            r#""attributes":[{{"key":"deep","value":{}}},{{"key":"next","value":{{"intValue":7}}}}]"#,
            nested(70, r#"{"intValue":1}"#)
        ),
    );
    let allowed = around(
        201,
        &format!(r#""attributes":[{{"key":"deep","value":{}}}]"#, nested(10, r#"{"intValue":1}"#)),
    );
    let long = "é".repeat(3_000);
    let many: Vec<_> =
        (0..1_030).map(|n| json!({ "key": format!("k{n}"), "value": { "intValue": n } })).collect();
    let links: Vec<_> = (0..1_030)
        .map(|n| json!({ "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1) }))
        .collect();
    let events: Vec<_> =
        (0..1_030).map(|n| json!({ "name": format!("e{n}"), "timeUnixNano": BEGUN.to_string() })).collect();
    let value = json!([{ "key": "prompt", "value": { "stringValue": "p".repeat(300_000) } }]);
    let fields = |fields: Value| {
        let text = fields.to_string();
        text[1..text.len() - 1].to_owned()
    };
    Ok(vec![
        json_text("a value of 70 lists", deep.clone()),
        protobuf(
            "a value of 70 lists, as protobuf",
            with(213, &|request| {
                use opentelemetry_proto::tonic::common::v1::{
                    AnyValue, ArrayValue, KeyValue, any_value::Value,
                };
                let list = |inner: Value| {
                    Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(inner) }] })
                };
                let deep = (0..70).fold(Value::IntValue(1), |inner, _| list(inner));
                let attribute = |key: &str, value| KeyValue {
                    key: key.to_owned(),
                    value: Some(AnyValue { value: Some(value) }),
                    ..KeyValue::default()
                };
                let span = &mut request.resource_spans[0].scope_spans[0].spans[1];
                span.attributes = vec![attribute("deep", deep), attribute("next", Value::IntValue(7))];
            })?,
        ),
        json_text("a value of 10 lists", allowed),
        json_text("a long name", around(202, &fields(json!({ "name": long })))),
        json_text("1030 attributes", around(203, &fields(json!({ "attributes": many })))),
        json_text("1030 links", around(204, &fields(json!({ "links": links })))),
        json_text("1030 events", around(205, &fields(json!({ "events": events })))),
        json_text("a value of 300 KB", around(206, &fields(json!({ "attributes": value })))),
        protobuf(
            "a resource with a command line of 271 KB",
            with(207, &|request| {
                resource(request, command_line.clone()).unwrap_or_default();
            })?,
        ),
        protobuf(
            "links with short ids",
            with(208, &|request| {
                use opentelemetry_proto::tonic::trace::v1::span::Link;
                let link = |trace: usize, span: usize| Link {
                    trace_id: vec![1; trace],
                    span_id: vec![2; span],
                    ..Link::default()
                };
                request.resource_spans[0].scope_spans[0].spans[1].links =
                    vec![link(16, 7), link(16, 8), link(0, 0), link(15, 8)];
            })?,
        ),
        protobuf(
            "kinds and status codes of no enumeration",
            with(209, &|request| {
                use opentelemetry_proto::tonic::trace::v1::Status;
                for (span, number) in
                    request.resource_spans[0].scope_spans[0].spans.iter_mut().zip([-1, 6, i32::MAX])
                {
                    span.kind = number;
                    span.status = Some(Status { code: number, message: "odd".to_owned() });
                }
            })?,
        ),
        json_text(
            "ids in base64",
            around(210, "").replace(&format!("{:032x}", 211), "AAAAAAAAAAAAAAAAAAAA0w=="),
        ),
        json_text(
            "one id in base64",
            around(211, "").replacen(&format!("{:032x}", 212), "AAAAAAAAAAAAAAAAAAAA0w==", 1),
        ),
        json_text("with a byte order mark", [b"\xef\xbb\xbf", around(212, "").as_bytes()].concat()),
    ])
}

#[tokio::test]
async fn one_odd_value_costs_none_of_its_neighbours() -> Result<()> {
    let stack = TestStack::start().await?;
    let bucket = Bucket::of(&stack);
    let mut cases = fixtures();
    cases.extend(of_values());
    cases.extend(made()?);
    let (mut told, mut known) = (Vec::new(), HashSet::new());
    for case in &cases {
        let mut post = http::client().post(format!("{}/v1/traces", stack.edge.url));
        post = post.header("x-api-key", stack.key("acme")?).header("content-type", case.content_type);
        if let Some(encoding) = case.content_encoding {
            post = post.header("content-encoding", encoding);
        }
        let answer = post.body(case.body.clone()).send().await?;
        let (status, body) = (answer.status().as_u16(), answer.bytes().await?);
        let object = bucket.keys().await?.into_iter().find(|key| known.insert(key.clone()));
        told.push((answer_in_words(case.content_type, status, &body)?, object));
    }
    stack.await_settled().await?;
    let rows = stack.rows("1").await?;
    let mut text = String::new();
    for (case, (answer, object)) in cases.iter().zip(&told) {
        writeln!(text, "{}: {answer}", case.name)?;
        for row in rows.iter().filter(|row| row["ObjectKey"].as_str() == object.as_deref()) {
            writeln!(text, "    {}", in_short(row)?)?;
        }
    }
    insta::assert_snapshot!(text);
    stack.stop_now().await
}

fn answer_in_words(content_type: &str, status: u16, body: &[u8]) -> Result<String> {
    let partial = match content_type {
        "application/json" => {
            let answer: Value = serde_json::from_slice(body)?;
            if status != 200 {
                return Ok(format!("{status}: {answer}"));
            }
            let partial = &answer["partialSuccess"];
            let rejected = partial["rejectedSpans"].as_str().unwrap_or("0").to_owned();
            partial["errorMessage"].as_str().map(|message| (rejected, message.to_owned()))
        }
        _ if status != 200 => return Ok(format!("{status}: {}", String::from_utf8_lossy(body))),
        _ => {
            let partial = ExportTraceServiceResponse::decode(body)?.partial_success;
            partial.map(|partial| (partial.rejected_spans.to_string(), partial.error_message))
        }
    };
    Ok(partial.map_or("200".to_owned(), |(rejected, message)| format!("200, {rejected} rejected: {message}")))
}

/// What is not usual of a row of these requests.
fn in_short(row: &Value) -> Result<String> {
    const EVERYWHERE: &[&str] =
        &["Timestamp", "TraceId", "SpanId", "TenantId", "ObjectKey", "ReceivedAt", "ProjectId"];
    let usual = json!({
        "SpanKind": "Internal", "ResourceAttributes": { "service.name": "odd" }, "ServiceName": "odd", "ScopeName": "s",
        "Duration": "1000", "StatusCode": "Unset",
    });
    let mut told = serde_json::Map::new();
    for (column, value) in row.as_object().context("no row")? {
        let is_empty = value.as_str() == Some("")
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_u64() == Some(0);
        let is_number = column == "RowNo";
        if is_number
            || !is_empty && !EVERYWHERE.contains(&column.as_str()) && usual.get(column) != Some(value)
        {
            told.insert(column.clone(), shortened(value));
        }
    }
    Ok(Value::from(told).to_string())
}

/// Long text and long lists by their length.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > 200 => {
            let begin: String = text.chars().take(20).collect();
            format!("{begin}... of {} bytes", text.len()).into()
        }
        Value::Array(list) if list.len() > 5 => {
            json!([shortened(&list[0]), format!("and {} more", list.len() - 1)])
        }
        Value::Array(list) => list.iter().map(shortened).collect(),
        Value::Object(map) if map.len() > 20 => format!("{} attributes", map.len()).into(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shortened(value))).collect(),
        other => other.clone(),
    }
}
