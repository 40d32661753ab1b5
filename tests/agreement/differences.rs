//! What differs on purpose between the exporter's rows and Spillway's; `docs/COLLECTOR.md` says why.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use spillway_proto::otlp::common::v1::{AnyValue, KeyValue};

use crate::rig::Sent;
use crate::rows::{CommonRow, Map, Text};
use crate::values::nested_texts;

/// Up to so many pairs, the exporter's sort leaves pairs with the same key in their order: Go sorts short slices by insertion.
const STABLY_SORTED_PAIRS: usize = 12;

/// A difference that is on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    AttributeOrder,
    UnknownKind,
    UnknownStatus,
    EndBeforeStart,
    EventTimeOutOfRange,
    NotFiniteInside,
    RepeatedKeyInside,
    EmptyBytesInside,
    ListInPieces,
    NotUtf8,
    LimitExceeded,
    NestedTooDeep,
    InvalidLink,
    InvalidSpan,
}

impl Difference {
    /// All of them, in the order of the document.
    pub const ALL: [Self; 14] = [
        Self::AttributeOrder,
        Self::UnknownKind,
        Self::UnknownStatus,
        Self::EndBeforeStart,
        Self::EventTimeOutOfRange,
        Self::NotFiniteInside,
        Self::RepeatedKeyInside,
        Self::EmptyBytesInside,
        Self::ListInPieces,
        Self::NotUtf8,
        Self::LimitExceeded,
        Self::NestedTooDeep,
        Self::InvalidLink,
        Self::InvalidSpan,
    ];

    /// Those that [`exporters`] foretells, so that generated requests may have them.
    pub const FORETOLD: [Self; 8] = [
        Self::AttributeOrder,
        Self::UnknownKind,
        Self::UnknownStatus,
        Self::EndBeforeStart,
        Self::EventTimeOutOfRange,
        Self::NotFiniteInside,
        Self::RepeatedKeyInside,
        Self::EmptyBytesInside,
    ];

    /// What the document calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::AttributeOrder => "Order of attributes",
            Self::UnknownKind => "Unknown span kind",
            Self::UnknownStatus => "Unknown status code",
            Self::EndBeforeStart => "End before start, or no end",
            Self::EventTimeOutOfRange => "Event after 2262",
            Self::NotFiniteInside => "NaN or infinity within a list or map",
            Self::RepeatedKeyInside => "Repeated key within a map",
            Self::EmptyBytesInside => "Empty bytes within a list or map",
            Self::ListInPieces => "List or map in several pieces",
            Self::NotUtf8 => "Text that is not UTF-8",
            Self::LimitExceeded => "Larger than a limit",
            Self::NestedTooDeep => "Nested too deep",
            Self::InvalidLink => "Link with an id of the wrong length",
            Self::InvalidSpan => "Invalid span",
        }
    }
}

/// How often each difference was met.
pub type Counts = BTreeMap<Difference, u32>;

/// What the exporter writes for a span of which Spillway has written `row`. An error where that row is not what the differences
/// say of it.
pub fn exporters(sent: &Sent, row: &CommonRow, counts: &mut Counts) -> Result<CommonRow> {
    let Sent { resource, span } = sent;
    let mut foretelling = Foretelling { counts };
    let mut row = row.clone();
    if !(0..=5).contains(&span.kind) {
        foretelling.replace(Difference::UnknownKind, &mut row.span_kind, "Unspecified".into(), "".into())?;
    }
    let status = span.status.clone().unwrap_or_default();
    if !(0..=2).contains(&status.code) {
        foretelling.replace(Difference::UnknownStatus, &mut row.status_code, "Unset".into(), "".into())?;
    }
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    if end < start {
        let wrapped = end.wrapping_sub(start);
        foretelling.replace(Difference::EndBeforeStart, &mut row.duration, 0, wrapped)?;
    }
    for (event, time) in span.events.iter().zip(&mut row.event_timestamps) {
        if i64::try_from(event.time_unix_nano).is_err() {
            let wrapped = event.time_unix_nano.cast_signed();
            foretelling.replace(Difference::EventTimeOutOfRange, time, i64::MAX, wrapped)?;
        }
    }
    if let Some(service) = resource.attributes.iter().find(|attribute| attribute.key == "service.name") {
        foretelling.value(service, &mut row.service_name)?;
    }
    foretelling.map(&resource.attributes, &mut row.resource_attributes)?;
    foretelling.map(&span.attributes, &mut row.span_attributes)?;
    for (event, map) in span.events.iter().zip(&mut row.event_attributes) {
        foretelling.map(&event.attributes, map)?;
    }
    for (link, map) in span.links.iter().zip(&mut row.link_attributes) {
        foretelling.map(&link.attributes, map)?;
    }
    Ok(row)
}

