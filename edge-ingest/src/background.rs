//! What runs after the answer: the notification (step 8), the next lease, and about once a second one round that settles what
//! was stored and sends what there is to tell.

use futures_util::join;
use spillway_proto::UnixMillis;
use spillway_proto::key_record::KeyRecord;
use spillway_proto::notification::Notification;

use crate::config::Config;
use crate::ingest::{Edge, Outcome};
use crate::isolate::Isolate;
use crate::notify::{Notified, notify};
use crate::ports::{AllowanceStore, KeyStore, MetricsSink, Notifier, ObjectStore, PortError, Runtime};
use crate::steps::Step;
use crate::telemetry::StepSpan;

/// The world that the background works on.
pub struct Background<'a, A, N, M, R> {
    /// What the edge was told.
    pub config: &'a Config,
    /// What its isolate remembers.
    pub isolate: &'a Isolate,
    /// The tenants' allowances.
    pub allowances: &'a A,
    /// The ways to the origin.
    pub notifier: &'a N,
    /// The binding `METRICS`, if it is there.
    pub metrics: Option<&'a M>,
    /// Clock and chance.
    pub runtime: &'a R,
}

/// What the background has to log.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    /// How the notification fared, where there was one.
    pub notified: Option<Notified>,
    /// What else failed.
    pub faults: Vec<PortError>,
}

impl<A: AllowanceStore, N: Notifier, M: MetricsSink, R: Runtime> Background<'_, A, N, M, R> {
    /// Does what `outcome` has left to do, all of it side by side: the runtime ends it after 30 s, and an origin that hangs must
    /// not keep what was stored from being settled.
    pub async fn run(&self, outcome: &mut Outcome) -> Report {
        let (notification, key) = (outcome.notification.take(), outcome.renew_lease.take());
        let (notified, renewed, faults) =
            join!(self.notify(notification.as_ref()), self.renew(key.as_deref()), self.round());
        Report { notified, faults: renewed.err().into_iter().chain(faults).collect() }
    }

    /// Step 8.
    async fn notify(&self, notification: Option<&Notification>) -> Option<Notified> {
        let notification = notification?;
        let (links, began) = (&self.isolate.notify_links, self.runtime.now());
        let notified = notify(notification, &self.config.notify, links, self.notifier, self.runtime).await;
        self.tell(notification, &notified, began);
        Some(notified)
    }

    async fn renew(&self, key: Option<&KeyRecord>) -> Result<(), PortError> {
        let Some(key) = key else { return Ok(()) };
        let config = &self.config.allowance;
        self.isolate.allowances.renew(key, config, self.allowances, self.runtime).await
    }

    async fn round(&self) -> Vec<PortError> {
        let anything = self.isolate.allowances.is_unsettled()
            || (self.metrics.is_some() && !self.isolate.telemetry.is_empty());
        let round = || self.isolate.begin_round(self.config.telemetry.interval, self.runtime.now());
        let Some(wait) = anything.then(round).flatten() else { return Vec::new() };
        if !wait.is_zero() {
            self.runtime.sleep(wait).await;
        }
        self.isolate.end_round(self.runtime.now());
        let config = &self.config.allowance;
        let mut faults = self.isolate.allowances.settle(config, self.allowances, self.runtime).await;
        if let Some(metrics) = self.metrics {
            self.gauge_breakers();
            let flushed = self.isolate.telemetry.flush(&self.config.telemetry, metrics, self.runtime).await;
            faults.extend(flushed.err());
        }
        faults
    }

    fn tell(&self, notification: &Notification, notified: &Notified, began: UnixMillis) {
        if self.metrics.is_none() {
            return;
        }
        let by = notified.by.unwrap_or("nobody");
        self.isolate.telemetry.count(format!("notifications.{by}"), 1);
        if self.config.telemetry.traces(&notification.trace_context, &notification.tenant) {
            let step =
                Step { name: "notify", began, ended: self.runtime.now(), failed: notified.by.is_none() };
            let span = StepSpan::below(notification.trace_context, &step, self.runtime);
            let attributes = [("spillway.transport".to_owned(), by.to_owned())].into();
            self.isolate.telemetry.span(StepSpan { attributes, ..span });
        }
    }

    /// One count for each breaker that is not closed when the round runs.
    fn gauge_breakers(&self) {
        let config = self.config;
        let [primary, fallback] = self.isolate.notify_links.all();
        let links = [
            (&self.isolate.key_link, &config.keys.link),
            (primary, &config.notify.link),
            (fallback, &config.notify.link),
        ];
        for (link, policy) in links {
            let state = link.state(policy, self.runtime).name();
            if state != "closed" {
                self.isolate.telemetry.count(format!("breaker.{}.{state}", link.name()), 1);
            }
        }
    }
}

impl<K: KeyStore, A: AllowanceStore, O: ObjectStore, R: Runtime> Edge<'_, K, A, O, R> {
    /// The background of this edge.
    pub fn background<'a, N, M>(
        &'a self,
        notifier: &'a N,
        metrics: Option<&'a M>,
    ) -> Background<'a, A, N, M, R> {
        Background {
            config: self.config,
            isolate: self.isolate,
            allowances: self.allowances,
            notifier,
            metrics,
            runtime: self.runtime,
        }
    }
}
