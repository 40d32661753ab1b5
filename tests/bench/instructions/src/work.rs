//! The functions, each with what it works on.

use std::hint::black_box;

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::native::{Compressor, Gone};
use spillway_generator::objects::{Object, object};
use spillway_generator::order::Order;
use spillway_generator::payloads::Generator;
use spillway_generator::written::{self as forms, Form};
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{
    Criteria, DecompressLimits, ExportTraceServiceRequest, RepairedRuns, RulesVersion, SpanLimits, judge,
};

/// In how many requests they are does not matter much; this is ten.
pub const SPANS: usize = 10 * SPANS_A_REQUEST;
const SPANS_A_REQUEST: usize = 300;
const SEED: u64 = 7;
const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 100 << 20 };

type Work = fn() -> Result<()>;

/// All of them. What is named "X, descending" does the work of X on requests in descending order of fields.
pub const ALL: [(&str, Work); 38] = [
    ("gunzip, realistic", || unzipped(REALISTIC)),
    ("judge, nested", || judged(NESTED, ASCENDING)),
    ("judge, nested, descending", || judged(NESTED, DESCENDING)),
    ("judge, realistic", || judged(REALISTIC, ASCENDING)),
    ("judge, realistic, a resource a span", || judged(RESOURCES, ASCENDING)),
    ("judge, realistic, a resource a span, descending", || judged(RESOURCES, DESCENDING)),
    ("judge, realistic, a scope a span", || judged(SCOPES, ASCENDING)),
    ("judge, realistic, a scope without a name a span", || judged(UNNAMED_SCOPES, ASCENDING)),
    ("judge, realistic, attributes spread", || judged(REALISTIC, Form::SpreadAttributes)),
    ("judge, realistic, descending", || judged(REALISTIC, DESCENDING)),
    ("judge, realistic, fields shuffled", || judged(REALISTIC, Form::Shuffled)),
    ("judge, realistic, long texts", || judged(LONG_TEXTS, ASCENDING)),
    ("judge, realistic, long texts, descending", || judged(LONG_TEXTS, DESCENDING)),
    ("judge, realistic, padded lengths", || judged(REALISTIC, Form::PaddedLengths)),
    ("judge, realistic, resources and scopes last", || judged(REALISTIC, Form::SharedLast)),
    ("judge, realistic, unknown fields", || judged(REALISTIC, Form::UnknownFields)),
    ("judge, tiny", || judged(TINY, ASCENDING)),
    ("judge, tiny, descending", || judged(TINY, DESCENDING)),
    ("read into columns, nested", || read(NESTED, ASCENDING)),
    ("read into columns, nested, descending", || read(NESTED, DESCENDING)),
    ("read into columns, realistic", || read(REALISTIC, ASCENDING)),
    ("read into columns, realistic, a resource a span", || read(RESOURCES, ASCENDING)),
    ("read into columns, realistic, a resource a span, descending", || read(RESOURCES, DESCENDING)),
    ("read into columns, realistic, a scope a span", || read(SCOPES, ASCENDING)),
    ("read into columns, realistic, a scope without a name a span", || read(UNNAMED_SCOPES, ASCENDING)),
    ("read into columns, realistic, attributes shuffled", || read(SHUFFLED, ASCENDING)),
    ("read into columns, realistic, descending", || read(REALISTIC, DESCENDING)),
    ("read into columns, realistic, fields shuffled", || read(REALISTIC, Form::Shuffled)),
    ("read into columns, realistic, long texts", || read(LONG_TEXTS, ASCENDING)),
    ("read into columns, realistic, long texts, descending", || read(LONG_TEXTS, DESCENDING)),
    ("read into columns, realistic, mixed", || read(MIXED, ASCENDING)),
    ("read into columns, realistic, padded lengths", || read(REALISTIC, Form::PaddedLengths)),
    ("read into columns, realistic, resources and scopes last", || read(REALISTIC, Form::SharedLast)),
    ("read into columns, tiny", || read(TINY, ASCENDING)),
    ("read into columns, tiny, descending", || read(TINY, DESCENDING)),
    ("sort and write a block, realistic", || written(REALISTIC)),
    ("sort and write a block, tiny", || written(TINY)),
    ("the same and LZ4, realistic", || compressed(REALISTIC)),
];

