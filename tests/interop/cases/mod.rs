//! What the edge answers, what is lost on the way, and what each exporter must make of it.

mod resends;
mod spans;

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::{Either, select};
use local_stack::edge::Edge;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::http2_front::Http2Front;
use spillway_tests::proxy::{Proxy, Try};
use spillway_tests::stack::{Setup, TestStack};
use spillway_tests::verifier::{Stored, Verifier};
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::clients::{Batch, Client, Destination, Kind, ONE_BATCH, Order, Report};

pub use resends::Loss;

/// The bytes that a batch may have on this stack, and an attribute that is too large for it.
const MAX_BODY_BYTES: &str = "2500000";
const TOO_LARGE: usize = 6 << 20;
/// The same for `telemetrygen`, which takes it as arguments of its command line, once for each of its two spans.
const TOO_LARGE_IN_ARGUMENTS: usize = 1_500_000;
/// A span that begins that far in the future is not valid.
const AHEAD_DAYS: u32 = 10;
/// Whose key the clients send, where nothing else is said.
const TENANT: &str = "shop";
const PROJECT: &str = "checkout";

/// A stack, and a proxy in front of its edge.
pub struct Bench {
    stack: TestStack,
    proxy: Proxy,
    /// An edge that cannot reach R2.
    faulty: OnceCell<Edge>,
}

/// What came of a client's spans.
pub struct Observed {
    /// What has passed the proxy.
    pub tries: Vec<Try>,
    /// Where it has sent what is no trace.
    pub others: Vec<String>,
    /// What the client says.
    pub report: Report,
    /// What the verifier has found in the table.
    pub stored: Stored,
    /// The objects that were put into R2.
    objects: usize,
    /// The name of the service, by which to find its rows.
    service: String,
}

/// How a client is to send.
#[derive(Clone, Copy)]
struct Sending<'a> {
    tenant: &'a str,
    order: Order,
    gzip: bool,
    timeout: Option<Duration>,
}

const PLAIN: Sending<'static> = Sending { tenant: TENANT, order: ONE_BATCH, gzip: false, timeout: None };

impl Bench {
    /// Starts both.
    pub async fn start() -> Result<Self> {
        let edge_vars = vec![("MAX_BODY_BYTES", MAX_BODY_BYTES)];
        let stack = TestStack::start_with(Setup { edge_vars, ..Setup::default() }).await?;
        let proxy = Proxy::start(&stack.edge.url).await?;
        Ok(Self { stack, proxy, faulty: OnceCell::new() })
    }

    /// Ends both.
    pub async fn stop(self) -> Result<()> {
        drop(self.faulty);
        self.stack.stop_now().await
    }

    /// Every span arrives as it was made, in one try.
    pub async fn success(&self, client: Client, gzip: bool) -> Result<Observed> {
        let observed = self.send(client, &Sending { gzip, ..PLAIN }).await?;
        ensure!(observed.statuses().iter().all(|status| *status == 200), "{:?}", observed.statuses());
        for each in &observed.tries {
            ensure!(each.content_type() == client.content_type(), "Content-Type {}", each.content_type());
            let expected = if gzip { "gzip" } else { "" };
            ensure!(each.content_encoding() == expected, "Content-Encoding {}", each.content_encoding());
        }
        ensure!(observed.report.none_failed(), "{:?}", observed.report);
        observed.check_all_stored(client.spans())?;
        if client.kind() == Kind::FiveSpans || client == Client::Telemetrygen {
            ensure!(client.splits() || observed.tries.len() == 1, "{} tries", observed.tries.len());
            let rows = self.stack.rows(&of_service(&observed.service)).await?;
            match client {
                Client::Telemetrygen => spans::check_telemetrygen(&rows)?,
                _ => spans::check_five_spans(client, &rows)?,
            }
        }
        Ok(observed)
    }

    /// Over the rate, it comes back, if it is one that tries again after 429.
    pub async fn over_the_rate(&self, client: Client) -> Result<Observed> {
        let order = Order { batches: 3, ..ONE_BATCH };
        let sending = Sending { tenant: "slow", order, ..PLAIN };
        let send = pin!(self.send(client, &sending));
        let observed = match select(send, pin!(self.use_up_the_rate())).await {
            Either::Left((observed, _)) => observed?,
            Either::Right((used_up, send)) => {
                used_up?;
                send.await?
            }
        };
        let statuses = observed.statuses();
        ensure!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        if client.tries_again_over_the_rate() {
            ensure!(statuses.contains(&429), "{statuses:?}");
            ensure!(observed.report.none_failed(), "{:?}", observed.report);
            observed.check_all_stored(3 * client.spans())?;
        }
        Ok(observed)
    }

