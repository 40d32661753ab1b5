//! One connection through [`TcpFaults`](super::TcpFaults): both ways side by side, and what they know of each other.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::http_answer;
use super::tcp::{Faults, TcpFault};
use crate::forward::locked;

const BLOCK_BYTES: usize = 16 << 10;

/// How a connection ends.
pub(super) enum End {
    /// By FIN, when both sides are done or a fault closes it.
    Closed,
    /// By RST.
    Reset,
    /// By an answer with this status.
    Answered(u16),
}

/// A request, and the answer to it. The next one begins when the client sends after it was answered.
#[derive(Default)]
struct Exchange {
    fault: Option<TcpFault>,
    /// Of the faults' mode, when this began: a stall lasts until the mode is another.
    epoch: u64,
    began: bool,
    to_head: bool,
    /// How many bytes of the request and of the answer have come.
    requested: u64,
    answered: u64,
    /// The answer, where it shall be lost.
    answer: Vec<u8>,
}

/// A connection in both directions.
pub(super) struct Connection<'a> {
    faults: &'a Faults,
    exchange: Mutex<Exchange>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(faults: &'a Faults) -> Self {
        Self { faults, exchange: Mutex::default() }
    }

    /// Forwards until one side or a fault ends it. A failure of either side is passed on as a reset.
    pub(super) async fn run(&self, client: &mut TcpStream, upstream: &mut TcpStream) -> End {
        let (from_client, to_client) = client.split();
        let (from_upstream, to_upstream) = upstream.split();
        let end = {
            let requests = self.requests(from_client, to_upstream);
            let answers = self.answers(from_upstream, to_client);
            tokio::pin!(requests, answers);
            // The client may be done sending long before it has its answer; when upstream is done, all is.
            tokio::select! {
                end = &mut answers => end,
                end = &mut requests => match end {
                    Ok(None) => answers.await,
                    end => end,
                },
            }
        };
        match end {
            Ok(Some(End::Answered(status))) => self.answer(status, client).await,
            end => end.map_or(End::Reset, |end| end.unwrap_or(End::Closed)),
        }
    }

    /// What the client has still to send is not waited for.
    async fn answer(&self, status: u16, client: &mut TcpStream) -> End {
        let answer =
            format!("HTTP/1.1 {status} Of the proxy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        match client.write_all(answer.as_bytes()).await {
            Ok(()) => End::Closed,
            Err(_) => End::Reset,
        }
    }

    async fn requests(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<Option<End>> {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let bytes = match from.read(&mut block).await? {
                // Many servers drop the request of a client that has gone; one that was held shall be late, and served.
                0 if self.exchange().fault == Some(TcpFault::Stall) => return Ok(None),
                0 => return to.shutdown().await.map(|()| None),
                read => &block[..read],
            };
            let (fault, before) = self.on_request(bytes);
            match fault {
                Some(TcpFault::Refuse) => return Ok(Some(self.done(End::Closed))),
                Some(TcpFault::Answer(status)) => return Ok(Some(self.done(End::Answered(status)))),
                Some(TcpFault::ResetRequest(limit)) if before + bytes.len() as u64 >= limit => {
                    to.write_all(&bytes[..(limit - before) as usize]).await?;
                    return Ok(Some(self.done(End::Reset)));
                }
                Some(TcpFault::Stall) => {
                    self.stalled(before == 0).await;
                    to.write_all(bytes).await?;
                }
                Some(TcpFault::Slow(rate)) => self.slowly(bytes, rate, before == 0, &mut to).await?,
                _ => to.write_all(bytes).await?,
            }
        }
    }

    async fn answers(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<Option<End>> {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let bytes = match from.read(&mut block).await? {
                0 if self.loses_answer() => return Ok(Some(self.done(End::Reset))),
                0 => return to.shutdown().await.map(|()| None),
                read => &block[..read],
            };
            let (fault, before) = self.on_answer(bytes);
            let reaches = |limit: u64| before + bytes.len() as u64 >= limit && before <= limit;
            match fault {
                Some(TcpFault::ResetAnswer(limit)) if reaches(limit) => {
                    to.write_all(&bytes[..(limit - before) as usize]).await?;
                    return Ok(Some(self.done(End::Reset)));
                }
                Some(TcpFault::TruncateAnswer(limit)) if reaches(limit) => {
                    to.write_all(&bytes[..(limit - before) as usize]).await?;
                    return Ok(Some(self.done(End::Closed)));
                }
                Some(TcpFault::StallAnswer(limit)) if reaches(limit) => {
                    let (first, rest) = bytes.split_at((limit - before) as usize);
                    to.write_all(first).await?;
                    self.stalled(true).await;
                    to.write_all(rest).await?;
                }
                Some(TcpFault::LoseAnswer) => {
                    if self.is_answered() {
                        return Ok(Some(self.done(End::Reset)));
                    }
                }
                Some(TcpFault::Slow(rate)) => self.slowly(bytes, rate, false, &mut to).await?,
                _ => to.write_all(bytes).await?,
            }
        }
    }

    /// Begins an exchange where one is due. Its fault, and how much of the request came before.
    fn on_request(&self, bytes: &[u8]) -> (Option<TcpFault>, u64) {
        let mut exchange = self.exchange();
        if !exchange.began || exchange.answered > 0 {
            let (fault, epoch) = self.faults.take(bytes);
            let to_head = bytes.starts_with(b"HEAD ");
            *exchange = Exchange { fault, epoch, began: true, to_head, ..Exchange::default() };
        }
        let before = exchange.requested;
        exchange.requested += bytes.len() as u64;
        (exchange.fault, before)
    }

    fn on_answer(&self, bytes: &[u8]) -> (Option<TcpFault>, u64) {
        let mut exchange = self.exchange();
        let before = exchange.answered;
        exchange.answered += bytes.len() as u64;
        if exchange.fault == Some(TcpFault::LoseAnswer) {
            exchange.answer.extend_from_slice(bytes);
        }
        (exchange.fault, before)
    }

    fn loses_answer(&self) -> bool {
        let exchange = self.exchange();
        exchange.fault == Some(TcpFault::LoseAnswer) && exchange.answered > 0
    }

    fn is_answered(&self) -> bool {
        let exchange = self.exchange();
        http_answer::is_whole(&exchange.answer, exchange.to_head)
    }

    async fn stalled(&self, is_first: bool) {
        if is_first {
            self.faults.count();
        }
        let epoch = self.exchange().epoch;
        self.faults.is_past(epoch).await;
    }

    async fn slowly(
        &self,
        bytes: &[u8],
        rate: u64,
        is_first: bool,
        to: &mut WriteHalf<'_>,
    ) -> io::Result<()> {
        if is_first {
            self.faults.count();
        }
        // Ten pieces a second, so that it trickles.
        let piece = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
        for piece in bytes.chunks(piece) {
            to.write_all(piece).await?;
            tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / rate.max(1) as f64)).await;
        }
        Ok(())
    }

    fn done(&self, end: End) -> End {
        self.faults.count();
        end
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        locked(&self.exchange)
    }
}

/// Adds one.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
