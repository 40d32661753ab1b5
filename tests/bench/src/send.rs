//! Export requests over HTTP: a number of connections that are kept alive, each with one request at a time.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use reqwest::{Client, RequestBuilder, StatusCode};

/// Before a request is sent again that was put off.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// How long a receiver may put a request off.
const PUT_OFF_AT_MOST: Duration = Duration::from_secs(120);

/// Where requests go, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its path for traces.
    pub url: String,
    /// A key for the edge.
    pub key: Option<String>,
    /// Whether the bodies are compressed.
    pub gzip: bool,
    /// Requests in flight.
    pub connections: usize,
    /// Requests that are begun in a second; as many as can be by default.
    pub per_second: Option<f64>,
}

/// What came of the requests.
#[derive(Debug)]
pub struct Sent {
    /// When each was answered with 200, in the order of the bodies.
    pub accepted: Vec<Instant>,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Answers that put a request off.
    pub put_off: u32,
}

/// Sends every body once; again, where it is put off (429, 503). An error if an answer is another one, or refuses spans.
pub async fn send_all(client: &Client, target: &Target, bodies: &[Bytes]) -> Result<Sent> {
    let (next, put_off, began) = (AtomicUsize::new(0), AtomicU32::new(0), Instant::now());
    let senders = (0..target.connections.max(1)).map(|_| async {
        let mut accepted = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = bodies.get(number) else { break };
            if let Some(per_second) = target.per_second {
                let due = began + Duration::from_secs_f64(number as f64 / per_second);
                tokio::time::sleep_until(due.into()).await;
            }
            put_off.fetch_add(send_one(client, target, body).await?, Ordering::Relaxed);
            accepted.push((number, Instant::now()));
        }
        anyhow::Ok(accepted)
    });
    let mut accepted: Vec<_> = try_join_all(senders).await?.into_iter().flatten().collect();
    let took = began.elapsed();
    accepted.sort_unstable_by_key(|(number, _)| *number);
    let accepted = accepted.into_iter().map(|(_, at)| at).collect();
    Ok(Sent { accepted, took, put_off: put_off.into_inner() })
}

/// How often it was put off.
async fn send_one(client: &Client, target: &Target, body: &Bytes) -> Result<u32> {
    let began = Instant::now();
    let mut put_off = 0;
    loop {
        let answer = request(client, target, body).send().await?;
        let (status, text) = (answer.status(), answer.bytes().await?);
        match status {
            StatusCode::OK => {
                // A response with a body says that spans were refused; one with the empty field says nothing.
                ensure!(
                    text.is_empty() || text.as_ref() == [0x0a, 0],
                    "{} answered {:?}",
                    target.url,
                    String::from_utf8_lossy(&text)
                );
                return Ok(put_off);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                ensure!(began.elapsed() < PUT_OFF_AT_MOST, "{} still answers {status}", target.url);
                put_off += 1;
                tokio::time::sleep(RETRY_AFTER).await;
            }
            _ => bail!("{} answered {status}: {}", target.url, String::from_utf8_lossy(&text)),
        }
    }
}

fn request(client: &Client, target: &Target, body: &Bytes) -> RequestBuilder {
    let mut post = client.post(&target.url).header("content-type", "application/x-protobuf");
    if let Some(key) = &target.key {
        post = post.header("x-api-key", key);
    }
    if target.gzip {
        post = post.header("content-encoding", "gzip");
    }
    post.body(body.clone())
}

/// The value below which so many of a hundred lie, of values in order of size.
pub fn percentile(sorted: &[f64], percent: f64) -> Result<f64> {
    let last = sorted.len().checked_sub(1).context("nothing was measured")?;
    Ok(sorted[(last as f64 * percent / 100.0).round() as usize])
}
