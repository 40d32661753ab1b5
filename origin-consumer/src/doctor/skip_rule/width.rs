//! Whom a skip rule lets through besides notifications.

use super::super::expression::Request;
use super::super::finding::Finding;
use super::{Notifications, Read};

/// Whom else a skip rule lets through.
pub(super) fn too_wide(read: &Read<'_>, notifications: &Notifications) -> Option<Vec<Finding>> {
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
