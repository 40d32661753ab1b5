//! Variables, locals and what is made of them.

use std::collections::BTreeMap;

use hcl::eval::{Context, Evaluate};
use hcl::expr::{Expression, FuncCall, Operation};
use hcl::structure::Block;
use hcl::{Body, Map, Value};
use serde::de::DeserializeOwned;

use super::{TerraformError, functions, label};

/// What expressions can ask for.
pub(super) struct Scope {
    variables: Map<String, Value>,
    locals: Map<String, Value>,
}

impl Scope {
    pub(super) fn of(body: &Body, values: &BTreeMap<String, Value>) -> Result<Self, TerraformError> {
        let mut scope = Self { variables: Map::new(), locals: Map::new() };
        let declared: Vec<_> = body.blocks().filter(|block| block.identifier() == "variable").collect();
        if let Some(unknown) =
            values.keys().find(|name| !declared.iter().any(|block| label(block, 0) == name.as_str()))
        {
            return Err(TerraformError::Unknown(unknown.clone()));
        }
        for block in &declared {
            let name = label(block, 0);
            let value = match (values.get(name), attribute(block.body(), "default")) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => scope.evaluate(default, name)?,
                (None, None) => return Err(TerraformError::Missing(name.to_owned())),
            };
            scope.variables.insert(name.to_owned(), value);
        }
        for block in &declared {
            scope.hold(block, "validation")?;
        }
        scope.resolve_locals(body)?;
        Ok(scope)
    }

    pub(super) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    pub(super) fn locals(&self) -> BTreeMap<String, Value> {
        self.locals.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Locals may stand in any order; those that ask for resources stay unknown.
    fn resolve_locals(&mut self, body: &Body) -> Result<(), TerraformError> {
        let blocks = body.blocks().filter(|block| block.identifier() == "locals");
        let mut open: Vec<_> = blocks.flat_map(|block| block.body().attributes()).collect();
        loop {
            let before = open.len();
            let mut failed = Vec::new();
            for local in open {
                match self.evaluate(&local.expr, local.key.as_str()) {
                    Ok(value) => {
                        self.locals.insert(local.key.to_string(), value);
                    }
                    Err(_) => failed.push(local),
                }
            }
            if failed.len() == before || failed.is_empty() {
                return Ok(());
            }
            open = failed;
        }
    }

    /// Whether there is a resource, by its `count`; a second one would be a second entry point.
    pub(super) fn is_made(&self, block: &Block) -> Result<bool, TerraformError> {
        match attribute(block.body(), "count") {
            Some(count) => Ok(self.evaluate(count, &format!("{}.count", label(block, 1)))? != Value::from(0)),
            None => Ok(true),
        }
    }

    /// A resource's attributes, as what it stands for.
    pub(super) fn resource<T: DeserializeOwned>(
        &self,
        block: &Block,
        names: &[&str],
    ) -> Result<T, TerraformError> {
        let place = format!("{}.{}", label(block, 0), label(block, 1));
        let mut attributes = Map::new();
        for name in names {
            if let Some(expression) = attribute(block.body(), name) {
                attributes.insert((*name).to_owned(), self.evaluate(expression, &format!("{place}.{name}"))?);
            }
        }
        let json = serde_json::to_value(Value::Object(attributes));
        let read = json.and_then(serde_json::from_value);
        read.map_err(|error| TerraformError::Evaluation(place, error.to_string()))
    }

    /// The preconditions of a resource.
    pub(super) fn hold_preconditions(&self, block: &Block) -> Result<(), TerraformError> {
        let lifecycles = block.body().blocks().filter(|block| block.identifier() == "lifecycle");
        lifecycles.into_iter().try_for_each(|lifecycle| self.hold(lifecycle, "precondition"))
    }

    fn hold(&self, block: &Block, kind: &str) -> Result<(), TerraformError> {
        for check in block.body().blocks().filter(|check| check.identifier() == kind) {
            let of = |name: &str| match attribute(check.body(), name) {
                Some(expression) => self.evaluate(expression, &format!("{}.{kind}.{name}", label(block, 0))),
                None => Ok(Value::Null),
            };
            if of("condition")? != Value::Bool(true) {
                let message = of("error_message")?;
                return Err(TerraformError::Refused(message.as_str().unwrap_or_default().to_owned()));
            }
        }
        Ok(())
    }

    fn evaluate(&self, expression: &Expression, place: &str) -> Result<Value, TerraformError> {
        let mut context = Context::new();
        context.declare_var("var", Value::Object(self.variables.clone()));
        context.declare_var("local", Value::Object(self.locals.clone()));
        functions::declare(&mut context);
        let evaluated = decided(expression, &context).evaluate(&context);
        evaluated.map_err(|error| TerraformError::Evaluation(place.to_owned(), error.to_string()))
    }
}

/// With each `can(...)` replaced by whether its argument can be evaluated: functions get values only.
fn decided(expression: &Expression, context: &Context<'_>) -> Expression {
    match expression {
        Expression::FuncCall(call) if call.name.name.as_str() == "can" => {
            Expression::Bool(call.args.iter().all(|argument| argument.evaluate(context).is_ok()))
        }
        Expression::FuncCall(call) => {
            let args = call.args.iter().map(|argument| decided(argument, context)).collect();
            Expression::FuncCall(Box::new(FuncCall { args, ..(**call).clone() }))
        }
        Expression::Parenthesis(inner) => Expression::Parenthesis(Box::new(decided(inner, context))),
        Expression::Operation(operation) => {
            let mut operation = (**operation).clone();
            match &mut operation {
                Operation::Unary(unary) => unary.expr = decided(&unary.expr, context),
                Operation::Binary(binary) => {
                    binary.lhs_expr = decided(&binary.lhs_expr, context);
                    binary.rhs_expr = decided(&binary.rhs_expr, context);
                }
            }
            Expression::Operation(Box::new(operation))
        }
        other => other.clone(),
    }
}

fn attribute<'b>(body: &'b Body, name: &str) -> Option<&'b Expression> {
    body.attributes().find(|attribute| attribute.key.as_str() == name).map(|attribute| &attribute.expr)
}
