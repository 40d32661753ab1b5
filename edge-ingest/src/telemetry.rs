//! What the edge tells of itself: counts and spans, gathered by the isolate, sent through the binding `METRICS` after the
//! answers. No request waits for it; what cannot be sent is kept, within bounds, and sent again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use spillway_proto::UnixMillis;
use spillway_proto::trace_context::TraceContext;

use crate::config::TelemetryConfig;
use crate::mesh::link::Link;
use crate::ports::{MetricsSink, PortError, Runtime, random};
use crate::steps::Step;

/// Spans that wait to be sent; more are counted as dropped.
const MAX_SPANS: usize = 1_000;

/// Names that are counted; there are some dozens. More would be a mistake, and must not take memory.
const MAX_COUNTERS: usize = 500;

/// What is sent, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The span that carries the counters.
    pub context: TraceContext,
    /// When the gathering began.
    pub began: UnixMillis,
    /// When it ended.
    pub ended: UnixMillis,
    /// How much of what happened meanwhile, by name; `requests.accepted` is one.
    pub counters: BTreeMap<String, u64>,
    /// The spans of requests that are traced.
    pub spans: Vec<StepSpan>,
}

/// A span of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpan {
    /// Trace and span.
    pub context: TraceContext,
    /// The parent's id: 16 hex digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent_span_id: Option<String>,
    /// What was done.
    pub name: String,
    /// Whether it is the request itself, or a step of it.
    pub is_request: bool,
    /// When it began.
    pub began: UnixMillis,
    /// When it ended.
    pub ended: UnixMillis,
    /// Whether it failed.
    pub failed: bool,
    /// What else is known.
    pub attributes: BTreeMap<String, String>,
}

impl StepSpan {
    /// The span of a step of the request whose span is `request`.
    pub fn below(request: TraceContext, step: &Step, runtime: &impl Runtime) -> Self {
        Self {
            context: request.child(random(runtime)),
            parent_span_id: Some(request.span_id_hex()),
            name: step.name.to_owned(),
            is_request: false,
            began: step.began,
            ended: step.ended,
            failed: step.failed,
            attributes: BTreeMap::new(),
        }
    }
}

/// What an isolate has gathered.
pub struct Telemetry {
    began: Cell<Option<UnixMillis>>,
    counters: RefCell<BTreeMap<String, u64>>,
    spans: RefCell<Vec<StepSpan>>,
    /// A batch that nobody has confirmed. It is sent again byte for byte, so that it is stored once, whoever has it already.
    unconfirmed: RefCell<Option<Rc<Vec<u8>>>>,
    link: Link,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            began: Cell::new(None),
            counters: RefCell::default(),
            spans: RefCell::default(),
            unconfirmed: RefCell::default(),
            link: Link::new("metrics"),
        }
    }
}

impl Telemetry {
    /// Counts.
    pub fn count(&self, name: impl Into<String>, by: u64) {
        if by == 0 {
            return;
        }
        let (name, mut counters) = (name.into(), self.counters.borrow_mut());
        if counters.len() < MAX_COUNTERS || counters.contains_key(&name) {
            *counters.entry(name).or_default() += by;
        }
    }

    /// Takes in one more span of a request.
    pub fn span(&self, span: StepSpan) {
        if self.spans.borrow().len() >= MAX_SPANS {
            return self.count("spans.dropped", 1);
        }
        self.spans.borrow_mut().push(span);
    }

    /// Takes in a request's spans: `request`, and one below it for each of `steps`.
    pub fn trace(&self, request: StepSpan, steps: &[Step], runtime: &impl Runtime) {
        if self.spans.borrow().len() + steps.len() >= MAX_SPANS {
            return self.count("spans.dropped", steps.len() as u64 + 1);
        }
        let context = request.context;
        let mut spans = self.spans.borrow_mut();
        spans.extend(steps.iter().map(|step| StepSpan::below(context, step, runtime)));
        spans.push(request);
    }

    /// Whether there is anything to send.
    pub fn is_empty(&self) -> bool {
        self.counters.borrow().is_empty()
            && self.spans.borrow().is_empty()
            && self.unconfirmed.borrow().is_none()
    }

    /// Sends what was gathered, or first what nobody has confirmed.
    pub async fn flush(
        &self,
        config: &TelemetryConfig,
        sink: &impl MetricsSink,
        runtime: &impl Runtime,
    ) -> Result<(), PortError> {
        while !self.is_empty() {
            let batch = self.batch(runtime)?;
            self.link.call(&config.link, runtime, async || sink.send(&batch).await).await?;
            let mut unconfirmed = self.unconfirmed.borrow_mut();
            if unconfirmed.as_ref().is_some_and(|waiting| Rc::ptr_eq(waiting, &batch)) {
                *unconfirmed = None;
            }
        }
        Ok(())
    }

    fn batch(&self, runtime: &impl Runtime) -> Result<Rc<Vec<u8>>, PortError> {
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        if let Some(batch) = &*unconfirmed {
            return Ok(Rc::clone(batch));
        }
        let now = runtime.now();
        let batch = Batch {
            context: TraceContext::root(random(runtime), random(runtime)),
            began: self.began.replace(Some(now)).unwrap_or(now),
            ended: now,
            counters: self.counters.take(),
            spans: self.spans.take(),
        };
        let json = serde_json::to_vec(&batch)
            .map_err(|error| PortError { what: "metrics", detail: error.to_string() })?;
        Ok(Rc::clone(unconfirmed.insert(Rc::new(json))))
    }
}
