//! The phases and products after the custom rules: which of them the zone uses, and whether the skip rule skips those.

use super::api::{BotManagement, Lockdown, Rule, Setting, UserAgentRule};
use super::expression::{Expression, Truth};
use super::finding::Finding;
use super::skip_rule::{Cover, Notifications, shown};

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

/// The rules of a phase of the zone, against what the skip rule covers.
pub fn judge(phase: Phase, rules: &[Rule], cover: &Cover, notifications: &Notifications) -> Vec<Finding> {
    let request = notifications.request();
    let concerns = |rule: &Rule| match rule.expression.parse::<Expression>() {
        Ok(expression) => expression.matches(&request),
        Err(_) => Truth::Unknown,
    };
    let in_use: Vec<_> = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.enabled && !["log", "skip", ""].contains(&rule.action.as_str()))
        .filter(|(_, rule)| concerns(rule).is_possible())
        .collect();
    let name = phase.name();
    if cover.phases.contains(name) {
        let what = format!("the skip rule skips {name}; {} of its rules concern notifications", in_use.len());
        return vec![Finding::ok("phase_skipped", what)];
    }
    if in_use.is_empty() {
        return vec![Finding::note(
            "phase_not_skipped_and_not_in_use",
            format!(
                "the skip rule does not skip {name}; the zone has no rule there that concerns notifications"
            ),
            "the first such rule will hold for notifications",
        )];
    }
    let missing = if cover.is_there {
        format!("add {name} to the phases of the skip rule")
    } else {
        format!("let a skip rule for the Worker's notifications skip {name}")
    };
    let stops = |(index, rule): (usize, &Rule)| {
        Finding::fault(
            "phase_not_skipped",
            format!(
                "{name} is not skipped for notifications, and its {} does `{}` with what matches `{}`",
                shown(index + 1, rule),
                rule.action,
                rule.expression
            ),
            phase.meaning(),
            missing.clone(),
        )
    };
    in_use.into_iter().map(stops).collect()
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
    if !acts.is_empty() && !cover.phases.contains(SBFM) {
        findings.push(Finding::fault(
            "super_bot_fight_mode_not_skipped",
            format!(
                "Super Bot Fight Mode acts ({}), and {SBFM} is not skipped for notifications",
                acts.join(", ")
            ),
            "a Worker's request is automated, so notifications may be blocked or challenged",
            format!("add {SBFM} to the phases of the skip rule"),
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
    if ["off", "essentially_off"].contains(&value.as_str()) || cover.products.contains("securityLevel") {
        return Finding::ok(code, format!("the security level ({value}) does not concern notifications"));
    }
    let todo = "add securityLevel to the products of the skip rule";
    if value == "under_attack" {
        let why = "every request is challenged, and a Worker solves no challenge";
        return Finding::fault(
            "under_attack",
            "the zone is in Under Attack mode, and notifications do not skip it",
            why,
            todo,
        );
    }
    let why = "notifications carry the address of the client whose trace it was, and one of ill repute is challenged";
    Finding::warning(
        code,
        format!("the security level is {value}, and notifications do not skip it"),
        why,
        todo,
    )
}

/// `browser_check`.
pub fn judge_browser_check(check: &Setting, cover: &Cover) -> Finding {
    let code = "browser_integrity_check";
    if check.value != "on" || cover.products.contains("bic") {
        return Finding::ok(
            code,
            format!("the Browser Integrity Check ({}) does not concern notifications", check.value),
        );
    }
    Finding::fault(
        code,
        "the Browser Integrity Check is on, and notifications do not skip it",
        "it stops requests without a user agent, and a Worker's requests have none",
        "add bic to the products of the skip rule",
    )
}

/// Zone Lockdown.
pub fn judge_lockdowns(lockdowns: &[Lockdown], cover: &Cover, notifications: &Notifications) -> Vec<Finding> {
    if cover.products.contains("zoneLockdown") {
        return vec![Finding::ok("zone_lockdown", "notifications skip Zone Lockdown")];
    }
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
            format!("a Zone Lockdown rule ({}) holds for notifications", lockdown.urls.join(", ")),
            "it lets some addresses through only, and notifications carry those of the clients",
            "add zoneLockdown to the products of the skip rule",
        )
    };
    lockdowns.iter().filter(concerns).map(stops).collect()
}

/// User Agent Blocking.
pub fn judge_user_agents(rules: &[UserAgentRule], cover: &Cover) -> Vec<Finding> {
    // A Worker's requests have no user agent.
    let concerns = |rule: &&UserAgentRule| !rule.paused && rule.configuration.value.is_empty();
    if cover.products.contains("uaBlock") || !rules.iter().any(|rule| concerns(&rule)) {
        return vec![Finding::ok(
            "user_agent_blocking",
            "User Agent Blocking does not concern notifications",
        )];
    }
    vec![Finding::fault(
        "user_agent_blocking",
        "User Agent Blocking stops requests without a user agent",
        "a Worker's requests have none",
        "add uaBlock to the products of the skip rule",
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
    use super::*;

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
