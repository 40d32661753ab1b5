//! An HTTP/2 server in front of the edge, as Cloudflare is one: workerd by itself speaks HTTP/1.1 only. gRPC needs it.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Version;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::forward::Upstream;

/// A running server, which forwards each request over HTTP/1.1. It ends when it is dropped.
pub struct Http2Front {
    /// Where it listens, without TLS.
    pub url: String,
    server: JoinHandle<()>,
}

impl Http2Front {
    /// Starts it on a free port, in front of the edge at `upstream`.
    pub async fn start(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(forward).with_state(Arc::new(Upstream::new(upstream)));
        let service = TowerToHyperService::new(router);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new()).http2_only();
                    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                        eprintln!("the HTTP/2 front: {error}");
                    }
                });
            }
        });
        Ok(Self { url, server })
    }
}

impl Drop for Http2Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(State(upstream): State<Arc<Upstream>>, mut request: Request) -> Response {
    *request.version_mut() = Version::HTTP_11;
    upstream.forward(request).await
}