/// Goes from what Spillway has written to what the exporter writes.
struct Foretelling<'c> {
    counts: &'c mut Counts,
}

impl Foretelling<'_> {
    fn replace<T: PartialEq + std::fmt::Debug>(
        &mut self,
        difference: Difference,
        cell: &mut T,
        spillways: T,
        exporters: T,
    ) -> Result<()> {
        ensure!(*cell == spillways, "{difference:?}: Spillway wrote {cell:?} instead of {spillways:?}");
        self.count(difference);
        *cell = exporters;
        Ok(())
    }

    fn count(&mut self, difference: Difference) {
        *self.counts.entry(difference).or_default() += 1;
    }

    fn value(&mut self, attribute: &KeyValue, cell: &mut Text) -> Result<()> {
        let none = AnyValue::default();
        let Some(texts) = nested_texts(attribute.value.as_ref().unwrap_or(&none)) else {
            return Ok(());
        };
        let spillways = Text::from(&*texts.spillway);
        ensure!(*cell == spillways, "{:?}: Spillway wrote {cell:?} instead of {spillways:?}", attribute.key);
        for difference in texts.differences {
            self.count(difference);
        }
        *cell = (*texts.exporter).into();
        Ok(())
    }

    fn map(&mut self, attributes: &[KeyValue], map: &mut Map) -> Result<()> {
        let sent: Vec<_> = attributes.iter().map(|attribute| attribute.key.as_bytes()).collect();
        let stored: Vec<_> = map.iter().map(|(key, _)| key.0.as_slice()).collect();
        ensure!(sent == stored, "Spillway wrote the keys {map:?} instead of {sent:?}");
        for (attribute, (key, value)) in attributes.iter().zip(&mut *map) {
            self.value(attribute, value).with_context(|| format!("{key:?}"))?;
        }
        if !map.is_sorted_by_key(|(key, _)| key) {
            self.count(Difference::AttributeOrder);
            map.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Ok(())
    }
}

/// The exporter's row, or one that is foretold. Of long maps, the order of pairs with the same key is left to chance: they are
/// sorted by their values as well.
pub fn comparable(mut row: CommonRow) -> CommonRow {
    let long = |map: &&mut Map| map.len() > STABLY_SORTED_PAIRS;
    maps_of(&mut row).filter(long).for_each(|map| map.sort());
    row
}

/// Whether the keys of all maps are in their order, as the exporter writes them.
pub fn is_in_order(mut row: CommonRow) -> bool {
    maps_of(&mut row).all(|map| map.is_sorted_by_key(|(key, _)| key))
}

fn maps_of(row: &mut CommonRow) -> impl Iterator<Item = &mut Map> {
    let maps = [&mut row.resource_attributes, &mut row.span_attributes];
    maps.into_iter().chain(&mut row.event_attributes).chain(&mut row.link_attributes)
}

/// The first column of the document's table has each difference, and no other.
#[test]
fn the_document_has_each_difference() {
    let document = include_str!("../../docs/COLLECTOR.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let titles: Vec<_> =
        rows.filter_map(|row| Some(row.split_once(" |")?.0)).filter(|title| *title != "---").collect();
    assert_eq!(titles, Difference::ALL.map(Difference::title));
}
