//! Steps a and b: believe a notification, and enqueue it durably before it is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use spillway_proto::notification::{CONTENT_TYPE as NOTIFICATION, MAX_BYTES, Notification};
use spillway_proto::signature::{self, MIN_KEY_BYTES, SignatureError};

use super::{Origin, refuse};
use crate::config::{ConfigError, in_range, wrong};
use crate::metrics::NotificationOutcome;
use crate::queue;
use crate::telemetry::hop;
use crate::time::now;

/// How long a notification may take to arrive; it fits one packet.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// `[notify]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// The secrets that the edge may sign with; two while one replaces the other. Required, 32 bytes or more each.
    pub signing_keys: Vec<SecretString>,
    /// How far a signature's time may be from this clock, in seconds.
    pub max_age_seconds: u64,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self { signing_keys: Vec::new(), max_age_seconds: 300 }
    }
}

impl NotifyConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let expected = || format!("a list of one or more secrets of {MIN_KEY_BYTES} bytes or more");
        if self.signing_keys.is_empty() {
            return Err(wrong("notify.signing_keys", expected(), "missing or empty"));
        }
        if let Some(short) = self.signing_keys.iter().find(|key| key.expose_secret().len() < MIN_KEY_BYTES) {
            let found = format!("one of {} bytes", short.expose_secret().len());
            return Err(wrong("notify.signing_keys", expected(), found));
        }
        in_range("notify.max_age_seconds", self.max_age_seconds, 1..=86_400)
    }
}

/// Takes one notification: 202 once it is durable.
pub(super) async fn take(State(origin): State<Arc<Origin>>, headers: HeaderMap, body: Body) -> Response {
    let outcome = enqueue(&origin, &headers, body).await;
    origin.metrics.notification(outcome);
    answer(outcome)
}

async fn enqueue(origin: &Origin, headers: &HeaderMap, body: Body) -> NotificationOutcome {
    use NotificationOutcome::*;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = header(CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default();
    if content_type.trim() != NOTIFICATION {
        return NotANotification;
    }
    let began = now();
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if is_length_limit(&error) => return TooLarge,
        Ok(Err(_)) | Err(_) => return Unreadable,
    };
    // a
    let keys = origin.notify.signing_keys.iter().map(|key| key.expose_secret().as_bytes());
    match signature::verify(keys, began, origin.notify.max_age_seconds, header(signature::HEADER), &body) {
        Ok(()) => {}
        Err(SignatureError::Expired) => return Expired,
        Err(SignatureError::Malformed | SignatureError::Mismatch) => return BadSignature,
    }
    let notification: Notification = match serde_json::from_slice(&body) {
        Ok(notification) => notification,
        Err(error) => {
            tracing::error!(%error, "a signed notification that cannot be read; is the edge of another version?");
            return Malformed;
        }
    };
    // b
    let hops = hop::enqueued(&notification, began);
    match origin.queue.enqueue(notification, began).await {
        Ok(queue::Enqueued::New) => {
            origin.telemetry.record(hops.ended(now()));
            Enqueued
        }
        Ok(queue::Enqueued::Known) => Known,
        Ok(queue::Enqueued::Resend) => Resend,
        Err(error) => {
            tracing::error!(%error, "the queue did not take a notification");
            QueueUnavailable
        }
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn answer(outcome: NotificationOutcome) -> Response {
    use NotificationOutcome::*;
    match outcome {
        Enqueued | Known | Resend => StatusCode::ACCEPTED.into_response(),
        BadSignature => refuse(StatusCode::UNAUTHORIZED, "bad_signature", "not signed with an accepted key"),
        Expired => {
            refuse(StatusCode::UNAUTHORIZED, "expired", "signed too long ago, or by a clock that is wrong")
        }
        Malformed => {
            refuse(StatusCode::BAD_REQUEST, "malformed", "not a notification that this version reads")
        }
        TooLarge => refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "larger than any notification"),
        Unreadable => refuse(StatusCode::BAD_REQUEST, "unreadable", "the body broke off"),
        // 503, so that an exporter which ends up here (a route that fails open) keeps its batch.
        NotANotification => later("not_a_notification", "traces are taken at the edge, not here"),
        QueueUnavailable => later("queue_unavailable", "the queue did not take the notification; try again"),
    }
}

fn later(code: &'static str, message: &str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, code, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
