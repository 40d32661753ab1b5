//! Faults of the network, before a server that counts what reaches it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use spillway_tests::faults::{TcpCounts, TcpFault, TcpFaults};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const ANSWER: usize = 60_000;
const SHORT: Duration = Duration::from_millis(300);

/// A server, and what stands before it.
struct Bench {
    proxy: TcpFaults,
    served: Arc<AtomicU64>,
}

/// What a client has got, and how it ended.
type Got = (Vec<u8>, Option<ErrorKind>);

impl Bench {
    async fn start() -> Result<Self> {
        let served = Arc::new(AtomicU64::new(0));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&served));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = TcpFaults::start(&listener.local_addr()?.to_string()).await?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { proxy, served })
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// What comes back on a new connection, until it ends.
    async fn request(&self) -> Result<Got> {
        let mut stream = TcpStream::connect(&self.proxy.address).await?;
        let head = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
        let mut got = Vec::new();
        let sent = stream.write_all(head.as_bytes()).await;
        let end = match sent {
            Ok(()) => stream.read_to_end(&mut got).await.err(),
            Err(error) => Some(error),
        };
        Ok((got, end.map(|error| error.kind())))
    }

    fn faults(&self) -> u64 {
        self.proxy.counts().faults
    }
}

async fn serve(State(served): State<Arc<AtomicU64>>, _body: Bytes) -> String {
    served.fetch_add(1, Ordering::SeqCst);
    "x".repeat(ANSWER)
}

#[tokio::test]
async fn without_a_fault_everything_passes() -> Result<()> {
    let bench = Bench::start().await?;
    let (got, end) = bench.request().await?;
    assert!(got.ends_with("x".repeat(ANSWER).as_bytes()) && end.is_none());
    assert_eq!(bench.proxy.counts(), TcpCounts { connections: 1, exchanges: 1, faults: 0 });
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_reaches_nobody_and_the_one_after_it_does() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.next(2, TcpFault::Refuse);
    for _ in 0..2 {
        assert!(bench.request().await?.0.is_empty());
    }
    assert_eq!((bench.served(), bench.faults()), (0, 2));
    assert!(bench.request().await?.0.len() > ANSWER);
    Ok(())
}

#[tokio::test]
async fn a_reset_of_the_request_leaves_the_server_with_a_part() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.next(1, TcpFault::ResetRequest(20));
    let (got, end) = bench.request().await?;
    assert_eq!((got.len(), end), (0, Some(ErrorKind::ConnectionReset)));
    assert_eq!((bench.served(), bench.faults()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_reset_and_a_truncated_answer_differ_in_how_they_end() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.next(1, TcpFault::ResetAnswer(1000));
    assert_eq!(bench.request().await?.1, Some(ErrorKind::ConnectionReset));
    bench.proxy.next(1, TcpFault::TruncateAnswer(1000));
    let (got, end) = bench.request().await?;
    assert_eq!((got.len(), end), (1000, None));
    bench.proxy.next(1, TcpFault::TruncateAnswer(1 << 20));
    assert!(bench.request().await?.0.len() > ANSWER);
    assert_eq!((bench.served(), bench.faults()), (3, 2), "a byte that never comes is no fault");
    Ok(())
}

#[tokio::test]
async fn a_stalled_request_is_delivered_when_the_network_is_back() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.always(TcpFault::Stall);
    assert!(timeout(SHORT, bench.request()).await.is_err());
    assert_eq!((bench.served(), bench.faults()), (0, 1));
    let (request, ()) = tokio::join!(bench.request(), async {
        tokio::time::sleep(SHORT).await;
        bench.proxy.pass();
    });
    assert!(request?.0.len() > ANSWER);
    let deadline = Instant::now() + Duration::from_secs(10);
    while bench.served() < 2 {
        assert!(Instant::now() < deadline, "the one whose sender has gone comes late");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_stalled_answer_stops_where_it_was_told_to() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.always(TcpFault::StallAnswer(500));
    let mut stream = TcpStream::connect(&bench.proxy.address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    bench.proxy.await_faults(1).await?;
    let mut got = Vec::new();
    assert!(timeout(SHORT, stream.read_to_end(&mut got)).await.is_err());
    assert_eq!((got.len(), bench.served()), (500, 1));
    bench.proxy.pass();
    stream.read_to_end(&mut got).await?;
    assert!(got.len() > ANSWER);
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_was_given_and_never_comes() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.next(1, TcpFault::LoseAnswer);
    assert_eq!(bench.request().await?, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    assert_eq!((bench.served(), bench.faults()), (1, 1));
    assert!(bench.request().await?.0.len() > ANSWER);
    Ok(())
}

#[tokio::test]
async fn a_fault_hits_the_next_request_of_a_connection_that_is_kept() -> Result<()> {
    let bench = Bench::start().await?;
    let client = local_stack::http::client();
    let request = async || client.post(bench.proxy.url()).body("body").send().await?.bytes().await;
    request().await?;
    request().await?;
    assert_eq!(bench.proxy.counts(), TcpCounts { connections: 1, exchanges: 2, faults: 0 });
    bench.proxy.next(1, TcpFault::LoseAnswer);
    assert!(request().await.is_err());
    request().await?;
    assert_eq!((bench.served(), bench.faults()), (4, 1));
    Ok(())
}

#[tokio::test]
async fn a_slow_connection_takes_its_time() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.always(TcpFault::Slow(100_000));
    let began = Instant::now();
    assert!(bench.request().await?.0.len() > ANSWER);
    assert!(began.elapsed() > Duration::from_millis(600), "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_what_is_under_way() -> Result<()> {
    let bench = Bench::start().await?;
    bench.proxy.always(TcpFault::StallAnswer(0));
    let (request, cut) = tokio::join!(bench.request(), async {
        bench.proxy.await_faults(1).await?;
        bench.proxy.cut();
        anyhow::Ok(())
    });
    cut?;
    assert_eq!(request?, (Vec::new(), Some(ErrorKind::ConnectionReset)));
    Ok(())
}

#[tokio::test]
async fn it_can_be_led_elsewhere() -> Result<()> {
    let (bench, other) = (Bench::start().await?, Bench::start().await?);
    bench.proxy.forward_to(&other.proxy.url());
    bench.request().await?;
    assert_eq!((bench.served(), other.served()), (0, 1));
    Ok(())
}
