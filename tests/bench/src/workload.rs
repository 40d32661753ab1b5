//! Seeded requests of three shapes, and the objects that the edge makes of them.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use origin_consumer::objects::Bucket;
use prost::Message;
use serde::Serialize;
use spillway_proto::UnixMillis;
use spillway_proto::otlp::ExportTraceServiceRequest;
use ulid::Ulid;

use spillway_generator::objects::{Object, object};
use spillway_generator::order::{Order, in_order};
use spillway_generator::payloads::Generator;

const SEED: u64 = 6;
const TENANTS: u64 = 8;
/// Objects that are put side by side.
const PUTS: usize = 16;

/// What the spans are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// 750 bytes, 18 attributes and 18 of the resource, 0.33 events
    Realistic,
    /// 160 bytes, one attribute
    Tiny,
    /// Realistic, with four lists and maps more; only where it is named
    Nested,
}

impl Shape {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 3] = [Self::Realistic, Self::Tiny, Self::Nested];

    /// The two that are always measured, or the one that is wanted.
    pub fn wanted(only: Option<Self>) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |shape| only.map_or(*shape != Self::Nested, |only| only == *shape))
    }

    /// A request of so many spans.
    pub fn request(self, generator: &mut Generator, spans: usize) -> ExportTraceServiceRequest {
        match self {
            Self::Realistic => generator.request(spans),
            Self::Tiny => generator.tiny_request(spans),
            Self::Nested => generator.nested_request(spans),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Realistic => "realistic",
            Self::Tiny => "tiny",
            Self::Nested => "nested",
        })
    }
}

/// Objects of 100 to 500 spans, so many spans together.
pub fn make(shape: Shape, order: Order, spans: usize) -> Result<Vec<Object>> {
    make_of(shape, order, spans, |generator| 100 + generator.below(401) as usize)
}

/// Objects of `each` spans, so many spans together.
pub fn make_equal(shape: Shape, order: Order, spans: usize, each: usize) -> Result<Vec<Object>> {
    make_of(shape, order, spans, |_| each)
}

/// The order whose objects are measured beside those of the usual order: of realistic spans, where no order is named.
pub fn other_order(shape: Shape, named: Option<Order>) -> Option<Order> {
    (shape == Shape::Realistic && named.is_none()).then_some(Order::Descending)
}

fn make_of(
    shape: Shape,
    order: Order,
    spans: usize,
    each: impl Fn(&mut Generator) -> usize,
) -> Result<Vec<Object>> {
    let (mut generator, mut objects, mut left) = (Generator::new(SEED), Vec::new(), spans);
    while left > 0 {
        let spans = each(&mut generator).clamp(1, left);
        left -= spans;
        let request = shape.request(&mut generator, spans);
        let tenant = format!("tenant-{}", generator.below(TENANTS)).parse()?;
        let (payload, id) = (in_order(request.encode_to_vec(), order)?.into(), Ulid::generate());
        let received_at = UnixMillis(id.timestamp_ms());
        objects.push(object(tenant, payload, u32::try_from(spans)?, received_at, id.random())?);
    }
    Ok(objects)
}

/// Spans of all of them together.
pub fn spans(objects: &[Object]) -> u64 {
    objects.iter().map(|object| u64::from(object.notification.object_key.spans())).sum()
}

/// Puts all of them into the bucket.
pub async fn put(objects: &[Object], bucket: &Bucket) -> Result<()> {
    let puts: Vec<_> =
        objects.iter().map(|object| (object.notification.object_key.to_string(), &object.stored)).collect();
    stream::iter(puts)
        .map(
            |(key, stored)| async move { bucket.put(&key, stored.clone(), "application/octet-stream").await },
        )
        .buffer_unordered(PUTS)
        .try_collect::<()>()
        .await?;
    Ok(())
}

/// The batches that the objects make: in their order, and of so many spans at most.
pub fn batches(objects: &[Object], spans: usize) -> Vec<&[Object]> {
    let (mut batches, mut rest) = (Vec::new(), objects);
    while !rest.is_empty() {
        let mut sum = 0;
        let fits = |object: &&Object| {
            sum += object.notification.object_key.spans() as usize;
            sum <= spans
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}
