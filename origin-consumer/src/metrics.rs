//! What is counted, as Prometheus reads it. The names and their meanings are listed in docs/operations.md.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use spillway_proto::UnixMillis;

use crate::meter::{Alert, Cause, Spans};
use crate::queue::{Depth, Finding};
use crate::route::Carried;

/// What brought a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A request of the edge.
    Http,
    /// A Cloudflare Queue.
    Queue,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Queue => "queue",
        }
    }
}

/// What became of a request to the origin's notification endpoint, or of a message of the Cloudflare Queue. Every one has
/// exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum NotificationOutcome {
    /// Taken: the object waits to be stored.
    Enqueued,
    /// Taken: the object was known already.
    Known,
    /// Taken: the object is an exporter's resend of another.
    Resend,
    /// Refused: not signed with an accepted key.
    BadSignature,
    /// Refused: signed too long ago.
    Expired,
    /// Refused: no notification, though well signed.
    Malformed,
    /// Refused: larger than any notification.
    TooLarge,
    /// Refused: the body broke off.
    Unreadable,
    /// Refused: an exporter's request, which belongs to the edge.
    NotANotification,
    /// Refused for now: the queue did not take it.
    QueueUnavailable,
    /// Refused for now: as many objects wait as may.
    QueueFull,
}

impl NotificationOutcome {
    /// Its stable name, in answers and in the ledger.
    pub fn code(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Known => "known",
            Self::Resend => "resend",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::NotANotification => "not_a_notification",
            Self::QueueUnavailable => "queue_unavailable",
            Self::QueueFull => "queue_full",
        }
    }
}

/// What became of a pull from the Cloudflare Queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum PullOutcome {
    /// It brought nothing.
    Empty,
    /// It brought messages, and all of them were acknowledged.
    Taken,
    /// The own queue did not take all that it brought; those were given back.
    Postponed,
    /// What it brought was taken, and the acknowledgement failed: all of it comes again.
    Unacknowledged,
    /// Refused: the token may not do this.
    Refused,
    /// Refused for now: too many requests.
    RateLimited,
    /// It failed in another way.
    Failed,
}

