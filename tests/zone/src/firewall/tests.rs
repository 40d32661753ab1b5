use serde_json::{Value, json};

use super::*;
use crate::finding::Origin;
use crate::ruleset::Ruleset;

const NOTIFICATION: &str = "/v1/traces";

/// A notification of the zone's own Worker, or of whom `upstream_zone` names.
fn notification(upstream_zone: &str) -> Request {
    let mut request = Request::get("ingest.example.com", NOTIFICATION.parse().expect("a URI"));
    request.upstream_zone = upstream_zone.to_owned();
    request.zone = "example.com".to_owned();
    request.client.country = "BE".to_owned();
    request
}

fn firewall(rulesets: &Value, switches: Switches) -> Firewall {
    let rulesets: Vec<Ruleset> = serde_json::from_value(rulesets.clone()).expect("rulesets");
    Firewall::new(&rulesets, &switches).expect("a firewall")
}

fn custom(rules: Value) -> Value {
    json!({ "kind": "zone", "phase": "http_request_firewall_custom", "rules": rules })
}

fn limits(rules: Value) -> Value {
    json!({ "kind": "zone", "phase": "http_ratelimit", "rules": rules })
}

fn skip() -> Value {
    json!({
        "ref": "skip", "action": "skip",
        "expression": "(http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\" and cf.worker.upstream_zone eq \"example.com\")",
        "action_parameters": {
            "ruleset": "current",
            "phases": ["http_ratelimit", "http_request_sbfm", "http_request_firewall_managed"],
            "products": ["zoneLockdown", "uaBlock", "bic", "hot", "securityLevel", "rateLimit", "waf"],
        },
    })
}

fn skip_with(field: &str, value: Value) -> Value {
    let mut rule = skip();
    rule[field] = value;
    rule
}

fn block(reference: &str, expression: &str) -> Value {
    json!({ "ref": reference, "action": "block", "expression": expression })
}

fn one_only() -> Value {
    json!([{ "ref": "limit", "action": "block", "expression": "ssl", "ratelimit": {
        "characteristics": ["cf.colo.id", "ip.src"], "period": 10, "requests_per_period": 1, "mitigation_timeout": 10 } }])
}

fn refused_by(firewall: &mut Firewall, request: &Request) -> Option<String> {
    firewall.request(request, Instant::now()).refusal.map(|refusal| refusal.rule)
}

#[test]
fn the_skip_rule_lets_the_zones_own_notifications_past_everything_and_nobody_else() {
    let everything = Switches {
        managed: Some("true".to_owned()),
        super_bot_fight_mode: Some("true".to_owned()),
        products: vec![(Product::BrowserIntegrityCheck, "http.user_agent eq \"\"".to_owned())],
        ..Switches::default()
    };
    let rules = json!([custom(json!([skip(), block("all", "true")])), limits(one_only())]);
    let mut firewall = firewall(&rules, everything);
    for _ in 0..3 {
        let passage = firewall.request(&notification("example.com"), Instant::now());
        assert_eq!((passage.refusal, passage.skipped_by), (None, vec!["skip".to_owned()]));
    }
    for upstream_zone in ["", "example.net", "EXAMPLE.COM"] {
        assert_eq!(refused_by(&mut firewall, &notification(upstream_zone)).as_deref(), Some("all"));
    }
}

#[test]
fn a_rule_before_the_skip_rule_still_holds() {
    for before in [
        block("path", "http.request.uri.path eq \"/v1/traces\""),
        block("country", "ip.src.country eq \"BE\""),
        block("header", "len(http.request.headers[\"user-agent\"]) eq 0"),
        json!({ "ref": "challenge", "action": "managed_challenge", "expression": "true" }),
    ] {
        let mut firewall = firewall(&json!([custom(json!([before, skip()]))]), Switches::default());
        assert_eq!(
            refused_by(&mut firewall, &notification("example.com")).as_deref(),
            before["ref"].as_str()
        );
    }
}

