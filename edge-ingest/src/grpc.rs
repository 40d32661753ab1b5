//! OTLP over gRPC is not taken here, and its exporters are told so in the one way that they show to their users: by a status of gRPC.
//!
//! An answer of gRPC has the HTTP status 200 whatever has become of the call, so nobody else may be given one: exporters over HTTP
//! count every 200 as success.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Response};

use crate::request::Head;

/// The outcome of a call, for the log.
pub const CODE: &str = "grpc";

/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>. No exporter tries again after it.
const UNIMPLEMENTED: &str = "12";

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How a call is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// gRPC over HTTP/2.
    Plain,
    /// gRPC-Web.
    Web,
    /// gRPC-Web in base64.
    WebText,
}

impl Form {
    /// The form that a `Content-Type` names; the encoding of messages (`+proto`) and parameters do not count.
    fn from_header(content_type: &str) -> Option<Self> {
        let content_type = content_type.to_ascii_lowercase();
        match content_type.split(['+', ';']).next()?.trim() {
            "application/grpc" => Some(Self::Plain),
            "application/grpc-web" => Some(Self::Web),
            "application/grpc-web-text" => Some(Self::WebText),
            _ => None,
        }
    }

    /// The `Content-Type` of the answer.
    fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        }
    }

    /// The body of an answer without a message.
    fn body(self, message: &str) -> Vec<u8> {
        match self {
            Self::Plain => Vec::new(),
            Self::Web => trailers(message),
            Self::WebText => STANDARD.encode(trailers(message)).into_bytes(),
        }
    }
}

/// The answer to a call of gRPC, whatever its path; none to any other request.
///
/// It consists of trailers only, which gRPC sends as headers
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses>). A call in a form of gRPC-Web, which Cloudflare
/// makes of gRPC between its own machines (<https://blog.cloudflare.com/road-to-grpc/>) and pages send, has them in the body, too,
/// in the form of the call.
pub fn answer(head: &Head) -> Option<Response<Vec<u8>>> {
    let form = Form::from_header(head.header(CONTENT_TYPE.as_str())?)?;
    if head.method != Method::POST {
        return None;
    }
    let message = message(&head.path);
    let mut response = Response::new(form.body(message));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(STATUS, HeaderValue::from_static(UNIMPLEMENTED));
    headers.insert(MESSAGE, HeaderValue::from_static(message));
    Some(response)
}

/// What the exporter's user is to change. The path of a call names its service.
///
/// No percent sign and no other characters than printable ASCII: those would have to be percent-encoded.
fn message(path: &str) -> &'static str {
    if path.contains(".metrics.") {
        "this ingress takes traces only, over HTTP, and no metrics: set OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=none"
    } else if path.contains(".logs.") {
        "this ingress takes traces only, over HTTP, and no logs: set OTEL_METRICS_EXPORTER=none and OTEL_LOGS_EXPORTER=none"
    } else {
        "this ingress takes OTLP over HTTP, and not over gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    }
}

/// The frame of gRPC-Web that holds trailers: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>.
fn trailers(message: &str) -> Vec<u8> {
    const TRAILERS: u8 = 0x80;
    let trailers = format!("{STATUS}:{UNIMPLEMENTED}\r\n{MESSAGE}:{message}\r\n");
    let length = u32::try_from(trailers.len()).unwrap_or_default();
    [&[TRAILERS][..], &length.to_be_bytes(), trailers.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn answered(content_type: &'static str, service: &str) -> Option<Response<Vec<u8>>> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        answer(&Head { method: Method::POST, path, query: None, headers })
    }

    #[test]
    fn a_call_is_answered_by_trailers_only_with_the_variable_to_set() {
        for (service, named) in [
            ("trace.v1.TraceService", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
            ("metrics.v1.MetricsService", "OTEL_METRICS_EXPORTER=none"),
            ("logs.v1.LogsService", "OTEL_LOGS_EXPORTER=none"),
        ] {
            let response = answered("application/grpc", service).unwrap();
            assert_eq!((response.status().as_u16(), response.body().len()), (200, 0));
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
            assert_eq!(response.headers()[STATUS], "12");
            let message = response.headers()[MESSAGE].to_str().unwrap();
            assert!(message.contains(named), "{message}");
            assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'), "{message}");
        }
    }

    #[test]
    fn every_content_type_of_grpc_is_answered_so_and_no_other() {
        for content_type in
            ["application/grpc", "Application/GRPC", "application/grpc+proto", "application/grpc; a=b"]
        {
            assert_eq!(answered(content_type, "").unwrap().headers()[CONTENT_TYPE], "application/grpc");
        }
        for (sent, answered_as) in [
            ("application/grpc-web", "application/grpc-web+proto"),
            ("application/grpc-web+proto", "application/grpc-web+proto"),
            ("application/grpc-web-text", "application/grpc-web-text+proto"),
            ("application/grpc-web-text+proto", "application/grpc-web-text+proto"),
            ("Application/gRPC-Web-Text; a=b", "application/grpc-web-text+proto"),
        ] {
            let response = answered(sent, "").unwrap();
            assert_eq!(response.headers()[CONTENT_TYPE], answered_as, "{sent}");
            let body = response.into_body();
            let body = if answered_as.contains("text") { STANDARD.decode(body).unwrap() } else { body };
            let (frame, trailers) = body.split_at(5);
            assert_eq!((frame[0], frame[4] as usize), (0x80, trailers.len()));
            assert!(trailers.starts_with(b"grpc-status:12\r\ngrpc-message:this ingress takes OTLP"));
        }
        for content_type in
            ["", "application/x-protobuf", "text/grpc", "application/grpcx", "application/grpc-website"]
        {
            assert!(answered(content_type, "").is_none(), "{content_type}");
        }
    }

    #[test]
    fn a_call_is_a_post() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]);
        let head = Head { method: Method::OPTIONS, path: "/".to_owned(), query: None, headers };
        assert!(answer(&head).is_none());
    }
}
