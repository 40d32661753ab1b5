//! The world around the pipeline, in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use edge_ingest::allowance::object::{Buckets, Ledger};
use edge_ingest::allowance::{Ask, Grant, Settlement};
use edge_ingest::background::Report;
use edge_ingest::canary::Canary;
use edge_ingest::config::{Config, Destination};
use edge_ingest::ingest::{Edge, Outcome};
use edge_ingest::isolate::Isolate;
use edge_ingest::ports::{
    AllowanceStore, Body, KeyStore, MetricsSink, NewObject, Notifier, ObjectStore, PortError, ProbeAnswer,
    Prober, Runtime, SignedNotification,
};
use edge_ingest::request::Head;
use edge_ingest::telemetry::Batch;
use http::{HeaderMap, HeaderValue, Response};
use pollster::block_on;
use prost::Message;
use spillway_proto::api_key::{ApiKey, KeyHash};
use spillway_proto::otlp::{Encoding, answer, decode};
use spillway_proto::probe::{ProbeReport, Route, RouteProbe};
use spillway_proto::signature::{self, SignatureError};
use spillway_proto::usage::Usage;
use spillway_proto::{Sha256Digest, UnixMillis};

/// The key that most requests come with.
pub const KEY: &str = "good";
/// What a failing port says.
pub const DETAIL: &str = "an internal detail";
const SIGNING_KEY: &str = "a signing key of 32 bytes or more";
/// When the tests happen.
pub const NOW: UnixMillis = UnixMillis(1_795_230_245_678);

/// Which port fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Body,
    /// The client sends a part of the body, and then nothing.
    SlowBody,
    Keys,
    /// The key store panics.
    KeysPanic,
    Allowance,
    /// What was settled is counted, and the answer is lost.
    AllowanceAfterSettling,
    Put,
    /// The object is stored, and the answer is lost.
    PutAfterStoring,
    /// The object is stored, and R2 never answers.
    PutHangs,
    /// The first notifications are not taken.
    Notify {
        times: usize,
    },
    /// Nobody takes a notification by HTTP.
    NotifyByHttp,
    Metrics,
}

/// All ports at once.
pub struct World {
    pub fault: Cell<Option<Fault>>,
    pub now: Cell<UnixMillis>,
    pub objects: RefCell<Vec<NewObject>>,
    pub notified: RefCell<Vec<(&'static str, SignedNotification)>>,
    pub told: RefCell<Vec<Batch>>,
    /// Where probes went, and what they held.
    pub probed: RefCell<Vec<(String, RouteProbe)>>,
    pub asks: Cell<usize>,
    pub lookups: Cell<usize>,
    pub isolate: Isolate,
    vars: Vec<(&'static str, &'static str)>,
    allowances: Rc<Allowances>,
    random: Cell<u8>,
}

/// The Durable Objects, which several isolates may share.
#[derive(Default)]
pub struct Allowances {
    buckets: RefCell<HashMap<String, Buckets>>,
    counted: Counted,
}

/// Tenant and month to what was counted, and isolate to the last settlement.
#[derive(Default)]
struct Counted {
    tenant: RefCell<String>,
    months: RefCell<HashMap<String, Usage>>,
    settled: RefCell<HashMap<String, u64>>,
}

impl Ledger for Counted {
    fn settled(&self, isolate: &str) -> Result<u64, PortError> {
        let name = format!("{}/{isolate}", self.tenant.borrow());
        Ok(self.settled.borrow().get(&name).copied().unwrap_or_default())
    }

    fn settle(&self, isolate: &str, settlement: &Settlement, _: UnixMillis) -> Result<(), PortError> {
        let tenant = self.tenant.borrow();
        let mut settled = self.settled.borrow_mut();
        let last = settled.entry(format!("{tenant}/{isolate}")).or_default();
        if settlement.sequence > *last {
            *last = settlement.sequence;
            let mut months = self.months.borrow_mut();
            let month = months.entry(format!("{tenant}/{}", settlement.month)).or_default();
            *month = month.plus(settlement.usage);
        }
        Ok(())
    }

