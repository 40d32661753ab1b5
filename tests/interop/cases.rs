//! What the edge answers, and what each exporter must make of it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use spillway_tests::bucket::Bucket;
use spillway_tests::export::Export;
use spillway_tests::http2_front::Http2Front;
use spillway_tests::proxy::{Proxy, Try};
use spillway_tests::rows::check_columns;
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};
use ulid::Ulid;

use crate::clients::{Client, Destination, ONE_BATCH, Order, Report};

/// The bytes that a batch may have on this stack, and an attribute that is too large for it.
const MAX_BODY_BYTES: &str = "10000";
const TOO_LARGE: usize = 6 << 20;
/// The same for `telemetrygen`, which takes it as an argument of its command line.
const TOO_LARGE_IN_AN_ARGUMENT: usize = 15_000;
/// A span that begins so far in the future is not valid.
const AHEAD_DAYS: u32 = 10;

/// A stack, and a proxy in front of its edge.
pub struct Bench {
    stack: TestStack,
    proxy: Proxy,
}

/// What came of a client's spans.
pub struct Observed {
    /// What each try was answered.
    pub tries: Vec<Try>,
    /// What the client says.
    pub report: Report,
    /// The objects in R2 and the name of the service, by which to find its rows.
    objects: usize,
    service: String,
}

impl Bench {
    /// Starts both.
    pub async fn start() -> Result<Self> {
        let edge_vars = vec![("MAX_BODY_BYTES", MAX_BODY_BYTES)];
        let stack = TestStack::start_with(Setup { edge_vars, ..Setup::default() }).await?;
        let proxy = Proxy::start(&stack.edge.url).await?;
        Ok(Self { stack, proxy })
    }

    /// Ends both.
    pub async fn stop(self) -> Result<()> {
        self.stack.stop_now().await
    }

    /// Every span arrives as it was made, in one try.
    pub async fn success(&self, client: Client, gzip: bool) -> Result<Observed> {
        let observed = self.send_compressed(client, "acme", &ONE_BATCH, gzip).await?;
        let content_encoding = if gzip { "gzip" } else { "" }.to_owned();
        let expected = Try { content_type: client.content_type().to_owned(), content_encoding, status: 200 };
        ensure!(observed.tries == [expected], "{:?}", observed.tries);
        ensure!(observed.all_exported(), "{:?}", observed.report);
        self.await_stored(&observed, client.spans()).await?;
        let rows = self.stack.rows(&of_service(&observed.service)).await?;
        match client {
            Client::Telemetrygen => check_rows_of_telemetrygen(&rows)?,
            _ => check_rows(&rows)?,
        }
        Ok(observed)
    }

