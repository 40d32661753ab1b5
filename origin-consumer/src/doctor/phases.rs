//! The phases and products after the custom rules: which of them the zone uses, and whether the skip rule skips those.

use super::api::{BotManagement, Lockdown, Rule, Setting, UserAgentRule};
use super::expression::{Expression, Truth};
use super::finding::Finding;
use super::skip_rule::{Cover, Lack, Notifications, Part, shown};

/// A phase that a skip rule can skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Rate limiting rules.
    RateLimits,
    /// Managed rules.
    Managed,
}

impl Phase {
    /// Both.
    pub const ALL: [Self; 2] = [Self::RateLimits, Self::Managed];

    /// As the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimits => "http_ratelimit",
            Self::Managed => "http_request_firewall_managed",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::RateLimits => {
                "a rate limit counts the Worker's notifications, by the address of the client whose trace it was, and drops those above it"
            }
            Self::Managed => {
                "a managed rule can block or challenge a notification, and a Worker solves no challenge"
            }
        }
    }
}

/// What of a phase's rules concerns notifications.
#[derive(Default)]
struct InUse<'a> {
    /// Rules that may act on one, with their places.
    acting: Vec<(usize, &'a Rule)>,
    /// Rate limits that may count one, and act on others only.
    counting: Vec<(usize, &'a Rule)>,
    /// The phase's own exceptions.
    exceptions: Vec<(usize, &'a Rule)>,
}

impl<'a> InUse<'a> {
    fn of(rules: &'a [Rule], notifications: &Notifications) -> Self {
        let request = notifications.request();
        let matches = |expression: &str| match expression.parse::<Expression>() {
            Ok(expression) => expression.matches(&request),
            Err(_) => Truth::Unknown,
        };
        let mut found = Self::default();
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            let (place, truth) = ((index + 1, rule), matches(&rule.expression));
            match rule.action.as_str() {
                "log" | "" => {}
                "skip" if truth == Truth::True => {
                    found.exceptions.push(place);
                    if rule.action_parameters.skips_the_rest() {
                        break;
                    }
                }
                "skip" => {}
                _ if found.excepts(rule) => {}
                _ if truth.is_possible() => found.acting.push(place),
                _ if counted(rule).is_some_and(|counted| matches(counted).is_possible()) => {
                    found.counting.push(place);
                }
                _ => {}
            }
        }
        found
    }

    /// Whether an exception names the ruleset that the rule executes.
    fn excepts(&self, rule: &Rule) -> bool {
        rule.action_parameters.id.as_ref().is_some_and(|id| {
            self.exceptions.iter().any(|(_, exception)| exception.action_parameters.rulesets.contains(id))
        })
    }
}

/// What a rate limit counts, where that is not what it acts on.
fn counted(rule: &Rule) -> Option<&str> {
    rule.ratelimit.as_ref()?.counting_expression.as_deref().filter(|counted| !counted.is_empty())
}

/// The rules of a phase of the zone, against what the skip rule covers.
pub fn judge(phase: Phase, rules: &[Rule], cover: &Cover, notifications: &Notifications) -> Vec<Finding> {
    let in_use = InUse::of(rules, notifications);
    let name = phase.name();
    let Some(Lack { who, todo }) = cover.lack(Part::Phase(name)) else {
        let number = in_use.acting.len() + in_use.counting.len();
        let what = format!("the skip rule skips {name}; {number} of its rules concern notifications");
        return vec![Finding::ok("phase_skipped", what)];
    };
    if in_use.acting.is_empty() && in_use.counting.is_empty() {
        let rules = match in_use.exceptions.first() {
            Some((place, rule)) => format!("its {} leaves notifications out there", shown(*place, rule)),
            None => "the zone has no rule there that concerns notifications".to_owned(),
        };
        return vec![Finding::note(
            "phase_not_skipped_and_not_in_use",
            format!("{name} is not skipped for {who}; {rules}"),
            "the first such rule will hold for notifications",
        )];
    }
    let stops = |(place, rule): (usize, &Rule)| {
        Finding::fault(
            "phase_not_skipped",
            format!(
                "{name} is not skipped for {who}, and its {} does `{}` with what matches `{}`",
                shown(place, rule),
                rule.action,
                rule.expression
            ),
            phase.meaning(),
            todo.clone(),
        )
    };
    let counts = |(place, rule): (usize, &Rule)| {
        Finding::warning(
            "rate_limit_counts_notifications",
            format!(
                "{name} is not skipped for {who}, and its {} counts what matches `{}`; it acts on `{}` only",
                shown(place, rule),
                counted(rule).unwrap_or_default(),
                rule.expression
            ),
            "notifications carry the addresses of clients, so these come to the limit sooner than by their own requests",
            format!("{todo}, or leave notifications out of its counting expression"),
        )
    };
    let acting = in_use.acting.into_iter().map(stops);
    acting.chain(in_use.counting.into_iter().map(counts)).collect()
}

/// What the zone does with bots. `plan` is as the API calls it.
pub fn judge_bots(bots: &BotManagement, cover: &Cover, plan: &str) -> Vec<Finding> {
    const SBFM: &str = "http_request_sbfm";
    let mut findings = Vec::new();
    if bots.fight_mode == Some(true) {
        let plan = if plan.is_empty() { String::new() } else { format!(" (the zone's plan is {plan})") };
        findings.push(Finding::fault(
            "bot_fight_mode",
            format!("Bot Fight Mode is on{plan}"),
            "no rule can skip it, and it may challenge the Worker's notifications; a Worker solves no challenge",
            "switch Bot Fight Mode off; from the Pro plan on, Super Bot Fight Mode can be skipped",
        ));
    }
    let modes = [
        ("definitely automated", &bots.sbfm_definitely_automated),
        ("likely automated", &bots.sbfm_likely_automated),
        ("verified bots", &bots.sbfm_verified_bots),
    ];
    let acts = |(kind, mode): (&str, &Option<String>)| {
        mode.as_deref().filter(|mode| *mode != "allow").map(|mode| format!("{kind}: {mode}"))
    };
    let acts: Vec<_> = modes.into_iter().filter_map(acts).collect();
    if let Some(Lack { who, todo }) = cover.lack(Part::Phase(SBFM)).filter(|_| !acts.is_empty()) {
        findings.push(Finding::fault(
            "super_bot_fight_mode_not_skipped",
            format!("Super Bot Fight Mode acts ({}), and {SBFM} is not skipped for {who}", acts.join(", ")),
            "a Worker's request is automated, so notifications may be blocked or challenged",
            todo,
        ));
    }
    if findings.is_empty() {
        let how = if acts.is_empty() {
            "do nothing to automated requests"
        } else {
            "are skipped for notifications"
        };
        findings.push(Finding::ok("bots", format!("the zone's bot settings {how}")));
    }
    findings
}

/// `security_level`.
pub fn judge_security_level(level: &Setting, cover: &Cover) -> Finding {
    let (code, value) = ("security_level", &level.value);
    let is_off = ["off", "essentially_off"].contains(&value.as_str());
    let Some(Lack { who, todo }) = cover.lack(Part::Product("securityLevel")).filter(|_| !is_off) else {
        return Finding::ok(code, format!("the security level ({value}) does not concern notifications"));
    };
    if value == "under_attack" {
        let why = "every request is challenged, and a Worker solves no challenge";
        return Finding::fault(
            "under_attack",
            format!("the zone is in Under Attack mode, which is not skipped for {who}"),
            why,
            todo,
        );
    }
    let why = "notifications carry the address of the client whose trace it was, and one of ill repute is challenged";
    Finding::warning(code, format!("the security level is {value}, and is not skipped for {who}"), why, todo)
}

/// `browser_check`.
pub fn judge_browser_check(check: &Setting, cover: &Cover) -> Finding {
    let code = "browser_integrity_check";
    let Some(Lack { who, todo }) = cover.lack(Part::Product("bic")).filter(|_| check.value == "on") else {
        return Finding::ok(
            code,
            format!("the Browser Integrity Check ({}) does not concern notifications", check.value),
        );
    };
    Finding::fault(
        code,
        format!("the Browser Integrity Check is on, and is not skipped for {who}"),
        "it stops requests without a user agent, and a Worker's requests have none",
        todo,
    )
}

/// Zone Lockdown.
pub fn judge_lockdowns(lockdowns: &[Lockdown], cover: &Cover, notifications: &Notifications) -> Vec<Finding> {
    let Some(Lack { who, todo }) = cover.lack(Part::Product("zoneLockdown")) else {
        return vec![Finding::ok("zone_lockdown", "notifications skip Zone Lockdown")];
    };
    let host = notifications.url.host_str().unwrap_or_default();
    let address = format!("{host}{}", notifications.url.path());
    let concerns = |lockdown: &&Lockdown| {
        let urls =
            lockdown.urls.iter().map(|url| url.split_once("://").map_or(url.as_str(), |(_, rest)| rest));
        !lockdown.paused && urls.into_iter().any(|url| glob(url, &address))
    };
    let stops = |lockdown: &Lockdown| {
        Finding::fault(
            "zone_lockdown",
            format!("a Zone Lockdown rule ({}) holds for {who}", lockdown.urls.join(", ")),
            "it lets some addresses through only, and notifications carry those of the clients",
            todo.clone(),
        )
    };
    lockdowns.iter().filter(concerns).map(stops).collect()
}

/// User Agent Blocking.
pub fn judge_user_agents(rules: &[UserAgentRule], cover: &Cover) -> Vec<Finding> {
    // A Worker's requests have no user agent.
    let concerns = |rule: &&UserAgentRule| !rule.paused && rule.configuration.value.is_empty();
    let concerns = rules.iter().any(|rule| concerns(&rule));
    let Some(Lack { who, todo }) = cover.lack(Part::Product("uaBlock")).filter(|_| concerns) else {
        return vec![Finding::ok(
            "user_agent_blocking",
            "User Agent Blocking does not concern notifications",
        )];
    };
    vec![Finding::fault(
        "user_agent_blocking",
        format!("User Agent Blocking stops requests without a user agent, and is not skipped for {who}"),
        "a Worker's requests have none",
        todo,
    )]
}

/// `*` is anything.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::super::api::RateLimit;
    use super::super::finding::Level;
    use super::super::skip_rule::walk;
    use super::*;

    const OURS: &str = "http.host eq \"ingest.example.com\" and http.request.uri.path eq \"/v1/traces\" and \
                        cf.worker.upstream_zone eq \"example.com\"";
    const ALL: &str = r#"{ "ruleset": "current",
        "phases": ["http_ratelimit", "http_request_sbfm", "http_request_firewall_managed"],
        "products": ["zoneLockdown", "uaBlock", "bic", "securityLevel"] }"#;

    fn notifications() -> Notifications {
        let url = "https://ingest.example.com/v1/traces".parse().unwrap();
        Notifications { url, zone: "example.com".to_owned() }
    }

    fn rule(action: &str, expression: &str, parameters: &str) -> Rule {
        let action_parameters = serde_json::from_str(parameters).unwrap();
        Rule {
            action: action.to_owned(),
            expression: expression.to_owned(),
            action_parameters,
            enabled: true,
            ..Rule::default()
        }
    }

    fn current(expression: &str) -> Rule {
        rule("skip", expression, r#"{ "ruleset": "current" }"#)
    }

    fn limit() -> Rule {
        rule("block", "http.host eq \"ingest.example.com\"", "{}")
    }

    fn cover(rules: &[Rule]) -> Cover {
        walk(rules, &notifications()).cover
    }

    fn codes(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_skip_rule_before_ours_that_matches_some_notifications_is_named() {
        let (dutch, ours) = (current("ip.src.country eq \"NL\""), rule("skip", OURS, ALL));
        let behind_it = cover(&[dutch.clone(), ours.clone()]);
        let said = walk(&[dutch.clone(), ours.clone()], &notifications()).findings;
        assert_eq!(codes(&said), ["skip_rule_not_first"]);
        assert!(said[0].what.ends_with("some can take notifications past it"), "{said:?}");
        let found = judge(Phase::RateLimits, &[limit()], &behind_it, &notifications());
        assert_eq!(codes(&found), ["phase_not_skipped"]);
        assert!(found[0].what.contains("those notifications that rule 1 ("), "{found:?}");
        assert!(found[0].todo.starts_with("move that rule behind the skip rule, rule 2 ("), "{found:?}");
        let on = Setting { value: "on".to_owned() };
        assert!(judge_browser_check(&on, &behind_it).what.contains("rule 1 ("));

        // Behind it, or with all that it skips, it takes nothing away.
        let as_ours = rule("skip", "ip.src.country eq \"NL\"", ALL);
        for rules in [[ours.clone(), dutch.clone()], [as_ours, ours.clone()]] {
            let found = judge(Phase::RateLimits, &[limit()], &cover(&rules), &notifications());
            assert_eq!(codes(&found), ["phase_skipped"]);
        }
        let mut off = dutch;
        off.enabled = false;
        assert_eq!(cover(&[off, ours]).lack(Part::Product("bic")), None);
    }

    #[test]
    fn a_skip_rule_before_ours_that_matches_all_notifications_hides_it() {
        let (path, ours) = (current("http.request.uri.path eq \"/v1/traces\""), rule("skip", OURS, ALL));
        let walked = walk(&[path.clone(), ours.clone()], &notifications());
        let hidden = walked.findings.iter().find(|finding| finding.code == "skip_rule_not_reached").unwrap();
        assert!(hidden.what.starts_with("rule 2 (") && hidden.what.contains("rule 1 ("), "{hidden:?}");
        assert!(hidden.todo.starts_with("move rule 2 ("), "{hidden:?}");
        let found = judge(Phase::RateLimits, &[limit()], &walked.cover, &notifications());
        assert!(found[0].todo.starts_with("move the skip rule, rule 2 ("), "{found:?}");
        // In its place, or twice, it is reached.
        for rules in [[ours.clone(), path], [ours.clone(), ours]] {
            assert_eq!(codes(&walk(&rules, &notifications()).findings), ["skip_rule"]);
        }
    }

    #[test]
    fn an_exception_of_the_phase_itself_holds() {
        let managed = |rules: &[Rule]| {
            let found = judge(Phase::Managed, rules, &Cover::default(), &notifications());
            found.iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        let execute = || rule("execute", "true", r#"{ "id": "efb7b8c949ac4650a09736fc376e9aee" }"#);
        let by_id = |id: &str| rule("skip", OURS, &format!(r#"{{ "rulesets": ["{id}"] }}"#));
        let (excepted, faulty) = (["phase_not_skipped_and_not_in_use"], ["phase_not_skipped"]);
        assert_eq!(managed(&[current(OURS), execute()]), excepted);
        assert_eq!(managed(&[by_id("efb7b8c949ac4650a09736fc376e9aee"), execute()]), excepted);
        assert_eq!(managed(&[by_id("4814384a9e5d4991b9815dcfc25d2f1f"), execute()]), faulty);
        assert_eq!(managed(&[execute(), current(OURS)]), faulty);
        assert_eq!(managed(&[current("ip.src.country eq \"NL\""), execute()]), faulty);
        let off = Rule { enabled: false, ..current(OURS) };
        assert_eq!(managed(&[off, execute()]), faulty);
    }

    #[test]
    fn a_rate_limit_that_only_counts_notifications_is_a_warning() {
        let counting = |counted: Option<&str>| Rule {
            ratelimit: Some(RateLimit { counting_expression: counted.map(str::to_owned) }),
            ..rule("block", "http.request.uri.path eq \"/login\"", "{}")
        };
        let judged = |rule: Rule, cover: &Cover| judge(Phase::RateLimits, &[rule], cover, &notifications());
        let none = Cover::default();
        let found = judged(counting(Some("http.host eq \"ingest.example.com\"")), &none);
        assert_eq!(codes(&found), ["rate_limit_counts_notifications"]);
        assert_eq!(found[0].level, Level::Warning);
        let ours = cover(&[rule("skip", OURS, ALL)]);
        assert_eq!(codes(&judged(counting(Some("true")), &ours)), ["phase_skipped"]);
        for counted in
            [None, Some(""), Some("http.response.code eq 401 and http.host eq \"www.example.com\"")]
        {
            assert_eq!(
                codes(&judged(counting(counted), &none)),
                ["phase_not_skipped_and_not_in_use"],
                "{counted:?}"
            );
        }
    }

    #[test]
    fn a_star_is_anything() {
        for (pattern, text, fits) in [
            ("a.example/v1/*", "a.example/v1/traces", true),
            ("*.example/v1/traces", "a.example/v1/traces", true),
            ("a.example/*/traces", "a.example/v1/traces", true),
            ("a.example/v1/traces", "a.example/v1/traces", true),
            ("a.example/v1", "a.example/v1/traces", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
