//! The pipeline: what happens to a request, step by step.

use std::collections::BTreeMap;
use std::rc::Rc;

use http::Response;
use spillway_proto::key_record::{KeyRecord, Quotas};
use spillway_proto::notification::Notification;
use spillway_proto::otlp::Verdict;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::usage::Usage;
use spillway_proto::{KeyId, ObjectKey, ProjectId, TenantId, UnixMillis};

use crate::allowance::Amounts;
use crate::allowance::isolate::SharedTenant;
use crate::auth::{self, KeySource};
use crate::config::{Config, OnFault};
use crate::isolate::Isolate;
use crate::payload::Payload;
use crate::ports::{AllowanceStore, Body, KeyStore, ObjectStore, PortError, Runtime, random};
use crate::quota::{self, QuotaState};
use crate::reject::Rejection;
use crate::request::{self, Announced, Head};
use crate::steps::{Step, Steps};
use crate::store::{self, Bucket, Received};
use crate::telemetry::StepSpan;
use crate::{payload, rate_limit, response};

/// The edge: its configuration, what it remembers, and the world around it.
pub struct Edge<'a, K, A, O, R> {
    /// What it was told.
    pub config: &'a Config,
    /// What its isolate remembers.
    pub isolate: &'a Isolate,
    /// The key records.
    pub keys: &'a K,
    /// The tenants' allowances.
    pub allowances: &'a A,
    /// R2.
    pub objects: &'a O,
    /// Clock and chance.
    pub runtime: &'a R,
    /// Whether the edge reports its spans itself: the binding `METRICS` is there.
    pub reports_spans: bool,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// What the exporter is told.
    pub response: Response<Vec<u8>>,
    /// What the origin is to be told, where something was stored.
    pub notification: Option<Notification>,
    /// The key whose lease is nearly spent, so that the next one is to be fetched.
    pub renew_lease: Option<Rc<KeyRecord>>,
    /// What the log is told.
    pub summary: Summary,
}

/// The one line that the log has for a request. It holds no key and no payload.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Summary {
    /// `accepted`, `partial`, `empty`, or the code of the [`Rejection`].
    pub code: &'static str,
    /// The tenant, its project and its key's id, once they are known.
    pub key: Option<(TenantId, Option<ProjectId>, KeyId)>,
    /// How many spans were stored, and how many were not, and why.
    pub verdict: Verdict,
    /// The size of the body as sent.
    pub bytes: usize,
    /// Where the spans were stored.
    pub object_key: Option<ObjectKey>,
    /// The span of this request: the trace is the exporter's, where it sent one.
    pub context: Option<TraceContext>,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What ports said, where they failed.
    pub faults: Vec<PortError>,
}

/// What steps 2 to 6 find out.
#[derive(Default)]
struct Found {
    summary: Summary,
    quota: QuotaState,
    renew_lease: Option<Rc<KeyRecord>>,
}

