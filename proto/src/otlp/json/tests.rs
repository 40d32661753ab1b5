use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::otlp::repair::{Repair, RepairedRun, Repairs};
use crate::otlp::{DecodeError, Encoding, decode};

fn decode_json(body: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    decode(body, Encoding::Json)
}

fn body_of(spans: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
}

/// The only span of a request, and what was repaired of it.
fn repaired(json: &str) -> (Span, Vec<&'static str>) {
    let Transcoded { message, repairs } = transcode(body_of(json).as_bytes()).unwrap();
    let mut request = ExportTraceServiceRequest::decode(&*message).unwrap();
    assert_eq!(request.encode_to_vec(), message, "fields are in their order, and none holds a default");
    let span = request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0);
    (span, repairs.as_slice().iter().flat_map(|run| run.repairs.iter().map(Repair::code)).collect())
}

/// The value of an attribute, and what was repaired.
fn repaired_value(json: &str) -> (Option<any_value::Value>, Vec<&'static str>) {
    let (span, codes) = repaired(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#));
    (span.attributes.into_iter().next().and_then(|pair| pair.value?.value), codes)
}

fn string(text: &str) -> Option<any_value::Value> {
    Some(any_value::Value::StringValue(text.to_owned()))
}

fn span(json: &str) -> Result<Span, DecodeError> {
    decode_json(body_of(json).as_bytes())
        .map(|mut request| request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0))
}

fn value(json: &str) -> Option<any_value::Value> {
    let span = span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#)).unwrap();
    span.attributes.into_iter().next().unwrap().value.and_then(|value| value.value)
}