    /// Sends by the same key until the client has met the limit: on a busy machine, its own batches may be too slow for that.
    async fn use_up_the_rate(&self) -> Result<()> {
        while !self.proxy.has_answered(429) {
            Export::new(1).send(&self.stack, "slow").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Over the quota, it drops the batch at once.
    pub async fn over_the_quota(&self, client: Client) -> Result<Observed> {
        let used_up = Export::new(10).send(&self.stack, "small").await?;
        ensure!(used_up.status() == 200, "{}", used_up.status());
        let observed = self.send(client, &Sending { tenant: "small", ..PLAIN }).await?;
        observed.check_dropped(client, 403)?;
        Ok(observed)
    }

    /// Too large, it drops the batch at once. `None` where the client cannot make one.
    pub async fn too_large(&self, client: Client) -> Result<Option<Observed>> {
        if !client.can_pad() {
            return Ok(None);
        }
        let padding = if client == Client::Telemetrygen { TOO_LARGE_IN_ARGUMENTS } else { TOO_LARGE };
        let observed = self.send(client, &Sending { order: Order { padding, ..ONE_BATCH }, ..PLAIN }).await?;
        observed.check_dropped(client, 413)?;
        Ok(Some(observed))
    }

    /// Over gRPC, it drops the batch at once, and shows its user which variable to set.
    pub async fn over_grpc(&self, client: Client) -> Result<Report> {
        let front = Http2Front::start(&self.stack.edge.url).await?;
        let objects = self.objects().await?;
        let (endpoint, key) = (front.url.as_str(), self.stack.key("acme")?);
        let to = Destination { endpoint, key, service: "interop", gzip: false, grpc: true, timeout: None };
        let report = client.send(&ONE_BATCH, &to).await?;
        ensure!(report.none_exported(), "{report:?}");
        ensure!(report.log.contains("set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"), "{report:?}");
        ensure!(self.objects().await? == objects, "an object was stored");
        Ok(report)
    }

    /// While the edge cannot reach R2, it tries again for as long as the answers let it, and says in the end that it failed.
    pub async fn edge_is_down(&self, client: Client) -> Result<Observed> {
        self.proxy.forward_to(&self.faulty().await?.url);
        let observed = self.send(client, &PLAIN).await;
        self.proxy.forward_to(&self.stack.edge.url);
        let observed = observed?;
        observed.check_dropped(client, 503)?;
        if client.tries_again() {
            ensure!(observed.tries.len() > 1, "one try");
        }
        Ok(observed)
    }

    /// The same, where it goes on for as long as the edge's own `Retry-After` lets it: that is why the edge says 2.
    pub async fn edge_asks_for_two_seconds(&self, client: Client) -> Result<Observed> {
        let observed = self.edge_is_down(client).await?;
        if let Some(patience) = client.patience_with_faults() {
            let seconds = observed.seconds_of_tries();
            ensure!(seconds > patience, "its last try came {seconds} s after its first");
        }
        Ok(observed)
    }

    /// The same, where the edge would say 1: those whose number of tries is bounded give up sooner. `None` where the client
    /// does not try again.
    pub async fn edge_asks_for_one_second(&self, client: Client) -> Result<Option<Observed>> {
        if !client.tries_again() {
            return Ok(None);
        }
        self.proxy.set_retry_after(1);
        let observed = self.edge_is_down(client).await?;
        if let Some(patience) = client.patience_with_faults().filter(|_| client.counts_tries()) {
            let seconds = observed.seconds_of_tries();
            ensure!(seconds < patience, "its last try came {seconds} s after its first");
        }
        Ok(Some(observed))
    }

    /// When the edge can reach R2 again, the batch arrives. `None` where the client does not try again.
    pub async fn edge_recovers(&self, client: Client) -> Result<Option<Observed>> {
        if !client.tries_again() {
            return Ok(None);
        }
        self.proxy.forward_to(&self.faulty().await?.url);
        let recovers = async {
            let tried = self.proxy.await_tries(1).await;
            self.proxy.forward_to(&self.stack.edge.url);
            tried
        };
        let (observed, recovered) = tokio::join!(self.send(client, &PLAIN), recovers);
        recovered?;
        let observed = observed?;
        let statuses = observed.statuses();
        ensure!(statuses[0] == 503 && statuses[1..].iter().all(|status| *status == 200), "{statuses:?}");
        ensure!(observed.report.none_failed(), "{:?}", observed.report);
        observed.check_all_stored(client.spans())?;
        Ok(Some(observed))
    }

    /// A span that is not valid costs that span only, and no second try. `None` where the client cannot make one.
    pub async fn partial_success(&self, client: Client) -> Result<Option<Observed>> {
        if !client.can_be_ahead() {
            return Ok(None);
        }
        let order = Order { ahead_days: AHEAD_DAYS, ..ONE_BATCH };
        let observed = self.send(client, &Sending { order, ..PLAIN }).await?;
        ensure!(observed.statuses().iter().all(|status| *status == 200), "{:?}", observed.statuses());
        ensure!(client.splits() || observed.tries.len() == 1, "{} tries", observed.tries.len());
        match client {
            // It takes a partial success for an error, and does not try again.
            Client::Go => ensure!(observed.report.log.contains("partial success"), "{:?}", observed.report),
            _ => ensure!(observed.report.none_failed(), "{:?}", observed.report),
        }
        ensure!(observed.stored.rejected == 1, "{:?}", observed.stored);
        ensure!(observed.stored.rows >= client.spans() - 1, "{:?}", observed.stored);
        if matches!(client, Client::NodeJson | Client::NodeProtobuf) {
            ensure!(observed.report.log.contains("Received Partial Success"), "{:?}", observed.report);
        }
        Ok(Some(observed))
    }

    /// Lets a client send by way of the proxy, and holds the table to what it has sent.
    async fn send(&self, client: Client, sending: &Sending<'_>) -> Result<Observed> {
        let service = Ulid::generate().to_string();
        let objects = self.objects().await?;
        let key = self.stack.key(sending.tenant)?;
        let Sending { tenant, order, gzip, timeout } = sending;
        let endpoint = self.proxy.url.as_str();
        let to =
            Destination { endpoint, key, service: &service, gzip: *gzip, grpc: false, timeout: *timeout };
        let report = client.send(order, &to).await?;
        self.proxy.await_quiet().await?;
        let (tries, mut others) = self.proxy.take_tries();
        others.sort();
        others.dedup();
        // A browser sends no beacon that is larger than 64 KiB, and says so.
        ensure!(!tries.is_empty() || !report.none_failed(), "it has sent nothing: {report:?}");
        let objects = self.objects().await? - objects;
        let project = if *tenant == TENANT { PROJECT } else { "" };
        let verifier = Verifier { stack: &self.stack, tenant, project };
        let stored = verifier.check(&tries).await.with_context(|| described(&tries, &report))?;
        Ok(Observed { tries, others, report, stored, objects, service })
    }

    async fn faulty(&self) -> Result<&Edge> {
        self.faulty.get_or_try_init(|| self.stack.edge_without(&["OBJECTS"])).await
    }

    async fn objects(&self) -> Result<usize> {
        Ok(Bucket::of(&self.stack).keys().await?.len())
    }
}

fn described(tries: &[Try], report: &Report) -> String {
    let tries: Vec<_> = tries.iter().map(|each| (each.fate, each.edge_status, each.body.len())).collect();
    format!("tries {tries:?}, {report:?}")
}

impl Observed {
    /// What each try was answered; without those whose answer was lost.
    pub fn statuses(&self) -> Vec<u16> {
        self.tries.iter().filter_map(Try::status).collect()
    }

    /// How long the client was busy with its last batch; from its first try to its last where it does not say.
    pub fn seconds(&self) -> f64 {
        match self.report.batches.last() {
            Some(Batch { seconds: Some(seconds), .. }) => *seconds,
            _ => self.seconds_of_tries(),
        }
    }

    /// From the first try to the last.
    fn seconds_of_tries(&self) -> f64 {
        match self.tries.as_slice() {
            [first, .., last] => (last.at - first.at).as_secs_f64(),
            _ => 0.0,
        }
    }

    fn check_all_stored(&self, spans: usize) -> Result<()> {
        let Stored { rows, rejected, repeated, .. } = self.stored;
        ensure!(rows >= spans && rejected == 0 && repeated == 0, "{:?} of {spans} spans", self.stored);
        Ok(())
    }

    /// Every try was answered with `status`, and nothing was stored. Some send a batch in two requests, of which one may be taken:
    /// the verifier has seen to it that nothing of the other is stored.
    fn check_dropped(&self, client: Client, status: u16) -> Result<()> {
        let statuses = self.statuses();
        if client.splits() {
            ensure!(statuses.contains(&status), "{statuses:?}");
            return Ok(());
        }
        ensure!(statuses.iter().all(|each| *each == status), "{statuses:?}");
        ensure!(self.report.none_exported() || client.is_blind(), "{:?}", self.report);
        ensure!(self.objects == 0, "{} objects were stored", self.objects);
        Ok(())
    }
}

fn of_service(service: &str) -> String {
    format!("ServiceName = '{service}'")
}
