//! What clients send in forms of their own, and what they are told where it cannot be taken.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::Write;

use flate2::write::{DeflateEncoder, ZlibEncoder};
use http::header::CONTENT_TYPE;
use prost::Message;
use serde_json::json;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{Compression, DecompressLimits, Encoding, decode, decompress};
use spillway_proto::record::{ObjectRecord, records_of};

use crate::world::{self, KEY, Sent, World, export_of, gzip};

/// When the fixtures were made.
const TIME_OF_FIXTURES: UnixMillis = UnixMillis(1_796_016_000_000);
/// The limits of a Worker that is not told others.
const DEFAULT_LIMITS: &[(&str, &str)] =
    &[("MAX_BODY_BYTES", "8388608"), ("MAX_DECOMPRESSED_BYTES", "16777216")];

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy_frames(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

fn snappy_block(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn record(world: &World) -> ObjectRecord {
    records_of(world.stored().bytes.into()).unwrap().remove(0)
}

#[test]
fn every_encoding_is_stored_as_it_came_and_comes_back() {
    for (header, compression, encode) in [
        ("x-gzip", Compression::Gzip, gzip as fn(&[u8]) -> Vec<u8>),
        ("deflate", Compression::Deflate, zlib),
        ("deflate", Compression::Deflate, bare_deflate),
        ("zlib", Compression::Deflate, zlib),
        ("snappy", Compression::Snappy, snappy_block),
        ("snappy", Compression::Snappy, snappy_frames),
        ("x-snappy-framed", Compression::Snappy, snappy_frames),
    ] {
        let (world, plain) = (World::default(), export_of(2));
        let body = encode(&plain);
        let good = Sent::spans(2, "application/x-protobuf");
        let outcome = world.send(Sent { content_encoding: Some(header), body: body.clone(), ..good });
        assert_eq!(outcome.response.status(), 200, "{header}");
        let record = record(&world);
        assert_eq!((record.compression, &record.payload[..]), (compression, &body[..]), "{header}");
        let limits = DecompressLimits { max_bytes: plain.len() };
        assert_eq!(decompress(&record.payload, record.compression, limits).unwrap(), plain, "{header}");
    }
    // JSON is stored in protobuf, not compressed.
    let (world, good) = (World::default(), Sent::spans(2, "application/json"));
    let body = zlib(&good.body);
    world.send(Sent { content_encoding: Some("deflate"), body, ..good });
    let record = record(&world);
    assert_eq!((record.compression, &record.payload[..]), (Compression::Identity, &export_of(2)[..]));
}

#[test]
fn the_old_name_of_gzip_is_taken() {
    let world = World::default();
    world.now.set(TIME_OF_FIXTURES);
    let body = include_bytes!("../../../tests/fixtures/one-span.json.gz").to_vec();
    let sent = Sent { content_encoding: Some("x-gzip"), body, ..Sent::spans(0, "application/json") };
    assert_eq!(world.send(sent).summary.code, "accepted");
    let request = decode(&record(&world).payload, Encoding::Protobuf).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].name, "s");
}

/// A span of an error storm: an exception with a stack trace of Java, which all of them have.
fn storm(spans: usize) -> Vec<u8> {
    let frame = "\tat com.example.shop.checkout.CheckoutService.reserve(CheckoutService.java:217)\n";
    let stack_trace = json!({ "key": "exception.stacktrace", "value": { "stringValue": frame.repeat(80) } });
    let start = world::NOW.as_nanos().to_string();
    let span = |n: usize| {
        let (trace_id, span_id) = (format!("{n:032x}"), format!("{n:016x}"));
        let event = json!({ "name": "exception", "timeUnixNano": start, "attributes": [stack_trace] });
        json!({
            "traceId": trace_id, "spanId": span_id, "name": "POST /checkout", "startTimeUnixNano": start, "events": [event],
        })
    };
    let spans: Vec<_> = (1..=spans).map(span).collect();
    let request = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
    decode(request.to_string().as_bytes(), Encoding::Json).unwrap().encode_to_vec()
}

#[test]
fn an_error_storm_is_stored_however_well_it_compresses() {
    let plain = storm(512);
    let gzip_best = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd =
        |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    for (header, body) in [("gzip", gzip_best(&plain)), ("deflate", zlib(&plain)), ("zstd", zstd(&plain))] {
        assert!(plain.len() > 100 * body.len(), "{header} grows {}-fold only", plain.len() / body.len());
        let world = World::default().with(DEFAULT_LIMITS);
        let good = Sent::spans(0, "application/x-protobuf");
        let outcome = world.send(Sent { content_encoding: Some(header), body, ..good });
        assert_eq!((outcome.summary.code, outcome.summary.verdict.accepted), ("accepted", 512), "{header}");
        assert_eq!(outcome.notification.unwrap().payload_bytes, plain.len() as u64);
    }
}

