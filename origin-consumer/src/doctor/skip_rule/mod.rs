//! The zone's custom rules, walked through as a notification would: what may stop it, and what the skip rule takes away.

mod cover;
mod mismatch;
#[cfg(test)]
mod tests;
mod width;

use reqwest::Url;

pub use self::cover::{Cover, Lack, Part};
use self::cover::{SkipRule, Skipped};

use super::api::Rule;
use super::expression::{Expression, Request, Truth};
use super::finding::Finding;

/// Actions that let a request go on.
const HARMLESS: [&str; 2] = ["log", ""];

/// What the doctor tells people to do, again and again.
const SHIPPED: &str = "deploy/terraform has the rule, and the same as JSON for the API";

/// Whose notifications, and where they go.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// `NOTIFY_URL`.
    pub url: Url,
    /// The zone's name.
    pub zone: String,
}

impl Notifications {
    /// One of them.
    pub fn request(&self) -> Request {
        Request::notification(&self.url, &self.zone)
    }
}

/// What the walk has come to.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// What a notification does not meet any more.
    pub cover: Cover,
    /// What is to be said.
    pub findings: Vec<Finding>,
}

/// A rule, read.
struct Read<'a> {
    position: usize,
    rule: &'a Rule,
    expression: Option<Expression>,
    truth: Truth,
}

impl<'a> Read<'a> {
    fn of(index: usize, rule: &'a Rule, request: &Request) -> Self {
        let expression: Option<Expression> = rule.expression.parse().ok();
        let truth = expression.as_ref().map_or(Truth::Unknown, |expression| expression.matches(request));
        Self { position: index + 1, rule, expression, truth }
    }

    fn is_skip(&self) -> bool {
        self.rule.action == "skip"
    }

    fn skips_the_rest(&self) -> bool {
        self.rule.action_parameters.skips_the_rest()
    }

    /// As the end of a way that has skipped this before.
    fn skipping(&self, before: &Skipped) -> SkipRule {
        let mut skipped = before.clone();
        skipped.add(&self.rule.action_parameters);
        SkipRule { name: self.name(), skipped }
    }

    /// Whether it can keep a notification from going on.
    fn may_stop(&self) -> bool {
        self.rule.enabled
            && !self.is_skip()
            && !HARMLESS.contains(&self.rule.action.as_str())
            && self.truth.is_possible()
    }

    /// Position, description and id.
    fn name(&self) -> String {
        shown(self.position, self.rule)
    }

    /// On what it depends whether it matches.
    fn dependence(&self, request: &Request) -> String {
        match &self.expression {
            None => "its expression cannot be read here".to_owned(),
            Some(expression) => {
                let unknown = request.unknown_of(expression.fields());
                if unknown.is_empty() {
                    "what it matches cannot be told from here".to_owned()
                } else {
                    format!("it depends on {}", unknown.join(", "))
                }
            }
        }
    }
}

/// A rule as the findings name it.
pub fn shown(position: usize, rule: &Rule) -> String {
    let description = if rule.description.is_empty() { "without a description" } else { &rule.description };
    format!("rule {position} (`{description}`, id {})", rule.id)
}

