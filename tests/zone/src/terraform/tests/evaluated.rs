//! What Terraform and its provider evaluate, and so does the simulator.

use super::*;

#[test]
fn rules_as_blocks_are_rules() {
    let text = ruleset(
        r#"
  rules {
    ref = "first"
    action = "skip"
    expression = "ssl"
    action_parameters {
      ruleset = "current"
      products = ["bic"]
    }
    logging {
      enabled = true
    }
  }
  rules {
    action = "block"
    expression = "http.host eq \"${local.host}\""
    enabled = false
  }"#,
    );
    let module = main(&format!("{text}locals {{\n  host = \"a\"\n}}\n")).expect("the module");
    let rules = rules(&module, Phase::Custom);
    assert_eq!(rules.iter().map(|rule| rule.enabled).collect::<Vec<_>>(), [true, false]);
    assert_eq!((rules[0].label(), rules[0].action.clone()), ("first", Action::Skip));
    let parameters = rules[0].action_parameters.as_ref().expect("parameters");
    assert_eq!(parameters.ruleset.as_deref(), Some("current"));
    assert_eq!(rules[1].expression, "http.host eq \"a\"");
    assert_eq!(rules[0].origin.as_ref().map(|origin| origin.line), Some(6));
    refused(
        &ruleset("  rules = [{ action = \"block\", expression = \"ssl\" }]\n  rules {}"),
        &["main.tf:6: cloudflare_ruleset.this: `rules` is there as an argument and as blocks"],
    );
}

#[test]
fn blocks_of_one_name_with_other_labels_are_all_read() {
    let limits =
        ruleset("  rules = []").replace("_firewall_custom", "").replace("http_request", "http_ratelimit");
    let limits = limits.replace("\"this\"", "\"limits\"");
    let other =
        route("  script = \"w\"").replace("\"this\"", "\"other\"").replace("example.com/*", "example.com/a*");
    let rules = ruleset(&format!("  rules = [{RULE}]"));
    let module = main(&format!("{rules}{limits}{}{other}", route("  script = \"w\""))).expect("the module");
    let phases: Vec<_> = module.rulesets.iter().map(|ruleset| ruleset.phase).collect();
    assert_eq!(phases, [Phase::RateLimit, Phase::Custom]);
    assert_eq!(module.routes.len(), 2);
    refused(
        &ruleset(
            "  rules {\n    action = \"block\"\n    expression = \"ssl\"\n  }\n  rules \"more\" {\n    action = \"block\"\n    expression = \"ssl\"\n  }",
        ),
        &["main.tf:9: cloudflare_ruleset.this: the block `rules \"more\"` has labels; `rules` has none"],
    );
    refused(
        &format!(
            "{rules}{}",
            rules.replace("http_request_firewall_custom", "http_ratelimit").replace(RULE, "")
        ),
        &["main.tf:7: cloudflare_ruleset.this: this resource stands twice"],
    );
}

#[test]
fn a_script_name_is_a_worker() {
    let script = |text: &str| main(text).expect(text).routes[0].script.clone();
    assert_eq!(script(&route("  script = \"w\"")).as_deref(), Some("w"));
    assert_eq!(script(&route("  script_name = \"w\"")).as_deref(), Some("w"));
    let former =
        route("  script_name = \"w\"").replace("cloudflare_workers_route", "cloudflare_worker_route");
    assert_eq!(script(&former).as_deref(), Some("w"));
    assert_eq!(script(&route("")), None);
    let worker = "resource \"cloudflare_workers_script\" \"edge\" {\n  script_name = \"w\"\n  content = file(\"x\")\n}\n";
    let by_reference = format!("{}{worker}", route("  script = cloudflare_workers_script.edge.script_name"));
    assert_eq!(script(&by_reference).as_deref(), Some("w"));
    refused(
        &route("  script = \"a\"\n  script_name = \"b\""),
        &["main.tf:1: cloudflare_workers_route.this: there are both `script` and `script_name`"],
    );
    refused(
        &format!("{}{worker}", route("  script = cloudflare_workers_script.edge.id")),
        &[
            "main.tf:4: cloudflare_workers_route.this: this depends on `cloudflare_workers_script.edge.id`, which only the provider knows",
        ],
    );
    let other = route("  script = \"b\"").replace("\"this\"", "\"zz\"");
    refused(
        &format!("{}{other}", route("  script = \"b\"")),
        &[
            "main.tf:8: cloudflare_workers_route.zz: the pattern `example.com/*` stands in another route as well",
        ],
    );
    refused(
        &route("  script = \"b\"").replace("com/*", "com/*/x"),
        &["main.tf:3: cloudflare_workers_route.this: the pattern `example.com/*/x` has `*` elsewhere"],
    );
    let other = other.replace("example.com", "other.com");
    refused(
        &format!("{}{other}", route("  script = \"a\"")),
        &[
            "main.tf:6: cloudflare_workers_route.zz: the Worker is `b`, and that of cloudflare_workers_route.this is `a`",
        ],
    );
}

