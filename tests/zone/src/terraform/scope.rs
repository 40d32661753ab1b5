//! What expressions can ask for: variables, locals and resources.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};

use super::convert::Fault;
use super::evaluate::{Evaluated, Frame, Trouble};
use super::source::Source;
use super::types::Type;
use super::values::Values;
use crate::finding::Findings;
use crate::value::Value;

/// An expression, and the file that it is in.
type Placed<'a> = (&'a Expression, &'a Source);

/// A block `resource`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource<'a> {
    pub(super) source: &'a Source,
    pub(super) block: &'a Block,
}

/// The names of a module and their values.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    variables: BTreeMap<String, Value>,
    /// Variables without a right value: findings tell of them already.
    failed: BTreeSet<String>,
    locals: BTreeMap<&'a str, Placed<'a>>,
    resources: BTreeMap<(&'a str, &'a str), Resource<'a>>,
    /// What was evaluated once, by its address.
    known: RefCell<BTreeMap<String, Evaluated>>,
    /// What is being evaluated: asked for again, it depends on itself.
    open: RefCell<BTreeSet<String>>,
}

impl<'a> Resource<'a> {
    /// The expression of an argument.
    pub(super) fn argument(&self, name: &str) -> Option<&'a Expression> {
        self.block.body.get_attribute(name).map(|attribute| &attribute.value)
    }

    /// Whether there is one of it, with what its arguments say.
    pub(super) fn is_as_written(&self) -> bool {
        let mut lifecycles = blocks(&self.block.body, "lifecycle");
        self.argument("count").is_none()
            && self.argument("for_each").is_none()
            && !lifecycles.any(|lifecycle| lifecycle.body.has_attribute("ignore_changes"))
    }

    /// `TYPE.NAME`
    pub(super) fn address(&self) -> String {
        format!("{}.{}", label(self.block, 0), label(self.block, 1))
    }
}

impl<'a> Scope<'a> {
    /// Of all files of a module, with values for its variables.
    pub(super) fn of(sources: &'a [Source], values: &Values, findings: &mut Findings) -> Self {
        let mut scope = Self::default();
        for source in sources {
            scope.declare(source, findings);
        }
        let declared: Vec<_> = sources
            .iter()
            .flat_map(|source| blocks(&source.body, "variable").map(move |block| (source, block)))
            .collect();
        for unknown in
            values.keys().filter(|name| !declared.iter().any(|(_, block)| label(block, 0) == *name))
        {
            findings.add(None, "", format!("there is no variable `{unknown}`, but a value for it"));
        }
        for (source, block) in &declared {
            scope.set_variable(source, block, values, findings);
        }
        for (source, block) in &declared {
            for validation in blocks(&block.body, "validation") {
                let address = format!("var.{}", label(block, 0));
                scope.hold(validation, &Frame::of(source), &address, findings);
            }
        }
        scope
    }

    fn declare(&mut self, source: &'a Source, findings: &mut Findings) {
        for local in blocks(&source.body, "locals").flat_map(|block| block.body.attributes()) {
            if self.locals.insert(local.key.as_str(), (&local.value, source)).is_some() {
                let message = format!("`local.{}` stands twice", local.key.as_str());
                findings.add(Some(&source.origin(&local.value)), "", message);
            }
        }
        for block in blocks(&source.body, "resource").filter(|block| block.labels.len() == 2) {
            let resource = Resource { source, block };
            if self.resources.insert((label(block, 0), label(block, 1)), resource).is_some() {
                findings.add(Some(&source.origin(block)), resource.address(), "this resource stands twice");
            }
        }
    }

    fn set_variable(
        &mut self,
        source: &'a Source,
        block: &'a Block,
        values: &Values,
        findings: &mut Findings,
    ) {
        let name = label(block, 0);
        let value = self.variable_value(source, block, values.get(name));
        if self.variables.contains_key(name) {
            findings.add(Some(&source.origin(block)), "", format!("variable `{name}` stands twice"));
        }
        let value = value.unwrap_or_else(|trouble| {
            findings.add(Some(&trouble.origin), format!("var.{name}"), trouble.fault.message());
            self.failed.insert(name.to_owned());
            Value::Unknown(format!("var.{name}"))
        });
        self.variables.insert(name.to_owned(), value);
    }

