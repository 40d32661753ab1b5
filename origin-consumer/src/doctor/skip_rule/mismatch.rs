//! Why no skip rule matches a notification: for whom it was written instead.

use super::super::expression::{Expression, Truth, UPSTREAM_ZONE, Value};
use super::super::finding::Finding;
use super::{Notifications, Read, SHIPPED};

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
pub(super) fn why_none(rules: &[Read<'_>], notifications: &Notifications) -> Vec<Finding> {
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
    let told: Vec<_> = aspects.iter().map(|aspect| Told::of(*aspect, expression, notifications)).collect();
    if told.iter().any(|told| told.compared.contains(&told.ours)) {
        let told: Vec<_> = told.iter().map(Told::left_out).collect();
        return Finding::fault(
            "skip_rule_leaves_notifications_out",
            format!(
                "the skip rule, {name}, does not match notifications{off}: {}: `{expression_text}`",
                told.join(", and ")
            ),
            why,
            todo,
        );
    }
    let code = ASPECTS[aspects[0]].0;
    let told: Vec<_> = told.iter().map(Told::another).collect();
    Finding::fault(code, format!("the skip rule, {name}, is for {}{off}", told.join(" and for ")), why, todo)
}

/// What a rule compares an aspect of a request with, and what notifications have there.
struct Told {
    aspect: &'static str,
    compared: Vec<String>,
    ours: String,
}

impl Told {
    fn of(aspect: usize, expression: &Expression, notifications: &Notifications) -> Self {
        let (_, aspect, fields) = ASPECTS[aspect];
        let compared = fields.iter().flat_map(|field| expression.compared_with(field)).collect();
        let ours = match aspect {
            "zone" => notifications.zone.as_str(),
            "host" => notifications.url.host_str().unwrap_or_default(),
            "path" => notifications.url.path(),
            _ => "POST",
        };
        Self { aspect, compared, ours: ours.to_owned() }
    }

    fn compared(&self) -> String {
        let shown = |text: &String| if text.is_empty() { "\"\"".to_owned() } else { text.clone() };
        self.compared.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    fn another(&self) -> String {
        format!("another {} ({}; notifications have {})", self.aspect, self.compared(), self.ours)
    }

    /// Where the rule names what notifications have, and still does not match them: by a negation.
    fn left_out(&self) -> String {
        let Self { aspect, ours, .. } = self;
        format!("it compares the {aspect} with {}, and leaves out what has {ours}", self.compared())
    }
}
