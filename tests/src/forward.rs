//! What the HTTP proxies share: a server that ends with its owner, and the way to where they forward.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server on a free port; it ends when it is dropped.
pub(crate) struct Server(JoinHandle<()>);

impl Server {
    /// Starts it, and tells its URL. Handlers can have the [`Socket`] by `ConnectInfo`.
    pub(crate) async fn start(router: Router) -> Result<(String, Self)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let service = router.into_make_service_with_connect_info::<Socket>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, service).await {
                eprintln!("the proxy ended: {error}");
            }
        });
        Ok((url, Self(server)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The connection that a request has come by.
#[derive(Clone)]
pub(crate) struct Socket(Option<Arc<OwnedFd>>);

impl Socket {
    /// Whenever it is closed from now on, the client sees a reset.
    pub(crate) fn reset_on_close(&self) {
        if let Some(socket) = &self.0 {
            let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    /// Ends the connection in both directions: the client sees its end, and nothing of an answer.
    pub(crate) fn close(&self) {
        if let Some(socket) = &self.0 {
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Socket {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(stream.io().as_fd().try_clone_to_owned().ok().map(Arc::new))
    }
}

/// Where a proxy forwards to.
pub(crate) struct Upstream {
    client: Client<HttpConnector, Body>,
    url: Mutex<String>,
}

impl Upstream {
    /// The server at `url`, which has no path.
    pub(crate) fn new(url: &str) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url: Mutex::new(url.to_owned()) }
    }

    /// From now on, another server.
    pub(crate) fn change(&self, url: &str) {
        url.clone_into(&mut locked(&self.url));
    }

    /// Its answer, or 502. Head and body are handed through as they come: a signature may hold the header `Host`, and the
    /// framing stays the client's own.
    pub(crate) async fn forward(&self, request: Request) -> Response {
        let answer = self.answer(request).await;
        answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
    }

    async fn answer(&self, mut request: Request) -> Result<Response> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("{}{path}", locked(&self.url)).parse()?;
        *request.uri_mut() = uri;
        Ok(self.client.request(request).await?.into_response())
    }
}

/// The value, also after a panic elsewhere.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
