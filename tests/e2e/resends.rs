//! Requests that are sent more than once: each of their spans is stored once, however a try was packed, by which key it came and
//! how it was judged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local_stack::http;
use local_stack::keys::random_key;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};
use spillway_proto::UnixMillis;
use spillway_proto::api_key::ApiKey;
use spillway_tests::bucket::Bucket;
use spillway_tests::export::{Export, gzipped};
use spillway_tests::notification::now;
use spillway_tests::raw::Connection;
use spillway_tests::stack::{ARRIVAL, Setup, TestStack};
use tokio::time::{Instant, sleep};

const PROTOBUF: &str = "application/x-protobuf";
/// How long an isolate of these tests goes on with a key's record.
const KEY_CACHE: Duration = Duration::from_secs(2);

/// A request as it is packed for one try.
#[derive(Clone)]
struct Packed {
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    body: Vec<u8>,
}

impl Packed {
    fn plain(export: &Export) -> Result<Self> {
        Ok(Self { content_type: PROTOBUF, content_encoding: None, body: export.body()? })
    }
}

/// A stack whose keys are made and changed by a test.
struct Bench {
    stack: TestStack,
}

impl Bench {
    async fn start() -> Result<Self> {
        let cache = KEY_CACHE.as_secs().to_string();
        let edge_vars = vec![("KEY_CACHE_SECONDS", cache.as_str()), ("KEY_MISS_SECONDS", "1")];
        Ok(Self { stack: TestStack::start_with(Setup { edge_vars, ..Setup::default() }).await? })
    }

    /// A key of the tenant `acme`, with these fields in its record.
    async fn key(&self, key_id: &str, fields: &Value) -> Result<ApiKey> {
        let key = random_key()?;
        self.put_record(&key, key_id, fields).await?;
        Ok(key)
    }

    async fn put_record(&self, key: &ApiKey, key_id: &str, fields: &Value) -> Result<()> {
        let mut record = json!({ "tenant": "acme", "key_id": key_id });
        for (name, value) in fields.as_object().into_iter().flatten() {
            record[name] = value.clone();
        }
        let variables = self.stack.keys_variables();
        let variable =
            |name: &str| variables.get(&format!("SPILLWAY_CLOUDFLARE__{name}")).context("no variable");
        let url = format!(
            "{}/accounts/{}/storage/kv/namespaces/{}/values/{}",
            variable("API_URL")?,
            variable("ACCOUNT_ID")?,
            variable("KV_NAMESPACE_ID")?,
            key.hash().kv_name().replace('/', "%2F")
        );
        let put = http::client().request(Method::PUT, url).bearer_auth(variable("API_TOKEN")?);
        let answer = put.body(record.to_string()).send().await?;
        ensure!(answer.status() == 200, "{}", answer.text().await?);
        Ok(())
    }

    /// Sends a request, and returns how many of its spans were rejected.
    async fn send(&self, key: &ApiKey, packed: &Packed) -> Result<i64> {
        let url = format!("{}/v1/traces", self.stack.edge.url);
        let mut post = http::client().post(url).header("x-api-key", key.expose());
        post = post.header("content-type", packed.content_type);
        if let Some(encoding) = packed.content_encoding {
            post = post.header("content-encoding", encoding);
        }
        let answer = post.body(packed.body.clone()).send().await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        if packed.content_type != PROTOBUF {
            let answer: Value = serde_json::from_slice(&body)?;
            let rejected = answer["partialSuccess"]["rejectedSpans"].as_str();
            return Ok(rejected.map_or(Ok(0), str::parse)?);
        }
        let answer = ExportTraceServiceResponse::decode(body)?;
        Ok(answer.partial_success.map_or(0, |partial| partial.rejected_spans))
    }

