//! Step 7: the answer, in the encoding of the request.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use spillway_proto::otlp::answer::success_body;
use spillway_proto::otlp::{Encoding, ExportTracePartialSuccess, Verdict};

use crate::reject::Rejection;

/// The answer to a request whose valid spans are stored.
pub fn accepted(verdict: &Verdict, encoding: Encoding) -> Response<Vec<u8>> {
    let partial = verdict.first_reason.map(|reason| ExportTracePartialSuccess {
        rejected_spans: verdict.rejected.into(),
        error_message: format!("{}: {reason}", reason.code()),
    });
    response(StatusCode::OK, encoding, success_body(encoding, partial))
}

/// The answer to a request of which nothing is stored.
pub fn rejected(rejection: &Rejection, encoding: Encoding) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = response(status, encoding, rejection.to_status().body(encoding));
    if let Some(seconds) = rejection.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(rejection, Rejection::MethodNotAllowed) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn response(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    response
}
