//! The world around the pipeline, in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use edge_ingest::config::Config;
use edge_ingest::ingest::{Edge, Outcome};
use edge_ingest::notify::notify;
use edge_ingest::ports::{
    Body, KeyStore, NewObject, Notifier, ObjectStore, PortError, Runtime, SignedNotification, UsageCounter,
};
use edge_ingest::rate_limit::RateLimiters;
use edge_ingest::request::Head;
use http::{HeaderMap, HeaderValue, Response};
use pollster::block_on;
use prost::Message;
use spillway_proto::api_key::{KeyHash, KeyRecord};
use spillway_proto::notification::Notification;
use spillway_proto::otlp::{Encoding, answer, decode};
use spillway_proto::signature::{self, SignatureError};
use spillway_proto::{TenantId, UnixMillis};

/// The key that most requests come with.
pub const KEY: &str = "good";
/// What a failing port says.
pub const DETAIL: &str = "an internal detail";
const SIGNING_KEY: &str = "a signing key of 32 bytes or more";
const NOW: UnixMillis = UnixMillis(1_795_230_245_678);

/// Which port fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Body,
    Keys,
    /// The key store panics.
    KeysPanic,
    UsageRead,
    UsageAdd,
    Put,
    /// The object is stored, and the answer is lost.
    PutAfterStoring,
    Notify {
        times: usize,
    },
}

/// All ports at once.
pub struct World {
    pub fault: Cell<Option<Fault>>,
    pub objects: RefCell<Vec<NewObject>>,
    pub notified: RefCell<Vec<SignedNotification>>,
    usage: RefCell<HashMap<String, u64>>,
    limiters: RateLimiters,
    random: Cell<u8>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            fault: Cell::new(None),
            objects: RefCell::default(),
            notified: RefCell::default(),
            usage: RefCell::new(HashMap::from([("used-up/2026-11".to_owned(), 10)])),
            limiters: RateLimiters::default(),
            random: Cell::new(0),
        }
    }
}

/// A request as an exporter sends it.
pub struct Sent {
    pub method: &'static str,
    pub path: &'static str,
    pub key: Option<&'static str>,
    pub content_type: &'static str,
    pub content_encoding: Option<&'static str>,
    pub traceparent: Option<&'static str>,
    /// Whether there is a Content-Length.
    pub announced: bool,
    pub body: Vec<u8>,
}

impl Sent {
    /// A good request with `spans` spans.
    pub fn spans(spans: usize, content_type: &'static str) -> Self {
        let body = if content_type == "application/json" { json_of(spans) } else { export_of(spans) };
        Self {
            method: "POST",
            path: "/v1/traces",
            key: Some(KEY),
            content_type,
            content_encoding: None,
            traceparent: None,
            announced: true,
            body,
        }
    }

    fn head(&self) -> Head {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: Option<String>| {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(&value).unwrap());
            }
        };
        set("content-type", Some(self.content_type.to_owned()));
        set("content-encoding", self.content_encoding.map(str::to_owned));
        set("content-length", self.announced.then(|| self.body.len().to_string()));
        set("traceparent", self.traceparent.map(str::to_owned));
        set("x-api-key", self.key.map(str::to_owned));
        Head { method: self.method.parse().unwrap(), path: self.path.to_owned(), query: None, headers }
    }
}

impl World {
    pub fn failing(fault: Fault) -> Self {
        let world = Self::default();
        world.fault.set(Some(fault));
        world
    }

    pub fn send(&self, sent: Sent) -> Outcome {
        let edge = Edge {
            config: &config(),
            limiters: &self.limiters,
            keys: self,
            usage: self,
            objects: self,
            runtime: self,
        };
        let mut body =
            Chunks { world: self, rest: sent.body.chunks(1000).map(<[u8]>::to_vec).rev().collect() };
        block_on(edge.ingest(&sent.head(), &mut body))
    }

    pub fn notify(&self, notification: &Notification) -> Result<(), PortError> {
        block_on(notify(notification, &config().notify, self, self))
    }

    /// The one object that was stored.
    pub fn stored(&self) -> NewObject {
        let objects = self.objects.borrow();
        assert_eq!(objects.len(), 1);
        objects[0].clone()
    }

    pub fn counted(&self, tenant: &str) -> u64 {
        self.usage.borrow().get(&format!("{tenant}/2026-11")).copied().unwrap_or(0)
    }

