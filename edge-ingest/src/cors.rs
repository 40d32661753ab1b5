//! What browsers have to be told before they let a page send its traces: <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! A preflight carries no key, so it allows any page to ask; the key's record says which pages may send
//! (`allowed_origins`), and the answer to the export says whether the page may read it.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, VARY,
};
use http::{HeaderValue, Response, StatusCode};

use crate::request::Head;

const ALLOWED_HEADERS: &str =
    "content-type, content-encoding, authorization, x-api-key, x-api-token, traceparent, tracestate";

/// What a page may read of the answer, beyond what it always may.
const EXPOSED_HEADERS: &str = "retry-after, spillway-quota";

/// How long a browser may remember the answer to a preflight, in seconds; none remembers it for longer.
const MAX_AGE: &str = "86400";

/// The answer to a preflight.
pub fn preflight(head: &Head) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    allow(&mut response, head);
    response
}

/// Lets the page that sent the request read `response`.
pub fn allow(response: &mut Response<Vec<u8>>, head: &Head) {
    let Some(origin) = head.origin().and_then(|origin| HeaderValue::from_str(origin).ok()) else { return };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
