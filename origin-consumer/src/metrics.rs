//! What is counted, as Prometheus reads it. The names and their meanings are listed in the README.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::queue::Depth;

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
    /// Objects of it were set aside; the others wait again.
    Poisoned,
    /// Something outside failed; it is tried again.
    Failed,
    /// Another consumer has it by now.
    LeaseLost,
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
struct State {
    state: &'static str,
}

/// All of them; cheap to share behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    notifications: Family<OfNotification, Counter>,
    queue_pulls: Family<OfPull, Counter>,
    queue_pull_backlog: Gauge,
    batches: Family<OfBatch, Counter>,
    objects_swept: Counter,
    spans_stored: Counter,
    objects_dead: Counter,
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
            objects_dead: Counter::default(),
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
        registry.register("objects_dead", "Objects that were set aside", metrics.objects_dead.clone());
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
    }

    pub(crate) fn queue_pull(&self, outcome: PullOutcome) {
        self.queue_pulls.get_or_create(&OfPull { outcome }).inc();
    }

    pub(crate) fn queue_pull_backlog(&self, messages: u64) {
        self.queue_pull_backlog.set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    pub(crate) fn batch(&self, outcome: BatchOutcome) {
        self.batches.get_or_create(&OfBatch { outcome }).inc();
    }

    pub(crate) fn stored(&self, spans: u64, insert_seconds: f64) {
        self.spans_stored.inc_by(spans);
        self.insert_seconds.observe(insert_seconds);
    }

    pub(crate) fn delay(&self, seconds: f64) {
        self.delay_seconds.observe(seconds);
    }

    pub(crate) fn swept(&self) {
        self.objects_swept.inc();
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
            self.queue_objects
                .get_or_create(&State { state })
                .set(i64::try_from(objects).unwrap_or(i64::MAX));
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
