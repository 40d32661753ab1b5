//! References, and what is asked of their values: <https://developer.hashicorp.com/terraform/language/expressions/references>

use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::repr::Decorated;

use super::convert::{self, Fault};
use super::evaluate::{Evaluated, Frame, Trouble};
use super::scope::Scope;
use crate::value::{Item, Value};

type Operators<'e> = &'e [Decorated<TraversalOperator>];

impl<'a> Scope<'a> {
    /// The value of a name, or of what follows a name or another expression with `.` and `[]`.
    pub(super) fn reference(&self, expression: &Expression, frame: &Frame<'a>) -> Evaluated {
        let (root, operators): (_, Operators<'_>) = match expression {
            Expression::Traversal(traversal) => (&traversal.expr, &traversal.operators),
            other => (other, &[]),
        };
        let Expression::Variable(name) = root else {
            let value = self.evaluate(root, frame)?;
            return self.follow(value, operators, expression, frame);
        };
        if let Some(value) = frame.name(name.as_str()) {
            return self.follow(value.clone(), operators, expression, frame);
        }
        let terraform = |message: String| Err(frame.trouble(expression, Fault::Terraform(message)));
        let Some((TraversalOperator::GetAttr(second), rest)) = first(operators) else {
            return terraform(format!("there is no `{}`", name.as_str()));
        };
        let second = second.as_str();
        match name.as_str() {
            "var" => match self.variable(second) {
                Some(value) => self.follow(value, rest, expression, frame),
                None => terraform(format!("there is no variable `{second}`")),
            },
            "local" => match self.local(second) {
                Some(value) => self.follow(value?, rest, expression, frame),
                None => terraform(format!("there is no local value `{second}`")),
            },
            "data" | "module" | "ephemeral" => Ok(unknown(expression, frame)),
            root @ ("path" | "terraform" | "self") => {
                let message = format!("`{root}.{second}` is not evaluated");
                Err(frame.trouble(expression, Fault::NotEvaluated(message)))
            }
            root @ ("each" | "count") => terraform(format!("there is no `{root}.{second}` here")),
            kind => self.resource_reference(kind, second, rest, expression, frame),
        }
    }

    /// What a resource's own argument says is known before the provider is asked; all else is not.
    fn resource_reference(
        &self,
        kind: &str,
        name: &str,
        operators: Operators<'_>,
        expression: &Expression,
        frame: &Frame<'a>,
    ) -> Evaluated {
        let address = format!("{kind}.{name}");
        let Some(resource) = self.resource(kind, name) else {
            return Err(
                frame.trouble(expression, Fault::Terraform(format!("there is no resource `{address}`")))
            );
        };
        if let Some((TraversalOperator::GetAttr(argument), rest)) = first(operators)
            && resource.is_as_written()
            && let Some(value) = resource.argument(argument.as_str())
        {
            let place = format!("{address}.{}", argument.as_str());
            let value = self.once(&place, || self.evaluate(value, &Frame::of(resource.source)));
            let value = value.unwrap_or_else(|| {
                let message = format!("`{place}` depends on itself");
                Err(frame.trouble(expression, Fault::Terraform(message)))
            });
            return self.follow(value?, rest, expression, frame);
        }
        Ok(unknown(expression, frame))
    }

    /// What `.name`, `[index]` and `[*]` lead to.
    fn follow(
        &self,
        mut value: Value,
        operators: Operators<'_>,
        expression: &Expression,
        frame: &Frame<'a>,
    ) -> Evaluated {
        let at = |fault| frame.trouble(expression, fault);
        let mut rest = operators;
        while let Some((operator, after)) = first(rest) {
            if matches!(value, Value::Unknown(_)) {
                return Ok(value);
            }
            rest = after;
            value = match operator {
                TraversalOperator::GetAttr(name) => convert::attribute(value, name.as_str()).map_err(at)?,
                TraversalOperator::Index(index) => {
                    let index = self.evaluate(index, frame)?;
                    convert::indexed(value, index).map_err(at)?
                }
                TraversalOperator::LegacyIndex(index) => {
                    let index = i64::try_from(*index.value()).unwrap_or(i64::MAX);
                    convert::indexed(value, Value::Whole(index)).map_err(at)?
                }
                TraversalOperator::FullSplat(_) => {
                    return self.splat(value, rest, expression, frame);
                }
                TraversalOperator::AttrSplat(_) => {
                    let is_name = |operator: &Decorated<TraversalOperator>| {
                        matches!(operator.value(), TraversalOperator::GetAttr(_))
                    };
                    let names = rest.iter().take_while(|operator| is_name(operator)).count();
                    let (names, after) = rest.split_at(names);
                    rest = after;
                    self.splat(value, names, expression, frame)?
                }
            };
        }
        Ok(value)
    }

    fn splat(
        &self,
        value: Value,
        operators: Operators<'_>,
        expression: &Expression,
        frame: &Frame<'a>,
    ) -> Evaluated {
        let items = match value {
            Value::Null => Vec::new(),
            list @ (Value::List(_) | Value::Set(_)) => {
                convert::elements(list).map_err(|fault| frame.trouble(expression, fault))?
            }
            other => vec![other.into()],
        };
        let items = items.into_iter().map(|Item { value, origin }| {
            Ok(Item { value: self.follow(value, operators, expression, frame)?, origin })
        });
        Ok(Value::List(items.collect::<Result<_, Trouble>>()?))
    }
}

fn first(operators: Operators<'_>) -> Option<(&TraversalOperator, Operators<'_>)> {
    let (first, rest) = operators.split_first()?;
    Some((first.value(), rest))
}

fn unknown(expression: &Expression, frame: &Frame<'_>) -> Value {
    Value::Unknown(frame.source.text_of(expression).split_whitespace().collect())
}
