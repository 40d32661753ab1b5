//! The way of requests through a running zone. Worker and origin are servers that tell who they are and what has come to them.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use spillway_zone::firewall::Switches;
use spillway_zone::route::Route;
use spillway_zone::rules::Rules;
use spillway_zone::subrequests::Mode;
use spillway_zone::zone::{Fate, Source, Zone, ZoneOptions};

const INGEST: &str = "ingest.example.com";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A server that answers with what it was asked.
async fn server(name: &'static str) -> Result<String> {
    let tell = async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let status = if uri.path() == "/teapot" { StatusCode::IM_A_TEAPOT } else { StatusCode::OK };
        let told = json!({ "by": name, "method": method.as_str(), "uri": uri.to_string(),
            "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(), "body": String::from_utf8_lossy(&body) });
        (status, told.to_string()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(tell)).await });
    Ok(url)
}

async fn zone(mode: Mode, rules: Value) -> Result<Zone> {
    let custom = json!({ "kind": "zone", "phase": "http_request_firewall_custom", "rules": rules });
    let mut rules = Rules::default().with_json("rules.json", &custom.to_string())?;
    rules.routes.push(Route { pattern: format!("{INGEST}/*"), script: Some("edge".to_owned()) });
    let options = ZoneOptions {
        name: "example.com".to_owned(),
        rules,
        switches: Switches::default(),
        mode,
        seed: 1,
        worker: server("worker").await?,
        origin: server("origin").await?,
    };
    Zone::start(options, SocketAddr::from(([127, 0, 0, 1], 0))).await
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn send(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = axum::http::Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.body(axum::body::Body::from("sent"))?).await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), 1 << 20).await?;
    Ok(Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}

async fn export(zone: &Zone, more: &[(&str, &str)]) -> Result<Answer> {
    let headers = [&[("host", INGEST)], more].concat();
    send(&format!("{}/v1/traces?x=1", zone.url), &headers).await
}

/// As the outbound Worker of the local stack sends it.
async fn notify(zone: &Zone, url: &str, more: &[(&str, &str)]) -> Result<Answer> {
    send(&format!("{}/", zone.subrequests_url), &[&[("zone-url", url)], more].concat()).await
}

#[tokio::test]
async fn a_route_decides_and_the_zone_marks_what_it_lets_through() -> Result<()> {
    let zone = zone(Mode::Straight, json!([])).await?;
    let answer = export(
        &zone,
        &[("zone-client-ip", "198.51.100.7"), ("zone-client-country", "BE"), ("cf-worker", "forged")],
    )
    .await?;
    let (told, headers) = (&answer.body, &answer.body["headers"]);
    assert_eq!(
        (&told["by"], &told["uri"], &told["body"]),
        (&json!("worker"), &json!("/v1/traces?x=1"), &json!("sent"))
    );
    assert_eq!(
        (&headers["host"], &headers["cf-connecting-ip"], &headers["cf-ipcountry"]),
        (&json!(INGEST), &json!("198.51.100.7"), &json!("BE"))
    );
    assert_eq!(headers["cdn-loop"], "cloudflare; loops=1");
    assert_eq!(headers["cf-ray"], answer.headers["cf-ray"].to_str()?);
    assert!(headers["zone-client-ip"].is_null() && headers["traceparent"].is_string());
    let other = send(&format!("{}/", zone.url), &[("host", "www.example.com:80")]).await?;
    assert_eq!((&other.body["by"], &other.body["headers"]["traceparent"]), (&json!("origin"), &Value::Null));
    Ok(())
}

