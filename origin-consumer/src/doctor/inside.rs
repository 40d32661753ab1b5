//! The configuration, the ledger, ClickHouse, the bucket: what the origin and the consumer stand on.

use std::time::Duration;

use super::finding::Finding;
use super::table;
use crate::clickhouse::ClickHouseConfig;
use crate::config::{Config, ConfigError};
use crate::insert::{SchemaError, SpanTable};
use crate::meter::{Alert, Range, Report};
use crate::objects::Bucket;
use crate::queue::Queue;
use crate::serve::open_queue_of_service;
use crate::time::{before, now};

/// One question to ClickHouse or the bucket takes no longer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The sweep has looked within this time, the minute that it takes in hand included.
const LOOK_AGE: Duration = Duration::from_secs(300);
/// The loss meter is asked for so many minutes; the last ones are left out, since spans may be on their way.
const METER_MINUTES: u32 = 60;
/// What was accepted before is stored by now.
const ON_ITS_WAY: Duration = Duration::from_secs(15 * 60);
/// The projection that every count rests on.
const PROJECTION: &str = "by_object";

/// Examines all of it.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in [config.check_origin(), config.check_consumer()] {
        if let Err(error) = check {
            return vec![misconfigured(&error)];
        }
    }
    findings
        .push(Finding::ok("configuration", "the configuration of the origin and the consumer is complete"));
    findings.extend(ledger(config).await);
    findings.extend(clickhouse(config).await);
    findings.extend(bucket(config).await);
    findings
}

fn misconfigured(error: &ConfigError) -> Finding {
    Finding::fault(
        "configuration",
        error.to_string(),
        "`serve` does not start with it",
        "see deploy/spillway.example.toml",
    )
}

async fn ledger(config: &Config) -> Vec<Finding> {
    let queue = match open_queue_of_service(&config.queue).await {
        Ok(queue) => queue,
        Err(error) => {
            return vec![Finding::fault(
                "ledger",
                error.to_string(),
                "notifications are answered 503, and nothing is stored until it is back; R2 has it all",
                "call the doctor where `serve` runs, with its configuration; see queue.url",
            )];
        }
    };
    let mut findings = Vec::new();
    if let Err(error) = ledger_state(&queue, config, &mut findings).await {
        findings.push(Finding::fault(
            "ledger",
            format!("the ledger cannot be read: {error}"),
            "the queue and the loss meter rest on it",
            "see its log, and queue.url",
        ));
    }
    findings
}

async fn ledger_state(
    queue: &Queue,
    config: &Config,
    findings: &mut Vec<Finding>,
) -> Result<(), crate::queue::QueueError> {
    let now = now();
    let depth = queue.depth().await?;
    if depth.dead > 0 {
        findings.push(Finding::warning(
            "dead_letters",
            format!("{} objects are dead", depth.dead),
            "they could not be stored, by their own fault, and wait for somebody",
            "origin-consumer dlq list",
        ));
    }
    if depth.pending.saturating_mul(10) > config.queue.max_pending.saturating_mul(8) {
        findings.push(Finding::fault(
            "queue_nearly_full",
            format!(
                "{} objects wait, of {} that may (queue.max_pending)",
                depth.pending, config.queue.max_pending
            ),
            "when it is full, notifications are answered 503 and the objects wait in R2",
            "is ClickHouse up, does a consumer run, is it fast enough?",
        ));
    }
    match queue.sweep_reaches().await? {
        Some(until) if until >= before(now, LOOK_AGE) => {
            findings.push(Finding::ok("sweep", "the sweep looks"));
        }
        until => {
            let until = until.map_or_else(
                || "it never has".to_owned(),
                |until| format!("the last time until {}", until.date().to_rfc3339()),
            );
            findings.push(Finding::fault(
                "sweep",
                format!("the sweep has not looked for {} minutes; {until}", LOOK_AGE.as_secs() / 60),
                "objects whose notification is lost are found by it alone, and the alert rests on it",
                "does `serve` run, and can it list the bucket?",
            ));
        }
    }
    if let Some(alert) = Alert::read(queue, config.sweep.grace(), now).await? {
        findings.push(Finding::fault(
            "notifications_missing",
            format!(
                "{} of {} objects came without a notification since {}",
                alert.not_notified, alert.objects, alert.since
            ),
            alert.meaning,
            "deploy/runbooks/notifications-missing.md",
        ));
    } else {
        findings.push(Finding::ok("notifications", "notifications arrive for what the edge accepts"));
    }
    let report =
        Report::read(queue, &Range { minutes: METER_MINUTES, tenant: None }, config.sweep.grace(), now)
            .await?;
    let old = before(now, ON_ITS_WAY).date().to_rfc3339();
    let late: u64 = report
        .minutes
        .iter()
        .filter(|minute| minute.minute < old)
        .map(|minute| minute.total.outstanding)
        .sum();
    if late > 0 {
        findings.push(Finding::fault(
            "spans_outstanding",
            format!(
                "{late} spans that were accepted more than {} minutes ago are not stored",
                ON_ITS_WAY.as_secs() / 60
            ),
            "they are in R2, and their readers miss them",
            "deploy/runbooks/spans-outstanding.md",
        ));
    }
    Ok(())
}

