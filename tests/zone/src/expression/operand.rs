//! What stands on the left of an operator: a field, or what a function makes of one.

use std::net::IpAddr;

use super::Expression;
use super::field::{Field, List, Map};
use crate::request::{Answer, Request};

/// A type of the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
    Ip,
}

/// A value of the engine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Int(i32),
    Bool(bool),
    Ip(IpAddr),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// Several values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// `http.request.headers["x"]`
    Of(Map, String),
    /// `http.request.headers.names`
    All(List),
}

impl Values {
    fn of(&self, request: &Request, answer: Option<&Answer>) -> Vec<Vec<u8>> {
        match self {
            Self::Of(map, key) => map.values(key, request, answer),
            Self::All(list) => list.values(request),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// A field.
    Field(&'static Field),
    /// `values[n]`; empty where there is none.
    Nth(Values, usize),
    /// Whether there is one: a comparison with a value that is missing never holds.
    IsThere(Values, usize),
    /// `values[*]`, of the one that `any` or `all` is at.
    Element,
    Lower(Box<Operand>),
    Upper(Box<Operand>),
    UrlDecoded(Box<Operand>),
    /// In bytes.
    Length(Box<Operand>),
    /// How many there are.
    Count(Values),
    /// Whether the expression holds for one of the values.
    Any(Values, Expression),
    /// Whether it holds for each of them, of one at least.
    All(Values, Expression),
}

impl Operand {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Field(field) => field.kind,
            Self::Nth(..) | Self::Element | Self::Lower(_) | Self::Upper(_) | Self::UrlDecoded(_) => {
                Kind::Text
            }
            Self::Length(_) | Self::Count(_) => Kind::Int,
            Self::IsThere(..) | Self::Any(..) | Self::All(..) => Kind::Bool,
        }
    }

    pub(super) fn value(&self, request: &Request, answer: Option<&Answer>, element: Option<&[u8]>) -> Value {
        let text = |operand: &Self| match operand.value(request, answer, element) {
            Value::Text(text) => text,
            _ => Vec::new(),
        };
        match self {
            Self::Field(field) => field.value(request, answer),
            Self::Nth(values, n) => {
                Value::Text(values.of(request, answer).into_iter().nth(*n).unwrap_or_default())
            }
            Self::IsThere(values, n) => Value::Bool(values.of(request, answer).len() > *n),
            Self::Element => Value::Text(element.unwrap_or_default().to_vec()),
            Self::Lower(operand) => Value::Text(text(operand).to_ascii_lowercase()),
            Self::Upper(operand) => Value::Text(text(operand).to_ascii_uppercase()),
            Self::UrlDecoded(operand) => Value::Text(url_decoded(&text(operand))),
            Self::Length(operand) => Value::Int(text(operand).len().try_into().unwrap_or(i32::MAX)),
            Self::Count(values) => {
                Value::Int(values.of(request, answer).len().try_into().unwrap_or(i32::MAX))
            }
            Self::Any(values, expression) => {
                let holds =
                    |value: &Vec<u8>| expression.holds(|operand| operand.value(request, answer, Some(value)));
                Value::Bool(values.of(request, answer).iter().any(holds))
            }
            Self::All(values, expression) => {
                let holds =
                    |value: &Vec<u8>| expression.holds(|operand| operand.value(request, answer, Some(value)));
                let values = values.of(request, answer);
                Value::Bool(!values.is_empty() && values.iter().all(holds))
            }
        }
    }

    pub(super) fn looks_at_answer(&self) -> bool {
        let of_answer = |values: &Values| matches!(values, Values::Of(Map::AnswerHeaders, _));
        match self {
            Self::Field(field) => field.looks_at_answer(),
            Self::Nth(values, _) | Self::IsThere(values, _) | Self::Count(values) => of_answer(values),
            Self::Element => false,
            Self::Lower(operand)
            | Self::Upper(operand)
            | Self::UrlDecoded(operand)
            | Self::Length(operand) => operand.looks_at_answer(),
            Self::Any(values, expression) | Self::All(values, expression) => {
                of_answer(values) || expression.looks_at_answer()
            }
        }
    }
}

/// `%2F` and `+` as what they stand for; anything that is malformed as it is.
fn url_decoded(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let (byte, after) = match (first, more) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', more),
            },
            (b'+', _) => (b' ', more),
            _ => (*first, more),
        };
        decoded.push(byte);
        rest = after;
    }
    decoded
}
