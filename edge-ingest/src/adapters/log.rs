//! The Worker's log: lines of JSON.

use serde::{Serialize, Serializer};
use serde_json::json;
use spillway_proto::otlp::Repaired;
use spillway_proto::{KeyId, ObjectKey, ProjectId, TenantId};
use worker::{console_error, console_log};

use crate::background::Report;
use crate::ingest::{Outcome, Summary};
use crate::steps::Step;

/// What the log is told of a request.
#[derive(Serialize)]
struct Line<'a> {
    bytes: usize,
    key_id: Option<&'a KeyId>,
    #[serde(serialize_with = "milliseconds")]
    ms: &'a [Step],
    object_key: Option<&'a ObjectKey>,
    outcome: &'static str,
    project: Option<&'a ProjectId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "repairs")]
    repairs: &'a [Repaired],
    spans_accepted: u32,
    spans_rejected: u32,
    tenant: Option<&'a TenantId>,
    trace_id: Option<String>,
}

impl<'a> Line<'a> {
    fn of(summary: &'a Summary) -> Self {
        let key = summary.key.as_ref();
        Self {
            bytes: summary.bytes,
            key_id: key.map(|(.., key_id)| key_id),
            ms: &summary.steps,
            object_key: summary.object_key.as_ref(),
            outcome: summary.code,
            project: key.and_then(|(_, project, _)| project.as_ref()),
            repairs: &summary.verdict.repaired,
            spans_accepted: summary.verdict.accepted,
            spans_rejected: summary.verdict.rejected,
            tenant: key.map(|(tenant, ..)| tenant),
            trace_id: summary.context.map(|context| context.trace_id_hex()),
        }
    }
}

/// How long each step took, by its name.
fn milliseconds<S: Serializer>(steps: &&[Step], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(steps.iter().map(|step| (step.name, step.millis())))
}

/// How many spans were repaired, by the repair's code.
fn repairs<S: Serializer>(repairs: &&[Repaired], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(repairs.iter().map(|repaired| (repaired.repair.code(), repaired.spans)))
}

/// One line for a request, and one for each port that failed it.
pub(super) fn log(summary: &Summary) {
    match serde_json::to_string(&Line::of(summary)) {
        Ok(line) => console_log!("{line}"),
        Err(error) => console_error!("{}", json!({ "outcome": summary.code, "error": error.to_string() })),
    }
    for fault in &summary.faults {
        console_error!("{}", json!({ "outcome": summary.code, "error": fault.to_string() }));
    }
}

/// A line for each thing that failed after the answer.
pub(super) fn log_background(outcome: &Outcome, report: &Report) {
    let object_key = outcome.summary.object_key.as_ref();
    if let Some(notified) = &report.notified {
        let what = notified.by.map_or("not_notified", |_| "notified_after_faults");
        for fault in &notified.faults {
            console_error!(
                "{}",
                json!({ "outcome": what, "object_key": object_key, "error": fault.to_string() })
            );
        }
    }
    for fault in &report.faults {
        console_error!("{}", json!({ "outcome": "background", "error": fault.to_string() }));
    }
}
