//! What a field holds, as far as it is known.

use std::collections::BTreeMap;

/// An answer, where not everything is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It is so, whatever is unknown.
    True,
    /// It is not so, whatever is unknown.
    False,
    /// It depends on what is unknown.
    Unknown,
}

impl Truth {
    /// Both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    /// One of both, or both.
    pub fn or(self, other: Self) -> Self {
        !((!self).and(!other))
    }

    /// One of both, and not both.
    pub fn xor(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (one, other) => (one != other).into(),
        }
    }

    /// Whether it may be so.
    pub fn is_possible(self) -> bool {
        self != Self::False
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// What a field, or a part of one, holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Something that cannot be known from here.
    Unknown,
    /// Nothing: a header, say, that the request does not have.
    Missing,
    /// Perhaps this, perhaps nothing: a header that the platform may add.
    Perhaps(Box<Self>),
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(i64),
    /// Text, or bytes.
    Text(String),
    /// Some text, and not this one, in whatever case: another host, say.
    OtherThan(String),
    /// An array.
    List(Vec<Self>),
    /// A map, such as that of the headers.
    Map(BTreeMap<String, Self>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Every text but this one.
    pub fn other_than(text: impl Into<String>) -> Self {
        Self::OtherThan(text.into())
    }

    /// Perhaps this.
    pub fn perhaps(self) -> Self {
        match self {
            Self::Unknown | Self::Perhaps(_) => self,
            known => Self::Perhaps(Box::new(known)),
        }
    }

    /// What becomes of it, and of each element where it is an array.
    pub(super) fn map(self, change: &impl Fn(Self) -> Self) -> Self {
        match self {
            Self::List(values) => Self::List(values.into_iter().map(|value| value.map(change)).collect()),
            Self::Perhaps(value) => value.map(change).perhaps(),
            Self::Unknown => Self::Unknown,
            other => change(other),
        }
    }

    /// As a condition.
    pub(super) fn truth(&self) -> Truth {
        match self {
            Self::Bool(truth) => (*truth).into(),
            Self::Missing => Truth::False,
            Self::Perhaps(value) => value.truth().and(Truth::Unknown),
            _ => Truth::Unknown,
        }
    }
}

impl From<Truth> for Value {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Bool(true),
            Truth::False => Self::Bool(false),
            Truth::Unknown => Self::Unknown,
        }
    }
}
