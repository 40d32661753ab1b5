//! An expression, as it was read.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use regex::Regex;

use super::lexer::ExpressionError;
use super::parser;

/// A rule's expression.
#[derive(Debug, Clone)]
pub struct Expression(pub(super) Node);

#[derive(Debug, Clone)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Xor(Vec<Node>),
    Not(Box<Node>),
    /// A comparison with something that stands in the rule.
    Compare(Box<Node>, Comparison),
    Field(String),
    Literal(Literal),
    Call(String, Vec<Node>),
    Index(Box<Node>, Index),
}

#[derive(Debug, Clone)]
pub(super) enum Index {
    /// `[*]`
    Each,
    /// `[0]`
    At(usize),
    /// `["name"]`
    Named(String),
}

#[derive(Debug, Clone)]
pub(super) enum Comparison {
    Equal(Literal),
    NotEqual(Literal),
    Less(Literal),
    LessOrEqual(Literal),
    Greater(Literal),
    GreaterOrEqual(Literal),
    Contains(String),
    Wildcard(Pattern),
    Matches(Pattern),
    BitwiseAnd(i64),
    In(Vec<Item>),
    /// `in $name`: what the list holds is not told by the rule.
    InList,
}

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) regex: Regex,
    /// As it stands in the rule.
    pub(super) shown: String,
    /// The one text that it fits, case aside, where it leaves no choice.
    pub(super) only: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Bool(bool),
    Number(i64),
    Text(String),
    /// No address of the request is known.
    Address(IpAddr),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    One(Literal),
    Numbers(i64, i64),
    /// A range of addresses.
    Addresses,
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        parser::parse(text).map(Self)
    }
}

impl Expression {
    /// The names of the fields that it asks for.
    pub fn fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.0.visit(&mut |node| {
            if let Node::Field(name) = node {
                fields.insert(name.as_str());
            }
        });
        fields
    }

    /// The texts that the field is compared with, as they stand in the rule.
    pub fn compared_with(&self, field: &str) -> Vec<String> {
        let mut texts = Vec::new();
        self.0.visit(&mut |node| match node {
            Node::Compare(left, comparison) if left.asks_for(field) => texts.extend(comparison.texts()),
            Node::Call(_, arguments) if arguments.first().is_some_and(|first| first.asks_for(field)) => {
                let literals = arguments.iter().filter_map(|argument| match argument {
                    Node::Literal(Literal::Text(text)) => Some(text.clone()),
                    _ => None,
                });
                texts.extend(literals);
            }
            _ => {}
        });
        texts
    }

    /// Whether it looks at the header of this name, which is in lower case.
    pub fn asks_for_header(&self, header: &str) -> bool {
        let mut asks = false;
        self.0.visit(&mut |node| {
            asks |= match node {
                Node::Index(of, Index::Named(name)) => of.is_headers() && name.eq_ignore_ascii_case(header),
                Node::Call(function, arguments) if function == "has_key" => {
                    matches!(&arguments[..], [of, Node::Literal(Literal::Text(name))]
                        if of.is_headers() && name.eq_ignore_ascii_case(header))
                }
                Node::Compare(left, comparison) => {
                    left.asks_for("http.request.headers.names")
                        && comparison.texts().iter().any(|text| text.eq_ignore_ascii_case(header))
                }
                _ => false,
            };
        });
        asks
    }
}

impl Node {
    fn visit<'a>(&'a self, look: &mut impl FnMut(&'a Self)) {
        look(self);
        match self {
            Self::And(nodes) | Self::Or(nodes) | Self::Xor(nodes) | Self::Call(_, nodes) => {
                nodes.iter().for_each(|node| node.visit(look));
            }
            Self::Not(node) | Self::Compare(node, _) | Self::Index(node, _) => node.visit(look),
            Self::Field(_) | Self::Literal(_) => {}
        }
    }

    fn is_headers(&self) -> bool {
        matches!(self, Self::Field(field) if field == "http.request.headers")
    }

    /// Whether it is `...[*]`.
    pub(super) fn is_each(&self) -> bool {
        matches!(self, Self::Index(_, Index::Each))
    }

    /// Whether it is this field, or something that is made of it.
    fn asks_for(&self, field: &str) -> bool {
        match self {
            Self::Field(name) => name == field,
            Self::Index(of, _) => of.asks_for(field),
            Self::Call(_, arguments) => arguments.iter().any(|argument| argument.asks_for(field)),
            _ => false,
        }
    }
}

impl Comparison {
    fn texts(&self) -> Vec<String> {
        let one = |literal: &Literal| match literal {
            Literal::Text(text) => Some(text.clone()),
            _ => None,
        };
        match self {
            Self::Equal(literal)
            | Self::NotEqual(literal)
            | Self::Less(literal)
            | Self::LessOrEqual(literal)
            | Self::Greater(literal)
            | Self::GreaterOrEqual(literal) => one(literal).into_iter().collect(),
            Self::Contains(text) => vec![text.clone()],
            Self::Wildcard(pattern) | Self::Matches(pattern) => vec![pattern.shown.clone()],
            Self::In(items) => items
                .iter()
                .filter_map(|item| match item {
                    Item::One(literal) => one(literal),
                    Item::Numbers(..) | Item::Addresses => None,
                })
                .collect(),
            Self::BitwiseAnd(_) | Self::InList => Vec::new(),
        }
    }
}
