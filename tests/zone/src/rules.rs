//! Where rules come from: Terraform, or what Cloudflare's API says, or both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hcl::Value;
use serde::Deserialize;

use crate::route::Route;
use crate::ruleset::{Phase, Rule, Ruleset};
use crate::terraform::Module;

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
    /// Terraform would refuse it, or it asks for what is not known here.
    pub fn terraform(folder: &Path, values: &BTreeMap<String, Value>) -> Result<Self> {
        let module = Module::read(folder, values).with_context(|| format!("{}", folder.display()))?;
        Ok(Self { rulesets: module.rulesets, routes: module.routes })
    }

    /// With the rulesets of a JSON text: one, several, or an answer of the API that has them as its `result`. An entry point
    /// replaces the one of its phase.
    ///
    /// # Errors
    ///
    /// It holds no rulesets.
    pub fn with_json(mut self, text: &str) -> Result<Self> {
        let mut json: serde_json::Value = serde_json::from_str(text)?;
        if let Some(result) = json.get_mut("result") {
            json = result.take();
        }
        let rulesets: Vec<Ruleset> = match json {
            serde_json::Value::Array(_) => serde_json::from_value(json)?,
            one => vec![serde_json::from_value(one)?],
        };
        for ruleset in rulesets {
            if ruleset.kind == "zone" {
                self.rulesets.retain(|other| other.kind != "zone" || other.phase != ruleset.phase);
            }
            self.rulesets.push(ruleset);
        }
        Ok(self)
    }

    /// With one rule, as the API takes it: in the entry point of its phase, at its `position` (`index`, from 1 on; else last).
    ///
    /// # Errors
    ///
    /// It is no rule, or there is no such position.
    pub fn with_rule(mut self, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Placed {
            #[serde(flatten)]
            rule: Rule,
            position: Option<Position>,
        }
        #[derive(Deserialize)]
        struct Position {
            index: usize,
        }
        let Placed { rule, position } = serde_json::from_str(text)?;
        let phase = if rule.ratelimit.is_some() { Phase::RateLimit } else { Phase::Custom };
        let at = self.rulesets.iter().position(|ruleset| ruleset.kind == "zone" && ruleset.phase == phase);
        let at = at.unwrap_or_else(|| {
            self.rulesets.push(Ruleset::entry_point(phase, Vec::new()));
            self.rulesets.len() - 1
        });
        let rules = &mut self.rulesets[at].rules;
        let index = position.map_or(rules.len() + 1, |position| position.index);
        ensure!(
            (1..=rules.len() + 1).contains(&index),
            "position.index is {index}, of {} rules",
            rules.len() + 1
        );
        rules.insert(index - 1, rule);
        Ok(self)
    }

    /// With rules of the API at the end of an entry point, which is made if there is none.
    #[must_use]
    pub fn with_last(mut self, phase: Phase, more: Vec<Rule>) -> Self {
        match self.rulesets.iter_mut().find(|ruleset| ruleset.kind == "zone" && ruleset.phase == phase) {
            Some(ruleset) => ruleset.rules.extend(more),
            None => self.rulesets.push(Ruleset::entry_point(phase, more)),
        }
        self
    }
}

/// A value for a variable as it is given on a command line: JSON, else text.
pub fn variable(text: &str) -> Result<(String, Value)> {
    let Some((name, value)) = text.split_once('=') else { bail!("`{text}` is not NAME=VALUE") };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.trim().to_owned(), value))
}

/// Values for variables from a file `*.tfvars` or `*.tfvars.json`.
///
/// # Errors
///
/// The file cannot be read.
pub fn variables(path: &Path) -> Result<BTreeMap<String, Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let read = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(anyhow::Error::from)
    } else {
        hcl::from_str(&text).map_err(anyhow::Error::from)
    };
    read.with_context(|| format!("{}", path.display()))
}

#[cfg(test)]
mod tests {
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
        let rules = Rules::default().with_json(&answer.to_string())?;
        assert_eq!(labels(&rules), [["a"]]);
        let rules = rules.with_json(&json!([entry_point("b")]).to_string())?;
        assert_eq!(labels(&rules), [["b"]]);
        Ok(())
    }

    #[test]
    fn a_rule_goes_where_its_position_says() -> Result<()> {
        let skip = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform/skip-rule.json"),
        )?;
        let rules = Rules::default().with_json(&entry_point("a").to_string())?;
        let first = rules.clone().with_rule(&skip)?;
        assert_eq!(labels(&first), [["spillway_skip_worker_notifications", "a"]]);
        let last = skip.replace("\"position\": { \"index\": 1 }", "\"position\": null");
        assert_eq!(labels(&rules.clone().with_rule(&last)?), [["a", "spillway_skip_worker_notifications"]]);
        let beyond = skip.replace("\"index\": 1", "\"index\": 3");
        assert!(
            rules.with_rule(&beyond).expect_err("no such position").to_string().contains("position.index")
        );
        Ok(())
    }

    #[test]
    fn variables_are_json_or_text() -> Result<()> {
        assert_eq!(variable("plan=pro")?, ("plan".to_owned(), Value::from("pro")));
        assert_eq!(variable("object_days=40")?.1, Value::from(40));
        assert!(variable("origin={\"type\":\"A\"}")?.1.is_object());
        assert!(variable("plan").is_err());
        Ok(())
    }
}