#[test]
fn a_skip_rule_that_is_last_disabled_or_for_another_zone_is_none() {
    for rules in [
        json!([block("all", "true"), skip()]),
        json!([skip_with("enabled", json!(false)), block("all", "true")]),
        json!([
            skip_with("expression", json!("cf.worker.upstream_zone eq \"example.net\"")),
            block("all", "true")
        ]),
    ] {
        let mut firewall = firewall(&json!([custom(rules)]), Switches::default());
        assert_eq!(refused_by(&mut firewall, &notification("example.com")).as_deref(), Some("all"));
    }
}

#[test]
fn only_what_is_named_is_skipped() {
    let all = Switches {
        managed: Some("true".to_owned()),
        super_bot_fight_mode: Some("true".to_owned()),
        products: vec![(Product::SecurityLevel, "true".to_owned())],
        ..Switches::default()
    };
    for (parameters, refused) in [
        (json!({ "ruleset": "current" }), "SecurityLevel"),
        (json!({ "products": ["securityLevel"] }), "later"),
        (json!({ "ruleset": "current", "products": ["securityLevel"] }), "limit"),
        (
            json!({ "ruleset": "current", "products": ["securityLevel"], "phases": ["http_ratelimit"] }),
            "switched on",
        ),
        (json!({ "phase": "current", "products": ["bic"] }), "SecurityLevel"),
        (
            json!({ "phases": ["http_ratelimit", "http_request_sbfm", "http_request_firewall_managed"] }),
            "later",
        ),
    ] {
        let mut limit = one_only();
        limit[0]["ratelimit"]["requests_per_period"] = json!(0);
        let skip = skip_with("action_parameters", parameters.clone());
        let rules = json!([custom(json!([skip, block("later", "true")])), limits(limit)]);
        let refused_by = refused_by(&mut firewall(&rules, all.clone()), &notification("example.com"));
        assert_eq!(refused_by.as_deref(), Some(refused), "{parameters}");
    }
}

#[test]
fn managed_rules_come_before_the_bots_and_bot_fight_mode_is_never_skipped() {
    let switches = Switches {
        managed: Some("true".to_owned()),
        super_bot_fight_mode: Some("true".to_owned()),
        ..Switches::default()
    };
    let mut both = firewall(&json!([]), switches);
    let refusal = both.request(&notification(""), Instant::now()).refusal.expect("refused");
    assert_eq!(refusal.phase, "http_request_firewall_managed");
    let switches =
        Switches { bot_fight_mode: Some("cf.bot_management.score lt 31".to_owned()), ..Switches::default() };
    let mut free = firewall(&json!([custom(json!([skip()]))]), switches);
    assert_eq!(refused_by(&mut free, &notification("example.com")).as_deref(), Some("Bot Fight Mode"));
}

#[test]
fn what_is_skipped_is_not_counted() {
    let rules = json!([custom(json!([skip()])), limits(one_only())]);
    let mut firewall = firewall(&rules, Switches::default());
    for _ in 0..5 {
        assert_eq!(refused_by(&mut firewall, &notification("example.com")), None);
    }
    assert_eq!(refused_by(&mut firewall, &notification("")), None);
    assert_eq!(refused_by(&mut firewall, &notification("")).as_deref(), Some("limit"));
}

#[test]
fn a_log_rule_stops_nothing_and_a_block_stops_all() {
    let log = json!({ "ref": "noted", "action": "log", "expression": "true" });
    let rules = json!([custom(json!([log, block("first", "true"), block("second", "true")]))]);
    let passage = firewall(&rules, Switches::default()).request(&notification(""), Instant::now());
    assert_eq!(passage.logged_by, ["noted"]);
    assert_eq!(passage.refusal.map(|refusal| refusal.rule).as_deref(), Some("first"));
}

