//! Repairs: what is changed in a span so that one odd value costs neither the span nor its neighbours.
//!
//! The pass of [`judge`](super::judge()) finds them, the answer tells them with `rejected_spans` 0, and the table keeps their
//! codes beside each span (`Repairs`). JSON has repairs of its own, made where it is transcoded ([`super::transcode`]): the
//! object's record carries those, since the protobuf that is stored no longer shows them.

use std::fmt;

/// A kind of repair. Codes are stable; the record stores [`Repair::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Repair {
    /// Text was not UTF-8, or held half of a surrogate pair in JSON: U+FFFD stands in its place.
    InvalidUtf8 = 1,
    /// A JSON value was not of its field's type: it is kept as text, or left out where a field holds no text.
    WrongType = 2,
    /// An attribute nested deeper than a message can be read was left out.
    NestedTooDeep = 3,
    /// A link whose trace id or span id has the wrong length was left out.
    InvalidLink = 4,
    /// The span ends before it begins: its duration is 0.
    EndBeforeStart = 5,
    /// A name was cut at `max_name_bytes`.
    NameCut = 6,
    /// A value was cut at `max_value_bytes`.
    ValueCut = 7,
    /// Attributes beyond `max_attributes` were left out.
    AttributesDropped = 8,
    /// Events beyond `max_events` were left out.
    EventsDropped = 9,
    /// Links beyond `max_links` were left out.
    LinksDropped = 10,
    /// Values of the resource or the scope were cut to fit `max_shared_bytes`.
    SharedCut = 11,
    /// The span's kind is none that OTLP defines: it is stored as `Unspecified`.
    KindUnknown = 12,
    /// The status code is none that OTLP defines: it is stored as `Unset`.
    StatusUnknown = 13,
    /// An event's time lies after 2262, the last that the table holds: it is stored as that moment.
    EventTimeOutOfRange = 14,
}

impl Repair {
    /// All kinds, by their numbers.
    pub const ALL: [Self; 14] = [
        Self::InvalidUtf8,
        Self::WrongType,
        Self::NestedTooDeep,
        Self::InvalidLink,
        Self::EndBeforeStart,
        Self::NameCut,
        Self::ValueCut,
        Self::AttributesDropped,
        Self::EventsDropped,
        Self::LinksDropped,
        Self::SharedCut,
        Self::KindUnknown,
        Self::StatusUnknown,
        Self::EventTimeOutOfRange,
    ];

    /// The stable name, for the table, metrics and answers.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::WrongType => "wrong_type",
            Self::NestedTooDeep => "nested_too_deep",
            Self::InvalidLink => "invalid_link",
            Self::EndBeforeStart => "end_before_start",
            Self::NameCut => "name_cut",
            Self::ValueCut => "value_cut",
            Self::AttributesDropped => "attributes_dropped",
            Self::EventsDropped => "events_dropped",
            Self::LinksDropped => "links_dropped",
            Self::SharedCut => "shared_cut",
            Self::KindUnknown => "kind_unknown",
            Self::StatusUnknown => "status_unknown",
            Self::EventTimeOutOfRange => "event_time_out_of_range",
        }
    }

    /// The number that records store, from 1; 0 is none.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidUtf8 => "text that is not UTF-8 has U+FFFD in place of the broken bytes",
            Self::WrongType => "a JSON value of the wrong type is kept as text, or left out",
            Self::NestedTooDeep => "an attribute that is nested too deep was left out",
            Self::InvalidLink => "a link without a trace_id of 16 and a span_id of 8 bytes was left out",
            Self::EndBeforeStart => {
                "end_time_unix_nano is before start_time_unix_nano; stored with a duration of 0"
            }
            Self::NameCut => "the name of a span, event, scope or attribute was cut (max_name_bytes)",
            Self::ValueCut => {
                "an attribute's value, the status message, a trace state or a schema URL was cut (max_value_bytes)"
            }
            Self::AttributesDropped => "attributes beyond the limit were left out (max_attributes)",
            Self::EventsDropped => "events beyond the limit were left out (max_events)",
            Self::LinksDropped => "links beyond the limit were left out (max_links)",
            Self::SharedCut => {
                "values of the resource or the scope were cut, since all spans repeat them (max_shared_bytes)"
            }
            Self::KindUnknown => "the span's kind is unknown; stored as Unspecified",
            Self::StatusUnknown => "the status code is unknown; stored as Unset",
            Self::EventTimeOutOfRange => "an event's time lies after 2262-04-11; stored as that day",
        })
    }
}

