use spillway_proto::otlp::{Compression, Encoding, RepairedRuns, RulesVersion, SpanLimits, decode};
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId, UnixMillis};

use super::*;
use crate::columns::{SpanColumns, Unzip};

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 1 << 20 };
const REQUEST: &str = r#"{"resourceSpans":[{
    "resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"shop"}},{"key":"pid","value":{"intValue":"7"}}]},
    "schemaUrl":"https://opentelemetry.io/schemas/1.40.0",
    "scopeSpans":[{
        "scope":{"name":"lib","version":"1.2","attributes":[{"key":"s","value":{"boolValue":true}}]},
        "spans":[
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173",
             "traceState":"a=b","flags":257,"name":"GET /","kind":2,
             "startTimeUnixNano":"1544712660000000001","endTimeUnixNano":"1544712661000000003",
             "attributes":[{"key":"n","value":{"doubleValue":0.5}}],"droppedAttributesCount":1,
             "events":[{"timeUnixNano":"1544712660500000000","name":"e","attributes":[{"key":"x","value":{"intValue":1}}]}],
             "droppedEventsCount":2,
             "links":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","traceState":"c=d",
                       "attributes":[{"key":"l","value":{"stringValue":"v"}}]}],
             "droppedLinksCount":3,
             "status":{"code":2,"message":"bad"}},
            {"traceId":"00"},
            {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175",
             "startTimeUnixNano":"1544712661000000000","endTimeUnixNano":"1544712660000000000"}]}]}]}"#;

fn object(spans: u32, tenant: &str, payload: &[u8]) -> (Notification, Bytes) {
    let tenant: TenantId = tenant.parse().unwrap();
    let received_at = UnixMillis(1_795_230_245_678);
    let record = ObjectRecord {
        tenant: "acme".parse().unwrap(),
        key_id: "k1".parse().unwrap(),
        project: Some("checkout".parse().unwrap()),
        received_at,
        span_limits: SpanLimits { max_backwards_ms: Some(1_000), ..SpanLimits::default() },
        rules: RulesVersion::default(),
        transcoding_repairs: RepairedRuns::default(),
        compression: Compression::Identity,
        payload: Bytes::copy_from_slice(payload),
        trace_context: TraceContext::root([1; 16], [2; 8]),
    };
    let bytes = Bytes::from(record.to_object());
    let notification = Notification {
        object_key: ObjectKey::new(received_at, 7, ObjectId::new(&tenant, None, payload), spans),
        tenant,
        bytes: bytes.len() as u64,
        payload_bytes: record.payload.len() as u64,
        previous_id: None,
        rejected_spans: None,
        sha256: Sha256Digest::of(&bytes),
        received_at_unix_ms: received_at,
        stored_at_unix_ms: received_at,
        trace_context: record.trace_context,
        parent_span_id: None,
        edge_reports_span: false,
    };
    (notification, bytes)
}

fn protobuf(json: &str) -> Vec<u8> {
    use prost::Message;
    decode(json.as_bytes(), Encoding::Json).unwrap().encode_to_vec()
}

fn rows(spans: u32, tenant: &str) -> Result<Vec<SpanRow>, RowsError> {
    let (notification, bytes) = object(spans, tenant, &protobuf(REQUEST));
    rows_of(&notification, bytes, LIMITS, None)
}

#[test]
fn every_column_is_filled() {
    insta::assert_json_snapshot!(rows(2, "acme").unwrap());
}

#[test]
fn an_object_that_is_not_what_it_says_is_refused() {
    assert!(matches!(rows(3, "acme"), Err(RowsError::Count { expected: 3, found: 2 })));
    assert!(matches!(rows(2, "other"), Err(RowsError::Tenant)));
    let (notification, bytes) = object(2, "acme", b"\xff");
    assert!(matches!(rows_of(&notification, bytes, LIMITS, None), Err(RowsError::Decode(_))));
    let (notification, bytes) = object(2, "acme", &protobuf(REQUEST));
    assert!(matches!(rows_of(&notification, bytes.slice(..20), LIMITS, None), Err(RowsError::Records(_))));
}