/// What became of a try to store a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum BatchOutcome {
    /// In ClickHouse, and acknowledged.
    Stored,
    /// Objects of it were taken out: to be tried again later, or dead.
    SetBack,
    /// It was made two: one of its objects may be what kept all of it from being stored.
    Split,
    /// Something outside failed; it is tried again.
    Failed,
    /// Another consumer has it by now.
    LeaseLost,
    /// Inserts were paused; it is tried again.
    PutOff,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfNotification {
    outcome: NotificationOutcome,
    transport: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPull {
    outcome: PullOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBatch {
    outcome: BatchOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAudit {
    finding: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAlert {
    cause: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    carried: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCanary {
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMeter {
    kind: &'static str,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRepair {
    repair: &'static str,
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Tenants that a counter names by themselves; all others share one time series.
const MAX_NAMED_TENANTS: usize = 100;
/// No tenant's name holds a space.
const OTHER_TENANTS: &str = "all others";

/// All of them; cheap to share behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    /// Notifications by outcome that were not yet noted in the ledger.
    unnoted: Mutex<BTreeMap<&'static str, u64>>,
    notifications: Family<OfNotification, Counter>,
    queue_pulls: Family<OfPull, Counter>,
    queue_pull_backlog: Gauge,
    batches: Family<OfBatch, Counter>,
    objects_swept: Counter,
    spans_stored: Counter,
    spans_repaired: Family<OfRepair, Counter>,
    /// The tenants that `spans_repaired` names.
    repaired_tenants: Mutex<BTreeSet<String>>,
    batch_spans: Histogram,
    payload_in_work: Gauge,
    objects_dead: Counter,
    objects_audited: Family<OfAudit, Counter>,
    objects_expired: Counter,
    swept_until_seconds: Gauge<f64, AtomicU64>,
    notifications_missing: Family<OfAlert, Gauge>,
    meter_spans: Family<OfMeter, Gauge>,
    routes: Family<OfRoute, Counter>,
    route_changes: Counter,
    route_changed: Gauge,
    canary_age_seconds: Family<OfCanary, Gauge<f64, AtomicU64>>,
    insert_seconds: Histogram,
    delay_seconds: Histogram,
    queue_objects: Family<State, Gauge>,
    spans_not_exported: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("spillway");
        let buckets = || Histogram::new(exponential_buckets(0.005, 2.0, 16));
        let metrics = Self {
            notifications: Family::default(),
            queue_pulls: Family::default(),
            queue_pull_backlog: Gauge::default(),
            batches: Family::default(),
            objects_swept: Counter::default(),
            spans_stored: Counter::default(),
            spans_repaired: Family::default(),
            repaired_tenants: Mutex::default(),
            batch_spans: Histogram::new(exponential_buckets(1.0, 4.0, 11)),
            payload_in_work: Gauge::default(),
            objects_dead: Counter::default(),
            objects_audited: Family::default(),
            objects_expired: Counter::default(),
            swept_until_seconds: Gauge::default(),
            notifications_missing: Family::default(),
            meter_spans: Family::default(),
            routes: Family::default(),
            route_changes: Counter::default(),
            route_changed: Gauge::default(),
            canary_age_seconds: Family::default(),
            unnoted: Mutex::default(),
            insert_seconds: buckets(),
            delay_seconds: buckets(),
            queue_objects: Family::default(),
            spans_not_exported: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "notifications",
            "Notifications by what became of them",
            metrics.notifications.clone(),
        );
        registry.register(
            "queue_pulls",
            "Pulls from the Cloudflare Queue by what became of them",
            metrics.queue_pulls.clone(),
        );
        registry.register(
            "queue_pull_backlog",
            "Messages in the Cloudflare Queue at the last pull that succeeded",
            metrics.queue_pull_backlog.clone(),
        );
        registry.register(
            "batches",
            "Tries to store a batch by what became of them",
            metrics.batches.clone(),
        );
        registry.register(
            "objects_swept",
            "Objects that the sweep found, since no notification had come",
            metrics.objects_swept.clone(),
        );
        registry.register("spans_stored", "Spans stored in ClickHouse", metrics.spans_stored.clone());
        registry.register(
            "spans_repaired",
            "Spans stored that were repaired, by repair and tenant; the first hundred tenants are named",
            metrics.spans_repaired.clone(),
        );
        registry.register("batch_spans", "Spans of a batch that was stored", metrics.batch_spans.clone());
        registry.register_with_unit(
            "payload_in_work",
            "Payload, decompressed, of the batches that are fetched, decoded or inserted",
            Unit::Bytes,
            metrics.payload_in_work.clone(),
        );
        registry.register("objects_dead", "Objects that were set aside", metrics.objects_dead.clone());
        registry.register(
            "objects_audited",
            "Objects that were looked for in ClickHouse once more, by what was found",
            metrics.objects_audited.clone(),
        );
        registry.register(
            "objects_expired",
            "Audited objects that were deleted from the bucket",
            metrics.objects_expired.clone(),
        );
        registry.register_with_unit(
            "sweep_looked_until",
            "Every object that was received before, and is visible, is known: a Unix time",
            Unit::Seconds,
            metrics.swept_until_seconds.clone(),
        );
        registry.register(
            "notifications_missing",
            "The alert: objects of the last five minutes that were accepted without a notification, by the likely cause",
            metrics.notifications_missing.clone(),
        );
        registry.register(
            "meter_spans",
            "The loss meter: spans that were received in the last hour, by what became of them and by tenant",
            metrics.meter_spans.clone(),
        );
        registry.register(
            "notifications_by_route",
            "Notifications and canaries that were believed, by the way that their headers tell of",
            metrics.routes.clone(),
        );
        registry.register(
            "route_changes",
            "How often notifications were seen to come by another way than before",
            metrics.route_changes.clone(),
        );
        registry.register(
            "route_changed",
            "The alert: 1 where notifications came by another way than before within the last hour",
            metrics.route_changed.clone(),
        );
        registry.register_with_unit(
            "canary_age",
            "Time since the last canary was sent, and since the last one that is stored was received; since the ledger was made, where there was none",
            Unit::Seconds,
            metrics.canary_age_seconds.clone(),
        );
        registry.register_with_unit(
            "insert",
            "Time of storing a batch in ClickHouse",
            Unit::Seconds,
            metrics.insert_seconds.clone(),
        );
        registry.register_with_unit(
            "delay",
            "Time from an object's receipt at the edge to its acknowledgement",
            Unit::Seconds,
            metrics.delay_seconds.clone(),
        );
        registry.register("queue_objects", "Objects in the queue by state", metrics.queue_objects.clone());
        registry.register(
            "own_spans_dropped",
            "Spans about Spillway's own work that could not be exported",
            metrics.spans_not_exported.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl Metrics {
    pub(crate) fn notification(&self, transport: Transport, outcome: NotificationOutcome) {
        self.notifications.get_or_create(&OfNotification { outcome, transport: transport.name() }).inc();
        *self.unnoted().entry(outcome.code()).or_default() += 1;
    }

    /// What became of the notifications since this was last asked.
    pub(crate) fn take_unnoted(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut *self.unnoted())
    }

    /// The ledger did not take them.
    pub(crate) fn give_back_unnoted(&self, counts: BTreeMap<&'static str, u64>) {
        let mut unnoted = self.unnoted();
        for (outcome, count) in counts {
            *unnoted.entry(outcome).or_default() += count;
        }
    }

    fn unnoted(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.unnoted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queue_pull(&self, outcome: PullOutcome) {
        self.queue_pulls.get_or_create(&OfPull { outcome }).inc();
    }

    pub(crate) fn queue_pull_backlog(&self, messages: u64) {
        self.queue_pull_backlog.set(gauge_of(messages));
    }

    pub(crate) fn batch(&self, outcome: BatchOutcome) {
        self.batches.get_or_create(&OfBatch { outcome }).inc();
    }

    pub(crate) fn stored(&self, spans: u64, insert_seconds: f64) {
        self.spans_stored.inc_by(spans);
        self.batch_spans.observe(spans as f64);
        self.insert_seconds.observe(insert_seconds);
    }

    /// Counts repairs of stored spans, by tenant and code.
    pub(crate) fn repaired(&self, repaired: &BTreeMap<(String, &'static str), u64>) {
        for ((tenant, repair), spans) in repaired {
            let of = OfRepair { repair, tenant: self.named_tenant(tenant) };
            self.spans_repaired.get_or_create(&of).inc_by(*spans);
        }
    }

    /// The tenant's name, while there is room for it: each name is a time series.
    fn named_tenant(&self, tenant: &str) -> String {
        let mut named = self.repaired_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < MAX_NAMED_TENANTS {
            named.insert(tenant.to_owned());
        }
        if named.contains(tenant) { tenant.to_owned() } else { OTHER_TENANTS.to_owned() }
    }

    /// A batch of so many bytes is begun.
    pub(crate) fn payload_taken(&self, bytes: u64) {
        self.payload_in_work.inc_by(gauge_of(bytes));
    }

    /// It has ended.
    pub(crate) fn payload_given_back(&self, bytes: u64) {
        self.payload_in_work.dec_by(gauge_of(bytes));
    }

    pub(crate) fn delay(&self, seconds: f64) {
        self.delay_seconds.observe(seconds);
    }

    pub(crate) fn swept(&self, objects: usize) {
        self.objects_swept.inc_by(objects as u64);
    }

    pub(crate) fn audited(&self, finding: Finding) {
        self.objects_audited.get_or_create(&OfAudit { finding: finding.name() }).inc();
    }

    pub(crate) fn expired(&self, objects: usize) {
        self.objects_expired.inc_by(objects as u64);
    }

    /// Shows the alert, and no other: a cause that has passed is 0.
    pub(crate) fn notifications_missing(&self, alert: Option<&Alert>) {
        for cause in Cause::ALL {
            let missing = alert.filter(|alert| alert.cause == cause).map_or(0, |alert| alert.not_notified);
            let gauge = self.notifications_missing.get_or_create(&OfAlert { cause: cause.code() });
            gauge.set(gauge_of(missing));
        }
    }

    pub(crate) fn route(&self, carried: Carried, route: String) {
        self.routes.get_or_create(&OfRoute { carried: carried.name(), route }).inc();
    }

    pub(crate) fn route_changes(&self, steps: usize) {
        self.route_changes.inc_by(steps as u64);
    }

    pub(crate) fn route_changed(&self, changed: bool) {
        self.route_changed.set(i64::from(changed));
    }

    /// How long ago the last canary was sent, and the last one that is stored was received; how long none was, where there
    /// has been none.
    pub(crate) fn canary(&self, sent: Duration, stored: Duration) {
        for (step, age) in [("sent", sent), ("stored", stored)] {
            self.canary_age_seconds.get_or_create(&OfCanary { step }).set(age.as_secs_f64());
        }
    }

    /// Shows the sums of the tenants, and no others.
    pub(crate) fn meter(&self, by_tenant: &BTreeMap<String, Spans>) {
        self.meter_spans.clear();
        for (tenant, spans) in by_tenant {
            for (kind, spans) in spans.by_kind() {
                let of = OfMeter { kind, tenant: tenant.clone() };
                self.meter_spans.get_or_create(&of).set(gauge_of(spans));
            }
        }
    }

    pub(crate) fn looked(&self, at: UnixMillis) {
        self.swept_until_seconds.set(at.0 as f64 / 1000.0);
    }

    pub(crate) fn dead(&self, objects: usize) {
        self.objects_dead.inc_by(objects as u64);
    }

    pub(crate) fn own_spans_dropped(&self, spans: usize) {
        self.spans_not_exported.inc_by(spans as u64);
    }

    pub(crate) fn queue_depth(&self, depth: Depth) {
        for (state, objects) in [("pending", depth.pending), ("batched", depth.batched), ("dead", depth.dead)]
        {
            self.queue_objects.get_or_create(&State { state }).set(gauge_of(objects));
        }
    }

    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn gauge_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
