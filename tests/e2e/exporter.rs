//! A real exporter: the crate `opentelemetry-otlp`.

use anyhow::Result;
use local_stack::demo;
use spillway_tests::stack::TestStack;

#[tokio::test]
async fn a_trace_of_the_rust_exporter_arrives() -> Result<()> {
    let stack = TestStack::start().await?;
    let (ingress, key) = (stack.edge.url.clone(), stack.key("acme")?.to_owned());
    let trace_id = tokio::task::spawn_blocking(move || demo::send(&ingress, &key)).await??;
    stack.await_trace(&trace_id, demo::SPANS).await?;
    stack.stop_now().await
}

#[tokio::test]
async fn the_rust_exporter_is_told_of_a_wrong_key() -> Result<()> {
    let stack = TestStack::start().await?;
    let ingress = stack.edge.url.clone();
    let sent = tokio::task::spawn_blocking(move || demo::send(&ingress, "wrong")).await?;
    assert!(sent.is_err());
    stack.stop_now().await
}
