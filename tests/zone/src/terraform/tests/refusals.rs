//! What is refused: by file, line, address and name.

use super::*;

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
        "resource \"cloudflare_zone\" \"z\" {\n  paused = true\n}\nresource \"cloudflare_zone\" \"y\" {\n  paused = false\n}\n",
        &["main.tf:2: cloudflare_zone.z: the argument `paused` is not evaluated; write false"],
    );
    refused(
        "terraform {\n  required_providers {\n    cloudflare = { source = \"acme/cloudflare\" }\n  }\n}\n",
        &["main.tf:3: terraform: the provider `acme/cloudflare` is not evaluated"],
    );
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
