//! What became of the spans of a request.

use std::fmt;

use super::rules::SpanRejection;

/// How many reasons an answer names; the counts are always exact.
const NAMED_REASONS: usize = 3;

/// How many spans of a request are valid, and why the others are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Spans that are stored.
    pub accepted: u32,
    /// Spans that are not.
    pub rejected: u32,
    /// Why they are not, in the order in which the reasons were met first.
    pub reasons: Vec<Reason>,
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
    /// The `error_message` of a partial success: the first reasons, with their counts and the first span of each.
    pub fn message(&self) -> String {
        let named = self.reasons.iter().take(NAMED_REASONS).map(|Reason { rejection, spans, first }| {
            format!("{} ({spans}, the first is {first}): {rejection}", rejection.code())
        });
        let mut parts: Vec<_> = named.collect();
        let further = self.reasons.len().saturating_sub(NAMED_REASONS);
        if further > 0 {
            parts.push(format!("and for {further} further reasons"));
        }
        parts.join("; ")
    }

    pub(super) fn count(&mut self, judgement: Result<(), SpanRejection>, path: SpanPath) {
        match judgement {
            Ok(()) => self.accepted = self.accepted.saturating_add(1),
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
}
