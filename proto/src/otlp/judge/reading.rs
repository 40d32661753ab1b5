//! What the pass keeps in hand while it reads a message: the limits, and what was found so far; and how texts and values are
//! repaired, which is rare.

use super::super::criteria::{Criteria, RulesVersion};
use super::super::nested::Nested;
use super::super::repair::{Repair, Repairs};
use super::super::usual;
use super::super::utf8::{is_utf8, repaired, repaired_len};
use super::super::visit::{Owner, Value};
use super::super::wire::{Message, Read, WireType, not_utf8};
use super::attribute::KeyValue;
use super::shared::SharedCut;

/// Memory for texts and values that were repaired. It is taken as they come, and lives as long as the request that they are of.
pub struct Mended(typed_arena::Arena<Vec<u8>>);

impl Default for Mended {
    fn default() -> Self {
        // Most requests need none.
        Self(typed_arena::Arena::with_capacity(0))
    }
}

impl Mended {
    fn keep(&self, bytes: Vec<u8>) -> &[u8] {
        self.0.alloc(bytes)
    }
}

/// What an attribute is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many there may be that are as exporters write nearly all of them, without a look at their lengths.
    pub(super) usual: usize,
    /// How many there may be.
    pub(super) attributes: usize,
    /// Bytes of its key.
    pub(super) name: usize,
    /// What its value may count.
    pub(super) value: usize,
}

impl Bounds {
    fn new(attributes: usize, name: usize, value: usize) -> Self {
        let usual = if name.min(value) >= usual::LONGEST { attributes } else { 0 };
        Self { usual, attributes, name, value }
    }
}

