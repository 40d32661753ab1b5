//! A proxy in front of R2's S3 interface, which fails by operation and key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::awaited;
use super::s3_operation::{self, S3Operation};
use crate::forward::{Server, Socket, Upstream, locked};

const FLUSH: Duration = Duration::from_millis(20);

/// How an operation goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Fault {
    /// 500, and nothing was done.
    InternalError,
    /// 503, and nothing was done.
    SlowDown,
    /// 404, whatever is there.
    NoSuchKey,
    /// Nothing comes, until the faults are ended; then it is done.
    Stall,
    /// It is done, and the answer is 500.
    LoseAnswer,
    /// The body ends after so many bytes of those announced.
    TruncateBody(usize),
    /// The connection is reset after so many bytes of the body.
    ResetBody(usize),
    /// As many bytes as there should be, each of them wrong.
    WrongBytes,
    /// The right body under another ETag.
    WrongETag,
    /// The body of another object, with that one's length.
    OtherBody(Bytes),
}

/// What has a fault: an operation, on all keys or some, always or a number of times.
pub struct On {
    operation: S3Operation,
    matches: Box<dyn Fn(&str) -> bool + Send + Sync>,
    left: Option<u64>,
}

impl On {
    /// Every call of the operation.
    pub fn every(operation: S3Operation) -> Self {
        Self { operation, matches: Box::new(|_| true), left: None }
    }

    /// Only those whose key, as it stands in the URL, is one that `matches`.
    pub fn key(self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { matches: Box::new(matches), ..self }
    }

    /// Only the first so many of them.
    pub fn times(self, times: u64) -> Self {
        Self { left: Some(times), ..self }
    }

    fn is_due(&mut self, operation: S3Operation, key: &str) -> bool {
        if self.operation != operation || !(self.matches)(key) || self.left == Some(0) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        true
    }
}

/// A running proxy; it ends when it is dropped.
pub struct S3Faults {
    /// What stands for the endpoint. Clients sign for its host, which is forwarded as it is, and R2 verifies that.
    pub endpoint: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    upstream: Upstream,
    /// Of the endpoint, before the bucket.
    path: String,
    rules: Mutex<Vec<(On, S3Fault)>>,
    /// Grows whenever the faults are ended.
    epoch: watch::Sender<u64>,
    calls: Mutex<HashMap<S3Operation, u64>>,
    happened: Mutex<HashMap<S3Operation, u64>>,
}

