//! What a request meets before the custom rules: redirects, and rewrites of its URL. No skip rule skips these.
//!
//! <https://developers.cloudflare.com/ruleset-engine/reference/phases-list/>

use super::api::{Permission, Rule};
use super::expression::{Expression, Truth, UPSTREAM_ZONE};
use super::finding::{Finding, Level};
use super::skip_rule::{Notifications, shown};

/// A phase before the custom rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Single Redirects.
    Redirects,
    /// URL Rewrite Rules.
    Rewrites,
}

impl Before {
    /// As the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirects => "http_request_dynamic_redirect",
            Self::Rewrites => "http_request_transform",
        }
    }

    /// What a token needs to read it.
    pub fn permission(self) -> Permission {
        match self {
            Self::Redirects => Permission::Redirects,
            Self::Rewrites => Permission::TransformRules,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Redirects => "redirect",
            Self::Rewrites => "rewrite",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Redirects => "notifications_redirected",
            Self::Rewrites => "notifications_rewritten",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Redirects => {
                "a redirected notification is answered before it reaches the origin, and the Worker follows no redirect; no skip rule helps, as it comes later"
            }
            Self::Rewrites => {
                "rules behind it see the rewritten URL, so the skip rule may not match any more, and the origin may get another path"
            }
        }
    }
}

/// The rules of the phase that may change a notification's way.
pub fn judge(phase: Before, rules: &[Rule], notifications: &Notifications) -> Vec<Finding> {
    let request = notifications.request();
    let truth = |rule: &Rule| match rule.expression.parse::<Expression>() {
        Ok(expression) => expression.matches(&request),
        Err(_) => Truth::Unknown,
    };
    let enabled = rules.iter().enumerate().filter(|(_, rule)| rule.enabled && rule.action == phase.action());
    let concerns = |(index, rule): (usize, &Rule)| {
        let (which, level) = match truth(rule) {
            Truth::True => ("every notification", Level::Fault),
            Truth::Unknown => ("some notifications, perhaps", Level::Warning),
            Truth::False => return None,
        };
        let what = format!(
            "{} of {} does `{}` with what matches `{}`: {which}",
            shown(index + 1, rule),
            phase.name(),
            rule.action,
            rule.expression
        );
        let todo = format!("add `and {UPSTREAM_ZONE} ne \"{}\"` to that rule", notifications.zone);
        Some(Finding { level, ..Finding::fault(phase.code(), what, phase.meaning(), todo) })
    };
    let findings: Vec<_> = enabled.filter_map(concerns).collect();
    if findings.is_empty() {
        let what = format!("no rule of {} changes the way of notifications", phase.name());
        return vec![Finding::ok("way_unchanged", what)];
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(phase: Before, action: &str, expression: &str) -> Finding {
        let notifications = Notifications {
            url: "https://ingest.example.com/v1/traces".parse().unwrap(),
            zone: "example.com".to_owned(),
        };
        let rule = Rule {
            action: action.to_owned(),
            expression: expression.to_owned(),
            enabled: true,
            ..Rule::default()
        };
        let off = Rule { enabled: false, expression: "true".to_owned(), ..rule.clone() };
        let mut findings = judge(phase, &[off, rule], &notifications);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn what_takes_a_notification_elsewhere_before_the_custom_rules_is_named() {
        for phase in [Before::Redirects, Before::Rewrites] {
            for (expression, level) in [
                ("starts_with(http.request.uri.path, \"/v1/\")", Level::Fault),
                ("true", Level::Fault),
                ("ip.src.country eq \"DE\"", Level::Warning),
                ("this cannot be read", Level::Warning),
                ("not ssl", Level::Ok),
                ("http.host eq \"www.example.com\"", Level::Ok),
                (
                    "http.host eq \"ingest.example.com\" and cf.worker.upstream_zone ne \"example.com\"",
                    Level::Ok,
                ),
            ] {
                let found = judged(phase, phase.action(), expression);
                assert_eq!(found.level, level, "{expression}: {found:?}");
                if level != Level::Ok {
                    assert!(found.code == phase.code() && found.what.starts_with("rule 2 ("), "{found:?}");
                }
            }
            assert_eq!(judged(phase, "log", "true").level, Level::Ok);
        }
    }
}