pub(super) struct Reading<'a> {
    /// [`RulesVersion::V1`]: nothing is repaired.
    pub(super) strict: bool,
    pub(super) max_events: usize,
    pub(super) max_links: usize,
    /// Those of the message that is read.
    pub(super) bounds: Bounds,
    of_spans: Bounds,
    shared: SharedCut,
    /// What was repaired of the message that is read; by the rules of V1, what breaks them.
    pub(super) found: Repairs,
    wants_repaired: bool,
    mended: &'a Mended,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        criteria: &Criteria,
        shared: SharedCut,
        wants_repaired: bool,
        mended: &'a Mended,
    ) -> Self {
        let limits = &criteria.limits;
        let of_spans = Bounds::new(
            limits.max_attributes as usize,
            limits.max_name_bytes as usize,
            limits.max_value_bytes as usize,
        );
        Self {
            strict: criteria.rules == RulesVersion::V1,
            max_events: limits.max_events as usize,
            max_links: limits.max_links as usize,
            bounds: of_spans,
            of_spans,
            shared,
            found: Repairs::NONE,
            wants_repaired,
            mended,
        }
    }

    /// From here on a resource or a scope is read.
    pub(super) fn begin_shared(&mut self) {
        self.found = Repairs::NONE;
        let Bounds { attributes, name, value, .. } = self.of_spans;
        // Where only one attribute stays, each is looked at.
        let attributes = if self.shared.keeps_only_service_name() { 0 } else { attributes };
        self.bounds = Bounds::new(attributes, name, value.min(self.shared.value_bytes()));
    }

    /// Returns what was found of it.
    pub(super) fn end_shared(&mut self) -> Repairs {
        self.bounds = self.of_spans;
        std::mem::take(&mut self.found)
    }

    pub(super) fn texts(&self) -> Texts {
        Texts { strict: self.strict, broken: false }
    }

    /// Notes that something breaks a rule. Whether it is to be repaired, which by the rules of V1 nothing is.
    pub(super) fn repairs(&mut self, repair: Repair) -> bool {
        self.found.insert(repair);
        !self.strict
    }

    /// A text that may be broken or longer than `most` bytes, as it is stored.
    #[cold]
    pub(super) fn text(&mut self, text: &'a [u8], most: usize, cut: Repair) -> &'a [u8] {
        let length = repaired_len(text);
        if length > most && !self.repairs(cut) {
            return text;
        }
        match str::from_utf8(text) {
            Ok(text) => &text.as_bytes()[..text.floor_char_boundary(most)],
            Err(_) => {
                self.found.insert(Repair::InvalidUtf8);
                if self.wants_repaired { self.mended.keep(repaired(text, most)) } else { text }
            }
        }
    }

    /// A name.
    pub(super) fn name(&mut self, name: &'a [u8]) -> &'a [u8] {
        self.text(name, self.of_spans.name, Repair::NameCut)
    }

    /// The name or the version of a scope, which each of its spans repeats.
    pub(super) fn shared_name(&mut self, name: &'a [u8]) -> &'a [u8] {
        let name = self.name(name);
        self.text(name, self.bounds.value, Repair::SharedCut)
    }

    /// The entity references of a resource take too many bytes: none of them is stored.
    pub(super) fn leave_out_entity_refs(&mut self, bytes: usize) {
        // The rules of V1 know nothing of them.
        if !self.strict {
            self.found.insert(self.value_cut(bytes));
        }
    }

    /// A text that is bounded as values are.
    pub(super) fn value_text(&mut self, text: &'a [u8]) -> &'a [u8] {
        let cut = self.value_cut(repaired_len(text));
        self.text(text, self.bounds.value, cut)
    }

    /// Why a value that counts so much is cut.
    fn value_cut(&self, counted: usize) -> Repair {
        if counted > self.of_spans.value { Repair::ValueCut } else { Repair::SharedCut }
    }

    /// Whether an attribute beyond the bounds is left out. The service's name has a column of its own, and stays: the first one
    /// beyond the limit of attributes, which `has_late_service_name` remembers.
    pub(super) fn leaves_out(
        &mut self,
        owner: Owner,
        key: &[u8],
        met: usize,
        has_late_service_name: &mut bool,
    ) -> bool {
        let is_service_name = owner == Owner::Resource && key == b"service.name";
        if met > self.of_spans.attributes {
            let is_kept = is_service_name && !self.strict && !std::mem::replace(has_late_service_name, true);
            return !is_kept && self.repairs(Repair::AttributesDropped);
        }
        let is_shared = matches!(owner, Owner::Resource | Owner::Scope);
        is_shared
            && self.shared.keeps_only_service_name()
            && !is_service_name
            && self.repairs(Repair::SharedCut)
    }

    /// The value of an attribute that is not as it is stored: broken, in pieces, or larger than it may be.
    pub(super) fn value(&mut self, pair: &KeyValue<'a>) -> Value<'a> {
        let (value, is_over) = (pair.value, pair.value_bytes > self.bounds.value);
        if let Value::Text(text) = value {
            return Value::Text(self.value_text(text));
        }
        // A number is as large as numbers are; only the rules of V1 hold it to the limit.
        let is_number = !matches!(value, Value::Bytes(_) | Value::Nested(_));
        let is_cut = is_over && (self.strict || !is_number) && self.repairs(self.value_cut(pair.value_bytes));
        let most = if is_cut { self.bounds.value } else { usize::MAX };
        match value {
            Value::Bytes(bytes) => Value::Bytes(&bytes[..bytes.len().min(most)]),
            Value::Nested(nested) => {
                if pair.is_broken {
                    self.found.insert(Repair::InvalidUtf8);
                }
                if self.wants_repaired && (is_cut || pair.is_broken || pair.is_merged) {
                    Value::Nested(Nested::new(self.mended.keep(nested.cut(most))))
                } else {
                    value
                }
            }
            _ => value,
        }
    }
}

/// Reads the texts of a message.
pub(super) struct Texts {
    strict: bool,
    /// One of them, or one that another has replaced since, is not UTF-8.
    pub(super) broken: bool,
}

impl Texts {
    /// It stays bytes: most text is ASCII, which is seen faster than a `str` can be made.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        message: &mut Message<'a>,
        wire_type: WireType,
        field: &'static str,
    ) -> Read<&'a [u8]> {
        let text = message.bytes(wire_type).map_err(|error| error.within(field, None))?;
        if !is_utf8(text) {
            self.broken(field)?;
        }
        Ok(text)
    }

    #[cold]
    fn broken(&mut self, field: &'static str) -> Read<()> {
        self.broken = true;
        if self.strict { not_utf8(field) } else { Ok(()) }
    }
}
