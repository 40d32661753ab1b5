//! What exporters send: requests of realistic spans and of tiny ones, the same from the same seed.
//!
//! Realistic: about 750 bytes a span, with 18 attributes of its own, 18 of its resource, which 100 spans share, and an
//! event at every third. Tiny: about 160 bytes a span, with one attribute, which is the shape behind most published figures.
//! Nested: the realistic ones with four attributes more that are lists and maps, as calls of language models have them.

use std::io::Write;
use std::time::SystemTime;

use anyhow::Result;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::any_value::Value;
use spillway_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::Event;
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::order::{Order, in_order};

const SEED: u64 = 20_261_121;
/// Different bodies of one size.
const BODIES: usize = 8;
const SPANS_PER_RESOURCE: usize = 100;

/// Bodies of one kind.
pub struct Payload {
    /// What the tables call it.
    pub name: &'static str,
    /// Spans in each.
    pub spans: usize,
    /// Whether they are compressed.
    pub gzip: bool,
    /// The order of their fields.
    pub order: Order,
    /// The bodies.
    pub bodies: Vec<Bytes>,
    /// The mean size of a body before compression, in bytes.
    pub plain_bytes: usize,
}

impl Payload {
    /// The mean size of a body, in bytes.
    pub fn bytes(&self) -> usize {
        mean_bytes(&self.bodies)
    }
}

fn mean_bytes(bodies: &[Bytes]) -> usize {
    bodies.iter().map(Bytes::len).sum::<usize>() / bodies.len()
}

/// All kinds that are measured, with their fields in this order.
pub fn all(order: Order) -> Result<Vec<Payload>> {
    let kinds = [
        ("1 span", 1, false),
        ("100 spans", 100, false),
        ("135 spans", 135, false),
        ("100 spans, gzip", 100, true),
        ("1,000 spans", 1_000, false),
    ];
    kinds.into_iter().map(|(name, spans, gzip)| payload(name, spans, gzip, order)).collect()
}

/// The 135 spans of [`all`] in descending order, to be compared with those in ascending order.
pub fn descending() -> Result<Payload> {
    payload("135 spans, descending", 135, false, Order::Descending)
}

fn payload(name: &'static str, spans: usize, gzip: bool, order: Order) -> Result<Payload> {
    let plain = bodies(spans, order)?;
    let plain_bytes = mean_bytes(&plain);
    let bodies = match gzip {
        true => plain.iter().map(|body| Ok(gzipped(body)?.into())).collect::<Result<_>>()?,
        false => plain,
    };
    Ok(Payload { name, spans, gzip, order, bodies, plain_bytes })
}

fn bodies(spans: usize, order: Order) -> Result<Vec<Bytes>> {
    let mut generator = Generator::new(SEED);
    (0..BODIES).map(|_| Ok(in_order(generator.request(spans).encode_to_vec(), order)?.into())).collect()
}

/// `bytes` as an exporter compresses them.
pub fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

