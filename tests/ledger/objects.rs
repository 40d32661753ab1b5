//! Objects as the edge would notify them, at times that a test chooses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use origin_consumer::queue::ClaimLimits;
use spillway_proto::notification::Notification;
use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, ObjectKey, Sha256Digest, TenantId, UnixMillis};

/// After the ledgers of the tests were made, which is by the machine's clock. 40 s into its minute.
pub const NOW: UnixMillis = UnixMillis(4_000_000_000_000);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const LEASE: Duration = Duration::from_secs(30);
/// What waits is given out at once.
pub const LIMITS: ClaimLimits =
    ClaimLimits { objects: 10, spans: 100, bytes: 1_000, delay: Duration::ZERO, lease: LEASE };

/// So many milliseconds after [`NOW`].
pub fn at(millis: u64) -> UnixMillis {
    UnixMillis(NOW.0 + millis)
}

/// An object in the making.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    text: &'a str,
    tenant: &'a str,
    spans: u32,
    bytes: u64,
    received_at: UnixMillis,
    project: Option<&'a str>,
    rejected: Option<u32>,
}

/// One with this body. The same body and tenant once more is a resend.
pub fn body(text: &str) -> Body<'_> {
    Body { text, tenant: "acme", spans: 1, bytes: 10, received_at: NOW, project: None, rejected: Some(0) }
}

/// The usual one with this body.
pub fn object(text: &str) -> Notification {
    body(text).object()
}

impl<'a> Body<'a> {
    pub fn of(self, tenant: &'a str) -> Self {
        Self { tenant, ..self }
    }

    pub fn spans(self, spans: u32) -> Self {
        Self { spans, ..self }
    }

    pub fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    pub fn received(self, received_at: UnixMillis) -> Self {
        Self { received_at, ..self }
    }

    pub fn of_project(self, project: &'a str) -> Self {
        Self { project: Some(project), ..self }
    }

    /// So many spans of its request were rejected. None: an edge of the version before has named it, and did not tell.
    pub fn rejected(self, rejected: Option<u32>) -> Self {
        Self { rejected, ..self }
    }

    /// Another one each time.
    pub fn object(self) -> Notification {
        static MADE: AtomicU64 = AtomicU64::new(0);
        self.object_with(MADE.fetch_add(1, Ordering::Relaxed).into())
    }

    /// The one whose key has `random` in it.
    pub fn object_with(self, random: u128) -> Notification {
        let tenant: TenantId = self.tenant.parse().unwrap();
        let sha256 = Sha256Digest::of(self.text.as_bytes());
        let project = self.project.map(|project| project.parse().unwrap());
        let previous_id = ObjectId::of_first_version(&tenant, &sha256);
        let id = match self.rejected {
            Some(_) => ObjectId::new(&tenant, project.as_ref(), self.text.as_bytes()),
            None => previous_id,
        };
        Notification {
            object_key: ObjectKey::new(self.received_at, random, id, self.spans),
            tenant,
            bytes: self.bytes,
            payload_bytes: self.bytes,
            previous_id: self.rejected.map(|_| previous_id),
            rejected_spans: self.rejected,
            sha256,
            received_at_unix_ms: self.received_at,
            stored_at_unix_ms: self.received_at,
            trace_context: TraceContext::root([1; 16], [2; 8]),
            parent_span_id: None,
            edge_reports_span: false,
        }
    }
}
