//! What the edge owes operators, and whoever watches it, in workerd.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use spillway_proto::UnixMillis;
use spillway_proto::signature;
use spillway_proto::usage::{CONTENT_TYPE, PATH, UsageReport};
use spillway_tests::export::Export;
use spillway_tests::stack::TestStack;
use ulid::Ulid;

#[tokio::test]
async fn an_operator_is_told_what_a_tenant_has_used() -> Result<()> {
    let stack = TestStack::start().await?;
    assert_eq!(Export::new(7).send(&stack, "small").await?.status(), 200);
    let nearly = Export::new(2).send(&stack, "small").await?;
    assert_eq!(nearly.headers()["spillway-quota"], "spans=90%");
    let now = UnixMillis(Ulid::generate().timestamp_ms());
    let body = json!({ "tenant": "small", "month": now.month() }).to_string();
    let ask = |signed: String| {
        let request = local_stack::http::client().post(format!("{}{PATH}", stack.edge.url));
        request
            .header("content-type", CONTENT_TYPE)
            .header(signature::HEADER, signed)
            .body(body.clone())
            .send()
    };
    let forged = signature::sign(&[0; 32], now, body.as_bytes());
    assert_eq!(ask(forged).await?.status(), 401);
    let deadline = std::time::Instant::now() + spillway_tests::stack::ARRIVAL;
    loop {
        let signed = signature::sign(stack.signing_key.as_bytes(), now, body.as_bytes());
        let report: UsageReport = ask(signed).await?.json().await?;
        if report.usage.spans == 9 {
            assert!(report.usage.bytes > 0);
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{report:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stack.stop_now().await
}

#[tokio::test]
async fn its_paths_and_methods_are_what_they_are() -> Result<()> {
    let stack = TestStack::start().await?;
    let ask = |method: Method, path: &str| {
        local_stack::http::client().request(method, format!("{}{path}", stack.edge.url)).send()
    };
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(ask(method, "/healthz").await?.status(), 200);
    }
    assert_eq!(ask(Method::HEAD, "/healthz").await?.text().await?, "");
    let wrong = ask(Method::GET, "/v1/traces").await?;
    assert_eq!((wrong.status().as_u16(), wrong.headers()["allow"].to_str()?), (405, "POST, OPTIONS"));
    stack.stop_now().await
}
