//! A proxy in front of the edge: it forwards what exporters send, and notes how each try was answered.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderName;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::Response;

use crate::forward::{Server, Upstream, locked};
use crate::stack::ARRIVAL;

/// One try of an exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// The request's `Content-Type`.
    pub content_type: String,
    /// The request's `Content-Encoding`, empty where there is none.
    pub content_encoding: String,
    /// What it was answered.
    pub status: u16,
}

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    /// Where it listens.
    pub url: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    upstream: Upstream,
    tries: Mutex<Vec<Try>>,
}

impl Proxy {
    /// A proxy on a free port that forwards to the edge at `upstream`.
    pub async fn start(upstream: &str) -> Result<Self> {
        let shared = Arc::new(Shared { upstream: Upstream::new(upstream), tries: Mutex::default() });
        let router = Router::new().fallback(note_and_forward).with_state(Arc::clone(&shared));
        let (url, server) = Server::start(router).await?;
        Ok(Self { url, shared, _server: server })
    }

    /// From now on, forwards to another edge.
    pub fn forward_to(&self, upstream: &str) {
        self.shared.upstream.change(upstream);
    }

    /// The tries since this was last called.
    pub fn take_tries(&self) -> Vec<Try> {
        std::mem::take(&mut locked(&self.shared.tries))
    }

    /// Waits until so many tries were answered.
    pub async fn await_tries(&self, tries: usize) -> Result<()> {
        let deadline = Instant::now() + ARRIVAL;
        while locked(&self.shared.tries).len() < tries {
            ensure!(Instant::now() < deadline, "fewer than {tries} tries in {ARRIVAL:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

async fn note_and_forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let content_type = header(&request, CONTENT_TYPE);
    let content_encoding = header(&request, CONTENT_ENCODING);
    let response = shared.upstream.forward(request).await;
    let status = response.status().as_u16();
    locked(&shared.tries).push(Try { content_type, content_encoding, status });
    response
}

fn header(request: &Request, name: HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
