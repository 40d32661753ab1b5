//! The bucket's lifecycle: it must not delete what has not been audited.

use std::time::Duration;

use super::api::{Condition, Lifecycle, LifecycleRule};
use super::finding::Finding;

/// Where objects lie.
const OBJECTS: &str = "v1/";
/// Where copies of dead ones lie.
const DEAD: &str = "dlq/";
/// Somebody has to look at a dead object before it goes.
const DEAD_DAYS: u64 = 30;
/// Room for an outage between an object's receipt and its audit.
const MARGIN: Duration = Duration::from_secs(3 * DAY);
const DAY: u64 = 86_400;

/// Judges it. `audited` is how long after its receipt an object is audited at the latest, where nothing is away.
pub fn judge(lifecycle: &Lifecycle, bucket: &str, audited: Duration, delete_after_days: u64) -> Vec<Finding> {
    let needed = audited + MARGIN;
    let mut findings: Vec<_> = lifecycle
        .rules
        .iter()
        .filter(|rule| rule.enabled)
        .filter_map(|rule| judge_rule(rule, bucket, needed))
        .collect();
    let deletes = |rule: &LifecycleRule| rule.enabled && rule.delete_objects_transition.is_some();
    if !lifecycle.rules.iter().any(deletes) && delete_after_days == 0 {
        findings.push(Finding::note(
            "bucket_keeps_everything",
            format!("nothing deletes objects from the bucket `{bucket}`"),
            "that is safe, and its size grows; set audit.delete_after_days, or a lifecycle rule for v1/",
        ));
    }
    if findings.is_empty() {
        let what = format!("the lifecycle of the bucket `{bucket}` deletes nothing before it is audited");
        findings.push(Finding::ok("lifecycle", what));
    }
    findings
}

fn judge_rule(rule: &LifecycleRule, bucket: &str, needed: Duration) -> Option<Finding> {
    let condition = rule.delete_objects_transition.as_ref()?.condition.as_ref()?;
    let prefix = &rule.conditions.prefix;
    let concerns = |folder: &str| folder.starts_with(prefix.as_str()) || prefix.starts_with(folder);
    let of = if prefix.is_empty() { "all objects".to_owned() } else { format!("objects under `{prefix}`") };
    let name = format!("the lifecycle rule `{}` of the bucket `{bucket}`", rule.id);
    let days = |seconds: u64| seconds.div_ceil(DAY);
    match condition {
        Condition::Date { date } if concerns(OBJECTS) || concerns(DEAD) => Some(Finding::fault(
            "lifecycle_by_date",
            format!("{name} deletes {of} on {date}, whatever their age"),
            "on that day it also deletes what has not been stored in ClickHouse yet",
            "let it delete by age",
        )),
        Condition::Age { max_age } if concerns(OBJECTS) && Duration::from_secs(*max_age) < needed => {
            Some(Finding::fault(
                "lifecycle_too_short",
                format!("{name} deletes {of} after {} days", max_age / DAY),
                format!(
                    "objects are audited up to {} days after their receipt; what is gone before cannot be stored any more",
                    days((needed - MARGIN).as_secs())
                ),
                format!("let it delete after {} days or more", days(needed.as_secs())),
            ))
        }
        Condition::Age { max_age } if concerns(DEAD) && *max_age < DEAD_DAYS * DAY => Some(Finding::warning(
            "lifecycle_of_dead_letters",
            format!("{name} deletes {of} after {} days, dead letters among them", max_age / DAY),
            "the copy of an object that could not be stored is gone before somebody has looked at it",
            format!("limit the rule to v1/, or let it delete after {DEAD_DAYS} days or more"),
        )),
        _ => None,
    }
}
