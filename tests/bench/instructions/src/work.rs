//! The functions, each with what it works on.

use std::hint::black_box;

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use spillway_decode::columns::{SpanColumns, Unzip};
use spillway_decode::native::{Compressor, Gone};
use spillway_generator::objects::{Object, object};
use spillway_generator::payloads::Generator;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{DecompressLimits, SpanLimits, judge};

/// In how many requests they are does not matter much; this is ten.
pub const SPANS: usize = 10 * SPANS_A_REQUEST;
const SPANS_A_REQUEST: usize = 300;
const SEED: u64 = 7;
const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
const LIMITS: DecompressLimits = DecompressLimits { max_bytes: 100 << 20 };

type Work = fn() -> Result<()>;

/// All of them.
pub const ALL: [(&str, Work); 9] = [
    ("judge, realistic", || judged(realistic()?)),
    ("judge, tiny", || judged(tiny()?)),
    ("read into columns, realistic", || read(realistic()?)),
    ("read into columns, tiny", || read(tiny()?)),
    ("read into columns, nested", || read(nested()?)),
    ("sort and write a block, realistic", || written(realistic()?)),
    ("sort and write a block, tiny", || written(tiny()?)),
    ("the same and LZ4, realistic", || compressed(realistic()?)),
    ("gunzip, realistic", || unzipped(realistic()?)),
];

/// What is counted: the rest is not.
#[inline(never)]
fn measured_by_callgrind<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn realistic() -> Result<Vec<Object>> {
    objects(Generator::request)
}

fn tiny() -> Result<Vec<Object>> {
    objects(Generator::tiny_request)
}

fn nested() -> Result<Vec<Object>> {
    objects(Generator::nested_request)
}

fn objects(
    request: fn(&mut Generator, usize) -> spillway_proto::otlp::ExportTraceServiceRequest,
) -> Result<Vec<Object>> {
    let mut generator = Generator::at(SEED, NOW.as_nanos());
    let payload = |generator: &mut Generator| request(generator, SPANS_A_REQUEST).encode_to_vec();
    (0..SPANS / SPANS_A_REQUEST)
        .map(|number| {
            let tenant = format!("tenant-{}", number % 3).parse()?;
            object(tenant, payload(&mut generator).into(), SPANS_A_REQUEST as u32, NOW, number as u128)
        })
        .collect()
}

fn judged(objects: Vec<Object>) -> Result<()> {
    measured_by_callgrind(|| {
        for object in &objects {
            black_box(judge(&object.payload, &SpanLimits::default(), NOW)?);
        }
        Ok(())
    })
}

fn columns_of(objects: &[Object]) -> Result<SpanColumns> {
    let (mut columns, mut unzip) = (SpanColumns::default(), Unzip::default());
    for Object { notification, plain, .. } in objects {
        columns.add_object(notification, Bytes::clone(plain), LIMITS, &mut unzip)?;
    }
    Ok(columns)
}

fn read(objects: Vec<Object>) -> Result<()> {
    measured_by_callgrind(|| columns_of(&objects).map(drop))
}

fn written(objects: Vec<Object>) -> Result<()> {
    taken(&objects, &mut |piece| {
        black_box(piece);
        Ok(())
    })
}

fn compressed(objects: Vec<Object>) -> Result<()> {
    let mut compressor = Compressor::default();
    taken(&objects, &mut |piece| {
        black_box(compressor.frame(piece));
        Ok(())
    })
}

fn taken(objects: &[Object], take: &mut dyn FnMut(&[u8]) -> Result<(), Gone>) -> Result<()> {
    let columns = columns_of(objects)?;
    let spans: Vec<u32> = (0..columns.len() as u32).collect();
    Ok(measured_by_callgrind(|| columns.write(&spans, take))?)
}

fn unzipped(objects: Vec<Object>) -> Result<()> {
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
