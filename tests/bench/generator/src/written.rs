//! The same request, written in other ways that protobuf allows and exporters use: other orders of fields, lengths with more bytes
//! than they need, fields that OTLP does not know.

use anyhow::{Result, bail};
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

use crate::order::Order;
use crate::payloads::SplitMix64;

/// A way to write a request. The elements of a repeated field stay in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The fields of every message in one order.
    InOrder(Order),
    /// The fields of every message in an order of its own.
    Shuffled,
    /// The attributes of every message between its other fields.
    SpreadAttributes,
    /// Resources after their spans and scopes after theirs, all else in ascending order.
    SharedLast,
    /// A field that OTLP does not know after each field of every message but attributes and their values.
    UnknownFields,
    /// Lengths of messages in four bytes, as the otel-arrow engine writes them:
    /// <https://github.com/open-telemetry/otel-arrow/tree/main/rust/otap-dataflow/crates/pdata/src/otlp>.
    PaddedLengths,
}

/// A message of OTLP.
struct Schema {
    /// The fields that hold messages.
    messages: &'static [(u32, &'static Schema)],
    /// The field that holds attributes; 0 where there is none.
    attributes: u32,
    /// Whether it is an attribute, or in one.
    is_in_attribute: bool,
    /// Whether the field [`SHARED`] is what its other fields have in common.
    begins_with_shared: bool,
}

const fn schema(attributes: u32, messages: &'static [(u32, &'static Schema)]) -> Schema {
    Schema { messages, attributes, is_in_attribute: false, begins_with_shared: false }
}

const fn in_attribute(messages: &'static [(u32, &'static Schema)]) -> Schema {
    Schema { is_in_attribute: true, ..schema(0, messages) }
}

const fn shared_first(messages: &'static [(u32, &'static Schema)]) -> Schema {
    Schema { begins_with_shared: true, ..schema(0, messages) }
}

static REQUEST: Schema = schema(0, &[(1, &RESOURCE_SPANS)]);
static RESOURCE_SPANS: Schema = shared_first(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
static RESOURCE: Schema = schema(1, &[(1, &KEY_VALUE), (3, &ENTITY_REF)]);
static SCOPE_SPANS: Schema = shared_first(&[(1, &SCOPE), (2, &SPAN)]);
static SCOPE: Schema = schema(3, &[(3, &KEY_VALUE)]);
static SPAN: Schema = schema(9, &[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &STATUS)]);
static EVENT: Schema = schema(3, &[(3, &KEY_VALUE)]);
static LINK: Schema = schema(4, &[(4, &KEY_VALUE)]);
static STATUS: Schema = schema(0, &[]);
static ENTITY_REF: Schema = schema(0, &[]);
static KEY_VALUE: Schema = in_attribute(&[(2, &ANY_VALUE)]);
static ANY_VALUE: Schema = in_attribute(&[(5, &ARRAY), (6, &KEY_VALUE_LIST)]);
static ARRAY: Schema = in_attribute(&[(1, &ANY_VALUE)]);
static KEY_VALUE_LIST: Schema = in_attribute(&[(1, &KEY_VALUE)]);

/// A resource, or a scope.
const SHARED: u32 = 1;
/// No message of OTLP has it.
const UNKNOWN_FIELD: u32 = 500;
const PADDED_LENGTH_BYTES: usize = 4;
const SEED: u64 = 20_261_130;

/// An `ExportTraceServiceRequest` in this form; the same one each time.
pub fn written(request: &[u8], form: Form) -> Result<Vec<u8>> {
    Writer { form, chance: SplitMix64::new(SEED) }.message(request, &REQUEST)
}

struct Writer {
    form: Form,
    chance: SplitMix64,
}

/// A field: its number, and its key and value as they are written.
type Field = (u32, Vec<u8>);