#[tokio::test]
async fn the_workers_requests_go_to_the_origin_as_those_of_whom_it_answers() -> Result<()> {
    for mode in [Mode::Straight, Mode::Through, Mode::Mixed] {
        let zone = zone(mode, json!([])).await?;
        export(&zone, &[("zone-client-ip", "198.51.100.7"), ("traceparent", TRACEPARENT)]).await?;
        // Also on the Worker's own route: it would loop.
        let url = format!("https://{INGEST}/v1/traces?y=2");
        let answer = notify(
            &zone,
            &url,
            &[("traceparent", TRACEPARENT), ("x-signature", "kept"), ("mf-something", "dropped")],
        )
        .await?;
        let (told, headers) = (&answer.body, &answer.body["headers"]);
        assert_eq!(
            (&told["by"], &told["uri"], &told["body"]),
            (&json!("origin"), &json!("/v1/traces?y=2"), &json!("sent"))
        );
        assert_eq!(
            (&headers["cf-worker"], &headers["cf-connecting-ip"]),
            (&json!("example.com"), &json!("198.51.100.7"))
        );
        assert_eq!(
            (&headers["host"], &headers["x-signature"], &headers["mf-something"]),
            (&json!(INGEST), &json!("kept"), &Value::Null)
        );
        assert_eq!(headers["cdn-loop"], "cloudflare; loops=1; subreqs=1");
        let unknown = notify(&zone, &url, &[]).await?;
        assert_eq!(unknown.body["headers"]["cf-connecting-ip"], "2a06:98c0:3600::103");
    }
    Ok(())
}

#[tokio::test]
async fn only_through_the_rules_a_rule_can_refuse_and_none_sees_the_marks() -> Result<()> {
    let rules = json!([
        { "ref": "forged", "action": "log", "expression": "len(http.request.headers[\"cf-worker\"]) gt 0" },
        { "ref": "workers", "action": "managed_challenge", "expression": "cf.worker.upstream_zone eq \"example.com\"" },
    ]);
    let url = format!("https://{INGEST}/internal/notify");
    let straight = zone(Mode::Straight, rules.clone()).await?;
    assert_eq!(notify(&straight, &url, &[]).await?.status, 200);
    let through = zone(Mode::Through, rules).await?;
    let refused = notify(&through, &url, &[("cf-worker", "example.com")]).await?;
    assert_eq!((refused.status, refused.headers["cf-mitigated"].to_str()?), (403, "challenge"));
    assert_eq!(export(&through, &[]).await?.status, 200, "nobody else is the zone's Worker");
    let report = through.report();
    let refused = Fate::Refused("http_request_firewall_custom".to_owned(), "workers".to_owned());
    assert_eq!(
        report.count(|kind| kind.source == Source::Worker
            && kind.fate == refused
            && kind.path == "/internal/notify"),
        1
    );
    assert_eq!(
        report.count(|kind| kind.source == Source::Client && kind.fate == Fate::Worker && kind.status == 200),
        1
    );
    assert_eq!(report.count(|_| true), 2);
    Ok(())
}

#[tokio::test]
async fn requests_for_other_zones_leave_as_they_are() -> Result<()> {
    let zone = zone(Mode::Through, json!([{ "action": "block", "expression": "true" }])).await?;
    let elsewhere = server("elsewhere").await?;
    let answer = notify(&zone, &format!("{elsewhere}/teapot"), &[("x-signature", "kept")]).await?;
    assert_eq!(
        (answer.status, &answer.body["by"], &answer.body["headers"]["x-signature"]),
        (418, &json!("elsewhere"), &json!("kept"))
    );
    assert_eq!(notify(&zone, "https://evil-example.com.invalid/", &[]).await?.status, 521);
    Ok(())
}

#[tokio::test]
async fn an_origin_that_is_away_is_told_as_cloudflare_tells_it() -> Result<()> {
    let zone = zone(Mode::Straight, json!([])).await?;
    zone.connect("http://127.0.0.1:9", "http://127.0.0.1:9");
    assert_eq!(export(&zone, &[]).await?.status, 521);
    Ok(())
}

#[tokio::test]
async fn rules_and_mode_can_be_changed_while_it_runs() -> Result<()> {
    let zone = zone(Mode::Straight, json!([])).await?;
    let blocking = json!({ "kind": "zone", "phase": "http_request_firewall_custom",
        "rules": [{ "action": "block", "expression": "true" }] });
    zone.set_rules(Rules::default().with_json("rules.json", &blocking.to_string())?, &Switches::default())?;
    assert_eq!(export(&zone, &[]).await?.status, 403);
    let url = format!("https://{INGEST}/internal/notify");
    assert_eq!(notify(&zone, &url, &[]).await?.status, 200);
    let put = axum::http::Request::put(format!("{}/zone/subrequests/through", zone.subrequests_url));
    let client = Client::builder(TokioExecutor::new()).build_http();
    assert_eq!(client.request(put.body(axum::body::Body::empty())?).await?.status(), 200);
    assert_eq!(notify(&zone, &url, &[]).await?.status, 403);
    Ok(())
}