    fn usage(&self, month: &str) -> Result<Usage, PortError> {
        let months = self.months.borrow();
        Ok(months.get(&format!("{}/{month}", self.tenant.borrow())).copied().unwrap_or_default())
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            fault: Cell::new(None),
            now: Cell::new(NOW),
            objects: RefCell::default(),
            notified: RefCell::default(),
            told: RefCell::default(),
            probed: RefCell::default(),
            asks: Cell::new(0),
            lookups: Cell::new(0),
            isolate: Isolate::default(),
            vars: Vec::new(),
            allowances: Rc::default(),
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
    /// The web origin of a page.
    pub origin: Option<&'static str>,
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
            origin: None,
            announced: true,
            body,
        }
    }

    /// All of it but the body.
    pub fn head(&self) -> Head {
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
        set("origin", self.origin.map(str::to_owned));
        set("x-api-key", self.key.map(str::to_owned));
        Head { method: self.method.parse().unwrap(), path: self.path.to_owned(), query: None, headers }
    }
}

impl World {
    /// With further variables of the Worker.
    pub fn with(self, vars: &[(&'static str, &'static str)]) -> Self {
        Self { vars: vars.to_vec(), ..self }
    }

    pub fn failing(fault: Fault) -> Self {
        let world = Self::default();
        world.fault.set(Some(fault));
        world
    }

    /// Another isolate, with the same Durable Objects.
    pub fn another_isolate(&self) -> Self {
        let random = Cell::new(self.random.get().wrapping_add(100));
        Self { allowances: Rc::clone(&self.allowances), random, now: self.now.clone(), ..Self::default() }
    }

    /// The same isolate, which has forgotten all tenants.
    pub fn forgetful(self) -> Self {
        Self { isolate: Isolate::default(), ..self }
    }

    pub fn send(&self, sent: Sent) -> Outcome {
        let config = self.config();
        let mut body =
            Chunks { world: self, rest: sent.body.chunks(1000).map(<[u8]>::to_vec).rev().collect() };
        block_on(self.edge(&config).ingest(&sent.head(), &mut body))
    }

    /// What follows the answer.
    pub fn background(&self, outcome: &mut Outcome) -> Report {
        let config = self.config();
        block_on(self.edge(&config).background(self, Some(self)).run(outcome))
    }

    /// Sends, and lets the background follow.
    pub fn send_and_settle(&self, sent: Sent) -> Outcome {
        let mut outcome = self.send(sent);
        self.background(&mut outcome);
        outcome
    }

    fn edge<'a>(&'a self, config: &'a Config) -> Edge<'a, Self, Self, Self, Self> {
        Edge {
            config,
            isolate: &self.isolate,
            keys: self,
            allowances: self,
            objects: self,
            runtime: self,
            reports_spans: true,
        }
    }

