//! What is repaired of a message, by the rules that its record was judged by.

use std::borrow::Cow;

use prost::Message;
use serde_json::json;
use spillway_proto::otlp::trace::v1::span::SpanKind;
use spillway_proto::otlp::trace::v1::status::StatusCode;
use spillway_proto::otlp::{Criteria, DecodeError, Repair, Repairs, RulesVersion};

use super::Attributes;
use super::loose::{EntityRef, Event, Link};
use super::shared::Cut;
use super::tree::{Tree, json_text, key_value};

/// How deep messages may nest in an attribute: a hundred deep in all.
pub(super) mod depth {
    pub(crate) const RESOURCE: u32 = 97;
    pub(crate) const SCOPE: u32 = 96;
    pub(crate) const SPAN: u32 = 96;
    pub(crate) const OF_SPAN: u32 = 95;
}

/// Repairs one message after another, and remembers how.
pub(super) struct Repairing {
    is_v1: bool,
    max_attributes: usize,
    max_events: usize,
    max_links: usize,
    max_name: usize,
    max_value: usize,
    /// Of a resource or a scope.
    shared: Option<Cut>,
    pub(super) found: Repairs,
}

/// An event as its row has it.
pub(super) struct RowEvent {
    pub(super) time_unix_nano: u64,
    pub(super) name: String,
    pub(super) attributes: Attributes,
    pub(super) dropped_attributes: u32,
}

/// A link as its row has it.
pub(super) struct RowLink {
    pub(super) trace_id: Vec<u8>,
    pub(super) span_id: Vec<u8>,
    pub(super) trace_state: String,
    pub(super) attributes: Attributes,
    pub(super) dropped_attributes: u32,
    pub(super) flags: u32,
}

impl Repairing {
    pub(super) fn new(criteria: &Criteria) -> Self {
        let limits = &criteria.limits;
        Self {
            is_v1: criteria.rules == RulesVersion::V1,
            max_attributes: limits.max_attributes as usize,
            max_events: limits.max_events as usize,
            max_links: limits.max_links as usize,
            max_name: limits.max_name_bytes as usize,
            max_value: limits.max_value_bytes as usize,
            shared: None,
            found: Repairs::NONE,
        }
    }

    pub(super) fn shared(self, cut: &Cut) -> Self {
        Self { shared: Some(*cut), ..self }
    }

    fn most_of_value(&self) -> usize {
        let shared = self.shared.and_then(Cut::bytes).unwrap_or(usize::MAX);
        if self.is_v1 { usize::MAX } else { self.max_value.min(shared) }
    }

    fn value_cut(&self, bytes: usize) -> Repair {
        if bytes > self.max_value { Repair::ValueCut } else { Repair::SharedCut }
    }

    fn text(&mut self, text: &[u8], most: usize, cut: Repair) -> String {
        let whole = String::from_utf8_lossy(text);
        if matches!(whole, Cow::Owned(_)) {
            self.found.insert(Repair::InvalidUtf8);
        }
        if self.is_v1 || whole.len() <= most {
            return whole.into_owned();
        }
        self.found.insert(cut);
        whole[..whole.floor_char_boundary(most)].to_owned()
    }

    pub(super) fn name(&mut self, name: &[u8]) -> String {
        self.text(name, self.max_name, Repair::NameCut)
    }

    pub(super) fn shared_name(&mut self, name: &[u8]) -> String {
        let name = self.name(name);
        self.text(name.as_bytes(), self.most_of_value(), Repair::SharedCut)
    }

    pub(super) fn value_text(&mut self, text: &[u8]) -> String {
        let cut = self.value_cut(String::from_utf8_lossy(text).len());
        self.text(text, self.most_of_value(), cut)
    }

    pub(super) fn kind(&mut self, kind: i32) -> SpanKind {
        SpanKind::try_from(kind).unwrap_or_else(|_| {
            self.found.insert(Repair::KindUnknown);
            SpanKind::Unspecified
        })
    }

    pub(super) fn status_code(&mut self, code: i32) -> StatusCode {
        StatusCode::try_from(code).unwrap_or_else(|_| {
            self.found.insert(Repair::StatusUnknown);
            StatusCode::Unset
        })
    }

    /// The attributes that stay, and how many do not.
    pub(super) fn attributes(&mut self, pairs: &[Vec<u8>], depth: u32) -> (Attributes, u32) {
        let (mut kept, mut met, mut left_out, mut has_late_name) = (Vec::new(), 0, 0, false);
        for pair in pairs {
            let Ok((key, value)) = key_value(pair, depth) else {
                self.found.insert(Repair::NestedTooDeep);
                left_out += 1;
                continue;
            };
            met += 1;
            let is_service_name = depth == depth::RESOURCE && key == b"service.name";
            let is_late = !self.is_v1 && met > self.max_attributes;
            if is_late && (!is_service_name || std::mem::replace(&mut has_late_name, true)) {
                self.found.insert(Repair::AttributesDropped);
                left_out += 1;
            } else if self.shared.is_some_and(Cut::keeps_only_service_name) && !is_service_name {
                self.found.insert(Repair::SharedCut);
                left_out += 1;
            } else {
                kept.push((self.name(&key), self.value(value)));
            }
        }
        (kept, left_out)
    }

