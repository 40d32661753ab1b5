//! Requests of all that OTLP allows, and of what exporters send all the same.

use fastrand::Rng;
use spillway_proto::otlp::ExportTraceServiceRequest;
use spillway_proto::otlp::common::v1::any_value::Value;
use spillway_proto::otlp::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use spillway_proto::otlp::resource::v1::Resource;
use spillway_proto::otlp::trace::v1::span::{Event, Link};
use spillway_proto::otlp::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// 2026-11-18T11:06:40Z.
pub const START: u64 = 1_795_000_000_000_000_000;

/// The last second that the tables hold: 2106-02-07T06:28:15Z.
const LAST_START: u64 = u32::MAX as u64 * 1_000_000_000;
const NANOS_A_DAY: u64 = 86_400_000_000_000;
const MAX_DEPTH: u32 = 4;

const TEXTS: [&str; 24] = [
    "",
    " ",
    "shop",
    "GET /cart/{id}",
    "<script>alert('&amp;')</script>",
    "\"quoted\" and 'quoted'",
    "back\\slash and /slash",
    "\u{0}\u{1}\u{8}\u{b}\u{1f}\u{7f}",
    "line\nfeed\r\n\ttab\u{c}form feed",
    "\u{2028}between separators\u{2029}",
    "\u{80}\u{85}\u{a0}\u{feff}",
    "😀👩‍👩‍👧 e\u{301} Ünï",
    "\u{fffd}\u{ffff}\u{10ffff}",
    "العربية 漢字",
    "null",
    "true",
    "1e3",
    "[1,2]",
    "{\"a\":1}",
    "a,b=c;d",
    "\u{e2}\u{80}\u{a8}",
    "\\u2028",
    "%00%ff",
    "'; DROP TABLE otel_traces; --",
];
const KEYS: [&str; 12] =
    ["", "service.name", "http.route", "a", "b", "ä", "a.b", "A", "\"", "\n", "😀", "service.namespace"];
const INTS: [i64; 9] = [0, 1, -1, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, 1 << 32];
const DOUBLES: [f64; 30] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e15,
    1e16,
    1e20,
    -1e20,
    1e21,
    -1e21,
    123_456_789_012_345_680_000.0,
    999_999_999_999_999_900_000.0,
    1e-6,
    -1e-6,
    1e-7,
    9.999_999e-7,
    0.000_009_536_74,
    5e-324,
    2.225_073_858_507_201e-308,
    f64::MIN_POSITIVE,
    f64::MAX,
    f64::MIN,
    1e100,
    // Halfway between two texts of as many digits.
    8.000_015_258_789_063,
    9_007_199_254_740_993.0,
    4.35,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
const KINDS: [i32; 10] = [-1, 0, 1, 2, 3, 4, 5, 6, 99, i32::MIN];
const CODES: [i32; 8] = [-1, 0, 1, 2, 3, 4, 99, i32::MAX];

