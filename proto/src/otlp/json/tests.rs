use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;

use super::*;

fn span(json: &str) -> Result<Span, DecodeError> {
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{json}]}}]}}]}}"#);
    decode(body.as_bytes())
        .map(|mut request| request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0))
}

fn value(json: &str) -> Option<any_value::Value> {
    let span = span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#)).unwrap();
    span.attributes.into_iter().next().unwrap().value.and_then(|value| value.value)
}

#[test]
fn an_empty_request_is_a_request() {
    for body in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#] {
        assert_eq!(decode(body.as_bytes()).unwrap(), ExportTraceServiceRequest::default());
    }
}

#[test]
fn ids_are_hexadecimal_in_either_case() {
    let span = span(
        r#"{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parentSpanId":null}"#,
    );
    let span = span.unwrap();
    assert_eq!(hex::encode(&span.trace_id), "5b8efff798038103d269b633813fc60c");
    assert_eq!(hex::encode(&span.span_id), "eee19b7ec3c1b174");
    assert!(span.parent_span_id.is_empty());
}

#[test]
fn a_base64_id_is_refused_with_its_path_and_what_it_seems_to_be() {
    let error = span(r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#).unwrap_err();
    assert_eq!(error.field(), "resourceSpans[0].scopeSpans[0].spans[0].traceId");
    assert!(error.to_string().contains("base64"), "{error}");
}

#[test]
fn integers_are_numbers_or_text_and_enums_numbers_or_names() {
    let a =
        span(r#"{"startTimeUnixNano":"1544712660000000001","endTimeUnixNano":1544712661000000001,"kind":2}"#);
    let b = span(
        r#"{"start_time_unix_nano":1544712660000000001,"end_time_unix_nano":"1544712661000000001","kind":"SPAN_KIND_SERVER"}"#,
    );
    assert_eq!(a.unwrap(), b.unwrap());
    assert!(span(r#"{"startTimeUnixNano":-1}"#).is_err());
    assert!(span(r#"{"kind":"SERVER"}"#).is_err());
}

#[test]
fn nulls_and_unknown_fields_are_as_if_absent() {
    let json = r#"{"name":"n","kind":null,"endTimeUnixNano":null,"status":null,"attributes":[null],"events":null,
        "droppedLinksCount":null,"someNewField":{"a":[1]}}"#;
    assert_eq!(span(json).unwrap(), Span { name: "n".into(), ..Span::default() });
}

#[test]
fn every_kind_of_value_is_read() {
    use any_value::Value::*;
    assert_eq!(value(r#"{"stringValue":""}"#), Some(StringValue(String::new())));
    assert_eq!(value(r#"{"boolValue":false}"#), Some(BoolValue(false)));
    assert_eq!(value(r#"{"intValue":"-9223372036854775808"}"#), Some(IntValue(i64::MIN)));
    assert_eq!(value(r#"{"doubleValue":1}"#), Some(DoubleValue(1.0)));
    assert_eq!(value(r#"{"doubleValue":"-Infinity"}"#), Some(DoubleValue(f64::NEG_INFINITY)));
    assert!(matches!(value(r#"{"doubleValue":null}"#), Some(DoubleValue(nan)) if nan.is_nan()));
    assert_eq!(value(r#"{"bytesValue":"aGk="}"#), Some(BytesValue(b"hi".to_vec())));
    assert_eq!(value(r#"{"bytesValue":"_-8"}"#), Some(BytesValue(vec![0xff, 0xef])));
    assert_eq!(value("{}"), None);
    assert_eq!(value("null"), None);
    let Some(ArrayValue(array)) = value(r#"{"arrayValue":{"values":[{"intValue":1},null]}}"#) else {
        panic!("an array")
    };
    assert_eq!(array.values, [AnyValue { value: Some(IntValue(1)) }, AnyValue { value: None }]);
    let Some(KvlistValue(list)) = value(r#"{"kvlistValue":{"values":[{"key":"a","value":null},null]}}"#)
    else {
        panic!("a list")
    };
    assert_eq!(list.values, [KeyValue { key: "a".into(), value: None, key_strindex: 0 }]);
}

#[test]
fn what_follows_the_request_is_an_error() {
    assert!(decode(b"{} {}").is_err());
    assert!(decode(b"[]").is_err());
    assert!(decode(b"").is_err());
}

#[test]
fn a_key_may_be_a_number_as_php_writes_it() {
    let value = value(r#"{"kvlistValue":{"values":[{"key":404,"value":{"stringValue":"x"}}]}}"#);
    let Some(any_value::Value::KvlistValue(list)) = value else { panic!("a list") };
    assert_eq!(list.values[0].key, "404");
}

#[test]
fn a_fault_is_told_in_few_words_however_much_the_request_holds() {
    let long = "ü".repeat(100_000);
    for bad in [
        format!(r#"{{"resourceSpans":"{long}"}}"#),
        format!(r#"{{"{long}":x}}"#),
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{long}"}}]}}]}}]}}"#),
    ] {
        let error = decode(bad.as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 2_000 && error.field().len() < 1_000);
    }
    let error = span(&format!(r#"{{"traceId":"{long}"}}"#)).unwrap_err();
    assert_eq!(error.field(), "resourceSpans[0].scopeSpans[0].spans[0].traceId");
    assert!(error.to_string().contains("expected an id in hexadecimal at line 1"), "{error}");
}

#[test]
fn a_number_as_a_key_takes_no_more_than_it_took_in_json() {
    let value = value(r#"{"kvlistValue":{"values":[{"key":1e308},{"key":-5e-324},{"key":1.5}]}}"#);
    let Some(any_value::Value::KvlistValue(list)) = value else { panic!("a list") };
    let keys: Vec<_> = list.values.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["1e308", "-5e-324", "1.5"]);
}

#[test]
fn half_a_surrogate_pair_is_replaced_and_bad_utf8_refused() {
    assert_eq!(span(r#"{"name":"cut \ud83d"}"#).unwrap().name, "cut \u{fffd}");
    assert_eq!(value(r#"{"stringValue":"\ude00 and \ud83d\ude00"}"#), {
        Some(any_value::Value::StringValue("\u{fffd} and \u{1f600}".to_owned()))
    });
    assert!(decode(b"{\"resourceSpans\":[],\"x\":\"\xff\"}").is_err());
    assert!(span(r#"{"name":5}"#).is_err());
}

#[test]
fn a_bomb_of_empty_elements_is_refused() {
    for list in ["{},", "null,", "[],"] {
        let body = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, list.repeat(100_000));
        assert_eq!(decode(body.as_bytes()).is_ok(), list == "null,", "{list}");
    }
    let values = format!(r#"{{"arrayValue":{{"values":[{}{{}}]}}}}"#, r#"{"intValue":1},"#.repeat(10_000));
    assert!(
        matches!(value(&values), Some(any_value::Value::ArrayValue(array)) if array.values.len() == 10_001)
    );
    assert!(span(&format!(r#"{{"kind":[{}1]}}"#, "1,".repeat(10))).is_err());
}

proptest! {
    #[test]
    fn a_double_is_the_nearest_to_what_is_written(bits: u64, digits in "-?[1-9][0-9]{15,25}", places in -30..30) {
        let double = f64::from_bits(bits);
        let texts = [format!("{digits}e{places}"), format!("{digits}.5"), digits, format!("{double:e}")];
        for text in texts.into_iter().filter(|text| text.parse::<f64>().is_ok_and(f64::is_finite)) {
            let Some(any_value::Value::DoubleValue(read)) = value(&format!(r#"{{"doubleValue":{text}}}"#)) else {
                panic!("a double: {text}");
            };
            prop_assert_eq!(Ok(read), text.parse::<f64>(), "{}", text);
        }
    }
}
