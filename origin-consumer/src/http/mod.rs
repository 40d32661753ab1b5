//! The origin: what it listens on, and what it answers.

mod health;
mod notify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::insert::SpanTable;
use crate::intake::Intake;
use crate::metrics::Metrics;

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// The address that the origin listens on; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// What the handlers share.
pub struct Origin {
    /// Where notifications go.
    pub intake: Arc<Intake>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Asked for by `/readyz` only.
    pub table: SpanTable,
    /// Whether the database has this version's schema, as far as is known.
    pub schema_ready: Arc<AtomicBool>,
}

/// The paths of the origin.
pub fn router(origin: Arc<Origin>) -> Router {
    Router::new()
        // The path that the Worker is routed on, so that a rule which lets the one through lets the other through.
        .route("/v1/traces", post(notify::take))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(origin)
}

/// A refusal: a stable code and a message, as JSON.
fn refuse(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "code": code, "message": message }))).into_response()
}
