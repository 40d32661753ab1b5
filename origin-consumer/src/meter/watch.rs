//! Watches for missing notifications, and says so: in the log, and as a metric.

use std::sync::Arc;
use std::time::Duration;

use spillway_proto::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::{Alert, Cause};
use crate::metrics::Metrics;
use crate::queue::{IntakeCount, Queue, QueueError};
use crate::rounds::{Rounds, repeat};
use crate::time::now;

const INTERVAL: Duration = Duration::from_secs(5);

/// The watch; each origin has one.
pub struct Watch {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    grace: Duration,
    said: Option<Cause>,
}

impl Watch {
    /// A watch over what `queue` knows. `metrics` tells which notifications have reached this origin, and shows the alert;
    /// `grace` is how long a notification may take (`sweep.grace_seconds`).
    pub fn new(queue: Arc<Queue>, metrics: Arc<Metrics>, grace: Duration) -> Self {
        Self { queue, metrics, grace, said: None }
    }

    /// Watches until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        repeat(&mut self, INTERVAL, &stop).await;
    }

    /// For the other processes that ask for the cause.
    async fn note_arrivals(&self, now: UnixMillis) -> Result<(), QueueError> {
        let unnoted = self.metrics.take_unnoted();
        if unnoted.is_empty() {
            return Ok(());
        }
        let count = |(outcome, notifications): (&&str, &u64)| IntakeCount {
            outcome: (*outcome).to_owned(),
            notifications: *notifications,
        };
        let noted = self.queue.count_intake(now, unnoted.iter().map(count).collect()).await;
        if noted.is_err() {
            self.metrics.give_back_unnoted(unnoted);
        }
        noted
    }
}

impl Rounds for Watch {
    const WHAT: &'static str = "a round of the loss meter";
    type Error = QueueError;

    async fn round(&mut self) -> Result<(), QueueError> {
        let now = now();
        self.queue.note_use(now).await?;
        self.note_arrivals(now).await?;
        let alert = Alert::read(&self.queue, self.grace, now).await?;
        self.metrics.notifications_missing(alert.as_ref());
        let cause = alert.as_ref().map(|alert| alert.cause);
        match &alert {
            Some(alert) if cause != self.said => tracing::error!(
                objects = alert.objects,
                not_notified = alert.not_notified,
                since = alert.since,
                cause = ?alert.cause,
                "notifications are missing: {}",
                alert.meaning
            ),
            None if self.said.is_some() => tracing::info!("notifications arrive again"),
            _ => {}
        }
        self.said = cause;
        Ok(())
    }
}