#[test]
fn answers_are_as_documented() {
    let own = json!({ "status_code": 418, "content": "{}", "content_type": "application/json" });
    let mut with_own = block("own", "http.request.uri.path eq \"/own\"");
    with_own["action_parameters"] = json!({ "response": own });
    let rules = json!([
        custom(json!([with_own, block("page", "http.request.uri.path eq \"/page\"")])),
        limits(one_only()),
    ]);
    let mut firewall = firewall(&rules, Switches::default());
    let mut at = |path: &str| {
        let request = Request::get("example.com", path.parse().expect("a URI"));
        let refusal = firewall.request(&request, Instant::now()).refusal;
        refusal.map(|refusal| (refusal.response.status_code, refusal.retry_after_seconds))
    };
    assert_eq!(at("/own"), Some((418, None)));
    assert_eq!(at("/page"), Some((403, None)));
    assert_eq!([at("/"), at("/")], [None, Some((429, Some(10)))]);
}

#[test]
fn a_rule_executes_a_ruleset_and_a_skip_ends_only_that() {
    let executed = json!({
        "id": "inner", "kind": "custom", "phase": "http_request_firewall_custom",
        "rules": [skip_with("action_parameters", json!({ "ruleset": "current" })), block("inner", "true")],
    });
    let execute =
        json!({ "action": "execute", "expression": "true", "action_parameters": { "id": "inner" } });
    let rules = json!([custom(json!([execute, block("outer", "true")])), executed]);
    let mut firewall = firewall(&rules, Switches::default());
    assert_eq!(refused_by(&mut firewall, &notification("example.com")).as_deref(), Some("outer"));
    assert_eq!(refused_by(&mut firewall, &notification("")).as_deref(), Some("inner"));
}

#[test]
fn rulesets_and_rules_are_skipped_by_their_ids() {
    let managed = |id: &str| {
        json!({ "id": id, "kind": "managed", "phase": "http_request_firewall_managed",
        "rules": [{ "id": "r1", "ref": id, "action": "block", "expression": "true" }] })
    };
    let execute =
        |id: &str| json!({ "action": "execute", "expression": "true", "action_parameters": { "id": id } });
    for (parameters, refused) in [
        (json!({ "rulesets": ["a", "b"] }), None),
        (json!({ "rulesets": ["a"] }), Some("b")),
        (json!({ "rules": { "a": ["r1"] } }), Some("b")),
        (json!({ "rules": { "a": ["r2"] } }), Some("a")),
    ] {
        let entry_point = json!({ "kind": "zone", "phase": "http_request_firewall_managed",
            "rules": [skip_with("action_parameters", parameters.clone()), execute("a"), execute("b")] });
        let mut firewall = firewall(&json!([entry_point, managed("a"), managed("b")]), Switches::default());
        assert_eq!(
            refused_by(&mut firewall, &notification("example.com")).as_deref(),
            refused,
            "{parameters}"
        );
    }
}

