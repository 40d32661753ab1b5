//! The alert rules against what is exported.

use std::collections::BTreeSet;

use regex::Regex;
use yaml_rust2::{Yaml, YamlLoader};

use super::*;

/// Everything that is counted, counted once.
fn all() -> String {
    use NotificationOutcome::*;
    let metrics = Metrics::default();
    for outcome in [
        Enqueued,
        Known,
        Resend,
        BadSignature,
        Expired,
        Malformed,
        TooLarge,
        Unreadable,
        NotANotification,
        QueueUnavailable,
        QueueFull,
    ] {
        metrics.notification(Transport::Http, outcome);
    }
    for outcome in [
        PullOutcome::Empty,
        PullOutcome::Taken,
        PullOutcome::Postponed,
        PullOutcome::Unacknowledged,
        PullOutcome::Refused,
        PullOutcome::RateLimited,
        PullOutcome::Failed,
    ] {
        metrics.queue_pull(outcome);
    }
    for outcome in [
        BatchOutcome::Stored,
        BatchOutcome::SetBack,
        BatchOutcome::Split,
        BatchOutcome::Failed,
        BatchOutcome::LeaseLost,
        BatchOutcome::PutOff,
    ] {
        metrics.batch(outcome);
    }
    for finding in [Finding::Whole, Finding::Short, Finding::Doubled] {
        metrics.audited(finding);
    }
    metrics.notifications_missing(None);
    metrics.meter(&BTreeMap::from([("acme".to_owned(), Spans::default())]));
    metrics.route(Carried::Notification, "worker".to_owned());
    metrics.route(Carried::Canary, "worker".to_owned());
    metrics.canary(Duration::ZERO, Duration::ZERO);
    metrics.queue_depth(Depth::default());
    metrics.stored(1, 0.1);
    metrics.delay(0.1);
    metrics.text()
}

/// The alert rules, with their group's name taken away.
fn alerts() -> Vec<Yaml> {
    let rules = YamlLoader::load_from_str(include_str!("../../../deploy/alerts/spillway.yml")).unwrap();
    let groups = rules[0]["groups"].as_vec().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_vec().unwrap().clone()).collect()
}

#[test]
fn every_metric_that_an_alert_names_is_exported_with_those_labels() {
    let (text, metric) = (all(), Regex::new(r"(spillway_[a-z_]+)(\{[^}]*\})?").unwrap());
    let label = Regex::new(r#"([a-z]+)=~?"([^"]*)""#).unwrap();
    let mut named = BTreeSet::new();
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap();
        for found in metric.captures_iter(expression) {
            let name = &found[1];
            named.insert(name.to_owned());
            let is_of =
                |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            let lines: Vec<_> = text.lines().filter(is_of).collect();
            assert!(!lines.is_empty(), "{name} of {expression} is not exported");
            for label in found.get(2).iter().flat_map(|labels| label.captures_iter(labels.as_str())) {
                for value in label[2].split('|') {
                    let wanted = format!("{}=\"{value}\"", &label[1]);
                    assert!(lines.iter().any(|line| line.contains(&wanted)), "{name} has no {wanted}");
                }
            }
        }
    }
    assert!(named.len() > 10, "{named:?}");
}

#[test]
fn every_alert_says_how_bad_it_is_and_has_a_runbook_that_names_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut runbooks = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(alert["annotations"]["summary"].as_str().is_some(), "{name}");
        let runbook = alert["annotations"]["runbook"].as_str().unwrap();
        let text =
            std::fs::read_to_string(root.join(runbook)).unwrap_or_else(|error| panic!("{runbook}: {error}"));
        assert!(text.lines().next().unwrap().contains(name), "{runbook} does not name {name}");
        for part in ["## What it means", "## How to confirm", "## How to mend", "## What has been lost"] {
            assert!(text.contains(part), "{runbook} has no {part}");
        }
        runbooks.insert(root.join(runbook));
    }
    for file in std::fs::read_dir(root.join("deploy/runbooks")).unwrap() {
        assert!(runbooks.contains(&file.unwrap().path()), "a runbook without an alert");
    }
}