/// A set of repairs, as those of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs(u32);

impl Repairs {
    /// No repair.
    pub const NONE: Self = Self(0);

    /// The set of one.
    pub fn only(repair: Repair) -> Self {
        Self(1 << repair.number())
    }

    /// Adds one.
    #[inline]
    pub fn insert(&mut self, repair: Repair) {
        self.0 |= 1 << repair.number();
    }

    /// Whether it has this one.
    #[inline]
    pub fn contains(self, repair: Repair) -> bool {
        self.0 & 1 << repair.number() != 0
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All of both.
    #[inline]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Its repairs, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Repair> + Clone {
        Repair::ALL.into_iter().filter(move |repair| self.contains(*repair))
    }
}

impl FromIterator<Repair> for Repairs {
    fn from_iter<I: IntoIterator<Item = Repair>>(repairs: I) -> Self {
        repairs.into_iter().fold(Self::NONE, |set, repair| set.and(Self::only(repair)))
    }
}

/// Repairs of the spans at these positions of a request, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairedRun {
    /// The position of the first.
    pub first: u32,
    /// How many spans; 1 at least.
    pub spans: u32,
    /// The repairs of each of them.
    pub repairs: Repairs,
}

/// The repairs that transcoding made, by the positions of the spans. Runs may overlap: a resource's spans are one, and a
/// span among them another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairedRuns(Vec<RepairedRun>);

impl RepairedRuns {
    /// In any order.
    pub fn new(mut runs: Vec<RepairedRun>) -> Self {
        runs.retain(|run| run.spans > 0 && !run.repairs.is_empty());
        runs.sort_by_key(|run| run.first);
        Self(runs)
    }

    /// The runs, by their first positions.
    pub fn as_slice(&self) -> &[RepairedRun] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads on from the first span.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { ahead: &self.0, open: Vec::new() }
    }
}

/// Walks over runs, span by span.
pub(super) struct Cursor<'r> {
    ahead: &'r [RepairedRun],
    /// Those that began and have not ended.
    open: Vec<RepairedRun>,
}

impl Cursor<'_> {
    /// The repairs of the span at `position`, which is above that of the call before.
    #[inline]
    pub(super) fn at(&mut self, position: u32) -> Repairs {
        if self.ahead.is_empty() && self.open.is_empty() { Repairs::NONE } else { self.look_at(position) }
    }

    #[cold]
    fn look_at(&mut self, position: u32) -> Repairs {
        while let [run, ahead @ ..] = self.ahead
            && run.first <= position
        {
            self.open.push(*run);
            self.ahead = ahead;
        }
        self.open.retain(|run| position - run.first < run.spans);
        self.open.iter().fold(Repairs::NONE, |set, run| set.and(run.repairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_each_ones_own() {
        for (index, repair) in Repair::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(repair.number()), index + 1);
            let same_code = Repair::ALL.into_iter().filter(|other| other.code() == repair.code());
            assert_eq!(same_code.count(), 1, "{}", repair.code());
        }
    }

    #[test]
    fn overlapping_runs_are_added_up() {
        let run = |first, spans, repair| RepairedRun { first, spans, repairs: Repairs::only(repair) };
        let runs = RepairedRuns::new(vec![
            run(5, 1, Repair::WrongType),
            run(2, 6, Repair::InvalidUtf8),
            run(9, 0, Repair::WrongType),
        ]);
        let mut cursor = runs.cursor();
        let found: Vec<_> = (0..10).map(|position| cursor.at(position).iter().count()).collect();
        assert_eq!(found, [0, 0, 1, 1, 1, 2, 1, 1, 0, 0]);
    }
}
