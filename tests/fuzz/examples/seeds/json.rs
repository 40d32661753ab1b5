//! Export requests in JSON.

use crate::Seeds;

/// The example of the repository opentelemetry-proto.
pub const SPECIFICATION: &str = include_str!("../../../fixtures/opentelemetry-proto-trace.json");
/// What the exporter of spatie/flare-client-php makes.
pub const FLARE: &str = include_str!("../../../fixtures/flare-client-php-trace.json");

const EVERY_FIELD: &str = r#"{"traceId":"0102030405060708090A0B0C0D0E0F10","spanId":"0102030405060708",
"parentSpanId":"0909090909090909","traceState":"v=x","flags":257,"name":"span","kind":"SPAN_KIND_SERVER",
"startTimeUnixNano":"1795230245678000000","endTimeUnixNano":1795230245679000000,"droppedAttributesCount":1,
"events":[{"timeUnixNano":"1795230245678000000","name":"e","attributes":[],"droppedAttributesCount":2}],
"droppedEventsCount":3,"links":[{"traceId":"07070707070707070707070707070707","spanId":"0808080808080808",
"traceState":"l","attributes":null,"flags":1}],"droppedLinksCount":5,"status":{"message":"bad","code":2}}"#;

const SNAKE_CASE: &str = r#"{"trace_id":"01020304","start_time_unix_nano":"1","dropped_attributes_count":"1",
"trace_state":null,"kind":null,"status":null,"some_new_field":{"a":[1,{}]}}"#;

pub fn seeds() -> Seeds {
    let texts = [
        ("empty-object", "{}".to_owned()),
        ("empty-list", r#"{"resourceSpans":null}"#.to_owned()),
        ("specification", SPECIFICATION.to_owned()),
        ("flare", FLARE.to_owned()),
        ("every-field", span(EVERY_FIELD)),
        ("snake-case", span(SNAKE_CASE)),
        ("enum-number", span(r#"{"kind":-1,"status":{"code":"STATUS_CODE_ERROR"}}"#)),
        ("field-twice", span(r#"{"name":"a","name":"b"}"#)),
        ("half-surrogates", span(r#"{"name":"\ud83d and \ude00 and \ud83d\ude00"}"#)),
        ("id-in-base64", span(r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#)),
        ("float-as-integer", span(r#"{"startTimeUnixNano":1.795230245678e18,"flags":1.5}"#)),
        ("numbers", values(&[r#"{"intValue":"-9223372036854775808"}"#, r#"{"doubleValue":1e-7}"#])),
        ("not-numbers", values(&[r#"{"doubleValue":null}"#, r#"{"doubleValue":"NaN"}"#])),
        ("infinities", values(&[r#"{"doubleValue":"-Infinity"}"#, r#"{"doubleValue":" inf "}"#])),
        ("bytes", values(&[r#"{"bytesValue":"_-8"}"#, r#"{"bytesValue":"aGk="}"#])),
        ("values-of-nothing", values(&["null", "{}", r#"{"stringValue":""}"#, r#"{"boolValue":false}"#])),
        ("several-kinds", values(&[r#"{"stringValue":"a","intValue":1,"arrayValue":{"values":[null,{}]}}"#])),
        (
            "numeric-keys",
            values(&[r#"{"kvlistValue":{"values":[{"key":404},{"key":-1},{"key":1.5},null]}}"#]),
        ),
        ("large-float-as-key", values(&[r#"{"kvlistValue":{"values":[{"key":1e308},{"key":-5e-324}]}}"#])),
        ("arrays-deep", values(&[&deep(38, r#"{"arrayValue":{"values":["#, "]}}")])),
        ("maps-deep", values(&[&deep(28, r#"{"kvlistValue":{"values":[{"value":"#, "}]}}")])),
        ("too-deep", values(&[&deep(60, r#"{"arrayValue":{"values":["#, "]}}")])),
        ("unknown-deep", format!(r#"{{"x":{}}}"#, deep(126, "[", "]"))),
        ("empty-elements", format!(r#"{{"resourceSpans":[{}{{}}]}}"#, "{},".repeat(300))),
        ("long-id", span(&format!(r#"{{"traceId":"{}"}}"#, "ü".repeat(600)))),
        ("nameless", r#"{"":[{"":"","":x}]}"#.to_owned()),
        ("cut", span(EVERY_FIELD)[..200].to_owned()),
        ("more-behind", "{} {}".to_owned()),
        ("a-list", "[]".to_owned()),
        ("space-before", "\n\t {}\r\n".to_owned()),
    ];
    let not_utf8 = ("not-utf8", b"{\"resourceSpans\":[],\"x\":\"\xff\"}".to_vec());
    texts.into_iter().map(|(name, text)| (name, text.into_bytes())).chain([not_utf8]).collect()
}

fn span(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

fn values(values: &[&str]) -> String {
    let attributes: Vec<_> = values.iter().map(|value| format!(r#"{{"key":"k","value":{value}}}"#)).collect();
    span(&format!(r#"{{"attributes":[{}]}}"#, attributes.join(",")))
}

fn deep(levels: usize, open: &str, close: &str) -> String {
    let inner = if close.starts_with('}') { "null" } else { "" };
    [&open.repeat(levels), inner, &close.repeat(levels)].concat()
}
