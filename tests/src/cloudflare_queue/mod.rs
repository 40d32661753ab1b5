//! A stand-in for the part of Cloudflare's API that concerns one queue and its pull consumers, since Cloudflare's own
//! cannot be had offline. It keeps to the published schema and to what the documents say of leases and deliveries, and can
//! fail before or after it has done what it was asked for.
//!
//! - <https://developers.cloudflare.com/api/resources/queues/subresources/messages/>
//! - <https://developers.cloudflare.com/queues/configuration/pull-consumers/>
//! - <https://developers.cloudflare.com/queues/reference/error-codes/>

mod http;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use local_stack::ports::free_port;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use queue::Queue;

/// The account that the queue is in.
pub const ACCOUNT: &str = "01a7362d577a6c3019a474fd6f485823";
/// The queue.
pub const QUEUE: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// A token that may read and write queues.
pub const TOKEN: &str = "token-that-may-read-and-write-queues";
/// A token that may read queues.
pub const READ_ONLY_TOKEN: &str = "token-that-may-only-read-queues";

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A batch.
    Pull,
    /// That leases end.
    Ack,
}

/// How the next call of its kind goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It is refused, with a status and perhaps a `Retry-After` in seconds.
    Refuse(u16, Option<u64>),
    /// It is done, and the answer is lost.
    LoseAnswer,
    /// It is done, and the answer is late.
    Late(Duration),
    /// It is answered with so many bytes that nobody asked for.
    Flood(usize),
}

/// A message as a producer has sent it.
#[derive(Debug, Clone, Deserialize)]
pub struct Sent {
    /// Text, or JSON of any kind.
    pub body: Value,
    /// `text` or `json`.
    #[serde(default = "json_type")]
    pub content_type: String,
}

fn json_type() -> String {
    "json".to_owned()
}

impl Sent {
    /// A text.
    pub fn text(body: impl Into<String>) -> Self {
        Self { body: Value::String(body.into()), content_type: "text".to_owned() }
    }

    /// JSON.
    pub fn json(body: Value) -> Self {
        Self { body, content_type: json_type() }
    }
}

/// The stand-in, and one queue in it. It ends when it is dropped.
pub struct CloudflareQueue {
    /// What stands for `https://api.cloudflare.com/client/v4`.
    pub api_url: String,
    port: u16,
    queue: Arc<Mutex<Queue>>,
    server: Option<JoinHandle<()>>,
}

impl CloudflareQueue {
    /// Starts it, on a free port.
    pub async fn start() -> Result<Self> {
        let port = free_port()?;
        let api_url = format!("http://127.0.0.1:{port}/client/v4");
        let mut started = Self { api_url, port, queue: Arc::default(), server: None };
        started.up().await?;
        Ok(started)
    }

    /// Answers nobody, until `up`. The queue keeps what it has.
    pub async fn down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Answers again.
    pub async fn up(&mut self) -> Result<()> {
        let router = http::router(Arc::clone(&self.queue));
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.server = Some(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
        Ok(())
    }

    /// Where producers push.
    pub fn push_url(&self) -> String {
        format!("{}/accounts/{ACCOUNT}/queues/{QUEUE}/messages/batch", self.api_url)
    }

    /// Sends a message.
    pub fn send(&self, sent: Sent) {
        lock(&self.queue).send(sent);
    }

    /// Lets the next call of a kind fail; several of them fail one after the other.
    pub fn fail(&self, call: Call, fault: Fault) {
        lock(&self.queue).faults.push((call, fault));
    }

    /// Delivers at once what waits for a lease to run out or for its delay.
    pub fn make_visible(&self) {
        let now = Instant::now();
        lock(&self.queue).waiting.iter_mut().for_each(|message| message.visible_at = now);
    }

    /// When such calls came.
    pub fn calls(&self, call: Call) -> Vec<Instant> {
        lock(&self.queue).calls.iter().filter(|(kind, _)| *kind == call).map(|(_, at)| *at).collect()
    }

    /// Messages that are neither acknowledged nor deleted.
    pub fn backlog(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    /// Messages that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        lock(&self.queue).acknowledged
    }

    /// Messages that were given out, each as often as that happened.
    pub fn deliveries(&self) -> usize {
        lock(&self.queue).deliveries
    }

    /// Messages that were deleted after too many deliveries.
    pub fn deleted(&self) -> usize {
        lock(&self.queue).deleted
    }
}

impl Drop for CloudflareQueue {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
