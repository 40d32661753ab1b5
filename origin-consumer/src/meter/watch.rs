//! Watches for missing notifications, and says so: in the log, and as a metric.

use std::sync::Arc;
use std::time::Duration;

use spillway_proto::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::{Alert, Cause};
use crate::metrics::Metrics;
use crate::queue::{IntakeCount, Queue, QueueError, RouteStep};
use crate::rounds::{Rounds, repeat};
use crate::route::{Canaries, Routes, latest_change};
use crate::time::now;

const INTERVAL: Duration = Duration::from_secs(5);

/// What has reached this origin.
pub struct Arrivals {
    /// Which notifications, and where the alert is shown.
    pub metrics: Arc<Metrics>,
    /// By which ways they have come.
    pub routes: Arc<Routes>,
    /// The edge's canaries.
    pub canaries: Arc<Canaries>,
}

/// The watch; each origin has one.
pub struct Watch {
    queue: Arc<Queue>,
    arrivals: Arrivals,
    grace: Duration,
    said: Option<Cause>,
}

impl Watch {
    /// A watch over what `queue` knows. `grace` is how long a notification may take (`sweep.grace_seconds`).
    pub fn new(queue: Arc<Queue>, arrivals: Arrivals, grace: Duration) -> Self {
        Self { queue, arrivals, grace, said: None }
    }

    /// Watches until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        repeat(&mut self, INTERVAL, &stop).await;
    }

    /// Whether notifications come by another way than before. What is not noted because the ledger fails comes again with the
    /// next ones.
    async fn note_routes(&self, now: UnixMillis) -> Result<(), QueueError> {
        let seen = self.arrivals.routes.take();
        if !seen.is_empty() {
            let steps = self.queue.note_routes(seen, now).await?;
            self.arrivals.metrics.route_changes(steps.len());
            for RouteStep { carried, from, to } in steps {
                tracing::error!(
                    carried,
                    from,
                    to,
                    "spillway_route_changed: notifications come by another way than before"
                );
            }
        }
        self.arrivals.metrics.route_changed(latest_change(&self.queue, now).await?.is_some());
        Ok(())
    }

    async fn note_canaries(&self, now: UnixMillis) -> Result<(), QueueError> {
        self.arrivals.canaries.settle(&self.queue).await?;
        let (sent, stored) = self.queue.canary().await?;
        // Where none ever came, nothing else would tell so.
        let age = |at: Option<UnixMillis>| {
            Duration::from_millis(now.0.saturating_sub(at.unwrap_or(self.queue.made_at()).0))
        };
        self.arrivals.metrics.canary(age(sent), age(stored));
        Ok(())
    }

    /// For the other processes that ask for the cause.
    async fn note_arrivals(&self, now: UnixMillis) -> Result<(), QueueError> {
        let unnoted = self.arrivals.metrics.take_unnoted();
        if unnoted.is_empty() {
            return Ok(());
        }
        let count = |(outcome, notifications): (&&str, &u64)| IntakeCount {
            outcome: (*outcome).to_owned(),
            notifications: *notifications,
        };
        let noted = self.queue.count_intake(now, unnoted.iter().map(count).collect()).await;
        if noted.is_err() {
            self.arrivals.metrics.give_back_unnoted(unnoted);
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
        self.note_routes(now).await?;
        self.note_canaries(now).await?;
        let alert = Alert::read(&self.queue, self.grace, now).await?;
        self.arrivals.metrics.notifications_missing(alert.as_ref());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueConfig;

    fn age(metrics: &Metrics, step: &str) -> f64 {
        let (text, line) = (metrics.text(), format!("spillway_canary_age_seconds{{step=\"{step}\"}} "));
        let value = text.lines().find_map(|text| text.strip_prefix(&line));
        value.expect("it is always there").parse().unwrap()
    }

    #[tokio::test]
    async fn where_no_canary_ever_came_its_age_is_that_of_the_ledger() {
        let config = QueueConfig { url: "sqlite::memory:".into(), ..QueueConfig::default() };
        let queue = Arc::new(Queue::open(&config).await.unwrap());
        let arrivals = Arrivals { metrics: Arc::default(), routes: Arc::default(), canaries: Arc::default() };
        let watch = Watch::new(Arc::clone(&queue), arrivals, Duration::from_secs(60));
        let metrics = &watch.arrivals.metrics;
        let later = |seconds: u64| UnixMillis(queue.made_at().0 + 1000 * seconds);

        watch.note_canaries(later(0)).await.unwrap();
        assert_eq!((age(metrics, "sent"), age(metrics, "stored")), (0.0, 0.0));
        watch.note_canaries(later(1000)).await.unwrap();
        assert_eq!((age(metrics, "sent"), age(metrics, "stored")), (1000.0, 1000.0));
        queue.note_canary(Some(later(990)), None).await.unwrap();
        watch.note_canaries(later(1000)).await.unwrap();
        assert_eq!((age(metrics, "sent"), age(metrics, "stored")), (10.0, 1000.0));
    }
}
