//! A proxy in front of the edge: it forwards what exporters send, and notes how each try was answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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
    server: JoinHandle<()>,
}

struct Shared {
    client: Client<HttpConnector, Body>,
    upstream: Mutex<String>,
    tries: Mutex<Vec<Try>>,
}

impl Proxy {
    /// A proxy on a free port that forwards to the edge at `upstream`.
    pub async fn start(upstream: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            upstream: Mutex::new(upstream.to_owned()),
            tries: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(note_and_forward).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the proxy ended: {error}");
            }
        });
        Ok(Self { url, shared, server })
    }

    /// From now on, forwards to another edge.
    pub fn forward_to(&self, upstream: &str) {
        upstream.clone_into(&mut locked(&self.shared.upstream));
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

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn note_and_forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let content_type = header(&request, CONTENT_TYPE);
    let content_encoding = header(&request, CONTENT_ENCODING);
    let response = forward(&shared, request)
        .await
        .unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response());
    let status = response.status().as_u16();
    locked(&shared.tries).push(Try { content_type, content_encoding, status });
    response
}

/// The body is handed through as it comes, so that its framing stays the exporter's own.
async fn forward(shared: &Shared, mut request: Request) -> Result<Response> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("{}{path}", locked(&shared.upstream)).parse()?;
    *request.uri_mut() = uri;
    Ok(shared.client.request(request).await?.into_response())
}

fn header(request: &Request, name: HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
