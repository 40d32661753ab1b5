//! Watches for missing notifications, and says so: in the log, and as a metric.

use std::sync::Arc;
use std::time::Duration;

use spillway_proto::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::{Alert, Cause};
use crate::metrics::Metrics;
use crate::panics::caught;
use crate::queue::{IntakeCount, Queue, QueueError, RouteStep};
use crate::route::{Canaries, Routes, latest_change};
use crate::time::{now, ticks};

const INTERVAL: Duration = Duration::from_secs(5);

/// The watch; each origin has one.
pub struct Watch {
    /// The ledger.
    pub queue: Arc<Queue>,
    /// Which notifications have reached this origin, and where the alert is shown.
    pub metrics: Arc<Metrics>,
    /// By which ways they have come.
    pub routes: Arc<Routes>,
    /// The edge's canaries.
    pub canaries: Arc<Canaries>,
    /// How long a notification may take (`sweep.grace_seconds`).
    pub grace: Duration,
}

impl Watch {
    /// Watches until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut said = None;
        let mut ticks = ticks(INTERVAL);
        let forever = async {
            loop {
                ticks.tick().await;
                if let Some(Err(error)) = caught("a round of the loss meter", self.round(&mut said)).await {
                    tracing::warn!(%error, "the loss meter cannot be read");
                }
            }
        };
        stop.run_until_cancelled(forever).await;
    }

    async fn round(&self, said: &mut Option<Cause>) -> Result<(), QueueError> {
        let now = now();
        self.note_arrivals(now).await?;
        self.note_routes(now).await?;
        self.note_canaries(now).await?;
        let alert = Alert::read(&self.queue, self.grace, now).await?;
        self.metrics.notifications_missing(alert.as_ref());
        let cause = alert.as_ref().map(|alert| alert.cause);
        match &alert {
            Some(alert) if cause != *said => tracing::error!(
                objects = alert.objects,
                not_notified = alert.not_notified,
                since = alert.since,
                cause = ?alert.cause,
                "notifications are missing: {}",
                alert.meaning
            ),
            None if said.is_some() => tracing::info!("notifications arrive again"),
            _ => {}
        }
        *said = cause;
        Ok(())
    }

    /// Whether notifications come by another way than before. What is not noted because the ledger fails comes again with the
    /// next ones.
    async fn note_routes(&self, now: UnixMillis) -> Result<(), QueueError> {
        let seen = self.routes.take();
        if !seen.is_empty() {
            let steps = self.queue.note_routes(seen, now).await?;
            self.metrics.route_changes(steps.len());
            for RouteStep { carried, from, to } in steps {
                tracing::error!(
                    carried,
                    from,
                    to,
                    "spillway_route_changed: notifications come by another way than before"
                );
            }
        }
        self.metrics.route_changed(latest_change(&self.queue, now).await?.is_some());
        Ok(())
    }

    async fn note_canaries(&self, now: UnixMillis) -> Result<(), QueueError> {
        self.canaries.settle(&self.queue).await?;
        let (sent, stored) = self.queue.canary().await?;
        let age = |at: UnixMillis| Duration::from_millis(now.0.saturating_sub(at.0));
        self.metrics.canary(sent.map(age), stored.map(age));
        Ok(())
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