    fn value(&mut self, value: Tree) -> String {
        if !value.is_utf8() {
            self.found.insert(Repair::InvalidUtf8);
        }
        let (counted, mut most) = (value.counted(), self.most_of_value());
        let is_number = matches!(value, Tree::None | Tree::Bool(_) | Tree::Int(_) | Tree::Double(_));
        if counted <= most || is_number {
            return value.text();
        }
        self.found.insert(self.value_cut(counted));
        value.cut(&mut most).0.text()
    }

    /// The events that stay, and how many do not.
    pub(super) fn events(&mut self, events: Vec<Event>) -> (Vec<RowEvent>, u32) {
        let most = if self.is_v1 { usize::MAX } else { self.max_events };
        let left_out = events.len().saturating_sub(most);
        if left_out > 0 {
            self.found.insert(Repair::EventsDropped);
        }
        let kept = events.into_iter().take(most).map(|event| {
            let (attributes, attributes_left_out) = self.attributes(&event.attributes, depth::OF_SPAN);
            if i64::try_from(event.time_unix_nano).is_err() {
                self.found.insert(Repair::EventTimeOutOfRange);
            }
            RowEvent {
                time_unix_nano: event.time_unix_nano,
                name: self.name(&event.name),
                attributes,
                dropped_attributes: event.dropped_attributes_count.saturating_add(attributes_left_out),
            }
        });
        (kept.collect(), u32::try_from(left_out).unwrap_or(u32::MAX))
    }

    /// The links that stay, and how many do not.
    pub(super) fn links(&mut self, links: Vec<Link>) -> (Vec<RowLink>, u32) {
        let (mut kept, mut left_out) = (Vec::new(), 0);
        for link in links {
            let is_valid = matches!(link.trace_id.len(), 0 | 16) && matches!(link.span_id.len(), 0 | 8);
            if !self.is_v1 && (!is_valid || kept.len() >= self.max_links) {
                self.found.insert(if is_valid { Repair::LinksDropped } else { Repair::InvalidLink });
                left_out += 1;
                continue;
            }
            let (attributes, attributes_left_out) = self.attributes(&link.attributes, depth::OF_SPAN);
            kept.push(RowLink {
                trace_state: self.value_text(&link.trace_state),
                trace_id: link.trace_id,
                span_id: link.span_id,
                attributes,
                dropped_attributes: link.dropped_attributes_count.saturating_add(attributes_left_out),
                flags: link.flags,
            });
        }
        (kept, left_out)
    }

    /// The entity references of a resource in OTLP's JSON, unless they take too much.
    pub(super) fn entity_refs(&mut self, refs: &[Vec<u8>]) -> Result<String, DecodeError> {
        let read = refs.iter().map(|entity_ref| EntityRef::decode(&**entity_ref));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        let texts = read.iter().flat_map(|EntityRef { schema_url, r#type, id_keys, description_keys }| {
            [schema_url, r#type].into_iter().chain(id_keys).chain(description_keys)
        });
        if texts.into_iter().any(|text| str::from_utf8(text).is_err()) {
            self.found.insert(Repair::InvalidUtf8);
        }
        let bytes = refs.iter().map(Vec::len).sum();
        let most = if self.is_v1 { self.max_value } else { self.most_of_value() };
        if bytes > most {
            if !self.is_v1 {
                self.found.insert(self.value_cut(bytes));
            }
            return Ok(String::new());
        }
        let refs: Vec<_> = read.into_iter().map(entity_ref_json).collect();
        Ok(if bytes == 0 { String::new() } else { format!("[{}]", refs.join(",")) })
    }
}

fn entity_ref_json(EntityRef { schema_url, r#type, id_keys, description_keys }: EntityRef) -> String {
    let text = |text: &[u8]| json_text(&String::from_utf8_lossy(text));
    let list = |keys: &[Vec<u8>]| {
        let keys: Vec<_> = keys.iter().map(|key| text(key)).collect();
        format!("[{}]", keys.join(","))
    };
    let fields = [
        ("schemaUrl", (!schema_url.is_empty()).then(|| text(&schema_url))),
        ("type", (!r#type.is_empty()).then(|| text(&r#type))),
        ("idKeys", (!id_keys.is_empty()).then(|| list(&id_keys))),
        ("descriptionKeys", (!description_keys.is_empty()).then(|| list(&description_keys))),
    ];
    let fields: Vec<_> =
        fields.into_iter().filter_map(|(name, value)| Some(format!("{}:{}", json!(name), value?))).collect();
    format!("{{{}}}", fields.join(","))
}