/// Walks through the custom rules of the zone, in their order.
pub fn walk(rules: &[Rule], notifications: &Notifications) -> Walk {
    let request = notifications.request();
    let rules: Vec<_> =
        rules.iter().enumerate().map(|(index, rule)| Read::of(index, rule, &request)).collect();
    let mut walk = Walk::default();
    let mut before: Vec<&Read<'_>> = Vec::new();
    let mut matching: Vec<&Read<'_>> = Vec::new();
    let mut skipped = Skipped::default();
    let mut enabled = rules.iter().filter(|read| read.rule.enabled);
    for read in enabled.by_ref() {
        if read.is_skip() && read.truth == Truth::True {
            skipped.add(&read.rule.action_parameters);
            matching.push(read);
            if read.skips_the_rest() {
                walk.cover.rest = true;
                break;
            }
        } else {
            if read.is_skip() && read.truth.is_possible() && read.skips_the_rest() {
                walk.cover.detours.push(read.skipping(&skipped));
            }
            before.push(read);
        }
    }
    walk.cover.rule = matching.last().map(|last| last.skipping(&skipped));
    if matching.is_empty() {
        walk.findings.extend(mismatch::why_none(&rules, notifications));
    }
    let last = matching.last();
    for read in &before {
        if read.may_stop() {
            walk.findings.push(stopper(read, matching.first().copied(), &request));
        }
    }
    if let Some(skip) = last {
        let earlier = before
            .iter()
            .filter(|read| read.position < skip.position && !HARMLESS.contains(&read.rule.action.as_str()));
        let harmless = earlier.clone().all(|read| !read.may_stop());
        let count = earlier.count();
        if count > 0 {
            let rules = if !harmless {
                "some can stop notifications"
            } else if walk.cover.detours.is_empty() {
                "none of them can stop a notification today"
            } else {
                "some can take notifications past it"
            };
            walk.findings.push(Finding::warning(
                "skip_rule_not_first",
                format!("the skip rule is {}, behind {count} others; {rules}", skip.name()),
                "rules before it hold for notifications too, and the next change of one of them may drop half of them",
                "move the skip rule to the first place",
            ));
        }
        if !walk.cover.rest {
            walk.findings.push(Finding::warning(
                "skip_rule_without_current_ruleset",
                format!("the skip rule, {}, does not skip the rest of the custom rules", skip.name()),
                "custom rules that stand behind it still hold for notifications",
                "add `ruleset: current` to its action parameters",
            ));
        }
        let wide: Vec<_> = matching.iter().flat_map(|skip| width::too_wide(skip, notifications)).collect();
        let mut narrow = enabled.filter(|read| read.is_skip() && read.truth == Truth::True);
        let behind = narrow.find(|read| width::too_wide(read, notifications).is_empty());
        if let Some(behind) = behind {
            let unreached = behind.skipping(&Skipped::default());
            if !(wide.is_empty() && skipped.has_all_of(&unreached.skipped)) {
                walk.findings.push(not_reached(behind, skip));
                walk.cover.unreached = Some(unreached);
            }
        }
        if walk.findings.is_empty() && wide.is_empty() {
            let what =
                format!("the skip rule is {}, and matches notifications and nothing else", skip.name());
            walk.findings.push(Finding::ok("skip_rule", what));
        }
        walk.findings.extend(wide);
    }
    walk
}

fn not_reached(read: &Read<'_>, skip: &Read<'_>) -> Finding {
    Finding::fault(
        "skip_rule_not_reached",
        format!(
            "{} is right for notifications, and none reaches it: {} matches them, too, and skips the rest of the custom rules",
            read.name(),
            skip.name()
        ),
        "notifications skip only what the rule before it names",
        format!("move {} to the first place", read.name()),
    )
}

fn stopper(read: &Read<'_>, skip: Option<&Read<'_>>, request: &Request) -> Finding {
    let (action, name) = (&read.rule.action, read.name());
    let expression = &read.rule.expression;
    let stops = match read.truth {
        Truth::True => "it matches every notification".to_owned(),
        _ => format!("it can match a notification: {}", read.dependence(request)),
    };
    match skip {
        Some(skip) if skip.position < read.position => Finding::fault(
            "rule_not_skipped",
            format!(
                "{name} does `{action}` with what matches `{expression}`, and the skip rule does not skip it: {stops}"
            ),
            "the notifications that it stops do not reach the origin",
            format!("add `ruleset: current` to the action parameters of the skip rule, {}", skip.name()),
        ),
        Some(skip) => Finding::fault(
            "rule_before_skip_rule",
            format!(
                "{name} stands before the skip rule and does `{action}` with what matches `{expression}`: {stops}"
            ),
            "custom rules are evaluated in their order, so the skip rule comes too late for what this one stops",
            format!("move the skip rule, {}, to the first place", skip.name()),
        ),
        None => Finding::fault(
            "rule_may_stop_notifications",
            format!(
                "{name} does `{action}` with what matches `{expression}`, and no skip rule comes before it: {stops}"
            ),
            "the notifications that it stops do not reach the origin",
            format!("put a skip rule for the Worker's notifications before it; {SHIPPED}"),
        ),
    }
}
