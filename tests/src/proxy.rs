//! A proxy in front of the edge: it records every export request whole, with what became of it, and loses answers on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;

use crate::forward::{Server, Socket, Upstream, locked};
use crate::stack::ARRIVAL;

/// The largest request that the proxy reads by itself, and the largest answer: far above the edge's own limits.
const MAX_BYTES: usize = 256 << 20;

/// The paths of OTLP's other signals, which agents send without being asked to.
const OTHER_SIGNALS: [&str; 2] = ["/v1/metrics", "/v1/logs"];

/// What happens to one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches the edge, and the answer reaches the client.
    Forwarded,
    /// It reaches the edge; the connection is closed in place of the answer.
    AnswerLost,
    /// It reaches the edge; the answer is this status, as by a gateway that has waited too long.
    AnswerReplaced(u16),
    /// It reaches the edge; the answer comes that much later.
    AnswerLate(Duration),
    /// It does not reach the edge, and is answered with this status.
    Refused(u16),
}

/// One try of an exporter: a POST of traces.
#[derive(Debug, Clone)]
pub struct Try {
    /// When the proxy had its head.
    pub at: Instant,
    /// The same, by the clock of the machine.
    pub received_at: SystemTime,
    /// Path and query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The bytes of the body that have come.
    pub body: Vec<u8>,
    /// What the proxy did with it.
    pub fate: Fate,
    /// What the edge answered, if it was asked and has answered.
    pub edge_status: Option<u16>,
}

impl Try {
    /// The request's `Content-Type`, without parameters.
    pub fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim()
    }

    /// The request's `Content-Encoding`, empty where there is none.
    pub fn content_encoding(&self) -> &str {
        self.header(CONTENT_ENCODING)
    }

    fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The status that the client has seen; none where it has seen the end of the connection. A late answer counts, though the
    /// client may have gone.
    pub fn status(&self) -> Option<u16> {
        match self.fate {
            Fate::Forwarded | Fate::AnswerLate(_) => self.edge_status,
            Fate::AnswerLost => None,
            Fate::AnswerReplaced(status) | Fate::Refused(status) => Some(status),
        }
    }
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
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    tries: Vec<Try>,
    /// The fates of the next tries; those after them are forwarded.
    fates: VecDeque<Fate>,
    /// Tries of an earlier log are not to be noted in this one.
    epoch: u64,
    /// The paths of what was posted besides traces.
    others: Vec<String>,
    /// The `Retry-After` of answers that have one, in seconds, in place of the edge's own.
    retry_after: Option<u64>,
}

/// Where a try stands in the log.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    index: usize,
}

impl Proxy {
    /// A proxy on a free port that forwards to the edge at `upstream`.
    pub async fn start(upstream: &str) -> Result<Self> {
        let shared = Arc::new(Shared { upstream: Upstream::new(upstream), log: Mutex::default() });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let (url, server) = Server::start(router).await?;
        Ok(Self { url, shared, _server: server })
    }

    /// From now on, forwards to another edge.
    pub fn forward_to(&self, upstream: &str) {
        self.shared.upstream.change(upstream);
    }

    /// What happens to the next tries, in their order; those after them are forwarded.
    pub fn plan(&self, fates: &[Fate]) {
        locked(&self.shared.log).fates = fates.iter().copied().collect();
    }

    /// Until the tries are taken, answers that have a `Retry-After` have this one, in seconds.
    pub fn set_retry_after(&self, seconds: u64) {
        locked(&self.shared.log).retry_after = Some(seconds);
    }

    /// The tries since this was last called, and the paths of what was posted besides traces. What was planned and did not come
    /// is forgotten.
    pub fn take_tries(&self) -> (Vec<Try>, Vec<String>) {
        let mut log = locked(&self.shared.log);
        let epoch = log.epoch + 1;
        let Log { tries, others, .. } = std::mem::replace(&mut *log, Log { epoch, ..Log::default() });
        (tries, others)
    }

    /// How many tries there were, and how many of them the edge has answered or will not see.
    pub fn progress(&self) -> (usize, usize) {
        let log = locked(&self.shared.log);
        let ended = log.tries.iter().filter(|each| each.is_over());
        (log.tries.len(), ended.count())
    }

