//! The bodies of OTLP/HTTP answers, in the encoding of the request.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use prost::bytes::Bytes;
use serde_json::json;

use super::Encoding;
use crate::generated::rpc;

/// The codes of `google.rpc.Code` that the ingress uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum RpcCode {
    /// The request itself is wrong.
    InvalidArgument = 3,
    /// No such path.
    NotFound = 5,
    /// The key may not do this.
    PermissionDenied = 7,
    /// A rate limit, a quota or a size limit.
    ResourceExhausted = 8,
    /// Not this method here.
    Unimplemented = 12,
    /// A fault of ours, that a later try may not meet.
    Unavailable = 14,
    /// No key, or none that is known.
    Unauthenticated = 16,
}

/// A refusal's body: a `google.rpc.Status`, with `BadRequest` details where a field is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What kind of refusal it is.
    pub code: RpcCode,
    /// For a developer, in English.
    pub message: String,
    /// The path of the bad field, and what is wrong with it.
    pub violation: Option<FieldViolation>,
}

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Its path in the request.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

const BAD_REQUEST_URL: &str = "type.googleapis.com/google.rpc.BadRequest";

impl Status {
    /// The body of the answer.
    pub fn body(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.to_message().encode_to_vec(),
            Encoding::Json => self.to_json().to_string().into_bytes(),
        }
    }

    fn to_message(&self) -> rpc::Status {
        let details = self.violation.iter().map(|violation| {
            let field_violations = vec![rpc::bad_request::FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            }];
            prost_types::Any {
                type_url: BAD_REQUEST_URL.to_owned(),
                value: rpc::BadRequest { field_violations }.encode_to_vec(),
            }
        });
        rpc::Status { code: self.code as i32, message: self.message.clone(), details: details.collect() }
    }

    fn to_json(&self) -> serde_json::Value {
        let mut status = json!({ "code": self.code as i32, "message": self.message });
        if let Some(violation) = &self.violation {
            status["details"] = json!([{
                "@type": BAD_REQUEST_URL,
                "fieldViolations": [{ "field": violation.field, "description": violation.description }],
            }]);
        }
        status
    }
}

/// The body of a success: `partial_success` is unset unless spans were rejected.
pub fn success_body(encoding: Encoding, partial_success: Option<ExportTracePartialSuccess>) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => ExportTraceServiceResponse { partial_success }.encode_to_vec(),
        Encoding::Json => match partial_success {
            None => b"{}".to_vec(),
            Some(partial) => json!({ "partialSuccess": {
                // 64-bit integers are text in protobuf's JSON.
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }})
            .to_string()
            .into_bytes(),
        },
    }
}

/// The code and the message of a `Status` in protobuf, for clients that show why they were refused.
pub fn read_status(body: Bytes) -> Result<(i32, String), prost::DecodeError> {
    rpc::Status::decode(body).map(|status| (status.code, status.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            code: RpcCode::InvalidArgument,
            message: "malformed".to_owned(),
            violation: Some(FieldViolation { field: "a.b".to_owned(), description: "bad".to_owned() }),
        }
    }

    #[test]
    fn a_status_in_protobuf_can_be_read_with_its_details() {
        let body = Bytes::from(status().body(Encoding::Protobuf));
        assert_eq!(read_status(body.clone()).unwrap(), (3, "malformed".to_owned()));
        let detail = rpc::Status::decode(body).unwrap().details.remove(0);
        assert_eq!(detail.type_url, "type.googleapis.com/google.rpc.BadRequest");
        assert_eq!(rpc::BadRequest::decode(&*detail.value).unwrap().field_violations[0].field, "a.b");
    }

    #[test]
    fn a_status_in_json_follows_the_mapping() {
        insta::assert_snapshot!(
            String::from_utf8(status().body(Encoding::Json)).unwrap(),
            @r#"{"code":3,"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"description":"bad","field":"a.b"}]}],"message":"malformed"}"#
        );
    }

    #[test]
    fn success_leaves_partial_success_unset() {
        assert_eq!(success_body(Encoding::Protobuf, None), b"");
        assert_eq!(success_body(Encoding::Json, None), b"{}");
        let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "two".to_owned() };
        insta::assert_snapshot!(
            String::from_utf8(success_body(Encoding::Json, Some(partial))).unwrap(),
            @r#"{"partialSuccess":{"errorMessage":"two","rejectedSpans":"2"}}"#
        );
    }
}