    /// What an operator is told, or the code of the refusal.
    pub fn usage(&self, body: &[u8], signature: &str) -> Result<serde_json::Value, &'static str> {
        let mut head = Sent::spans(0, "application/json").head();
        head.headers.insert(signature::HEADER, HeaderValue::from_str(signature).unwrap());
        let mut body = Chunks { world: self, rest: vec![body.to_vec()] };
        let config = self.config();
        let report = block_on(edge_ingest::usage::report(&head, &mut body, &config, self, self));
        let report = report.map_err(|rejection| rejection.code())?;
        Ok(serde_json::from_slice(&report).unwrap())
    }

    /// What an operator is told of the way to the origin, or the code of the refusal.
    pub fn probe(&self, body: &[u8], signature: &str) -> Result<ProbeReport, &'static str> {
        let mut head = Sent::spans(0, "application/json").head();
        head.headers.insert(signature::HEADER, HeaderValue::from_str(signature).unwrap());
        let mut body = Chunks { world: self, rest: vec![body.to_vec()] };
        let config = self.config();
        let report = block_on(edge_ingest::probe::report(&head, &mut body, &config, self, self));
        let report = report.map_err(|rejection| rejection.code())?;
        Ok(serde_json::from_slice(&report).unwrap())
    }

    /// What the cron does.
    pub fn canary(&self) -> Canary {
        let config = self.config();
        block_on(edge_ingest::canary::run(&config, &self.isolate, self, self, self))
    }

    pub fn config(&self) -> Config {
        let usual = [
            ("NOTIFY_URL", "http://origin.example/v1/traces"),
            ("NOTIFY_SIGNING_KEY", SIGNING_KEY),
            ("MAX_BODY_BYTES", "100000"),
            ("MAX_DECOMPRESSED_BYTES", "200000"),
        ];
        let var = |name: &str| self.vars.iter().chain(&usual).find(|(known, _)| *known == name);
        Config::read(|name| var(name).map(|(_, value)| (*value).to_owned())).unwrap()
    }

    pub fn later(&self, millis: u64) {
        self.now.set(UnixMillis(self.now.get().0 + millis));
    }

    /// The one object that was stored.
    pub fn stored(&self) -> NewObject {
        let objects = self.objects.borrow();
        assert_eq!(objects.len(), 1);
        objects[0].clone()
    }

    /// What the tenant's object has counted in this month.
    pub fn counted(&self, tenant: &str) -> u64 {
        let months = self.allowances.counted.months.borrow();
        months.get(&format!("{tenant}/{}", self.now.get().month())).map_or(0, |usage| usage.spans)
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
        if self.world.fault.get() == Some(Fault::SlowBody) && self.rest.len() <= 1 {
            std::future::pending::<()>().await;
        }
        Ok(self.rest.pop())
    }
}

