//! Expressions: <https://developer.hashicorp.com/terraform/language/expressions>. What Terraform would refuse and what is not
//! evaluated here are told apart, since `can` and `try` ask for the first.

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::{
    BinaryOp, BinaryOperator, Conditional, Expression, ForExpr, FuncCall, Object, ObjectKey,
};
use hcl_edit::expr::{UnaryOp, UnaryOperator};
use hcl_edit::template::{Element, Template};

use super::convert::{self, Fault};
use super::functions;
use super::scope::Scope;
use super::source::Source;
use crate::finding::Origin;
use crate::value::{Item, Value};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) origin: Origin,
    pub(super) fault: Fault,
}

/// Where an expression stands: its file, and the names that hold there besides those of the whole module.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    pub(super) source: &'a Source,
    names: BTreeMap<String, Value>,
}

impl<'a> Frame<'a> {
    pub(super) fn of(source: &'a Source) -> Self {
        Self { source, names: BTreeMap::new() }
    }

    pub(super) fn with(mut self, name: &str, value: Value) -> Self {
        self.names.insert(name.to_owned(), value);
        self
    }

    pub(super) fn name(&self, name: &str) -> Option<&Value> {
        self.names.get(name)
    }

    pub(super) fn trouble(&self, part: &impl Span, fault: Fault) -> Trouble {
        Trouble { origin: self.source.origin(part), fault }
    }
}

pub(super) type Evaluated = Result<Value, Trouble>;

impl<'a> Scope<'a> {
    /// The value of an expression.
    pub(super) fn evaluate(&self, expression: &Expression, frame: &Frame<'a>) -> Evaluated {
        match expression {
            Expression::Null(_) => Ok(Value::Null),
            Expression::Bool(bool) => Ok(Value::Bool(*bool.value())),
            Expression::Number(number) => Ok(match number.value().as_i64() {
                Some(whole) => Value::Whole(whole),
                None => Value::Fraction(number.value().as_f64().unwrap_or(f64::NAN)),
            }),
            Expression::String(text) => Ok(Value::Text(text.value().clone())),
            Expression::Array(array) => {
                let items = array.iter().map(|item| {
                    let origin = Some(frame.source.origin(item));
                    Ok(Item { value: self.evaluate(item, frame)?, origin })
                });
                Ok(Value::List(items.collect::<Result<_, _>>()?))
            }
            Expression::Object(object) => self.object(object, frame),
            Expression::StringTemplate(template) => self.template(template, frame),
            Expression::HeredocTemplate(heredoc) => {
                let checked = convert::check_heredoc(frame.source.text_of(heredoc.as_ref()));
                checked.map_err(|fault| frame.trouble(expression, fault))?;
                self.template(&heredoc.template, frame)
            }
            Expression::Parenthesis(inner) => self.evaluate(inner.inner(), frame),
            Expression::Variable(_) | Expression::Traversal(_) => self.reference(expression, frame),
            Expression::Conditional(conditional) => self.conditional(conditional, frame),
            Expression::FuncCall(call) => self.call(call, frame),
            Expression::UnaryOp(operation) => self.unary(operation, frame),
            Expression::BinaryOp(operation) => self.binary(operation, frame),
            Expression::ForExpr(expression) => self.for_expression(expression, frame),
        }
    }

    fn object(&self, object: &Object, frame: &Frame<'a>) -> Evaluated {
        let mut items = BTreeMap::new();
        for (key, value) in object {
            let value = value.expr();
            let origin = Some(frame.source.origin(value));
            match self.key(key, value, frame)? {
                Value::Text(key) => {
                    items.insert(key, Item { value: self.evaluate(value, frame)?, origin });
                }
                Value::Unknown(reference) => return Ok(Value::Unknown(reference)),
                _ => return Err(frame.trouble(value, Fault::Terraform("a key is null".to_owned()))),
            }
        }
        Ok(Value::Object(items))
    }

    fn key(&self, key: &ObjectKey, value: &Expression, frame: &Frame<'a>) -> Evaluated {
        let key = match key {
            ObjectKey::Ident(name) => return Ok(Value::Text(name.as_str().to_owned())),
            ObjectKey::Expression(
                key @ (Expression::String(_)
                | Expression::StringTemplate(_)
                | Expression::Number(_)
                | Expression::Parenthesis(_)),
            ) => self.evaluate(key, frame)?,
            ObjectKey::Expression(key) => {
                let message = "a key like this is not evaluated; write it in parentheses".to_owned();
                return Err(frame.trouble(key, Fault::NotEvaluated(message)));
            }
        };
        convert::text(key).map_err(|fault| frame.trouble(value, fault))
    }

