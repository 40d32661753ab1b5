//! The order of the fields in OTLP's messages. SDKs write them in ascending order; the Collector, since pdata 1.40, in descending
//! order: spans before their scope, a value before its key.

use anyhow::{Result, bail};
use prost::encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field};

/// An order of fields. The elements of a repeated field stay in theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As SDKs write them.
    Ascending,
    /// As the Collector writes them.
    Descending,
}

/// A message of OTLP, with the fields that hold messages.
struct Schema {
    messages: &'static [(u32, &'static Schema)],
}

static REQUEST: Schema = Schema { messages: &[(1, &RESOURCE_SPANS)] };
static RESOURCE_SPANS: Schema = Schema { messages: &[(1, &RESOURCE), (2, &SCOPE_SPANS)] };
static RESOURCE: Schema = Schema { messages: &[(1, &KEY_VALUE), (3, &ENTITY_REF)] };
static SCOPE_SPANS: Schema = Schema { messages: &[(1, &SCOPE), (2, &SPAN)] };
static SCOPE: Schema = Schema { messages: &[(3, &KEY_VALUE)] };
static SPAN: Schema = Schema { messages: &[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &STATUS)] };
static EVENT: Schema = Schema { messages: &[(3, &KEY_VALUE)] };
static LINK: Schema = Schema { messages: &[(4, &KEY_VALUE)] };
static STATUS: Schema = Schema { messages: &[] };
static ENTITY_REF: Schema = Schema { messages: &[] };
static KEY_VALUE: Schema = Schema { messages: &[(2, &ANY_VALUE)] };
static ANY_VALUE: Schema = Schema { messages: &[(5, &ARRAY), (6, &KEY_VALUE_LIST)] };
static ARRAY: Schema = Schema { messages: &[(1, &ANY_VALUE)] };
static KEY_VALUE_LIST: Schema = Schema { messages: &[(1, &KEY_VALUE)] };

/// An `ExportTraceServiceRequest` with its fields in this order, in every message.
pub fn in_order(request: &[u8], order: Order) -> Result<Vec<u8>> {
    message(request, &REQUEST, order)
}

fn message(mut bytes: &[u8], schema: &Schema, order: Order) -> Result<Vec<u8>> {
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
                let inner = message(&raw, inner, order)?;
                let mut written = Vec::with_capacity(inner.len() + 6);
                encode_key(field, WireType::LengthDelimited, &mut written);
                encode_varint(inner.len() as u64, &mut written);
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
    fields.sort_by_key(|(field, _)| match order {
        Order::Ascending => i64::from(*field),
        Order::Descending => -i64::from(*field),
    });
    Ok(fields.into_iter().flat_map(|(_, written)| written).collect())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use spillway_proto::otlp::ExportTraceServiceRequest;

    use super::*;
    use crate::payloads::Generator;

    #[test]
    fn a_request_in_another_order_is_the_same_request() {
        let request = Generator::at(7, 1_795_230_245_000_000_000).nested_request(20);
        let ascending = request.encode_to_vec();
        let descending = in_order(&ascending, Order::Descending).unwrap();
        assert_eq!(ExportTraceServiceRequest::decode(&*descending).unwrap(), request);
        assert_ne!(descending, ascending);
        assert_eq!(in_order(&descending, Order::Ascending).unwrap(), ascending);
    }
}
