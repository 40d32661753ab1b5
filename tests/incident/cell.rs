//! One cell of the table: a mode of the platform, and a fix.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use local_stack::edge::NotificationQueue;
use serde_json::Value;
use spillway_tests::cloudflare_queue::{ACCOUNT, CloudflareQueue, QUEUE, TOKEN};
use spillway_tests::stack::{Setup, TestStack};
use spillway_zone::firewall::Switches;
use spillway_zone::rules::Rules;
use spillway_zone::subrequests::Mode;
use spillway_zone::zone::{Fate, Kind, Source, Zone, ZoneOptions};
use tokio::time::{Instant, sleep, sleep_until};

use crate::company::{Fix, HOST, OWN_PATH, ZONE};
use crate::load;

const SEED: u64 = 5;
/// The alert's promise.
const ALERT_WITHIN: Duration = Duration::from_secs(60);
/// Until all is stored, after the load.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(250);

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    pub load: Duration,
    /// Of the sweep, in seconds.
    pub grace: &'static str,
    pub interval: &'static str,
    /// From the first export until what is stored is counted for the first time.
    pub first_count: Duration,
}

impl Times {
    /// The sweep has its defaults.
    pub const USUAL: Self = Self {
        load: Duration::from_secs(40),
        grace: "30",
        interval: "10",
        first_count: Duration::from_secs(60),
    };
    pub const SHORT: Self = Self {
        load: Duration::from_secs(21),
        grace: "10",
        interval: "2",
        first_count: Duration::from_secs(21),
    };
}

#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub mode: Mode,
    pub fix: Fix,
    pub times: Times,
    /// Instead of the company's, and then nobody knows what they drop.
    pub rules: Option<Rules>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub cell: Cell,
    pub accepted: u64,
    /// Answered otherwise: by the edge, which is busy, or by the zone.
    pub refused: u64,
    /// Refused by the zone.
    pub refused_by_zone: u64,
    /// Notifications that have left the Worker.
    pub sent: u64,
    /// Those of them that a rule of the zone has refused.
    pub dropped: u64,
    pub stored_at_first: u64,
    pub stored: u64,
    /// From the first notification that was dropped.
    pub alert: Option<(f64, String)>,
}

impl Cell {
    pub async fn play(&self) -> Result<Outcome> {
        self.try_to_play().await.with_context(|| format!("{self:?}"))
    }

    async fn try_to_play(&self) -> Result<Outcome> {
        let options = ZoneOptions {
            name: ZONE.to_owned(),
            rules: self.rules.clone().map_or_else(|| self.fix.rules(), Ok)?,
            switches: Switches::default(),
            mode: self.mode,
            seed: SEED,
            worker: String::new(),
            origin: String::new(),
        };
        let zone = Zone::start(options, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let queue = CloudflareQueue::start().await?;
        let stack = self.start_stack(&zone, &queue).await?;
        zone.connect(&stack.edge.url, &stack.origin.url);

        let path = self.fix.notify_path();
        let is_notification = |kind: &Kind| kind.source == Source::Worker && kind.path == path;
        let is_dropped = |kind: &Kind| is_notification(kind) && matches!(kind.fate, Fate::Refused(..));
        let began = Instant::now();
        let key = stack.key("acme")?.to_owned();
        let first_count = async {
            sleep_until(began + self.times.first_count).await;
            stored(&stack).await.map(|(traces, _)| traces)
        };
        let (sent, stored_at_first, alerted_ms) = tokio::join!(
            load::send(&zone.url, &key, self.times.load),
            first_count,
            await_alert(&stack, began + self.times.load, || zone.report().count(is_dropped) > 0),
        );
        let (sent, stored_at_first) = (sent?, stored_at_first?);
        let stored = await_all(&stack, sent.accepted).await?;

        let report = zone.report();
        let notifications = match self.fix {
            Fix::Queue => await_acknowledged(&queue, sent.accepted).await,
            _ => report.count(is_notification),
        };
        let alert = match alerted_ms? {
            Some((at_ms, cause)) => {
                let first = report.first_ms(is_dropped).context("an alert, and nothing was dropped")?;
                Some((at_ms.saturating_sub(first) as f64 / 1_000.0, cause))
            }
            None => None,
        };
        let outcome = Outcome {
            cell: self.clone(),
            accepted: sent.accepted,
            refused: sent.refused,
            refused_by_zone: report
                .count(|kind| kind.source == Source::Client && matches!(kind.fate, Fate::Refused(..))),
            sent: notifications,
            dropped: report.count(is_dropped),
            stored_at_first,
            stored,
            alert,
        };
        stack.stop_now().await?;
        Ok(outcome)
    }

    async fn start_stack(&self, zone: &Zone, queue: &CloudflareQueue) -> Result<TestStack> {
        let notify_url = format!("https://{HOST}{}", self.fix.notify_path());
        let transport = if self.fix == Fix::Queue { "queue" } else { "http" };
        let notify_paths = format!("[\"{OWN_PATH}\"]");
        let mut origin_vars = vec![
            ("SPILLWAY_HTTP__NOTIFY_PATHS", notify_paths.as_str()),
            ("SPILLWAY_SWEEP__GRACE_SECONDS", self.times.grace),
            ("SPILLWAY_SWEEP__INTERVAL_SECONDS", self.times.interval),
        ];
        if self.fix == Fix::Queue {
            origin_vars.extend([
                ("SPILLWAY_CLOUDFLARE__API_URL", queue.api_url.as_str()),
                ("SPILLWAY_CLOUDFLARE__ACCOUNT_ID", ACCOUNT),
                ("SPILLWAY_QUEUE_PULL__API_TOKEN", TOKEN),
                ("SPILLWAY_QUEUE_PULL__QUEUE_ID", QUEUE),
            ]);
        }
        let pushed = NotificationQueue { push_url: queue.push_url(), token: TOKEN.to_owned() };
        TestStack::start_with(Setup {
            edge_vars: vec![
                ("NOTIFY_URL", notify_url.as_str()),
                ("NOTIFY_TRANSPORT", transport),
                // One notification is one request, as it was then: what is counted is what the zone does.
                ("NOTIFY_ATTEMPTS", "1"),
                ("BREAKER_FAILURES", "1000"),
            ],
            origin_vars,
            notification_queue: (self.fix == Fix::Queue).then_some(pushed),
            edge_outbound: Some(zone.subrequests_url.clone()),
            ..Setup::default()
        })
        .await
    }
}

impl Outcome {
    /// What must be so in each cell.
    pub fn hold(&self) -> Result<()> {
        let Self { cell, accepted, refused, refused_by_zone, sent, dropped, stored, .. } = self;
        ensure!(stored == accepted, "not all is stored: {self:?}");
        ensure!(sent == accepted, "not each trace was notified: {self:?}");
        if cell.rules.is_some() {
            return self.hold_alert(&["dropped_on_the_way", "none_arrives"]);
        }
        ensure!(*refused_by_zone == 0 && *accepted > 0, "the zone has refused exports: {self:?}");
        ensure!(refused * 10 <= *accepted, "the edge is too busy for this to say anything: {self:?}");
        let share = *dropped as f64 / *sent as f64;
        match (cell.mode, cell.fix) {
            (Mode::Through, Fix::None) => {
                ensure!((0.35..0.65).contains(&share), "about half are dropped: {self:?}")
            }
            (Mode::Mixed, Fix::None) => ensure!(share < 0.65, "as many as through at most: {self:?}"),
            _ => ensure!(*dropped == 0, "nothing is dropped: {self:?}"),
        }
        self.hold_alert(&["dropped_on_the_way"])
    }

