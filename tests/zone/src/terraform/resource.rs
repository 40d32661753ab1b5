//! Rulesets and routes, out of the resources that make them.

use std::collections::BTreeMap;

use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body, Structure};

use super::Module;
use super::convert::{self, Fault};
use super::evaluate::{Frame, Trouble};
use super::names::{described, origin};
use super::scope::{Resource, Scope, blocks, label};
use super::tables::{EVALUATED, FORMER_ROUTE, ROUTE, RULESET};
use crate::finding::{Findings, Origin};
use crate::route::Route;
use crate::ruleset::read;
use crate::value::{Item, Value};

/// A resource with `count` or `for_each` may be as often as this.
const MAX_INSTANCES: usize = 1_000;

/// Evaluates all rulesets and routes.
pub(super) fn evaluate<'a>(scope: &Scope<'a>, findings: &mut Findings) -> Module {
    let mut reading = Reading {
        scope,
        findings,
        zone: None,
        worker: None,
        entry_points: BTreeMap::new(),
        module: Module::default(),
    };
    for (kind, resource) in scope.resources() {
        if !EVALUATED.iter().any(|evaluated| evaluated.name == kind) {
            continue;
        }
        for (address, frame) in reading.instances(resource) {
            reading.preconditions(resource, &address, &frame);
            if kind == RULESET.name {
                reading.zone(resource, &address, &frame);
                reading.ruleset(resource, &address, &frame);
            } else if kind == ROUTE.name || kind == FORMER_ROUTE.name {
                reading.zone(resource, &address, &frame);
                reading.route(resource, &address, &frame);
            } else {
                reading.surroundings(kind, resource, &address, &frame);
            }
        }
    }
    reading.module
}

pub(super) struct Reading<'a, 's, 'f> {
    pub(super) scope: &'s Scope<'a>,
    findings: &'f mut Findings,
    /// The zone of the first resource, and the resource.
    zone: Option<(String, String)>,
    /// The Worker of the first route, and the route.
    worker: Option<(String, String)>,
    /// The first entry point of each phase, and where it is written.
    entry_points: BTreeMap<&'static str, (String, Origin)>,
    pub(super) module: Module,
}

impl<'a> Reading<'a, '_, '_> {
    /// The instances of a resource: their addresses, and what `count` and `each` are for them.
    fn instances(&mut self, resource: Resource<'a>) -> Vec<(String, Frame<'a>)> {
        let (address, frame) = (resource.address(), Frame::of(resource.source));
        let keys = match (resource.argument("count"), resource.argument("for_each")) {
            (None, None) => return vec![(address, frame)],
            (Some(count), Some(_)) => {
                let fault = Fault::Terraform("there are both `count` and `for_each`".to_owned());
                Err(frame.trouble(count, fault))
            }
            (Some(count), None) => self
                .value(count, &frame)
                .and_then(|value| counted(value).map_err(|fault| frame.trouble(count, fault))),
            (None, Some(each)) => self
                .value(each, &frame)
                .and_then(|value| repeated(value).map_err(|fault| frame.trouble(each, fault))),
        };
        match keys {
            Ok(instances) => instances
                .into_iter()
                .map(|(key, name, value)| (format!("{address}[{key}]"), frame.clone().with(name, value)))
                .collect(),
            Err(trouble) => {
                self.refuse(&trouble, &address);
                Vec::new()
            }
        }
    }

    /// A value that must be known.
    pub(super) fn value(&self, expression: &Expression, frame: &Frame<'a>) -> Result<Value, Trouble> {
        match self.scope.evaluate(expression, frame)? {
            Value::Unknown(reference) => {
                // Of a variable without a value, the finding is told already, and once is enough.
                let message = if self.scope.has_failed(&reference) {
                    String::new()
                } else {
                    format!("this depends on `{reference}`, which only the provider knows")
                };
                Err(frame.trouble(expression, Fault::NotEvaluated(message)))
            }
            value => Ok(value),
        }
    }

    pub(super) fn refuse(&mut self, trouble: &Trouble, address: &str) {
        if !trouble.fault.message().is_empty() {
            self.scope.refuse(trouble, address, self.findings);
        }
    }

    pub(super) fn refuse_at(&mut self, origin: &Origin, address: &str, message: String) {
        self.findings.add(Some(origin), address, message);
    }

    fn preconditions(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        for lifecycle in blocks(&resource.block.body, "lifecycle") {
            for check in blocks(&lifecycle.body, "precondition") {
                self.scope.hold(check, frame, address, self.findings);
            }
        }
    }

