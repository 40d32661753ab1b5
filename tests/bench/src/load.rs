//! The load: a number of connections that are kept alive, each with one request at a time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use reqwest::Client;
use tokio::task::JoinSet;

/// What is sent: its bodies take turns, so that no cache knows them by heart.
#[derive(Clone)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// Whether the bodies are compressed.
    pub gzip: bool,
    /// One or more.
    pub bodies: Vec<Bytes>,
}

/// What came of it.
pub struct Sent {
    /// The latencies of all requests, in order of size.
    pub latencies: Vec<Duration>,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Sent {
    /// How many requests were sent, and answered with 200.
    pub fn requests(&self) -> usize {
        self.latencies.len()
    }
}

/// Sends `request` over `connections` until the time is over; an error if an answer is not 200.
pub async fn send(
    client: &Client,
    request: &Request,
    connections: usize,
    at_least: Duration,
) -> Result<Sent> {
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for sender in 0..connections {
        let (client, request) = (client.clone(), request.clone());
        senders.spawn(async move {
            let mut latencies = Vec::new();
            for body in request.bodies.iter().cycle().skip(sender) {
                let sent = Instant::now();
                send_one(&client, &request, body.clone()).await?;
                latencies.push(sent.elapsed());
                if begun.elapsed() >= at_least {
                    break;
                }
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(sender) = senders.join_next().await {
        latencies.extend(sender??);
    }
    let took = begun.elapsed();
    latencies.sort_unstable();
    Ok(Sent { latencies, took })
}

async fn send_one(client: &Client, request: &Request, body: Bytes) -> Result<()> {
    let mut post = client.post(&request.url).header("content-type", "application/x-protobuf");
    post = post.header("x-api-key", "a key for benchmarks that opens nothing else");
    if request.gzip {
        post = post.header("content-encoding", "gzip");
    }
    let answer = post.body(body).send().await?;
    let (status, text) = (answer.status(), answer.bytes().await?);
    ensure!(status == 200, "{} answered {status}: {}", request.url, String::from_utf8_lossy(&text));
    // A 200 with a body says that spans were refused.
    ensure!(text.is_empty(), "{} answered {}", request.url, String::from_utf8_lossy(&text));
    Ok(())
}
