//! What is refused: by file, line, address and name; and what is evaluated instead of being dropped.

use super::*;

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

#[test]
fn blocks_that_are_not_evaluated_are_named_with_their_line() {
    for (text, expected) in [
        (
            ruleset("  dynamic \"rules\" {\n    for_each = []\n    content {}\n  }"),
            "main.tf:5: cloudflare_ruleset.this: the block `dynamic \"rules\"` is not evaluated",
        ),
        (
            ruleset(
                "  rules {\n    action = \"block\"\n    expression = \"ssl\"\n    dynamic \"ratelimit\" {}\n  }",
            ),
            "main.tf:8: cloudflare_ruleset.this: the block `dynamic \"ratelimit\"` is not evaluated",
        ),
        (
            ruleset("  provisioner \"local-exec\" {}"),
            "main.tf:5: cloudflare_ruleset.this: the block `provisioner \"local-exec\"` is not evaluated",
        ),
        (
            "\nresource \"null_resource\" \"a\" {\n  provisioner \"local-exec\" {}\n}\n".to_owned(),
            "main.tf:3: null_resource.a: the block `provisioner \"local-exec\"` is not evaluated",
        ),
        (
            ruleset("  timeouts {}"),
            "main.tf:5: cloudflare_ruleset.this: the block `timeouts` is not evaluated",
        ),
        (
            ruleset("  lifecycle {\n    x {}\n  }"),
            "main.tf:6: cloudflare_ruleset.this.lifecycle: the block `x` is not evaluated",
        ),
        (
            "module \"waf\" {\n  source = \"./waf\"\n}\n".to_owned(),
            "main.tf:1: the block `module \"waf\"` is not evaluated",
        ),
        (
            "\naction \"x\" \"y\" {}\n".to_owned(),
            "main.tf:2: the block `action \"x\" \"y\"` is not evaluated",
        ),
        ("locals {\n  x {}\n}\n".to_owned(), "main.tf:2: locals: the block `x` is not evaluated"),
        (
            "terraform {\n  language {}\n}\n".to_owned(),
            "main.tf:2: terraform: the block `language` is not evaluated",
        ),
        (
            "resource \"cloudflare_ruleset\" {}\n".to_owned(),
            "main.tf:1: the block `resource` has labels: 1; it takes 2",
        ),
    ] {
        refused(&text, &[expected]);
    }
}

#[test]
fn arguments_that_are_not_evaluated_are_named_with_their_line() {
    for (text, expected) in [
        (
            ruleset("  rules = []\n  enabled = false"),
            "main.tf:6: cloudflare_ruleset.this: the argument `enabled` is not evaluated; what may stand here: zone_id, kind, phase",
        ),
        (
            ruleset("  account_id = \"a\""),
            "main.tf:5: cloudflare_ruleset.this: the argument `account_id` is not evaluated; account rulesets are not simulated",
        ),
        (
            route("  script = \"w\"\n\n  request_limit_fail_open = true"),
            "main.tf:6: cloudflare_workers_route.this: the argument `request_limit_fail_open` is not evaluated",
        ),
        (
            ruleset("  lifecycle {\n    ignore_changes = [rules]\n  }"),
            "main.tf:6: cloudflare_ruleset.this.lifecycle: the argument `ignore_changes` is not evaluated",
        ),
        (
            ruleset("  lifecycle { ignore_changes = all }"),
            "main.tf:5: cloudflare_ruleset.this.lifecycle: the argument `ignore_changes` is not evaluated",
        ),
        (
            "variable \"x\" {\n  default = 1\n  const = 2\n}\n".to_owned(),
            "main.tf:3: var.x: the argument `const` is not evaluated",
        ),
        ("x = 1\n".to_owned(), "main.tf:1: the argument `x` is not evaluated"),
        (
            ruleset(
                "  rules = [\n    {\n      ref = \"r\"\n      action = \"block\"\n      expression = \"ssl\"\n      exposed_credential_check = {}\n    }\n  ]",
            ),
            "main.tf:10: cloudflare_ruleset.this: rules[0] (`r`): `exposed_credential_check` is not simulated",
        ),
        (
            ruleset(
                "  rules {\n    action = \"block\"\n    expression = \"ssl\"\n    action_parameters {\n      response {\n        status = 418\n        status_code = 418\n        content = \"\"\n        content_type = \"text/plain\"\n      }\n    }\n  }",
            ),
            "main.tf:10: cloudflare_ruleset.this: rules[0].action_parameters.response: `status` is not simulated",
        ),
    ] {
        refused(&text, &[expected]);
    }
}