impl S3Faults {
    /// A proxy on a free port of loopback in front of `endpoint`. It passes everything until it is told otherwise.
    pub async fn start(endpoint: &str) -> Result<Self> {
        let after_scheme = endpoint.strip_prefix("http://").context("not the URL of a local endpoint")?;
        let (host, path) = after_scheme.trim_end_matches('/').split_once('/').unwrap_or((after_scheme, ""));
        let shared = Arc::new(Shared {
            upstream: Upstream::new(&format!("http://{host}")),
            path: if path.is_empty() { String::new() } else { format!("/{path}") },
            rules: Mutex::default(),
            epoch: watch::Sender::new(0),
            calls: Mutex::default(),
            happened: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (url, server) = Server::start(router).await?;
        Ok(Self { endpoint: format!("{url}{}", shared.path), shared, _server: server })
    }

    /// From now on, what `on` says has the fault. Of several faults that are due, the one that was set first happens.
    pub fn set(&self, on: On, fault: S3Fault) {
        locked(&self.shared.rules).push((on, fault));
    }

    /// Ends all faults: everything passes from now on, and what stalls goes on.
    pub fn pass(&self) {
        let mut rules = locked(&self.shared.rules);
        rules.clear();
        // Under the lock, so that no call takes a fault that has just been ended together with the new epoch.
        self.shared.epoch.send_modify(|epoch| *epoch += 1);
    }

    /// How many calls of the operation have come.
    pub fn calls(&self, operation: S3Operation) -> u64 {
        count_of(&self.shared.calls, operation)
    }

    /// How many of them had a fault.
    pub fn faults(&self, operation: S3Operation) -> u64 {
        count_of(&self.shared.happened, operation)
    }

    /// Waits until so many calls of the operation had a fault.
    pub async fn await_faults(&self, operation: S3Operation, faults: u64) -> Result<()> {
        awaited("a fault of S3", || self.faults(operation) >= faults).await
    }
}

fn count_of(counts: &Mutex<HashMap<S3Operation, u64>>, operation: S3Operation) -> u64 {
    locked(counts).get(&operation).copied().unwrap_or_default()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(socket): ConnectInfo<Socket>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().strip_prefix(shared.path.as_str()).unwrap_or_default();
    let called = s3_operation::of(&parts, path);
    let request = Request::from_parts(parts, body);
    let Some((operation, key)) = called else { return shared.upstream.forward(request).await };
    *locked(&shared.calls).entry(operation).or_default() += 1;
    let (fault, epoch) = shared.due(operation, &key);
    let Some(fault) = fault else { return shared.upstream.forward(request).await };
    *locked(&shared.happened).entry(operation).or_default() += 1;
    let upstream = &shared.upstream;
    match fault {
        S3Fault::InternalError => internal_error(),
        S3Fault::SlowDown => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        }
        S3Fault::NoSuchKey => {
            refusal(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
        }
        S3Fault::Stall => {
            let _ = shared.epoch.subscribe().wait_for(|now| *now != epoch).await;
            upstream.forward(request).await
        }
        S3Fault::LoseAnswer => {
            let answer = upstream.forward(request).await;
            let _ = to_bytes(answer.into_body(), usize::MAX).await;
            internal_error()
        }
        S3Fault::TruncateBody(limit) => cut(upstream.forward(request).await, limit).await,
        S3Fault::ResetBody(limit) => {
            socket.reset_on_close();
            cut(upstream.forward(request).await, limit).await
        }
        S3Fault::WrongBytes => {
            let inverted = |bytes: Bytes| bytes.iter().map(|byte| !byte).collect::<Vec<_>>();
            with_body(upstream.forward(request).await, inverted).await
        }
        S3Fault::WrongETag => {
            let mut answer = upstream.forward(request).await;
            answer
                .headers_mut()
                .insert(ETAG, HeaderValue::from_static("\"00000000000000000000000000000000\""));
            answer
        }
        S3Fault::OtherBody(other) => with_body(upstream.forward(request).await, |_| other).await,
    }
}

impl Shared {
    fn due(&self, operation: S3Operation, key: &str) -> (Option<S3Fault>, u64) {
        let mut rules = locked(&self.rules);
        let due = rules.iter_mut().find_map(|(on, fault)| on.is_due(operation, key).then(|| fault.clone()));
        (due, *self.epoch.borrow())
    }
}

fn internal_error() -> Response {
    let message = "We encountered an internal error. Please try again.";
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(CONTENT_TYPE, "application/xml")], body).into_response()
}

/// The announced length stays, and the connection ends too early.
async fn cut(answer: Response, limit: usize) -> Response {
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_GATEWAY.into_response() };
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    if limit >= bytes.len() {
        return Response::from_parts(head, bytes.into());
    }
    let sent = stream::iter([Ok(bytes.slice(..limit))]);
    let cut = stream::once(async {
        // What was sent so far leaves the server before the connection does.
        tokio::time::sleep(FLUSH).await;
        Err(std::io::Error::other("the body is cut here"))
    });
    Response::from_parts(head, Body::from_stream(sent.chain(cut)))
}

async fn with_body<B: Into<Bytes>>(answer: Response, change: impl FnOnce(Bytes) -> B) -> Response {
    let (mut head, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let bytes = change(bytes).into();
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    Response::from_parts(head, bytes.into())
}