    fn fail_if(&self, fault: Fault) -> Result<(), PortError> {
        if self.fault.get() == Some(fault) {
            Err(PortError { what: "test", detail: DETAIL.to_owned() })
        } else {
            Ok(())
        }
    }
}

struct Chunks<'a> {
    world: &'a World,
    rest: Vec<Vec<u8>>,
}

impl Body for Chunks<'_> {
    async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        self.world.fail_if(Fault::Body)?;
        Ok(self.rest.pop())
    }
}

impl KeyStore for World {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyRecord>, PortError> {
        self.fail_if(Fault::Keys)?;
        self.fail_if(Fault::KeysPanic).unwrap();
        let records = [
            (KEY, r#"{"tenant":"acme","key_id":"k1"}"#),
            ("revoked", r#"{"tenant":"acme","key_id":"k2","status":"revoked"}"#),
            ("used-up", r#"{"tenant":"used-up","key_id":"k3","spans_per_month":10}"#),
            ("metered", r#"{"tenant":"metered","key_id":"k4","spans_per_month":10}"#),
            ("slow", r#"{"tenant":"slow","key_id":"k5","rate":{"requests_per_second":1,"burst":1}}"#),
        ];
        let record = records.iter().find(|(key, _)| KeyHash::of(key) == *hash);
        Ok(record.map(|(_, record)| serde_json::from_str(record).unwrap()))
    }
}

impl UsageCounter for World {
    async fn spans(&self, tenant: &TenantId, month: &str) -> Result<u64, PortError> {
        self.fail_if(Fault::UsageRead)?;
        Ok(self.usage.borrow().get(&format!("{tenant}/{month}")).copied().unwrap_or(0))
    }

    async fn add(&self, tenant: &TenantId, month: &str, spans: u32) -> Result<(), PortError> {
        self.fail_if(Fault::UsageAdd)?;
        *self.usage.borrow_mut().entry(format!("{tenant}/{month}")).or_default() += u64::from(spans);
        Ok(())
    }
}

impl ObjectStore for World {
    async fn put(&self, object: NewObject) -> Result<(), PortError> {
        self.fail_if(Fault::Put)?;
        self.objects.borrow_mut().push(object);
        self.fail_if(Fault::PutAfterStoring)
    }
}

impl Notifier for World {
    async fn send(&self, notification: &SignedNotification) -> Result<(), PortError> {
        self.notified.borrow_mut().push(notification.clone());
        match self.fault.get() {
            Some(fault @ Fault::Notify { times }) if self.notified.borrow().len() <= times => {
                self.fail_if(fault)
            }
            _ => Ok(()),
        }
    }
}

impl Runtime for World {
    fn now(&self) -> UnixMillis {
        NOW
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.random.set(self.random.get().wrapping_add(1));
        bytes.fill(self.random.get());
    }

    async fn sleep(&self, _: Duration) {}
}

fn config() -> Config {
    Config::read(|name| match name {
        "NOTIFY_URL" => Some("http://origin.example/v1/traces".to_owned()),
        "NOTIFY_SIGNING_KEY" => Some(SIGNING_KEY.to_owned()),
        "MAX_BODY_BYTES" => Some("100000".to_owned()),
        "MAX_DECOMPRESSED_BYTES" => Some("200000".to_owned()),
        _ => None,
    })
    .unwrap()
}

/// Whether the origin would believe it.
pub fn verify(sent: &SignedNotification) -> Result<(), SignatureError> {
    signature::verify([SIGNING_KEY.as_bytes()], NOW, 1, &sent.signature, &sent.body)
}

fn json_of(spans: usize) -> Vec<u8> {
    let spans: Vec<_> = (1..=spans)
        .map(|n| serde_json::json!({ "traceId": format!("{n:032x}"), "spanId": format!("{n:016x}"), "name": "n" }))
        .collect();
    serde_json::json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string().into_bytes()
}

/// An export request with `spans` spans, in protobuf.
pub fn export_of(spans: usize) -> Vec<u8> {
    decode(&json_of(spans), Encoding::Json).unwrap().encode_to_vec()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The message of the Status that a refusal carries.
pub fn status_message(response: &Response<Vec<u8>>) -> String {
    let body = response.body().clone();
    if response.headers()["content-type"] == "application/json" {
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        status["message"].as_str().unwrap().to_owned()
    } else {
        answer::read_status(body.into()).unwrap().1
    }
}