    /// Whether a client has seen that status since the tries were last taken.
    pub fn has_answered(&self, status: u16) -> bool {
        locked(&self.shared.log).tries.iter().any(|each| each.status() == Some(status))
    }

    /// Waits until that many tries have been answered.
    pub async fn await_tries(&self, tries: usize) -> Result<()> {
        self.await_progress(|_, over| over >= tries)
            .await
            .with_context(|| format!("fewer than {tries} tries"))
    }

    /// Waits until the edge has answered every try that reaches it, also those whose client has gone.
    pub async fn await_quiet(&self) -> Result<()> {
        self.await_progress(|tries, over| tries == over).await.context("a try has no answer")
    }

    async fn await_progress(&self, is_enough: impl Fn(usize, usize) -> bool) -> Result<()> {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let (tries, over) = self.progress();
            if is_enough(tries, over) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "waited for {ARRIVAL:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Try {
    fn is_over(&self) -> bool {
        matches!(self.fate, Fate::Refused(_)) || self.edge_status.is_some()
    }
}

impl Shared {
    fn note(&self, request: &Request) -> (Place, Fate) {
        let mut log = locked(&self.log);
        let fate = log.fates.pop_front().unwrap_or(Fate::Forwarded);
        log.tries.push(Try {
            at: Instant::now(),
            received_at: SystemTime::now(),
            path: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            headers: request.headers().clone(),
            body: Vec::new(),
            fate,
            edge_status: None,
        });
        (Place { epoch: log.epoch, index: log.tries.len() - 1 }, fate)
    }

    fn at(&self, place: Place, change: impl FnOnce(&mut Try)) {
        let mut log = locked(&self.log);
        if log.epoch == place.epoch {
            log.tries.get_mut(place.index).map(change);
        }
    }
}

/// A client that goes away while its try is under way must not end the try: the work is a task of its own.
async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(socket): ConnectInfo<Socket>,
    request: Request,
) -> Response {
    if request.method() != Method::POST {
        return shared.upstream.forward(request).await;
    }
    let path = request.uri().path();
    if OTHER_SIGNALS.iter().any(|signal| path.ends_with(signal)) {
        locked(&shared.log).others.push(path.to_owned());
        return shared.upstream.forward(request).await;
    }
    let answer = tokio::spawn(try_of(shared, socket, request)).await;
    answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

async fn try_of(shared: Arc<Shared>, socket: Socket, request: Request) -> Response {
    let (place, fate) = shared.note(&request);
    let request = recording(&shared, place, request);
    if let Fate::Refused(status) = fate {
        let _ = to_bytes(request.into_body(), MAX_BYTES).await;
        return with_status(status);
    }
    let response = shared.upstream.forward(request).await;
    let (mut head, body) = response.into_parts();
    let retry_after = locked(&shared.log).retry_after;
    if let (Some(value), Some(seconds)) = (head.headers.get_mut(RETRY_AFTER), retry_after) {
        *value = HeaderValue::from(seconds);
    }
    let body = match fate {
        Fate::Forwarded => body,
        // The answer is whole before it is lost: the edge has done its work.
        _ => Body::from(to_bytes(body, MAX_BYTES).await.unwrap_or_default()),
    };
    shared.at(place, |each| each.edge_status = Some(head.status.as_u16()));
    match fate {
        Fate::AnswerReplaced(status) | Fate::Refused(status) => with_status(status),
        Fate::AnswerLost => {
            socket.close();
            Response::from_parts(head, body)
        }
        Fate::AnswerLate(delay) => {
            tokio::time::sleep(delay).await;
            Response::from_parts(head, body)
        }
        Fate::Forwarded => Response::from_parts(head, body),
    }
}

fn with_status(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY).into_response()
}

/// The request, whose body is recorded as it passes: framing and pace stay the client's own.
fn recording(shared: &Arc<Shared>, place: Place, request: Request) -> Request {
    let (head, body) = request.into_parts();
    let shared = Arc::clone(shared);
    let body = body.into_data_stream().inspect_ok(move |bytes: &Bytes| {
        shared.at(place, |each| each.body.extend_from_slice(bytes));
    });
    Request::from_parts(head, Body::from_stream(body))
}
