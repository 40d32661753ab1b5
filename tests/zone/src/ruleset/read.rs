//! Reads rules and rulesets, and refuses each field and value that is not simulated, with its line.

use serde::de::DeserializeOwned;
use serde_json::Map;

use super::fields::{self, Field, Kind, Reading};
use super::{Action, Phase, Rule, Ruleset};
use crate::expression::{Expression, ExpressionError};
use crate::finding::{Findings, Origin};
use crate::firewall::Matching;
use crate::value::{Item, Value};

/// Reads a ruleset. `None`: it has no effect on requests, or `findings` says why it is refused.
pub fn ruleset(item: &Item, address: &str, findings: &mut Findings) -> Option<Ruleset> {
    let known = findings.count();
    let phase = item.value.get("phase").and_then(|phase| phase.value.as_text());
    if phase.is_some_and(|phase| fields::PHASES_WITHOUT_EFFECT.contains(&phase)) {
        return None;
    }
    let mut reader = Reader { findings, outer: item.origin.as_ref() };
    reader.check(item, address, fields::RULESET);
    let read: Option<Ruleset> = reader.typed(item, address, fields::RULESET, known);
    let phase = Phase::ORDER.into_iter().find(|simulated| phase == Some(simulated.name()))?;
    let rules = self::rules(item.value.get("rules")?, address, phase, findings);
    read.filter(|_| findings.count() == known).map(|read| Ruleset {
        rules,
        origin: item.origin.clone(),
        ..read
    })
}

/// Reads a list of rules of a phase; those that `findings` tells of are left out.
pub fn rules(item: &Item, address: &str, phase: Phase, findings: &mut Findings) -> Vec<Rule> {
    let Value::List(items) = &item.value else {
        let message = format!("`rules` is {}; write a list of rules", described(&item.value));
        findings.add(item.origin.as_ref(), address, message);
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (n, rule) in items.iter().enumerate() {
        let rule = Item { origin: rule.origin.clone().or_else(|| item.origin.clone()), ..rule.clone() };
        let label = rule.value.get("ref").and_then(|label| label.value.as_text());
        let label = label.map_or_else(String::new, |label| format!(" (`{label}`)"));
        let address = format!("{address}{}rules[{n}]{label}", if address.is_empty() { "" } else { ": " });
        rules.extend(self::rule(&rule, &address, phase, findings));
    }
    rules
}

/// Reads a rule of a phase. `None`: `findings` says why it is refused.
pub fn rule(item: &Item, address: &str, phase: Phase, findings: &mut Findings) -> Option<Rule> {
    let known = findings.count();
    let mut reader = Reader { findings, outer: item.origin.as_ref() };
    if matches!(item.value.get("enabled"), Some(Item { value: Value::Bool(false), .. })) {
        return Some(disabled(item));
    }
    reader.check(item, address, fields::RULE);
    let action = item.value.get("action").and_then(|action| action.value.as_text()).unwrap_or_default();
    let parameters = item.value.get("action_parameters").filter(|parameters| parameters.value != Value::Null);
    if let Some(parameters) = parameters {
        reader.check(parameters, &format!("{address}.action_parameters"), fields::parameters_of(action));
    } else if matches!(action, "skip" | "execute") {
        reader.refuse(item, address, format!("the action `{action}` has no `action_parameters`"));
    }
    let is_limit = item.value.get("ratelimit").is_some_and(|limit| limit.value != Value::Null);
    if is_limit != (phase == Phase::RateLimit) {
        let message = if is_limit { "`ratelimit` belongs into" } else { "`ratelimit` is missing, in" };
        reader.refuse(item, address, format!("{message} the phase http_ratelimit"));
    }
    let mut read: Rule = reader.typed(item, address, fields::RULE, known)?;
    if let Some(parameters) = parameters {
        read.action_parameters =
            Some(reader.typed(parameters, address, fields::parameters_of(action), known)?);
    }
    reader.compile(item, address, &read, phase, known)?;
    Some(Rule { origin: item.origin.clone(), ..read })
}

/// Cloudflare evaluates nothing of it, so only what it is called is read.
fn disabled(item: &Item) -> Rule {
    let text = |name| item.value.get(name).and_then(|item| item.value.as_text()).map(str::to_owned);
    Rule {
        id: text("id"),
        version: None,
        reference: text("ref"),
        description: text("description"),
        expression: text("expression").unwrap_or_default(),
        action: Action::Other(text("action").unwrap_or_default()),
        action_parameters: None,
        enabled: false,
        logging: None,
        ratelimit: None,
        last_updated: None,
        origin: item.origin.clone(),
    }
}

struct Reader<'f> {
    findings: &'f mut Findings,
    /// For values that are written nowhere.
    outer: Option<&'f Origin>,
}

