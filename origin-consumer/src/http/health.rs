//! What watches the origin: is it alive, is it ready, what does it count.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Monitor;
use crate::meter::last_hour;
use crate::time::now;

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Tenants that the meter's metrics name; the others are one.
const METER_TENANTS: usize = 100;

/// Answers as long as the process runs.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 as long as notifications can be taken. ClickHouse and its schema are reported, and do not count: while they are not
/// there the queue fills, and nobody is turned away.
pub(super) async fn ready(State(monitor): State<Arc<Monitor>>) -> Response {
    // A full disk is seen by whoever writes.
    let (queue, clickhouse) = tokio::join!(
        tokio::time::timeout(CHECK_TIMEOUT, monitor.queue.note_use(now())),
        tokio::time::timeout(CHECK_TIMEOUT, monitor.table.ping()),
    );
    let queue_ok = matches!(queue, Ok(Ok(_)));
    let word = |ok| if ok { "ok" } else { "unavailable" };
    let clickhouse_ok = matches!(clickhouse, Ok(Ok(())));
    let schema_ok = monitor.schema_ready.load(Ordering::Relaxed);
    let checks =
        json!({ "queue": word(queue_ok), "clickhouse": word(clickhouse_ok), "schema": word(schema_ok) });
    let status = if queue_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(checks)).into_response()
}

/// The metrics, in the OpenMetrics text format.
pub(super) async fn metrics(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.queue.depth().await {
        Ok(depth) => monitor.metrics.queue_depth(depth),
        Err(error) => tracing::warn!(%error, "the queue's depth cannot be read"),
    }
    match last_hour(&monitor.queue, METER_TENANTS, now()).await {
        Ok(by_tenant) => monitor.metrics.meter(&by_tenant),
        Err(error) => tracing::warn!(%error, "the loss meter cannot be read"),
    }
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, openmetrics)], monitor.metrics.text()).into_response()
}
