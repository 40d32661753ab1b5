//! Which way notifications come: the origin compares their headers, and the edge's canary probes the way.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::http::StatusCode;
use local_stack::http;
use serde_json::Value;
use spillway_proto::notification::CONTENT_TYPE;
use spillway_proto::probe::{self, FRONT_DOOR, ProbeKind, Route, RouteProbe};
use spillway_proto::signature::{HEADER, sign};
use spillway_tests::command::{CommandOutput, origin_consumer};
use spillway_tests::lone_origin::{LoneOrigin, SIGNING_KEY};
use spillway_tests::metrics::{await_metric, text};
use spillway_tests::notification::{notification, now};
use spillway_tests::stack::{ARRIVAL, TestStack};
use tokio::net::TcpListener;

/// As a Worker's same-zone request arrives.
const FROM_WORKER: [(&str, &str); 4] = [
    ("cf-worker", "example.com"),
    ("cf-connecting-ip", "203.0.113.7"),
    ("cf-ray", "9a1b2c3d4e5f6a7b-FRA"),
    ("cdn-loop", "cloudflare; loops=1; subreqs=1"),
];

/// Waits until the ledger knows of a canary that came so far. The metric does not tell: without any, it has the ledger's age.
async fn await_canary(ledger: &Path, step: &str) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL;
    let ledger = rusqlite::Connection::open(ledger)?;
    ledger.busy_timeout(ARRIVAL)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM marks WHERE mark = ?1)";
    while !ledger.query_row(sql, [format!("canary_{step}_at_ms")], |row| row.get::<_, bool>(0))? {
        ensure!(Instant::now() < deadline, "waited in vain for a canary to be {step}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Posts a signed body to the origin, with these headers.
async fn post(
    origin: &LoneOrigin,
    kind: &str,
    body: &str,
    key: &str,
    headers: &[(&str, &str)],
) -> Result<reqwest::Response> {
    let mut request = http::client()
        .post(format!("{}/v1/traces", origin.origin.url))
        .header("content-type", kind)
        .header(HEADER, sign(key.as_bytes(), now(), body.as_bytes()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(body.to_owned()).send().await?)
}

async fn notify(origin: &LoneOrigin, body: &str, headers: &[(&str, &str)]) -> Result<()> {
    let body = serde_json::to_string(&notification(body)?)?;
    let status = post(origin, CONTENT_TYPE, &body, SIGNING_KEY, headers).await?.status();
    ensure!(status == 202, "{status}");
    Ok(())
}

/// Runs the doctor where the stack's origin runs, with a key.
async fn doctor(stack: &TestStack, arguments: &str) -> Result<CommandOutput> {
    let mut variables = stack.origin_variables().clone();
    variables.insert("SPILLWAY_EDGE__URL".to_owned(), stack.edge.url.clone());
    variables.insert("SPILLWAY_EDGE__API_KEY".to_owned(), stack.key("acme")?.to_owned());
    origin_consumer(arguments, &variables).await
}

async fn meter(url: &str) -> Result<Value> {
    Ok(http::client().get(format!("{url}/api/meter")).send().await?.json().await?)
}

#[tokio::test]
async fn another_way_is_seen_and_a_restart_does_not_forget_the_first() -> Result<()> {
    let mut origin = LoneOrigin::start(&[]).await?;
    for n in 0..3 {
        notify(&origin, &format!("first {n}"), &FROM_WORKER).await?;
    }
    await_metric(
        &origin.origin.url,
        "spillway_notifications_by_route_total{carried=\"notification\",route=\"worker-",
    )
    .await?;
    await_metric(&origin.origin.url, "spillway_route_changed 0\n").await?;
    let deadline = Instant::now() + ARRIVAL;
    while meter(&origin.origin.url).await?["routes"][0]["notifications"] != 3 {
        ensure!(Instant::now() < deadline, "{:#}", meter(&origin.origin.url).await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What nobody signed does not count.
    let body = serde_json::to_string(&notification("forged")?)?;
    let forged =
        post(&origin, CONTENT_TYPE, &body, "another key of thirty-two bytes..", &[(FRONT_DOOR, "1")]).await?;
    assert_eq!(forged.status(), 401);

    origin.restart().await?;
    let mut by_the_front_door = FROM_WORKER.to_vec();
    by_the_front_door.push((FRONT_DOOR, "1"));
    notify(&origin, "second", &by_the_front_door).await?;
    await_metric(&origin.origin.url, "spillway_route_changed 1\n").await?;
    await_metric(&origin.origin.url, "spillway_route_changes_total 1\n").await?;
    let report = meter(&origin.origin.url).await?;
    assert_eq!(report["route_changed"]["name"], "spillway_route_changed", "{report:#}");
    let names: Vec<_> = (0..2).map(|n| report["routes"][n]["route"].as_str().unwrap_or_default()).collect();
    assert!(
        names[0].starts_with("worker-by-the-front-door-") && names[1].starts_with("worker-"),
        "{names:?}"
    );
    assert_eq!(report["routes"].as_array().map(Vec::len), Some(2), "{report:#}");
    let shown = report.to_string() + &text(&origin.origin.url).await?;
    assert!(!shown.contains("203.0.113.7") && !shown.contains("9a1b2c3d4e5f6a7b"), "{shown}");
    assert!(origin.log()?.contains("spillway_route_changed"));
    Ok(())
}

#[tokio::test]
async fn a_probe_is_answered_with_the_way_that_it_came_and_only_the_canarys_count() -> Result<()> {
    let origin = LoneOrigin::start(&[]).await?;
    let probe = |kind| serde_json::to_string(&RouteProbe { kind, sent_at_unix_ms: now(), object_key: None });
    let asked =
        post(&origin, probe::CONTENT_TYPE, &probe(ProbeKind::Asked)?, SIGNING_KEY, &FROM_WORKER).await?;
    assert_eq!(asked.status(), 200);
    let route: Route = asked.json().await?;
    assert!(route.name.starts_with("worker-") && route.headers["cf-worker"] == "present", "{route:?}");
    assert!(!text(&origin.origin.url).await?.contains("carried=\"canary\""));

    let canary = post(&origin, probe::CONTENT_TYPE, &probe(ProbeKind::Canary)?, SIGNING_KEY, &[]).await?;
    let route: Route = canary.json().await?;
    assert!(route.name.starts_with("unmarked-"), "{route:?}");
    await_canary(&origin.queue_path(), "sent").await?;
    await_metric(&origin.origin.url, "carried=\"canary\",route=\"unmarked-").await?;
    // Notifications come with other headers than the canary's: that is no change.
    notify(&origin, "one", &FROM_WORKER).await?;
    await_metric(&origin.origin.url, "carried=\"notification\",route=\"worker-").await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    await_metric(&origin.origin.url, "spillway_route_changed 0\n").await?;

    let unsigned =
        post(&origin, probe::CONTENT_TYPE, &probe(ProbeKind::Asked)?, &"x".repeat(32), &[]).await?;
    assert_eq!(unsigned.status(), 401);
    let unreadable = post(&origin, probe::CONTENT_TYPE, "{}", SIGNING_KEY, &[]).await?;
    assert_eq!(unreadable.status(), 400);
    Ok(())
}

#[tokio::test]
async fn the_canary_goes_the_whole_way() -> Result<()> {
    let stack = TestStack::start().await?;
    let cron = format!("{}/cdn-cgi/local/scheduled", stack.edge.url);
    let answer = http::client().get(cron).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let canaries = "SELECT count() FROM otel_traces WHERE ServiceName = 'spillway-canary' \
                    AND TenantId = 'spillway-operator' AND SpanAttributes['spillway.canary'] = 'true'";
    stack.await_count(canaries, 1, ARRIVAL).await?;
    for step in ["sent", "stored"] {
        await_canary(&stack.folder().join("queue.sqlite"), step).await?;
    }
    await_metric(&stack.origin.url, "carried=\"canary\",route=\"").await?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_doctors_probes_arrive_or_say_what_stops_them() -> Result<()> {
    let mut stack = TestStack::start().await?;
    let well = doctor(&stack, "doctor --only inside,live --json").await?;
    let report: Value = serde_json::from_str(&well.out)?;
    assert_eq!(well.code, 0, "{report:#}");
    let live = &report["parts"]["live"];
    assert!(
        live[0]["what"].as_str().is_some_and(|said| said.contains("reached the origin by the route")),
        "{live:#}"
    );
    assert!(
        live[1]["what"].as_str().is_some_and(|said| said.contains("its notification arrived")),
        "{live:#}"
    );
    let plain = &live[2];
    assert_eq!((plain["code"].as_str(), plain["level"].as_str()), (Some("plain_http"), Some("ok")));
    assert!(plain["what"].as_str().is_some_and(|said| said.contains("answered 401")), "{live:#}");

    // A firewall that answers in the origin's place.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    stack.set_edge_var("NOTIFY_URL", &format!("http://{}/v1/traces", listener.local_addr()?));
    let refuse = || async { (StatusCode::FORBIDDEN, [("cf-mitigated", "challenge")], "<html>") };
    let firewall = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    stack.restart_edge().await?;
    let stopped = doctor(&stack, "doctor --only live").await?;
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(stopped.out.contains("FAULT route_probe") && stopped.out.contains("challenge"), "{stopped:?}");
    assert!(
        stopped.out.contains("FAULT span_probe") && stopped.out.contains("sweep found it"),
        "{stopped:?}"
    );
    firewall.abort();
    stack.stop_now().await
}

#[tokio::test]
async fn an_ingress_that_redirects_exporters_to_https_is_named() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let redirect = || async {
        (StatusCode::MOVED_PERMANENTLY, [("location", "https://ingest.example.com/v1/traces")], "")
    };
    let zone = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(redirect)).await });
    let variables = [
        ("SPILLWAY_EDGE__URL", url.clone()),
        ("SPILLWAY_NOTIFY__SIGNING_KEYS", format!("[\"{SIGNING_KEY}\"]")),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let said = origin_consumer("doctor --only live", &variables).await?;
    assert_eq!(said.code, 3, "{said:?}");
    for words in [
        "FAULT plain_http",
        &format!("{url}/v1/traces is answered 301"),
        "https://ingest.example.com",
        "Python",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    zone.abort();
    Ok(())
}
