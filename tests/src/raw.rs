//! HTTP byte for byte, as no client library would send it.

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::stack::TestStack;

/// A connection to the edge.
pub struct Connection {
    /// What is sent.
    pub sender: OwnedWriteHalf,
    /// What comes back.
    pub answers: Answers,
}

/// What comes back of a connection.
pub struct Answers {
    stream: OwnedReadHalf,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// All before the body.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to the edge.
    pub async fn open(stack: &TestStack) -> Result<Self> {
        let address = stack.edge.url.trim_start_matches("http://");
        let (stream, sender) = TcpStream::connect(address).await?.into_split();
        Ok(Self { sender, answers: Answers { stream, unread: Vec::new() } })
    }

    /// Sends `bytes`, as far as the edge takes them: it may have answered and closed before that.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.sender.write_all(bytes).await;
    }

    /// Says that no more will be sent.
    pub async fn end_sending(&mut self) {
        let _ = self.sender.shutdown().await;
    }
}

impl Answers {
    /// The next answer; none where the connection was closed without one.
    pub async fn next(&mut self) -> Result<Option<Answer>> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            if !self.read().await {
                return Ok(None);
            }
        };
        let head = String::from_utf8(self.unread[..end].to_vec())?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let whole = end + 4 + length.unwrap_or(0);
        while self.unread.len() < whole && self.read().await {}
        let body = self.unread.get(end + 4..whole).context("the answer is cut")?.to_vec();
        self.unread.drain(..whole);
        Ok(Some(Answer { status, head, body }))
    }

    async fn read(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.unread).await, Ok(bytes) if bytes > 0)
    }
}

/// The head of an export in JSON. `headers` come first, so that one of them can stand for what would follow.
pub fn head(key: Option<&str>, headers: &[&str]) -> String {
    let key = key.map(|key| format!("x-api-key: {key}"));
    let usual = ["host: edge", "content-type: application/json"];
    let lines: Vec<_> = headers.iter().copied().chain(usual).chain(key.as_deref()).collect();
    format!("POST /v1/traces HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"))
}
