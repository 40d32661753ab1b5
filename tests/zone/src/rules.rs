//! Where rules come from: Terraform, or what Cloudflare's API says, or both.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::finding::Findings;
use crate::json;
use crate::record::Record;
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
    /// Of its names.
    pub records: Vec<Record>,
}

impl Rules {
    /// From a folder of Terraform, with values for its variables.
    ///
    /// # Errors
    ///
    /// Terraform would refuse it, or it has something that is not evaluated and may change what the zone does.
    pub fn terraform(folder: &Path, values: &Values) -> Result<Self> {
        let module = Module::read(folder, values)?;
        Ok(Self { rulesets: module.rulesets, routes: module.routes, records: module.records })
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

    fn refused(read: Result<Rules>, expected: &[&str]) {
        let refused = read.expect_err("refused").to_string();
        for expected in expected {
            assert!(
                refused.lines().any(|line| line.starts_with(expected)),
                "{expected} is not in\n{refused}"
            );
        }
        assert_eq!(refused.lines().count(), expected.len(), "{refused}");
    }

    #[test]
    fn what_is_not_simulated_of_a_ruleset_is_refused_by_line_and_name() {
        let text = r#"[
          { "kind": "zone", "phase": "http_request_firewall_custom", "colour": "red", "rules": [
            { "ref": "a", "action": "rewrite", "expression": "ssl",
              "action_parameters": { "uri": {} } },
            { "ref": "b", "action": "block", "expression": "ssl and
               http.jwt eq \"a\"", "exposed_credential_check": {} },
            { "action": "rewrite", "expression": "whatever", "enabled": false, "colour": "red" },
            { "action": "log", "expression": "ssl", "enabled": "no" },
            { "action": "skip", "expression": "ssl", "action_parameters": {
                "ruleset": "all", "products": ["bic", "captcha"], "response": {}, "rules": { "x": "a,b" } } }
          ] },
          { "kind": "root", "phase": "http_ratelimit", "rules": [
            { "action": "block", "expression": "ssl", "ratelimit": {
                "characteristics": ["ip.src"], "period": 10, "requests_per_period": 1 } } ] },
          { "kind": "zone", "phase": "http_ratelimit", "rules": [
            { "action": "block", "expression": "ssl", "ratelimit": {
                "characteristics": ["ip.src"], "period": 10, "requests_per_period": 1 } },
            { "action": "block", "expression": "ssl", "ratelimit": {
                "characteristics": ["cf.colo.id"], "period": 10, "score_per_period": 1 } } ] },
          { "kind": "zone", "phase": "http_request_dynamic_redirect", "rules": [] },
          { "kind": "zone", "phase": "http_request_sbfm" }
        ]"#
        .replace("ssl and\n              ", "ssl and");
        let rules = "rules.json:";
        let expected = [
            "2: [0]: `colour` is not simulated; what may stand here: id, name",
            "3: [0]: rules[0] (`a`): `action` is `rewrite`, which is not simulated; simulated: block,",
            "4: [0]: rules[0] (`a`).action_parameters: `uri` is not simulated; what may stand here: nothing",
            "5: [0]: rules[1] (`b`): `exposed_credential_check` is not simulated",
            "7: [0]: rules[3]: `enabled` is a string; write true or false",
            "9: [0]: rules[4].action_parameters: `ruleset` is `all`, which is not simulated; simulated: current",
            "9: [0]: rules[4].action_parameters: `products` is `captcha`, which is not simulated",
            "9: [0]: rules[4].action_parameters: `response` is not simulated",
            "9: [0]: rules[4].action_parameters: `rules` is a string; write a list of strings",
            "11: [1]: `kind` is `root`, which is not simulated; simulated: zone, custom, managed",
            "12: [1]: rules[0]: ratelimit.characteristics lacks cf.colo.id",
            "15: [2]: rules[0]: ratelimit.characteristics lacks cf.colo.id",
            "17: [2]: rules[1].ratelimit: `requests_per_period` is missing",
            "18: [2]: rules[1].ratelimit: `score_per_period` is not simulated: write `requests_per_period`",
            "19: [3]: `phase` is `http_request_dynamic_redirect`, which is not simulated",
            "20: [4]: `rules` is missing",
        ];
        let expected: Vec<_> = expected.iter().map(|expected| format!("{rules}{expected}")).collect();
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        refused(Rules::default().with_json("rules.json", &text), &expected);
    }

    #[test]
    fn an_expression_is_refused_with_its_place() {
        let text = r#"{ "kind": "zone", "phase": "http_ratelimit", "rules": [ {
          "action": "block",
          "expression": "ssl and http.jwt eq \"a\"",
          "ratelimit": { "characteristics": ["cf.colo.id"], "period": 10, "requests_per_period": 1,
            "counting_expression": "ip.src in $office" } } ] }"#;
        let expected = [
            "rules.json:3: rules[0]: `expression`: the field `http.jwt` is not simulated, at character 9 of",
            "rules.json:5: rules[0]: `counting_expression`: lists are not simulated: `$office`, at character 11 of",
        ];
        refused(Rules::default().with_json("rules.json", text), &expected);
    }

    #[test]
    fn an_answer_that_failed_or_holds_no_rules_is_refused() {
        let failed = json!({ "success": false, "errors": [{ "code": 10000 }], "result": null });
        let read = Rules::default().with_json("x.json", &failed.to_string());
        refused(
            read,
            &["x.json:1: `success` is false: [{\"code\":10000}]", "x.json:1: this is null; write an object"],
        );
        let twice = json!([entry_point("a"), entry_point("b")]);
        let read = Rules::default().with_json("x.json", &twice.to_string());
        refused(read, &["x.json:1: [1]: http_request_firewall_custom has two entry points"]);
        refused(Rules::default().with_json("x.json", "[\n{"), &["x.json:2: this is not JSON"]);
        let logs = json!({ "kind": "zone", "phase": "http_log_custom_fields", "rules": [{ "action": "log_custom_field" }] });
        let rules = Rules::default().with_json("x.json", &logs.to_string()).expect("no effect");
        assert_eq!(rules, Rules::default());
    }

    #[test]
    fn what_is_not_simulated_of_a_rule_is_refused_by_line_and_name() {
        let rule = "{ \"action\": \"block\",\n\"expression\": \"ssl\", \"colour\": 1,\n\"position\": { \"before\": \"a\" } }";
        let expected = [
            "r.json:2: `colour` is not simulated",
            "r.json:3: position: `before` is not simulated; write `index`",
            "r.json:3: position: `index` is missing",
        ];
        refused(Rules::default().with_rule("r.json", rule), &expected);
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