#[test]
fn values_that_are_not_evaluated_are_named_with_their_line() {
    for (rule, expected) in [
        (
            "action = \"rewrite\"\n expression = \"ssl\"",
            "main.tf:6: cloudflare_ruleset.this: rules[0]: `action` is `rewrite`, which is not simulated",
        ),
        (
            "action = \"block\"\n expression = \"http.jwt eq \\\"a\\\"\"",
            "main.tf:7: cloudflare_ruleset.this: rules[0]: `expression`: the field `http.jwt` is not simulated, at character 1",
        ),
        (
            "action = \"block\"\n expression = \"ip.src in $office\"",
            "main.tf:7: cloudflare_ruleset.this: rules[0]: `expression`: lists are not simulated",
        ),
        (
            "action = \"block\"\n expression = cloudflare_list.a.id",
            "main.tf:7: cloudflare_ruleset.this: there is no resource `cloudflare_list.a`",
        ),
        (
            "action = \"block\"\n expression = data.x.y.z",
            "main.tf:7: cloudflare_ruleset.this: rules[0]: `expression` depends on `data.x.y.z`, which only the provider knows",
        ),
        (
            "action = \"block\"\n expression = file(\"x\")",
            "main.tf:7: cloudflare_ruleset.this: the function `file` is not evaluated",
        ),
        (
            "action = \"block\"\n expression = 5",
            "main.tf:7: cloudflare_ruleset.this: rules[0]: `expression` is a number; write a string",
        ),
        (
            "action = \"skip\"\n expression = \"ssl\"\n action_parameters = { phases = [\"http_request_transform\"] }",
            "main.tf:8: cloudflare_ruleset.this: rules[0].action_parameters: `phases` is `http_request_transform`",
        ),
        (
            "action = \"skip\"\n expression = \"ssl\"",
            "main.tf:5: cloudflare_ruleset.this: rules[0]: the action `skip` has no `action_parameters`",
        ),
        (
            "action = \"block\"\n expression = \"ssl\"\n ratelimit = {}",
            "main.tf:5: cloudflare_ruleset.this: rules[0]: `ratelimit` belongs into the phase http_ratelimit",
        ),
        ("action = \"block\"", "main.tf:5: cloudflare_ruleset.this: rules[0]: `expression` is missing"),
    ] {
        let text = ruleset(&format!("  rules = [{{\n {rule}\n }}]"));
        let refused = main(&text).expect_err(&text);
        assert!(refused.lines().any(|line| line.starts_with(expected)), "{text}{refused}");
    }
    for (text, expected) in [
        (
            ruleset("  rules = null").replace("zone\"", "root\""),
            "main.tf:3: cloudflare_ruleset.this: the kind \"root\" is not simulated",
        ),
        (
            ruleset("  rules = []").replace("http_request_firewall_custom", "http_request_dynamic_redirect"),
            "main.tf:4: cloudflare_ruleset.this: `phase` is `http_request_dynamic_redirect`, which is not simulated",
        ),
        (
            ruleset("  rules = {}"),
            "main.tf:5: cloudflare_ruleset.this: `rules` is an object; write a list of rules",
        ),
        (
            ruleset("").replace("  zone_id = \"z\"\n", "\n"),
            "main.tf:1: cloudflare_ruleset.this: `zone_id` is missing",
        ),
        (route("  script = var.x"), "main.tf:4: cloudflare_workers_route.this: there is no variable `x`"),
        (
            format!("{}data \"x\" \"y\" {{}}\n", route("  script = data.x.y.z")),
            "main.tf:4: cloudflare_workers_route.this: this depends on `data.x.y.z`, which only the provider knows",
        ),
    ] {
        refused(&text, &[expected]);
    }
}

#[test]
fn a_resource_type_that_is_not_known_is_refused_and_one_without_effect_is_not() {
    refused(
        "\nresource \"cloudflare_page_rule\" \"all\" {\n  zone_id = \"z\"\n}\nresource \"cloudflare_queue\" \"q\" {\n  queue_name = whatever()\n}\n",
        &[
            "main.tf:2: cloudflare_page_rule.all: the resource type `cloudflare_page_rule` is not evaluated; it is not known to leave requests alone",
        ],
    );
    refused(
        "terraform {\n  required_providers {\n    cloudflare = { source = \"acme/cloudflare\" }\n  }\n}\n",
        &["main.tf:3: terraform: the provider `acme/cloudflare` is not evaluated"],
    );
}

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
fn one_zone_is_simulated() {
    let limits = ruleset("  rules = []").replace("http_request_firewall_custom", "http_ratelimit");
    let limits = limits.replace("\"this\"", "\"zz\"");
    refused(
        &format!("{}{}", ruleset("  rules = []"), limits.replace("\"z\"", "\"y\"")),
        &["main.tf:8: cloudflare_ruleset.zz: `zone_id` is `y`, and that of cloudflare_ruleset.this is `z`"],
    );
}

