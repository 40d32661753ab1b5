//! What an operator may put behind the Worker's service bindings, in workerd: each sees what it needs, and nothing else.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use spillway_proto::api_key::ApiKey;
use spillway_proto::notification::{CONTENT_TYPE, Notification};
use spillway_proto::signature;
use spillway_tests::export::Export;
use spillway_tests::stack::{Setup, TestStack};

/// Requests that somebody behind a binding was sent: path, headers, body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// A server that answers every request with what `answer` makes of its body.
async fn behind_a_binding(
    answer: impl Fn(&Bytes) -> Response + Clone + Send + Sync + 'static,
) -> Result<(String, Seen)> {
    let seen = Seen::default();
    let handler = move |State(seen): State<Seen>, uri: axum::http::Uri, headers: HeaderMap, body: Bytes| {
        let answer = answer.clone();
        async move {
            let response = answer(&body);
            if let Ok(mut seen) = seen.lock() {
                seen.push((uri.path().to_owned(), headers, body));
            }
            response
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = axum::serve(listener, Router::new().fallback(handler).with_state(Arc::clone(&seen)));
    tokio::spawn(async move { server.await });
    Ok((url, seen))
}

fn first(seen: &Seen) -> Result<(String, HeaderMap, Bytes)> {
    let seen = seen.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    seen.first().cloned().context("nothing came")
}

#[tokio::test]
async fn an_external_authority_is_told_a_hash_and_answers_with_a_record() -> Result<()> {
    let known = ApiKey::new("test", [7; 20])?;
    let hash = known.hash().digest().to_string();
    let asked_for = hash.clone();
    let (authority, seen) = behind_a_binding(move |body| {
        if *body == json!({ "sha256": asked_for }).to_string() {
            json!({ "tenant": "outside", "key_id": "o1" }).to_string().into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    })
    .await?;
    let services = vec![("AUTH", authority.as_str())];
    let stack = TestStack::start_with(Setup { edge_services: services, ..Setup::default() }).await?;
    let export = Export::new(1);
    let answer = export.to(&stack, "acme")?.header("authorization", format!("Bearer {}", known.expose()));
    assert_eq!(answer.send().await?.status(), 200);
    stack.await_trace(&export.trace_id, 1).await?;
    let (path, headers, body) = first(&seen)?;
    assert_eq!(
        (path.as_str(), &body[..]),
        ("/spillway/key", json!({ "sha256": hash }).to_string().as_bytes())
    );
    assert!(headers.values().all(|value| !value.as_bytes().windows(8).any(|part| part == b"spw_test")));
    assert_eq!(Export::new(1).send(&stack, "acme").await?.status(), 401, "KV is not asked any more");
    stack.stop_now().await
}

#[tokio::test]
async fn a_binding_takes_the_notification_and_http_takes_what_it_refuses() -> Result<()> {
    let (refusing, seen) = behind_a_binding(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()).await?;
    let stack = TestStack::start_with(Setup {
        edge_services: vec![("NOTIFY", &refusing)],
        edge_vars: vec![
            ("NOTIFY_TRANSPORT", "binding"),
            ("NOTIFY_ATTEMPTS", "2"),
            ("NOTIFY_BACKOFF_MS", "1"),
        ],
        // Only a notification brings the trace in time.
        origin_vars: vec![("SPILLWAY_SWEEP__GRACE_SECONDS", "3600")],
        ..Setup::default()
    })
    .await?;
    let export = Export::new(1);
    export.accepted(&stack).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (_, headers, body) = first(&seen)?;
    assert_eq!(headers["content-type"], CONTENT_TYPE);
    let notification: Notification = serde_json::from_slice(&body)?;
    let signed = headers[signature::HEADER].to_str()?;
    let key = stack.signing_key.as_bytes();
    signature::verify([key], notification.stored_at_unix_ms, 60, signed, &body)?;
    let tries = seen.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.len();
    assert_eq!((tries, stack.count(&export.trace_id).await?), (2, 0));
    stack.stop_now().await
}

#[tokio::test]
async fn the_fallback_brings_what_the_binding_does_not_take() -> Result<()> {
    let (refusing, _) = behind_a_binding(|_| StatusCode::SERVICE_UNAVAILABLE.into_response()).await?;
    let (relay, relayed) = behind_a_binding(|_| StatusCode::ACCEPTED.into_response()).await?;
    let stack = TestStack::start_with(Setup {
        edge_services: vec![("NOTIFY", &refusing)],
        edge_vars: vec![
            ("NOTIFY_TRANSPORT", "binding"),
            ("NOTIFY_BACKOFF_MS", "1"),
            ("NOTIFY_FALLBACK", "http"),
            ("NOTIFY_FALLBACK_URL", &format!("{relay}/v1/traces")),
        ],
        ..Setup::default()
    })
    .await?;
    Export::new(1).accepted(&stack).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(first(&relayed)?.0, "/v1/traces");
    stack.stop_now().await
}

#[tokio::test]
async fn what_the_edge_counts_reaches_the_operators_tenant() -> Result<()> {
    let stack = TestStack::start_with(Setup { own_spans: true, ..Setup::default() }).await?;
    Export::new(3).accepted(&stack).await?;
    assert_eq!(Export::new(1).send(&stack, "gone").await?.status(), 401);
    let counted = "SELECT sum(toUInt64OrZero(SpanAttributes['spans.accepted'])) FROM otel_traces
                   WHERE TenantId = 'spillway-operator' AND SpanName = 'edge counters'";
    // Three of the trace; what the origin tells of itself is not traced.
    stack.await_count(counted, 3, spillway_tests::stack::ARRIVAL).await?;
    // Nobody but a binding reaches the operator's Worker.
    let outside = format!("{}/spillway/telemetry", stack.edge.url);
    assert_eq!(local_stack::http::client().post(outside).body("{}").send().await?.status(), 404);
    stack.stop_now().await
}
