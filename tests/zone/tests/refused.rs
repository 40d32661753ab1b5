//! The command, where it refuses rules: its exit code, and what it prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;

/// What a zone of the shipped Terraform has to be told.
const SHIPPED: &[&str] = &[
    "account_id=0123456789abcdef0123456789abcdef",
    "zone_id=fedcba9876543210fedcba9876543210",
    "zone_name=example.com",
    "plan=pro",
    "ingest_host=ingest.example.com",
    "origin={\"type\":\"CNAME\",\"content\":\"tunnel.cfargotunnel.com\"}",
];

fn zone(arguments: &[&str]) -> Result<Output> {
    let fixed = ["--name", "example.com", "--worker", "http://127.0.0.1:9", "--origin", "http://127.0.0.1:9"];
    Ok(Command::new(env!("CARGO_BIN_EXE_zone")).args(fixed).args(arguments).output()?)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_thing_that_is_refused_is_a_line_and_the_code_is_1() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("main.tf");
    fs::write(
        &file,
        "resource \"cloudflare_ruleset\" \"waf\" {\n  zone_id = \"z\"\n  kind = \"zone\"\n  phase = \"http_ratelimit\"\n  dynamic \"rules\" {}\n}\nmodule \"m\" {}\n",
    )?;
    let output = zone(&["--terraform", &folder.path().display().to_string()])?;
    let file = file.display();
    let expected = [
        format!("zone: {file}:5: cloudflare_ruleset.waf: the block `dynamic \"rules\"` is not evaluated"),
        format!("zone: {file}:7: the block `module \"m\"` is not evaluated"),
        "zone: refused: 2 findings".to_owned(),
    ];
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.lines().zip(&expected).all(|(line, expected)| line.starts_with(expected)), "{errors}");
    assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    Ok(())
}

#[test]
fn json_that_is_refused_is_named_by_its_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.json");
    fs::write(
        &file,
        "{ \"kind\": \"zone\", \"phase\": \"http_request_firewall_custom\",\n\"rules\": [{ \"action\": \"rewrite\", \"expression\": \"ssl\" }] }",
    )?;
    let path = file.display().to_string();
    let rule = folder.path().join("rule.json");
    fs::write(&rule, "{ \"action\": \"block\" }")?;
    let rule = rule.display().to_string();
    // Those of all files at once.
    let output = zone(&["--ruleset", &path, "--rule", &rule])?;
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    for expected in [
        format!("zone: {path}:2: rules[0]: `action` is `rewrite`"),
        format!("zone: {rule}:1: `expression` is missing"),
        "zone: refused: 2 findings".to_owned(),
    ] {
        assert!(errors.lines().any(|line| line.starts_with(&expected)), "{expected}: {errors}");
    }
    assert_eq!(zone(&["--no-such-flag"])?.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_route_of_the_command_line_wants_a_proxied_host_and_files_are_text() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("main.tf");
    fs::write(
        &file,
        "resource \"cloudflare_dns_record\" \"ingest\" {\n  zone_id = \"z\"\n  name = \"ingest\"\n  type = \"A\"\n  content = \"192.0.2.1\"\n  proxied = false\n}\n",
    )?;
    let terraform = folder.path().display().to_string();
    let path = file.display().to_string();
    for routes in [&["--route", "ingest.example.com/*"][..], &[]] {
        let output = zone(&[&["--terraform", &terraform], routes].concat())?;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let expected = format!("zone: {path}:6: cloudflare_dns_record.ingest: `proxied` is not true");
        assert!(errors.starts_with(&expected) && errors.lines().count() == 2, "{errors}");
    }
    let rules = folder.path().join("rules.json");
    fs::write(&rules, b"[\n\xff]")?;
    let rules = rules.display().to_string();
    let output = zone(&["--ruleset", &rules, "--rule", "no/such.json"])?;
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1));
    for expected in [
        format!("zone: {rules}:2: this file is not UTF-8"),
        "zone: no/such.json:1: this file cannot be read: ".to_owned(),
        "zone: refused: 2 findings".to_owned(),
    ] {
        assert!(errors.lines().any(|line| line.starts_with(&expected)), "{expected}: {errors}");
    }
    Ok(())
}

#[test]
fn the_shipped_folder_is_read_whole() -> Result<()> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/terraform");
    // Without the values of whoever works here.
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(&shipped)? {
        let path: PathBuf = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tf") {
            fs::copy(&path, folder.path().join(path.file_name().unwrap_or_default()))?;
        }
    }
    let folder = folder.path().display().to_string();
    let mut arguments = vec!["--terraform", folder.as_str()];
    SHIPPED.iter().for_each(|value| arguments.extend(["--var", value]));
    // All of it is read before the address is looked at, which nobody has.
    let output = zone(&[&arguments[..], &["--listen", "192.0.2.1:9"]].concat())?;
    let errors = errors(&output);
    assert_eq!((output.status.code(), errors.lines().count()), (Some(1), 1), "{errors}");
    assert!(errors.starts_with("zone: cannot listen on 192.0.2.1:9"), "{errors}");
    Ok(())
}