#[test]
fn files_that_are_not_read_are_named() {
    let right = ("main.tf", ruleset("  rules = []"));
    for (name, expected) in [
        ("more.tf.json", "more.tf.json:1: `more.tf.json` is not read: Terraform as JSON is not evaluated"),
        ("override.tf", "override.tf:1: `override.tf` is not read: override files"),
        ("x_override.tf", "x_override.tf:1: `x_override.tf` is not read: override files"),
        ("main.tofu", "main.tofu:1: `main.tofu` is not read: OpenTofu's own files"),
        (
            "modules/waf/main.tf",
            "modules:1: `modules` is not read: Terraform does not read the files `*.tf` in it",
        ),
    ] {
        let refused = read(&[(right.0, &right.1), (name, "{}")]).expect_err(name);
        assert!(refused.starts_with(expected) && refused.lines().count() == 1, "{refused}");
    }
    let others = [
        ".terraform/modules/x/main.tf",
        "README.md",
        "x.tfvars.example",
        ".hidden.tf",
        "main.tf~",
        "x.tftest.hcl",
    ];
    for other in others {
        read(&[(right.0, &right.1), (other, "{}")]).expect(other);
    }
    let refused = read(&[("README.md", "")]).expect_err("no file");
    assert!(refused.contains("there is no file `*.tf` in this folder"), "{refused}");
    refused_in("a.tf", "resource \"x\" {\n  y =\n}\n", "a.tf:2: this is not Terraform's language");
}

fn refused_in(name: &str, text: &str, expected: &str) {
    let refused = read(&[(name, text)]).expect_err(text);
    assert!(refused.starts_with(expected), "{refused}");
}

#[test]
fn variables_are_of_their_types() {
    for (variable, expected) in [
        ("type = number\n  default = \"x\"", "main.tf:1: var.v: `v`: `x` is not a number"),
        ("type = list(strings)", "main.tf:2: var.v: `strings` is not a type"),
        ("type = object({ a = string })\n  default = {}", "main.tf:1: var.v: `v.a` is missing"),
        (
            "type = object({ a = string })\n  default = { a = 1, b = 2 }",
            "main.tf:1: var.v: `v.b` is not in the type of the variable, and Terraform drops it; the type has a",
        ),
        ("type = string", "main.tf:1: var.v: variable `v` is required"),
        ("default = null\n  nullable = false", "main.tf:1: var.v: variable `v` cannot be null"),
        (
            "default = 1\n  validation {\n    condition = var.v > 1\n    error_message = \"v is above 1.\"\n  }",
            "main.tf:4: var.v: v is above 1.",
        ),
        (
            "default = 1\n  validation {\n    condition = timestamp() == \"\"\n    error_message = \"\"\n  }",
            "main.tf:4: var.v: the function `timestamp` is not evaluated",
        ),
    ] {
        // What depends on such a variable is not told of as well.
        let text =
            format!("variable \"v\" {{\n  {variable}\n}}\n{}", ruleset("  rules = var.v == null ? [] : []"));
        let refused = main(&text).expect_err(variable);
        assert!(refused.starts_with(expected) && refused.lines().count() == 1, "{variable}: {refused}");
    }
}

#[test]
fn everything_is_refused_at_once() {
    let text = format!(
        "module \"a\" {{}}\nresource \"x\" \"y\" {{}}\nvariable \"v\" {{}}\n{}",
        ruleset("  foo = 1\n  rules = [{\n    action = \"x\"\n    expression = \"y\"\n    z = 1\n  }]")
    );
    let refused = main(&text).expect_err("much");
    let lines: Vec<_> = refused.lines().map(|line| line.split(": ").next().expect("a place")).collect();
    assert_eq!(lines, ["main.tf:1", "main.tf:2", "main.tf:3", "main.tf:8", "main.tf:10", "main.tf:12"]);
}

#[test]
fn a_precondition_that_does_not_hold_or_is_not_known_is_refused() {
    let check = |condition: &str| {
        let check =
            format!("precondition {{\n      condition = {condition}\n      error_message = \"no\"\n    }}");
        main(&ruleset(&format!("  rules = []\n  lifecycle {{\n    {check}\n  }}"))).map(drop)
    };
    assert_eq!(check("true"), Ok(()));
    assert_eq!(check("1 > 2"), Err("main.tf:8: cloudflare_ruleset.this: no".to_owned()));
    let unknown =
        "main.tf:8: cloudflare_ruleset.this: this depends on `data.a.b.c`, which only the provider knows";
    assert_eq!(check("data.a.b.c == 1"), Err(unknown.to_owned()));
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
