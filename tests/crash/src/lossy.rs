//! The way of the notifications, on which some are lost: the edge is answered 202, and nobody is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A proxy in front of the origin; it ends when it is dropped.
pub struct LossyWay {
    /// Where the edge sends notifications.
    pub url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    origin: String,
    http: reqwest::Client,
    percent: u32,
    chance: Mutex<fastrand::Rng>,
    dropped: AtomicU64,
}

impl LossyWay {
    /// Loses `percent` of what goes to `origin`.
    pub async fn start(origin: String, percent: u32, chance: fastrand::Rng) -> Result<Self> {
        let shared = Arc::new(Shared {
            origin,
            http: local_stack::http::client(),
            percent,
            chance: Mutex::new(chance),
            dropped: AtomicU64::new(0),
        });
        let router = Router::new().fallback(pass_or_drop).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("crash: the way of the notifications ended: {error}");
            }
        });
        Ok(Self { url, shared, server })
    }

    /// Notifications that nobody got.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for LossyWay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass_or_drop(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let drawn = shared.chance.lock().unwrap_or_else(PoisonError::into_inner).u32(..100);
    if drawn < shared.percent {
        shared.dropped.fetch_add(1, Ordering::Relaxed);
        return StatusCode::ACCEPTED;
    }
    for name in ["host", "content-length", "transfer-encoding", "connection"] {
        headers.remove(name);
    }
    let request = shared.http.post(format!("{}{}", shared.origin, uri.path())).headers(headers).body(body);
    request.send().await.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status())
}
