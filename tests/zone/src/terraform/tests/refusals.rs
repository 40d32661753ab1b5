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
            ruleset("  provisioner \"local-exec\" {}\n  rules = []"),
            "main.tf:5: cloudflare_ruleset.this: the block `provisioner \"local-exec\"` is not evaluated",
        ),
        (
            "\nresource \"null_resource\" \"a\" {\n  provisioner \"local-exec\" {}\n}\n".to_owned(),
            "main.tf:3: null_resource.a: the block `provisioner \"local-exec\"` is not evaluated",
        ),
        (
            ruleset("  timeouts {}\n  rules = []"),
            "main.tf:5: cloudflare_ruleset.this: the block `timeouts` is not evaluated",
        ),
        (
            ruleset("  lifecycle {\n    x {}\n  }\n  rules = []"),
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
            ruleset("  account_id = \"a\"\n  rules = []"),
            "main.tf:5: cloudflare_ruleset.this: the argument `account_id` is not evaluated; account rulesets are not simulated",
        ),
        (
            route("  script = \"w\"\n\n  request_limit_fail_open = true"),
            "main.tf:6: cloudflare_workers_route.this: the argument `request_limit_fail_open` is not evaluated",
        ),
        (
            ruleset("  lifecycle {\n    ignore_changes = [rules]\n  }\n  rules = []"),
            "main.tf:6: cloudflare_ruleset.this.lifecycle: the argument `ignore_changes` is not evaluated",
        ),
        (
            ruleset("  lifecycle { ignore_changes = all }\n  rules = []"),
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
            ruleset("  rules = []").replace("  zone_id = \"z\"\n", "\n"),
            "main.tf:1: cloudflare_ruleset.this: `zone_id` is missing",
        ),
        (ruleset(""), "main.tf:1: cloudflare_ruleset.this: `rules` is missing"),
        (ruleset("  rules = null"), "main.tf:1: cloudflare_ruleset.this: `rules` is missing"),
        (
            format!("variable \"none\" {{\n  default = null\n}}\n{}", ruleset("  rules = var.none")),
            "main.tf:4: cloudflare_ruleset.this: `rules` is missing",
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
fn blocks_have_the_labels_that_terraform_takes() {
    for (text, expected) in [
        (
            ruleset("  rules = []\n  lifecycle \"x\" {}"),
            "main.tf:6: cloudflare_ruleset.this: the block `lifecycle \"x\"` has labels; `lifecycle` has none",
        ),
        (
            "resource \"null_resource\" \"a\" {\n  lifecycle \"x\" {}\n}\n".to_owned(),
            "main.tf:2: null_resource.a: the block `lifecycle \"x\"` has labels; `lifecycle` has none",
        ),
        (
            ruleset("  rules = []\n  lifecycle {}\n  lifecycle {}"),
            "main.tf:7: cloudflare_ruleset.this: the block `lifecycle` stands twice",
        ),
        (
            ruleset("  rules = []\n  lifecycle {\n    postcondition \"x\" {}\n  }"),
            "main.tf:7: cloudflare_ruleset.this.lifecycle: the block `postcondition \"x\"` has labels",
        ),
        (
            "variable \"v\" {\n  default = 1\n  validation \"x\" {\n    condition = true\n  }\n}\n"
                .to_owned(),
            "main.tf:3: var.v: the block `validation \"x\"` has labels; `validation` has none",
        ),
        (
            "terraform {\n  backend {}\n}\n".to_owned(),
            "main.tf:2: terraform: the block `backend` has labels; `backend` has 1",
        ),
        ("output {}\n".to_owned(), "main.tf:1: the block `output` has labels: 0; it takes 1"),
        ("data \"x\" {}\n".to_owned(), "main.tf:1: the block `data` has labels: 1; it takes 2"),
        ("moved \"x\" {}\n".to_owned(), "main.tf:1: the block `moved` has labels: 1; it takes 0"),
    ] {
        refused(&text, &[expected]);
    }
}

#[test]
fn a_refusal_is_one_line_though_its_expression_is_several() {
    let expression = "<<-EOT\n      ssl and\n      http.jwt eq \"a\"\n    EOT\n";
    let text = ruleset(&format!("  rules = [{{\n    action = \"block\"\n    expression = {expression}  }}]"));
    refused(
        &text,
        &[
            "main.tf:7: cloudflare_ruleset.this: rules[0]: `expression`: the field `http.jwt` is not simulated, at character 9 of `ssl and\\nhttp.jwt eq \"a\"\\n`",
        ],
    );
    let text = ruleset("  rules = [{ action = \"block\", expression = \"http.response.code eq 401\" }]");
    refused(
        &text,
        &[
            "main.tf:5: cloudflare_ruleset.this: rules[0]: `expression`: the field `http.response.code` has no value before",
        ],
    );
}

#[test]
fn a_phase_has_one_entry_point() {
    let first = ruleset("  rules = []");
    let second = first.replace("\"this\"", "\"zz\"");
    refused(
        &format!("{first}{second}"),
        &[
            "main.tf:7: cloudflare_ruleset.zz: http_request_firewall_custom has two entry points; the other is cloudflare_ruleset.this (main.tf:1)",
        ],
    );
    refused(
        &ruleset("  rules = []\n  for_each = toset([\"a\", \"b\"])"),
        &[
            "main.tf:1: cloudflare_ruleset.this[\"b\"]: http_request_firewall_custom has two entry points; the other is cloudflare_ruleset.this[\"a\"] (main.tf:1)",
        ],
    );
}

/// A DNS record whose body has these lines from line 2 on, and the route of its host.
fn record(lines: &str) -> String {
    format!("resource \"cloudflare_dns_record\" \"ingest\" {{\n{lines}\n}}\n{}", route("  script = \"w\""))
}

#[test]
fn a_host_that_a_route_takes_is_proxied() {
    const REST: &str =
        "  zone_id = \"z\"\n  name = \"example.com\"\n  type = \"A\"\n  content = \"192.0.2.1\"\n";
    let past = |line: usize| {
        format!(
            "main.tf:{line}: cloudflare_dns_record.ingest: `proxied` is not true: requests to `example.com` (the route `example.com/*`) go past Cloudflare"
        )
    };
    for (lines, line) in [
        ("  proxied = false", 6),
        ("  proxied = \"false\"", 6),
        ("  proxied = null", 6),
        ("  proxied = 1 > 2", 6),
        ("", 1),
        ("  count = 1", 1),
    ] {
        let text = record(&format!("{REST}{lines}"));
        let expected =
            past(line).replace("ingest:", if lines.contains("count") { "ingest[0]:" } else { "ingest:" });
        refused(&text, &[&expected]);
        refused(
            &text.replace("dns_record", "record").replace("content", "value"),
            &[&expected.replace("dns_record", "record")],
        );
    }
    let known =
        format!("variable \"p\" {{\n  default = true\n}}\n{}", record(&format!("{REST}  proxied = var.p")));
    for right in [
        record(&format!("{REST}  proxied = true")),
        known,
        record(&format!("{REST}  count = 0")),
        record(REST).replace("\"A\"", "\"MX\""),
        record(REST).replace("\"example.com\"", "\"mail.example.com\""),
    ] {
        main(&right).expect(&right);
    }
    for (lines, expected) in [
        ("  proxied = data.a.b.c", "main.tf:6: cloudflare_dns_record.ingest: this depends on `data.a.b.c`"),
        (
            "  proxied = true\n  dynamic \"settings\" {}",
            "main.tf:7: cloudflare_dns_record.ingest: the block `dynamic \"settings\"` is not evaluated",
        ),
        (
            "  proxied = true\n  proxy = false",
            "main.tf:7: cloudflare_dns_record.ingest: the argument `proxy` is not evaluated",
        ),
        (
            "  proxied = true\n  lifecycle {\n    ignore_changes = [proxied]\n  }",
            "main.tf:8: cloudflare_dns_record.ingest.lifecycle: the argument `ignore_changes` is not evaluated",
        ),
    ] {
        refused(&record(&format!("{REST}{lines}")), &[expected]);
    }
    for missing in ["zone_id", "name", "type", "content"] {
        let lines: String = REST.split_inclusive('\n').filter(|line| !line.contains(missing)).collect();
        let text = record(&format!("{lines}  proxied = true"));
        refused(&text, &[&format!("main.tf:1: cloudflare_dns_record.ingest: `{missing}` is missing")]);
    }
}

#[test]
fn a_worker_whose_own_requests_go_by_the_front_door_is_refused() {
    let flags = "compatibility_flags = [\"nodejs_compat\", \"global_fetch_strictly_public\"]";
    for kind in ["cloudflare_workers_script", "cloudflare_worker_script", "cloudflare_worker_version"] {
        let worker = |line: &str| format!("resource \"{kind}\" \"w\" {{\n  {line}\n}}\n");
        refused(
            &worker(flags),
            &[&format!(
                "main.tf:2: {kind}.w: `compatibility_flags` has `global_fetch_strictly_public`, which is not evaluated"
            )],
        );
        refused(
            &format!(
                "locals {{\n  flags = toset([\"global_fetch_strictly_public\"])\n}}\n{}",
                worker("compatibility_flags = local.flags")
            ),
            &[&format!("main.tf:5: {kind}.w: `compatibility_flags` has `global_fetch_strictly_public`")],
        );
        refused(
            &worker("compatibility_flags = [data.a.b.c]"),
            &[&format!("main.tf:2: {kind}.w: `compatibility_flags` depends on `data.a.b.c`")],
        );
        refused(
            &worker("compatibility_flags = \"nodejs_compat\""),
            &[&format!("main.tf:2: {kind}.w: `compatibility_flags`: this is a string")],
        );
        refused(
            &worker("assets = { directory = \"public\" }"),
            &[&format!("main.tf:2: {kind}.w: the argument `assets` is not evaluated")],
        );
        refused(
            &worker("dynamic \"bindings\" {}"),
            &[&format!("main.tf:2: {kind}.w: the block `dynamic \"bindings\"` is not evaluated")],
        );
        main(&format!(
            "{}{}",
            worker("compatibility_flags = [\"nodejs_compat\"]\n  compatibility_date = whatever()"),
            ruleset("  rules = []")
        ))
        .expect(kind);
    }
    let worker = |line: &str| format!("resource \"cloudflare_worker\" \"w\" {{\n  {line}\n}}\n");
    refused(
        &worker("subdomain = { enabled = true }"),
        &[
            "main.tf:2: cloudflare_worker.w: the argument `subdomain` is not evaluated: requests to workers.dev",
        ],
    );
    main(&worker("subdomain = { enabled = false }")).expect("no other door");
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
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.tf");
    fs::write(&file, b"# a\n# \xe9\n").expect("written");
    let refused = Module::read(folder.path(), &Values::new()).expect_err("no text").to_string();
    assert_eq!(refused, format!("{}:2: this file is not UTF-8", file.display()));
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
