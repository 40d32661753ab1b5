//! Other ways to write a request: fields in any order, there twice, split over two messages that are to be merged, beside
//! fields that nobody knows; and text that is none. <https://protobuf.dev/programming-guides/encoding/#order>

use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

/// What a field that is a message holds.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    Status,
    KeyValue,
    AnyValue,
    List,
    Map,
}

impl Kind {
    fn of_field(self, field: u32) -> Option<Self> {
        Some(match (self, field) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Span, 15) => Self::Status,
            (Self::Resource, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Span, 9)
            | (Self::Link, 4)
            | (Self::Map, 1) => Self::KeyValue,
            (Self::KeyValue, 2) | (Self::List, 1) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::List,
            (Self::AnyValue, 6) => Self::Map,
            _ => return None,
        })
    }

    /// Whether a second one is merged with the first, and is not another one.
    fn is_single(self) -> bool {
        matches!(self, Self::Resource | Self::Scope | Self::Status | Self::AnyValue | Self::List | Self::Map)
    }
}

/// `request` in other words; some of them mean something else, and a few nothing at all.
pub fn request(request: &[u8], seed: u64) -> Vec<u8> {
    Tangle { state: seed }.message(request, Kind::Request)
}

struct Tangle {
    state: u64,
}

impl Tangle {
    fn below(&mut self, end: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % end
    }

    fn message(&mut self, message: &[u8], kind: Kind) -> Vec<u8> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for (field, wire_type, whole, value) in fields_of(message) {
            let inner = kind.of_field(field).filter(|_| wire_type == WireType::LengthDelimited);
            match inner {
                Some(inner) if inner.is_single() && self.below(4) == 0 => {
                    let parts: Vec<_> = fields_of(value).map(|(_, _, whole, _)| whole).collect();
                    let (first, second) = parts.split_at(self.below(parts.len() as u64 + 1) as usize);
                    for part in [first, second] {
                        let part = self.message(&part.concat(), inner);
                        fields.push(delimited(field, &part));
                    }
                }
                Some(inner) => fields.push(delimited(field, &self.message(value, inner))),
                None if wire_type == WireType::LengthDelimited && self.below(400) == 0 => {
                    fields.push(delimited(field, b"\xff\xfe"));
                }
                None => fields.push(whole.to_vec()),
            }
            if self.below(8) == 0 {
                fields.extend(fields.last().cloned());
            }
            if self.below(8) == 0 {
                fields.push(self.unknown());
            }
        }
        if self.below(4) == 0 {
            for place in (1..fields.len()).rev() {
                fields.swap(place, self.below(place as u64 + 1) as usize);
            }
        }
        fields.concat()
    }

    fn unknown(&mut self) -> Vec<u8> {
        let mut field = Vec::new();
        match self.below(5) {
            0 => {
                encode_key(100, WireType::Varint, &mut field);
                encode_varint(self.below(1 << 20), &mut field);
            }
            1 => {
                encode_key(101, WireType::StartGroup, &mut field);
                field.extend(delimited(1, b"within"));
                encode_key(101, WireType::EndGroup, &mut field);
            }
            2 => {
                encode_key(102, WireType::ThirtyTwoBit, &mut field);
                field.extend([1, 2, 3, 4]);
            }
            3 => {
                encode_key(103, WireType::SixtyFourBit, &mut field);
                field.extend([1; 8]);
            }
            _ => field = delimited(104, b"not text: \xff"),
        }
        field
    }
}

fn delimited(field: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut bytes);
    encode_varint(value.len() as u64, &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

/// The fields of a message: number, type, the whole of it, and the value without its key and length.
fn fields_of(mut rest: &[u8]) -> impl Iterator<Item = (u32, WireType, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let whole = rest;
        let (field, wire_type) = decode_key(&mut rest).expect("prost wrote it");
        let mut value = rest;
        skip_field(wire_type, field, &mut rest, DecodeContext::default()).expect("prost wrote it");
        let whole = &whole[..whole.len() - rest.len()];
        if wire_type == WireType::LengthDelimited {
            prost::encoding::decode_varint(&mut value).expect("prost wrote it");
        }
        Some((field, wire_type, whole, &value[..value.len() - rest.len()]))
    })
}
