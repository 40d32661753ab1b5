//! Whom a skip rule lets through besides notifications.
//!
//! No examples are tried. It is asked of all requests at once that are no notifications, by one thing that is known of them,
//! with everything else unknown. Where even then the answer is no, the rule is narrow.

use super::super::expression::{Expression, Request, UPSTREAM_ZONE};
use super::super::finding::Finding;
use super::{Notifications, Read};

/// Whom else a skip rule lets through; nobody where there is nothing.
pub(super) fn too_wide(read: &Read<'_>, notifications: &Notifications) -> Vec<Finding> {
    let Some(expression) = &read.expression else { return Vec::new() };
    let Notifications { url, zone } = notifications;
    let (name, text) = (read.name(), &read.rule.expression);
    let lets = |request: &Request| expression.matches(request).is_possible();
    let mut findings = Vec::new();
    if lets(&Request::of_no_worker()) {
        let how = if expression.fields().contains(UPSTREAM_ZONE) {
            format!("{} without asking who sends", others(expression))
        } else {
            "does not ask who sends".to_owned()
        };
        findings.push(Finding::fault(
            "skip_rule_for_everybody",
            format!(
                "the skip rule, {name}, {how}: requests that no Worker has sent pass the firewall by it: `{text}`"
            ),
            "who sends what it matches is not limited by any rule of the zone any more",
            format!("let all of it hold only with `and {UPSTREAM_ZONE} eq \"{zone}\"`"),
        ));
    } else if lets(&Request::of_another_zone(zone)) {
        findings.push(Finding::warning(
            "skip_rule_for_all_zones",
            format!(
                "the skip rule, {name}, lets Workers of other zones through, and they may be other customers': `{text}`"
            ),
            "anybody can deploy a Worker, in a zone of any name",
            format!("let it match {UPSTREAM_ZONE} eq \"{zone}\", and no other zone"),
        ));
    }
    for (code, what, ours, request) in [
        ("skip_rule_for_all_paths", "path", url.path(), Request::to_another_path(url, zone)),
        (
            "skip_rule_for_all_hosts",
            "host",
            url.host_str().unwrap_or_default(),
            Request::to_another_host(url, zone),
        ),
    ] {
        if lets(&request) {
            let field = if what == "path" { "http.request.uri.path" } else { "http.host" };
            findings.push(Finding::warning(
                code,
                format!("the skip rule, {name}, holds for other {what}s than {ours}: `{text}`"),
                format!(
                    "every Worker of the zone inherits it, and what it sends to another {what} meets no rule"
                ),
                format!("let all of it hold only with `and {field} eq \"{ours}\"`"),
            ));
        }
    }
    findings
}

/// How it lets others through, where it asks for the zone as well.
fn others(expression: &Expression) -> String {
    let fields: Vec<_> = expression.fields().into_iter().filter(|field| *field != UPSTREAM_ZONE).collect();
    if fields.is_empty() {
        "lets requests through".to_owned()
    } else {
        format!("lets some requests through by {}", fields.join(", "))
    }
}
