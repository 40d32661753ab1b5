use proptest::prelude::*;

use super::super::api::{ActionParameters, Rule};
use super::super::finding::{Finding, Level};
use super::{Notifications, Part, walk};

const OURS: &str = "http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\" and \
                    cf.worker.upstream_zone eq \"example.com\"";

fn notifications() -> Notifications {
    let url = "https://ingest.example.com/v1/traces".parse().unwrap();
    Notifications { url, zone: "example.com".to_owned() }
}

fn rule(action: &str, expression: &str) -> Rule {
    let (action, expression) = (action.to_owned(), expression.to_owned());
    Rule { action, expression, enabled: true, ..Rule::default() }
}

fn skip(expression: &str) -> Rule {
    let action_parameters =
        ActionParameters { ruleset: Some("current".to_owned()), ..ActionParameters::default() };
    Rule { action_parameters, ..rule("skip", expression) }
}

fn codes(rules: &[Rule]) -> Vec<&'static str> {
    let findings = walk(rules, &notifications()).findings;
    findings.iter().filter(|finding| finding.level != Level::Ok).map(|finding| finding.code).collect()
}

#[test]
fn for_whom_a_rule_was_written_is_told_by_the_fewest_differences() {
    for (expression, code) in [
        ("cf.worker.upstream_zone eq \"example.org\"", "skip_rule_for_another_zone"),
        (
            "ends_with(cf.worker.upstream_zone, \".org\") and http.host eq \"ingest.example.com\"",
            "skip_rule_for_another_zone",
        ),
        ("cf.worker.upstream_zone ne \"example.com\"", "skip_rule_leaves_notifications_out"),
        (
            "not cf.worker.upstream_zone in {\"example.com\" \"example.net\"}",
            "skip_rule_leaves_notifications_out",
        ),
        (
            "not (http.host eq \"ingest.example.com\" and cf.worker.upstream_zone eq \"example.com\")",
            "skip_rule_leaves_notifications_out",
        ),
        ("has_key(http.request.headers, \"cf-worker\")", "skip_rule_matches_cf_worker_header"),
        (
            "cf.worker.upstream_zone eq \"example.com\" and http.host wildcard \"*.example.org\"",
            "skip_rule_for_another_host",
        ),
        (
            "cf.worker.upstream_zone eq \"example.com\" and http.request.uri.path eq \"/v1/traces/\"",
            "skip_rule_for_another_path",
        ),
        ("cf.worker.upstream_zone eq \"example.com\" and not ssl", "skip_rule_never_matches"),
        ("http.request.headers[\"CF-Worker\"][0] eq \"example.com\"", "skip_rule_matches_cf_worker_header"),
        (
            "any(lower(http.request.headers.names[*])[*] eq \"cf-worker\")",
            "skip_rule_matches_cf_worker_header",
        ),
        ("http.host eq \"www.example.org\" and http.request.uri.path eq \"/health\"", "skip_rule_missing"),
    ] {
        assert_eq!(codes(&[skip(expression)]), [code], "{expression}");
    }
}

#[test]
fn what_a_negation_leaves_out_is_told() {
    let rule = skip("cf.worker.upstream_zone ne \"example.com\" and http.host eq \"ingest.example.com\"");
    let findings = walk(&[rule], &notifications()).findings;
    let what = &findings[0].what;
    assert!(
        what.contains("it compares the zone with example.com, and leaves out what has example.com"),
        "{what}"
    );
    assert!(!what.contains("another zone"), "{what}");
}

#[test]
fn whoever_else_passes_by_a_skip_rule_is_found() {
    const HOST_AND_PATH: &str =
        "http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\"";
    const ZONE: &str = "cf.worker.upstream_zone eq \"example.com\"";
    let everybody = [
        "http.request.method eq \"POST\"",
        "http.request.method eq \"GET\"",
        "http.user_agent contains \"Mozilla\"",
        "http.request.uri.path eq \"/admin\"",
        "http.host eq \"www.example.com\"",
        "ip.src in $office",
        "http.request.headers[\"x-key\"][0] eq \"abc\"",
        "any(http.request.headers[\"cf-worker\"][*] eq \"example.com\")",
        "not cf.worker.upstream_zone eq \"\" xor true",
    ];
    for other in everybody {
        let codes_of = |expression: String| codes(&[skip(&expression)]);
        let beside = codes_of(format!("({OURS}) or {other}"));
        assert_eq!(beside.first(), Some(&"skip_rule_for_everybody"), "{other}");
        let instead = codes_of(format!("{HOST_AND_PATH} and ({ZONE} or {other})"));
        assert_eq!(instead, ["skip_rule_for_everybody"], "{other}");
    }
    for zones in [
        "cf.worker.upstream_zone contains \"example.com\"",
        "ends_with(cf.worker.upstream_zone, \"example.com\")",
        "starts_with(cf.worker.upstream_zone, \"example\")",
        "cf.worker.upstream_zone in {\"example.com\" \"evil.com\"}",
        "cf.worker.upstream_zone wildcard \"*example.com\"",
        "cf.worker.upstream_zone matches \"example.com$\"",
        "cf.worker.upstream_zone matches \"^example.com$\"",
        "cf.worker.upstream_zone ne \"\"",
        "len(cf.worker.upstream_zone) gt 0",
    ] {
        assert_eq!(
            codes(&[skip(&format!("{HOST_AND_PATH} and {zones}"))]),
            ["skip_rule_for_all_zones"],
            "{zones}"
        );
    }
    for (part, code) in [
        ("http.request.uri.path in {\"/v1/traces\" \"/admin\"}", "skip_rule_for_all_paths"),
        ("starts_with(http.request.uri.path, \"/v1/\")", "skip_rule_for_all_paths"),
        ("http.request.uri.path contains \"traces\"", "skip_rule_for_all_paths"),
        ("http.request.uri.path wildcard \"/v1/*\"", "skip_rule_for_all_paths"),
        ("http.request.full_uri wildcard \"https://ingest.example.com/v1/*\"", "skip_rule_for_all_paths"),
        ("http.host in {\"ingest.example.com\" \"admin.example.com\"}", "skip_rule_for_all_hosts"),
        ("ends_with(http.host, \".example.com\")", "skip_rule_for_all_hosts"),
    ] {
        let rest = if code.ends_with("paths") {
            "http.host eq \"ingest.example.com\""
        } else {
            "http.request.uri.path eq \"/v1/traces\""
        };
        assert!(codes(&[skip(&format!("{rest} and {part} and {ZONE}"))]).contains(&code), "{part}");
    }
    let elsewhere = format!("(({HOST_AND_PATH}) or (http.host eq \"www.example.com\" and ssl)) and {ZONE}");
    assert_eq!(codes(&[skip(&elsewhere)]), ["skip_rule_for_all_paths", "skip_rule_for_all_hosts"]);
}

