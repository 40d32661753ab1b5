//! A probe through the edge: which way a notification comes, whether a span arrives in ClickHouse, and what is answered without TLS.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use secrecy::ExposeSecret;
use serde_json::json;
use spillway_proto::UnixMillis;
use spillway_proto::probe::{self, ProbeReport, ProbeRequest, Route};

use super::finding::Finding;
use super::plain_http;
use crate::cloudflare::{ApiError, client, printable, read};
use crate::config::Config;
use crate::insert::SpanTable;
use crate::keys::ask_edge;
use crate::queue::{Queue, TracedObject};
use crate::serve::open_queue_of_service;
use crate::time::{before, now};

/// Between two looks for the span.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The clocks of edge and origin may differ by so much.
const CLOCKS: Duration = Duration::from_secs(120);
/// The largest answer of the edge that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Sends both probes.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    if let Err(error) = config.edge.check().and(config.notify.check()) {
        let why = "probes go through the edge, signed as notifications are";
        return vec![Finding::unchecked(
            "not_configured",
            error.to_string(),
            why,
            "set it, or leave this part out by --only",
        )];
    }
    // Whoever calls this elsewhere has no ledger; then only ClickHouse tells.
    let queue = open_queue_of_service(&config.queue).await.ok();
    let mut findings = vec![route(config, queue.as_ref()).await];
    findings.push(span(config, queue.as_ref()).await);
    findings.extend(plain_http::examine(&config.edge).await);
    findings
}

/// Which way a notification would come.
async fn route(config: &Config, queue: Option<&Queue>) -> Finding {
    let request = ProbeRequest { asked_at_unix_ms: now() };
    let keys = &config.notify.signing_keys;
    let asked = ask_edge::<ProbeReport>(&config.edge, keys, probe::PATH, probe::CONTENT_TYPE, &request).await;
    let report = match asked {
        Ok(report) => report,
        Err(error) => {
            return Finding::unchecked(
                "route_probe",
                format!("the edge sends no probe: {error}"),
                "it is asked to send one where notifications go",
                "is the Worker of this version deployed, and does a rule of the zone let POST /spillway/probe through?",
            );
        }
    };
    match report {
        ProbeReport { url: None, .. } => Finding::note(
            "route_probe",
            "the Worker does not notify by HTTP",
            "there is no way through the zone to be probed",
        ),
        ProbeReport { route: Some(route), status: Some(200), .. } => arrived(&route, queue).await,
        report => stopped(&report),
    }
}

async fn arrived(route: &Route, queue: Option<&Queue>) -> Finding {
    let headers: Vec<_> = route.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let what = format!("a probe reached the origin by the route {} ({})", route.name, headers.join(", "));
    let usual = match queue {
        Some(queue) => {
            queue.routes().await.unwrap_or_default().into_iter().find(|known| known.carried == "notification")
        }
        None => None,
    };
    match usual {
        Some(usual) if usual.route != route.name => Finding::warning(
            "route_probe",
            format!("{what}; the last notification came by {}", usual.route),
            "the way of notifications changes, or is a mixture",
            "deploy/runbooks/route-changed.md",
        ),
        _ => Finding::ok("route_probe", what),
    }
}

fn stopped(report: &ProbeReport) -> Finding {
    let url = report.url.as_deref().unwrap_or_default();
    let (said, todo) = match (report.status, &report.mitigated, &report.fault) {
        (_, Some(mitigated), _) => (
            format!("the zone's firewall answered with a {mitigated}"),
            "let the skip rule come first and cover the phase of that rule: origin-consumer doctor --only cloudflare",
        ),
        (Some(403 | 429), ..) => (
            format!("{} came back, which the origin never answers", report.status.unwrap_or_default()),
            "a rule or a rate limit of the zone stops notifications: origin-consumer doctor --only cloudflare",
        ),
        (Some(401), ..) => (
            "the origin did not believe the signature".to_owned(),
            "let notify.signing_keys have the Worker's NOTIFY_SIGNING_KEY, and set the clocks",
        ),
        (Some(503), ..) => (
            "503 came back: the origin is of an older version, or something before it answers".to_owned(),
            "run an origin of the Worker's version at NOTIFY_URL",
        ),
        (Some(status), ..) => {
            (format!("{status} came back without a route"), "does NOTIFY_URL lead to the origin?")
        }
        (None, _, fault) => (
            fault.clone().unwrap_or_else(|| "there was no answer".to_owned()),
            "does the origin, or its tunnel, answer at NOTIFY_URL?",
        ),
    };
    Finding::fault(
        "route_probe",
        format!("a probe to {url} did not reach the origin: {said}"),
        "notifications go the same way; the sweep stores what they would have told of",
        todo,
    )
}

