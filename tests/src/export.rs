//! Export requests, as exporters send them.

use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use spillway_proto::UnixMillis;
use spillway_proto::otlp::{Encoding, decode};
use ulid::Ulid;

use crate::stack::TestStack;

/// A trace on its way to the edge.
#[derive(Clone)]
pub struct Export {
    /// The trace's id, in hex.
    pub trace_id: String,
    /// The request, in OTLP's JSON.
    pub request: Value,
    encoding: Encoding,
    gzip: bool,
    traceparent: Option<String>,
}

impl Export {
    /// A new trace of `spans` spans that began now.
    pub fn new(spans: usize) -> Self {
        let trace_id = format!("{:032x}", Ulid::generate().0);
        let start = u128::from(Ulid::generate().timestamp_ms()) * 1_000_000;
        let spans: Vec<_> = (1..=spans)
            .map(|n| {
                json!({
                    "traceId": trace_id, "spanId": format!("{n:016x}"), "name": format!("span {n}"), "kind": 2,
                    "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 1_000_000).to_string(),
                })
            })
            .collect();
        let resource =
            json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] });
        let request =
            json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": spans }] }] });
        Self { trace_id, request, encoding: Encoding::Protobuf, gzip: false, traceparent: None }
    }

    /// With spans that began then, and took a millisecond.
    pub fn begun_at(mut self, at: UnixMillis) -> Self {
        let spans = &mut self.request["resourceSpans"][0]["scopeSpans"][0]["spans"];
        for span in spans.as_array_mut().into_iter().flatten() {
            let nanos = |millis: u64| (u128::from(millis) * 1_000_000).to_string();
            span["startTimeUnixNano"] = nanos(at.0).into();
            span["endTimeUnixNano"] = nanos(at.0 + 1).into();
        }
        self
    }

    /// Sends JSON instead of protobuf.
    pub fn json(self) -> Self {
        Self { encoding: Encoding::Json, ..self }
    }

    /// Compresses the body.
    pub fn gzip(self) -> Self {
        Self { gzip: true, ..self }
    }

    /// Sends a `traceparent` along.
    pub fn within(self, traceparent: String) -> Self {
        Self { traceparent: Some(traceparent), ..self }
    }

    /// The first span, to be changed.
    pub fn first_span(&mut self) -> &mut Value {
        &mut self.request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    }

    /// The body as it is sent.
    pub fn body(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(&self.request)?;
        let plain = match self.encoding {
            Encoding::Json => json,
            Encoding::Protobuf => decode(&json, Encoding::Json)?.encode_to_vec(),
        };
        if self.gzip { gzipped(&plain) } else { Ok(plain) }
    }

    /// The request with the key of `tenant`.
    pub fn to(&self, stack: &TestStack, tenant: &str) -> Result<RequestBuilder> {
        let mut request = local_stack::http::client()
            .post(format!("{}/v1/traces", stack.edge.url))
            .header("content-type", self.encoding.content_type())
            .header("x-api-key", stack.key(tenant)?)
            .body(self.body()?);
        if self.gzip {
            request = request.header("content-encoding", "gzip");
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        Ok(request)
    }

    /// Sends it with the key of `tenant`.
    pub async fn send(&self, stack: &TestStack, tenant: &str) -> Result<Response> {
        Ok(self.to(stack, tenant)?.send().await?)
    }

    /// Sends it as the tenant `acme`, and expects that it is taken.
    pub async fn accepted(&self, stack: &TestStack) -> Result<()> {
        let answer = self.send(stack, "acme").await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        anyhow::ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}

/// The bytes, compressed.
pub fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