impl Writer {
    fn message(&mut self, mut bytes: &[u8], schema: &Schema) -> Result<Vec<u8>> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let whole = bytes;
            let (field, wire_type) = decode_key(&mut bytes)?;
            if wire_type == WireType::StartGroup {
                bail!("exporters write no groups");
            }
            let inner = schema.messages.iter().find(|(known, _)| *known == field);
            let written = match inner {
                Some((_, inner)) => {
                    let mut raw = Vec::new();
                    prost::encoding::bytes::merge(wire_type, &mut raw, &mut bytes, DecodeContext::default())?;
                    let inner = self.message(&raw, inner)?;
                    let mut written = Vec::with_capacity(inner.len() + 6);
                    encode_key(field, WireType::LengthDelimited, &mut written);
                    self.put_length(&mut written, inner.len());
                    written.extend(inner);
                    written
                }
                None => {
                    skip_field(wire_type, field, &mut bytes, DecodeContext::default())?;
                    whole[..whole.len() - bytes.len()].to_vec()
                }
            };
            fields.push((field, written));
        }
        Ok(self.arranged(fields, schema).into_iter().flat_map(|(_, written)| written).collect())
    }

    fn arranged(&mut self, mut fields: Vec<Field>, schema: &Schema) -> Vec<Field> {
        match self.form {
            Form::InOrder(Order::Ascending) => fields.sort_by_key(|(field, _)| *field),
            Form::InOrder(Order::Descending) => fields.sort_by_key(|(field, _)| std::cmp::Reverse(*field)),
            Form::Shuffled => {
                let mut order: Vec<u32> = fields.iter().map(|(field, _)| *field).collect();
                self.chance.shuffle(&mut order);
                fields = picked(fields, &order);
            }
            Form::SpreadAttributes if schema.attributes != 0 => fields = spread(fields, schema.attributes),
            Form::SharedLast if schema.begins_with_shared => {
                fields.sort_by_key(|(field, _)| *field == SHARED)
            }
            Form::UnknownFields if !schema.is_in_attribute => fields = with_unknown(fields),
            Form::SpreadAttributes | Form::SharedLast | Form::UnknownFields | Form::PaddedLengths => {}
        }
        fields
    }

    fn put_length(&self, out: &mut Vec<u8>, length: usize) {
        if self.form == Form::PaddedLengths {
            for place in 0..PADDED_LENGTH_BYTES {
                let goes_on = place + 1 < PADDED_LENGTH_BYTES;
                out.push((length >> (7 * place)) as u8 & 0x7f | u8::from(goes_on) << 7);
            }
        } else {
            encode_varint(length as u64, out);
        }
    }
}

/// The fields in the order of these numbers, those of one number in their own.
fn picked(fields: Vec<Field>, order: &[u32]) -> Vec<Field> {
    let mut sorted = fields;
    sorted.sort_by_key(|(field, _)| *field);
    let mut left: Vec<_> = sorted.into_iter().rev().map(Some).collect();
    let mut next = |number: u32| {
        let place =
            left.iter().rposition(|field| field.as_ref().is_some_and(|(field, _)| *field == number))?;
        left[place].take()
    };
    order.iter().filter_map(|number| next(*number)).collect()
}

/// The fields of the number `attributes` between the others, as evenly as there are some.
fn spread(fields: Vec<Field>, attributes: u32) -> Vec<Field> {
    let (attributes, others): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(field, _)| *field == attributes);
    let total = attributes.len() + others.len();
    let (mut attributes, mut others) = (attributes.into_iter(), others.into_iter());
    let (attributes_len, mut taken) = (attributes.len(), 0);
    let mut spread = Vec::with_capacity(total);
    for place in 1..=total {
        let is_attribute = taken * total < place * attributes_len;
        taken += usize::from(is_attribute);
        spread.extend(if is_attribute { attributes.next() } else { others.next() });
    }
    spread
}

fn with_unknown(fields: Vec<Field>) -> Vec<Field> {
    let mut unknown = Vec::new();
    encode_key(UNKNOWN_FIELD, WireType::Varint, &mut unknown);
    encode_varint(1, &mut unknown);
    fields.into_iter().flat_map(|field| [field, (UNKNOWN_FIELD, unknown.clone())]).collect()
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use spillway_proto::otlp::ExportTraceServiceRequest;

    use super::*;
    use crate::payloads::Generator;

    fn nested_request() -> ExportTraceServiceRequest {
        Generator::at(7, 1_795_230_245_000_000_000).nested_request(20)
    }

    #[test]
    fn a_request_in_another_form_is_the_same_request() {
        let request = nested_request();
        let ascending = request.encode_to_vec();
        let forms = [
            Form::InOrder(Order::Descending),
            Form::Shuffled,
            Form::SpreadAttributes,
            Form::SharedLast,
            Form::UnknownFields,
            Form::PaddedLengths,
        ];
        for form in forms {
            let other = written(&ascending, form).unwrap();
            assert_eq!(ExportTraceServiceRequest::decode(&*other).unwrap(), request, "{form:?}");
            assert_ne!(other, ascending, "{form:?}");
        }
    }

    #[test]
    fn the_order_of_fields_can_be_turned_back() {
        let ascending = nested_request().encode_to_vec();
        let in_order = |request: &[u8], order| written(request, Form::InOrder(order)).unwrap();
        let descending = in_order(&ascending, Order::Descending);
        assert_eq!(in_order(&descending, Order::Ascending), ascending);
    }

    #[test]
    fn attributes_are_spread_evenly() {
        let field = |number| (number, Vec::new());
        let fields = [1, 2, 5, 9, 9, 9].map(field);
        let numbers: Vec<_> = spread(fields.into(), 9).into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [9, 1, 9, 2, 9, 5]);
    }
}