    fn hold_alert(&self, causes: &[&str]) -> Result<()> {
        match &self.alert {
            Some((seconds, cause)) => {
                ensure!(*seconds <= ALERT_WITHIN.as_secs_f64(), "the alert is late: {self:?}");
                ensure!(causes.contains(&cause.as_str()), "another cause: {self:?}");
            }
            // Fewer than one of a hundred are none.
            None => ensure!(self.dropped * 100 <= self.sent, "no alert: {self:?}"),
        }
        Ok(())
    }
}

/// Until the alert is there, or until then; when it came in milliseconds since 1970, and its cause. Where nothing was dropped when
/// the load has ended, it is not waited for.
async fn await_alert(
    stack: &TestStack,
    load_ends: Instant,
    is_anything_dropped: impl Fn() -> bool,
) -> Result<Option<(u64, String)>> {
    let http = local_stack::http::client();
    let url = format!("{}/api/meter", stack.origin.url);
    loop {
        let report: Value = http.get(&url).send().await?.json().await?;
        if let Some(cause) = report["alert"]["cause"].as_str() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
            return Ok(Some((u64::try_from(now.as_millis())?, cause.to_owned())));
        }
        let now = Instant::now();
        if now > load_ends + ALERT_WITHIN || now > load_ends && !is_anything_dropped() {
            return Ok(None);
        }
        sleep(POLL).await;
    }
}

/// The messages that are acknowledged, once those are all, or a while later: that comes after what they tell of was begun.
async fn await_acknowledged(queue: &CloudflareQueue, all: u64) -> u64 {
    for _ in 0..40 {
        if queue.acknowledged() as u64 >= all {
            break;
        }
        sleep(POLL).await;
    }
    queue.acknowledged() as u64
}

/// Traces, and rows.
async fn stored(stack: &TestStack) -> Result<(u64, u64)> {
    let query = "SELECT uniqExact(TraceId), count() FROM otel_traces WHERE ServiceName = 'shop'";
    Ok(stack.clickhouse().query_raw(query).fetch_one().await?)
}

/// The traces that are stored, once they are all there, or once it has been waited for them long enough. An error if a span is
/// there twice.
async fn await_all(stack: &TestStack, traces: u64) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (found, rows) = stored(stack).await?;
        ensure!(rows <= traces * load::SPANS, "{rows} rows of {traces} traces of {} spans", load::SPANS);
        if rows == traces * load::SPANS || Instant::now() > deadline {
            return Ok(found);
        }
        sleep(POLL).await;
    }
}
