//! The pipeline: what happens to a request, step by step.

use http::Response;
use spillway_proto::api_key::KeyRecord;
use spillway_proto::notification::Notification;
use spillway_proto::otlp::Verdict;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{KeyId, ObjectId, TenantId};

use crate::auth::{self, PresentedKey};
use crate::config::Config;
use crate::ports::{Body, KeyStore, ObjectStore, PortError, Runtime, UsageCounter, random};
use crate::rate_limit::RateLimiters;
use crate::reject::Rejection;
use crate::request::{self, Head};
use crate::store::{self, Received};
use crate::{payload, quota, response};

/// The edge: its configuration, what it remembers, and the world around it.
pub struct Edge<'a, K, U, O, R> {
    /// What it was told.
    pub config: &'a Config,
    /// The rate limiters of the isolate.
    pub limiters: &'a RateLimiters,
    /// The key records.
    pub keys: &'a K,
    /// The monthly counts.
    pub usage: &'a U,
    /// R2.
    pub objects: &'a O,
    /// Clock and chance.
    pub runtime: &'a R,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// What the exporter is told.
    pub response: Response<Vec<u8>>,
    /// What the origin is to be told, where something was stored.
    pub notification: Option<Notification>,
    /// What the log is told.
    pub summary: Summary,
}

/// The one line that the log has for a request. It holds no key and no payload.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `accepted`, `partial`, `empty`, or the code of the [`Rejection`].
    pub code: &'static str,
    /// The tenant and its key's id, once they are known.
    pub key: Option<(TenantId, KeyId)>,
    /// How many spans were stored, and how many were not.
    pub verdict: Verdict,
    /// What a port said, where one failed.
    pub faults: Vec<PortError>,
}

impl<K: KeyStore, U: UsageCounter, O: ObjectStore, R: Runtime> Edge<'_, K, U, O, R> {
    /// Takes a request through steps 1 to 7:
    ///
    /// 1. read it, and bound its body
    /// 2. find its key, and authenticate it
    /// 3. check the tenant's monthly quota
    /// 4. check the key's rate limit
    /// 5. decompress, decode and validate the payload
    /// 6. put the object into R2, and count its spans
    /// 7. make the answer
    ///
    /// Step 8, the notification ([`crate::notify::notify`]), is for the caller to do once the answer is on its way.
    pub async fn ingest(&self, head: &Head, body: &mut impl Body) -> Outcome {
        let mut summary = Summary::default();
        let stored = self.store(head, body, &mut summary).await;
        let encoding = head.answer_encoding();
        // 7
        match stored {
            Ok(notification) => {
                summary.code = match summary.verdict {
                    Verdict { accepted: 0, rejected: 0, .. } => "empty",
                    Verdict { rejected: 0, .. } => "accepted",
                    _ => "partial",
                };
                Outcome { response: response::accepted(&summary.verdict, encoding), notification, summary }
            }
            Err(rejection) => {
                summary.code = rejection.code();
                summary.verdict = Verdict::default();
                let response = response::rejected(&rejection, encoding);
                if let Rejection::Fault(fault) | Rejection::BodyUnreadable(fault) = rejection {
                    summary.faults.push(fault);
                }
                Outcome { response, notification: None, summary }
            }
        }
    }

    async fn store(
        &self,
        head: &Head,
        body: &mut impl Body,
        summary: &mut Summary,
    ) -> Result<Option<Notification>, Rejection> {
        // 1
        let request = request::read(head, body, self.config.max_body_bytes).await?;
        let received_at = self.runtime.now();
        // 2
        let presented =
            PresentedKey::find(head, self.config.allow_key_in_query).ok_or(Rejection::MissingKey)?;
        let key = auth::authenticate(&presented, self.keys).await?;
        summary.key = Some((key.tenant.clone(), key.key_id.clone()));
        // 3
        quota::check(&key, self.usage, received_at).await?;
        // 4
        self.limiters.check(&key, self.runtime.now())?;
        // 5
        let caller = request.caller;
        let object_id = ObjectId::of(&key.tenant, &request.body);
        let payload = payload::check(request, self.config.decompress)?;
        summary.verdict = payload.verdict;
        if payload.verdict.accepted == 0 {
            return Ok(None);
        }
        // 6
        let received =
            Received { at: received_at, object_id, trace_context: self.span_below(caller), caller };
        let notification = store::store(payload, &key, &received, self.objects, self.runtime).await?;
        self.count(&key, &notification, summary).await;
        Ok(Some(notification))
    }

    /// The spans are stored, so a counter that does not answer must not make the exporter send them again.
    async fn count(&self, key: &KeyRecord, stored: &Notification, summary: &mut Summary) {
        if key.spans_per_month.is_none() {
            return;
        }
        let month = stored.received_at_unix_ms.month();
        if let Err(fault) = self.usage.add(&key.tenant, &month, stored.object_key.spans()).await {
            summary.faults.push(fault);
        }
    }

    fn span_below(&self, caller: Option<TraceContext>) -> TraceContext {
        let span_id = random(self.runtime);
        match caller {
            Some(caller) => caller.child(span_id),
            None => TraceContext::root(random(self.runtime), span_id),
        }
    }
}
