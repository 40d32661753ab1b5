//! Where rules come from: Terraform, or what Cloudflare's API says, or both.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::finding::Findings;
use crate::json;
use crate::route::Route;
use crate::ruleset::{Phase, Rule, Ruleset, read};
use crate::terraform::Module;
use crate::terraform::values::{self, Values};
use crate::value::{Item, Value};

/// A zone's rules and routes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Entry points, and what they execute.
    pub rulesets: Vec<Ruleset>,
    /// Of its Workers.
    pub routes: Vec<Route>,
}

impl Rules {
    /// From a folder of Terraform, with values for its variables.
    ///
    /// # Errors
    ///
    /// Terraform would refuse it, or it has something that is not evaluated and may change what the zone does.
    pub fn terraform(folder: &Path, values: &Values) -> Result<Self> {
        let module = Module::read(folder, values)?;
        Ok(Self { rulesets: module.rulesets, routes: module.routes })
    }

    /// With the rulesets of a JSON text: one, several, or an answer of the API that has them as its `result`. An entry point
    /// replaces the one that its phase had before. `file` is what findings call the text.
    ///
    /// # Errors
    ///
    /// It holds no rulesets, or something of them is not simulated.
    pub fn with_json(mut self, file: &str, text: &str) -> Result<Self> {
        let mut findings = Findings::default();
        let item = result(json::read(file, text)?, &mut findings);
        let (items, is_list) = match item.value {
            Value::List(items) => (items, true),
            _ => (vec![item], false),
        };
        let mut rulesets: Vec<Ruleset> = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let address = if is_list { format!("[{n}]") } else { String::new() };
            let Some(ruleset) = read::ruleset(item, &address, &mut findings) else { continue };
            if ruleset.kind == "zone" && rulesets.iter().any(|other| is_entry_point(other, ruleset.phase)) {
                let message = format!("{} has two entry points", ruleset.phase.name());
                findings.add(item.origin.as_ref(), address, message);
            }
            rulesets.push(ruleset);
        }
        let rulesets = findings.or(rulesets)?;
        let is_replaced = |other: &Ruleset| {
            rulesets.iter().any(|ruleset| ruleset.kind == "zone" && is_entry_point(other, ruleset.phase))
        };
        self.rulesets.retain(|other| !is_replaced(other));
        self.rulesets.extend(rulesets);
        Ok(self)
    }

    /// With one rule, as the API takes it: in the entry point of its phase, at its `position` (`index`, from 1 on; else last).
    /// `file` is what findings call the text.
    ///
    /// # Errors
    ///
    /// It is no rule, something of it is not simulated, or there is no such position.
    pub fn with_rule(mut self, file: &str, text: &str) -> Result<Self> {
        let mut findings = Findings::default();
        let mut item = json::read(file, text)?;
        let position = match &mut item.value {
            Value::Object(rule) => rule.remove("position"),
            _ => None,
        };
        let index = position.and_then(|position| index(&position, &mut findings));
        let is_limit = item.value.get("ratelimit").is_some_and(|limit| limit.value != Value::Null);
        let phase = if is_limit { Phase::RateLimit } else { Phase::Custom };
        let rule = read::rule(&item, "", phase, &mut findings);
        let Some(rule) = findings.or(rule)? else { bail!("{file} holds no rule") };
        let at = self.rulesets.iter().position(|ruleset| is_entry_point(ruleset, phase));
        let at = at.unwrap_or_else(|| {
            self.rulesets.push(Ruleset::entry_point(phase, Vec::new()));
            self.rulesets.len() - 1
        });
        let rules = &mut self.rulesets[at].rules;
        let index = index.unwrap_or(rules.len() + 1);
        ensure!(
            (1..=rules.len() + 1).contains(&index),
            "{file}: position.index is {index}, of {} rules",
            rules.len() + 1
        );
        rules.insert(index - 1, rule);
        Ok(self)
    }

    /// With rules of the API at the end of an entry point, which is made if there is none.
    #[must_use]
    pub fn with_last(mut self, phase: Phase, more: Vec<Rule>) -> Self {
        match self.rulesets.iter_mut().find(|ruleset| is_entry_point(ruleset, phase)) {
            Some(ruleset) => ruleset.rules.extend(more),
            None => self.rulesets.push(Ruleset::entry_point(phase, more)),
        }
        self
    }
}

fn is_entry_point(ruleset: &Ruleset, phase: Phase) -> bool {
    ruleset.kind == "zone" && ruleset.phase == phase
}

