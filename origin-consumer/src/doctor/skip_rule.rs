//! The zone's custom rules, walked through as a notification would: what may stop it, and what the skip rule takes away.

use std::collections::BTreeSet;

use reqwest::Url;

use super::api::Rule;
use super::expression::{Expression, Request, Truth, Value};
use super::finding::Finding;

/// Actions that let a request go on.
const HARMLESS: [&str; 2] = ["log", ""];
/// The field that tells a Worker's request from everybody else's.
const UPSTREAM_ZONE: &str = "cf.worker.upstream_zone";

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

/// What skip rules take away from a notification's way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    /// Whether there is a rule that surely matches.
    pub is_there: bool,
    /// The rest of the custom rules.
    pub rest: bool,
    /// Whole phases.
    pub phases: BTreeSet<String>,
    /// Products outside of the rulesets.
    pub products: BTreeSet<String>,
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

    /// Whether it can keep a notification from going on.
    fn may_stop(&self) -> bool {
        self.rule.enabled
            && !self.is_skip()
            && !HARMLESS.contains(&self.rule.action.as_str())
            && self.truth.is_possible()
    }

    fn skips_the_rest(&self) -> bool {
        let parameters = &self.rule.action_parameters;
        [&parameters.ruleset, &parameters.phase]
            .into_iter()
            .any(|skipped| skipped.as_deref() == Some("current"))
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
    for read in rules.iter().filter(|read| read.rule.enabled) {
        if read.is_skip() && read.truth == Truth::True {
            let parameters = &read.rule.action_parameters;
            walk.cover.is_there = true;
            walk.cover.phases.extend(parameters.phases.iter().cloned());
            walk.cover.products.extend(parameters.products.iter().cloned());
            matching.push(read);
            if read.skips_the_rest() {
                walk.cover.rest = true;
                break;
            }
        } else {
            before.push(read);
        }
    }
    if matching.is_empty() {
        walk.findings.extend(why_none(&rules, notifications));
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
            let rules = if harmless {
                "none of them can stop a notification today"
            } else {
                "some can stop notifications"
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
        let wide: Vec<_> =
            matching.iter().filter_map(|skip| too_wide(skip, notifications)).flatten().collect();
        if walk.findings.is_empty() && wide.is_empty() {
            let what =
                format!("the skip rule is {}, and matches notifications and nothing else", skip.name());
            walk.findings.push(Finding::ok("skip_rule", what));
        }
        walk.findings.extend(wide);
    }
    walk
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

/// What could be different about a rule that does not match.
const ASPECTS: [(&str, &str, &[&str]); 4] = [
    ("skip_rule_for_another_zone", "zone", &[UPSTREAM_ZONE]),
    ("skip_rule_for_another_host", "host", &["http.host", "http.request.full_uri"]),
    (
        "skip_rule_for_another_path",
        "path",
        &[
            "http.request.uri.path",
            "http.request.uri",
            "http.request.full_uri",
            "http.request.uri.path.extension",
        ],
    ),
    ("skip_rule_for_another_method", "method", &["http.request.method"]),
];

/// Why no skip rule matches a notification.
fn why_none(rules: &[Read<'_>], notifications: &Notifications) -> Vec<Finding> {
    let skips: Vec<_> = rules.iter().filter(|read| read.is_skip()).collect();
    let meant: Vec<_> = skips.iter().filter(|read| is_meant(read, notifications)).collect();
    let zone = &notifications.zone;
    let mut findings: Vec<_> = meant.iter().map(|read| why_not(read, notifications)).collect();
    if findings.is_empty() {
        let others = match skips.len() {
            0 => "there is no skip rule".to_owned(),
            number => {
                format!("there are {number} skip rules, and none of them is for the Worker's notifications")
            }
        };
        findings.push(Finding::fault(
            "skip_rule_missing",
            format!("{others} (custom rules of the zone {zone})"),
            "whenever the platform sends same-zone requests through the firewall, notifications meet all of its rules and rate limits",
            format!("add one, first in the custom rules: {}; {SHIPPED}", expected(notifications)),
        ));
    }
    findings
}

fn expected(notifications: &Notifications) -> String {
    let Notifications { url, zone } = notifications;
    format!(
        "http.host eq \"{}\" and http.request.uri.path eq \"{}\" and cf.worker.upstream_zone eq \"{zone}\"",
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

/// Whether somebody may have written it for notifications.
fn is_meant(read: &Read<'_>, notifications: &Notifications) -> bool {
    let Some(expression) = &read.expression else { return true };
    if read.truth.is_possible() || expression.asks_for_header("cf-worker") {
        return true;
    }
    expression.fields().contains(UPSTREAM_ZONE)
        || differences(expression, notifications).is_some_and(|aspects| aspects.len() == 1)
}

/// The fewest aspects of a notification that would have to be others for it to match.
fn differences(expression: &Expression, notifications: &Notifications) -> Option<Vec<usize>> {
    let mut subsets: Vec<Vec<usize>> = (1u32..1 << ASPECTS.len())
        .map(|subset| (0..ASPECTS.len()).filter(|aspect| subset & (1 << aspect) != 0).collect())
        .collect();
    subsets.sort_by_key(Vec::len);
    subsets.into_iter().find(|subset| {
        let fields = subset.iter().flat_map(|aspect| ASPECTS[*aspect].2);
        let request =
            fields.fold(notifications.request(), |request, field| request.with(field, Value::Unknown));
        expression.matches(&request).is_possible()
    })
}

fn why_not(read: &Read<'_>, notifications: &Notifications) -> Finding {
    let (name, expression_text) = (read.name(), &read.rule.expression);
    let off = if read.rule.enabled { "" } else { ", and it is disabled" };
    let why = "it does not match notifications, so they meet all rules and rate limits of the zone";
    let todo = format!("let it match {}", expected(notifications));
    let Some(expression) = &read.expression else {
        let problem =
            expression_text.parse::<Expression>().err().map(|error| error.to_string()).unwrap_or_default();
        return Finding::unchecked(
            "skip_rule_unreadable",
            format!(
                "the skip rule, {name}, has the expression `{expression_text}`, which the doctor does not understand ({problem}){off}"
            ),
            "whether it matches notifications is not known",
            format!("write it as {}", expected(notifications)),
        );
    };
    if expression.asks_for_header("cf-worker") {
        return Finding::fault(
            "skip_rule_matches_cf_worker_header",
            format!("the skip rule, {name}, looks at the header CF-Worker{off}: `{expression_text}`"),
            "rules run before that header is added, so it never matches; and a client can send the header itself",
            format!("match cf.worker.upstream_zone: {}", expected(notifications)),
        );
    }
    match read.truth {
        Truth::True => {
            return Finding::fault(
                "skip_rule_disabled",
                format!("the skip rule, {name}, is disabled"),
                "it would match notifications, and does nothing: they meet all rules and rate limits of the zone",
                "enable it",
            );
        }
        Truth::Unknown => {
            return Finding::fault(
                "skip_rule_uncertain",
                format!(
                    "the skip rule, {name}, matches some notifications and others not{off}: {}",
                    read.dependence(&notifications.request())
                ),
                "those that it does not match meet all rules and rate limits of the zone",
                todo,
            );
        }
        Truth::False => {}
    }
    let Some(aspects) = differences(expression, notifications) else {
        return Finding::fault(
            "skip_rule_never_matches",
            format!("the skip rule, {name}, cannot match a notification{off}: `{expression_text}`"),
            why,
            todo,
        );
    };
    let told = aspects.iter().map(|aspect| {
        let (_, name, fields) = ASPECTS[*aspect];
        let texts: Vec<_> = fields.iter().flat_map(|field| expression.compared_with(field)).collect();
        let ours = match name {
            "zone" => notifications.zone.as_str(),
            "host" => notifications.url.host_str().unwrap_or_default(),
            "path" => notifications.url.path(),
            _ => "POST",
        };
        let texts: Vec<_> = texts.iter().map(|text| if text.is_empty() { "\"\"" } else { text }).collect();
        format!("another {name} ({}; notifications have {ours})", texts.join(", "))
    });
    let told: Vec<_> = told.collect();
    let code = ASPECTS[aspects[0]].0;
    Finding::fault(code, format!("the skip rule, {name}, is for {}{off}", told.join(" and for ")), why, todo)
}

/// Whom else a skip rule lets through.
fn too_wide(read: &Read<'_>, notifications: &Notifications) -> Option<Vec<Finding>> {
    let expression = read.expression.as_ref()?;
    let (request, name) = (notifications.request(), read.name());
    let lets = |request: &Request| expression.matches(request).is_possible();
    let mut findings = Vec::new();
    if lets(&request.clone().from_worker_of("")) {
        findings.push(Finding::fault(
            "skip_rule_for_everybody",
            format!(
                "the skip rule, {name}, does not ask who sends: everybody's requests pass the firewall by it"
            ),
            "who knows host and path is not limited by any rule of the zone any more",
            format!("add `and cf.worker.upstream_zone eq \"{}\"`", notifications.zone),
        ));
    } else if lets(&request.clone().from_worker_of("another-zone.example")) {
        findings.push(Finding::warning(
            "skip_rule_for_all_zones",
            format!(
                "the skip rule, {name}, lets the Workers of all zones through, those of other customers too"
            ),
            "anybody can deploy a Worker that passes the firewall by it",
            format!("compare cf.worker.upstream_zone with \"{}\"", notifications.zone),
        ));
    }
    if lets(&request.clone().to_path("/spillway-doctor/another-path")) {
        findings.push(Finding::warning(
            "skip_rule_for_all_paths",
            format!("the skip rule, {name}, holds for other paths than {}", notifications.url.path()),
            "every Worker of the zone inherits it, and what it passes on to other paths meets no rule",
            format!("add `and http.request.uri.path eq \"{}\"`", notifications.url.path()),
        ));
    }
    if lets(&request.to_host(&format!("spillway-doctor.{}", notifications.zone))) {
        findings.push(Finding::warning(
            "skip_rule_for_all_hosts",
            format!("the skip rule, {name}, holds for all hosts of the zone"),
            "every Worker of the zone inherits it, for whatever it asks of its other hosts",
            format!("add `and http.host eq \"{}\"`", notifications.url.host_str().unwrap_or_default()),
        ));
    }
    (!findings.is_empty()).then_some(findings)
}
