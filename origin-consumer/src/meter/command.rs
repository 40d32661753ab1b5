//! `origin-consumer meter`

use std::io;
use std::time::Duration;

use super::{Alert, Range, Report, Spans};
use crate::output;
use crate::queue::{Queue, QueueError};
use crate::route::RouteChange;
use crate::time::now;

/// Show what became of the spans that the edge has accepted, by minute and tenant
///
/// accepted: by the names of the objects in the bucket; in ledger: known to the queue; stored: acknowledged by ClickHouse;
/// audited: found there once more, later; duplicate: resends of stored ones; outstanding: accepted, and not yet accounted
/// for. Within minutes it must be 0.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct MeterArgs {
    /// So many minutes back from now
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=44_640))]
    pub minutes: u32,
    /// Of this tenant only
    #[arg(long)]
    pub tenant: Option<String>,
    /// The sums only
    #[arg(long)]
    pub total: bool,
    /// As JSON, as /api/meter answers it
    #[arg(long)]
    pub json: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 nothing is wrong, 1 the ledger cannot be read, 2 the command line or the configuration is wrong,
3 notifications are missing (the alert), 4 spans are dead: see `origin-consumer dlq list`.";

/// The meter could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum MeterError {
    /// The ledger failed.
    #[error("the ledger: {0}")]
    Queue(#[from] QueueError),
    /// Nobody reads what it prints.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Prints what the meter shows, and returns the exit code. `grace` is how long a notification may take.
pub async fn run(queue: &Queue, grace: Duration, arguments: &MeterArgs) -> Result<u8, MeterError> {
    let range = Range { minutes: arguments.minutes, tenant: arguments.tenant.clone() };
    let report = Report::read(queue, &range, grace, now()).await?;
    if arguments.json {
        output::text(&(output::json(&report)? + "\n"))?;
    } else {
        output::text(&shown(&report, arguments.total))?;
    }
    Ok(match &report.alert {
        Some(_) => 3,
        None if report.total.counts.dead > 0 => 4,
        None => 0,
    })
}

fn shown(report: &Report, only_total: bool) -> String {
    let mut rows = Vec::new();
    for minute in report.minutes.iter().filter(|_| !only_total) {
        for (tenant, spans) in &minute.tenants {
            let tenant = if tenant.is_empty() { "(unreadable)" } else { tenant };
            // To the minute.
            rows.push(row(minute.minute.get(..16).unwrap_or_default(), tenant, spans));
        }
    }
    rows.push(row("all", "all", &report.total));
    let head = [
        "MINUTE",
        "TENANT",
        "ACCEPTED",
        "IN LEDGER",
        "STORED",
        "AUDITED",
        "DUPLICATE",
        "DEAD",
        "DISCARDED",
        "NOT NOTIFIED",
        "OUTSTANDING",
    ];
    let mut text = output::table(head, &rows);
    if let Some(alert) = &report.alert {
        let Alert { name, objects, not_notified, since, cause, meaning } = alert;
        let code = cause.code();
        text += &format!(
            "\nALERT {name} ({code}): {not_notified} of {objects} objects without a notification since {since}\n{meaning}\n"
        );
    }
    if let Some(RouteChange { name, at, meaning }) = &report.route_changed {
        text += &format!("\nALERT {name}: at {at}, {meaning}\n");
    }
    text
}

fn row(minute: &str, tenant: &str, spans: &Spans) -> [String; 11] {
    let mut numbers = spans.by_kind().into_iter().map(|(_, number)| number.to_string());
    let cells = [minute.to_owned(), tenant.to_owned()].into_iter();
    let mut cells = cells.chain(&mut numbers);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}
