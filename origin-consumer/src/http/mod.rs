//! What is listened on, and what is answered: notifications by the origin, and what watches a process by each.

mod health;
mod meter;
mod notify;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::config::{ConfigError, wrong};
use crate::insert::SpanTable;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// The path that the Worker is routed on, so that a rule which lets the one through lets the other through.
const NOTIFICATIONS: &str = "/v1/traces";
/// What Cloudflare adds to every request that comes through it.
const CF_RAY: &str = "cf-ray";

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// The address that the origin listens on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where notifications are taken besides `/v1/traces`, such as `/internal/notify`.
    pub notify_paths: Vec<String>,
}

impl HttpConfig {
    /// Whether the paths are paths of their own.
    pub fn check(&self) -> Result<(), ConfigError> {
        const OTHERS: [&str; 5] = [NOTIFICATIONS, "/healthz", "/readyz", "/metrics", "/api/meter"];
        for (n, path) in self.notify_paths.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
            let is_path = path.starts_with('/') && path.len() > 1 && path.bytes().all(plain);
            if !is_path || OTHERS.contains(&path.as_str()) || self.notify_paths[..n].contains(path) {
                return Err(wrong(
                    "http.notify_paths",
                    "different plain paths that nothing else is at",
                    path,
                ));
            }
        }
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), notify_paths: Vec::new() }
    }
}

/// What the handlers of notifications share.
pub struct Origin {
    /// Where notifications go.
    pub intake: Arc<Intake>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What those share that watch a process.
pub struct Monitor {
    /// The ledger.
    pub queue: Arc<Queue>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Asked for by `/readyz` only.
    pub table: SpanTable,
    /// Whether the database has this version's schema, as far as is known.
    pub schema_ready: Arc<AtomicBool>,
    /// How long a notification may take (`sweep.grace_seconds`).
    pub grace: Duration,
}

/// The paths of the origin.
pub fn origin(origin: Arc<Origin>, config: &HttpConfig) -> Router {
    let paths = [NOTIFICATIONS].into_iter().chain(config.notify_paths.iter().map(String::as_str));
    let router = paths.fold(Router::new(), |router, path| router.route(path, post(notify::take)));
    router.with_state(origin)
}

/// The paths for those who watch. They are not there for requests that came through Cloudflare: tenants' names and numbers
/// are nobody's business outside.
pub fn monitor(monitor: Arc<Monitor>) -> Router {
    let inside = Router::new()
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/meter", get(meter::report))
        .route_layer(middleware::from_fn(only_from_inside))
        .with_state(monitor);
    Router::new().route("/healthz", get(health::alive)).merge(inside)
}

async fn only_from_inside(request: Request, next: Next) -> Response {
    if request.headers().contains_key(CF_RAY) {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

/// A refusal: a stable code and a message, as JSON.
fn refuse(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "code": code, "message": message }))).into_response()
}
