//! Expressions and their values. One test asks a real Terraform for each, where there is one (`SPILLWAY_TERRAFORM`, its path).

use std::io::Write;
use std::process::{Command, Stdio};

use super::super::scope::Scope;
use super::super::source::Source;
use super::*;

/// What expressions can ask for, besides literals.
const MODULE: &str = r#"
variable "none" {
  type    = list(string)
  default = []
}
variable "rule" {
  type = object({
    action  = string
    enabled = optional(bool, true)
    limit   = optional(number)
    tags    = optional(map(string), {})
  })
  default = { action = "block", limit = "5" }
}
"#;

/// An expression, and its value as JSON.
const EVALUATED: &[(&str, &str)] = &[
    // Objects are gone over in the order of their keys, sets in the order of their elements.
    ("[for k, v in { b = 1, a = 2 } : v]", "[2,1]"),
    ("[for k, v in toset([\"b\", \"a\", \"b\"]) : \"${k}${v}\"]", r#"["aa","bb"]"#),
    ("{ for n in [\"a\", \"b\"] : n => upper(n) if n != \"a\" }", r#"{"b":"B"}"#),
    (
        "{ for n in [\"ax\", \"ay\", \"b\"] : trimsuffix(trimsuffix(n, \"x\"), \"y\") => n... }",
        r#"{"a":["ax","ay"],"b":["b"]}"#,
    ),
    ("{ \"a b\" = 1, (upper(\"x\")) = 2, 3 = 4 }", r#"{"3":4,"X":2,"a b":1}"#),
    // Operators convert, conditionals find one type.
    ("1 == \"1\"", "false"),
    ("\"5\" > 3 && \"5\" + 1 == 6", "true"),
    ("!\"true\"", "false"),
    ("true ? 1 : \"a\"", r#""1""#),
    ("true ? null : \"a\"", "null"),
    ("true ? { a = 1 } : {}", r#"{"a":1}"#),
    ("true ? [{ a = 1 }] : []", r#"[{"a":1}]"#),
    ("false ? [\"a\"] : [\"b\", \"c\"]", r#"["b","c"]"#),
    ("var.none == null", "false"),
    ("null == null", "true"),
    ("-5 + 2 * 3 % 2 - 6 / 2", "-8"),
    ("1 < 2 == true", "true"),
    ("true || false && false", "true"),
    ("!true == false && -1 + 2 - -1 == 2", "true"),
    ("true ? false ? 1 : 2 : 3", "2"),
    ("[for n in [1, 2, 3] : n if n % 2 == 1]", "[1,3]"),
    ("{ for k, v in { b = 1, a = 2 } : v => k }", r#"{"1":"b","2":"a"}"#),
    ("concat(\n    [1], # one\n    [2], /* two */\n  )", "[1,2]"),
    ("{\n    a = 1, b : 2\n    \"c-${1}\" = 3 // three\n  }", r#"{"a":1,"b":2,"c-1":3}"#),
    ("5 == 5 ? [] : null", "[]"),
    // Templates.
    ("\"100% $ $$ %% {} $$${1}\"", r#""100% $ $$ %% {} $${1}""#),
    ("<<-EOT\n\t\"a\" \\ $${x} %%{y}\n\t  b\n\tEOT\n", r#""\"a\" \\ ${x} %{y}\n  b\n""#),
    ("<<-EOT\n    ${1}a\n   b\n    EOT\n", r#"" 1a\nb\n""#),
    ("\"${1}-${true}-$${x}-\\\"\\u00e9\"", "\"1-true-${x}-\\\"é\""),
    ("\"${[1, 2]}\"", "[1,2]"),
    ("<<-EOT\n    a \\n\n      b ${1 + 1}\n  EOT\n", r#""a \\n\n  b 2\n""#),
    ("<<EOT\n  a\n\n b\nEOT\n", r#""  a\n\n b\n""#),
    // Traversals.
    ("{ a = [{ b = 1 }, { b = 2 }] }.a[*].b", "[1,2]"),
    ("{ a = [{ b = 1 }, { b = 2 }] }.a.*.b", "[1,2]"),
    ("{ a = [{ b = [3] }, { b = [4] }] }.a[*].b[0]", "[3,4]"),
    ("{ a = [{ b = [3] }, { b = [4] }] }.a.*.b[0]", "[3]"),
    ("null[*]", "[]"),
    ("\"x\"[*]", r#"["x"]"#),
    ("[1, 2].1", "2"),
    ("{ a = 1 }[\"a\"]", "1"),
    ("[7, 8][\"1\"]", "8"),
    // Types of variables convert, and fill in what is optional.
    ("var.rule", r#"{"action":"block","enabled":true,"limit":5,"tags":{}}"#),
    // Functions.
    ("alltrue([]) && !anytrue([])", "true"),
    ("coalesce(null, \"\", \"x\")", r#""x""#),
    ("coalesce(1, \"x\")", r#""1""#),
    ("compact([\"a\", \"\", null, 1])", r#"["a","1"]"#),
    ("concat([1], [\"a\"], [])", r#"[1,"a"]"#),
    ("contains([\"1\"], 1)", "false"),
    ("contains([\"a\", null], \"a\")", "true"),
    ("distinct([1, 1, 2])", "[1,2]"),
    ("element([\"a\", \"b\"], 3)", r#""b""#),
    ("startswith(\"ab\", \"a\") && endswith(\"ab\", \"b\") && strcontains(\"abc\", \"b\")", "true"),
    ("flatten([[1, [2]], [], 3])", "[1,2,3]"),
    ("format(\"%s %d %q %%\", \"a\", 3, \"x\\\"<y\")", r#""a 3 \"x\\\"\\u003cy\" %""#),
    ("formatlist(\"\\\"%s\\\" %s\", [\"a\", \"b\"], 1)", r#"["\"a\" 1","\"b\" 1"]"#),
    ("join(\" \", [1, true, \"a\"], [\"b\"])", r#""1 true a b""#),
    ("jsonencode({ b = \"<&>\", a = [null, 1] })", r#""{\"a\":[null,1],\"b\":\"\\u003c\\u0026\\u003e\"}""#),
    ("[keys({ b = 1, a = 2 }), values({ b = 1, a = 2 })]", r#"[["a","b"],[2,1]]"#),
    ("[length(\"ab\"), length([]), length({ a = 1 }), length(toset([\"a\"]))]", "[2,0,1,1]"),
    ("[lookup({ a = 1 }, \"a\", 2), lookup({ a = 1 }, \"b\", 2)]", "[1,2]"),
    ("lower(\"aB\")", r#""ab""#),
    ("[max(1, \"12\", 5), min(3, 2)]", "[12,2]"),
    ("merge({ a = 1, b = 1 }, null, { b = 2 })", r#"{"a":1,"b":2}"#),
    ("[one([]), one([1])]", "[null,1]"),
    ("regex(\"[a-z]+\", \"12ab3\")", r#""ab""#),
    ("regex(\"(a)(x)?\", \"ab\")", r#"["a",null]"#),
    ("regex(\"(?P<first>a)b\", \"ab\")", r#"{"first":"a"}"#),
    ("can(regex(\"^[0-9a-f]{32}$\", \"xyz\"))", "false"),
    ("replace(\"a/b\", \"/\", \"-\")", r#""a-b""#),
    ("reverse(sort([\"b\", \"a\", \"C\"]))", r#"["b","a","C"]"#),
    ("split(\",\", \"a,b,\")", r#"["a","b",""]"#),
    ("[tobool(\"1\"), tobool(\"false\"), tonumber(\"12\"), tostring(12)]", r#"[true,false,12,"12"]"#),
    ("tolist([1, \"a\", true])", r#"["1","a","true"]"#),
    ("tomap({ a = 1, b = \"x\" })", r#"{"a":"1","b":"x"}"#),
    ("toset([\"b\", 1])", r#"["1","b"]"#),
    (
        "[trimprefix(\"ab\", \"a\"), trimsuffix(\"ab\", \"b\"), trimspace(\" a \"), upper(\"a\")]",
        r#"["b","a","a","A"]"#,
    ),
    ("try(var.none[0], \"none\")", r#""none""#),
    ("can(var.none[0])", "false"),
    ("max([1, 5, 3]...)", "5"),
];

/// What Terraform refuses as well.
const REFUSED_BY_TERRAFORM: &[&str] = &[
    "\"x${null}\"",
    "[1][1]",
    "{ a = 1 }.b",
    "var.other",
    "1 + \"a\"",
    "null + 1",
    "{ for n in [\"a\", \"a\"] : n => 1 }",
    "1 / 0",
    "length(1)",
    "lower()",
    "one([1, 2])",
    "formatlist(\"%s%s\", [1], [1, 2])",
    "tobool(\"True\")",
    "regex(\"x\", \"a\")",
    "concat([1], toset([\"b\"]))",
];

/// What Terraform may take: never evaluated to something else.
const NOT_EVALUATED: &[(&str, &str)] = &[
    ("templatefile(\"x\", {})", "the function `templatefile`"),
    ("provider::x::y(1)", "the function `provider::x::y`"),
    ("var.none == []", "whether lists or objects are equal"),
    ("true ? { a = 1, b = \"x\" } : {}", "differ in type"),
    ("true ? [1, \"a\"] : []", "differ in type"),
    ("true ? 1 : [1]", "differ in type"),
    ("7 / 2", "fractions"),
    ("1.5 + 1", "fractions"),
    ("9223372036854775807 + 1", "64 bits"),
    ("replace(\"a\", \"/a/\", \"b\")", "regular expression"),
    ("length(\"é\")", "beyond ASCII"),
    ("\"%{ if true }a%{ endif }\"", "directives"),
    ("\"a ${~ 1}\"", "marker `~`"),
    ("<<-EOT\n  a\n   \n  b\n  EOT\n", "heredoc"),
    ("path.module", "`path.module`"),
    ("terraform.workspace", "`terraform.workspace`"),
    ("{ var.none = 1 }", "a key"),
    ("format(\"%5.2f\", 1)", "the verb"),
    ("regex(\"[a&&b]\", \"a\")", "brackets"),
    ("toset([1, 2])", "sets"),
    ("lookup(tomap({ a = \"x\" }), \"b\", 1)", "another type"),
    ("-5 % 3", "`%` of negative numbers"),
];

fn evaluated(expression: &str) -> Result<Value, Fault> {
    let mut findings = Findings::default();
    let text = format!("{MODULE}\nlocals {{\n  value = {expression}\n}}\n");
    let sources: Vec<_> = Source::parse("main.tf", text, &mut findings).into_iter().collect();
    let scope = Scope::of(&sources, &Values::new(), &mut findings);
    assert_eq!(findings.to_string(), "", "{expression}");
    scope.local("value").expect("the local").map_err(|trouble| {
        assert!(trouble.origin.line > 15, "{expression}: {trouble:?}");
        trouble.fault
    })
}

#[test]
fn expressions_have_terraforms_values() {
    for (expression, value) in EVALUATED {
        let value: serde_json::Value = serde_json::from_str(value).expect(expression);
        let evaluated = evaluated(expression).map(|value| value.to_json());
        assert_eq!(evaluated.as_ref(), Ok(&value), "{expression}");
    }
}

#[test]
fn what_terraform_refuses_is_refused() {
    for expression in REFUSED_BY_TERRAFORM {
        let refused = evaluated(expression);
        assert!(matches!(refused, Err(Fault::Terraform(_))), "{expression}: {refused:?}");
    }
}

#[test]
fn what_is_not_evaluated_is_refused_by_its_name() {
    for (expression, named) in NOT_EVALUATED {
        let refused = evaluated(expression);
        let Err(Fault::NotEvaluated(message)) = &refused else { panic!("{expression}: {refused:?}") };
        assert!(message.contains(named), "{expression}: {message}");
        // Neither `can` nor `try` makes a value of it.
        for asking in [format!("can({expression})"), format!("try({expression}, 1)")] {
            assert!(matches!(self::evaluated(&asking), Err(Fault::NotEvaluated(_))), "{asking}");
        }
    }
}

/// What a real Terraform says of an expression, as JSON; `None`: it refuses it.
fn of_terraform(terraform: &str, expression: &str) -> Option<serde_json::Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let module = format!("{MODULE}\nlocals {{\n  value = {expression}\n}}\n");
    fs::write(folder.path().join("main.tf"), module).expect("written");
    let mut console = Command::new(terraform)
        .args(["console"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a console");
    let mut input = console.stdin.take().expect("its input");
    input.write_all(b"jsonencode(local.value)\n").expect("written");
    drop(input);
    let output = console.wait_with_output().expect("its output");
    // After an error it prints what it has of the value.
    if String::from_utf8_lossy(&output.stderr).contains("Error") {
        return None;
    }
    let written = String::from_utf8(output.stdout).expect("text");
    let line = written.lines().rev().find(|line| line.starts_with('"'))?;
    // A string that holds JSON.
    let json: String = serde_json::from_str(line).expect("a string");
    serde_json::from_str(&json).ok()
}

#[test]
#[ignore = "`SPILLWAY_TERRAFORM=terraform cargo test -p spillway-zone -- --ignored`"]
fn terraform_says_the_same() {
    let terraform = std::env::var("SPILLWAY_TERRAFORM").expect("SPILLWAY_TERRAFORM is not set");
    let mut wrong = Vec::new();
    for (expression, value) in EVALUATED {
        let value: serde_json::Value = serde_json::from_str(value).expect(expression);
        let said = of_terraform(&terraform, expression);
        if said.as_ref() != Some(&value) {
            wrong.push(format!("{expression}: {value} here, {said:?} there"));
        }
    }
    for expression in REFUSED_BY_TERRAFORM {
        if let Some(said) = of_terraform(&terraform, expression) {
            wrong.push(format!("{expression}: refused here, {said} there"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