#[test]
fn count_and_for_each_repeat_a_resource() {
    let patterns = |lines: &str| {
        let text = route(&format!("  script = \"w\"\n{lines}"));
        let module = main(&text.replace("example.com/*", "example.com/${try(each.key, count.index, \"\")}"));
        module.map(|module| module.routes.into_iter().map(|route| route.pattern).collect::<Vec<_>>())
    };
    assert_eq!(patterns("  count = 0"), Ok(vec![]));
    assert_eq!(patterns("  count = \"2\""), Ok(vec!["example.com/0".to_owned(), "example.com/1".to_owned()]));
    let keys = Ok(vec!["example.com/a".to_owned(), "example.com/b".to_owned()]);
    assert_eq!(patterns("  for_each = { b = 1, a = 2 }"), keys);
    assert_eq!(patterns("  for_each = toset([\"b\", \"a\"])"), keys);
    for (lines, expected) in [
        ("  count = -1", "main.tf:5: cloudflare_workers_route.this: `count` is -1; evaluated are 0 to 1000"),
        (
            "  count = 1001",
            "main.tf:5: cloudflare_workers_route.this: `count` is 1001; evaluated are 0 to 1000",
        ),
        ("  count = true", "main.tf:5: cloudflare_workers_route.this: this is true or false, not a number"),
        (
            "  count = length(data.x.y.z)",
            "main.tf:5: cloudflare_workers_route.this: this depends on `data.x.y.z`",
        ),
        ("  for_each = [\"a\"]", "main.tf:5: cloudflare_workers_route.this: `for_each` is a list"),
        (
            "  for_each = fileset(\".\", \"*\")",
            "main.tf:5: cloudflare_workers_route.this: the function `fileset` is not evaluated",
        ),
        (
            "  count = 1\n  for_each = {}",
            "main.tf:5: cloudflare_workers_route.this: there are both `count` and `for_each`",
        ),
    ] {
        let refused = patterns(lines).expect_err(lines);
        assert!(refused.starts_with(expected) && refused.lines().count() == 1, "{lines}: {refused}");
    }
}

#[test]
fn a_phase_without_a_say_in_requests_is_passed_over() {
    let logs = ruleset("  rules = [{ action = \"log_custom_field\", foo = 1 }]");
    let logs = logs.replace("http_request_firewall_custom", "http_log_custom_fields");
    assert_eq!(main(&logs).expect("the module").rulesets, []);
}

#[test]
fn files_of_values_hold_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        values::of_file(&path)
    };
    let read = file("a.tfvars", "a = [1, \"b\"]\nb = { c = null }\n").expect("values");
    assert_eq!(read["a"].to_json(), json!([1, "b"]));
    assert_eq!(
        file("a.tfvars.json", "{\"a\": {\"b\": 1.5}}").expect("values")["a"].to_json(),
        json!({ "b": 1.5 })
    );
    for (text, expected) in [
        ("a = 1\nb {}\n", "a.tfvars:2: the block `b` is not a value"),
        ("a = 1\nb = var.a\n", "a.tfvars:2: b: there is no variable `a`"),
        ("a = file(\"x\")\n", "a.tfvars:1: a: the function `file` is not evaluated"),
        ("a = \n", "a.tfvars:1: this is not Terraform's language"),
    ] {
        let error = file("a.tfvars", text).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
    for name in ["b.tfvars", "b.tfvars.json"] {
        let path = folder.path().join(name);
        fs::write(&path, b"{\n\xff").expect("written");
        let error = values::of_file(&path).expect_err(name).to_string();
        assert_eq!(error, format!("{}:2: this file is not UTF-8", path.display()));
        fs::remove_file(&path).expect("removed");
        let error = values::of_file(&path).expect_err(name).to_string();
        assert!(error.starts_with(&format!("{}:1: this file cannot be read", path.display())), "{error}");
    }
    let error = file("a.tfvars.json", "[]").expect_err("a list").to_string();
    assert!(error.contains("a.tfvars.json:1: this is a list"), "{error}");
}

#[test]
fn values_come_from_where_terraform_takes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = "variable \"a\" {}\nvariable \"b\" {}\nvariable \"c\" {}\nvariable \"d\" {}\n";
    for (name, text) in [
        ("main.tf", variables),
        ("terraform.tfvars", "b = 1\nc = 1\nd = 1\n"),
        ("terraform.tfvars.json", "{\"c\": 2, \"d\": 2}"),
        ("x.auto.tfvars", "d = 3\n"),
        ("other.tfvars", "d = 4\n"),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let environment = [("TF_VAR_a", "[0]"), ("TF_VAR_b", "0"), ("TF_VAR_other", "0"), ("a", "5")];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let values = values::automatic(folder.path(), environment.into_iter()).expect("values");
    let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
    let expected = [("a", "[0]"), ("b", "1"), ("c", "2"), ("d", "3")];
    assert_eq!(values, expected.map(|(name, value)| (name, value.to_owned())));
}