async fn clickhouse(config: &Config) -> Vec<Finding> {
    let table = SpanTable::new(&config.clickhouse, config.consumer.insert_timeout());
    let name = format!("{}.{}", config.clickhouse.database, config.clickhouse.table);
    let fault = |what, remedy| Finding::fault("table", what, "nothing can be inserted", remedy);
    match tokio::time::timeout(TIMEOUT, table.check()).await {
        Ok(Ok(())) => {}
        Ok(Err(SchemaError::Server(error))) => {
            return vec![unreachable(&config.clickhouse, &error.to_string())];
        }
        Ok(Err(SchemaError::NoTable(_))) => {
            let what = format!("there is no table {name}, or the user may not see it");
            return vec![fault(what, "origin-consumer migrate")];
        }
        Ok(Err(error)) => {
            let what = format!("{name} is another table: {error}");
            return vec![fault(what, "ALTER TABLE, as origin-consumer/migrations/schema.sql has it")];
        }
        Err(_) => return vec![unreachable(&config.clickhouse, &format!("no answer within {TIMEOUT:?}"))],
    }
    let projected = tokio::time::timeout(TIMEOUT, table.has_projection(PROJECTION)).await;
    let projected = match projected {
        Ok(Ok(true)) => Finding::ok("table", format!("the table {name} has its columns and its projection")),
        Ok(Ok(false)) => Finding::fault(
            "projection",
            format!("the table {name} has no projection {PROJECTION}"),
            "what an insert has stored, and every audit, is counted through it; without it they read the whole table",
            "add it as in origin-consumer/migrations/schema.sql, and MATERIALIZE PROJECTION",
        ),
        Ok(Err(error)) => unreachable(&config.clickhouse, &error.to_string()),
        Err(_) => unreachable(&config.clickhouse, &format!("no answer within {TIMEOUT:?}")),
    };
    let mut findings = vec![projected];
    match tokio::time::timeout(TIMEOUT, table.condition()).await {
        Ok(Ok(condition)) => findings.extend(table::findings(&name, &condition)),
        Ok(Err(error)) => findings.push(table::unknown(&name, &error.to_string())),
        Err(_) => findings.push(table::unknown(&name, &format!("no answer within {TIMEOUT:?}"))),
    }
    findings
}

fn unreachable(config: &ClickHouseConfig, error: &str) -> Finding {
    Finding::fault(
        "clickhouse",
        format!("ClickHouse at {} does not answer as it should: {error}", config.url),
        "nothing is stored until it does; objects wait in R2, and none is lost",
        "see clickhouse.url, clickhouse.user, and the server's log",
    )
}

async fn bucket(config: &Config) -> Vec<Finding> {
    let bucket = Bucket::new(&config.s3);
    vec![match tokio::time::timeout(TIMEOUT, bucket.list("v1/", "", 1)).await {
        Ok(Ok(_)) => Finding::ok("bucket", format!("the bucket `{}` can be listed", config.s3.bucket)),
        Ok(Err(error)) => unlisted(config, &error.to_string()),
        Err(_) => unlisted(config, &format!("no answer within {TIMEOUT:?}")),
    }]
}

fn unlisted(config: &Config, error: &str) -> Finding {
    Finding::fault(
        "bucket",
        format!("the bucket `{}` cannot be listed: {error}", config.s3.bucket),
        "the consumer fetches from it, and the sweep finds in it what was never notified",
        "see s3.endpoint, s3.bucket and the token of s3.access_key_id: Object Read & Write on this bucket",
    )
}