    /// A template that is one interpolation has its value, whatever that is; any other one is a string.
    fn template(&self, template: &Template, frame: &Frame<'a>) -> Evaluated {
        if let Some(Element::Interpolation(interpolation)) = template.as_single_element()
            && !interpolation.strip.strip_start()
            && !interpolation.strip.strip_end()
        {
            return self.evaluate(&interpolation.expr, frame);
        }
        let mut written = String::new();
        for element in template {
            match element {
                Element::Literal(literal) => written.push_str(literal.value()),
                Element::Interpolation(interpolation) => {
                    let at = |fault| frame.trouble(&interpolation.expr, fault);
                    if interpolation.strip.strip_start() || interpolation.strip.strip_end() {
                        let message =
                            "the marker `~` of a template is not evaluated; leave it out".to_owned();
                        return Err(at(Fault::NotEvaluated(message)));
                    }
                    match convert::text(self.evaluate(&interpolation.expr, frame)?).map_err(at)? {
                        Value::Text(text) => written.push_str(&text),
                        Value::Unknown(reference) => return Ok(Value::Unknown(reference)),
                        _ => {
                            return Err(at(Fault::Terraform("null cannot be a part of a string".to_owned())));
                        }
                    }
                }
                Element::Directive(_) => {
                    let message = "directives `%{ }` of a template are not evaluated; write a conditional, or `join` and `for`";
                    return Err(frame.trouble(element, Fault::NotEvaluated(message.to_owned())));
                }
            }
        }
        Ok(Value::Text(written))
    }

    /// Both results are evaluated: Terraform converts the one that is taken to what the types of both have in common.
    fn conditional(&self, conditional: &Conditional, frame: &Frame<'a>) -> Evaluated {
        let condition = convert::bool(self.evaluate(&conditional.cond_expr, frame)?);
        let condition = condition.map_err(|fault| frame.trouble(&conditional.cond_expr, fault))?;
        let (taken, other) = match condition {
            Value::Bool(true) => (&conditional.true_expr, &conditional.false_expr),
            Value::Bool(false) => (&conditional.false_expr, &conditional.true_expr),
            Value::Unknown(reference) => return Ok(Value::Unknown(reference)),
            _ => {
                let fault = Fault::Terraform("the condition is null".to_owned());
                return Err(frame.trouble(&conditional.cond_expr, fault));
            }
        };
        let value = self.evaluate(taken, frame)?;
        match self.evaluate(other, frame) {
            Ok(other) => convert::unified(value, &other).map_err(|fault| frame.trouble(taken, fault)),
            Err(Trouble { fault: Fault::Terraform(_), .. }) => Ok(value),
            Err(trouble) => Err(trouble),
        }
    }

    fn unary(&self, operation: &UnaryOp, frame: &Frame<'a>) -> Evaluated {
        let value = self.evaluate(&operation.expr, frame)?;
        let result = match operation.operator.value() {
            UnaryOperator::Not => convert::not(value),
            UnaryOperator::Neg => convert::calculated(BinaryOperator::Minus, Value::Whole(0), value),
        };
        result.map_err(|fault| frame.trouble(&operation.expr, fault))
    }

    fn binary(&self, operation: &BinaryOp, frame: &Frame<'a>) -> Evaluated {
        let at = |fault| frame.trouble(&operation.lhs_expr, fault);
        let operator = *operation.operator.value();
        let left = self.evaluate(&operation.lhs_expr, frame)?;
        if !matches!(operator, BinaryOperator::And | BinaryOperator::Or) {
            let right = self.evaluate(&operation.rhs_expr, frame)?;
            return convert::calculated(operator, left, right).map_err(at);
        }
        // Since Terraform 1.12 the right side is not asked where the left one decides; before, it had to be right.
        let left = convert::bool(left).map_err(at)?;
        if left == Value::Bool(operator == BinaryOperator::Or) {
            return Ok(left);
        }
        let right = convert::bool(self.evaluate(&operation.rhs_expr, frame)?).map_err(at)?;
        match (left, right) {
            (Value::Unknown(reference), _) | (_, Value::Unknown(reference)) => Ok(Value::Unknown(reference)),
            (Value::Null, _) | (_, Value::Null) => {
                Err(at(Fault::Terraform("null is neither true nor false".to_owned())))
            }
            (_, right) => Ok(right),
        }
    }

