//! `origin-consumer doctor`, against a stand-in for Cloudflare's API.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use spillway_tests::cloudflare::{Account, CloudflareApi, TOKEN, rule, skip_rule};
use spillway_tests::command::origin_consumer;

/// What the doctor says, and its exit code.
struct Said {
    code: i32,
    findings: Vec<Value>,
}

impl Said {
    /// What it says under this code.
    fn of(&self, code: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["code"] == code).collect()
    }

    /// Codes of what is not in order.
    fn codes(&self) -> Vec<&str> {
        let bad =
            self.findings.iter().filter(|finding| finding["level"] != "ok" && finding["level"] != "note");
        bad.filter_map(|finding| finding["code"].as_str()).collect()
    }

    /// The one finding of this code holds these words, says why, and what to do.
    #[track_caller]
    fn names(&self, code: &str, words: &[&str]) {
        let found = self.of(code);
        assert_eq!(found.len(), 1, "{code}: {:#?}", self.findings);
        let text = found[0].to_string();
        for word in words {
            assert!(text.contains(&word.replace('"', "\\\"")), "{code}: {word} is not in {text}");
        }
        for part in ["what", "why", "todo"] {
            assert!(found[0][part].as_str().is_some_and(|said| !said.is_empty()), "{part}: {text}");
        }
    }
}

async fn doctor(api: &CloudflareApi) -> Result<Said> {
    let output = origin_consumer("doctor --only cloudflare --json", &api.variables()).await?;
    assert!(!output.out.contains(TOKEN) && !output.said.contains(TOKEN));
    let report: Value = serde_json::from_str(&output.out).with_context(|| output.said.clone())?;
    let findings = report["parts"]["cloudflare"].as_array().context("no findings")?.clone();
    Ok(Said { code: output.code, findings })
}

/// The skip rule with another expression.
fn skip_with(expression: &str) -> Value {
    let mut rule = skip_rule();
    rule["expression"] = json!(expression);
    rule
}

fn skip_without(parameter: &str, value: &str) -> Value {
    let mut rule = skip_rule();
    let list = rule["action_parameters"][parameter].as_array_mut().into_iter().flatten();
    let left: Vec<_> = list.filter(|entry| *entry != value).map(|entry| entry.clone()).collect();
    rule["action_parameters"][parameter] = json!(left);
    rule
}

#[tokio::test]
async fn a_deployment_as_it_should_be_has_no_faults() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let said = doctor(&api).await?;
    assert_eq!((said.code, said.codes()), (0, vec![]), "{:#?}", said.findings);
    let text = origin_consumer("doctor --only cloudflare", &api.variables()).await?;
    assert!(text.code == 0 && text.out.contains("checks are in order"), "{text:?}");
    Ok(())
}