/// What an answer of the API holds, or the item itself if it is none. The fields beside `result` tell of the answer.
fn result(item: Item, findings: &mut Findings) -> Item {
    const ENVELOPE: &[&str] = &["result", "success", "errors", "messages", "result_info"];
    let Value::Object(answer) = &item.value else { return item };
    let Some(result) = answer.get("result").cloned() else { return item };
    for (name, other) in answer.iter().filter(|(name, _)| !ENVELOPE.contains(&name.as_str())) {
        findings.add(other.origin.as_ref(), "", format!("`{name}` is no field of an answer of the API"));
    }
    if let Some(success) = answer.get("success").filter(|success| success.value != Value::Bool(true)) {
        let errors = answer.get("errors").map_or_else(String::new, |errors| errors.value.to_string());
        findings.add(success.origin.as_ref(), "", format!("`success` is {}: {errors}", success.value));
    }
    result
}

/// `position.index`
fn index(position: &Item, findings: &mut Findings) -> Option<usize> {
    match &position.value {
        Value::Null => None,
        Value::Object(object) => {
            for (name, other) in object.iter().filter(|(name, _)| *name != "index") {
                let message = format!("`{name}` is not simulated; write `index`");
                findings.add(other.origin.as_ref(), "position", message);
            }
            match object.get("index").map(|index| &index.value) {
                Some(Value::Whole(index)) if *index >= 0 => usize::try_from(*index).ok(),
                _ => {
                    findings.add(
                        position.origin.as_ref(),
                        "position",
                        "`index` is missing, or no whole number",
                    );
                    None
                }
            }
        }
        other => {
            let message = format!("`position` is {}; write an object with `index`", other.kind());
            findings.add(position.origin.as_ref(), "", message);
            None
        }
    }
}

/// A value for a variable as it is given on a command line: `NAME=VALUE`, the value as JSON, else as text.
///
/// # Errors
///
/// There is no `=`.
pub fn variable(text: &str) -> Result<(String, Value)> {
    let Some((name, value)) = text.split_once('=') else { bail!("`{text}` is not NAME=VALUE") };
    Ok((name.trim().to_owned(), values::given(value)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn labels(rules: &Rules) -> Vec<Vec<&str>> {
        rules.rulesets.iter().map(|ruleset| ruleset.rules.iter().map(Rule::label).collect()).collect()
    }

    fn entry_point(reference: &str) -> serde_json::Value {
        let rule = json!({ "ref": reference, "expression": "ssl", "action": "block" });
        json!({ "kind": "zone", "phase": "http_request_firewall_custom", "rules": [rule] })
    }

    #[test]
    fn an_entry_point_replaces_another_and_answers_of_the_api_are_taken_as_they_are() -> Result<()> {
        let answer = json!({ "success": true, "errors": [], "messages": [], "result": entry_point("a") });
        let rules = Rules::default().with_json("x.json", &answer.to_string())?;
        assert_eq!(labels(&rules), [["a"]]);
        let rules = rules.with_json("x.json", &json!([entry_point("b")]).to_string())?;
        assert_eq!(labels(&rules), [["b"]]);
        Ok(())
    }

    #[test]
    fn a_rule_goes_where_its_position_says() -> Result<()> {
        let skip = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform/skip-rule.json"),
        )?;
        let rules = Rules::default().with_json("x.json", &entry_point("a").to_string())?;
        let first = rules.clone().with_rule("x.json", &skip)?;
        assert_eq!(labels(&first), [["spillway_skip_worker_notifications", "a"]]);
        let last = skip.replace("\"position\": { \"index\": 1 }", "\"position\": null");
        assert_eq!(
            labels(&rules.clone().with_rule("x.json", &last)?),
            [["a", "spillway_skip_worker_notifications"]]
        );
        let beyond = skip.replace("\"index\": 1", "\"index\": 3");
        assert!(
            rules
                .with_rule("x.json", &beyond)
                .expect_err("no such position")
                .to_string()
                .contains("position.index")
        );
        Ok(())
    }

    #[test]
    fn variables_are_json_or_text() -> Result<()> {
        assert_eq!(variable("plan=pro")?, ("plan".to_owned(), Value::from("pro")));
        assert_eq!(variable("object_days=40")?.1, Value::Whole(40));
        assert!(variable("origin={\"type\":\"A\"}")?.1.is_collection());
        assert!(variable("plan").is_err());
        Ok(())
    }
}
