//! What browsers have to be told before they let a page send its traces: <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! A preflight carries no key, so it allows any page to ask. The key's record says which pages may send (`allowed_origins`). It is
//! answered for every path of the ingress, since a browser reports a preflight without a status of 2xx as a fault of the network, and
//! does not send the request whose refusal would say what to change.
//!
//! Every answer may be read by the page that has sent the request, refusals included: to a page that cannot read its answer a
//! refusal looks like a network that fails, and its exporter sends the same again. An answer holds a status and a message for
//! developers, and nothing of a tenant but how much of its quota the very key has used.
//!
//! Credentials are allowed, since `navigator.sendBeacon` always sends them. No cookie is read or set, and no other credential that a
//! browser would add by itself counts, so they make no difference to what is answered.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, VARY,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::request::Head;

/// What exporters send.
const ALLOWED_HEADERS: &str =
    "content-type, content-encoding, authorization, x-api-key, x-api-token, traceparent, tracestate";

/// How many other headers of a page are allowed besides: instrumentation adds its own, such as `baggage` and `sentry-trace`.
const MAX_REQUESTED_HEADERS: usize = 32;

/// The longest name among those, in bytes.
const MAX_HEADER_NAME_BYTES: usize = 64;

/// The headers that a page may read of an answer, besides those that it always may.
const EXPOSED_HEADERS: &str = "retry-after, spillway-quota, grpc-status, grpc-message";

/// How long a browser may remember the answer to a preflight, in seconds; none remembers it for longer.
const MAX_AGE: &str = "86400";

/// The answer to a preflight, but for what [`allow`] adds to every answer.
pub fn preflight(head: &Head) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    if let Ok(allowed) = allowed_headers(head).parse() {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.append(VARY, HeaderValue::from_name(ACCESS_CONTROL_REQUEST_HEADERS));
    response
}

/// Lets the page that sent the request read `response`.
pub fn allow(response: &mut Response<Vec<u8>>, head: &Head) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    let Some(origin) = head.origin().and_then(|origin| HeaderValue::from_str(origin).ok()) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
}

/// Those of exporters, and what the page asks for besides, as far as it is the name of a header; `*` is none.
fn allowed_headers(head: &Head) -> String {
    let requested = head.header(ACCESS_CONTROL_REQUEST_HEADERS.as_str()).unwrap_or_default();
    let is_short = |name: &&str| name.len() <= MAX_HEADER_NAME_BYTES;
    let names = requested.split(',').map(str::trim).filter(is_short).filter(|name| *name != "*");
    // Which makes it lower-case, and takes no other characters than a name may have.
    let names = names.filter_map(|name| name.parse::<HeaderName>().ok());
    let mut allowed = ALLOWED_HEADERS.to_owned();
    for name in names.take(MAX_REQUESTED_HEADERS) {
        allowed.push_str(", ");
        allowed.push_str(name.as_str());
    }
    allowed
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn head(headers: &[(HeaderName, &str)]) -> Head {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let headers = HeaderMap::from_iter(headers);
        Head { method: Method::OPTIONS, path: "/v1/traces".to_owned(), query: None, headers }
    }

    /// As a Worker answers.
    fn answered(head: &Head) -> Response<Vec<u8>> {
        let mut answer = preflight(head);
        allow(&mut answer, head);
        answer
    }

    fn allowed(requested: &str) -> Vec<String> {
        let preflight = answered(&head(&[(ACCESS_CONTROL_REQUEST_HEADERS, requested)]));
        let allowed = preflight.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        allowed.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn what_a_page_asks_for_is_allowed_besides_what_exporters_send() {
        let usual = allowed("");
        assert!(usual.iter().any(|name| name == "x-api-key") && usual.len() == 7, "{usual:?}");
        assert_eq!(allowed("baggage,Sentry-Trace ,x-api-key")[7..], ["baggage", "sentry-trace", "x-api-key"]);
    }

    #[test]
    fn what_is_no_name_or_beyond_the_bound_is_not_repeated() {
        let long = "x".repeat(MAX_HEADER_NAME_BYTES + 1);
        for bad in ["", ",,", "a b", "a:b", "a;b", "a\"b", "a(b", "a@b", "*", &long] {
            assert_eq!(allowed(&format!("{bad}, baggage"))[7..], ["baggage"], "{bad}");
        }
        let many: Vec<_> = (0..1_000).map(|n| format!("x-{n}")).collect();
        assert_eq!(allowed(&many.join(","))[7..], many[..MAX_REQUESTED_HEADERS]);
    }

    #[test]
    fn a_page_is_told_its_own_origin_and_that_credentials_are_no_matter() {
        for origin in ["https://app.example", "null"] {
            let preflight = answered(&head(&[(http::header::ORIGIN, origin)]));
            let headers = preflight.headers();
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], origin);
            assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
            let vary: Vec<_> = headers.get_all(VARY).iter().collect();
            assert_eq!(vary, ["access-control-request-headers", "origin"]);
        }
        let preflight = answered(&head(&[]));
        assert!(!preflight.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!preflight.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(preflight.headers().get_all(VARY).iter().count(), 2);
    }
}