#[test]
fn a_span_with_128_equal_exceptions_is_stored() {
    let world = World::default().with(DEFAULT_LIMITS);
    world.now.set(TIME_OF_FIXTURES);
    let body = include_bytes!("../../../tests/fixtures/one-span-128-equal-exceptions.pb.gz").to_vec();
    let sent = Sent { content_encoding: Some("gzip"), body, ..Sent::spans(0, "application/x-protobuf") };
    let outcome = world.send(sent);
    assert_eq!((outcome.summary.code, outcome.summary.verdict.accepted), ("accepted", 1));
}

#[test]
fn a_body_that_is_too_large_is_told_which_limit_in_which_unit_and_what_to_do() {
    let told = |sent: Sent, status: u16| {
        let vars = [
            ("MAX_BODY_BYTES", "1048576"),
            ("MAX_DECOMPRESSED_BYTES", "2097152"),
            ("MAX_JSON_BYTES", "1500000"),
        ];
        let outcome = World::default().with(&vars).send(sent);
        assert_eq!(outcome.response.status(), status);
        world::status_message(&outcome.response)
    };
    let good = |content_type| Sent::spans(1, content_type);
    let (protobuf, json) = ("application/x-protobuf", "application/json");
    for announced in [true, false] {
        let message = told(Sent { body: vec![0; (1 << 20) + 1], announced, ..good(protobuf) }, 413);
        for named in [
            "the body as sent is larger",
            "1048576 bytes (1 MiB, MAX_BODY_BYTES)",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "sending_queue.batch.max_size",
            "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
        ] {
            assert!(message.contains(named), "{named}: {message}");
        }
    }
    for (content_type, body, limit) in [
        (protobuf, gzip(&vec![0; (2 << 20) + 1]), "2097152 bytes (2 MiB, MAX_DECOMPRESSED_BYTES)"),
        (json, gzip(&vec![b' '; 1_500_001]), "1500000 bytes (MAX_JSON_BYTES)"),
    ] {
        let message = told(Sent { content_encoding: Some("gzip"), body, ..good(content_type) }, 413);
        for named in ["after decompression", limit, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] {
            assert!(message.contains(named), "{named}: {message}");
        }
    }
    // At the limit, it is something else that is wrong.
    let body = gzip(&vec![0; 2 << 20]);
    let message = told(Sent { content_encoding: Some("gzip"), body, ..good(protobuf) }, 400);
    assert!(message.contains("not an ExportTraceServiceRequest"), "{message}");
}

#[test]
fn a_content_type_that_was_sent_twice_counts_where_both_are_the_same() {
    for (sent, twice) in [
        ("application/json", "application/json, application/json"),
        ("application/json", "application/json; charset=\"a,b\", Application/JSON"),
        ("application/x-protobuf", "application/x-protobuf,application/x-protobuf"),
    ] {
        let outcome = World::default().send(Sent { content_type: twice, ..Sent::spans(1, sent) });
        assert_eq!(outcome.response.status(), 200, "{twice}");
        assert_eq!(outcome.response.headers()[CONTENT_TYPE], sent);
    }
    for (other, named) in [
        ("application/json, application/x-protobuf", "`application/json, application/x-protobuf`"),
        ("application/json, text/plain", "`application/json, text/plain`"),
        ("application/json,", "`application/json,`"),
        ("text/plain", "is `text/plain`"),
        ("", "is missing"),
    ] {
        let outcome =
            World::default().send(Sent { content_type: other, ..Sent::spans(1, "application/json") });
        assert_eq!(outcome.summary.code, "unsupported_content_type");
        let message = world::status_message(&outcome.response);
        assert!(message.contains(named), "{other}: {message}");
    }
}

#[test]
fn several_encodings_are_one_too_many() {
    for (several, named) in
        [("gzip, gzip", "`gzip, gzip`"), ("br", "`br`"), ("identity, gzip", "`identity, gzip`")]
    {
        let sent = Sent { content_encoding: Some(several), ..Sent::spans(1, "application/json") };
        let outcome = World::default().send(sent);
        assert_eq!(outcome.summary.code, "unsupported_content_encoding");
        let message = world::status_message(&outcome.response);
        assert!(message.contains(named) && message.contains("deflate"), "{message}");
    }
}

#[test]
fn a_quoted_key_is_refused_and_neither_repeated_nor_looked_up() {
    let world = World::default();
    let outcome = world.send(Sent { key: Some("\"good\""), ..Sent::spans(1, "application/json") });
    assert_eq!((outcome.response.status().as_u16(), outcome.summary.code), (401, "malformed_key"));
    let message = world::status_message(&outcome.response);
    assert!(message.contains("quotes") && !message.contains("good"), "{message}");
    assert_eq!(world.lookups.get(), 0);
}

#[test]
fn only_pages_of_the_origins_that_the_key_allows_may_send() {
    for (key, origin, status) in [
        ("page", "https://app.example", 200),
        ("page", "https://evil.example", 403),
        ("wrong", "https://app.example", 401),
        (KEY, "null", 200),
    ] {
        let world = World::default();
        let sent = Sent { key: Some(key), origin: Some(origin), ..Sent::spans(1, "application/json") };
        let response = world.send(sent).response;
        assert_eq!(response.status(), status);
        assert_eq!(world.objects.borrow().len(), usize::from(status == 200));
    }
}