impl<K: KeyStore, A: AllowanceStore, O: ObjectStore, R: Runtime> Edge<'_, K, A, O, R> {
    /// Takes an export request through steps 1 to 7:
    ///
    /// 1. read its head
    /// 2. find its key, and authenticate it
    /// 3. check the tenant's monthly quotas
    /// 4. check its rate limits
    /// 5. read the body, decompress, decode and validate it
    /// 6. put the object into R2, and count what it holds
    /// 7. make the answer
    ///
    /// Step 8, the notification, is for [`crate::background`] to do once the answer is on its way.
    pub async fn ingest(&self, head: &Head, body: &mut impl Body) -> Outcome {
        let (began, caller) = (self.runtime.now(), head.caller());
        let (mut found, steps) = (Found::default(), Steps::default());
        let context = self.context(caller);
        let stored = self.store(head, body, context, &mut found, &steps).await;
        let Found { mut summary, quota, renew_lease } = found;
        summary.steps = steps.into_vec();
        summary.context = Some(context);
        // 7
        let encoding = head.answer_encoding();
        let (response, notification) = match stored {
            Ok(notification) => {
                summary.code = match &summary.verdict {
                    Verdict { accepted: 0, rejected: 0, .. } => "empty",
                    Verdict { rejected: 0, .. } => "accepted",
                    _ => "partial",
                };
                (response::accepted(&summary.verdict, &quota, encoding), notification)
            }
            Err(rejection) => {
                summary.code = rejection.code();
                summary.verdict = Verdict::default();
                summary.faults.extend(rejection.fault().cloned());
                (response::rejected(&rejection, encoding), None)
            }
        };
        summary.object_key = notification.as_ref().map(|notification| notification.object_key.clone());
        self.tell(&summary, &quota, began, caller);
        Outcome { response, notification, renew_lease, summary }
    }

    async fn store(
        &self,
        head: &Head,
        body: &mut impl Body,
        context: TraceContext,
        found: &mut Found,
        steps: &Steps,
    ) -> Result<Option<Notification>, Rejection> {
        let runtime = self.runtime;
        // 1
        let announced = request::announced(head, &self.config.body)?;
        // 2
        let key = steps.step("auth", runtime, self.authenticate(head, &mut found.summary)).await?;
        // 3, 4
        let tenant = steps.step("allowance", runtime, self.admit(&key, found)).await?;
        // 5
        let mut in_hand = self.isolate.bodies.begin(&tenant.bodies);
        let reading = request::read(body, announced.bytes, &mut in_hand, &self.config.body, runtime);
        let body = steps.step("read", runtime, reading).await?;
        let received_at = runtime.now();
        let bytes = body.len();
        found.summary.bytes = bytes;
        tenant.tenant.borrow_mut().charge(Amounts { bytes: bytes as i64, ..Amounts::default() });
        let validate = async { payload::check(body, announced, &self.config.body, &key, received_at) };
        let payload = steps.step("validate", runtime, validate).await?;
        found.summary.verdict = payload.verdict.clone();
        let spans = payload.verdict.accepted;
        if spans == 0 {
            return Ok(None);
        }
        // Before the put: what is under way is missing to those who come meanwhile.
        tenant.tenant.borrow_mut().charge(Amounts { spans: spans.into(), ..Amounts::default() });
        // 6
        let received = Received {
            at: received_at,
            trace_context: context,
            caller: head.caller(),
            edge_reports_span: self.reports_spans,
        };
        let notification = steps.step("store", runtime, self.put(payload, &key, &received)).await?;
        let month = received_at.month();
        let usage = Usage { spans: spans.into(), bytes: bytes as u64 };
        self.isolate.allowances.stored(&key, &tenant, &month, usage);
        found.quota = QuotaState::of(&key.quotas, tenant.tenant.borrow().usage(&month).unwrap_or(usage));
        let runs_low = tenant.tenant.borrow_mut().runs_low(&key.limits, runtime.now());
        found.renew_lease = runs_low.then_some(key);
        Ok(Some(notification))
    }

    async fn authenticate(&self, head: &Head, summary: &mut Summary) -> Result<Rc<KeyRecord>, Rejection> {
        let presented = auth::presented(head, self.config.allow_key_in_query)?;
        let source = KeySource {
            store: self.keys,
            cache: &self.isolate.keys,
            link: &self.isolate.key_link,
            config: &self.config.keys,
        };
        let (key, fault) = source.authenticate(&presented, head.origin(), self.runtime).await?;
        summary.key = Some((key.tenant.clone(), key.project.clone(), key.key_id.clone()));
        if fault.is_some() {
            self.isolate.telemetry.count("keys.stale", 1);
        }
        summary.faults.extend(fault);
        Ok(key)
    }

    /// Steps 3 and 4. Where the tenant's object cannot be asked, the last lease serves on; then the configuration decides.
    async fn admit(&self, key: &KeyRecord, found: &mut Found) -> Result<SharedTenant, Rejection> {
        self.isolate.limiters.check(key, self.runtime.now())?;
        let config = &self.config.allowance;
        let allowances = &self.isolate.allowances;
        let (tenant, asked) = allowances.of(key, config, self.allowances, self.runtime).await;
        let (away, now) = (asked.err(), self.runtime.now());
        // 3
        match (tenant.tenant.borrow().usage(&now.month()), &away) {
            (Some(usage), _) => quota::check(&key.quotas, usage, now)?,
            (None, Some(fault))
                if key.quotas != Quotas::default() && config.quotas_on_fault == OnFault::Closed =>
            {
                return Err(Rejection::Fault(fault.clone()));
            }
            (None, _) => {}
        }
        // 4
        let spent = tenant.tenant.borrow_mut().spend(&key.limits, now);
        match (spent, &away) {
            (Ok(()), _) => {}
            (Err(met), None) => return Err(rate_limit::rejection(met, &key.limits)),
            (Err(_), Some(fault)) if config.rates_on_fault == OnFault::Closed => {
                return Err(Rejection::Fault(fault.clone()));
            }
            (Err(_), Some(_)) => self.isolate.telemetry.count("allowance.open", 1),
        }
        found.summary.faults.extend(away);
        Ok(tenant)
    }

    async fn put(
        &self,
        payload: Payload,
        key: &KeyRecord,
        received: &Received,
    ) -> Result<Notification, Rejection> {
        let bucket = Bucket { objects: self.objects, link: &self.isolate.bucket_link, config: self.config };
        store::store(payload, key, received, &bucket, self.runtime).await
    }

    /// The context of the request's own span: below the caller's, where there is one.
    fn context(&self, caller: Option<TraceContext>) -> TraceContext {
        let span_id = random(self.runtime);
        match caller {
            Some(caller) => caller.child(span_id),
            None => {
                TraceContext { sampled: self.samples(), ..TraceContext::root(random(self.runtime), span_id) }
            }
        }
    }

    fn samples(&self) -> bool {
        let ratio = self.config.telemetry.sample_ratio;
        ratio > 0.0 && f64::from(u32::from_le_bytes(random(self.runtime))) < ratio * f64::from(u32::MAX)
    }

    /// Counts the request, and keeps its spans, for [`crate::telemetry`] to send.
    fn tell(&self, summary: &Summary, quota: &QuotaState, began: UnixMillis, caller: Option<TraceContext>) {
        if !self.reports_spans {
            return;
        }
        let telemetry = &self.isolate.telemetry;
        telemetry.count(format!("requests.{}", summary.code), 1);
        telemetry.count("spans.accepted", summary.verdict.accepted.into());
        for reason in &summary.verdict.reasons {
            telemetry.count(format!("spans.{}", reason.rejection.code()), reason.spans.into());
        }
        for repaired in &summary.verdict.repaired {
            telemetry.count(format!("spans.repaired.{}", repaired.repair.code()), repaired.spans.into());
        }
        telemetry.count("bytes", summary.bytes as u64);
        for fault in &summary.faults {
            telemetry.count(format!("faults.{}", fault.what), 1);
        }
        if let (Some(metric), Some((tenant, ..))) = (quota.warning_metric(), &summary.key) {
            telemetry.count(format!("{metric}.{tenant}"), 1);
        }
        // Nobody without a key writes to the operator's tenant.
        if let (Some(context), Some((tenant, ..))) = (summary.context, &summary.key)
            && self.config.telemetry.traces(&context, tenant)
        {
            let request = StepSpan {
                context,
                parent_span_id: caller.map(|caller| caller.span_id_hex()),
                name: "ingest".to_owned(),
                is_request: true,
                began,
                ended: self.runtime.now(),
                failed: !summary.faults.is_empty(),
                attributes: attributes(summary),
            };
            telemetry.trace(request, &summary.steps, self.runtime);
        }
    }
}

