//! Steps a and b for notifications that the edge sends over HTTP: answered only after they are durable.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use spillway_proto::notification::{CONTENT_TYPE as NOTIFICATION, MAX_BYTES};
use spillway_proto::probe::{self, ProbeKind, Route, RouteProbe};
use spillway_proto::signature;

use super::{Origin, refuse};
use crate::intake::Signed;
use crate::metrics::{NotificationOutcome, Transport};
use crate::route::{self, Carried};
use crate::time::now;

/// How long a notification may take to arrive; it fits one packet.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes one notification: 202 once it is durable.
pub(super) async fn take(State(origin): State<Arc<Origin>>, headers: HeaderMap, body: Body) -> Response {
    if content_type(&headers) == probe::CONTENT_TYPE {
        return answer_probe(&origin, &headers, body).await;
    }
    let outcome = read_and_take(&origin, &headers, body).await;
    origin.metrics.notification(Transport::Http, outcome);
    use NotificationOutcome::*;
    if matches!(outcome, Enqueued | Known | Resend | QueueUnavailable | QueueFull) {
        note_route(&origin, Carried::Notification, &route::of(&headers));
    }
    answer(outcome)
}

/// Answers a probe with the way that it came.
async fn answer_probe(origin: &Origin, headers: &HeaderMap, body: Body) -> Response {
    let signature = header(headers, signature::HEADER);
    let max_age_seconds = origin.intake.notify.max_age_seconds;
    let believed = match read(body, probe::MAX_BYTES).await {
        Ok(body) => {
            origin.intake.believe::<RouteProbe>(Signed { body: &body, signature, max_age_seconds }, now())
        }
        Err(outcome) => Err(outcome),
    };
    let probe = match believed {
        Ok(probe) => probe,
        Err(outcome) => return answer(outcome),
    };
    let route = route::of(headers);
    if probe.kind == ProbeKind::Canary {
        note_route(origin, Carried::Canary, &route);
        origin.intake.canaries.heard(probe);
    }
    Json(route).into_response()
}

/// Only what was signed counts: nobody else can make up routes.
fn note_route(origin: &Origin, carried: Carried, route: &Route) {
    let name = origin.intake.routes.note(carried, route, now());
    origin.metrics.route(carried, name);
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn content_type(headers: &HeaderMap) -> &str {
    header(headers, CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default().trim()
}

async fn read(body: Body, max_bytes: usize) -> Result<Bytes, NotificationOutcome> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, max_bytes)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_length_limit(&error) => Err(NotificationOutcome::TooLarge),
        Ok(Err(_)) | Err(_) => Err(NotificationOutcome::Unreadable),
    }
}

async fn read_and_take(origin: &Origin, headers: &HeaderMap, body: Body) -> NotificationOutcome {
    if content_type(headers) != NOTIFICATION {
        return NotificationOutcome::NotANotification;
    }
    let began = now();
    let body = match read(body, MAX_BYTES).await {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let signature = header(headers, signature::HEADER);
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
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}
