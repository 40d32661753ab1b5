//! What makes JSON malformed.

use std::fmt;

/// Where a request in JSON is malformed, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at `{}`, line {line} column {column}", self.field())]
pub struct JsonError {
    fault: Fault,
    /// The byte of the text.
    at: usize,
    /// Counted by [`JsonError::located`]: most errors cost one attribute or span, and are never shown.
    line: usize,
    column: usize,
    /// From the innermost field outwards.
    path: Vec<Segment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    field: &'static str,
    index: Option<usize>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text ends within a value.
    End,
    /// Something else than a value.
    NoValue,
    /// Something else than a comma or the end of the list.
    NoElement,
    /// Something else than a name, a comma or the end of the object.
    NoField,
    /// No colon after a name.
    NoColon,
    /// A control character in a string, which has to be escaped.
    Control,
    /// An escape that JSON does not have.
    Escape,
    /// Something follows the request.
    More,
    /// The request, or an element of a list of resources, scopes or spans, is no object.
    NoObject,
    /// A field that holds resources, scopes or spans is neither a list, an object nor null.
    NoList,
    /// No id of any span is hexadecimal.
    NoHexId { may_be_base64: bool },
    /// A value nests deeper than it is read. It costs its attribute, and never reaches an answer.
    TooDeep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::End => "the JSON ends early",
            Self::NoValue => "expected a JSON value",
            Self::NoElement => "expected `,` or `]`",
            Self::NoField => "expected a field's name, `,` or `}`",
            Self::NoColon => "expected `:`",
            Self::Control => "a control character in a string is not escaped",
            Self::Escape => "a string holds an escape that JSON does not have",
            Self::More => "something follows the request",
            Self::NoObject => "expected an object",
            Self::NoList => "expected a list or null",
            Self::NoHexId { may_be_base64: false } => "expected an id in hexadecimal",
            Self::NoHexId { may_be_base64: true } => {
                "expected an id in hexadecimal; this one seems to be base64, which OTLP's JSON does not use for ids"
            }
            Self::TooDeep => "a value nests too deep",
        })
    }
}

/// A result whose error is boxed, since it is rare and the result is everywhere.
pub(super) type Read<T> = Result<T, Box<JsonError>>;

impl JsonError {
    /// At a byte of the text.
    #[cold]
    pub(super) fn at(fault: Fault, at: usize) -> Box<Self> {
        Box::new(Self { fault, at, line: 0, column: 0, path: Vec::new() })
    }

    /// With its line and column, which take a walk over `text`.
    #[cold]
    pub(super) fn located(mut self: Box<Self>, text: &[u8]) -> Box<Self> {
        let before = &text[..self.at.min(text.len())];
        self.line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        self.column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        self
    }

    #[cold]
    pub(super) fn within(mut self: Box<Self>, field: &'static str, index: Option<usize>) -> Box<Self> {
        self.path.push(Segment { field, index });
        self
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.fault == Fault::TooDeep
    }

    /// The path of the bad field as OTLP's JSON names it, such as `resourceSpans[0].scopeSpans[0].spans[3].traceId`; `.` is the
    /// whole request.
    pub fn field(&self) -> String {
        let parts: Vec<_> = self.path.iter().rev().map(Segment::to_string).collect();
        if parts.is_empty() { ".".to_owned() } else { parts.join(".") }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{index}]", self.field),
            None => f.write_str(self.field),
        }
    }
}
