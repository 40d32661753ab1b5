//! Step 7: the answer, in the encoding of the request.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use spillway_proto::otlp::answer::success_body;
use spillway_proto::otlp::{Encoding, ExportTracePartialSuccess, Verdict};

use crate::quota::QuotaState;
use crate::reject::Rejection;

/// Tells how much of a quota is used, from 80 % on.
const QUOTA: HeaderName = HeaderName::from_static("spillway-quota");

/// The answer to a request whose valid spans, if it has any, are stored. Spans that are rejected, and those that are repaired, are
/// told as a partial success: with `rejected_spans` 0 it is a warning,
/// <https://opentelemetry.io/docs/specs/otlp/#partial-success-1>.
pub fn accepted(verdict: &Verdict, quota: &QuotaState, encoding: Encoding) -> Response<Vec<u8>> {
    let is_whole = verdict.rejected == 0 && verdict.repaired.is_empty();
    let partial = (!is_whole).then(|| ExportTracePartialSuccess {
        rejected_spans: verdict.rejected.into(),
        error_message: verdict.message(),
    });
    let mut response = response(StatusCode::OK, encoding, success_body(encoding, partial));
    if let Some(warning) = quota.warning().and_then(|warning| HeaderValue::from_str(&warning).ok()) {
        response.headers_mut().insert(QUOTA, warning);
    }
    response
}

/// The answer to a request of which nothing is stored.
pub fn rejected(rejection: &Rejection, encoding: Encoding) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = response(status, encoding, rejection.to_status().body(encoding));
    if let Some(seconds) = rejection.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Rejection::MethodNotAllowed { allow } = rejection {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// An answer in JSON to somebody who is no exporter.
pub fn json(body: Vec<u8>) -> Response<Vec<u8>> {
    response(StatusCode::OK, Encoding::Json, body)
}

fn response(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    response
}