/// Whether a span arrives, and its notification with it.
async fn span(config: &Config, queue: Option<&Queue>) -> Finding {
    let key = config.edge.api_key.expose_secret();
    if key.is_empty() {
        return Finding::unchecked(
            "span_probe",
            "edge.api_key is missing",
            "a span is sent with it, and looked for in ClickHouse",
            "make a key for the doctor (origin-consumer keys create), and set SPILLWAY_EDGE__API_KEY",
        );
    }
    let trace_id = match random_trace_id() {
        Ok(trace_id) => trace_id,
        Err(error) => return Finding::unchecked("span_probe", format!("no randomness: {error}"), "", ""),
    };
    let (began, sent_at) = (Instant::now(), now());
    if let Err(finding) = send(config, key, &trace_id, sent_at).await {
        return finding;
    }
    let timeout = Duration::from_secs(config.edge.probe_timeout_seconds);
    let table = SpanTable::new(&config.clickhouse, config.consumer.insert_timeout());
    let from = before(sent_at, CLOCKS);
    let mut trouble = None;
    let mut object: Option<TracedObject> = None;
    while began.elapsed() < timeout {
        match table.spans_of(&trace_id).await {
            Ok(0) => {}
            Ok(_) => return stored(&trace_id, began.elapsed(), queue, from).await,
            Err(error) => trouble = Some(error.to_string()),
        }
        if let Some(queue) = queue {
            match queue.object_of_trace(&trace_id, from).await {
                Ok(found) => object = found.or(object),
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let seen = match (&object, queue) {
        (Some(object), _) => {
            let how = if object.is_notified { "by its notification" } else { "by the sweep alone" };
            format!("the ledger knows it {how}, as {}", object.state)
        }
        (None, Some(_)) => "the ledger does not know of it".to_owned(),
        (None, None) => "the ledger cannot be asked from here".to_owned(),
    };
    let trouble = trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
    Finding::fault(
        "span_probe",
        format!(
            "a span that the edge accepted is not in ClickHouse after {timeout:?}: trace {trace_id}; {seen}{trouble}"
        ),
        "so it is with the spans of exporters; they are in R2",
        "deploy/runbooks/spans-outstanding.md",
    )
}

async fn stored(trace_id: &str, took: Duration, queue: Option<&Queue>, from: UnixMillis) -> Finding {
    let object = match queue {
        Some(queue) => queue.object_of_trace(trace_id, from).await.ok().flatten(),
        None => None,
    };
    match object {
        Some(object) if !object.is_notified => Finding::fault(
            "span_probe",
            format!(
                "a span reached ClickHouse after {took:.1?}, but its notification did not come: the sweep found it"
            ),
            "notifications are lost, and spans come half a minute late",
            "deploy/runbooks/notifications-missing.md",
        ),
        Some(_) => Finding::ok(
            "span_probe",
            format!("a span and its notification arrived: in ClickHouse after {took:.1?}"),
        ),
        None => Finding::ok("span_probe", format!("a span reached ClickHouse after {took:.1?}")),
    }
}

async fn send(config: &Config, key: &str, trace_id: &str, at: UnixMillis) -> Result<(), Finding> {
    let failed = |what: String| {
        Finding::fault(
            "span_probe",
            format!("the edge did not accept a span: {what}"),
            "so it is with exporters that have this key",
            "see docs/edge.md, \"Answers\", for what each answer means; is edge.api_key good?",
        )
    };
    let url = format!("{}/v1/traces", config.edge.url.trim_end_matches('/'));
    let client = client(Duration::from_secs(config.edge.timeout_seconds))
        .map_err(|error| failed(ApiError::from(error).to_string()))?;
    let request = client
        .post(&url)
        .header(CONTENT_TYPE, "application/json")
        .header("x-api-key", key)
        // The notification carries the trace, so that the ledger can be asked for it.
        .header("traceparent", format!("00-{trace_id}-{}-00", &trace_id[..16]))
        .body(export(trace_id, at).to_string());
    let response = request.send().await.map_err(|error| failed(ApiError::from(error).to_string()))?;
    let status = response.status();
    let answer = read(response, MAX_ANSWER_BYTES).await.map_err(|error| failed(error.to_string()))?;
    if status != StatusCode::OK {
        return Err(failed(format!(
            "{url} answered {status}: {}",
            printable(&String::from_utf8_lossy(&answer))
        )));
    }
    Ok(())
}

/// One span, marked as the doctor's.
fn export(trace_id: &str, at: UnixMillis) -> serde_json::Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", "spillway-doctor")] },
        "scopeSpans": [{ "spans": [{
            "traceId": trace_id, "spanId": &trace_id[16..], "name": "doctor", "kind": 1,
            "startTimeUnixNano": at.as_nanos().to_string(), "endTimeUnixNano": at.as_nanos().to_string(),
            "attributes": [text("spillway.probe", "doctor")],
        }] }],
    }] })
}

fn random_trace_id() -> Result<String, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(hex::encode(id))
}