#[test]
fn an_empty_request_is_a_request() {
    for body in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#] {
        assert_eq!(decode_json(body.as_bytes()).unwrap(), ExportTraceServiceRequest::default());
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
    assert_eq!(repaired(r#"{"startTimeUnixNano":-1}"#), (Span::default(), vec!["wrong_type"]));
    assert_eq!(repaired(r#"{"kind":"SERVER"}"#), (Span::default(), vec!["kind_unknown"]));
    assert_eq!(repaired(r#"{"kind":"3"}"#), (Span { kind: 3, ..Span::default() }, vec![]));
    let status = Some(Status { code: 2, ..Status::default() });
    assert_eq!(repaired(r#"{"status":{"code":"2"}}"#), (Span { status, ..Span::default() }, vec![]));
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
    assert!(decode_json(b"{} {}").is_err());
    assert!(decode_json(b"[]").is_err());
    assert!(decode_json(b"").is_err());
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
    for (bad, field) in [
        (format!(r#"{{"resourceSpans":"{long}"}}"#), "resourceSpans"),
        (format!(r#"{{"{long}":x}}"#), "."),
        (body_of(&format!(r#"{{"traceId":"{long}"}}"#)), "resourceSpans[0].scopeSpans[0].spans[0].traceId"),
    ] {
        let error = decode_json(bad.as_bytes()).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
        assert_eq!(error.field(), field);
    }
}

#[test]
fn a_number_as_a_key_takes_no_more_than_it_took_in_json() {
    let value = value(r#"{"kvlistValue":{"values":[{"key":1e308},{"key":-5e-324},{"key":1.5}]}}"#);
    let Some(any_value::Value::KvlistValue(list)) = value else { panic!("a list") };
    let keys: Vec<_> = list.values.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["1e308", "-5e-324", "1.5"]);
}

#[test]
fn half_a_surrogate_pair_and_bytes_that_are_not_utf8_are_replaced_wherever_they_stand() {
    assert_eq!(repaired(r#"{"name":"cut \ud83d"}"#).0.name, "cut \u{fffd}");
    assert_eq!(value(r#"{"stringValue":"\ude00 and \ud83d\ude00"}"#), string("\u{fffd} and \u{1f600}"));
    let (span, codes) = repaired(r#"{"attributes":[{"key":"\ud83dkey","value":{"stringValue":"x"}}]}"#);
    assert_eq!((span.attributes[0].key.as_str(), codes), ("\u{fffd}key", vec!["invalid_utf8"]));
    let latin1 = body_of(r#"{"name":"caf@","attributes":[{"key":"k@","value":{"stringValue":"@"}}]},{}"#);
    let latin1 = latin1.bytes().map(|byte| if byte == b'@' { 0xe9 } else { byte }).collect::<Vec<_>>();
    let Transcoded { message, repairs } = transcode(&latin1).unwrap();
    let span = ExportTraceServiceRequest::decode(&*message).unwrap().resource_spans[0].scope_spans[0].spans
        [0]
    .clone();
    assert_eq!((span.name.as_str(), span.attributes[0].key.as_str()), ("caf\u{fffd}", "k\u{fffd}"));
    let expected = RepairedRun { first: 0, spans: 1, repairs: Repairs::only(Repair::InvalidUtf8) };
    assert_eq!(repairs.as_slice(), [expected]);
}

#[test]
fn an_integer_that_fits_no_int64_is_the_double_that_it_was() {
    use any_value::Value::*;
    assert_eq!(repaired_value(r#"{"intValue":100000000000000000000}"#), (Some(DoubleValue(1e20)), vec![]));
    assert_eq!(
        repaired_value(r#"{"intValue":"9223372036854775808"}"#),
        (Some(DoubleValue(2f64.powi(63))), vec![])
    );
    assert_eq!(repaired_value(r#"{"intValue":1e300}"#), (Some(DoubleValue(1e300)), vec![]));
    for whole in ["42", r#""42.0""#, r#""4.2e1""#, "4.2e1", r#"" 42""#] {
        assert_eq!(
            repaired_value(&format!(r#"{{"intValue":{whole}}}"#)),
            (Some(IntValue(42)), vec![]),
            "{whole}"
        );
    }
    for infinity in [r#""Infinity""#, "Infinity"] {
        let json = format!(r#"{{"doubleValue":{infinity}}}"#);
        assert_eq!(repaired_value(&json), (Some(DoubleValue(f64::INFINITY)), vec![]));
    }
    let (nan, codes) = repaired_value(r#"{"doubleValue":NaN}"#);
    assert!(matches!(nan, Some(DoubleValue(nan)) if nan.is_nan()) && codes.is_empty());
}

#[test]
fn a_value_of_the_wrong_type_is_kept_as_text_and_costs_no_more() {
    for (json, text) in [
        (r#"{"intValue":"many"}"#, "many"),
        (r#"{"intValue":true}"#, "true"),
        (r#"{"boolValue":"yes"}"#, "yes"),
        (r#"{"stringValue":5}"#, "5"),
        (r#"{"stringValue":{"a": [1, "x"]}}"#, r#"{"a": [1, "x"]}"#),
        (r#"{"arrayValue":[1,2]}"#, "[1,2]"),
        (r#"{"kvlistValue":"x"}"#, "x"),
        (r#"{"bytesValue":"not base64!"}"#, "not base64!"),
        (r#"{"doubleValue":1e400}"#, "1e400"),
        (r#"{"arrayValue":{"values":{"x":1}}}"#, r#"{"values":{"x":1}}"#),
        (r#"{"kvlistValue":{"values":"text"}}"#, r#"{"values":"text"}"#),
        (r#"{"kvlistValue":{"values":[{"key":"a"},"text"]}}"#, r#"{"values":[{"key":"a"},"text"]}"#),
        (r#"{"uintValue":"5"}"#, r#"{"uintValue":"5"}"#),
        (r#"{"doubleValue":"high"}"#, "high"),
        (r#""plain""#, "plain"),
        ("5", "5"),
        ("[1]", "[1]"),
    ] {
        assert_eq!(repaired_value(json), (string(text), vec!["wrong_type"]), "{json}");
    }
}

#[test]
fn what_a_span_can_do_without_is_left_out_where_it_is_of_the_wrong_type() {
    let json = r#"{"name":5,"attributes":[7,{"key":"k","value":{"stringValue":"v"}}],"droppedAttributesCount":2,
        "events":[{"name":"e","attributes":{"a":1}},"no event"],"links":"none","status":"ok","flags":-1,"kind":{}}"#;
    let (span, codes) = repaired(json);
    assert_eq!((span.name.as_str(), span.attributes.len(), span.dropped_attributes_count), ("5", 1, 3));
    assert_eq!((span.events.len(), span.dropped_events_count, span.links.len()), (1, 1, 0));
    assert_eq!((span.events[0].dropped_attributes_count, span.status, span.flags), (1, None, 0));
    assert_eq!(codes, ["wrong_type"]);
}

#[test]
fn what_a_resource_or_a_scope_holds_is_repaired_for_each_of_its_spans() {
    let json = r#"{"resourceSpans":[
        {"scopeSpans":[{"spans":[{}]}]},
        {"scopeSpans":[{"spans":[{},{}]},{"spans":[{}],"scope":{"name":5}}],"resource":"x"}]}"#;
    let runs = transcode(json.as_bytes()).unwrap().repairs;
    let run = |first, spans| RepairedRun { first, spans, repairs: Repairs::only(Repair::WrongType) };
    assert_eq!(runs.as_slice(), [run(1, 3), run(3, 1)]);
}

#[test]
fn what_holds_no_span_where_spans_belong_is_passed_over() {
    const GOOD: &str = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}"#;
    let spans = |spans: &str| format!(r#"{{"scopeSpans":[{{"spans":{spans}}}]}}"#);
    let of = |resources: &str| {
        let json = format!(r#"{{"resourceSpans":{resources}}}"#);
        let Transcoded { message, repairs } = transcode(json.as_bytes()).unwrap();
        let request = ExportTraceServiceRequest::decode(&*message).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let ids = scopes.flat_map(|scope| scope.spans).map(|span| span.trace_id.len());
        (
            ids.collect::<Vec<_>>(),
            repairs.as_slice().iter().map(|run| (run.first, run.spans)).collect::<Vec<_>>(),
        )
    };
    let good = spans(&format!("[{GOOD}]"));
    for (resources, ids, repaired) in [
        // A span without ids is rejected, and counted so.
        (format!("[{}]", spans(&format!("[{GOOD},7,{GOOD}]"))), vec![16, 0, 16], vec![(1, 1)]),
        (format!("[{}]", spans(&format!("[[],{GOOD}]"))), vec![0, 16], vec![(0, 1)]),
        (format!("[5,{good},true]"), vec![16], vec![(0, 1)]),
        (format!(r#"[{good},{{"scopeSpans":"none"}}]"#), vec![16], vec![]),
        (format!(r#"[{{"scopeSpans":[1,{{"spans":[{GOOD}]}}]}},{good}]"#), vec![16, 16], vec![(0, 1)]),
        // An object is a list of one.
        (spans(GOOD), vec![16], vec![(0, 1), (0, 1)]),
        (format!("[{good},null]"), vec![16], vec![]),
    ] {
        assert_eq!(of(&resources), (ids, repaired), "{resources}");
    }
}

#[test]
fn a_request_without_anything_that_could_be_a_span_is_malformed() {
    for (json, field) in [
        (r#"{"resourceSpans":7}"#, "resourceSpans"),
        (r#"{"resourceSpans":[5]}"#, "resourceSpans[0]"),
        (r#"{"resourceSpans":[{"scopeSpans":"x"}]}"#, "resourceSpans[0].scopeSpans"),
        (
            r#"{"resourceSpans":[{},{"scopeSpans":[{"spans":[null,7]}]}]}"#,
            "resourceSpans[1].scopeSpans[0].spans[1]",
        ),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"]}]}"#,
            "resourceSpans[0].scopeSpans[0].spans[0]",
        ),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{},{"key":"\q"}]}]}]}]}"#,
            "resourceSpans[0].scopeSpans[0].spans[0].attributes[1]",
        ),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"links":[{}],"events":[{},5,{"name":"\q"}]}]}]}]}"#,
            "resourceSpans[0].scopeSpans[0].spans[0].events[2]",
        ),
        (r#"{"resourceSpans":[],}"#, "."),
    ] {
        let error = decode_json(json.as_bytes()).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
    }
}

#[test]
fn an_id_that_is_not_hexadecimal_costs_its_span_and_all_of_them_the_request() {
    let good = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}"#;
    let bad = r#"{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"eee19b7ec3c1b174"}"#;
    let ids = |spans: &str| {
        decode_json(body_of(spans).as_bytes()).map(|mut request| {
            let spans = request.resource_spans.remove(0).scope_spans.remove(0).spans;
            spans.iter().map(|span| span.trace_id.len()).collect::<Vec<_>>()
        })
    };
    assert_eq!(ids(&format!("{good},{bad}")).unwrap(), [16, 1]);
    let error = ids(&format!("{bad},{bad}")).unwrap_err();
    assert_eq!(error.field(), "resourceSpans[0].scopeSpans[0].spans[0].traceId");
    assert!(error.to_string().ends_with("line 1 column 55"), "{error}");
    let bad_parent = good.replace('{', r#"{"parentSpanId":"0","#);
    assert_eq!(ids(&bad_parent).unwrap(), [16], "a span is rejected, and its request is none of base64");
}

/// A walk over the text for each of them would take minutes.
#[test]
fn what_is_wrong_with_many_spans_and_links_takes_no_longer_than_their_text() {
    let body = body_of(&vec![r#"{"traceId":"x"}"#; 400_000].join(","));
    assert!(decode_json(body.as_bytes()).is_err());
    let links = vec![r#"{"traceId":"x"}"#; 400_000].join(",");
    assert!(decode_json(body_of(&format!(r#"{{"links":[{links}]}}"#)).as_bytes()).is_ok());
}

#[test]
fn spans_of_before_2022_are_spans() {
    let json = r#"{"resourceSpans":[{"instrumentationLibrarySpans":[
        {"instrumentationLibrary":{"name":"lib"},"spans":[{"name":"old"}]}],"scopeSpans":[{"spans":[{"name":"new"}]}]}]}"#;
    let scopes = decode_json(json.as_bytes()).unwrap().resource_spans.remove(0).scope_spans;
    let names: Vec<_> = scopes.iter().map(|scope| scope.spans[0].name.as_str()).collect();
    assert_eq!((names, scopes[0].scope.as_ref().unwrap().name.as_str()), (vec!["old", "new"], "lib"));
}

#[test]
fn what_nests_too_deep_costs_its_attribute() {
    let deep = |depth: usize| {
        let nested = (0..depth).fold(r#"{"stringValue":"x"}"#.to_owned(), |inner, _| {
            format!(r#"{{"arrayValue":{{"values":[{inner}]}}}}"#)
        });
        let json = format!(
            r#"{{"attributes":[{{"key":"a","value":{nested}}},{{"key":"b","value":{{"stringValue":"y"}}}}]}}"#
        );
        let (span, codes) = repaired(&json);
        (span.attributes.len(), span.dropped_attributes_count, codes)
    };
    assert_eq!(deep(47), (2, 0, vec![]));
    assert_eq!(deep(48), (1, 1, vec!["nested_too_deep"]));
    assert_eq!(deep(10_000), (1, 1, vec!["nested_too_deep"]));
    // What is passed over may nest as deep as it likes.
    let unknown = format!(r#"{{"unknown":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(repaired(&unknown), (Span::default(), vec![]));
}

#[test]
fn null_is_nan_only_where_it_is_the_only_kind() {
    let nulls = r#"{"stringValue":null,"boolValue":null,"intValue":null,"doubleValue":null}"#;
    assert_eq!(repaired_value(nulls), (None, vec![]));
    assert_eq!(value(r#"{"doubleValue":null,"stringValue":"x"}"#), string("x"));
}

#[test]
fn a_list_of_empty_elements_takes_no_more_than_its_text() {
    for list in ["{},", "null,"] {
        let body = format!(r#"{{"resourceSpans":[{}{{}}]}}"#, list.repeat(100_000));
        assert!(transcode(body.as_bytes()).unwrap().message.len() < body.len());
    }
}

#[test]
fn json_that_is_none_is_refused_as_serde_refuses_it() {
    for bad in [
        r#"{"a":01}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":+1}"#,
        r#"{"a":1e}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12"}"#,
        "{\"a\":\"\n\"}",
        r#"{"a":nul}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":{,}}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{"a":1,}"#,
        r#"{"a":1"#,
        r#"{"a":"#,
        "{",
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
    ] {
        assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad}");
        assert!(transcode(bad.as_bytes()).is_err(), "{bad}");
    }
    for good in [r#" {"a":-0.5E+3 , "b" : [ ] , "\u0063":"\/\"\u00e9"} "#, "\u{feff}{}"] {
        assert!(transcode(good.as_bytes()).is_ok(), "{good}");
    }
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