#[test]
fn rules_that_are_not_simulated_are_named_at_once() {
    let unknown = json!({ "ref": "other", "action": "score", "expression": "true" });
    let limit = json!({ "ref": "limit", "action": "block", "expression": "true", "ratelimit": one_only()[0]["ratelimit"] });
    let execute = |id: &str, more: Value| {
        let mut parameters = json!({ "id": id });
        parameters.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({ "ref": format!("execute-{id}"), "action": "execute", "expression": "true", "action_parameters": parameters })
    };
    let again = json!({ "id": "again", "kind": "custom", "phase": "http_request_firewall_custom",
        "rules": [execute("again", json!({}))] });
    let managed = json!({ "kind": "zone", "phase": "http_request_firewall_managed", "rules": [execute("theirs", json!({}))] });
    let rulesets = json!([
        custom(json!([
            block("lists", "ip.src in $office"),
            unknown,
            limit,
            execute("again", json!({})),
            execute("none", json!({})),
            execute("again", json!({ "overrides": { "enabled": false } })),
        ])),
        limits(json!([block("no-limit", "true")])),
        again,
        managed.clone(),
        json!({ "kind": "root", "phase": "http_ratelimit", "rules": [] }),
        json!({ "kind": "custom", "phase": "http_ratelimit", "rules": [] }),
        custom(json!([])),
    ]);
    let rulesets: Vec<Ruleset> = serde_json::from_value(rulesets).expect("rulesets");
    let error = Firewall::new(&rulesets[..6], &Switches::default()).expect_err("much").to_string();
    for named in [
        "rule `lists`: lists are not simulated: `$office`",
        "rule `other`: the action `score` is not simulated",
        "rule `limit`: `ratelimit` belongs into",
        "rule `no-limit`: a rule of http_ratelimit has no ratelimit",
        "rule `execute-again`: `execute` of `again`: rulesets that are executed this deep",
        "rule `execute-again`: `execute` of `again`: `overrides` is not simulated",
        "rule `execute-none`: `execute` of `none`: this ruleset is not known: give it as JSON",
        "rule `execute-theirs`: `execute` of `theirs`: this ruleset is not known: give it as JSON, or say by the switch",
        "a ruleset of the kind `root` with no id is not simulated",
        "a ruleset of the kind `custom` with no id is not simulated",
    ] {
        assert!(error.contains(named), "{named} is not in\n{error}");
    }
    assert_eq!(error.lines().count(), 10, "{error}");
    let error = Firewall::new(&[rulesets[6].clone(), rulesets[6].clone()], &Switches::default())
        .expect_err("two")
        .to_string();
    assert!(error.contains("http_request_firewall_custom has two entry points"), "{error}");
    let mut second = rulesets[6].clone();
    second.origin = Some(Origin { file: "b.json".into(), line: 3 });
    let error =
        Firewall::new(&[rulesets[6].clone(), second], &Switches::default()).expect_err("two").to_string();
    assert!(error.starts_with("b.json:3: http_request_firewall_custom"), "{error}");
}

#[test]
fn a_disabled_rule_is_not_evaluated_whatever_it_is() {
    let rule = json!({ "action": "score", "expression": "none(", "enabled": false });
    let mut firewall = firewall(&json!([custom(json!([rule]))]), Switches::default());
    assert_eq!(refused_by(&mut firewall, &notification("")), None);
}

#[test]
fn the_switch_stands_for_managed_rules_that_a_rule_executes() {
    let execute = json!({ "action": "execute", "expression": "http.host eq \"app.example.com\"",
        "action_parameters": { "id": "theirs", "overrides": { "enabled": true } } });
    let switches =
        Switches { managed: Some("http.request.method eq \"GET\"".to_owned()), ..Switches::default() };
    let managed =
        |rules: Value| json!({ "kind": "zone", "phase": "http_request_firewall_managed", "rules": rules });
    let mut executing = firewall(&json!([managed(json!([execute]))]), switches.clone());
    assert_eq!(refused_by(&mut executing, &notification("")), None, "another host");
    let other = Request::get("app.example.com", "/".parse().expect("a URI"));
    assert_eq!(refused_by(&mut executing, &other).as_deref(), Some("switched on"));
    let mut skipping = firewall(
        &json!([managed(json!([
            skip_with("action_parameters", json!({ "rulesets": ["theirs"] })),
            execute
        ]))]),
        switches.clone(),
    );
    assert_eq!(refused_by(&mut skipping, &notification("example.com")), None);
    // Which of the rules that are switched on are of that ruleset is not known.
    for parameters in [json!({ "rulesets": ["other"] }), json!({ "rules": { "theirs": ["r1"] } })] {
        let rules = json!([managed(json!([skip_with("action_parameters", parameters), execute]))]);
        let rules: Vec<Ruleset> = serde_json::from_value(rules).expect("rulesets");
        let error = Firewall::new(&rules, &switches).expect_err("not known").to_string();
        assert!(error.contains("rule `skip`: `skip` of `"), "{error}");
    }
}
