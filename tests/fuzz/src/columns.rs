//! The two ways from an object to the table: the columns of the hot path, beside rows by way of `prost`.

use std::io::Write;

use bytes::Bytes;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Map, Value as Json};
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::rows::{RowsError, SpanRow, rows_of};
use spillway_decode::stored::StoredElsewhere;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::{
    Compression, Criteria, DecompressLimits, Repair, RepairedRun, RepairedRuns, RulesVersion, SpanLimits,
    judge,
};
use spillway_proto::record::ObjectRecord;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId};

use crate::native;
use crate::wire::{FIRST, NOTHING, NOW, some_of};

const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 16 << 20 };
/// How the payloads of an object's records are compressed: by turns, as an input says.
const RECORDS: [&[Compression]; 6] = [
    &[Compression::Identity],
    &[Compression::Gzip],
    &[Compression::Zstd],
    &[Compression::Deflate],
    &[Compression::Snappy],
    &[Compression::Gzip, Compression::Identity],
];

/// Both ways refuse an object, or give the same rows of it; in the table's order, whatever is beside it in a batch.
pub fn check(body: &[u8]) {
    let turn = body.iter().fold(0, |sum, byte| sum + usize::from(*byte));
    let records = RECORDS[turn % RECORDS.len()];
    let elsewhere = stored_elsewhere(body);
    // Each input meets all limits, each of them under one of both rules; and one with resources and scopes that are cut to fit.
    for (place, limits) in [FIRST, SpanLimits::default(), NOTHING, some_of(body)].into_iter().enumerate() {
        let rules = [RulesVersion::V1, RulesVersion::V2][(turn + place) % 2];
        check_records(body, &Case { rules, limits, records }, elsewhere.as_ref());
        if turn % 4 == place {
            let limits = SpanLimits { max_shared_bytes: 50 * body.len() as u64, ..limits };
            check_records(body, &Case { rules, limits, records }, elsewhere.as_ref());
        }
    }
}

/// The same of an object with one record, not compressed, of which no other object has a span; returns the number of rows.
pub fn check_plain(body: &[u8]) -> usize {
    check_records(body, &PLAIN, None)
}

/// How many bytes of memory the spans of a request take.
pub fn bytes_taken(body: &[u8]) -> usize {
    let mut columns = SpanColumns::default();
    add(&mut columns, &object("acme", body, PLAIN.valid(body), &PLAIN)).expect("it is well formed");
    columns.size().used
}

/// How an object is made of a body.
struct Case {
    rules: RulesVersion,
    limits: SpanLimits,
    records: &'static [Compression],
}

const PLAIN: Case = Case { rules: RulesVersion::V2, limits: FIRST, records: RECORDS[0] };

impl Case {
    /// How many spans of an object are valid.
    fn valid(&self, body: &[u8]) -> u32 {
        let criteria = Criteria { rules: self.rules, limits: self.limits, received_at: NOW };
        let verdict = judge(body, &criteria, &transcoding_repairs(body));
        verdict.map_or(0, |verdict| verdict.accepted) * self.records.len() as u32
    }
}

/// Those of some spans; which ones, changes with the length of `body`.
fn transcoding_repairs(body: &[u8]) -> RepairedRuns {
    let run = |first, spans, repair| RepairedRun { first, spans, repairs: [repair].into_iter().collect() };
    let first = (body.len() % 5) as u32;
    RepairedRuns::new(vec![run(first, 2, Repair::WrongType), run(first + 1, 3, Repair::InvalidUtf8)])
}

/// Every other span of some objects, as if others had stored them.
fn stored_elsewhere(body: &[u8]) -> Option<StoredElsewhere> {
    body.len().is_multiple_of(3).then(|| StoredElsewhere {
        positions: (0..1_000).step_by(2).collect(),
        here: (0..1_000).step_by(3).collect(),
    })
}

fn check_records(body: &[u8], case: &Case, elsewhere: Option<&StoredElsewhere>) -> usize {
    let of_spans = |spans| object("acme", body, spans, case);
    let (notification, object) = of_spans(case.valid(body));
    let expected = rows_of(&notification, object.clone(), LIMITS, elsewhere);
    let [before, after] = &[neighbour("acme"), neighbour("zenith")];
    let mut columns = SpanColumns::default();
    add(&mut columns, before).expect("the neighbour is well formed");
    columns.expect(3.0, u64::MAX);
    let added = columns.add_object(&notification, object.clone(), LIMITS, elsewhere, &mut Unzip::default());
    assert_eq!(added.is_ok(), expected.is_ok(), "{added:?}, and by prost {expected:?}");
    add(&mut columns, after).expect("the neighbour is well formed");
    let own = expected.unwrap_or_default();
    same(&columns, &[&rows_of_neighbour(before), &own[..], &rows_of_neighbour(after)].concat());
    if !own.is_empty() {
        one_too_many(&mut columns, of_spans(case.valid(body) + 1));
        columns.clear();
        columns
            .add_object(&notification, object, LIMITS, elsewhere, &mut Unzip::default())
            .expect("it was added before");
        same(&columns, &own);
    }
    own.len()
}