impl Reader<'_> {
    fn refuse(&mut self, item: &Item, address: &str, message: String) {
        self.findings.add(item.origin.as_ref().or(self.outer), address, message);
    }

    /// Checks the names and the kinds of an object's fields.
    fn check(&mut self, item: &Item, address: &str, fields: &[Field]) {
        let Value::Object(object) = &item.value else {
            return self.refuse(
                item,
                address,
                format!("this is {}; write an object", described(&item.value)),
            );
        };
        for (name, item) in object.iter().filter(|(_, item)| item.value != Value::Null) {
            match fields.iter().find(|field| field.name == name).map(|field| &field.reading) {
                Some(Reading::Evaluated(kind)) => self.check_kind(item, address, name, *kind),
                Some(Reading::WithoutEffect) => {}
                Some(Reading::NotSimulated(why)) => {
                    self.refuse(item, address, format!("`{name}` is not simulated: {why}"));
                }
                None => {
                    let may_stand = |field: &&Field| !matches!(field.reading, Reading::NotSimulated(_));
                    let names: Vec<_> = fields.iter().filter(may_stand).map(|field| field.name).collect();
                    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                    self.refuse(
                        item,
                        address,
                        format!("`{name}` is not simulated; what may stand here: {names}"),
                    );
                }
            }
        }
        let is_missing = |field: &&Field| {
            field.is_required && object.get(field.name).is_none_or(|item| item.value == Value::Null)
        };
        for field in fields.iter().filter(is_missing) {
            self.refuse(item, address, format!("`{}` is missing", field.name));
        }
    }

    fn check_kind(&mut self, item: &Item, address: &str, name: &str, kind: Kind) {
        let wanted = match (kind, &item.value) {
            (_, Value::Unknown(reference)) => {
                let message = format!("`{name}` depends on `{reference}`, which only the provider knows");
                return self.refuse(item, address, message);
            }
            (Kind::Object(fields), Value::Object(_)) => {
                return self.check(item, &format!("{address}.{name}"), fields);
            }
            (Kind::ListOf(_) | Kind::Texts, Value::List(items)) => {
                let kind = if let Kind::ListOf(values) = kind { Kind::OneOf(values) } else { Kind::Text };
                items.iter().for_each(|item| self.check_kind(item, address, name, kind));
                return;
            }
            (Kind::TextsByName, Value::Object(object)) => {
                object.values().for_each(|item| self.check_kind(item, address, name, Kind::Texts));
                return;
            }
            (Kind::OneOf(values), Value::Text(text)) if values.contains(&text.as_str()) => return,
            (Kind::Text, Value::Text(_))
            | (Kind::Whole, Value::Whole(0..))
            | (Kind::Flag, Value::Bool(_))
            | (Kind::Texts | Kind::ListOf(_), Value::Set(_))
            | (Kind::Any, _) => return,
            (Kind::OneOf(values), Value::Text(text)) => {
                let message =
                    format!("`{name}` is `{text}`, which is not simulated; simulated: {}", values.join(", "));
                return self.refuse(item, address, message);
            }
            (Kind::Text | Kind::OneOf(_), _) => "a string",
            (Kind::Whole, _) => "a whole number, 0 or more",
            (Kind::Flag, _) => "true or false",
            (Kind::Texts | Kind::ListOf(_), _) => "a list of strings",
            (Kind::TextsByName, _) => "an object of lists of strings",
            (Kind::Object(_), _) => "an object",
        };
        self.refuse(item, address, format!("`{name}` is {}; write {wanted}", described(&item.value)));
    }

    /// The evaluated fields as their type; `None` if there are more findings than were `known`.
    fn typed<T: DeserializeOwned>(
        &mut self,
        item: &Item,
        address: &str,
        fields: &[Field],
        known: usize,
    ) -> Option<T> {
        if self.findings.count() > known {
            return None;
        }
        let evaluated = |field: &&Field| {
            matches!(field.reading, Reading::Evaluated(_))
                && !matches!(field.name, "action_parameters" | "rules")
        };
        let mut object = Map::new();
        for field in fields.iter().filter(evaluated) {
            if let Some(value) = item.value.get(field.name) {
                object.insert(field.name.to_owned(), value.value.to_json());
            }
        }
        match serde_json::from_value(object.into()) {
            Ok(typed) => Some(typed),
            Err(error) => {
                self.refuse(item, address, error.to_string());
                None
            }
        }
    }

    /// Compiles what the rule matches, so that an expression is refused with its own line.
    fn compile(&mut self, item: &Item, address: &str, rule: &Rule, phase: Phase, known: usize) -> Option<()> {
        let limit = item.value.get("ratelimit");
        let counting = limit.and_then(|limit| limit.value.get("counting_expression"));
        type Parse = fn(&str) -> Result<Expression, ExpressionError>;
        let expressions: [(_, _, Parse); 2] = [
            ("expression", item.value.get("expression"), Expression::parse),
            ("counting_expression", counting, Expression::parse_counting),
        ];
        for (name, item, parse) in expressions {
            if let Some(item) = item
                && let Some(text) =
                    item.value.as_text().filter(|text| !text.is_empty() || name == "expression")
                && let Err(error) = parse(text)
            {
                self.refuse(item, address, format!("`{name}`: {error}"));
            }
        }
        if self.findings.count() > known {
            return None;
        }
        if let Err(error) = Matching::of(rule, phase) {
            self.refuse(limit.unwrap_or(item), address, error.to_string());
        }
        (self.findings.count() == known).then_some(())
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Unknown(reference) => format!("`{reference}`, which only the provider knows"),
        other => other.kind().to_owned(),
    }
}