#[tokio::test]
async fn a_skip_rule_that_does_nothing_is_named_with_its_fault() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let ours = "http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\"";
    let mut disabled = skip_rule();
    disabled["enabled"] = json!(false);
    let cases = [
        (
            vec![],
            "skip_rule_missing",
            vec!["there is no skip rule", "cf.worker.upstream_zone eq \"example.com\""],
        ),
        (vec![disabled], "skip_rule_disabled", vec!["rule 1", "disabled"]),
        (
            vec![skip_with(&format!("{ours} and cf.worker.upstream_zone eq \"example.org\""))],
            "skip_rule_for_another_zone",
            vec!["example.org", "example.com"],
        ),
        (
            vec![skip_with(&format!(
                "{ours} and cf.worker.upstream_zone in {{\"a.example\" \"b.example\"}}"
            ))],
            "skip_rule_for_another_zone",
            vec!["a.example, b.example"],
        ),
        (
            vec![skip_with(
                "http.host eq \"www.example.com\" and cf.worker.upstream_zone eq \"example.com\"",
            )],
            "skip_rule_for_another_host",
            vec!["www.example.com", "ingest.example.com"],
        ),
        (
            vec![skip_with(
                "starts_with(http.request.uri.path, \"/api/\") and cf.worker.upstream_zone eq \"example.com\"",
            )],
            "skip_rule_for_another_path",
            vec!["/api/", "/v1/traces"],
        ),
        (
            vec![skip_with("(http.request.headers[\"cf-worker\"][0] eq \"example.com\")")],
            "skip_rule_matches_cf_worker_header",
            vec!["before that header"],
        ),
        (
            vec![skip_with("cf.worker.upstream_zone eq \"example.com\" and ip.src in {192.0.2.0/24}")],
            "skip_rule_uncertain",
            vec!["ip.src"],
        ),
        (
            vec![skip_with("cf.worker.upstream_zone == example.com")],
            "skip_rule_unreadable",
            vec!["in quotes"],
        ),
        (
            vec![skip_with("cf.worker.upstream_zone eq \"example.com\" and http.request.method eq \"GET\"")],
            "skip_rule_for_another_method",
            vec!["GET"],
        ),
    ];
    for (rules, code, words) in cases {
        api.set_custom_rules(rules);
        let said = doctor(&api).await?;
        said.names(code, &words);
        // Without it, phases and products that the zone uses are in the way, too.
        assert!(
            !said.of("browser_integrity_check").is_empty() && said.code == 3,
            "{code}: {:?}",
            said.codes()
        );
    }
    // As the old engine, and two faults at once.
    let mut both = skip_with(&format!("{ours} and cf.worker.upstream_zone eq \"example.org\""));
    both["enabled"] = json!(false);
    api.set_custom_rules(vec![both]);
    doctor(&api).await?.names("skip_rule_for_another_zone", &["disabled"]);
    Ok(())
}