const SERVICES: [&str; 6] = ["checkout", "catalogue", "payments", "shipping", "accounts", "recommendations"];
const ROUTES: [&str; 6] = [
    "/v2/orders/{orderId}",
    "/v2/orders",
    "/v1/customers/{customerId}/addresses",
    "/v1/catalogue/search",
    "/healthz",
    "/v1/payments/{paymentId}/capture",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const THREADS: [&str; 4] =
    ["http-nio-8080-exec", "scheduling", "kafka-consumer", "ForkJoinPool.commonPool-worker"];
const CITIES: [&str; 5] = ["Amsterdam", "São Paulo", "Zürich", "København", "Singapore"];
const AGENTS: [&str; 3] =
    ["okhttp/4.12.0", "python-requests/2.32.3", "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"];

/// Makes requests.
pub struct Generator {
    pub(crate) chance: SplitMix64,
    now: u64,
}

impl Generator {
    /// One whose requests depend on the seed, but for the times of their spans, which lie in the last ten seconds.
    pub fn new(seed: u64) -> Self {
        // The times alone are of today: the edge may refuse spans of another age. They take the same bytes always.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at(seed, u64::try_from(now.as_nanos()).unwrap_or_default())
    }

    /// One whose spans lie in the ten seconds before `now`, in nanoseconds since the Unix epoch.
    pub fn at(seed: u64, now: u64) -> Self {
        Self { chance: SplitMix64::new(seed), now }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.chance.below(end)
    }

    /// So many tiny spans.
    pub fn tiny_request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let trace_id: [u8; 16] = self.chance.bytes();
        let service = self.chance.one_of(&SERVICES);
        let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
        let spans = (0..spans).map(|_| self.tiny_span(&trace_id)).collect();
        let scope = InstrumentationScope { name: "tiny".to_owned(), ..InstrumentationScope::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let of_resource = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
        ExportTraceServiceRequest { resource_spans: vec![of_resource] }
    }

    fn tiny_span(&mut self, trace_id: &[u8]) -> Span {
        let route = self.chance.one_of(&ROUTES);
        let start = self.now - self.chance.below(10_000_000_000);
        Span {
            trace_id: trace_id.to_vec(),
            span_id: self.chance.bytes::<8>().to_vec(),
            parent_span_id: self.chance.bytes::<8>().to_vec(),
            name: route.to_owned(),
            kind: 2,
            start_time_unix_nano: start,
            end_time_unix_nano: start + self.chance.below(200_000_000),
            attributes: vec![text(
                "url.full",
                format!("https://api.shop.example{route}?page={}", self.chance.below(100)),
            )],
            ..Span::default()
        }
    }

    /// So many realistic spans.
    pub fn request(&mut self, spans: usize) -> ExportTraceServiceRequest {
        let resources = spans.div_ceil(SPANS_PER_RESOURCE);
        let resource_spans = (0..resources)
            .map(|n| self.resource_spans(SPANS_PER_RESOURCE.min(spans - n * SPANS_PER_RESOURCE)))
            .collect();
        ExportTraceServiceRequest { resource_spans }
    }

    fn resource_spans(&mut self, spans: usize) -> ResourceSpans {
        let trace_id: [u8; 16] = self.chance.bytes();
        let scope = InstrumentationScope {
            name: "io.opentelemetry.spring-webmvc-6.0".to_owned(),
            version: "2.21.0-alpha".to_owned(),
            ..InstrumentationScope::default()
        };
        let mut parent = Vec::new();
        let spans = (0..spans)
            .map(|_| {
                let span = self.span(&trace_id, parent.clone());
                if self.chance.below(4) == 0 {
                    parent.clone_from(&span.span_id);
                }
                span
            })
            .collect();
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes: self.resource(), ..Resource::default() });
        ResourceSpans {
            resource,
            scope_spans,
            schema_url: "https://opentelemetry.io/schemas/1.38.0".to_owned(),
        }
    }

    fn resource(&mut self) -> Vec<KeyValue> {
        let service = self.chance.one_of(&SERVICES);
        let pod = format!("{service}-{}-{}", self.chance.hex(5), self.chance.hex(3));
        vec![
            text("service.name", service),
            text("service.namespace", "shop"),
            text("service.version", format!("3.{}.{}", self.chance.below(40), self.chance.below(10))),
            text("service.instance.id", self.chance.hex(16)),
            text("deployment.environment.name", "production"),
            text("telemetry.sdk.name", "opentelemetry"),
            text("telemetry.sdk.language", "java"),
            text("telemetry.sdk.version", "1.55.0"),
            text(
                "host.name",
                format!("ip-10-0-{}-{}.internal", self.chance.below(256), self.chance.below(256)),
            ),
            text("host.arch", "amd64"),
            text("os.type", "linux"),
            int("process.pid", self.chance.below(60_000)),
            text("process.runtime.version", "21.0.9+10-LTS"),
            text("k8s.cluster.name", "prod-eu-1"),
            text("k8s.namespace.name", "shop"),
            text("k8s.pod.name", pod),
            text("k8s.node.name", format!("pool-a-{}", self.chance.hex(4))),
            text("container.id", self.chance.hex(32)),
        ]
    }

    fn span(&mut self, trace_id: &[u8], parent_span_id: Vec<u8>) -> Span {
        let (method, route) = (self.chance.one_of(&METHODS), self.chance.one_of(&ROUTES));
        let start = self.now - self.chance.below(10_000_000_000);
        let end = start + self.chance.below(200_000_000);
        let failed = self.chance.below(50) == 0;
        let events = match self.chance.below(3) {
            0 => vec![self.event(start)],
            _ => Vec::new(),
        };
        Span {
            trace_id: trace_id.to_vec(),
            span_id: self.chance.bytes::<8>().to_vec(),
            parent_span_id,
            name: format!("{method} {route}"),
            kind: 1 + i32::try_from(self.chance.below(3)).unwrap_or_default(),
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: self.attributes(method, route, failed),
            events,
            status: failed.then(|| Status { message: "upstream timed out".to_owned(), code: 2 }),
            flags: 0x101,
            ..Span::default()
        }
    }

    fn attributes(&mut self, method: &str, route: &str, failed: bool) -> Vec<KeyValue> {
        let path = route.replace("{orderId}", &self.chance.below(10_000_000).to_string());
        vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", path),
            text("code.function.name", "example.shop.orders.OrderController.handle"),
            int("http.response.status_code", if failed { 504 } else { 200 }),
            int("http.request.body.size", self.chance.below(5_000)),
            int("http.response.body.size", self.chance.below(90_000)),
            text("user_agent.original", self.chance.one_of(&AGENTS)),
            text("server.address", "api.shop.example"),
            int("server.port", 443),
            text("client.address", format!("10.{}.{}.7", self.chance.below(256), self.chance.below(256))),
            text("network.protocol.version", "1.1"),
            int("thread.id", self.chance.below(400)),
            text("thread.name", format!("{}-{}", self.chance.one_of(&THREADS), self.chance.below(64))),
            text("enduser.id", self.chance.hex(8)),
            text("geo.city", self.chance.one_of(&CITIES)),
            AnyValue { value: Some(Value::DoubleValue(self.chance.below(10_000) as f64 / 100.0)) }
                .named("cart.total"),
            AnyValue { value: Some(Value::BoolValue(self.chance.below(2) == 0)) }.named("customer.returning"),
        ]
    }

    fn event(&mut self, start: u64) -> Event {
        Event {
            time_unix_nano: start + self.chance.below(1_000_000),
            name: "cache.miss".to_owned(),
            attributes: vec![
                text("cache.key", format!("customer:{}", self.chance.below(1_000_000))),
                int("cache.ttl_ms", 60_000),
            ],
            ..Event::default()
        }
    }
}

