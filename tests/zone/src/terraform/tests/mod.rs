mod evaluated;
mod expressions;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::convert::Fault;
use super::*;
use crate::expression::Expression;
use crate::rate_limit::Limiter;
use crate::ruleset::{Action, Phase, Rule};
use crate::value::Value;

/// A rule that is right.
const RULE: &str = r#"{ action = "block", expression = "ssl" }"#;

/// Reads a folder of these files.
fn read(files: &[(&str, &str)]) -> Result<Module, String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }
    let read = Module::read(folder.path(), &Values::new());
    read.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

/// Reads `main.tf` with this text.
fn main(text: &str) -> Result<Module, String> {
    read(&[("main.tf", text)])
}

/// A ruleset whose body has these lines from line 5 on.
fn ruleset(lines: &str) -> String {
    format!(
        "resource \"cloudflare_ruleset\" \"this\" {{\n  zone_id = \"z\"\n  kind = \"zone\"\n  phase = \"http_request_firewall_custom\"\n{lines}\n}}\n"
    )
}

/// A route whose body has these lines from line 4 on.
fn route(lines: &str) -> String {
    format!(
        "resource \"cloudflare_workers_route\" \"this\" {{\n  zone_id = \"z\"\n  pattern = \"example.com/*\"\n{lines}\n}}\n"
    )
}

fn refused(text: &str, expected: &[&str]) {
    let refused = main(text).expect_err(text);
    for expected in expected {
        assert!(
            refused.lines().any(|line| line.starts_with(expected)),
            "{text}\nlacks {expected}, has\n{refused}"
        );
    }
    assert_eq!(refused.lines().count(), expected.len(), "{text}\n{refused}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform")
}

/// The shipped module for `ingest.example.com`, with these values over the required ones.
fn shipped(values: serde_json::Value) -> Result<Module, TerraformError> {
    let mut all = json!({
        "account_id": "0123456789abcdef0123456789abcdef", "zone_id": "fedcba9876543210fedcba9876543210",
        "zone_name": "example.com", "plan": "pro", "ingest_host": "ingest.example.com",
        "origin": { "type": "CNAME", "content": "tunnel.cfargotunnel.com" },
    });
    for (name, value) in values.as_object().expect("an object") {
        all[name] = value.clone();
    }
    Module::read(&folder(), &serde_json::from_value(all).expect("values"))
}

fn rules(module: &Module, phase: Phase) -> &[Rule] {
    &module.rulesets.iter().find(|ruleset| ruleset.phase == phase).expect("the phase").rules
}

#[test]
fn the_skip_rule_comes_first_and_is_what_the_json_says() {
    let module = shipped(json!({})).expect("the module");
    let custom = rules(&module, Phase::Custom);
    let mut first = serde_json::to_value(&custom[0]).expect("JSON");
    first["position"] = json!({ "index": 1 });
    let text = fs::read_to_string(folder().join("skip-rule.json")).expect("the file");
    let documented: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(first, documented);
    assert!(custom[1..].iter().all(|rule| rule.action != Action::Skip));
    assert_eq!(
        module.routes,
        [Route {
            pattern: "ingest.example.com/*".to_owned(),
            script: Some("spillway-edge-ingest".to_owned())
        }]
    );
}

#[test]
fn before_the_worker_is_up_there_is_no_route() {
    let module = shipped(json!({ "worker_deployed": false })).expect("the module");
    assert_eq!((module.routes.len(), module.rulesets.len()), (0, 2));
}

#[test]
fn no_rule_looks_at_what_a_client_can_send_or_a_plan_below_business_lacks() {
    for plan in ["free", "pro", "business", "enterprise"] {
        let module = shipped(json!({ "plan": plan })).expect(plan);
        let all = module.rulesets.iter().flat_map(|ruleset| &ruleset.rules);
        for rule in all {
            let lower = rule.expression.to_ascii_lowercase();
            assert!(
                !lower.contains("cf-worker") && !lower.contains("matches") && !lower.contains('~'),
                "{lower}"
            );
        }
    }
}

#[test]
fn every_rule_can_be_evaluated_on_every_plan_and_keeps_to_it() {
    for (plan, most, counts_answers) in
        [("free", 1, false), ("pro", 2, false), ("business", 5, true), ("enterprise", 100, true)]
    {
        let module = shipped(json!({ "plan": plan })).expect(plan);
        for rule in rules(&module, Phase::Custom) {
            Expression::parse(&rule.expression).expect("an expression");
        }
        let limits = rules(&module, Phase::RateLimit);
        assert!(limits.len() <= most, "{plan}");
        for rule in limits {
            let limit = rule.ratelimit.as_ref().expect("a limit");
            Limiter::new(&rule.expression, limit).expect("a limit that Cloudflare takes");
            assert_eq!(plan == "free", !rule.expression.contains("http.host"), "{plan}: {}", rule.expression);
        }
        let counted =
            limits.iter().any(|rule| rule.reference.as_deref() == Some("spillway_wrong_keys_by_address"));
        assert_eq!(counted, counts_answers, "{plan}");
    }
}

