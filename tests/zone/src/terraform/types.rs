//! The types of variables, and how Terraform converts values to them:
//! <https://developer.hashicorp.com/terraform/language/expressions/type-constraints>

use std::collections::BTreeMap;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, FuncCall, ObjectKey};

use super::convert::{self, Fault};
use super::evaluate::{Frame, Trouble};
use super::functions;
use super::scope::Scope;
use crate::value::{Item, Value};

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Any,
    Text,
    Number,
    Bool,
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>),
    Object(BTreeMap<String, Attribute>),
    Tuple(Vec<Type>),
}

/// An attribute of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute {
    of: Type,
    is_optional: bool,
    default: Value,
}

impl Type {
    /// Reads a type.
    pub(super) fn read<'a>(
        expression: &Expression,
        scope: &Scope<'a>,
        frame: &Frame<'a>,
    ) -> Result<Self, Trouble> {
        match expression {
            Expression::Variable(name) => Self::named(name.as_str(), expression, frame),
            // As it was written before Terraform 0.12.
            Expression::String(name) => Self::named(name.value(), expression, frame),
            Expression::FuncCall(call) => {
                let inner = || match call.args.iter().collect::<Vec<_>>()[..] {
                    [inner] => Ok(inner),
                    _ => unread(call.as_ref(), "has one argument", frame),
                };
                match call.name.name.as_str() {
                    "list" => Ok(Self::List(Box::new(Self::read(inner()?, scope, frame)?))),
                    "set" => Ok(Self::Set(Box::new(Self::read(inner()?, scope, frame)?))),
                    "map" => Ok(Self::Map(Box::new(Self::read(inner()?, scope, frame)?))),
                    "tuple" => Self::tuple(inner()?, scope, frame),
                    "object" => Self::object(inner()?, scope, frame),
                    _ => unread(call.as_ref(), "is not a type", frame),
                }
            }
            other => unread(other, "is not a type", frame),
        }
    }

    fn named(name: &str, expression: &Expression, frame: &Frame<'_>) -> Result<Self, Trouble> {
        match name {
            "any" => Ok(Self::Any),
            "string" => Ok(Self::Text),
            "number" => Ok(Self::Number),
            "bool" => Ok(Self::Bool),
            _ => unread(expression, "is not a type", frame),
        }
    }

    fn tuple<'a>(types: &Expression, scope: &Scope<'a>, frame: &Frame<'a>) -> Result<Self, Trouble> {
        let Expression::Array(types) = types else { return unread(types, "is not a list of types", frame) };
        Ok(Self::Tuple(types.iter().map(|one| Self::read(one, scope, frame)).collect::<Result<_, _>>()?))
    }

    fn object<'a>(attributes: &Expression, scope: &Scope<'a>, frame: &Frame<'a>) -> Result<Self, Trouble> {
        let Expression::Object(attributes) = attributes else {
            return unread(attributes, "is not an object of types", frame);
        };
        let mut read = BTreeMap::new();
        for (name, value) in attributes {
            let name = match name {
                ObjectKey::Ident(name) => name.as_str(),
                ObjectKey::Expression(Expression::String(name)) => name.value(),
                ObjectKey::Expression(name) => return unread(name, "is not a name", frame),
            };
            let attribute = match value.expr() {
                Expression::FuncCall(call) if call.name.name.as_str() == "optional" => {
                    Attribute::optional(call, scope, frame)?
                }
                other => {
                    let of = Self::read(other, scope, frame)?;
                    Attribute { of, is_optional: false, default: Value::Null }
                }
            };
            read.insert(name.to_owned(), attribute);
        }
        Ok(Self::Object(read))
    }

    /// A value as Terraform converts it; `place` names it in messages.
    pub(super) fn converted(&self, value: Value, place: &str) -> Result<Value, Fault> {
        let at = |fault| match fault {
            Fault::Terraform(message) => Fault::Terraform(format!("`{place}`: {message}")),
            Fault::NotEvaluated(message) => Fault::NotEvaluated(format!("`{place}`: {message}")),
        };
        if matches!(value, Value::Null | Value::Unknown(_)) {
            return Ok(value);
        }
        match self {
            Self::Any => Ok(value),
            Self::Text => convert::text(value).map_err(at),
            Self::Number => convert::number(value).map_err(at),
            Self::Bool => convert::bool(value).map_err(at),
            Self::List(of) => {
                let items = of.all(convert::elements(value).map_err(at)?, place)?;
                Ok(Value::List(if of.has_any() { convert::of_one_type(items).map_err(at)? } else { items }))
            }
            Self::Set(of) => {
                let items = of.all(convert::elements(value).map_err(at)?, place)?;
                functions::set(Value::List(items)).map_err(at)
            }
            Self::Tuple(types) => {
                let items = convert::elements(value).map_err(at)?;
                if items.len() != types.len() {
                    return Err(at(Fault::Terraform(format!(
                        "it has {} elements, not {}",
                        items.len(),
                        types.len()
                    ))));
                }
                let converted = types.iter().zip(items).enumerate().map(|(n, (of, item))| {
                    Ok(Item { value: of.converted(item.value, &format!("{place}[{n}]"))?, ..item })
                });
                converted.collect::<Result<_, _>>().map(Value::List)
            }
            Self::Map(of) => {
                let Value::Object(object) = value else {
                    return Err(at(Fault::Terraform(format!("this is {}, not a map", value.kind()))));
                };
                let (keys, items): (Vec<_>, Vec<_>) = object.into_iter().unzip();
                let items = of.all(items, place)?;
                let items = if of.has_any() { convert::of_one_type(items).map_err(at)? } else { items };
                Ok(Value::Object(keys.into_iter().zip(items).collect()))
            }
            Self::Object(attributes) => Self::converted_object(attributes, value, place),
        }
    }

    fn converted_object(
        attributes: &BTreeMap<String, Attribute>,
        value: Value,
        place: &str,
    ) -> Result<Value, Fault> {
        let Value::Object(mut object) = value else {
            return Err(Fault::Terraform(format!("`{place}`: this is {}, not an object", value.kind())));
        };
        if let Some(other) = object.keys().find(|name| !attributes.contains_key(*name)) {
            let names: Vec<_> = attributes.keys().map(String::as_str).collect();
            return Err(Fault::NotEvaluated(format!(
                "`{place}.{other}` is not in the type of the variable, and Terraform drops it; the type has {}",
                names.join(", ")
            )));
        }
        let mut converted = BTreeMap::new();
        for (name, attribute) in attributes {
            let inner = format!("{place}.{name}");
            let item = match object.remove(name) {
                Some(item) if item.value != Value::Null || !attribute.is_optional => item,
                Some(_) | None if attribute.is_optional => attribute.default.clone().into(),
                _ => return Err(Fault::Terraform(format!("`{inner}` is missing"))),
            };
            let item = Item { value: attribute.of.converted(item.value, &inner)?, ..item };
            converted.insert(name.clone(), item);
        }
        Ok(Value::Object(converted))
    }

    fn all(&self, items: Vec<Item>, place: &str) -> Result<Vec<Item>, Fault> {
        let numbered = items.into_iter().enumerate();
        let converted = numbered.map(|(n, item)| {
            Ok(Item { value: self.converted(item.value, &format!("{place}[{n}]"))?, ..item })
        });
        converted.collect()
    }

    /// Whether Terraform looks for a type that all elements have in common.
    fn has_any(&self) -> bool {
        match self {
            Self::Any => true,
            Self::List(of) | Self::Set(of) | Self::Map(of) => of.has_any(),
            Self::Object(attributes) => attributes.values().any(|attribute| attribute.of.has_any()),
            Self::Tuple(types) => types.iter().any(Self::has_any),
            Self::Text | Self::Number | Self::Bool => false,
        }
    }
}

impl Attribute {
    /// `optional(TYPE)` or `optional(TYPE, DEFAULT)`
    fn optional<'a>(call: &FuncCall, scope: &Scope<'a>, frame: &Frame<'a>) -> Result<Self, Trouble> {
        let (of, default) = match call.args.iter().collect::<Vec<_>>()[..] {
            [of] => (of, Value::Null),
            [of, default] => (of, scope.evaluate(default, frame)?),
            _ => return unread(call, "has one argument or two", frame),
        };
        Ok(Self { of: Type::read(of, scope, frame)?, is_optional: true, default })
    }
}

fn unread<T>(part: &impl Span, why: &str, frame: &Frame<'_>) -> Result<T, Trouble> {
    let message = format!("`{}` {why}", frame.source.text_of(part));
    Err(frame.trouble(part, Fault::Terraform(message)))
}