pub(crate) trait Named {
    fn named(self, key: &str) -> KeyValue;
}

impl Named for AnyValue {
    fn named(self, key: &str) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(self), ..KeyValue::default() }
    }
}

pub(crate) fn plain(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

pub(crate) fn list(values: Vec<AnyValue>) -> AnyValue {
    AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }
}

pub(crate) fn map(values: Vec<KeyValue>) -> AnyValue {
    AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
}

pub(crate) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    plain(value).named(key)
}

pub(crate) fn int(key: &str, value: u64) -> KeyValue {
    AnyValue { value: Some(Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX))) }.named(key)
}

/// A small generator whose numbers will never change with a library's version.
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for place in (1..values.len()).rev() {
            values.swap(place, self.below(place as u64 + 1) as usize);
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.next() as usize % choices.len()]
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02x}", self.next() as u8)).collect()
    }
}

#[cfg(test)]
mod tests {
    use spillway_proto::UnixMillis;
    use spillway_proto::otlp::{Criteria, RepairedRuns, RulesVersion, SpanLimits, judge};

    use super::*;

    #[test]
    fn every_span_is_valid_and_of_a_realistic_size() {
        let payloads =
            [Order::Ascending, Order::Descending].into_iter().flat_map(|order| all(order).unwrap());
        for payload in payloads {
            let plain = bodies(payload.spans, payload.order).unwrap();
            for body in &plain {
                let now = UnixMillis(
                    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64,
                );
                let (rules, limits) = (RulesVersion::default(), SpanLimits::default());
                let criteria = Criteria { rules, limits, received_at: now };
                let verdict = judge(body, &criteria, &RepairedRuns::default()).unwrap();
                assert_eq!((verdict.accepted as usize, verdict.rejected), (payload.spans, 0));
            }
            if payload.spans > 1 {
                let per_span = plain[0].len() / payload.spans;
                assert!((700..800).contains(&per_span), "{per_span} bytes a span");
            }
        }
    }

    #[test]
    fn tiny_spans_are_tiny() {
        let per_span = Generator::new(SEED).tiny_request(300).encode_to_vec().len() / 300;
        assert!((150..170).contains(&per_span), "{per_span} bytes a span");
    }

    #[test]
    fn the_same_seed_gives_the_same_sizes() {
        let sizes = || bodies(100, Order::Ascending).unwrap().iter().map(Bytes::len).collect::<Vec<_>>();
        assert_eq!(sizes(), sizes());
    }
}