    /// Over the rate, it comes back. Batches that follow each other meet the limit: the second one, or, on a machine so
    /// busy that it takes a second to come, the third.
    pub async fn over_the_rate(&self, client: Client) -> Result<Observed> {
        let order = Order { batches: 3, ..ONE_BATCH };
        let observed = self.send(client, "slow", &order).await?;
        let statuses = observed.statuses();
        ensure!(statuses.contains(&429), "{statuses:?}");
        let stored = statuses.iter().filter(|status| **status == 200).count();
        ensure!(stored == 3 && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
        ensure!(observed.all_exported(), "{:?}", observed.report);
        self.await_stored(&observed, 3 * client.spans()).await?;
        Ok(observed)
    }

    /// Over the quota, it drops the batch at once.
    pub async fn over_the_quota(&self, client: Client) -> Result<Observed> {
        let used_up = Export::new(10).send(&self.stack, "small").await?;
        ensure!(used_up.status() == 200, "{}", used_up.status());
        let observed = self.send(client, "small", &ONE_BATCH).await?;
        self.check_dropped(&observed, &[403])?;
        Ok(observed)
    }

    /// Too large, it drops the batch at once.
    pub async fn too_large(&self, client: Client) -> Result<Observed> {
        let padding = if client == Client::Telemetrygen { TOO_LARGE_IN_AN_ARGUMENT } else { TOO_LARGE };
        let observed = self.send(client, "acme", &Order { padding, ..ONE_BATCH }).await?;
        self.check_dropped(&observed, &[413])?;
        Ok(observed)
    }

    /// Over gRPC, it drops the batch at once, and shows its user which variable to set.
    pub async fn over_grpc(&self, client: Client) -> Result<Report> {
        let front = Http2Front::start(&self.stack.edge.url).await?;
        let objects = self.objects().await?;
        let (endpoint, key) = (front.url.as_str(), self.stack.key("acme")?);
        let to = Destination { endpoint, key, service: "interop", gzip: false, grpc: true };
        let report = client.send(&ONE_BATCH, &to).await?;
        ensure!(report.batches.iter().all(|batch| !batch.exported), "{report:?}");
        ensure!(report.log.contains("set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"), "{report:?}");
        ensure!(self.objects().await? == objects, "an object was stored");
        Ok(report)
    }

    /// While the edge cannot reach R2, it tries again for as long as the answers let it, and says in the end that it failed.
    pub async fn edge_is_down(&self, client: Client) -> Result<Observed> {
        let faulty = self.stack.edge_without(&["OBJECTS"]).await?;
        self.proxy.forward_to(&faulty.url);
        let observed = self.send(client, "acme", &ONE_BATCH).await;
        self.proxy.forward_to(&self.stack.edge.url);
        let observed = observed?;
        let statuses = observed.statuses();
        ensure!(statuses.len() > 1 && statuses.iter().all(|status| *status == 503), "{statuses:?}");
        self.check_dropped(&observed, &statuses)?;
        let seconds = observed.report.batches.last().map_or(0.0, |batch| batch.seconds);
        ensure!(seconds > client.patience_with_faults(), "it gave up after {seconds} s: {statuses:?}");
        Ok(observed)
    }

    /// When the edge can reach R2 again, the batch arrives.
    pub async fn edge_recovers(&self, client: Client) -> Result<Observed> {
        let faulty = self.stack.edge_without(&["OBJECTS"]).await?;
        self.proxy.forward_to(&faulty.url);
        let recovers = async {
            let tried = self.proxy.await_tries(1).await;
            self.proxy.forward_to(&self.stack.edge.url);
            tried
        };
        let (observed, recovered) = tokio::join!(self.send(client, "acme", &ONE_BATCH), recovers);
        recovered?;
        let observed = observed?;
        ensure!(observed.statuses() == [503, 200], "{:?}", observed.tries);
        ensure!(observed.all_exported(), "{:?}", observed.report);
        self.await_stored(&observed, client.spans()).await?;
        Ok(observed)
    }

    /// A span that is not valid costs that span only, and no second try. `None` where the client cannot make one.
    pub async fn partial_success(&self, client: Client) -> Result<Option<Observed>> {
        if client == Client::Telemetrygen {
            return Ok(None);
        }
        let observed = self.send(client, "acme", &Order { ahead_days: AHEAD_DAYS, ..ONE_BATCH }).await?;
        ensure!(observed.statuses() == [200], "{:?}", observed.tries);
        ensure!(observed.all_exported(), "{:?}", observed.report);
        self.await_stored(&observed, client.spans() - 1).await?;
        if matches!(client, Client::NodeJson | Client::NodeProtobuf) {
            ensure!(observed.report.log.contains("Received Partial Success"), "{:?}", observed.report);
        }
        let first = format!("{} AND SpanName = 'span 1'", of_service(&observed.service));
        ensure!(self.stack.rows(&first).await?.is_empty());
        Ok(Some(observed))
    }

    async fn send(&self, client: Client, tenant: &str, order: &Order) -> Result<Observed> {
        self.send_compressed(client, tenant, order, false).await
    }

    async fn send_compressed(
        &self,
        client: Client,
        tenant: &str,
        order: &Order,
        gzip: bool,
    ) -> Result<Observed> {
        let service = Ulid::generate().to_string();
        let objects = self.objects().await?;
        self.proxy.take_tries();
        let key = self.stack.key(tenant)?;
        let to = Destination { endpoint: &self.proxy.url, key, service: &service, gzip, grpc: false };
        let report = client.send(order, &to).await?;
        let tries = self.proxy.take_tries();
        Ok(Observed { tries, report, objects: self.objects().await? - objects, service })
    }

    async fn objects(&self) -> Result<usize> {
        Ok(Bucket::of(&self.stack).keys().await?.len())
    }

    async fn await_stored(&self, observed: &Observed, spans: u64) -> Result<()> {
        let count = format!("SELECT count() FROM otel_traces WHERE {}", of_service(&observed.service));
        self.stack.await_count(&count, spans, ARRIVAL).await.with_context(|| format!("{:?}", observed.report))
    }

    fn check_dropped(&self, observed: &Observed, statuses: &[u16]) -> Result<()> {
        ensure!(observed.statuses() == statuses, "{:?}", observed.tries);
        ensure!(observed.report.batches.iter().all(|batch| !batch.exported), "{:?}", observed.report);
        ensure!(observed.objects == 0, "{} objects were stored", observed.objects);
        Ok(())
    }
}

impl Observed {
    /// What each try was answered.
    pub fn statuses(&self) -> Vec<u16> {
        self.tries.iter().map(|each| each.status).collect()
    }