impl KeyStore for World {
    async fn find(&self, hash: &KeyHash) -> Result<Option<String>, PortError> {
        self.lookups.set(self.lookups.get() + 1);
        self.fail_if(Fault::Keys)?;
        self.fail_if(Fault::KeysPanic).unwrap();
        let records = [
            (KEY, r#"{"tenant":"acme","project":"shop","key_id":"k1"}"#),
            ("other-key", r#"{"tenant":"acme","project":"shop","key_id":"k13"}"#),
            ("other-project", r#"{"tenant":"acme","project":"blog","key_id":"k14"}"#),
            ("revoked", r#"{"tenant":"acme","key_id":"k2","status":"revoked"}"#),
            ("expired", r#"{"tenant":"acme","key_id":"k3","expires_at":"2026-11-01T00:00:00Z"}"#),
            ("early", r#"{"tenant":"acme","key_id":"k4","not_before":"2027-01-01T00:00:00Z"}"#),
            ("page", r#"{"tenant":"acme","key_id":"k5","allowed_origins":["https://app.example"]}"#),
            ("metered", r#"{"tenant":"metered","key_id":"k6","quotas":{"spans_per_month":10}}"#),
            ("slow", r#"{"tenant":"slow","key_id":"k7","limits":{"requests":{"per_second":1,"burst":1}}}"#),
            ("few-spans", r#"{"tenant":"few","key_id":"k8","limits":{"spans":{"per_second":5,"burst":5}}}"#),
            ("few-bytes", r#"{"tenant":"few2","key_id":"k9","limits":{"bytes":{"per_second":9,"burst":9}}}"#),
            ("broken", r#"{"tenant":"acme","key_id":"k12","quota":5}"#),
            ("strict", r#"{"tenant":"strict","key_id":"k10","span_limits":{"max_name_bytes":0}}"#),
            (
                "busy",
                r#"{"tenant":"busy","key_id":"k11","limits":{"requests":{"per_second":100,"burst":100}}}"#,
            ),
        ];
        let record = records.iter().find(|(key, _)| ApiKey::presented(key).unwrap().hash() == *hash);
        Ok(record.map(|(_, record)| (*record).to_owned()))
    }
}

impl AllowanceStore for World {
    async fn ask(&self, ask: &Ask) -> Result<Grant, PortError> {
        self.asks.set(self.asks.get() + 1);
        self.fail_if(Fault::Allowance)?;
        let Allowances { buckets, counted } = &*self.allowances;
        *counted.tenant.borrow_mut() = ask.shard.tenant.to_string();
        let grant =
            buckets.borrow_mut().entry(ask.shard.name()).or_default().answer(ask, counted, self.now())?;
        if ask.settlement.is_some() {
            self.fail_if(Fault::AllowanceAfterSettling)?;
        }
        Ok(grant)
    }
}

impl ObjectStore for World {
    async fn put(&self, object: &NewObject) -> Result<(), PortError> {
        self.fail_if(Fault::Put)?;
        // Create only, as R2 is told.
        if !self.objects.borrow().iter().any(|known| known.key == object.key) {
            self.objects.borrow_mut().push(object.clone());
        }
        if self.fault.get() == Some(Fault::PutHangs) {
            std::future::pending::<()>().await;
        }
        self.fail_if(Fault::PutAfterStoring)
    }
}

impl Notifier for World {
    async fn send(&self, to: &Destination, notification: &SignedNotification) -> Result<(), PortError> {
        self.notified.borrow_mut().push((to.name(), notification.clone()));
        match self.fault.get() {
            Some(fault @ Fault::Notify { times }) if self.notified.borrow().len() <= times => {
                self.fail_if(fault)
            }
            Some(fault @ Fault::NotifyByHttp) if to.name() == "http" => self.fail_if(fault),
            _ => Ok(()),
        }
    }
}

impl Prober for World {
    async fn probe(&self, url: &str, body: &[u8], signature: &str) -> Result<ProbeAnswer, PortError> {
        assert_eq!(signature::verify([SIGNING_KEY.as_bytes()], NOW, 1, signature, body), Ok(()));
        self.probed.borrow_mut().push((url.to_owned(), serde_json::from_slice(body).unwrap()));
        self.fail_if(Fault::NotifyByHttp)?;
        let stopped = matches!(self.fault.get(), Some(Fault::Notify { .. }));
        if stopped {
            return Ok(ProbeAnswer {
                status: 403,
                mitigated: Some("challenge".to_owned()),
                body: b"<html>".into(),
            });
        }
        let route = Route { name: "worker-12345678".to_owned(), headers: [].into() };
        Ok(ProbeAnswer { status: 200, mitigated: None, body: serde_json::to_vec(&route).unwrap() })
    }
}

impl MetricsSink for World {
    async fn send(&self, batch: &[u8]) -> Result<(), PortError> {
        self.fail_if(Fault::Metrics)?;
        self.told.borrow_mut().push(serde_json::from_slice(batch).unwrap());
        Ok(())
    }
}

impl Runtime for World {
    fn now(&self) -> UnixMillis {
        self.now.get()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.random.set(self.random.get().wrapping_add(1).max(1));
        bytes.fill(self.random.get());
    }

    async fn sha256(&self, bytes: &[u8]) -> Sha256Digest {
        Sha256Digest::of(bytes)
    }

    async fn sleep(&self, _: Duration) {}
}

/// The signature of whoever has the signing key.
pub fn sign(body: &[u8]) -> String {
    signature::sign(SIGNING_KEY.as_bytes(), NOW, body)
}

/// Whether the origin would believe it.
pub fn verify(sent: &SignedNotification) -> Result<(), SignatureError> {
    signature::verify([SIGNING_KEY.as_bytes()], NOW, 1, &sent.signature, &sent.body)
}

fn json_of(spans: usize) -> Vec<u8> {
    let spans: Vec<_> = (1..=spans)
        .map(|n| {
            let (trace_id, span_id) = (format!("{n:032x}"), format!("{n:016x}"));
            let start = NOW.as_nanos().to_string();
            serde_json::json!({ "traceId": trace_id, "spanId": span_id, "name": "n", "startTimeUnixNano": start })
        })
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
