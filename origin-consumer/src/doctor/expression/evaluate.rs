//! A tree against a request.

use std::cmp::Ordering;

use super::functions;
use super::request::Request;
use super::tree::{Comparison, Expression, Index, Item, Literal, Node};
use super::value::{Truth, Value};

impl Expression {
    /// Whether the request matches.
    pub fn matches(&self, request: &Request) -> Truth {
        truth(&self.0, request)
    }
}

fn truth(node: &Node, request: &Request) -> Truth {
    let each = |nodes: &[Node], none, join: fn(Truth, Truth) -> Truth| {
        nodes.iter().map(|node| truth(node, request)).fold(none, join)
    };
    match node {
        Node::And(nodes) => each(nodes, Truth::True, Truth::and),
        Node::Or(nodes) => each(nodes, Truth::False, Truth::or),
        Node::Xor(nodes) => each(nodes, Truth::False, Truth::xor),
        Node::Not(node) => !truth(node, request),
        other => value(other, request).truth(),
    }
}

fn value(node: &Node, request: &Request) -> Value {
    match node {
        Node::Field(name) => request.field(name),
        Node::Literal(literal) => of_literal(literal),
        // `len(...[*])`: of each element.
        Node::Call(name, arguments) if name == "len" && arguments.iter().all(Node::is_each) => {
            functions::lengths(arguments.first().map_or(Value::Missing, |argument| value(argument, request)))
        }
        Node::Call(name, arguments) => {
            functions::call(name, arguments.iter().map(|argument| value(argument, request)).collect())
        }
        Node::Index(of, index) => indexed(value(of, request), index),
        Node::Compare(left, comparison) => {
            value(left, request).map(&|left| compare(&left, comparison).into())
        }
        // `any(not ...)` and the like: element by element.
        Node::Not(node) => value(node, request).map(&|value| (!value.truth()).into()),
        Node::And(_) | Node::Or(_) | Node::Xor(_) => truth(node, request).into(),
    }
}

fn of_literal(literal: &Literal) -> Value {
    match literal {
        Literal::Bool(truth) => Value::Bool(*truth),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(text.clone()),
        Literal::Address(_) => Value::Unknown,
    }
}

fn indexed(value: Value, index: &Index) -> Value {
    match (value, index) {
        // Its elements one by one, where it has any.
        (Value::Map(map), Index::Each) => Value::List(map.into_values().collect()),
        (Value::Missing, Index::Each) => Value::List(Vec::new()),
        (Value::Perhaps(value), index) => match indexed(*value, index) {
            Value::List(values) => Value::List(values.into_iter().map(Value::perhaps).collect()),
            other => other.perhaps(),
        },
        (value, Index::Each) => value,
        (Value::List(values), Index::At(at)) => values.into_iter().nth(*at).unwrap_or(Value::Missing),
        (Value::Map(mut map), Index::Named(name)) => map.remove(name).unwrap_or(Value::Missing),
        (Value::Missing, _) => Value::Missing,
        _ => Value::Unknown,
    }
}

fn compare(left: &Value, comparison: &Comparison) -> Truth {
    if matches!(left, Value::Missing) {
        // Nothing is unlike everything.
        return matches!(comparison, Comparison::NotEqual(_)).into();
    }
    if let Value::OtherThan(text) = left {
        return compare_other(text, comparison);
    }
    let ordered = |right: &Literal, fits: fn(Ordering) -> bool| match (left, right) {
        (Value::Number(left), Literal::Number(right)) => fits(left.cmp(right)).into(),
        (Value::Text(left), Literal::Text(right)) => fits(left.as_str().cmp(right.as_str())).into(),
        (Value::Bool(left), Literal::Bool(right)) => fits(left.cmp(right)).into(),
        _ => Truth::Unknown,
    };
    let text = |fits: &dyn Fn(&str) -> bool| match left {
        Value::Text(left) => fits(left).into(),
        _ => Truth::Unknown,
    };
    match comparison {
        Comparison::Equal(right) => ordered(right, Ordering::is_eq),
        Comparison::NotEqual(right) => ordered(right, Ordering::is_ne),
        Comparison::Less(right) => ordered(right, Ordering::is_lt),
        Comparison::LessOrEqual(right) => ordered(right, Ordering::is_le),
        Comparison::Greater(right) => ordered(right, Ordering::is_gt),
        Comparison::GreaterOrEqual(right) => ordered(right, Ordering::is_ge),
        Comparison::Contains(part) => text(&|left| left.contains(part.as_str())),
        Comparison::Wildcard(pattern) | Comparison::Matches(pattern) => {
            text(&|left| pattern.regex.is_match(left))
        }
        Comparison::BitwiseAnd(bits) => match left {
            Value::Number(left) => (left & bits != 0).into(),
            _ => Truth::Unknown,
        },
        Comparison::In(items) => items.iter().map(|item| is_item(left, item)).fold(Truth::False, Truth::or),
        Comparison::InList => Truth::Unknown,
    }
}

/// Of a text it is only known which one it is not. So it does not equal that one, and may be like any other.
fn compare_other(than: &str, comparison: &Comparison) -> Truth {
    let equals = |text: &str| {
        if text.eq_ignore_ascii_case(than) { Truth::False } else { Truth::Unknown }
    };
    match comparison {
        Comparison::Equal(Literal::Text(text)) => equals(text),
        Comparison::NotEqual(Literal::Text(text)) => !equals(text),
        Comparison::Wildcard(pattern) | Comparison::Matches(pattern) => {
            pattern.only.as_deref().map_or(Truth::Unknown, equals)
        }
        Comparison::In(items) => {
            let is = |item: &Item| match item {
                Item::One(Literal::Text(text)) => equals(text),
                _ => Truth::Unknown,
            };
            items.iter().map(is).fold(Truth::False, Truth::or)
        }
        _ => Truth::Unknown,
    }
}

fn is_item(left: &Value, item: &Item) -> Truth {
    match (left, item) {
        (Value::Number(left), Item::One(Literal::Number(right))) => (left == right).into(),
        (Value::Text(left), Item::One(Literal::Text(right))) => (left == right).into(),
        (Value::Number(left), Item::Numbers(from, to)) => (from..=to).contains(&left).into(),
        _ => Truth::Unknown,
    }
}