    /// One zone is simulated. Its id may be unknown; what leads to it tells zones apart as well.
    fn zone(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let at = resource.source.origin(resource.block);
        let Some(expression) = resource.argument("zone_id") else {
            return self.refuse_at(&at, address, "`zone_id` is missing".to_owned());
        };
        let id = match self.scope.evaluate(expression, frame) {
            Ok(Value::Text(id) | Value::Unknown(id)) => id,
            Ok(other) => {
                return self.refuse_at(
                    &at,
                    address,
                    format!("`zone_id` is {}; write a string", other.kind()),
                );
            }
            Err(trouble) => return self.refuse(&trouble, address),
        };
        match &self.zone {
            Some((other, first)) if *other != id => {
                let message = format!(
                    "`zone_id` is `{id}`, and that of {first} is `{other}`: one zone is simulated; write one expression for both"
                );
                self.refuse_at(&resource.source.origin(expression), address, message);
            }
            Some(_) => {}
            None => self.zone = Some((id, address.to_owned())),
        }
    }

    fn ruleset(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let at = resource.source.origin(resource.block);
        let Some(mut object) = self.ruleset_arguments(resource, address, frame) else { return };
        if let Some(kind) = object.get("kind")
            && kind.value.as_text().is_some_and(|kind| kind != "zone")
        {
            let message =
                format!("the kind {} is not simulated: one zone is, and what is `zone` of it", kind.value);
            return self.refuse_at(kind.origin.as_ref().unwrap_or(&at), address, message);
        }
        // Of rules with a variable that has no right value, findings tell already.
        let has_failed = |item: &Item| item.value.find_unknown(&|name| self.scope.has_failed(name)).is_some();
        if let Some(Item { value: Value::List(rules), .. }) = object.get_mut("rules") {
            rules.retain(|rule| !has_failed(rule));
        }
        if !object.values().any(has_failed) {
            let item = Item { value: Value::Object(object), origin: Some(at.clone()) };
            let Some(ruleset) = read::ruleset(&item, address, self.findings) else { return };
            let phase = ruleset.phase.name();
            if let Some((first, place)) = self.entry_points.get(phase) {
                let message = format!("{phase} has two entry points; the other is {first} ({place})");
                return self.refuse_at(&at, address, message);
            }
            self.entry_points.insert(phase, (address.to_owned(), at));
            self.module.rulesets.push(ruleset);
        }
    }

    /// The arguments of a ruleset that are evaluated, with its rules however they are written; `None`: there is a finding.
    fn ruleset_arguments(
        &mut self,
        resource: Resource<'a>,
        address: &str,
        frame: &Frame<'a>,
    ) -> Option<BTreeMap<String, Item>> {
        let mut object = BTreeMap::new();
        for name in ["kind", "phase", "rules"] {
            let Some(argument) = resource.block.body.get_attribute(name) else { continue };
            match self.scope.evaluate(&argument.value, frame) {
                Ok(value) => {
                    let origin = Some(origin(resource.source, argument));
                    object.insert(name.to_owned(), Item { value, origin });
                }
                Err(trouble) => {
                    self.refuse(&trouble, address);
                    return None;
                }
            }
        }
        // Refused already, with its line.
        let is_dynamic = blocks(&resource.block.body, "dynamic").any(|dynamic| label(dynamic, 0) == "rules");
        let mut blocks = blocks(&resource.block.body, "rules").peekable();
        match (object.get("rules").is_some_and(|rules| rules.value != Value::Null), blocks.peek()) {
            (true, None) => {}
            (true, Some(block)) => {
                let message = "`rules` is there as an argument and as blocks; write one of both".to_owned();
                self.refuse_at(&resource.source.origin(*block), address, message);
                return None;
            }
            // `rules` is missing, which the reader of rulesets refuses.
            (false, None) if !is_dynamic => {
                object.remove("rules");
            }
            (false, _) => {
                let rules = blocks.map(|block| self.rule_block(block, address, frame)).collect();
                let origin = Some(resource.source.origin(resource.block));
                object.insert("rules".to_owned(), Item { value: Value::List(rules), origin });
            }
        }
        Some(object)
    }

    /// A rule as provider 4 has it.
    fn rule_block(&mut self, block: &'a Block, address: &str, frame: &Frame<'a>) -> Item {
        let origin = Some(frame.source.origin(block));
        Item { value: self.nested(&block.body, address, frame), origin }
    }