/// What a request's span says, beyond its times.
fn attributes(summary: &Summary) -> BTreeMap<String, String> {
    let key = summary.key.as_ref();
    let known = [
        ("spillway.outcome", Some(summary.code.to_owned())),
        ("spillway.tenant", key.map(|(tenant, ..)| tenant.to_string())),
        ("spillway.key_id", key.map(|(.., key_id)| key_id.to_string())),
        ("spillway.spans.accepted", Some(summary.verdict.accepted.to_string())),
        ("spillway.spans.rejected", Some(summary.verdict.rejected.to_string())),
        ("spillway.object_key", summary.object_key.as_ref().map(ObjectKey::to_string)),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Steps 5 to 7 for an export that came from the edge itself: the side of [`crate::operator`].
pub async fn ingest_own<O: ObjectStore, R: Runtime>(
    export: Vec<u8>,
    key: &KeyRecord,
    config: &Config,
    bucket: &Bucket<'_, O>,
    runtime: &R,
) -> Result<Option<Notification>, Rejection> {
    use spillway_proto::otlp::{Compression, Encoding};
    let announced =
        Announced { bytes: None, encoding: Encoding::Protobuf, compression: Compression::Identity };
    let at = runtime.now();
    let payload = payload::check(export, announced, &config.body, key, at)?;
    if payload.verdict.accepted == 0 {
        return Ok(None);
    }
    let trace_context = TraceContext::root(random(runtime), random(runtime));
    let received = Received { at, trace_context, caller: None, edge_reports_span: true };
    store::store(payload, key, &received, bucket, runtime).await.map(Some)
}
