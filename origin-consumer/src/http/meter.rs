//! The loss meter, as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Monitor, refuse};
use crate::meter::{Range, Report};
use crate::time::now;

const MINUTES: u32 = 60;
/// A month; the ledger forgets after about as long.
const MOST_MINUTES: u32 = 44_640;

/// `?minutes=60&tenant=acme`
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    minutes: Option<u32>,
    tenant: Option<String>,
}

/// Answers with a [`Report`].
pub(super) async fn report(State(monitor): State<Arc<Monitor>>, Query(asked): Query<Asked>) -> Response {
    let minutes = asked.minutes.unwrap_or(MINUTES);
    if !(1..=MOST_MINUTES).contains(&minutes) {
        let message = format!("`minutes` must be between 1 and {MOST_MINUTES}");
        return refuse(StatusCode::BAD_REQUEST, "bad_minutes", &message);
    }
    let range = Range { minutes, tenant: asked.tenant };
    match Report::read(&monitor.queue, &range, monitor.grace, now()).await {
        Ok(report) => Json(report).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the loss meter cannot be read");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", "the ledger cannot be read")
        }
    }
}
