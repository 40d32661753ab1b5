//! What became of the spans of a request.

use std::fmt;

use super::repair::{Repair, Repairs};
use super::rules::SpanRejection;

/// How many reasons, and how many repairs, an answer names; the counts are always exact.
const NAMED_REASONS: usize = 3;

/// How many spans of a request are valid, why the others are not, and what was repaired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Spans that are stored.
    pub accepted: u32,
    /// Spans that are not.
    pub rejected: u32,
    /// Why they are not, in the order in which the reasons were met first.
    pub reasons: Vec<Reason>,
    /// What was repaired of those that are stored, in the order in which it was met first.
    pub repaired: Vec<Repaired>,
}

/// A repair, and of how many stored spans it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repaired {
    /// What was repaired.
    pub repair: Repair,
    /// Of how many spans.
    pub spans: u32,
    /// The first of them.
    pub first: SpanPath,
}

/// A reason, and how many spans it holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// Why.
    pub rejection: SpanRejection,
    /// How many.
    pub spans: u32,
    /// The first of them.
    pub first: SpanPath,
}

/// Where a span stands in its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpanPath {
    /// Its place in `resource_spans`, from 0.
    pub resource: u32,
    /// Its place in `scope_spans`.
    pub scope: u32,
    /// Its place in `spans`.
    pub span: u32,
}

impl fmt::Display for SpanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, scope, span } = self;
        write!(f, "resource_spans[{resource}].scope_spans[{scope}].spans[{span}]")
    }
}

impl Verdict {
    /// The `error_message` of a partial success: the first reasons and repairs, with their counts and the first span of each.
    pub fn message(&self) -> String {
        let reasons = self.reasons.iter().map(|Reason { rejection, spans, first }| {
            format!("{} ({spans}, the first is {first}): {rejection}", rejection.code())
        });
        let repaired = self.repaired.iter().map(|Repaired { repair, spans, first }| {
            format!("repaired: {} ({spans}, the first is {first}): {repair}", repair.code())
        });
        let mut parts = first_ones(reasons, "reasons");
        parts.extend(first_ones(repaired, "repairs"));
        parts.join("; ")
    }

    #[inline]
    pub(super) fn count(&mut self, judgement: Result<(), SpanRejection>, repairs: Repairs, path: SpanPath) {
        match judgement {
            Ok(()) => {
                self.accepted = self.accepted.saturating_add(1);
                if !repairs.is_empty() {
                    self.repair(repairs, path);
                }
            }
            Err(rejection) => self.reject(rejection, path),
        }
    }

    #[cold]
    fn reject(&mut self, rejection: SpanRejection, first: SpanPath) {
        self.rejected = self.rejected.saturating_add(1);
        match self.reasons.iter_mut().find(|reason| reason.rejection == rejection) {
            Some(reason) => reason.spans = reason.spans.saturating_add(1),
            None => self.reasons.push(Reason { rejection, spans: 1, first }),
        }
    }

    #[cold]
    fn repair(&mut self, repairs: Repairs, first: SpanPath) {
        for repair in repairs.iter() {
            match self.repaired.iter_mut().find(|repaired| repaired.repair == repair) {
                Some(repaired) => repaired.spans = repaired.spans.saturating_add(1),
                None => self.repaired.push(Repaired { repair, spans: 1, first }),
            }
        }
    }
}

fn first_ones(parts: impl ExactSizeIterator<Item = String>, what: &str) -> Vec<String> {
    let further = parts.len().saturating_sub(NAMED_REASONS);
    let mut named: Vec<_> = parts.take(NAMED_REASONS).collect();
    if further > 0 {
        named.push(format!("and {further} further {what}"));
    }
    named
}
