//! Takes the spans that are not valid out of a request, on the wire: an empty span has two bytes there, and hundreds in memory.

use super::wire::{Message, Read};

/// `request` without the spans for which `valid`, asked in their order, is false, and without resources and scopes that have no
/// others. The request must have been judged to be well formed.
pub(super) fn keep_valid(request: &[u8], mut valid: impl FnMut() -> bool) -> Read<Vec<u8>> {
    let mut kept = Vec::new();
    let mut request = Message::new(request);
    while let Some((field, wire_type)) = request.key()? {
        match field {
            1 => {
                if let Some(resource) = resource_spans(request.message(wire_type)?, &mut valid)? {
                    prost::encoding::bytes::encode(1, &resource, &mut kept);
                }
            }
            _ => request.skip(field, wire_type)?,
        }
    }
    Ok(kept)
}

fn resource_spans(mut message: Message, valid: &mut impl FnMut() -> bool) -> Read<Option<Vec<u8>>> {
    let (mut kept, mut has_spans) = (Vec::new(), false);
    let mut before = message;
    while let Some((field, wire_type)) = message.key()? {
        match field {
            2 => {
                if let Some(scope) = scope_spans(message.message(wire_type)?, valid)? {
                    prost::encoding::bytes::encode(2, &scope, &mut kept);
                    has_spans = true;
                }
            }
            _ => {
                message.skip(field, wire_type)?;
                kept.extend_from_slice(before.until(&message));
            }
        }
        before = message;
    }
    Ok(has_spans.then_some(kept))
}

fn scope_spans(mut message: Message, valid: &mut impl FnMut() -> bool) -> Read<Option<Vec<u8>>> {
    let (mut kept, mut has_spans) = (Vec::new(), false);
    let mut before = message;
    while let Some((field, wire_type)) = message.key()? {
        message.skip(field, wire_type)?;
        let is_span = field == 2;
        if !is_span || valid() {
            kept.extend_from_slice(before.until(&message));
            has_spans |= is_span;
        }
        before = message;
    }
    Ok(has_spans.then_some(kept))
}