    /// Sends a request, and goes away before its answer, once it is stored.
    async fn lose_the_answer(&self, key: &ApiKey, packed: &Packed) -> Result<()> {
        let bucket = Bucket::of(&self.stack);
        let before = bucket.keys().await?.len();
        let mut connection = Connection::open(&self.stack).await?;
        let encoding = packed.content_encoding.map(|encoding| format!("content-encoding: {encoding}\r\n"));
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: edge\r\nx-api-key: {}\r\ncontent-type: {}\r\n{}content-length: {}\r\n\r\n",
            key.expose(),
            packed.content_type,
            encoding.unwrap_or_default(),
            packed.body.len()
        );
        connection.send(&[head.as_bytes(), &packed.body].concat()).await;
        let deadline = Instant::now() + ARRIVAL;
        while bucket.keys().await?.len() == before {
            ensure!(Instant::now() < deadline, "it is not stored");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until all tries have ended in the ledger, and the table has `spans` rows: each position of the request once.
    async fn assert_stored_once(&self, export: &Export, spans: u64) -> Result<()> {
        let trace = &export.trace_id;
        let of_trace = |what: &str| format!("SELECT {what} FROM otel_traces WHERE TraceId = '{trace}'");
        self.stack.await_count(&of_trace("count()"), spans, ARRIVAL).await?;
        self.stack.await_settled().await?;
        for what in ["count()", "uniqExact(SpanId)", "uniqExact(RowNo)"] {
            let count: u64 = self.stack.clickhouse().query_raw(&of_trace(what)).fetch_one().await?;
            ensure!(count == spans, "{what} is {count}, not {spans}");
        }
        Ok(())
    }
}

/// Five spans that began on five days.
fn over_five_days() -> Export {
    let mut export = Export::new(5);
    let spans = &mut export.request["resourceSpans"][0]["scopeSpans"][0]["spans"];
    for (day, span) in spans.as_array_mut().into_iter().flatten().enumerate() {
        let begun = u128::from(now().0 - day as u64 * 86_400_000) * 1_000_000;
        span["startTimeUnixNano"] = begun.to_string().into();
        span["endTimeUnixNano"] = (begun + 1_000).to_string().into();
    }
    export
}

#[tokio::test]
async fn however_a_request_is_packed_it_is_one() -> Result<()> {
    let bench = Bench::start().await?;
    let key = bench.key("web", &json!({})).await?;
    let other_key = bench.key("mobile", &json!({})).await?;
    let export = Export::new(5);
    let plain = Packed::plain(&export)?;
    let compressed = |encoding, body| Packed { content_encoding: Some(encoding), body, ..plain.clone() };
    // The time within gzip's header, as clients write it that compress anew for each try.
    let mut packed_later = gzipped(&plain.body)?;
    packed_later[4..8].copy_from_slice(&[1, 2, 3, 4]);
    let json = Packed {
        content_type: "application/json",
        content_encoding: None,
        body: serde_json::to_vec_pretty(&export.request)?,
    };
    let tries = [
        compressed("gzip", gzipped(&plain.body)?),
        compressed("gzip", packed_later),
        compressed("zstd", zstd::bulk::compress(&plain.body, 3)?),
        plain.clone(),
        json,
    ];
    bench.lose_the_answer(&key, &tries[0]).await?;
    for packed in &tries {
        assert_eq!(bench.send(&key, packed).await?, 0);
    }
    assert_eq!(bench.send(&other_key, &plain).await?, 0);
    bench.assert_stored_once(&export, 5).await?;
    assert_eq!(Bucket::of(&bench.stack).keys().await?.len(), 7);
    bench.stack.stop_now().await
}

#[tokio::test]
async fn one_body_of_two_projects_is_two_requests() -> Result<()> {
    let bench = Bench::start().await?;
    let export = Export::new(3);
    let packed = Packed::plain(&export)?;
    for project in ["shop", "cart"] {
        let key = bench.key(project, &json!({ "project": project })).await?;
        for _ in 0..2 {
            assert_eq!(bench.send(&key, &packed).await?, 0);
        }
    }
    bench.stack.await_trace(&export.trace_id, 6).await?;
    bench.stack.await_settled().await?;
    let rows = bench.stack.rows_of_trace(&export.trace_id).await?;
    let mut of_projects: Vec<_> = rows.iter().map(|row| row["ProjectId"].as_str()).collect();
    of_projects.sort_unstable();
    assert_eq!(of_projects, [[Some("cart"); 3], [Some("shop"); 3]].concat());
    bench.stack.stop_now().await
}

#[tokio::test]
async fn what_a_raised_limit_lets_through_is_added() -> Result<()> {
    let bench = Bench::start().await?;
    let strict = bench.key("strict", &json!({ "span_limits": { "max_days": 2 } })).await?;
    let middling = bench.key("middling", &json!({ "span_limits": { "max_days": 4 } })).await?;
    let generous = bench.key("generous", &json!({})).await?;
    let export = over_five_days();
    let packed = Packed::plain(&export)?;
    bench.lose_the_answer(&strict, &packed).await?;
    bench.assert_stored_once(&export, 2).await?;
    // What the first try has stored is not moved by the later ones, which come at once.
    let first = bench.stack.rows_of_trace(&export.trace_id).await?;
    bench.lose_the_answer(&middling, &packed).await?;
    assert_eq!(bench.send(&strict, &packed).await?, 3);
    bench.lose_the_answer(&generous, &packed).await?;
    assert_eq!(bench.send(&middling, &packed).await?, 1);
    bench.assert_stored_once(&export, 5).await?;
    let rows = bench.stack.rows_of_trace(&export.trace_id).await?;
    assert!(first.iter().all(|row| rows.contains(row)));
    let numbers: Vec<_> = rows.iter().map(|row| (row["SpanId"].clone(), row["RowNo"].clone())).collect();
    for position in 0..5 {
        let span = format!("{:016x}", position + 1);
        assert!(numbers.contains(&(span.into(), position.into())), "{numbers:?}");
    }
    bench.stack.stop_now().await
}

#[tokio::test]
async fn tries_that_all_come_at_once_store_each_span_once() -> Result<()> {
    let bench = Bench::start().await?;
    let strict = bench.key("strict", &json!({ "span_limits": { "max_days": 2 } })).await?;
    let generous = bench.key("generous", &json!({})).await?;
    let exports: Vec<_> = (0..4).map(|_| over_five_days()).collect();
    for round in 0..3 {
        for (number, export) in exports.iter().enumerate() {
            let packed = Packed::plain(export)?;
            let key = if (round + number) % 2 == 0 { &strict } else { &generous };
            bench.send(key, &packed).await?;
        }
    }
    for export in &exports {
        bench.assert_stored_once(export, 5).await?;
    }
    bench.stack.stop_now().await
}

#[tokio::test]
async fn a_try_that_a_stale_record_has_judged_is_completed_by_the_next_one() -> Result<()> {
    let bench = Bench::start().await?;
    let strict = json!({ "span_limits": { "max_days": 2 } });
    let key = bench.key("web", &strict).await?;
    let export = over_five_days();
    let packed = Packed::plain(&export)?;
    assert_eq!(bench.send(&key, &packed).await?, 3);
    bench.put_record(&key, "web", &json!({})).await?;
    // The isolate remembers the record as it was.
    bench.lose_the_answer(&key, &packed).await?;
    bench.assert_stored_once(&export, 2).await?;
    sleep(KEY_CACHE + Duration::from_millis(500)).await;
    assert_eq!(bench.send(&key, &packed).await?, 0);
    bench.assert_stored_once(&export, 5).await?;
    // And the other way round: what is stored stays.
    bench.put_record(&key, "web", &strict).await?;
    sleep(KEY_CACHE + Duration::from_millis(500)).await;
    assert_eq!(bench.send(&key, &packed).await?, 3);
    bench.assert_stored_once(&export, 5).await?;
    bench.stack.stop_now().await
}

#[tokio::test]
async fn a_span_that_gets_too_old_or_is_no_longer_in_the_future_between_tries_is_stored_once() -> Result<()> {
    const SECONDS: u64 = 6;
    let bench = Bench::start().await?;
    let limits = json!({ "span_limits": { "max_age_seconds": SECONDS, "max_future_seconds": SECONDS } });
    let key = bench.key("web", &limits).await?;
    let (soon_too_old, not_yet) = (Export::new(4), Export::new(4));
    let at = |export: Export, millis: u64| {
        let mut export = export;
        let begun = u128::from(millis) * 1_000_000;
        export.first_span()["startTimeUnixNano"] = begun.to_string().into();
        export.first_span()["endTimeUnixNano"] = (begun + 1_000).to_string().into();
        export
    };
    let UnixMillis(start) = now();
    let soon_too_old = at(soon_too_old, start - SECONDS * 1_000 + 2_500);
    let not_yet = at(not_yet, start + SECONDS * 1_000 + 2_500);
    let (old, young) = (Packed::plain(&soon_too_old)?, Packed::plain(&not_yet)?);
    bench.lose_the_answer(&key, &old).await?;
    bench.lose_the_answer(&key, &young).await?;
    bench.assert_stored_once(&soon_too_old, 4).await?;
    bench.assert_stored_once(&not_yet, 3).await?;
    sleep(Duration::from_millis(start + 4_000 - now().0.min(start + 4_000))).await;
    assert_eq!(bench.send(&key, &old).await?, 1);
    assert_eq!(bench.send(&key, &young).await?, 0);
    bench.assert_stored_once(&soon_too_old, 4).await?;
    bench.assert_stored_once(&not_yet, 4).await?;
    bench.stack.stop_now().await
}