    fn for_expression(&self, expression: &ForExpr, frame: &Frame<'a>) -> Evaluated {
        let intro = &expression.intro;
        let collection = self.evaluate(&intro.collection_expr, frame)?;
        if let Value::Unknown(reference) = collection {
            return Ok(Value::Unknown(reference));
        }
        let pairs =
            convert::pairs(collection).map_err(|fault| frame.trouble(&intro.collection_expr, fault))?;
        let mut list = Vec::new();
        let mut object = BTreeMap::new();
        for (key, item) in pairs {
            let mut inner = frame.clone().with(intro.value_var.as_str(), item.value);
            if let Some(name) = &intro.key_var {
                inner = inner.with(name.as_str(), key);
            }
            if let Some(condition) = &expression.cond {
                let at = |fault| frame.trouble(&condition.expr, fault);
                match convert::bool(self.evaluate(&condition.expr, &inner)?).map_err(at)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => continue,
                    Value::Unknown(reference) => return Ok(Value::Unknown(reference)),
                    _ => return Err(at(Fault::Terraform("the condition is null".to_owned()))),
                }
            }
            let value = self.evaluate(&expression.value_expr, &inner)?;
            let item = Item {
                value,
                origin: item.origin.or_else(|| Some(frame.source.origin(&expression.value_expr))),
            };
            let Some(key) = &expression.key_expr else {
                list.push(item);
                continue;
            };
            let at = |fault| frame.trouble(key, fault);
            match convert::text(self.evaluate(key, &inner)?).map_err(at)? {
                Value::Text(key) => {
                    convert::insert(&mut object, key, item, expression.grouping).map_err(at)?
                }
                Value::Unknown(reference) => return Ok(Value::Unknown(reference)),
                _ => return Err(at(Fault::Terraform("a key is null".to_owned()))),
            }
        }
        Ok(if expression.key_expr.is_some() { Value::Object(object) } else { Value::List(list) })
    }

    fn call(&self, call: &FuncCall, frame: &Frame<'a>) -> Evaluated {
        let at = |fault| frame.trouble(call, fault);
        let name = call.name.name.as_str();
        if call.name.is_namespaced() {
            let spaces = call.name.namespace.iter().map(|space| format!("{}::", space.as_str()));
            return Err(at(functions::unknown(&format!("{}{name}", spaces.collect::<String>()))));
        }
        match name {
            "can" => self.can(call, frame),
            "try" => self.try_each(call, frame),
            _ => {
                let mut arguments = call.args.iter().map(|argument| self.evaluate(argument, frame));
                let mut arguments = arguments.by_ref().collect::<Result<Vec<_>, _>>()?;
                if call.args.expand_final() {
                    match arguments.pop() {
                        Some(Value::Unknown(reference)) => return Ok(Value::Unknown(reference)),
                        Some(last) => {
                            let last = convert::elements(last).map_err(at)?;
                            arguments.extend(last.into_iter().map(|item| item.value));
                        }
                        None => {}
                    }
                }
                functions::call(name, arguments).map_err(at)
            }
        }
    }

    fn can(&self, call: &FuncCall, frame: &Frame<'a>) -> Evaluated {
        for argument in call.args.iter() {
            match self.evaluate(argument, frame) {
                Ok(value) => {
                    if let Some(reference) = value.unknown() {
                        return Ok(Value::Unknown(reference.to_owned()));
                    }
                }
                Err(Trouble { fault: Fault::Terraform(_), .. }) => return Ok(Value::Bool(false)),
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(Value::Bool(true))
    }

    fn try_each(&self, call: &FuncCall, frame: &Frame<'a>) -> Evaluated {
        for argument in call.args.iter() {
            match self.evaluate(argument, frame) {
                Err(Trouble { fault: Fault::Terraform(_), .. }) => {}
                decided => return decided,
            }
        }
        Err(frame.trouble(call, Fault::Terraform("no argument of `try` can be evaluated".to_owned())))
    }
}