#[test]
fn the_shipped_rule_is_in_order() {
    let shipped: Rule =
        serde_json::from_str(include_str!("../../../../deploy/terraform/skip-rule.json")).unwrap();
    let walk = walk(&[shipped], &notifications());
    assert_eq!(walk.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["skip_rule"]);
    for part in [
        Part::Phase("http_ratelimit"),
        Part::Phase("http_request_sbfm"),
        Part::Phase("http_request_firewall_managed"),
        Part::Product("bic"),
        Part::Product("securityLevel"),
        Part::Product("uaBlock"),
        Part::Product("zoneLockdown"),
    ] {
        assert_eq!(walk.cover.lack(part), None, "{part:?}");
    }
}

#[test]
fn a_narrow_skip_rule_is_in_order_however_it_is_written() {
    for expression in [
        OURS,
        "http.request.full_uri eq \"https://ingest.example.com/v1/traces\" and cf.worker.upstream_zone eq \"example.com\"",
        "lower(http.host) eq \"ingest.example.com\" and http.request.uri eq \"/v1/traces\" and \
         cf.worker.upstream_zone in {\"example.com\"}",
        "not (http.host ne \"ingest.example.com\" or http.request.uri.path ne \"/v1/traces\" or \
         cf.worker.upstream_zone ne \"example.com\")",
        "http.host wildcard \"ingest.example.com\" and http.request.uri.path matches \"^/v1/traces$\" and \
         cf.worker.upstream_zone matches r\"^example\\.com$\" and http.request.method eq \"POST\"",
        "http.host eq \"ingest.example.com\" and starts_with(http.request.uri.path, \"/v1/\") and \
         cf.worker.upstream_zone eq \"example.com\" and raw.http.request.uri.path eq \"/v1/traces\"",
    ] {
        assert_eq!(codes(&[skip(expression)]), <[&str; 0]>::default(), "{expression}");
    }
}

#[test]
fn two_skip_rules_share_the_work() {
    let mut phases = skip(OURS);
    phases.action_parameters =
        ActionParameters { phases: vec!["http_ratelimit".to_owned()], ..ActionParameters::default() };
    let walk = walk(&[phases, skip(OURS)], &notifications());
    assert!(walk.cover.rest && walk.cover.lack(Part::Phase("http_ratelimit")).is_none(), "{walk:?}");
    assert_eq!(
        walk.findings.iter().map(|finding| finding.level).max(),
        Some(Level::Ok),
        "{:?}",
        walk.findings
    );
}

/// A rule, and whether it can stop a notification.
fn any_rule() -> impl Strategy<Value = (Rule, bool)> {
    let expressions = prop_oneof![
        Just(("http.request.uri.path eq \"/login\"", false)),
        Just(("http.host ne \"ingest.example.com\" and cf.threat_score gt 5", false)),
        Just(("http.request.method eq \"GET\"", false)),
        Just(("ip.src.country ne \"NL\"", true)),
        Just(("starts_with(http.request.uri.path, \"/v1\")", true)),
        Just(("cf.client.bot or http.user_agent eq \"\"", true)),
        Just(("this cannot be read", true)),
    ];
    let actions = prop_oneof![Just("block"), Just("managed_challenge"), Just("execute"), Just("log")];
    (expressions, actions, any::<bool>()).prop_map(|((expression, stops), action, enabled)| {
        let rule = Rule { enabled, ..rule(action, expression) };
        (rule, stops && enabled && action != "log")
    })
}

proptest! {
    #[test]
    fn every_rule_before_that_may_stop_a_notification_is_named_and_no_other(
        before in prop::collection::vec(any_rule(), 0..6),
        after in prop::collection::vec(any_rule(), 0..3),
    ) {
        let mut rules: Vec<Rule> = before.iter().map(|(rule, _)| rule.clone()).collect();
        rules.push(skip(OURS));
        rules.extend(after.into_iter().map(|(rule, _)| rule));
        let named: Vec<Finding> = walk(&rules, &notifications()).findings;
        let stops: Vec<_> = before.iter().enumerate().filter(|(_, (_, stops))| *stops).map(|(index, _)| index + 1).collect();
        let named: Vec<_> = named.into_iter().filter(|finding| finding.code == "rule_before_skip_rule").collect();
        prop_assert_eq!(named.len(), stops.len());
        for (finding, position) in named.iter().zip(stops) {
            let begins = format!("rule {position} (");
            prop_assert!(finding.what.starts_with(&begins), "{:?}", finding);
        }
    }
}