/// Makes requests; the same ones for the same seed.
pub struct Generator {
    rng: Rng,
    spans: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), spans: 0 }
    }

    pub fn request(&mut self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest { resource_spans: self.some(3, Self::resource_spans) }
    }

    fn resource_spans(&mut self) -> ResourceSpans {
        let resource = Resource {
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            ..Resource::default()
        };
        ResourceSpans {
            resource: self.rng.u8(..8).gt(&0).then_some(resource),
            scope_spans: self.some(3, Self::scope_spans),
            schema_url: self.text(),
        }
    }

    fn scope_spans(&mut self) -> ScopeSpans {
        let scope = InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
        };
        ScopeSpans {
            scope: self.rng.u8(..8).gt(&0).then_some(scope),
            spans: self.some(5, Self::span),
            schema_url: self.text(),
        }
    }

    fn span(&mut self) -> Span {
        self.spans += 1;
        let start = self.start();
        Span {
            trace_id: (self.rng.u128(..4) + 1).to_be_bytes().to_vec(),
            span_id: self.spans.to_be_bytes().to_vec(),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.rng.u32(..),
            name: self.text(),
            kind: self.of(&KINDS),
            start_time_unix_nano: start,
            end_time_unix_nano: self.end(start),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            events: self.some(3, Self::event),
            dropped_events_count: self.count(),
            links: self.some(3, Self::link),
            dropped_links_count: self.count(),
            status: self.rng.bool().then(|| Status { message: self.text(), code: self.of(&CODES) }),
        }
    }

    fn event(&mut self) -> Event {
        let times = [0, 1, START, LAST_START, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
        Event {
            time_unix_nano: self.of(&times),
            name: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
        }
    }

    fn link(&mut self) -> Link {
        Link {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            flags: self.rng.u32(..),
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        let most = self.of(&[0, 1, 3, 6, 30]);
        self.some(most, |generator| generator.pair(0))
    }

    fn pair(&mut self, depth: u32) -> KeyValue {
        let key = match self.rng.u8(..4) {
            0 => self.text(),
            1 => format!("key.{}", self.rng.u8(..20)),
            _ => self.of(&KEYS).to_owned(),
        };
        let value = self.rng.u8(..10).gt(&0).then(|| self.value(depth));
        KeyValue { key, value, ..KeyValue::default() }
    }

    fn value(&mut self, depth: u32) -> AnyValue {
        let kinds = if depth < MAX_DEPTH { 8 } else { 6 };
        let value = match self.rng.u8(..kinds) {
            0 => None,
            1 => Some(Value::StringValue(self.text())),
            2 => Some(Value::BoolValue(self.rng.bool())),
            3 => Some(Value::IntValue(if self.rng.bool() { self.of(&INTS) } else { self.rng.i64(..) })),
            4 => Some(Value::DoubleValue(self.double())),
            5 => Some(Value::BytesValue(self.some(20, |generator| generator.rng.u8(..)))),
            6 => {
                let values = self.some(5, |generator| generator.value(depth + 1));
                Some(Value::ArrayValue(ArrayValue { values }))
            }
            _ => {
                let values = self.some(5, |generator| generator.pair(depth + 1));
                Some(Value::KvlistValue(KeyValueList { values }))
            }
        };
        AnyValue { value }
    }

    fn double(&mut self) -> f64 {
        match self.rng.u8(..6) {
            0 => f64::from_bits(self.rng.u64(..)),
            1 => f64::from(self.rng.i32(..)) / 100.0,
            2 => self.of(&[1e-6, 1e-7, 1e16, 1e20, 1e21]) * (1.0 + self.rng.f64()),
            _ => self.of(&DOUBLES),
        }
    }

    fn text(&mut self) -> String {
        match self.rng.u8(..5) {
            0 => self.some(12, |generator| generator.rng.char(..)).into_iter().collect(),
            1 => self.some(300, |generator| generator.of(&["x", "é", "\u{2028}", "<", "\0"])).concat(),
            _ => self.of(&TEXTS).to_owned(),
        }
    }

    fn id(&mut self, bytes: usize) -> Vec<u8> {
        match self.rng.u8(..4) {
            0 => Vec::new(),
            1 => vec![0; bytes],
            _ => (0..bytes).map(|_| self.rng.u8(..)).collect(),
        }
    }

    fn start(&mut self) -> u64 {
        match self.rng.u8(..10) {
            0 => 0,
            1 => 1,
            2 => LAST_START,
            _ => START + self.rng.u64(..2 * NANOS_A_DAY),
        }
    }

    fn end(&mut self, start: u64) -> u64 {
        let nanos = self.of(&[0, 1, 999, 1_000_000_007, NANOS_A_DAY]);
        match self.rng.u8(..8) {
            0 => 0,
            1 => start.saturating_sub(nanos),
            _ => start.saturating_add(nanos).min(LAST_START),
        }
    }

    fn count(&mut self) -> u32 {
        self.of(&[0, 0, 1, 17, u32::MAX])
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.rng.usize(..values.len())]
    }

    /// From none to `most` of them.
    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.rng.usize(..=most)).map(|_| make(self)).collect()
    }
}