    /// The value that is given, or the default, as the variable's type has it.
    fn variable_value(&self, source: &'a Source, block: &'a Block, given: Option<&Value>) -> Evaluated {
        let (name, frame) = (label(block, 0), Frame::of(source));
        let argument = |name: &str| block.body.get_attribute(name).map(|attribute| &attribute.value);
        let of = argument("type").map_or(Ok(Type::Any), |of| Type::read(of, self, &frame))?;
        let default = argument("default").map(|default| self.evaluate(default, &frame)).transpose()?;
        let is_nullable = match argument("nullable") {
            Some(nullable) => self.evaluate(nullable, &frame)? != Value::Bool(false),
            None => true,
        };
        let value = match (given, default) {
            (Some(Value::Null), Some(default)) if !is_nullable => default,
            (Some(given), _) => given.clone(),
            (None, Some(default)) => default,
            (None, None) => {
                let message = format!("variable `{name}` is required");
                return Err(frame.trouble(block, Fault::Terraform(message)));
            }
        };
        if value == Value::Null && !is_nullable {
            return Err(frame.trouble(block, Fault::Terraform(format!("variable `{name}` cannot be null"))));
        }
        of.converted(value, name).map_err(|fault| frame.trouble(block, fault))
    }

    /// Finds out whether a `validation` or `precondition` holds.
    pub(super) fn hold(&self, check: &'a Block, frame: &Frame<'a>, address: &str, findings: &mut Findings) {
        let Some(condition) = check.body.get_attribute("condition").map(|attribute| &attribute.value) else {
            return findings.add(Some(&frame.source.origin(check)), address, "`condition` is missing");
        };
        match self.evaluate(condition, frame) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => {
                let message = check.body.get_attribute("error_message");
                let message = message.and_then(|message| self.evaluate(&message.value, frame).ok());
                let message =
                    message.as_ref().and_then(Value::as_text).unwrap_or("the condition does not hold");
                findings.add(Some(&frame.source.origin(condition)), address, message);
            }
            Ok(Value::Unknown(reference)) => {
                self.refuse_unknown(&reference, condition, frame, address, findings)
            }
            Ok(other) => {
                let message = format!("`condition` is {}, neither true nor false", other.kind());
                findings.add(Some(&frame.source.origin(condition)), address, message);
            }
            Err(trouble) => self.refuse(&trouble, address, findings),
        }
    }

    pub(super) fn refuse(&self, trouble: &Trouble, address: &str, findings: &mut Findings) {
        findings.add(Some(&trouble.origin), address, trouble.fault.message());
    }

    /// What is evaluated depends on what only the provider knows.
    pub(super) fn refuse_unknown(
        &self,
        reference: &str,
        expression: &Expression,
        frame: &Frame<'a>,
        address: &str,
        findings: &mut Findings,
    ) {
        if !self.has_failed(reference) {
            let message = format!("this depends on `{reference}`, which only the provider knows");
            findings.add(Some(&frame.source.origin(expression)), address, message);
        }
    }

    /// Whether a reference is to a variable that findings tell of already.
    pub(super) fn has_failed(&self, reference: &str) -> bool {
        reference.strip_prefix("var.").is_some_and(|name| self.failed.contains(name))
    }

    pub(super) fn variable(&self, name: &str) -> Option<Value> {
        self.variables.get(name).cloned()
    }

    pub(super) fn local(&self, name: &str) -> Option<Evaluated> {
        let (expression, source) = *self.locals.get(name)?;
        let frame = Frame::of(source);
        let value = self.once(&format!("local.{name}"), || self.evaluate(expression, &frame));
        Some(value.unwrap_or_else(|| {
            let message = format!("`local.{name}` depends on itself");
            Err(frame.trouble(expression, Fault::Terraform(message)))
        }))
    }

    pub(super) fn resource(&self, kind: &str, name: &str) -> Option<Resource<'a>> {
        self.resources.iter().find(|((k, n), _)| (*k, *n) == (kind, name)).map(|(_, resource)| *resource)
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = (&'a str, Resource<'a>)> {
        self.resources.iter().map(|((kind, _), resource)| (*kind, *resource))
    }

    /// Evaluates what has an address once; `None`: it is asked for while it is evaluated.
    pub(super) fn once(&self, address: &str, evaluate: impl FnOnce() -> Evaluated) -> Option<Evaluated> {
        if let Some(known) = self.known.borrow().get(address) {
            return Some(known.clone());
        }
        if !self.open.borrow_mut().insert(address.to_owned()) {
            return None;
        }
        let value = evaluate();
        self.open.borrow_mut().remove(address);
        self.known.borrow_mut().insert(address.to_owned(), value.clone());
        Some(value)
    }
}

/// The blocks of a name.
pub(super) fn blocks<'b>(body: &'b Body, name: &str) -> impl Iterator<Item = &'b Block> {
    body.blocks().filter(move |block| block.ident.as_str() == name)
}

/// A label of a block, from 0 on.
pub(super) fn label(block: &Block, n: usize) -> &str {
    block.labels.get(n).map_or("", |label| label.as_str())
}