/// An object that holds fewer spans than its name says leaves nothing behind.
fn one_too_many(columns: &mut SpanColumns, (notification, object): (Notification, Bytes)) {
    let (before, refused) =
        (columns.len(), columns.add_object(&notification, object, LIMITS, None, &mut Unzip::default()));
    assert!(matches!(refused, Err(RowsError::Count { .. })), "{refused:?}");
    assert_eq!(columns.len(), before);
}

/// The columns hold these rows, in this order, and their block does.
fn same(columns: &SpanColumns, expected: &[SpanRow]) {
    assert_eq!(columns.len(), expected.len());
    let all = 0..expected.len() as u32;
    same_spans(columns, expected, &all.clone().collect::<Vec<_>>());
    // As the spans of a day are written, of a batch over several.
    same_spans(columns, expected, &all.step_by(2).collect::<Vec<_>>());
}

fn same_spans(columns: &SpanColumns, expected: &[SpanRow], spans: &[u32]) {
    let mut block = Vec::new();
    let written = columns.write(spans, &mut |piece| {
        block.extend_from_slice(piece);
        Ok(())
    });
    written.expect("it is taken");
    let mut found = native::rows(&block);
    assert!(found.is_sorted_by_key(sorting_key));
    let place = |row: &Map<String, Json>| (row["ObjectKey"].to_string(), row["RowNo"].as_u64());
    found.sort_by_key(place);
    let mut expected: Vec<_> = spans.iter().map(|span| columns_of(&expected[*span as usize])).collect();
    expected.sort_by_key(place);
    for (found, expected) in found.iter_mut().zip(&expected) {
        // A column that no span has anything in is left to the server.
        let left_out = expected.iter().filter(|(column, _)| !found.contains_key(*column));
        let left_out: Vec<_> = left_out.map(|(column, value)| (column.clone(), value.clone())).collect();
        assert!(left_out.iter().all(|(_, value)| is_default(value)), "{left_out:?}");
        found.extend(left_out);
    }
    assert_eq!(found, expected);
}

fn is_default(value: &Json) -> bool {
    match value {
        Json::Number(number) => number.as_u64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(values) => values.iter().all(is_default),
        _ => false,
    }
}

fn sorting_key(row: &Map<String, Json>) -> [String; 4] {
    let text = |column: &str| row[column].as_str().expect("a text").to_owned();
    let second = row["Timestamp"].as_i64().expect("a number") / 1_000_000_000;
    [text("TenantId"), text("ServiceName"), text("SpanName"), format!("{second:020}")]
}

fn columns_of(row: &SpanRow) -> Map<String, Json> {
    match serde_json::to_value(row).expect("a row is JSON") {
        Json::Object(columns) => columns,
        other => panic!("a row is an object, not {other}"),
    }
}

fn add(columns: &mut SpanColumns, (notification, object): &(Notification, Bytes)) -> Result<(), RowsError> {
    columns.add_object(notification, object.clone(), LIMITS, None, &mut Unzip::default())
}

fn neighbour(tenant: &str) -> (Notification, Bytes) {
    let body = include_bytes!("../corpus/wire/every-field");
    object(tenant, body, PLAIN.valid(body), &PLAIN)
}

fn rows_of_neighbour((notification, object): &(Notification, Bytes)) -> Vec<SpanRow> {
    rows_of(notification, object.clone(), LIMITS, None).expect("it is well formed")
}

fn object(tenant: &str, body: &[u8], spans: u32, case: &Case) -> (Notification, Bytes) {
    let tenant: TenantId = tenant.parse().expect("a tenant");
    let trace_context = TraceContext::root([1; 16], [2; 8]);
    let record = |compression| ObjectRecord {
        tenant: tenant.clone(),
        key_id: "k1".parse().expect("a key's id"),
        project: (body.len() % 2 == 1).then(|| "checkout".parse().expect("a project")),
        received_at: NOW,
        span_limits: case.limits,
        rules: case.rules,
        transcoding_repairs: transcoding_repairs(body),
        compression,
        payload: compressed(body, compression),
        trace_context,
    };
    let bytes = Bytes::from(
        case.records.iter().flat_map(|compression| record(*compression).to_object()).collect::<Vec<_>>(),
    );
    let object_id = ObjectId::new(&tenant, None, body);
    let notification = Notification {
        object_key: ObjectKey::new(NOW, 7, object_id, spans),
        tenant,
        bytes: bytes.len() as u64,
        payload_bytes: body.len() as u64,
        previous_id: None,
        rejected_spans: None,
        sha256: Sha256Digest::of(&bytes),
        received_at_unix_ms: NOW,
        stored_at_unix_ms: NOW,
        trace_context,
        parent_span_id: None,
        edge_reports_span: false,
    };
    (notification, bytes)
}

fn compressed(body: &[u8], compression: Compression) -> Bytes {
    let compressed = match compression {
        Compression::Identity => Ok(body.to_vec()),
        Compression::Gzip => {
            let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body).and_then(|()| gzip.finish())
        }
        Compression::Zstd => zstd::bulk::compress(body, 1),
        Compression::Deflate => {
            let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            zlib.write_all(body).and_then(|()| zlib.finish())
        }
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(body).map_err(Into::into),
    };
    compressed.expect("into memory").into()
}