#[tokio::test]
async fn rules_before_the_skip_rule_are_named_where_they_may_stop_notifications() -> Result<()> {
    let api = CloudflareApi::start().await?;
    for (before, words) in [
        (
            rule("block", "no API here", "starts_with(http.request.uri.path, \"/v1/\")"),
            vec!["every notification", "no API here"],
        ),
        (
            rule("managed_challenge", "foreigners", "not ip.src.country in {\"NL\" \"BE\"}"),
            vec!["managed_challenge", "ip.src.country", "foreigners", "da5e8e506c8e7877fe06cdf4c41add54"],
        ),
        (
            rule("block", "", "not any(http.request.headers[\"x-api-key\"][*] ne \"\")"),
            vec!["rule 1", "without a description"],
        ),
        (
            rule("js_challenge", "bots", "cf.bot_management.score lt 30 and http.host contains \"example\""),
            vec!["score"],
        ),
        (rule("execute", "our ruleset", "true"), vec!["execute"]),
        (rule("block", "odd", "some.future.syntax => 5"), vec!["cannot be read"]),
    ] {
        api.set_custom_rules(vec![before, skip_rule()]);
        let said = doctor(&api).await?;
        said.names("rule_before_skip_rule", &words);
        said.names("skip_rule_not_first", &["rule 2"]);
        assert_eq!(said.code, 3);
    }
    // Last of many, of which one can stop a notification.
    let others = (0..5).map(|n| rule("block", &format!("login {n}"), "http.request.uri.path eq \"/login\""));
    let country = rule("block", "embargo", "ip.src.country in {\"KP\"}");
    api.set_custom_rules(others.chain([country, skip_rule()]).collect());
    let said = doctor(&api).await?;
    said.names("rule_before_skip_rule", &["rule 6", "embargo"]);
    said.names("skip_rule_not_first", &["rule 7", "behind 6 others"]);
    // What cannot stop one, does not.
    let harmless = [
        rule("log", "look", "true"),
        rule("block", "admin", "http.request.uri.path contains \"/admin\""),
        rule("block", "other host", "http.host ne \"ingest.example.com\" and ip.src.country ne \"NL\""),
        rule("block", "curl", "lower(http.user_agent) contains \"curl\""),
    ];
    api.set_custom_rules(harmless.into_iter().chain([skip_rule()]).collect());
    let said = doctor(&api).await?;
    assert_eq!((said.code, said.codes()), (4, vec!["skip_rule_not_first"]), "{:#?}", said.findings);
    // A disabled one neither.
    let mut off = rule("block", "all", "true");
    off["enabled"] = json!(false);
    api.set_custom_rules(vec![off, skip_rule(), rule("block", "all", "true")]);
    assert_eq!(doctor(&api).await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn what_the_skip_rule_leaves_out_is_named_where_the_zone_uses_it() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let limit = rule("block", "100 a minute", "http.host eq \"ingest.example.com\"");
    let elsewhere = rule("block", "logins", "http.request.uri.path eq \"/login\"");
    api.set(|account| account.put_phase("http_ratelimit", vec![elsewhere, limit]));
    assert_eq!(doctor(&api).await?.code, 0);
    api.set_custom_rules(vec![skip_without("phases", "http_ratelimit")]);
    let said = doctor(&api).await?;
    said.names("phase_not_skipped", &["http_ratelimit", "rule 2", "100 a minute"]);

    api.reset();
    api.set(|account| {
        account.put_phase("http_request_firewall_managed", vec![rule("execute", "OWASP", "true")])
    });
    api.set_custom_rules(vec![skip_without("phases", "http_request_firewall_managed")]);
    doctor(&api).await?.names("phase_not_skipped", &["http_request_firewall_managed", "OWASP"]);

    api.reset();
    api.set(|account| {
        account.resources.get_mut("bot_management").into_iter().for_each(|bots| {
            bots["sbfm_definitely_automated"] = json!("managed_challenge");
        })
    });
    assert_eq!(doctor(&api).await?.code, 0);
    api.set_custom_rules(vec![skip_without("phases", "http_request_sbfm")]);
    doctor(&api)
        .await?
        .names("super_bot_fight_mode_not_skipped", &["definitely automated: managed_challenge"]);

    api.reset();
    api.set(|account| {
        account.change("settings/security_level", "/value", json!("under_attack"));
        account.resources.insert(
            "firewall/lockdowns".to_owned(),
            json!([{ "urls": ["ingest.example.com/*"], "paused": false }]),
        );
        let agents =
            json!([{ "mode": "block", "paused": false, "configuration": { "target": "ua", "value": "" } }]);
        account.resources.insert("firewall/ua_rules".to_owned(), agents);
    });
    assert_eq!(doctor(&api).await?.code, 0);
    for (product, code) in [
        ("bic", "browser_integrity_check"),
        ("securityLevel", "under_attack"),
        ("zoneLockdown", "zone_lockdown"),
        ("uaBlock", "user_agent_blocking"),
    ] {
        api.set_custom_rules(vec![skip_without("products", product)]);
        let said = doctor(&api).await?;
        said.names(code, &[product]);
        assert_eq!((said.code, said.codes()), (3, vec![code]));
    }
    let mut partial = skip_rule();
    partial["action_parameters"]["ruleset"] = Value::Null;
    api.set_custom_rules(vec![partial, rule("block", "abroad", "ip.src.country ne \"NL\"")]);
    let said = doctor(&api).await?;
    said.names("rule_not_skipped", &["abroad", "ruleset: current"]);
    said.names("skip_rule_without_current_ruleset", &["ruleset: current"]);
    Ok(())
}

#[tokio::test]
async fn what_comes_before_the_custom_rules_is_named_where_it_changes_the_way() -> Result<()> {
    let api = CloudflareApi::start().await?;
    for (phase, action, code) in [
        ("http_request_dynamic_redirect", "redirect", "notifications_redirected"),
        ("http_request_transform", "rewrite", "notifications_rewritten"),
    ] {
        for (expression, exit) in [
            ("starts_with(http.request.uri.path, \"/v1/\")", 3),
            ("ip.src.country eq \"DE\"", 4),
            ("http.host eq \"www.example.com\"", 0),
        ] {
            api.reset();
            api.set(|account| account.put_phase(phase, vec![rule(action, "moved", expression)]));
            let said = doctor(&api).await?;
            assert_eq!(said.code, exit, "{phase}: {expression}: {:#?}", said.findings);
            if exit != 0 {
                said.names(code, &["moved", phase, "cf.worker.upstream_zone"]);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_redirects_exporters_is_named_with_what_python_makes_of_it() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let always = |account: &mut Account| account.change("settings/always_use_https", "/value", json!("on"));
    let hsts = |account: &mut Account| {
        account.change("settings/security_header", "/value/strict_transport_security/enabled", json!(true));
        account.change(
            "settings/security_header",
            "/value/strict_transport_security/max_age",
            json!(31_536_000),
        );
    };
    let page_rule = |pattern: &str, action: Value| {
        let target = json!({ "target": "url", "constraint": { "operator": "matches", "value": pattern } });
        json!([{ "id": "9a7806061c88ada191ed06f989cc3dac", "status": "active", "priority": 1,
                 "targets": [target], "actions": [action] }])
    };
    let forwarding =
        json!({ "id": "forwarding_url", "value": { "url": "https://example.com/$1", "status_code": 301 } });
    let to_https = json!({ "id": "always_use_https" });
    let redirect = |expression: &str| rule("redirect", "moved", expression);
    let phase = "http_request_dynamic_redirect";
    type Change<'a> = Box<dyn FnOnce(&mut Account) + 'a>;
    let cases: Vec<(Change<'_>, &str, &str, i32)> = vec![
        (Box::new(always), "always_use_https", "http://ingest.example.com/v1/traces is answered 301", 4),
        (
            Box::new(|account| account.put_phase(phase, vec![redirect("not ssl")])),
            "http_redirected",
            "http://ingest.example.com/v1/traces",
            4,
        ),
        (
            Box::new(|account| account.put_phase(phase, vec![redirect("http.request.method eq \"POST\"")])),
            "exporters_redirected",
            "https://ingest.example.com/v1/traces",
            3,
        ),
        (
            Box::new(|account| account.put_phase(phase, vec![redirect("ip.src.country eq \"DE\"")])),
            "exporters_redirected",
            "may match",
            4,
        ),
        (
            Box::new(|account| {
                account
                    .resources
                    .insert("pagerules".to_owned(), page_rule("http://*example.com/*", to_https));
            }),
            "http_redirected",
            "Page Rule for `http://*example.com/*`",
            4,
        ),
        (
            Box::new(|account| {
                account.resources.insert("pagerules".to_owned(), page_rule("*.example.com/*", forwarding));
            }),
            "exporters_redirected",
            "forwarding_url",
            3,
        ),
    ];
    for (change, code, words, exit) in cases {
        api.reset();
        api.set(change);
        let said = doctor(&api).await?;
        said.names(code, &[words, "Python", "301, 302, 307, 308"]);
        assert_eq!(said.code, exit, "{code}: {:#?}", said.findings);
    }
    // Browsers alone heed it.
    api.reset();
    api.set(hsts);
    let said = doctor(&api).await?;
    assert_eq!((said.code, said.of("hsts")[0]["level"].as_str()), (0, Some("note")), "{:#?}", said.findings);
    assert_eq!(said.of("bulk_redirects_unread").len(), 1);
    // Of another host, or switched off.
    api.reset();
    api.set(|account| {
        let mut off = page_rule("*example.com/*", json!({ "id": "always_use_https" }));
        off[0]["status"] = json!("disabled");
        account.resources.insert("pagerules".to_owned(), off);
        account.put_phase(phase, vec![redirect("http.host eq \"www.example.com\" and not ssl")]);
    });
    assert_eq!(doctor(&api).await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn an_edge_url_that_is_redirected_is_a_fault() -> Result<()> {
    let api = CloudflareApi::start().await?;
    api.set(|account| account.change("settings/always_use_https", "/value", json!("on")));
    for (url, exit) in [("http://ingest.example.com", 3), ("https://ingest.example.com", 4)] {
        let mut variables = api.variables();
        variables.insert("SPILLWAY_EDGE__URL".to_owned(), url.to_owned());
        let output = origin_consumer("doctor --only cloudflare", &variables).await?;
        assert_eq!(output.code, exit, "{url}: {output:?}");
        let told = if exit == 3 { "FAULT always_use_https" } else { "WARNING always_use_https" };
        assert!(output.out.contains(told), "{output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn skip_rules_before_ours_that_take_notifications_past_it_are_named() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let short = |expression: &str| {
        let mut rule = rule("skip", "trusted", expression);
        rule["action_parameters"] = json!({ "ruleset": "current" });
        rule
    };
    let limit = || rule("block", "100 a minute", "http.host eq \"ingest.example.com\"");
    api.set(|account| account.put_phase("http_ratelimit", vec![limit()]));
    api.set_custom_rules(vec![short("ip.src.country eq \"NL\""), skip_rule()]);
    let said = doctor(&api).await?;
    said.names("phase_not_skipped", &["rule 1 (`trusted`", "behind the skip rule, rule 2"]);
    assert_eq!(said.code, 3);
    api.set_custom_rules(vec![short("http.request.uri.path eq \"/v1/traces\""), skip_rule()]);
    let said = doctor(&api).await?;
    said.names("skip_rule_not_reached", &["rule 2", "rule 1 (`trusted`"]);
    said.names("phase_not_skipped", &["move the skip rule, rule 2"]);
    api.set_custom_rules(vec![skip_rule(), short("ip.src.country eq \"NL\"")]);
    assert_eq!(doctor(&api).await?.code, 0);
    Ok(())
}

#[tokio::test]
async fn a_skip_rule_that_is_too_wide_is_named() -> Result<()> {
    let api = CloudflareApi::start().await?;
    let (host, path) = ("http.host eq \"ingest.example.com\"", "http.request.uri.path eq \"/v1/traces\"");
    let zone = "cf.worker.upstream_zone eq \"example.com\"";
    for (expression, code, exit) in [
        (format!("{host} and {path}"), "skip_rule_for_everybody", 3),
        (format!("{host} and {path} or {zone}"), "skip_rule_for_everybody", 3),
        (format!("{host} and {path} and cf.worker.upstream_zone ne \"\""), "skip_rule_for_all_zones", 4),
        (format!("{host} and {zone}"), "skip_rule_for_all_paths", 4),
        (format!("{path} and {zone}"), "skip_rule_for_all_hosts", 4),
        (
            format!("ends_with(http.host, \"example.com\") and {path} and {zone}"),
            "skip_rule_for_all_hosts",
            4,
        ),
        (
            format!("({host} and {path} and {zone}) or http.request.method eq \"GET\""),
            "skip_rule_for_everybody",
            3,
        ),
        (
            format!("{host} and {path} and ({zone} or any(http.request.headers[\"x-key\"][*] eq \"abc\"))"),
            "skip_rule_for_everybody",
            3,
        ),
        (
            format!("{host} and {path} and ends_with(cf.worker.upstream_zone, \"example.com\")"),
            "skip_rule_for_all_zones",
            4,
        ),
        (
            format!("{host} and http.request.uri.path wildcard \"/v1/*\" and {zone}"),
            "skip_rule_for_all_paths",
            4,
        ),
    ] {
        api.set_custom_rules(vec![skip_with(&expression)]);
        let said = doctor(&api).await?;
        said.names(code, &["rule 1"]);
        assert_eq!(said.code, exit, "{expression}: {:?}", said.codes());
    }
    for narrow in [
        format!("http.request.full_uri eq \"https://ingest.example.com/v1/traces\" and {zone}"),
        format!("lower({}) eq \"ingest.example.com\" && {path} && {zone}", "http.host"),
        format!(
            "not (http.host ne \"ingest.example.com\" or http.request.uri.path ne \"/v1/traces\") and {zone}"
        ),
    ] {
        api.set_custom_rules(vec![skip_with(&narrow)]);
        let said = doctor(&api).await?;
        assert_eq!((said.code, said.codes()), (0, vec![]), "{narrow}");
    }
    Ok(())
}

#[tokio::test]
async fn the_worker_its_routes_and_the_bucket_are_examined() -> Result<()> {
    const SETTINGS: &str = "workers/scripts/spillway-edge-ingest/settings";
    const ROUTES: &str = "workers/routes";
    const LIFECYCLE: &str = "r2/buckets/spillway/lifecycle";
    let route = |pattern: &str, script: Value, open: Value| json!({ "id": "1", "pattern": pattern, "script": script, "request_limit_fail_open": open });
    let ours = || route("ingest.example.com/*", json!("spillway-edge-ingest"), json!(false));
    let age = |prefix: &str, days: u64| {
        json!([{ "id": "r", "enabled": true, "conditions": { "prefix": prefix },
            "deleteObjectsTransition": { "condition": { "type": "Age", "maxAge": days * 86_400 } } }])
    };
    let date = json!([{ "id": "r", "enabled": true, "conditions": {},
        "deleteObjectsTransition": { "condition": { "type": "Date", "date": "2027-01-01" } } }]);
    let api = CloudflareApi::start().await?;
    for (path, pointer, to, code, words, exit) in [
        (
            SETTINGS,
            "/compatibility_flags",
            json!(["global_fetch_strictly_public"]),
            "global_fetch_strictly_public",
            "front door",
            3,
        ),
        (
            SETTINGS,
            "/bindings/1/type",
            json!("plain_text"),
            "signing_key_in_the_open",
            "wrangler secret put",
            3,
        ),
        (SETTINGS, "/bindings/2/bucket_name", json!("other"), "another_bucket", "`other`", 3),
        (
            SETTINGS,
            "/bindings/0/text",
            json!("https://hooks.example.com/v1/traces"),
            "notify_url_off_the_route",
            "hooks.example.com",
            3,
        ),
        (
            SETTINGS,
            "/bindings/0/text",
            json!("https://example.net/v1/traces"),
            "notify_url_in_another_zone",
            "example.net",
            3,
        ),
        (ROUTES, "", json!([]), "route_missing", "spillway-edge-ingest", 3),
        (
            ROUTES,
            "",
            json!([route("*.example.com/*", json!("spillway-edge-ingest"), json!(true))]),
            "route_fails_open",
            "*.example.com/*",
            3,
        ),
        (
            ROUTES,
            "",
            json!([ours(), route("ingest.example.com/v1/*", Value::Null, json!(false))]),
            "route_of_another_worker",
            "no Worker",
            3,
        ),
        (
            "workers/domains",
            "",
            json!([{ "hostname": "ingest.example.com", "service": "w" }]),
            "notify_url_is_a_custom_domain",
            "never reach",
            3,
        ),
        (
            "workers/scripts/spillway-edge-ingest/schedules",
            "/schedules",
            json!([]),
            "canary_trigger",
            "crons",
            4,
        ),
        (LIFECYCLE, "/rules", age("v1/", 1), "lifecycle_too_short", "after 1 days", 3),
        (LIFECYCLE, "/rules", age("", 2), "lifecycle_too_short", "all objects", 3),
        (LIFECYCLE, "/rules", age("", 14), "lifecycle_of_dead_letters", "dead letters", 4),
        (LIFECYCLE, "/rules", date, "lifecycle_by_date", "2027-01-01", 3),
        ("bot_management", "/fight_mode", json!(true), "bot_fight_mode", "no rule can skip it", 3),
        ("", "/paused", json!(true), "zone_paused", "paused", 3),
    ] {
        api.reset();
        api.set(|account| account.change(path, pointer, to));
        let said = doctor(&api).await?;
        if code == "route_of_another_worker" {
            assert!(!said.of(code).is_empty(), "{:#?}", said.findings);
        } else {
            said.names(code, &[words]);
        }
        assert_eq!(said.code, exit, "{code}: {:#?}", said.findings);
    }
    api.reset();
    let asia =
        json!([{ "mode": "block", "notes": "old", "configuration": { "target": "country", "value": "VN" } }]);
    api.set(|account| drop(account.resources.insert("firewall/access_rules/rules".to_owned(), asia)));
    let said = doctor(&api).await?;
    said.names("ip_access_rule", &["country VN", "no skip rule helps"]);
    assert_eq!(said.code, 4);
    Ok(())
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_and_the_rest_is_examined() -> Result<()> {
    let api = CloudflareApi::start().await?;
    for (missing, named) in [
        ("Zone WAF", "Zone, Zone WAF, Read"),
        ("Transform Rules", "Zone, Transform Rules, Read"),
        ("Single Redirect", "Zone, Single Redirect, Read"),
        ("Firewall Services", "Zone, Firewall Services, Read"),
        ("Bot Management", "Zone, Bot Management, Read"),
        ("Zone Settings", "Zone, Zone Settings, Read"),
        ("Page Rules", "Zone, Page Rules, Read"),
        ("Workers Routes", "Zone, Workers Routes, Read"),
        ("Workers R2 Storage", "Account, Workers R2 Storage, Read"),
    ] {
        api.reset();
        api.set(|account| account.permissions.retain(|permission| *permission != missing));
        let said = doctor(&api).await?;
        let unread = said.of("api_unread");
        assert!(!unread.is_empty() && said.code == 5, "{missing}: {:#?}", said.findings);
        assert!(unread.iter().all(|finding| finding["todo"].to_string().contains(named)), "{unread:#?}");
        assert!(unread.iter().all(|finding| finding["what"].to_string().contains("10000")), "{unread:#?}");
    }
    // What the API does not tell, the configuration may.
    api.reset();
    api.set(|account| {
        account.permissions.remove("Zone");
        account.permissions.remove("Workers Scripts");
    });
    let said = doctor(&api).await?;
    assert!(said.of("skip_rule").is_empty() && said.code == 5);
    let mut variables = api.variables();
    variables.insert("SPILLWAY_CLOUDFLARE__ZONE_NAME".to_owned(), "example.com".to_owned());
    variables.insert("SPILLWAY_EDGE__URL".to_owned(), "https://ingest.example.com/".to_owned());
    let output = origin_consumer("doctor --only cloudflare --all", &variables).await?;
    assert!(output.code == 5 && output.out.contains("OK skip_rule\n"), "{output:?}");
    // The account's rules are of Enterprise plans.
    api.reset();
    api.set(|account| account.permissions.retain(|permission| *permission != "Account WAF"));
    assert_eq!(doctor(&api).await?.code, 0);
    api.set(|account| account.change("", "/plan/legacy_id", json!("enterprise")));
    doctor(&api).await?.names("api_unread", &["Account, Account WAF, Read"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_checked_ends_with_its_own_code() -> Result<()> {
    let api = CloudflareApi::start().await?;
    for (field, value, named) in [
        ("DOCTOR_TOKEN", "another-token", "does not know the token"),
        ("DOCTOR_TOKEN", "", "cloudflare.doctor_token"),
        ("ZONE_ID", "", "cloudflare.zone_id"),
        ("ZONE_ID", "00000000000000000000000000000000", "9109"),
        ("API_URL", "http://127.0.0.1:9/client/v4", "no answer"),
    ] {
        let mut variables = api.variables();
        variables.insert(format!("SPILLWAY_CLOUDFLARE__{field}"), value.to_owned());
        let output = origin_consumer("doctor --only cloudflare", &variables).await?;
        assert!(output.code == 5 && output.out.contains(named), "{field}: {output:?}");
        assert!(!output.out.contains("another-token"), "{output:?}");
    }
    let help = origin_consumer("doctor --help", &api.variables()).await?.success()?;
    for word in ["Exit codes", "--json", "--only", "Zone WAF", "Bot Management", "Page Rules"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert_eq!(origin_consumer("doctor --only nothing", &api.variables()).await?.code, 2);
    Ok(())
}
