//! A proxy in front of any address, which breaks connections in the ways of networks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::awaited;
use super::exchange::{Connection, End, bump};
use crate::forward::locked;

/// What happens to an exchange: a request, and the answer to it. A connection that is kept alive has many. Counts of bytes
/// are those of the exchange, heads included; a fault at a byte that never comes does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFault {
    /// The connection is closed as soon as it is made; one that was there already, when it is used again.
    Refuse,
    /// Both sides are reset after so many bytes of the request were forwarded.
    ResetRequest(u64),
    /// The client is reset after it got so many bytes of the answer: with 0, as soon as there is an answer.
    ResetAnswer(u64),
    /// The request is held until the mode is switched, and then forwarded, even if its sender has gone: as packets are
    /// that were late.
    Stall,
    /// The answer stops after so many bytes, until the mode is switched.
    StallAnswer(u64),
    /// The answer ends after so many bytes, as if that were all.
    TruncateAnswer(u64),
    /// The request is forwarded in whole, and the client is reset when the whole answer (of HTTP/1.1) has come from
    /// upstream. It gets nothing of it.
    LoseAnswer,
    /// The request goes nowhere, and is answered with this status of HTTP, as by a balancer before the server.
    Answer(u16),
    /// Both ways have so many bytes per second.
    Slow(u64),
}

/// What has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCounts {
    /// Connections that were made.
    pub connections: u64,
    /// Exchanges that began.
    pub exchanges: u64,
    /// Faults that have happened: not merely been due.
    pub faults: u64,
}

/// A running proxy; it and its connections end when it is dropped.
pub struct TcpFaults {
    /// Where it listens, as `HOST:PORT`.
    pub address: String,
    faults: Arc<Faults>,
    server: JoinHandle<()>,
}

/// What the connections share.
pub(super) struct Faults {
    upstream: Mutex<String>,
    mode: Mutex<Mode>,
    /// Grows with every switch of the mode.
    epoch: watch::Sender<u64>,
    cuts: watch::Sender<u64>,
    connections: AtomicU64,
    exchanges: AtomicU64,
    happened: AtomicU64,
}

#[derive(Default)]
struct Mode {
    fault: Option<TcpFault>,
    /// What the first block of a request must hold, so that it has the fault.
    mark: &'static str,
    /// For so many more exchanges; without end where there is none.
    left: Option<u64>,
}

impl TcpFaults {
    /// A proxy on a free port of loopback that forwards to `upstream`: `HOST:PORT`, or a URL of that. It passes
    /// everything until it is told otherwise.
    pub async fn start(upstream: &str) -> Result<Self> {
        let faults = Arc::new(Faults {
            upstream: Mutex::new(host_and_port(upstream)),
            mode: Mutex::default(),
            epoch: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            exchanges: AtomicU64::new(0),
            happened: AtomicU64::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(serve(listener, Arc::clone(&faults)));
        Ok(Self { address, faults, server })
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forwards new connections to another address.
    pub fn forward_to(&self, upstream: &str) {
        *locked(&self.faults.upstream) = host_and_port(upstream);
    }

    /// Everything passes from now on, and what stalls goes on.
    pub fn pass(&self) {
        self.switch(Mode::default());
    }

    /// Every exchange that begins from now on has the fault.
    pub fn always(&self, fault: TcpFault) {
        self.always_on("", fault);
    }

    /// Every exchange that begins from now on has the fault, if the first block of its request holds `mark`.
    pub fn always_on(&self, mark: &'static str, fault: TcpFault) {
        self.switch(Mode { fault: Some(fault), mark, left: None });
    }

    /// The next exchanges have the fault, so many of them; those after them pass.
    pub fn next(&self, exchanges: u64, fault: TcpFault) {
        self.next_on("", exchanges, fault);
    }

    /// The next exchanges whose requests hold `mark` in their first block have the fault, so many of them.
    pub fn next_on(&self, mark: &'static str, exchanges: u64, fault: TcpFault) {
        self.switch(Mode { fault: Some(fault), mark, left: Some(exchanges) });
    }

    /// Resets all connections that there are.
    pub fn cut(&self) {
        self.faults.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// What has passed.
    pub fn counts(&self) -> TcpCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TcpCounts {
            connections: read(&self.faults.connections),
            exchanges: read(&self.faults.exchanges),
            faults: read(&self.faults.happened),
        }
    }

    /// Waits until so many faults have happened.
    pub async fn await_faults(&self, faults: u64) -> Result<()> {
        awaited("a fault of the network", || self.counts().faults >= faults).await
    }

    fn switch(&self, mode: Mode) {
        let mut current = locked(&self.faults.mode);
        *current = mode;
        // Under the lock, so that nobody takes the new fault with the old epoch, at which its stall would be over.
        self.faults.epoch.send_modify(|epoch| *epoch += 1);
    }
}

impl Drop for TcpFaults {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Faults {
    /// The fault of an exchange that begins with these bytes, and the epoch of its mode.
    pub(super) fn take(&self, bytes: &[u8]) -> (Option<TcpFault>, u64) {
        bump(&self.exchanges);
        let mut mode = locked(&self.mode);
        let fault = if mode.is_on(bytes) { mode.take() } else { None };
        (fault, *self.epoch.borrow())
    }

    /// Notes that a fault has happened.
    pub(super) fn count(&self) {
        bump(&self.happened);
    }

    /// Waits until the mode is no longer that of `epoch`.
    pub(super) async fn is_past(&self, epoch: u64) {
        // The sender lives as long as `self`, so this ends by a switch only.
        let _ = self.epoch.subscribe().wait_for(|now| *now != epoch).await;
    }

    fn refuses(&self) -> bool {
        let mut mode = locked(&self.mode);
        // A connection that is only made has no bytes to go by.
        mode.fault == Some(TcpFault::Refuse) && mode.mark.is_empty() && mode.take().is_some()
    }
}

impl Mode {
    fn is_on(&self, bytes: &[u8]) -> bool {
        self.mark.is_empty() || bytes.windows(self.mark.len()).any(|window| window == self.mark.as_bytes())
    }

    fn take(&mut self) -> Option<TcpFault> {
        match &mut self.left {
            None => self.fault,
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                self.fault
            }
        }
    }
}

async fn serve(listener: TcpListener, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        bump(&faults.connections);
        if faults.refuses() {
            faults.count();
            continue;
        }
        connections.spawn(forward(client, Arc::clone(&faults)));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut client: TcpStream, faults: Arc<Faults>) {
    let mut cuts = faults.cuts.subscribe();
    let upstream = locked(&faults.upstream).clone();
    let Ok(mut upstream) = TcpStream::connect(upstream).await else { return };
    // Small pieces are forwarded as they come.
    let _ = client.set_nodelay(true).and_then(|()| upstream.set_nodelay(true));
    let connection = Connection::new(&faults);
    let end = tokio::select! {
        end = connection.run(&mut client, &mut upstream) => end,
        _ = cuts.changed() => { faults.count(); End::Reset }
    };
    if matches!(end, End::Reset) {
        let _ = client.set_zero_linger().and_then(|()| upstream.set_zero_linger());
    }
}

fn host_and_port(upstream: &str) -> String {
    upstream.trim_start_matches("http://").trim_end_matches('/').to_owned()
}