    fn all_exported(&self) -> bool {
        self.report.batches.iter().all(|batch| batch.exported)
    }
}

fn of_service(service: &str) -> String {
    format!("ServiceName = '{service}'")
}

/// The five spans that the programs beside this file make.
fn check_rows(rows: &[Value]) -> Result<()> {
    let row = |name: &str| {
        let row = rows.iter().find(|row| row["SpanName"] == name);
        row.with_context(|| format!("no {name} in {rows:?}"))
    };
    let root = row("span 1")?;
    let expected = json!({
        "ParentSpanId": "", "SpanKind": "Server", "ScopeName": "interop", "ScopeVersion": "1.2.3",
        "SpanAttributes": { "text": "ü", "int": "-5", "double": "0.25", "bool": "true", "list": "[\"a\",\"b\"]" },
        "Duration": "2000000", "StatusCode": "Unset", "StatusMessage": "",
        "Events.Name": ["happened"], "Events.Attributes": [{ "e": "1" }],
        "Links.TraceId": ["0102030405060708090a0b0c0d0e0f10"], "Links.SpanId": ["0102030405060708"],
        "Links.Attributes": [{ "l": "2" }], "TenantId": "acme",
    });
    check_columns(root, &expected)?;
    for (name, kind) in
        [("span 2", "Client"), ("span 3", "Internal"), ("span 4", "Producer"), ("span 5", "Consumer")]
    {
        let (code, message) = if name == "span 2" { ("Error", "bad") } else { ("Unset", "") };
        let expected = json!({
            "TraceId": root["TraceId"], "ParentSpanId": root["SpanId"], "SpanKind": kind, "Duration": "1000000",
            "StatusCode": code, "StatusMessage": message,
        });
        check_columns(row(name)?, &expected)?;
    }
    Ok(())
}

fn check_rows_of_telemetrygen(rows: &[Value]) -> Result<()> {
    let [root, child] =
        ["lets-go", "okey-dokey-0"].map(|name| rows.iter().find(|row| row["SpanName"] == name));
    let (root, child) = (root.context("no lets-go")?, child.context("no okey-dokey-0")?);
    let attributes = |peer: &str| json!({ "network.peer.address": "1.2.3.4", "service.peer.name": peer });
    let root_is = json!({
        "ParentSpanId": "", "SpanKind": "Client", "ScopeName": "telemetrygen", "Duration": "123000",
        "SpanAttributes": attributes("telemetrygen-server"), "TenantId": "acme",
    });
    check_columns(root, &root_is)?;
    let child_is = json!({
        "TraceId": root["TraceId"], "ParentSpanId": root["SpanId"], "SpanKind": "Server", "Duration": "123000",
        "SpanAttributes": attributes("telemetrygen-client"),
    });
    check_columns(child, &child_is)
}
