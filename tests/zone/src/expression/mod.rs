//! Expressions of the Rules language, evaluated by `wirefilter-engine`. That release of Cloudflare's engine knows fields and
//! operators, and neither functions nor lists, maps, raw strings and wildcards. So an expression is lowered first: what is
//! asked of a field by a function becomes a field of its own, whose value is computed for each request.
//!
//! <https://developers.cloudflare.com/ruleset-engine/rules-language/>

mod field;
mod lower;
mod operand;
mod text;

use std::fmt;

use wirefilter::{ExecutionContext, Scheme, Type};

use crate::request::{Answer, Request};
use operand::{Operand, Value};

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    source: String,
    lowered: String,
    operands: Vec<Operand>,
}

/// An expression that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {character} of `{expression}`")]
pub struct ExpressionError {
    /// The whole expression.
    pub expression: String,
    /// Where it is wrong: a number of characters, from 1 on.
    pub character: usize,
    /// What is wrong.
    pub message: String,
}

impl Expression {
    /// Reads an expression that is evaluated before a request goes on.
    ///
    /// # Errors
    ///
    /// It is malformed, has a field, function or list that is not simulated, or a field of the answer, which is not there yet.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        Self::read(source, false)
    }

    /// Reads the counting expression of a rate limit, which may ask for the answer.
    ///
    /// # Errors
    ///
    /// It is malformed, or has a field, function or list that is not simulated.
    pub fn parse_counting(source: &str) -> Result<Self, ExpressionError> {
        Self::read(source, true)
    }

    fn read(source: &str, sees_answer: bool) -> Result<Self, ExpressionError> {
        let error = |rest: &str, message| {
            let before = &source[..source.len() - rest.len()];
            ExpressionError { expression: source.to_owned(), character: before.chars().count() + 1, message }
        };
        let lowered = lower::lower(source, sees_answer);
        let (lowered, operands) = lowered.map_err(|fault| error(fault.rest, fault.message))?;
        let expression = Self { source: source.to_owned(), lowered, operands };
        let checked = scheme(&expression.operands).parse(&expression.lowered).map(drop);
        checked.map_err(|fault| error(source, why(&fault)))?;
        Ok(expression)
    }

    /// Whether it holds for a request, and for what that was answered where this is known.
    pub fn matches(&self, request: &Request, answer: Option<&Answer>) -> bool {
        self.holds(|operand| operand.value(request, answer, None))
    }

    /// Whether it asks for something that is known only after the answer.
    pub fn looks_at_answer(&self) -> bool {
        self.operands.iter().any(Operand::looks_at_answer)
    }

    /// Compiled anew each time: the engine's filters cannot be sent to other threads.
    fn holds(&self, value: impl Fn(&Operand) -> Value) -> bool {
        let values: Vec<_> = self.operands.iter().map(value).collect();
        let scheme = scheme(&self.operands);
        let Ok(parsed) = scheme.parse(&self.lowered) else { return false };
        let mut context = ExecutionContext::new(&scheme);
        for (n, value) in values.iter().enumerate() {
            let name = operand_name(n);
            let set = match value {
                Value::Text(text) => context.set_field_value(&name, text.as_slice()),
                Value::Int(int) => context.set_field_value(&name, *int),
                Value::Bool(bool) => context.set_field_value(&name, *bool),
                Value::Ip(ip) => context.set_field_value(&name, *ip),
            };
            debug_assert!(set.is_ok(), "{set:?}");
        }
        parsed.compile().execute(&context).unwrap_or(false)
    }
}

/// What the engine says of an expression that it does not take. It writes several lines: the expression, a mark below the place, and
/// the reason behind the mark or below it.
fn why(fault: &impl fmt::Display) -> String {
    let text = fault.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    format!("parsing error: {}", last.trim_start_matches([' ', '^']).trim_start_matches("error: "))
}

/// The operands, as the engine's fields.
fn scheme(operands: &[Operand]) -> Scheme {
    let mut scheme = Scheme::new();
    for (n, operand) in operands.iter().enumerate() {
        let kind = match operand.kind() {
            operand::Kind::Text => Type::Bytes,
            operand::Kind::Int => Type::Int,
            operand::Kind::Bool => Type::Bool,
            operand::Kind::Ip => Type::Ip,
        };
        let _ = scheme.add_field(operand_name(n), kind);
    }
    scheme
}

/// What an operand is called in the lowered expression.
fn operand_name(n: usize) -> String {
    format!("f.{n}")
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
mod tests;