#[test]
fn the_zones_own_rules_keep_their_order_behind_the_skip_rule() {
    let rule = |reference: &str| json!({ "ref": reference, "expression": "ssl", "action": "log" });
    let limit = |reference: &str| {
        json!({ "ref": reference, "expression": "ssl", "action": "block", "ratelimit": {
            "characteristics": ["cf.colo.id", "ip.src"], "period": 10, "requests_per_period": 1, "mitigation_timeout": 10 } })
    };
    let module = shipped(json!({
        "plan": "business",
        "custom_rules_before": [rule("a"), rule("b")], "custom_rules_after": [rule("c")],
        "rate_limit_rules_before": [limit("d")], "rate_limit_rules_after": [limit("e")],
    }))
    .expect("the module");
    let labels = |phase| rules(&module, phase).iter().map(Rule::label).collect::<Vec<_>>();
    assert_eq!(
        labels(Phase::Custom),
        [
            "spillway_skip_worker_notifications",
            "a",
            "b",
            "spillway_known_paths",
            "spillway_known_methods",
            "c"
        ]
    );
    assert_eq!(
        labels(Phase::RateLimit),
        ["d", "spillway_exports_by_address", "spillway_wrong_keys_by_address", "e"]
    );
}

#[test]
fn the_skip_rule_follows_the_notification() {
    let values = json!({ "zone_name": "example.net", "ingest_host": "in.example.net", "notify_host": "app.example.net", "notify_path": "/internal/notify" });
    let module = shipped(values).expect("the module");
    assert_eq!(
        rules(&module, Phase::Custom)[0].expression,
        "(http.host eq \"app.example.net\" and http.request.uri.path eq \"/internal/notify\" and \
         cf.worker.upstream_zone eq \"example.net\")"
    );
}

#[test]
fn what_is_wrong_is_refused_by_its_name() {
    let limit = json!({ "expression": "ssl", "action": "block", "ratelimit": { "characteristics": ["cf.colo.id"], "period": 10, "requests_per_period": 1 } });
    for (values, named) in [
        (json!({ "account_id": "acme" }), "account_id"),
        (json!({ "zone_name": "https://example.com" }), "zone_name"),
        (json!({ "plan": "gold" }), "plan is one of"),
        (json!({ "ingest_host": "ingest.example.net" }), "ingest_host lies in the zone"),
        (json!({ "notify_path": "v1" }), "notify_path"),
        (json!({ "notify_path": "/a\" or true" }), "notify_path"),
        (json!({ "notify_host": "a\" or \"" }), "notify_host"),
        (json!({ "bucket_location": "moon" }), "bucket_location"),
        (json!({ "object_days": 31 }), "more than ledger_days"),
        (json!({ "object_days": 1, "ledger_days": 0 }), "at least twice"),
        (json!({ "delete_after_days": 60 }), "delete_after_days"),
        (json!({ "dead_letter_days": 1 }), "dead_letter_days"),
        (json!({ "rate_limit_period": 11 }), "rate_limit_period is one of"),
        (json!({ "plan": "free", "rate_limit_period": 60 }), "free counts over 10 s at most"),
        (json!({ "plan": "free", "rate_limit_timeout": 60 }), "free refuses for 10 s at most"),
        (
            json!({ "plan": "free", "rate_limit_rules_after": [limit] }),
            "free has 1 rate limiting rules; these are 2",
        ),
        (json!({ "no_such_variable": 1 }), "no variable `no_such_variable`"),
    ] {
        let error = shipped(values.clone()).expect_err(named).to_string();
        assert!(error.contains(named), "{values}: {error}");
    }
    let error = Module::read(&folder(), &BTreeMap::new()).expect_err("values are required").to_string();
    assert!(error.contains("is required"), "{error}");
}

#[test]
fn other_modules_are_read_as_terraform_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = r#"
        variable "name" { default = "example.org" }
        variable "limit" { type = number }
        locals {
          rules = [for rule in local.raw : { action = rule.action, expression = "(${rule.expression})" } if rule.on]
          raw   = [
            { on = true, action = var.limit > 5 ? "block" : "log", expression = "http.host eq \"${var.name}\"" },
            { on = false, action = "block", expression = "true" },
          ]
          unknown = cloudflare_zone.this.id
        }
        resource "cloudflare_zone" "this" { name = var.name }
        resource "cloudflare_ruleset" "this" {
          zone_id = cloudflare_zone.this.id
          name    = "default"
          kind    = "zone"
          phase   = "http_request_firewall_custom"
          rules = concat(local.rules, [{
            action            = "skip"
            action_parameters = { ruleset = "current" }
            expression        = <<-EOT
              ssl
            EOT
          }])
        }
    "#;
    fs::write(folder.path().join("main.tf"), module).expect("written");
    let module = Module::read(folder.path(), &BTreeMap::from([("limit".to_owned(), Value::Whole(6))]))
        .expect("the module");
    let rules = rules(&module, Phase::Custom);
    assert_eq!(
        rules.iter().map(|rule| rule.action.clone()).collect::<Vec<_>>(),
        [Action::Block, Action::Skip]
    );
    assert_eq!(rules[0].expression, "(http.host eq \"example.org\")");
    assert_eq!(rules[1].expression.trim(), "ssl");
}