/// What is counted: the rest is not.
#[inline(never)]
fn measured_by_callgrind<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// How requests are made.
type Shape = fn(&mut Generator, usize) -> ExportTraceServiceRequest;

const REALISTIC: Shape = Generator::request;
const LONG_TEXTS: Shape = Generator::long_texts_request;
const MIXED: Shape = Generator::mixed_request;
const RESOURCES: Shape = Generator::resources_request;
const SCOPES: Shape = Generator::scopes_request;
const UNNAMED_SCOPES: Shape = Generator::unnamed_scopes_request;
const SHUFFLED: Shape = Generator::shuffled_request;
const TINY: Shape = Generator::tiny_request;
const NESTED: Shape = Generator::nested_request;

const ASCENDING: Form = Form::InOrder(Order::Ascending);
const DESCENDING: Form = Form::InOrder(Order::Descending);

fn objects(shape: Shape, form: Form) -> Result<Vec<Object>> {
    let mut generator = Generator::at(SEED, NOW.as_nanos());
    (0..SPANS / SPANS_A_REQUEST)
        .map(|number| {
            let tenant = format!("tenant-{}", number % 3).parse()?;
            let payload = forms::written(&shape(&mut generator, SPANS_A_REQUEST).encode_to_vec(), form)?;
            object(tenant, payload.into(), SPANS_A_REQUEST as u32, NOW, number as u128)
        })
        .collect()
}

fn judged(shape: Shape, form: Form) -> Result<()> {
    let objects = objects(shape, form)?;
    let criteria =
        Criteria { rules: RulesVersion::default(), limits: SpanLimits::default(), received_at: NOW };
    measured_by_callgrind(|| {
        for object in &objects {
            black_box(judge(&object.payload, &criteria, &RepairedRuns::default())?);
        }
        Ok(())
    })
}

fn columns_of(objects: &[Object]) -> Result<SpanColumns> {
    let (mut columns, mut unzip) = (SpanColumns::default(), Unzip::default());
    for Object { notification, plain, .. } in objects {
        columns.add_object(notification, Bytes::clone(plain), LIMITS, None, &mut unzip)?;
    }
    Ok(columns)
}

fn read(shape: Shape, form: Form) -> Result<()> {
    let objects = objects(shape, form)?;
    measured_by_callgrind(|| columns_of(&objects).map(drop))
}

fn written(shape: Shape) -> Result<()> {
    taken(shape, &mut |piece| {
        black_box(piece);
        Ok(())
    })
}

fn compressed(shape: Shape) -> Result<()> {
    let mut compressor = Compressor::default();
    taken(shape, &mut |piece| {
        black_box(compressor.frame(piece));
        Ok(())
    })
}

fn taken(shape: Shape, take: &mut dyn FnMut(&[u8]) -> Result<(), Gone>) -> Result<()> {
    let columns = columns_of(&objects(shape, ASCENDING)?)?;
    let spans: Vec<u32> = (0..columns.len() as u32).collect();
    Ok(measured_by_callgrind(|| columns.write(&spans, take))?)
}

fn unzipped(shape: Shape) -> Result<()> {
    let objects = objects(shape, ASCENDING)?;
    let records = objects.iter().map(|object| spillway_proto::record::records_of(object.stored.clone()));
    let records = records.collect::<Result<Vec<_>, _>>()?.concat();
    let mut unzip = Unzip::default();
    measured_by_callgrind(|| {
        for record in &records {
            black_box(unzip.payload(&record.payload, record.compression, LIMITS)?);
        }
        Ok(())
    })
}
