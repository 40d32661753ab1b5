//! Steps a and b for notifications that the edge sends over HTTP: answered only after they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use spillway_proto::notification::{CONTENT_TYPE as NOTIFICATION, MAX_BYTES};
use spillway_proto::signature;

use super::{Origin, refuse};
use crate::intake::Signed;
use crate::metrics::{NotificationOutcome, Transport};
use crate::time::now;

/// How long a notification may take to arrive; it fits one packet.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes one notification: 202 once it is durable.
pub(super) async fn take(State(origin): State<Arc<Origin>>, headers: HeaderMap, body: Body) -> Response {
    let outcome = read_and_take(&origin, &headers, body).await;
    origin.metrics.notification(Transport::Http, outcome);
    answer(outcome)
}

async fn read_and_take(origin: &Origin, headers: &HeaderMap, body: Body) -> NotificationOutcome {
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
    let signature = header(signature::HEADER);
    let max_age_seconds = origin.intake.notify.max_age_seconds;
    origin.intake.take(Signed { body: &body, signature, max_age_seconds }, began).await
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn answer(outcome: NotificationOutcome) -> Response {
    use NotificationOutcome::*;
    let (status, message) = match outcome {
        Enqueued | Known | Resend => return StatusCode::ACCEPTED.into_response(),
        BadSignature => (StatusCode::UNAUTHORIZED, "not signed with an accepted key"),
        Expired => (StatusCode::UNAUTHORIZED, "signed too long ago, or by a clock that is wrong"),
        Malformed => (StatusCode::BAD_REQUEST, "not a notification that this version reads"),
        TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "larger than any notification"),
        Unreadable => (StatusCode::BAD_REQUEST, "the body broke off"),
        // 503, so that an exporter which ends up here (a route that fails open) keeps its batch.
        NotANotification => (StatusCode::SERVICE_UNAVAILABLE, "traces are taken at the edge, not here"),
        QueueUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "the queue did not take the notification; try again")
        }
        QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "as many objects wait as may; try again"),
    };
    let mut response = refuse(status, outcome.code(), message);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