#[test]
fn ids_of_zeros_are_none() {
    let (zeros_of_trace, zeros_of_span) = ("0".repeat(32), "0".repeat(16));
    let request = REQUEST
        .replace("eee19b7ec3c1b173", &zeros_of_span)
        .replace("0102030405060708090a0b0c0d0e0f10", &zeros_of_trace)
        .replace("0102030405060708", &zeros_of_span);
    let (notification, bytes) = object(2, "acme", &protobuf(&request));
    let rows = rows_of(&notification, bytes.clone(), LIMITS, None).unwrap();
    assert_eq!(rows[0].parent_span_id, "");
    assert_eq!(
        (&rows[0].link_trace_ids, &rows[0].link_span_ids),
        (&vec![String::new()], &vec![String::new()])
    );
    let (mut columns, mut block) = (SpanColumns::default(), Vec::new());
    columns.add_object(&notification, bytes, LIMITS, None, &mut Unzip::default()).unwrap();
    let written = columns.write(&[0, 1], &mut |piece| {
        block.extend_from_slice(piece);
        Ok(())
    });
    written.unwrap();
    assert!(!block.windows(16).any(|text| text == zeros_of_span.as_bytes()), "an id of zeros");
}

#[test]
fn values_have_the_collectors_texts() {
    let value = |json: &str| {
        let body = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"k","value":{json}}}]}}}}]}}"#
        );
        let request = decode(body.as_bytes(), Encoding::Json).unwrap();
        let resource = request.resource_spans.into_iter().next().unwrap().resource.unwrap();
        let attribute = resource.attributes[0].encode_to_vec();
        tree::key_value(&attribute, depth::RESOURCE).unwrap().1.text()
    };
    for (json, text) in [
        (r#"{"stringValue":"ü \" "}"#, "ü \" "),
        (r#"{"boolValue":false}"#, "false"),
        (r#"{"intValue":"-9223372036854775808"}"#, "-9223372036854775808"),
        (r#"{"doubleValue":1}"#, "1"),
        (r#"{"doubleValue":0.1}"#, "0.1"),
        (r#"{"doubleValue":-0.000001}"#, "-0.000001"),
        (r#"{"doubleValue":1e-7}"#, "1e-7"),
        (r#"{"doubleValue":1.5e21}"#, "1.5e+21"),
        (r#"{"doubleValue":1e20}"#, "100000000000000000000"),
        (r#"{"doubleValue":-123456789012345680000}"#, "-123456789012345680000"),
        (r#"{"doubleValue":0.00000953674}"#, "0.00000953674"),
        (r#"{"doubleValue":9.5e-7}"#, "9.5e-7"),
        (r#"{"doubleValue":-0.0}"#, "-0"),
        // Halfway between two texts of as many digits.
        (r#"{"doubleValue":8.0000152587890625}"#, "8.000015258789062"),
        (r#"{"doubleValue":-110624449210032.125}"#, "-110624449210032.12"),
        (r#"{"arrayValue":{"values":[{"doubleValue":8.0000152587890625}]}}"#, "[8.000015258789062]"),
        (r#"{"doubleValue":"NaN"}"#, "NaN"),
        (r#"{"doubleValue":"-Infinity"}"#, "-Infinity"),
        (r#"{"doubleValue":"Infinity"}"#, "Infinity"),
        (r#"{"bytesValue":"AAEC"}"#, "AAEC"),
        ("null", ""),
        (
            r#"{"arrayValue":{"values":[{"intValue":1},{"stringValue":"a"},null,{"doubleValue":2}]}}"#,
            r#"[1,"a",null,2]"#,
        ),
        (
            r#"{"arrayValue":{"values":[{"doubleValue":1e16},{"stringValue":"<a&b>"}]}}"#,
            r#"[10000000000000000,"<a&b>"]"#,
        ),
        (
            r#"{"arrayValue":{"values":[{"doubleValue":1e20},{"doubleValue":0.000001},{"doubleValue":-0.0},{"doubleValue":"NaN"}]}}"#,
            r#"[100000000000000000000,0.000001,-0,"NaN"]"#,
        ),
        (
            r#"{"kvlistValue":{"values":[{"key":"b","value":{"intValue":1}},{"key":"a"},{"key":"b","value":{"intValue":2}}]}}"#,
            r#"{"a":null,"b":1,"b":2}"#,
        ),
        (
            r#"{"kvlistValue":{"values":[{"key":"b","value":{"boolValue":true}},{"key":"a","value":{"arrayValue":{}}}]}}"#,
            r#"{"a":[],"b":true}"#,
        ),
    ] {
        assert_eq!(value(json), text, "{json}");
    }
}