    /// Nested blocks as provider 4 has them, as the objects that provider 5 has. Blocks of one name become a list.
    fn nested(&mut self, body: &'a Body, address: &str, frame: &Frame<'a>) -> Value {
        let mut object: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for structure in body {
            let (name, item) = match structure {
                Structure::Attribute(argument) => {
                    let origin = Some(origin(frame.source, argument));
                    match self.scope.evaluate(&argument.value, frame) {
                        Ok(value) => (argument.key.as_str(), Item { value, origin }),
                        Err(trouble) => {
                            self.refuse(&trouble, address);
                            continue;
                        }
                    }
                }
                Structure::Block(block) if block.labels.is_empty() => {
                    let origin = Some(frame.source.origin(block));
                    (block.ident.as_str(), Item { value: self.nested(&block.body, address, frame), origin })
                }
                Structure::Block(block) => {
                    let message = format!("the block `{}` is not evaluated", described(block));
                    self.refuse_at(&frame.source.origin(block), address, message);
                    continue;
                }
            };
            object.entry(name.to_owned()).or_default().push(item);
        }
        let one = |(name, mut items): (String, Vec<Item>)| {
            let item = match items.len() {
                1 => items.swap_remove(0),
                _ => Item {
                    origin: items.first().and_then(|item| item.origin.clone()),
                    value: Value::List(items),
                },
            };
            (name, item)
        };
        Value::Object(object.into_iter().map(one).collect())
    }

    fn route(&mut self, resource: Resource<'a>, address: &str, frame: &Frame<'a>) {
        let at = resource.source.origin(resource.block);
        let texts =
            ["pattern", "script", "script_name"].map(|name| self.text(resource, name, address, frame));
        let [Some(pattern), Some(script), Some(script_name)] = texts else { return };
        let Some(pattern) = pattern else {
            return self.refuse_at(&at, address, "`pattern` is missing".to_owned());
        };
        let written =
            resource.argument("pattern").map_or(at.clone(), |pattern| resource.source.origin(pattern));
        if let Err(error) = Route::check(&pattern) {
            return self.refuse_at(&written, address, error);
        }
        if self.module.routes.iter().any(|route| route.pattern == pattern) {
            let message = format!("the pattern `{pattern}` stands in another route as well");
            return self.refuse_at(&written, address, message);
        }
        if script.is_some() && script_name.is_some() {
            return self.refuse_at(&at, address, "there are both `script` and `script_name`".to_owned());
        }
        let script = script.or(script_name);
        match (&script, &self.worker) {
            (Some(script), Some((other, first))) if script != other => {
                let message = format!(
                    "the Worker is `{script}`, and that of {first} is `{other}`: one Worker is simulated"
                );
                return self.refuse_at(&at, address, message);
            }
            (Some(script), None) => self.worker = Some((script.clone(), address.to_owned())),
            _ => {}
        }
        self.module.routes.push(Route { pattern, script });
    }

    /// An argument that is a string, null or missing; `None`: there is a finding.
    pub(super) fn text(
        &mut self,
        resource: Resource<'a>,
        name: &str,
        address: &str,
        frame: &Frame<'a>,
    ) -> Option<Option<String>> {
        let Some(expression) = resource.argument(name) else { return Some(None) };
        let text = self.value(expression, frame).and_then(|value| {
            let text = convert::text(value);
            text.map_err(|fault| frame.trouble(expression, fault))
        });
        match text {
            Ok(text) => Some(text.as_text().map(str::to_owned)),
            Err(trouble) => {
                self.refuse(&trouble, address);
                None
            }
        }
    }
}

/// Index, name and value of each instance.
type Instances = Vec<(String, &'static str, Value)>;

fn counted(count: Value) -> Result<Instances, Fault> {
    match convert::number(count)? {
        Value::Whole(count) if (0..=MAX_INSTANCES as i64).contains(&count) => {
            let instance = |n: i64| {
                let index = Item::from(Value::Whole(n));
                (n.to_string(), "count", Value::Object(BTreeMap::from([("index".to_owned(), index)])))
            };
            Ok((0..count).map(instance).collect())
        }
        other => {
            let message = format!("`count` is {other}; evaluated are 0 to {MAX_INSTANCES}");
            Err(Fault::NotEvaluated(message))
        }
    }
}

fn repeated(each: Value) -> Result<Instances, Fault> {
    let each = match each {
        Value::List(_) => {
            return Err(Fault::Terraform(
                "`for_each` is a list; write an object, or `toset` of strings".to_owned(),
            ));
        }
        other => convert::pairs(other)?,
    };
    if each.len() > MAX_INSTANCES {
        return Err(Fault::NotEvaluated(format!("`for_each` has more than {MAX_INSTANCES} elements")));
    }
    let instance = |(key, item): (Value, Item)| {
        let name = key.to_string();
        (
            name,
            "each",
            Value::Object(BTreeMap::from([("key".to_owned(), key.into()), ("value".to_owned(), item)])),
        )
    };
    Ok(each.into_iter().map(instance).collect())
}
